"""Re-ranking against a dense, slow one written from the formulas, and query expansion against a loop."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import evaluate
from unbraid.ranking import Block, rank
from unbraid.rerank import Reranking, expand, rerank
from unbraid.search import search
from unbraid.spaces import Embeddings, Spaces


def dot(query: Spaces, gallery: Spaces) -> Tensor:
    """Exact on small whole numbers, so that ties are real ties. Parts are added up."""
    return query["identity"].flatten(1) @ gallery["identity"].flatten(1).T


def embeddings(features: np.ndarray, name: str = "g", **labels: object) -> Embeddings:
    table = pd.DataFrame({"key": [f"{name}{row}" for row in range(len(features))], **labels})
    return Embeddings(Spaces({"identity": torch.from_numpy(features)}), table, {"synthetic": "true"})


def squared(features: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances of all pairs, one by one. features: N D."""
    return np.array([[((a - b) ** 2).sum() for b in features] for a in features.astype(np.float64)])


def dense(d: np.ndarray, queries: int, k1: int, k2: int, weight: float) -> np.ndarray:
    """Final distances Q G from original ones N N, step by step with full matrices and Python sets."""
    total = len(d)
    top = d.max(axis=1, keepdims=True)
    d = np.divide(d, top, out=np.zeros_like(d), where=top > 0)
    order = [[i, *(j for j in np.argsort(d[i], kind="stable") if j != i)] for i in range(total)]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in order[i][: k + 1] if i in order[j][: k + 1]}

    V = np.zeros((total, total))
    for i in range(total):
        core = reciprocal(i, k1)
        wide = set(core)
        for j in core:
            other = reciprocal(j, int(np.around(k1 / 2)))
            if len(core & other) * 3 > len(other) * 2:
                wide |= other
        for j in wide:
            V[i, j] = np.exp(-d[i, j])
        V[i] /= V[i].sum()
    V = np.array([V[order[i][:k2]].mean(axis=0) for i in range(total)])
    final = np.empty((queries, total - queries))
    for i in range(queries):
        for j in range(queries, total):
            jaccard = 1 - np.minimum(V[i], V[j]).sum() / np.maximum(V[i], V[j]).sum()
            final[i, j - queries] = (1 - weight) * jaccard + weight * d[i, j]
    return final


def clusters(seed: int, number: int, width: int, people: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, width))
    return (centres[rng.integers(people, size=number)] + 0.7 * rng.standard_normal((number, width))).astype(np.float32)


@pytest.mark.parametrize(
    ("k1", "k2", "weight", "memory"),
    [(20, 6, 0.3, 2**26), (20, 6, 0.3, 30000), (50, 15, 0.3, 2**26), (7, 1, 0.0, 1000), (5, 9, 0.9, 40000)],
)
def test_cosine_equals_the_dense_one(k1: int, k2: int, weight: float, memory: int) -> None:
    features = clusters(k1, 130, 16, 9)
    unit = features / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    query, gallery = embeddings(features[:40], "q"), embeddings(features[40:])
    found = rerank(query, gallery, k1=k1, k2=k2, weight=weight, memory=memory)
    expected = -dense(squared(unit), 40, k1, k2, weight)
    np.testing.assert_allclose(found.block(slice(0, 40)), expected, atol=1e-6)
    np.testing.assert_allclose(found.block(slice(7, 9)), expected[7:9], atol=1e-6)
    out = torch.empty(5, 200)
    found.write(slice(3, 8), slice(11, 60), out[:, 4:53])
    np.testing.assert_allclose(out[:, 4:53], expected[3:8, 11:60], atol=1e-6)
    assert found.block(slice(0, 0)).shape == (0, 90)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_ties_and_duplicates_equal_the_dense_one(data: st.DataObject) -> None:
    """Whole numbers: all distances are exact, many are equal, and many items are the same."""
    queries = data.draw(st.integers(1, 12), "queries")
    items = data.draw(st.integers(1, 25), "items")
    width, top = data.draw(st.integers(1, 4), "width"), data.draw(st.integers(0, 3), "top")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    features = rng.integers(-top, top + 1, (queries + items, width)).astype(np.float32)
    k1, k2 = data.draw(st.integers(1, 45), "k1"), data.draw(st.integers(1, 45), "k2")
    weight = data.draw(st.sampled_from([0.0, 0.3, 1.0]), "weight")
    memory = data.draw(st.sampled_from([1, 500, 2**20]), "memory")
    query, gallery = embeddings(features[:queries], "q"), embeddings(features[queries:])
    found = rerank(query, gallery, k1=k1, k2=k2, weight=weight, similarity=dot, memory=memory)
    expected = -dense(squared(features), queries, k1, k2, weight)
    np.testing.assert_allclose(found.block(slice(0, queries)), expected, atol=1e-6)


