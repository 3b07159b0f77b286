"""Distance losses against loops, pytorch-metric-learning and values worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from unbraid.losses.metric import batch_hard_triplet, cosine_distances, distances, within_identity_variance

LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])


def rows(count: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def triplet_by_loop(distance: Tensor, labels: Tensor, margin: float | None) -> float:
    terms = []
    for a, label in enumerate(labels.tolist()):
        others = [i for i in range(len(labels)) if i != a]
        far = max(float(distance[a, i]) for i in others if int(labels[i]) == label)
        near = min(float(distance[a, i]) for i in others if int(labels[i]) != label)
        terms.append(math.log1p(math.exp(far - near)) if margin is None else max(far - near + margin, 0.0))
    return sum(terms) / len(terms)


def variance_by_loop(x: Tensor, labels: Tensor, channels: str) -> float:
    total = 0.0
    for label in set(labels.tolist()):
        own = [x[i].tolist() for i in range(len(x)) if int(labels[i]) == label]
        centre = [sum(column) / len(own) for column in zip(*own, strict=True)]
        squared = [[(v - c) ** 2 for v, c in zip(row, centre, strict=True)] for row in own]
        per_row = [sum(row) / (len(row) if channels == "mean" else 1) for row in squared]
        total += sum(per_row) / len(own)
    return total


def test_distances_by_hand() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])
    expected = torch.tensor([[0.0, 5.0, 3.0], [5.0, 0.0, 4.0], [3.0, 4.0, 0.0]])
    torch.testing.assert_close(distances(x), expected, rtol=1e-6, atol=2e-6)


def test_distances_equal_direct_differences() -> None:
    x = rows(12, 512)
    direct = (x.double()[:, None] - x.double()[None]).square().sum(2).sqrt()
    torch.testing.assert_close(distances(x).double(), direct, rtol=1e-5, atol=0.05)
    torch.testing.assert_close(distances(x.double()), direct, rtol=1e-12, atol=2e-6)


def test_gradient_is_finite_where_rows_are_equal() -> None:
    x = torch.ones(4, 3, requires_grad=True)
    batch_hard_triplet(distances(x), torch.tensor([0, 0, 1, 1])).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_cosine_distances_by_hand() -> None:
    x = torch.tensor([[2.0, 0.0], [0.0, 0.5], [-3.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    half = 1 - 0.5**0.5
    expected = torch.tensor(
        [
            [0.0, 1.0, 2.0, half, 1.0],
            [1.0, 0.0, 1.0, half, 1.0],
            [2.0, 1.0, 0.0, 2 - half, 1.0],
            [half, half, 2 - half, 0.0, 1.0],
            [1.0, 1.0, 1.0, 1.0, 1.0],  # a zero vector has no direction
        ]
    )
    torch.testing.assert_close(cosine_distances(x), expected)


def test_triplet_by_hand() -> None:
    # on a line: anchors 0, 1 of one person, 1.5, 4 of another
    distance = distances(torch.tensor([[0.0], [1.0], [1.5], [4.0]]))
    labels = torch.tensor([0, 0, 1, 1])
    gaps = [1 - 1.5, 1 - 0.5, 2.5 - 0.5, 2.5 - 3.0]
    soft = sum(math.log(1 + math.exp(g)) for g in gaps) / 4
    hinge = sum(max(g + 0.3, 0.0) for g in gaps) / 4
    assert batch_hard_triplet(distance, labels).item() == pytest.approx(soft, abs=1e-5)
    assert batch_hard_triplet(distance, labels, margin=0.3).item() == pytest.approx(hinge, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("margin", [None, 0.3, 2.0])
def test_triplet_equals_loop(seed: int, margin: float | None) -> None:
    distance = distances(rows(10, 4, seed))
    expected = triplet_by_loop(distance, LABELS, margin)
    assert batch_hard_triplet(distance, LABELS, margin=margin).item() == pytest.approx(expected, rel=1e-5)


def test_order_of_rows_does_not_matter() -> None:
    x = rows(10, 4)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    shuffled = batch_hard_triplet(distances(x[order]), LABELS[order])
    torch.testing.assert_close(shuffled, batch_hard_triplet(distances(x), LABELS))


@pytest.mark.parametrize("seed", range(3))
def test_triplet_equals_foreign_library(seed: int) -> None:
    from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import BatchHardMiner
    from pytorch_metric_learning.reducers import MeanReducer

    x = rows(10, 6, seed)
    euclidean = LpDistance(normalize_embeddings=False)
    hardest = BatchHardMiner(distance=euclidean)(x, LABELS)
    soft = TripletMarginLoss(margin=0.0, smooth_loss=True, distance=euclidean, reducer=MeanReducer())
    torch.testing.assert_close(batch_hard_triplet(distances(x), LABELS), soft(x, LABELS, hardest))

    angle = CosineSimilarity()
    hardest = BatchHardMiner(distance=angle)(x, LABELS)
    hinge = TripletMarginLoss(margin=0.3, distance=angle, reducer=MeanReducer())
    ours = batch_hard_triplet(cosine_distances(x), LABELS, margin=0.3)
    torch.testing.assert_close(ours, hinge(x, LABELS, hardest))


@pytest.mark.parametrize(
    ("labels", "row", "kind"),
    [([0, 0, 1], 2, "positive"), ([5], 0, "positive"), ([3, 3, 3], 0, "negative")],
)
def test_triplet_without_partner(labels: list[int], row: int, kind: str) -> None:
    distance = distances(rows(len(labels), 2))
    expected = (
        f"triplet loss: row {row} has no {kind} in its batch of {len(labels)}; "
        f"sample at least 2 identities with 2 clips each"
    )
    with pytest.raises(ValueError) as error:
        batch_hard_triplet(distance, torch.tensor(labels))
    assert str(error.value) == expected


@pytest.mark.parametrize("margin", [None, 0.3])
def test_lonely_anchors_are_left_out(margin: float | None) -> None:
    # 4 stands alone: it is nobody's anchor, but a negative of the others
    distance, labels = distances(rows(5, 3)), torch.tensor([0, 0, 1, 1, 2])
    terms = []
    for a in range(4):
        far = float(distance[a, a ^ 1])
        near = min(float(distance[a, i]) for i in range(5) if labels[i] != labels[a])
        terms.append(math.log1p(math.exp(far - near)) if margin is None else max(far - near + margin, 0.0))
    found = batch_hard_triplet(distance, labels, margin=margin, lonely="skip")
    assert found.item() == pytest.approx(sum(terms) / 4, rel=1e-5)


def test_skipping_changes_nothing_where_nobody_is_lonely() -> None:
    # a chunk sampler may bring one identity twice: 4, 2 and 2 clips
    distance, labels = distances(rows(8, 4)), torch.tensor([3, 3, 7, 7, 3, 3, 1, 1])
    expected = triplet_by_loop(distance, labels, None)
    assert batch_hard_triplet(distance, labels, lonely="skip").item() == pytest.approx(expected, rel=1e-5)
    assert batch_hard_triplet(distance, labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("labels", [[5], [3, 3, 3], [0, 1, 2]])
def test_only_lonely_anchors_cost_nothing(labels: list[int]) -> None:
    x = rows(len(labels), 2).requires_grad_()
    value = batch_hard_triplet(distances(x), torch.tensor(labels), lonely="skip")
    assert value.item() == 0
    value.backward()
    assert x.grad is not None
    assert (x.grad == 0).all()


def test_variance_by_hand() -> None:
    # person 7: centre (1, 2), squared deviations (1, 4) twice; person 9 stands alone
    x = torch.tensor([[0.0, 0.0], [9.0, 9.0], [2.0, 4.0]])
    labels = torch.tensor([7, 9, 7])
    assert within_identity_variance(x, labels).item() == pytest.approx(2.5)
    assert within_identity_variance(x, labels, channels="sum").item() == pytest.approx(5.0)


@pytest.mark.parametrize("channels", ["mean", "sum"])
def test_variance_equals_loop(channels: str) -> None:
    # groups of 3, 3 and 4 with scattered class numbers
    labels = torch.tensor([11, 4, 4, 90])[torch.tensor([0, 1, 3, 0, 1, 3, 0, 2, 3, 3])]
    x = rows(10, 5)
    expected = variance_by_loop(x, labels, channels)
    assert within_identity_variance(x, labels, channels=channels).item() == pytest.approx(expected, rel=1e-5)


def test_variance_of_single_rows_is_zero() -> None:
    assert within_identity_variance(rows(4, 3), torch.arange(4)).item() == pytest.approx(0, abs=1e-12)


def test_variance_refuses_other_reductions() -> None:
    with pytest.raises(ValueError, match="channels should be 'mean' or 'sum'; got 'max'"):
        within_identity_variance(rows(2, 2), torch.zeros(2, dtype=torch.long), channels="max")


@pytest.mark.parametrize("margin", [None, 0.3])
def test_gradients(margin: float | None) -> None:
    x = rows(10, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: batch_hard_triplet(distances(x), LABELS, margin=margin), (x,))
    assert torch.autograd.gradcheck(lambda x: batch_hard_triplet(cosine_distances(x), LABELS, margin=margin), (x,))


@pytest.mark.parametrize("channels", ["mean", "sum"])
def test_variance_gradient(channels: str) -> None:
    x = rows(10, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: within_identity_variance(x, LABELS, channels=channels), (x,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_precision(dtype: torch.dtype) -> None:
    x = rows(10, 3, dtype=dtype)
    at_least = torch.float64 if dtype == torch.float64 else torch.float32
    for value in (distances(x), cosine_distances(x), within_identity_variance(x, LABELS)):
        assert value.dtype == at_least


def test_autocast_does_not_lower_precision() -> None:
    x = rows(10, 64)
    expected = distances(x), cosine_distances(x), within_identity_variance(x, LABELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = distances(x), cosine_distances(x), within_identity_variance(x, LABELS)
    for a, b in zip(inside, expected, strict=True):
        assert torch.equal(a, b)
