"""Evaluation: scores against sorting, chance against enumeration, intervals against scipy."""

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor

from unbraid.data.protocols import CAMERA_CHANGE, PLAIN
from unbraid.evaluate import compare, evaluate
from unbraid.intervals import bootstrap, expected_ap
from unbraid.method import cosine
from unbraid.openset import identify
from unbraid.protocol import Protocol, Shots, Where, same
from unbraid.ranking import Block, rank
from unbraid.spaces import Embeddings, Spaces
from unbraid.verify import verify


def make(number: int, seed: int, *, prefix: str, people: int = 9, shape: tuple[int, ...] = (6,)) -> Embeddings:
    rng = np.random.default_rng(seed)
    identity = rng.integers(people, size=number)
    features = rng.standard_normal((number, *shape))
    features[..., 0] += identity.reshape(-1, *[1] * (len(shape) - 1))
    table = pd.DataFrame(
        {
            "key": [f"{prefix}{row}" for row in range(number)],
            "identity": [None if who == 0 else f"p{who}" for who in identity],
            "camera": rng.integers(3, size=number).astype(str),
        }
    )
    spaces = {"identity": torch.from_numpy(features).float(), "motion": torch.from_numpy(features.reshape(number, -1))}
    return Embeddings(Spaces(spaces), table, {"weights": f"w{seed}"})


QUERY, GALLERY = make(40, 0, prefix="q"), make(70, 1, prefix="g")


def slow_ap(query: Embeddings, gallery: Embeddings) -> list[float]:
    """AP per query of CAMERA_CHANGE with float64 cosines and a sort."""
    a, b = (e.spaces["identity"].double().numpy().reshape(len(e), -1) for e in (query, gallery))
    scores = (a / np.linalg.norm(a, axis=1)[:, None]) @ (b / np.linalg.norm(b, axis=1)[:, None]).T
    found = []
    for row in range(len(query)):
        who, where = query.table.loc[row, ["identity", "camera"]]
        right = []
        for j in np.argsort(-scores[row], kind="stable"):
            match = isinstance(who, str) and gallery.table.loc[j, "identity"] == who
            if not (match and gallery.table.loc[j, "camera"] == where):
                right.append(match)
        ranks = np.flatnonzero(right) + 1
        found.append(np.mean(np.arange(1, len(ranks) + 1) / ranks) if len(ranks) else np.nan)
    return found


def test_equals_sorting() -> None:
    result = evaluate(QUERY, GALLERY, CAMERA_CHANGE)
    expected = slow_ap(QUERY, GALLERY)
    np.testing.assert_allclose(result.table["ap"], expected, atol=1e-12)
    assert result.mean_ap == pytest.approx(np.nanmean(expected))
    assert result.queries == 40
    assert result.without_mate == np.isnan(expected).sum() > 0
    assert result.gallery == 70
    assert result.distractors == GALLERY.table["identity"].isna().sum() > 0
    known = QUERY.table["identity"][~np.isnan(expected)]
    assert result.identities == known.nunique()
    assert result.mean_ap_interval[0] < result.mean_ap < result.mean_ap_interval[1]
    assert result.mean_ap_chance < result.mean_ap
    firsts = result.table["first"][result.table["hits"] > 0]
    for k in (1, 5, 10, 20):
        assert getattr(result, f"rank_{k}") == pytest.approx((firsts <= k).mean())


@pytest.mark.parametrize("memory", [1, 3000, 2**26])
@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_blocks_do_not_change_the_result(memory: int, shape: tuple[int, ...]) -> None:
    query, gallery = make(9, 0, prefix="q", shape=shape), make(70, 1, prefix="g", shape=shape)
    result = evaluate(query, gallery, CAMERA_CHANGE, memory=memory)
    scores = cosine(query.spaces, gallery.spaces).numpy()
    rows = slice(0, 9)
    hit, skip = (rule.on(query.table, gallery.table)(rows) for rule in (CAMERA_CHANGE.hit, CAMERA_CHANGE.skip))
    np.testing.assert_allclose(result.table["ap"], rank([Block(scores, hit, skip)]).ap, atol=1e-12)


def test_similarity_and_space() -> None:
    seen = []

    def negative_distance(query: Spaces, gallery: Spaces) -> Tensor:
        seen.append(sorted(query))
        return -torch.cdist(query["identity"].flatten(1).float(), gallery["identity"].flatten(1).float())

    other = evaluate(QUERY, GALLERY, PLAIN, similarity=negative_distance)
    assert other.mean_ap != evaluate(QUERY, GALLERY, PLAIN).mean_ap
    assert seen[-1] == ["identity", "motion"]
    moved = evaluate(QUERY, GALLERY, PLAIN, similarity=negative_distance, space="motion")
    assert seen[-1] == ["identity"]
    assert moved.mean_ap == pytest.approx(other.mean_ap)
    assert moved.space == "motion"
    with pytest.raises(KeyError, match="no space 'camera'"):
        evaluate(QUERY, GALLERY, PLAIN, space="camera")