def test_by_hand() -> None:
    """Query 0 and items 1, 3, 10 on a line; k1 = 1, so half of it is 0 and nothing is widened.

    Nearest of 0: 1; of 1: 0; of 3: 1; of 10: 3. So 0 and 1 are reciprocal, 3 and 10 alone. With D(0, 1) = 0.01 and
    D(1, 0) = 1/81, both sets are {0, 1}.
    """
    line = np.array([[0.0], [1.0], [3.0], [10.0]], np.float32)
    found = rerank(embeddings(line[:1], "q"), embeddings(line[1:]), k1=1, k2=1, weight=0.3, similarity=dot)
    a = np.array([1, np.exp(-0.01)]) / (1 + np.exp(-0.01))
    b = np.array([np.exp(-1 / 81), 1]) / (1 + np.exp(-1 / 81))
    jaccard = 1 - np.minimum(a, b).sum() / np.maximum(a, b).sum()
    expected = [0.7 * jaccard + 0.3 * 0.01, 0.7 + 0.3 * 0.09, 1.0]
    np.testing.assert_allclose(found.block(slice(0, 1)), [[-one for one in expected]], atol=1e-6)


def test_all_the_same() -> None:
    same = np.ones((9, 3), np.float32)
    found = rerank(embeddings(same[:2], "q"), embeddings(same[2:]), k1=20, k2=6)
    np.testing.assert_allclose(found.block(slice(0, 2)), np.zeros((2, 7)), atol=1e-6)


def test_parts() -> None:
    features = clusters(3, 80, 12, 6).reshape(80, 3, 4)
    lengths = np.linalg.norm(features.astype(np.float64), axis=2, keepdims=True)
    flat = (features / lengths).reshape(80, 12) / np.sqrt(3)
    query, gallery = embeddings(features[:30], "q"), embeddings(features[30:])
    expected = -dense(squared(flat), 30, 8, 4, 0.3)
    for memory in (20000, 2**26):
        found = rerank(query, gallery, k1=8, k2=4, memory=memory).block(slice(0, 30))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_similarity_that_is_not_symmetric_scores_each_pair_once() -> None:
    scores = np.random.default_rng(0).permutation(20 * 20).reshape(20, 20) / 1000.0
    np.fill_diagonal(scores, 1)
    upper = np.triu(scores)
    d = 2 - 2 * (upper + upper.T - np.eye(20))
    rows = embeddings(np.arange(20, dtype=np.float32)[:, None])

    def look(query: Spaces, gallery: Spaces) -> Tensor:
        return torch.from_numpy(scores)[query["identity"][:, :1].long(), gallery["identity"][:, 0].long()].float()

    for memory in (1, 2**20):
        found = rerank(rows.take(range(8)), rows.take(range(8, 20)), k1=4, k2=3, similarity=look, memory=memory)
        np.testing.assert_allclose(found.block(slice(0, 8)), -dense(d, 8, 4, 3, 0.3), atol=1e-6)


