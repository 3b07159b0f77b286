"""Losses on parts against loops, pytorch-metric-learning and values worked out by hand."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unbraid.losses.parts import (
    batch_all_triplet,
    cross_modal_triplet,
    part_cross_entropy,
    part_distances,
    triplet_terms,
)

LABELS = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1, 2, 2])
MODALITY = torch.tensor([2, 3] * 5)


def rows(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def triplet_by_loop(x: Tensor, y: Tensor, labels: list[int], others: list[int], margin: float) -> float:
    """Every triplet of every part, distances from math.dist."""
    parts = []
    for p in range(x.shape[1]):
        terms = []
        for a, label in enumerate(labels):
            gap = [math.dist(x[a, p].tolist(), y[c, p].tolist()) for c in range(len(others))]
            for i, j in product(range(len(others)), repeat=2):
                if others[i] == label and others[j] != label:
                    terms.append(max(margin + gap[i] - gap[j], 0.0))
        active = [term for term in terms if term > 0]
        parts.append(sum(active) / len(active) if active else 0.0)
    return sum(parts) / len(parts)


def test_distances_equal_direct_differences() -> None:
    x, y = rows(6, 3, 32, dtype=torch.float64), rows(4, 3, 32, seed=1, dtype=torch.float64)
    direct = torch.stack([(x[:, None, p] - y[None, :, p]).norm(dim=2) for p in range(3)])
    assert direct.shape == (3, 6, 4)
    torch.testing.assert_close(part_distances(x, y), direct, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(part_distances(x.float(), y.float()), direct.float(), rtol=1e-5, atol=1e-5)


def test_distances_far_from_the_origin() -> None:
    # squares around 10^8 leave nothing of distances around 1 in float32, unless the origin moves to the rows
    x, y = rows(6, 3, 32), rows(4, 3, 32, seed=1)
    away = torch.full((1, 1, 32), 2048.0)
    expected = part_distances((x + away).double() - away, (y + away).double() - away).float()
    torch.testing.assert_close(part_distances(x + away, y + away), expected, rtol=1e-4, atol=1e-4)


def test_distances_of_half_precision() -> None:
    x = rows(4, 2, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = part_distances(x, x.flip(0))
    assert found.dtype == torch.float32
    assert torch.equal(found, part_distances(x, x.flip(0)))
    assert part_distances(x.bfloat16(), x).dtype == torch.float32


def test_gradient_is_finite_at_distance_zero() -> None:
    x = torch.ones(4, 2, 3, requires_grad=True)
    loss = cross_modal_triplet(x, torch.tensor([0, 0, 1, 1]), torch.tensor([2, 3, 2, 3]))
    assert float(loss.detach()) == pytest.approx(0.2)
    loss.backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    # rows of their own are at distance zero wherever they are
    y = rows(6, 2, 3).requires_grad_()
    part_distances(y, y).sum().backward()
    assert y.grad is not None
    assert torch.isfinite(y.grad).all()


def test_one_active_triplet() -> None:
    # on a line: one person at 0 and 1, another at 3 and 5; of 16 triplets only 3-5 against 3-1 is within the margin
    x = torch.tensor([0.0, 1.0, 3.0, 5.0])[:, None, None]
    labels = torch.tensor([0, 0, 1, 1])
    terms = triplet_terms(part_distances(x, x), labels, labels)
    assert terms.shape == (1, 16)
    assert int((terms > 0).sum()) == 1
    assert float(terms.max()) == pytest.approx(0.2, abs=1e-5)
    assert float(batch_all_triplet(part_distances(x, x), labels, labels)) == pytest.approx(0.2, abs=1e-5)


def test_number_of_triplets() -> None:
    # 8 people with 8 walks: 64 anchors, 8 positives, 56 negatives, in each direction and in one batch of one modality
    labels = torch.arange(8).repeat_interleave(8)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert triplet_terms(rows(2, 64, 64), labels, labels).shape == (2, 28_672)
    assert triplet_terms(rows(1, 64, 64), labels, labels[order]).shape == (1, 28_672)
    # unequal numbers of walks are no reason to stop
    assert triplet_terms(rows(1, 10, 10), LABELS, LABELS).shape[1] == 4 * 4 * 6 + 4 * 4 * 6 + 2 * 2 * 8


@pytest.mark.parametrize("margin", [0.2, 3.0])
@pytest.mark.parametrize("seed", range(2))
def test_equals_loop(seed: int, margin: float) -> None:
    x = rows(10, 2, 4, seed=seed)
    a, b = x[0::2], x[1::2]
    labels, others = LABELS[0::2].tolist(), LABELS[1::2].tolist()
    ahead, back = (triplet_by_loop(*given, margin) for given in ((a, b, labels, others), (b, a, others, labels)))
    found = cross_modal_triplet(x, LABELS, MODALITY, margin=margin)
    assert float(found) == pytest.approx((ahead + back) / 2, rel=1e-4)
    joint = triplet_by_loop(x, x, LABELS.tolist(), LABELS.tolist(), margin)
    assert float(cross_modal_triplet(x, LABELS, MODALITY, margin=margin, mode="joint")) == pytest.approx(
        joint, rel=1e-4
    )


def test_three_modalities_weigh_the_same() -> None:
    x, labels, modality = rows(12, 2, 3), torch.arange(12) // 3 % 2, torch.arange(12) % 3 + 1
    pairs = [(a, b) for a, b in product((1, 2, 3), repeat=2) if a != b]
    split = [(x[modality == a], x[modality == b], labels[modality == a], labels[modality == b]) for a, b in pairs]
    expected = sum(triplet_by_loop(a, b, one.tolist(), two.tolist(), 0.2) for a, b, one, two in split) / len(pairs)
    assert float(cross_modal_triplet(x, labels, modality)) == pytest.approx(expected, rel=1e-4)


def test_equals_foreign_library() -> None:
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.reducers import AvgNonZeroReducer

    x = rows(10, 3, 6)
    a, b, own, others = x[0::2], x[1::2], LABELS[0::2], LABELS[1::2]
    foreign = TripletMarginLoss(
        margin=0.2, distance=LpDistance(normalize_embeddings=False), reducer=AvgNonZeroReducer()
    )
    expected = torch.stack([foreign(a[:, p], own, ref_emb=b[:, p], ref_labels=others) for p in range(3)]).mean()
    torch.testing.assert_close(batch_all_triplet(part_distances(a, b), own, others), expected)


def test_rows_may_stand_in_any_order() -> None:
    # outputs of several devices are joined device by device
    x = rows(10, 2, 4)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    whole = cross_modal_triplet(x, LABELS, MODALITY)
    torch.testing.assert_close(cross_modal_triplet(x[order], LABELS[order], MODALITY[order]), whole)


def test_triplet_gradient() -> None:
    x = rows(6, 2, 3, dtype=torch.float64).requires_grad_()
    labels, modality = torch.tensor([0, 0, 1, 1, 1, 1]), torch.tensor([2, 3] * 3)
    for mode in ("cross", "joint"):
        assert torch.autograd.gradcheck(
            lambda x, mode=mode: cross_modal_triplet(x, labels, modality, margin=5.0, mode=mode), x
        )


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 0, 1, 1]])
def test_nothing_active_is_zero_and_tied_to_the_graph(labels: list[int]) -> None:
    # one person alone has no negatives; two people far apart have no active triplet
    x = torch.tensor([0.0, 0.1, 9.0, 9.1])[:, None, None].requires_grad_()
    loss = cross_modal_triplet(x, torch.tensor(labels), torch.tensor([2, 3, 2, 3]))
    assert loss.item() == 0
    loss.backward()
    assert x.grad is not None
    assert not x.grad.any()


def test_one_modality_has_no_cross() -> None:
    x, labels = rows(4, 1, 2), torch.tensor([0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"all 4 rows .* of modality \[3\]; .* take mode 'joint'"):
        cross_modal_triplet(x, labels, torch.full((4,), 3))
    assert torch.isfinite(cross_modal_triplet(x, labels, torch.full((4,), 3), mode="joint"))


@pytest.mark.parametrize(("scale", "smoothing"), [(16.0, 0.1), (1.0, 0.0), (30.0, 0.5)])
def test_equal_logits_cost_the_logarithm_of_classes(scale: float, smoothing: float) -> None:
    logits = torch.full((4, 3, 7), 0.4)
    found = part_cross_entropy(logits, torch.tensor([0, 1, 2, 6]), scale=scale, smoothing=smoothing)
    assert float(found) == pytest.approx(math.log(7), rel=1e-5)


def test_cross_entropy_equals_loop() -> None:
    logits, labels = rows(5, 3, 4), [0, 1, 2, 3, 1]
    total = 0.0
    for b, p in product(range(5), range(3)):
        scores = [16 * float(v) for v in logits[b, p]]
        normal = math.log(sum(math.exp(v - max(scores)) for v in scores)) + max(scores)
        for c, score in enumerate(scores):
            target = 0.1 / 4 + (0.9 if c == labels[b] else 0.0)
            total += target * (normal - score)
    assert float(part_cross_entropy(logits, torch.tensor(labels))) == pytest.approx(total / 15, rel=1e-5)


def test_cross_entropy_is_the_mean_of_the_modalities() -> None:
    logits = F.normalize(rows(10, 3, 4), dim=2)
    halves = [part_cross_entropy(logits[m::2], LABELS[m::2]) for m in (0, 1)]
    torch.testing.assert_close(part_cross_entropy(logits, LABELS), torch.stack(halves).mean())


def test_cross_entropy_precision_and_gradient() -> None:
    assert part_cross_entropy(rows(2, 2, 3).bfloat16(), torch.tensor([0, 2])).dtype == torch.float32
    logits = rows(3, 2, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: part_cross_entropy(v, torch.tensor([0, 3, 1])), logits)
