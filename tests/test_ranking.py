"""Ranking against the golden toy, a sort-based loop and scikit-learn."""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from unbraid.counting import FEW_HITS
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import _scored, compare
from unbraid.method import cosine
from unbraid.ranking import MASK_BYTES, Block, Ranking, TensorBlock, in_threads, rank, rows_per_block
from unbraid.spaces import Embeddings, Spaces

Q_IDENTITY, Q_CAMERA = np.array([1, 2, 3]), np.array([0, 1, 0])
G_IDENTITY = np.array([1, 1, 2, 0, 1, 2, 2, 3, -1])
G_CAMERA = np.array([0, 1, 0, 1, 2, 1, 2, 0, 1])
DISTANCE = np.array(
    [
        [0.10, 0.30, 0.20, 0.05, 0.60, 0.50, 0.70, 0.80, 0.01],
        [0.40, 0.15, 0.25, 0.35, 0.55, 0.02, 0.45, 0.65, 0.03],
        [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1],
    ],
    dtype=np.float32,
)


def toy(*, junk_skipped: bool = True) -> Block:
    """The toy of DSANet sheet 4.1: same identity and camera is skipped, identity -1 is junk."""
    hit = Q_IDENTITY[:, None] == G_IDENTITY
    skip = hit & (Q_CAMERA[:, None] == G_CAMERA)
    return Block(-DISTANCE, hit, skip | (G_IDENTITY == -1) if junk_skipped else skip)


def slow(block: Block, ap: str) -> tuple[list[float], list[float], list[int], list[int]]:
    """AP, INP, first rank and best row of each query by sorting, walking over all retrieved positions."""
    aps, inps, firsts, bests = [], [], [], []
    for scores, hit, skip in zip(block.scores, block.hit, block.skip, strict=True):
        order = [j for j in sorted(range(len(scores)), key=lambda j: (-scores[j], j)) if not skip[j]]
        total = sum(bool(hit[j]) for j in order)
        bests.append(order[0] if order else -1)
        area, right, last, precision_before, recall_before = 0.0, 0, 0, 1.0, 0.0
        first = 0
        for position, j in enumerate(order, start=1):
            right += bool(hit[j])
            precision, recall = right / position, right / max(total, 1)
            if ap == "trapezoid":
                area += (recall - recall_before) * (precision_before + precision) / 2
            elif hit[j]:
                area += precision / total
            if hit[j]:
                first, last = first or position, position
            precision_before, recall_before = precision, recall
        aps.append(area if total else np.nan)
        inps.append(total / last if total else np.nan)
        firsts.append(first)
    return aps, inps, firsts, bests


def check(block: Block, ap: str) -> Ranking:
    found = rank([block], ap=ap)  # type: ignore[arg-type]
    aps, inps, firsts, bests = slow(block, ap)
    np.testing.assert_allclose(found.ap, aps, atol=1e-12)
    np.testing.assert_allclose(found.inp, inps, atol=1e-12)
    assert found.first.tolist() == firsts
    assert found.best.tolist() == bests
    assert found.hits.tolist() == (block.hit & ~block.skip).sum(1).tolist()
    assert found.valid.tolist() == (~block.skip).sum(1).tolist()
    return found


def test_golden_toy() -> None:
    found = rank([toy()])
    np.testing.assert_allclose(found.ap[:2], [0.366667, 0.45], atol=1e-6)
    assert np.isnan(found.ap[2])
    assert np.isnan(found.inp[2])
    assert found.first[2] == 0
    assert found.without_mate == 1
    assert found.mean_ap == pytest.approx(0.408333, abs=1e-6)
    assert found.cmc(4).tolist() == [0, 0.5, 1, 1]


def test_golden_toy_with_junk_left_in() -> None:
    found = rank([toy(junk_skipped=False)])
    assert found.mean_ap == pytest.approx(0.3125)
    assert found.cmc(4).tolist() == [0, 0, 0.5, 1]


