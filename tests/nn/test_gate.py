"""The gate and the vectors that make its similarity one inner product, against the formula pair by pair."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from unbraid.nn.gate import Sharing, SimilarityGate, gallery_vectors, query_vectors

WIDTHS = (6, 4)


def sides(queries: int = 3, items: int = 5) -> tuple[list[Tensor], Tensor, list[Tensor], Tensor]:
    torch.manual_seed(0)
    asked, offered = ([torch.randn(n, w) for w in WIDTHS] for n in (queries, items))
    return asked, (4 * torch.randn(queries, 2)).softmax(1), offered, (4 * torch.randn(items, 2)).softmax(1)


def cosine(x: Tensor, y: Tensor) -> float:
    a, b = x.tolist(), y.tolist()
    return sum(p * q for p, q in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


@pytest.mark.parametrize("how", ["arithmetic", "geometric"])
def test_one_inner_product_is_the_formula(how: Sharing) -> None:
    asked, own, offered, others = sides()
    found = query_vectors(asked, own, how) @ gallery_vectors(offered, others, how).T
    for a in range(3):
        for b in range(5):
            want = 0.0
            for i in range(2):
                mine, theirs = float(own[a, i]), float(others[b, i])
                weight = (mine + theirs) / 2 if how == "arithmetic" else math.sqrt(mine * theirs)
                want += weight * cosine(asked[i][a], offered[i][b])
            assert float(found[a, b]) == pytest.approx(want, abs=1e-6)


def test_a_plain_index_finds_the_same_items() -> None:
    asked, own, offered, others = sides(12, 40)
    index = gallery_vectors(offered, others, "arithmetic").numpy()
    best = [
        int(np.argmax([float(np.dot(v, q)) for v in index])) for q in query_vectors(asked, own, "arithmetic").numpy()
    ]
    weights = (own[:, None] + others[None]) / 2
    parts = torch.stack(
        [torch.cosine_similarity(a[:, None], b[None], dim=2) for a, b in zip(asked, offered, strict=True)], 2
    )
    assert best == (weights * parts).sum(2).argmax(1).tolist()
    # the weights matter: without them another item is nearest to somebody
    assert best != parts.mean(2).argmax(1).tolist()


def test_the_geometric_kind_is_a_plain_cosine() -> None:
    asked, own, offered, others = sides()
    q, g = query_vectors(asked, own, "geometric"), gallery_vectors(offered, others, "geometric")
    for vectors in (q, g):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    assert q.shape[1] == sum(WIDTHS)
    torch.testing.assert_close(gallery_vectors(asked, own, "geometric"), q)


def test_an_item_is_as_like_itself_as_can_be() -> None:
    asked, own, _, _ = sides()
    for how in ("arithmetic", "geometric"):
        alike = query_vectors(asked, own, how) @ gallery_vectors(asked, own, how).T
        torch.testing.assert_close(alike.diagonal(), torch.ones(3))
        torch.testing.assert_close(alike, alike.T)


def test_the_gate() -> None:
    torch.manual_seed(0)
    gate, x = SimilarityGate(WIDTHS, hidden=5), [torch.randn(3, w) for w in WIDTHS]
    assert torch.equal(gate(x), torch.full((3, 2), 0.5))
    torch.nn.init.normal_(gate.outer.weight)
    inner = (torch.cat(x, 1) @ gate.inner.weight.T + gate.inner.bias).clamp_min(0)
    scores = inner @ gate.outer.weight.T + gate.outer.bias
    torch.testing.assert_close(gate(x), scores.exp() / scores.exp().sum(1, keepdim=True))