def test_best_is_the_key_at_rank_1() -> None:
    table = evaluate(QUERY, QUERY, Protocol("all", hit=same("identity"), skip=same("camera") & ~same("camera"))).table
    assert table["best"].tolist() == table["key"].tolist(), "with nothing skipped everyone is most like themselves"
    skipped = Protocol("others", hit=same("identity"), skip=same("camera"))
    one = GALLERY.take(np.flatnonzero(GALLERY.table["camera"] == "0").tolist())
    best = compare(QUERY, one, skipped).best
    assert ((best == -1) == (QUERY.table["camera"] == "0").to_numpy()).all()


@pytest.mark.parametrize("ap", ["step", "trapezoid"])
@pytest.mark.parametrize(("hits", "valid"), [(1, 1), (1, 4), (2, 5), (3, 6), (6, 6)])
def test_expected_ap_is_the_mean_over_all_orders(ap: str, hits: int, valid: int) -> None:
    found = []
    for places in itertools.combinations(range(valid), hits):
        hit = np.isin(np.arange(valid), places)[None]
        scores = -np.arange(valid, dtype=np.float32)[None]
        found.append(rank([Block(scores, hit, np.zeros_like(hit))], ap=ap).mean_ap)  # type: ignore[arg-type]
    expected = expected_ap(np.array([hits]), np.array([valid]), ap)  # type: ignore[arg-type]
    assert expected[0] == pytest.approx(np.mean(found), abs=1e-12)


def test_chance_is_what_random_features_reach() -> None:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(50):
        sides = [
            Embeddings(Spaces({"identity": torch.randn(len(side), 8, generator=generator)}), side.table, {})
            for side in (QUERY, GALLERY)
        ]
        ranking = compare(sides[0], sides[1], CAMERA_CHANGE)
        found.append([ranking.mean_ap, ranking.cmc(1)[0]])
    result = evaluate(QUERY, GALLERY, CAMERA_CHANGE)
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - [result.mean_ap_chance, result.rank_1_chance]) < 4 * error).all()


def test_bootstrap_agrees_with_scipy_when_everyone_is_seen_once() -> None:
    values = np.random.default_rng(0).random(80)
    low, high = bootstrap(values, np.arange(80), seed=1)
    other = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=2).confidence_interval
    assert low == pytest.approx(other.low, abs=0.01)
    assert high == pytest.approx(other.high, abs=0.01)


def test_bootstrap_draws_people_and_not_queries() -> None:
    values, people = np.random.default_rng(0).random(30), np.arange(30)
    one = bootstrap(values, people, seed=3)
    assert bootstrap(np.repeat(values, 50), np.repeat(people, 50), seed=3) == pytest.approx(one)
    assert bootstrap(values, people, seed=3) == one
    assert bootstrap(values, people, seed=4) != one
    assert np.isnan(bootstrap(values, np.zeros(30, int), seed=0)).all()


def test_result_travels_as_json() -> None:
    result = evaluate(QUERY, GALLERY, CAMERA_CHANGE)
    found = json.loads(result.to_json())
    assert found == result.as_dict()
    assert found["protocol"] == "camera-change@1"
    assert found["rank_1_interval"] == list(result.rank_1_interval)
    assert found["origin"] == {"query weights": "w0", "gallery weights": "w1"}
    assert "table" not in found
    lone = QUERY.take([int(result.table["hits"].idxmax())])
    assert json.loads(evaluate(lone, GALLERY, CAMERA_CHANGE).to_json())["mean_ap_interval"] == [None, None]


def test_synthetic_is_said() -> None:
    assert evaluate(QUERY, GALLERY, PLAIN).synthetic is None
    assert evaluate(QUERY, GALLERY, PLAIN, synthetic=False).synthetic is False
    marked = Embeddings(GALLERY.spaces, GALLERY.table, {"synthetic": "true"})
    result = evaluate(QUERY, marked, PLAIN)
    assert result.synthetic is True
    assert str(result).startswith("SYNTHETIC")
    assert "SYNTHETIC" not in str(evaluate(QUERY, GALLERY, PLAIN))


def test_text_shows_counts_and_chance() -> None:
    result = evaluate(QUERY, GALLERY, CAMERA_CHANGE)
    text = str(result)
    for part in ("camera-change@1", "40 queries", f"{result.without_mate} without a mate", "95 % interval", "mINP"):
        assert part in text
    assert f"{100 * result.mean_ap:.1f}" in text