def test_original_distances_alone_keep_the_order() -> None:
    features = clusters(5, 60, 8, 5)
    query, gallery = embeddings(features[:20], "q"), embeddings(features[20:])
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    found = rerank(query, gallery, weight=1).block(slice(0, 20))
    np.testing.assert_array_equal(np.argsort(-found, axis=1), np.argsort(-(unit[:20] @ unit[20:].T), axis=1))


def test_skips_come_after() -> None:
    """Items that a rule skips vote, and are left out of the ranking only."""
    features = clusters(8, 90, 10, 8)
    rng = np.random.default_rng(1)
    labels = {"identity": rng.integers(8, size=90).astype(str), "camera": rng.integers(2, size=90).astype(str)}
    whole = embeddings(features, "x", **labels)
    query, gallery = whole.take(range(30)), whole.take(range(30, 90))
    hit = CAMERA_CHANGE.hit.on(query.table, gallery.table)
    skip = CAMERA_CHANGE.skip.on(query.table, gallery.table)
    found = rerank(query, gallery)
    blocks = [Block(found.block(part), hit(part), skip(part)) for part in (slice(0, 11), slice(11, 30))]
    unit = features / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    rows = slice(0, 30)
    expected = rank([Block(-dense(squared(unit), 30, 20, 6, 0.3), hit(rows), skip(rows))])
    assert skip(rows).any()
    np.testing.assert_array_equal(rank(blocks).first, expected.first)
    np.testing.assert_allclose(rank(blocks).ap, expected.ap)


def test_helps_where_people_form_clusters() -> None:
    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(20), 12)
    features = (rng.standard_normal((20, 24))[people] + 1.3 * rng.standard_normal((240, 24))).astype(np.float32)
    chosen = np.arange(240) % 12 == 0
    query, gallery = embeddings(features[chosen], "q"), embeddings(features[~chosen])
    hit = people[chosen][:, None] == people[~chosen]
    plain = Reranking(weight=1).scorer(query.spaces, gallery.spaces).block(slice(0, 20))
    ours = rerank(query, gallery, k1=10, k2=3).block(slice(0, 20))
    before, after = (rank([Block(scores, hit, np.zeros_like(hit))]).mean_ap for scores in (plain, ours))
    assert after > before + 0.05


def test_wrong_input_is_named() -> None:
    query, gallery = embeddings(clusters(0, 6, 4, 2), "q"), embeddings(clusters(1, 9, 4, 2))
    with pytest.raises(ValueError, match=r"at least 1; got k1 = 0, k2 = 6"):
        rerank(query, gallery, k1=0)
    with pytest.raises(ValueError, match=r"0 to 1; got 1\.5"):
        rerank(query, gallery, weight=1.5)
    with pytest.raises(ValueError, match="bytes above 0; got 0"):
        rerank(query, gallery, memory=0)
    with pytest.raises(ValueError, match="0 gallery items"):
        rerank(query, gallery.take([]))
    with pytest.raises(ValueError, match=r"\(6, 4\) in the query but \(9, 5\)"):
        rerank(query, embeddings(clusters(1, 9, 5, 2)))
    with pytest.raises(ValueError, match=r"items 0 and 1 \(queries first.*is not finite"):
        rerank(query, gallery, similarity=lambda q, g: dot(q, g) / 0)
    with pytest.raises(ValueError, match=r"items \d+ and \d+ .* exceeds that of each with itself"):
        rerank(query, gallery, similarity=lambda q, g: -dot(q, g))
    with pytest.raises(ValueError, match=r"returned shape"):
        rerank(query, gallery, similarity=lambda q, g: dot(q, g)[:, :1])