def test_golden_toy_by_the_trapezoid_rule() -> None:
    found = rank([toy()], ap="trapezoid")
    np.testing.assert_allclose(found.ap[:2], [0.245833, 0.2875], atol=1e-6)
    # the original script divides by all queries
    assert np.nansum(found.ap) / 3 == pytest.approx(0.177778, abs=1e-6)
    np.testing.assert_allclose(found.cmc(3) * 2 / 3, [0, 0.3333, 0.6667], atol=1e-4)


def test_mean_inp_of_the_toy() -> None:
    # query 1: hits at ranks 3 and 5 of the valid items, query 2: at ranks 2 and 5
    assert rank([toy()]).mean_inp == pytest.approx((2 / 5 + 2 / 5) / 2)


@pytest.mark.parametrize("ap", ["step", "trapezoid"])
@pytest.mark.parametrize(("items", "share"), [(1, 0.5), (7, 0.5), (600, 0.05), (900, 0.4)])
@pytest.mark.parametrize("values", [3, 10**6])
def test_equals_sorting(ap: str, items: int, share: float, values: int) -> None:
    rng = np.random.default_rng([items, values])
    scores = rng.integers(values, size=(7, items)).astype(np.float32)
    block = Block(scores, rng.random(scores.shape) < share, rng.random(scores.shape) < 0.2)
    found = check(block, ap)
    if share == 0.4 and items == 900:
        assert found.hits.min() > FEW_HITS, "this case is here for queries with many hits"


def test_many_hits_with_a_few_ties() -> None:
    rng = np.random.default_rng(1)
    scores = rng.permuted(np.tile(np.arange(500, dtype=np.float32), (4, 1)), axis=1)
    scores[:, :20] = scores[:, 100:120]
    hit = rng.random(scores.shape) < 0.5
    assert hit.sum(1).min() > FEW_HITS
    check(Block(scores, hit, np.zeros_like(hit)), "step")


def test_equals_scikit_learn_without_ties() -> None:
    rng = np.random.default_rng(0)
    scores = rng.permuted(np.tile(np.arange(400), (6, 1)), axis=1).astype(np.float64)
    hit = rng.random(scores.shape) < 0.1
    found = rank([Block(scores, hit, np.zeros_like(hit))])
    expected = [average_precision_score(h, s) for h, s in zip(hit, scores, strict=True)]
    np.testing.assert_allclose(found.ap, expected, atol=1e-12)