def test_no_mate_at_all() -> None:
    strangers = make(10, 3, prefix="s")
    strangers = Embeddings(strangers.spaces, strangers.table.assign(identity="nobody"), {})
    with pytest.raises(ValueError, match=r"none of the 10 queries has a mate.*same\('identity'\)"):
        evaluate(strangers, GALLERY, PLAIN)
    assert compare(strangers, GALLERY, PLAIN).without_mate == 10


def test_wrong_input_is_named() -> None:
    with pytest.raises(KeyError, match="the gallery table has no label 'camera'"):
        evaluate(QUERY, Embeddings(GALLERY.spaces, GALLERY.table.drop(columns="camera"), {}), CAMERA_CHANGE)
    with pytest.raises(KeyError, match="the query table has no label 'identity'"):
        evaluate(Embeddings(QUERY.spaces, QUERY.table.drop(columns="identity"), {}), GALLERY, PLAIN)
    with pytest.raises(ValueError, match=r"'identity' has shape \(40, 6\) in the query but \(70, 7\)"):
        evaluate(QUERY, make(70, 1, prefix="g", shape=(7,)), PLAIN)
    with pytest.raises(ValueError, match="0 queries"):
        evaluate(QUERY.take([]), GALLERY, PLAIN)


def test_cells_equal_a_slow_loop_over_views() -> None:
    """Gait scores as defined: rank-1 and AP per (query view, gallery view), no equal views, mean of means."""
    query, gallery = make(50, 2, prefix="q", people=5), make(60, 3, prefix="g", people=5)
    for side, seed in ((query, 4), (gallery, 5)):
        side.table["view"] = np.random.default_rng(seed).choice(["front", "left", "back"], len(side))
        side.table["condition"] = np.random.default_rng(seed + 9).choice(["normal", "bag"], len(side))
    bag, normal = Where({"condition": ("bag",)}), Where({"condition": ("normal",)})
    protocol = Protocol("cells", hit=same("identity"), skip=same("camera"), query=bag, gallery=normal, cells="view")
    a, b = (e.spaces["identity"].double().numpy() for e in (query, gallery))
    scores = (a / np.linalg.norm(a, axis=1)[:, None]) @ (b / np.linalg.norm(b, axis=1)[:, None]).T
    q, g = query.table, gallery.table
    rank_1, mean_ap = [], []
    for asked in ("front", "left", "back"):
        first, ap = [], []
        for offered in {"front", "left", "back"} - {asked}:
            cell_first, cell_ap = [], []
            for i in np.flatnonzero((q["view"] == asked) & (q["condition"] == "bag")):
                ok = (g["view"] == offered) & (g["condition"] == "normal") & (g["camera"] != q["camera"][i])
                order = [j for j in np.argsort(-scores[i], kind="stable") if ok[j]]
                right = [isinstance(q["identity"][i], str) and g["identity"][j] == q["identity"][i] for j in order]
                places = np.flatnonzero(right) + 1
                if len(places):
                    cell_first.append(float(right[0]))
                    cell_ap.append(np.mean(np.arange(1, len(places) + 1) / places))
            first.append(np.mean(cell_first))
            ap.append(np.mean(cell_ap))
        rank_1.append(np.mean(first))
        mean_ap.append(np.mean(ap))
    result = evaluate(query, gallery, protocol)
    assert result.rank_1 == pytest.approx(np.mean(rank_1), abs=1e-12)
    assert result.mean_ap == pytest.approx(np.mean(mean_ap), abs=1e-12)
    assert result.queries == int((q["condition"] == "bag").sum())
    assert result.gallery == int((g["condition"] == "normal").sum())
    assert result.mean_ap_interval[0] < result.mean_ap < result.mean_ap_interval[1]
    assert "mean over cells of different view" in str(result)
    best = result.table.dropna(subset=["ap"]).iloc[0]
    asked, offered = best["cell"].split(" in ")
    assert q.set_index("key").loc[best["key"], "view"] == asked
    assert g.set_index("key").loc[best["best"], "view"] == offered


def test_cells_of_one_view_are_an_error() -> None:
    query, gallery = make(5, 2, prefix="q"), make(6, 3, prefix="g")
    for side in (query, gallery):
        side.table["view"] = "front"
    cells = Protocol("cells", hit=same("identity"), skip=same("key"), cells="view")
    with pytest.raises(ValueError, match="different values of 'view', but query and gallery have 'front' only"):
        evaluate(query, gallery, cells)
    with pytest.raises(ValueError, match="'view', but the gallery has no known one"):
        evaluate(query, Embeddings(gallery.spaces, gallery.table.assign(view=None), {}), cells)


