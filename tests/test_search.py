"""Search against a stable full sort."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.fifth.model import Fifth, FifthConfig
from unbraid.method import cosine
from unbraid.search import Hits, compared_spaces, scorer, search, slices
from unbraid.spaces import Embeddings, Spaces


def dot(query: Spaces, gallery: Spaces) -> Tensor:
    """Exact on small whole numbers, so that ties are real ties."""
    return query["identity"] @ gallery["identity"].T


def make(number: int, seed: int, *, prefix: str = "", shape: tuple[int, ...] = (4,)) -> Embeddings:
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.integers(-2, 3, (number, *shape)).astype(np.float32))
    table = pd.DataFrame({"key": [f"{prefix}{row}" for row in range(number)], "identity": rng.integers(5, size=number)})
    return Embeddings(Spaces({"identity": features, "motion": features.flatten(1)}), table, {})


def sort(scores: Tensor, k: int) -> np.ndarray:
    return np.argsort(-scores.numpy(), axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("memory", [1, 60000, 2**26])
@pytest.mark.parametrize("k", [1, 10, 70])
def test_equals_a_stable_sort(memory: int, k: int) -> None:
    query, gallery = make(300, 0, prefix="q"), make(70, 1)
    hits = search(query, gallery, k=k, similarity=dot, memory=memory)
    expected = sort(dot(query.spaces, gallery.spaces), k)
    np.testing.assert_array_equal(hits.rows, expected)
    scores = dot(query.spaces, gallery.spaces).numpy()
    np.testing.assert_array_equal(hits.scores, np.take_along_axis(scores, expected, axis=1))


@pytest.mark.parametrize("shape", [(6,), (3, 2)])
def test_cosine_equals_the_definition(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    features = rng.standard_normal((60, *shape))
    features[3] = 0
    parts = features.reshape(60, -1, shape[-1])
    unit = parts / np.maximum(np.linalg.norm(parts, axis=2, keepdims=True), 1e-12)
    expected = np.einsum("qpd,gpd->qg", unit, unit) / parts.shape[1]
    table = pd.DataFrame({"key": range(60), "identity": 0})
    for kind, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-6), (torch.float16, 2e-3)):
        embeddings = Embeddings(Spaces({"identity": torch.from_numpy(features).to(kind)}), table, {})
        scores = scorer(embeddings.spaces, embeddings.spaces, cosine)
        np.testing.assert_allclose(
            scores.write(slice(2, 9), slice(0, 60), torch.empty(7, 60)), expected[2:9], atol=tolerance
        )
        hits = search(embeddings, embeddings, k=5, own=True, memory=2000)
        whole = cosine(embeddings.spaces, embeddings.spaces)
        np.testing.assert_allclose(hits.scores, np.sort(whole.numpy(), axis=1)[:, :-6:-1], atol=1e-5)


class Plain(Fifth):
    """A method that compares by other vectors than the cosine's, and counts how many rows it made them of."""

    def __init__(self) -> None:
        super().__init__(FifthConfig(), classes={"identity": 2})
        self.asked: list[int] = []
        self.held: list[int] = []

    @property
    def matched(self) -> tuple[str, ...]:
        return ("identity", "motion")

    def query_vectors(self, spaces: Spaces) -> Tensor:
        self.asked.append(spaces.rows)
        return torch.cat([2 * spaces["identity"], spaces["motion"]], dim=1)

    def gallery_vectors(self, spaces: Spaces) -> Tensor:
        self.held.append(spaces.rows)
        return torch.cat([spaces["motion"], spaces["identity"]], dim=1)

    def similarity(self, query: Spaces, gallery: Spaces) -> Tensor:
        raise NotImplementedError


def test_the_vectors_of_a_method_are_made_once() -> None:
    method, query, gallery = Plain(), make(300, 0, prefix="q"), make(70, 1)
    i, m = (gallery.spaces[name].numpy() for name in ("identity", "motion"))
    want = 2 * query.spaces["identity"].numpy() @ m.T + query.spaces["motion"].numpy() @ i.T
    hits = search(query, gallery, k=70, similarity=method.similarity)
    np.testing.assert_array_equal(hits.rows, np.argsort(-want, axis=1, kind="stable"))
    np.testing.assert_array_equal(hits.scores, np.take_along_axis(want, hits.rows, axis=1))
    # one row of the gallery first, for the width
    assert method.held == [1, 70]
    assert method.asked == [256, 44]
    method.held.clear()
    small = search(query, gallery, k=70, similarity=method.similarity, memory=12 * 8 * 30 + 4 * 256 * 30)
    np.testing.assert_array_equal(small.rows, hits.rows)
    assert method.held == [1, 30, 30, 10]
    # a function that only looks like it is asked itself
    with pytest.raises(NotImplementedError):
        search(query, gallery, similarity=lambda q, g: method.similarity(q, g))