masks = st.lists(st.booleans(), min_size=12, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-2, 2), min_size=12, max_size=12), masks, masks, st.sampled_from(["step", "trapezoid"]))
def test_any_small_case(scores: list[int], hit: list[bool], skip: list[bool], ap: str) -> None:
    check(Block(np.array([scores], np.float32), np.array([hit]), np.array([skip])), ap)


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(12)), masks, masks)
def test_order_of_the_gallery_is_irrelevant_without_ties(order: list[int], hit: list[bool], skip: list[bool]) -> None:
    scores = np.sqrt(np.arange(12, dtype=np.float32))[None]
    before, after = np.array([hit]), np.array([skip])
    one = rank([Block(scores, before, after)])
    two = rank([Block(scores[:, order], before[:, order], after[:, order])])
    for name in ("ap", "inp", "first", "hits", "valid"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    if one.valid[0]:
        assert order[two.best[0]] == one.best[0]


def test_ties_go_by_gallery_index() -> None:
    scores = np.full((1, 4), 0.25, np.float32)
    for place in range(4):
        hit = np.zeros((1, 4), bool)
        hit[0, place] = True
        assert rank([Block(scores, hit, ~hit & False)]).first[0] == place + 1


def test_blocks_are_joined_in_order() -> None:
    rng = np.random.default_rng(3)
    scores = rng.random((50, 40), dtype=np.float32)
    hit, skip = rng.random((50, 40)) < 0.2, rng.random((50, 40)) < 0.1

    def blocks(step: int) -> Iterator[Block]:
        for start in range(0, 50, step):
            part = slice(start, start + step)
            yield Block(scores[part], hit[part], skip[part])

    whole = rank(blocks(50))
    for step in (1, 7):
        np.testing.assert_array_equal(rank(blocks(step)).ap, whole.ap)
    # a transposed memory layout is not a special case
    np.testing.assert_array_equal(rank([Block(np.asfortranarray(scores), hit, skip)]).ap, whole.ap)


def test_everything_skipped() -> None:
    yes = np.ones((2, 3), bool)
    found = rank([Block(np.zeros((2, 3), np.float32), yes, yes)])
    assert found.best.tolist() == [-1, -1]
    assert found.valid.tolist() == [0, 0]
    assert found.without_mate == 2
    for mean in (lambda: found.mean_ap, lambda: found.mean_inp, lambda: found.cmc(1)):
        with pytest.raises(ValueError, match="none of the 2 queries"):
            mean()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_must_be_finite(value: float) -> None:
    scores = np.zeros((3, 300), np.float32)
    scores[2, 299] = value
    none = np.zeros(scores.shape, bool)
    fine = Block(np.zeros((4, 300), np.float32), np.zeros((4, 300), bool), np.zeros((4, 300), bool))
    with pytest.raises(ValueError, match="query 6 and gallery item 299"):
        rank([fine, Block(scores, none, none)])


def test_wrong_input_is_named() -> None:
    none: NDArray[np.bool_] = np.zeros((2, 3), bool)
    with pytest.raises(ValueError, match="must all be"):
        Block(np.zeros((2, 4), np.float32), none, none)
    with pytest.raises(ValueError, match="float32 or float64; got int64"):
        Block(np.zeros((2, 3), np.int64), none, none)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be bool"):
        Block(np.zeros((2, 3), np.float32), none.astype(int), none)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no AP rule 'area'"):
        rank([toy()], ap="area")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no blocks"):
        rank([])
    with pytest.raises(ValueError, match="at least 1 rank"):
        rank([toy()]).cmc(0)


@pytest.mark.parametrize("memory", [10**5, 10**7, 10**9])
@pytest.mark.parametrize("gallery", [1, 1000, 82161])
def test_rows_per_block_stay_within_memory(gallery: int, memory: int) -> None:
    rows = rows_per_block(gallery, memory)
    assert 1 <= rows.ranked <= rows.scored
    used = 4 * rows.scored * gallery + MASK_BYTES * rows.ranked * gallery
    assert used <= memory or (rows.scored == rows.ranked == 1 and memory < (4 + MASK_BYTES) * gallery)
    if memory >= 1000 * gallery:
        assert used > 0.9 * memory, "memory that is there is used"


def test_rows_per_block_needs_memory() -> None:
    with pytest.raises(ValueError, match="above 0"):
        rows_per_block(10, 0)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_signs_zeros_and_extremes_are_in_order(kind: type) -> None:
    tiny, huge = np.finfo(kind).smallest_subnormal, np.finfo(kind).max
    values = np.array([0.0, -0.0, tiny, -tiny, huge, -huge, 1, -1, 0.0, -0.0, huge, -huge], kind)
    rng = np.random.default_rng(0)
    scores = np.stack([rng.permutation(values) for _ in range(40)])
    hit, skip = rng.random(scores.shape) < 0.4, rng.random(scores.shape) < 0.2
    for ap in ("step", "trapezoid"):
        check(Block(scores, hit, skip), ap)


@pytest.mark.parametrize("hits", [FEW_HITS - 1, FEW_HITS, FEW_HITS + 1])
@pytest.mark.parametrize("values", [5, 10**6])
def test_either_side_of_few_hits(hits: int, values: int) -> None:
    rng = np.random.default_rng(hits)
    scores = rng.integers(values, size=(2, 9000)).astype(np.float32)
    hit, skip = np.zeros(scores.shape, bool), rng.random(scores.shape) < 0.1
    for row in range(2):
        hit[row, rng.choice(np.flatnonzero(~skip[row]), hits, replace=False)] = True
    assert check(Block(scores, hit, skip), "step").hits.tolist() == [hits, hits]


def test_long_runs_of_skipped_items() -> None:
    scores = np.zeros((3, 1000), np.float32)
    hit, skip = np.zeros(scores.shape, bool), np.ones(scores.shape, bool)
    skip[0, 999] = skip[1, 0] = skip[2, 500:760] = False
    hit[:, [0, 600, 999]] = True
    assert check(Block(scores, hit, skip), "step").valid.tolist() == [1, 1, 260]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-2, 2), min_size=24, max_size=24), st.lists(st.booleans(), min_size=48, max_size=48))