def test_an_empty_side_is_named_whatever_the_protocol() -> None:
    for change in ({}, {"cells": "camera"}, {"shots": Shots(draws=2)}):
        protocol = replace(CAMERA_CHANGE, **change)
        with pytest.raises(ValueError, match="the query side is empty before the protocol chooses anyone"):
            evaluate(QUERY.take([]), GALLERY, protocol)
        with pytest.raises(ValueError, match=r"the gallery side is empty .* 40 queries and 0 gallery items"):
            evaluate(QUERY, GALLERY.take([]), protocol)
        nobody = replace(protocol, query=Where({"camera": ("9",)}))
        with pytest.raises(ValueError, match=r"no query item has camera in \['9'\]"):
            evaluate(QUERY, GALLERY, nobody)


@pytest.mark.parametrize("change", [{}, {"cells": "view"}, {"shots": Shots(draws=3)}])
@pytest.mark.parametrize("sign", [1, -1])
def test_all_right_and_all_wrong_have_the_interval_of_the_rule_of_three(change: dict[str, Any], sign: int) -> None:
    """20 people whose mates score 1, or -1: nothing to draw from, so the other end is 3 / 20 away."""
    number = 20
    corners = torch.eye(number)
    sides = []
    for prefix, camera, view, flip in (("q", "a", "front", 1), ("g", "b", "back", sign)):
        names = [f"{prefix}{row}" for row in range(number)]
        table = pd.DataFrame({"key": names, "identity": [f"p{row}" for row in range(number)]})
        sides.append(Embeddings(Spaces({"identity": flip * corners}), table.assign(camera=camera, view=view), {}))
    result = evaluate(*sides, replace(CAMERA_CHANGE, **change))
    rank_20 = result.figures[1]
    if sign == 1:
        assert (result.rank_1, result.mean_ap, rank_20.value) == (1, 1, 1)
        for found in (result.rank_1_interval, result.mean_ap_interval, rank_20.interval):
            assert found == pytest.approx((1 - 3 / number, 1))
        assert "rank-1            100.0      85.0 to 100.0" in str(result)
    else:
        assert result.rank_1 == 0
        assert result.rank_1_interval == pytest.approx((0, 3 / number))
        # the mate is last of 20, so that AP is 1 / 20 for everyone
        assert result.mean_ap_interval == pytest.approx((1 / number, 1 / number))


def test_text_and_json_say_who_takes_part_and_how_many_draws() -> None:
    chosen = Where({"camera": ("0", "1")})
    protocol = replace(CAMERA_CHANGE, query=chosen, shots=Shots(draws=4))
    result = evaluate(QUERY, GALLERY, protocol)
    first_line, second_line = str(result).splitlines()[:2]
    assert first_line.endswith("; queries: camera in ['0', '1']")
    assert second_line.endswith(f"{result.pairs} mated pairs in 4 draws")
    asked = QUERY.table[QUERY.table["camera"].isin(["0", "1"])]
    pairs = 0
    for rows in protocol.shots.rows(GALLERY.table) if protocol.shots else []:
        both = asked.dropna(subset="identity").merge(GALLERY.table.iloc[rows], on="identity")
        pairs += int((both["camera_x"] != both["camera_y"]).sum())
    told = json.loads(result.to_json())
    assert (told["pairs"], told["draws"]) == (pairs, 4)
    assert (told["query_items"], told["gallery_items"]) == ("camera in ['0', '1']", "everything")
    plain = evaluate(QUERY, GALLERY, CAMERA_CHANGE)
    assert plain.draws == 1
    assert str(plain).splitlines()[1].endswith("mated pairs")
    assert "queries:" not in str(plain)


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_items_without_features_are_counted_and_said(shape: tuple[int, ...]) -> None:
    query, gallery = make(20, 0, prefix="q", shape=shape), make(30, 1, prefix="g", shape=shape)
    query.spaces["identity"][3] = 0
    gallery.spaces["identity"][[5, 7]] = 0
    query.spaces["identity"][4].view(-1)[0] = 0  # one zero is none
    for result in (evaluate(query, gallery, PLAIN), verify(query, gallery, PLAIN), identify(query, gallery, PLAIN)):
        assert result.zero_items == json.loads(result.to_json())["zero_items"] == 3
        assert str(result).splitlines()[-1].startswith("warning: the features of 3 item(s) are all zero")
    assert evaluate(query, gallery, PLAIN, space="motion").zero_items == 0
    assert "warning" not in str(evaluate(QUERY, GALLERY, PLAIN))