def test_what_results_say_was_compared() -> None:
    method, fifth = Plain(), Fifth(FifthConfig(), classes={"identity": 2})
    assert compared_spaces(method.similarity, "identity") == "identity + motion"
    assert compared_spaces(method.similarity, "motion") == "motion"
    assert compared_spaces(fifth.similarity, "identity") == "identity"
    assert compared_spaces(cosine, "motion") == "motion"


def test_a_space_alone() -> None:
    query, gallery = make(20, 0, prefix="q", shape=(3, 2)), make(30, 1, shape=(3, 2))
    query = Embeddings(Spaces({**query.spaces, "motion": torch.randn(20, 6)}), query.table, {})
    hits = search(query, gallery, k=3, space="motion")
    a, b = query.spaces["motion"].double().numpy(), gallery.spaces["motion"].double().numpy()
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (a, b))
    np.testing.assert_allclose(hits.scores, np.sort(a @ b.T, axis=1)[:, :-4:-1], atol=1e-5)
    with pytest.raises(KeyError, match="no space 'camera'"):
        search(query, gallery, space="camera")


def test_own_key_is_left_out() -> None:
    both = make(40, 2)
    hits = search(both, both, k=39, similarity=dot)
    assert not (hits.rows == np.arange(40)[:, None]).any()
    assert np.sort(np.column_stack([hits.rows, np.arange(40)]), axis=1).tolist() == [list(range(40))] * 40
    assert (search(both, both, k=40, similarity=dot, own=True).rows >= 0).all()
    # the same key at another row
    turned = both.take(list(range(39, -1, -1)))
    assert not (search(turned, both, k=39, similarity=dot).rows == np.arange(39, -1, -1)[:, None]).any()


def test_fewer_hits_than_k() -> None:
    query, gallery = make(4, 0, prefix="q"), make(3, 1)
    hits = search(query, gallery, k=5, similarity=dot)
    assert hits.rows[:, 3:].tolist() == [[-1, -1]] * 4
    assert np.isneginf(hits.scores[:, 3:]).all()
    assert len(hits.table()) == 12


def test_min_score() -> None:
    query, gallery = make(30, 0, prefix="q"), make(50, 1)
    hits = search(query, gallery, k=50, similarity=dot, min_score=2)
    scores = dot(query.spaces, gallery.spaces).numpy()
    assert (hits.rows >= 0).sum() == (scores >= 2).sum()
    assert hits.scores[hits.rows >= 0].min() == 2
    none = search(query, gallery, similarity=dot, min_score=1e9)
    assert len(none.table()) == 0
    assert list(none.table().columns) == ["query", "rank", "key", "score", "identity"]


def test_table() -> None:
    gallery = make(3, 1)
    gallery = Embeddings(gallery.spaces, gallery.table.assign(camera=["x", "y", None], score=[7, 8, 9]), {})
    hits = Hits(np.float32([[0.5, 0.25]]), np.array([[2, 0]]), pd.DataFrame({"key": ["q"]}), gallery.table)
    assert len(hits) == 1
    table = hits.table()
    assert table.columns.tolist() == ["query", "rank", "key", "score", "identity", "camera", "gallery score"]
    assert table[["query", "rank", "key", "score", "gallery score"]].to_numpy().tolist() == [
        ["q", 1, "2", 0.5, 9],
        ["q", 2, "0", 0.25, 7],
    ]


def test_wrong_input_is_named() -> None:
    query, gallery = make(4, 0, prefix="q"), make(3, 1)
    with pytest.raises(ValueError, match="at least 1; got 0"):
        search(query, gallery, k=0)
    with pytest.raises(ValueError, match="bytes above 0"):
        search(query, gallery, memory=0)
    with pytest.raises(ValueError, match=r"'identity' has shape \(4, 4\) in the query but \(3, 5\)"):
        search(query, make(3, 1, shape=(5,)))
    with pytest.raises(ValueError, match="0 gallery items"):
        search(query, gallery.take([]))
    with pytest.raises(ValueError, match=r"returned shape \(3, 4\); expected .* \(4, 3\)"):
        search(query, gallery, similarity=lambda q, g: dot(q, g).T)
    with pytest.raises(ValueError, match="needs finite scores"):
        search(query, gallery, similarity=lambda q, g: dot(q, g) / 0)


def test_slices_cover() -> None:
    assert slices(5, 2) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert slices(0, 2) == []