@pytest.mark.parametrize("alpha", [0.0, 3.0])
@pytest.mark.parametrize("shape", [(6,), (2, 3)])
@pytest.mark.parametrize("memory", [1, 2**26])
def test_expansion_equals_a_loop(alpha: float, shape: tuple[int, ...], memory: int) -> None:
    rng = np.random.default_rng(4)
    asked, offered = (rng.standard_normal((n, *shape)).astype(np.float32) for n in (15, 40))
    found = expand(embeddings(asked, "q"), embeddings(offered), k=30, alpha=alpha, memory=memory)
    unit = [side / np.linalg.norm(side, axis=-1, keepdims=True) for side in (asked, offered)]
    parts = np.prod(shape[:-1])
    for number, own in enumerate(unit[0]):
        cosines = [(own * other).sum() / parts for other in unit[1]]
        assert sorted(cosines)[-30] < 0  # such items have no weight unless alpha is 0
        total = own.astype(np.float64)
        for row in sorted(range(40), key=lambda row: -cosines[row])[:30]:
            total = total + max(cosines[row], 0) ** alpha * unit[1][row]
        total = total / np.linalg.norm(total, axis=-1, keepdims=True)
        np.testing.assert_allclose(found.spaces["identity"][number], total, atol=1e-5)


def test_expansion_keeps_the_rest() -> None:
    rng = np.random.default_rng(6)
    offered = embeddings(rng.standard_normal((3, 4)).astype(np.float32))
    identity, motion = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), torch.ones(2, 5)
    table = pd.DataFrame({"key": ["g1", "new"], "camera": ["a", "b"]})
    query = Embeddings(Spaces({"identity": identity.double(), "motion": motion}), table, {"synthetic": "true"})
    before = identity.clone()
    found = expand(query, offered, k=10)
    assert found.spaces["identity"].dtype == torch.float64
    assert torch.equal(query.spaces["identity"].float(), before)
    assert torch.equal(found.spaces["motion"], motion)
    assert found.table is query.table
    said = "k = 10, alpha = 0, over 3 gallery items"
    assert found.origin == {"synthetic": "true", "query expansion": said}
    # fewer items than k, and the item of the query's own key does not vote
    unit = torch.nn.functional.normalize
    for row, voters in ((0, [0, 2]), (1, [0, 1, 2])):
        mixed = unit(identity[row], dim=0) + unit(offered.spaces["identity"][voters], dim=1).sum(dim=0)
        torch.testing.assert_close(found.spaces["identity"][row].float(), unit(mixed, dim=0))


def test_expansion_errors() -> None:
    both = embeddings(clusters(0, 6, 4, 2))
    with pytest.raises(ValueError, match="at least 0 and finite; got -1"):
        expand(both, both, alpha=-1)
    with pytest.raises(ValueError, match="at least 1; got 0"):
        expand(both, both, k=0)


def test_evaluation_takes_reranking_as_a_similarity() -> None:
    rng = np.random.default_rng(5)
    people = np.repeat(np.arange(8), 6)
    features = (rng.standard_normal((8, 12))[people] + 0.8 * rng.standard_normal((48, 12))).astype(np.float32)
    labels = {"identity": [f"p{n}" for n in people], "camera": [f"c{n % 3}" for n in range(48)]}
    table = pd.DataFrame({"key": [str(n) for n in range(48)], **labels})
    whole = Embeddings(Spaces({"identity": torch.from_numpy(features)}), table, {})
    query, gallery = whole.take(range(0, 48, 4)), whole.take([n for n in range(48) if n % 4])
    result = evaluate(query, gallery, CAMERA_CHANGE, similarity=Reranking(k1=6, k2=3))
    scores = rerank(query, gallery, k1=6, k2=3).block(slice(0, 12))
    hit, skip = (rule.on(query.table, gallery.table)(slice(0, 12)) for rule in (CAMERA_CHANGE.hit, CAMERA_CHANGE.skip))
    by_hand = rank([Block(scores, hit, skip)])
    np.testing.assert_allclose(result.table["ap"], by_hand.ap)
    assert result.mean_ap != evaluate(query, gallery, CAMERA_CHANGE).mean_ap
    found = search(query, gallery, k=3, similarity=Reranking(k1=6, k2=3))
    np.testing.assert_array_equal(found.rows, np.argsort(-scores, axis=1, kind="stable")[:, :3])