def test_torch_operations_give_the_same(scores: list[int], masks: list[bool]) -> None:
    values = np.array(scores, np.float32).reshape(2, 12)
    hit, skip = np.array(masks).reshape(2, 2, 12)
    same(Block(values, hit, skip))


def same(block: Block) -> None:
    for ap in ("step", "trapezoid"):
        one = rank([block], ap=ap)  # type: ignore[arg-type]
        two = rank([TensorBlock(torch.from_numpy(block.scores), block.hit, block.skip)], ap=ap)  # type: ignore[arg-type]
        for field in fields(Ranking):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))
            assert getattr(one, field.name).dtype == getattr(two, field.name).dtype


@pytest.mark.parametrize("share", [0.01, 0.3])
@pytest.mark.parametrize("values", [4, 10**6])
def test_torch_operations_give_the_same_on_long_rows(share: float, values: int) -> None:
    rng = np.random.default_rng(7)
    scores = rng.integers(values, size=(9, 800)).astype(np.float32)
    hit, skip = rng.random(scores.shape) < share, rng.random(scores.shape) < 0.2
    hit[3], skip[5] = False, True
    same(Block(scores, hit, skip))


def test_torch_operations_refuse_the_same() -> None:
    none = np.zeros((3, 300), bool)
    scores = torch.zeros(3, 300)
    scores[2, 299] = torch.nan
    with pytest.raises(ValueError, match="query 5 and gallery item 299 is nan"):
        rank([TensorBlock(torch.zeros(3, 300), none, none), TensorBlock(scores, none, none)])
    with pytest.raises(ValueError, match="floating type"):
        TensorBlock(torch.zeros(3, 300, dtype=torch.int64), none, none)
    with pytest.raises(ValueError, match="must all be"):
        TensorBlock(torch.zeros(3, 4), none, none)


def test_threads_cover_every_row() -> None:
    for rows in (0, 1, 5, 1000):
        assert in_threads(lambda part: part.stop - part.start, rows) == rows


def test_scores_that_stay_on_their_device_rank_the_same() -> None:
    rng = np.random.default_rng(11)

    def side(number: int, name: str) -> Embeddings:
        identity = rng.integers(5, size=number)
        features = rng.integers(-1, 2, size=(number, 3)) + 2 * np.eye(5, 3)[identity]
        labels = {"identity": identity.astype(str), "camera": rng.integers(3, size=number)}
        table = pd.DataFrame({"key": [f"{name}{row}" for row in range(number)], **labels})
        return Embeddings(Spaces({"identity": torch.from_numpy(features).float()}), table, {})

    query, gallery = side(30, "q"), side(50, "g")
    for memory in (1, 4000, 2**20):  # the same each time: a product of another shape may round differently
        expected = compare(query, gallery, CAMERA_CHANGE, memory=memory)
        parts = _scored(query, gallery, CAMERA_CHANGE, cosine, "identity", memory, torch.device("cpu"))
        found = rank(TensorBlock(scores, hit, skip) for scores, hit, skip in parts)
        for field in fields(Ranking):
            np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))
