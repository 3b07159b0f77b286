"""Contrastive terms against loops, pytorch-metric-learning and values worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unbraid.losses.alignment import among, away_from, contrast, contrast_rows, matched, same_rows, scaled_cosines

LABELS = torch.tensor([0, 0, 1, 1, 1, 2])
OWN = torch.eye(6, dtype=torch.bool)
IDENTITY = LABELS[:, None] == LABELS[None, :]


def rows(count: int, width: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loop(x: Tensor, text: Tensor, positives: Tensor, present: list[int], scale: float) -> float:
    def cosine(a: Tensor, b: Tensor) -> float:
        return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))

    terms = []
    for j in present:
        odds = {k: math.exp(scale * cosine(x[j], text[k])) for k in present}
        right = [k for k in present if positives[j, k]]
        terms.append(-sum(math.log(odds[k] / sum(odds.values())) for k in right) / len(right))
    return sum(terms) / len(terms)


def test_cosines_by_hand() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    text = torch.tensor([[10.0, 0.0], [-3.0, -4.0]])
    torch.testing.assert_close(scaled_cosines(x, text, 10.0), torch.tensor([[6.0, -10.0], [0.0, 0.0]]))


def test_cosines_keep_precision_under_autocast() -> None:
    x, text = rows(4, 64).float(), rows(4, 64, seed=1).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = scaled_cosines(x.bfloat16().float(), text)
    torch.testing.assert_close(found, F.cosine_similarity(x.bfloat16().float()[:, None], text[None], dim=2))


@pytest.mark.parametrize("positives", [OWN, IDENTITY], ids=["own", "identity"])
@pytest.mark.parametrize("present", [[0, 1, 2, 3, 4, 5], [0, 2, 3, 5], [4]])
@pytest.mark.parametrize("scale", [1.0, 14.0])
def test_equals_loop(positives: Tensor, present: list[int], scale: float) -> None:
    x, text = rows(6), rows(6, seed=1)
    mask = torch.zeros(6, dtype=torch.bool).index_fill(0, torch.tensor(present), True)
    found = contrast(scaled_cosines(x, text, scale), positives, mask)
    assert float(found) == pytest.approx(by_loop(x, text, positives, present, scale), rel=1e-12)


@pytest.mark.parametrize("positives", [OWN, IDENTITY], ids=["own", "identity"])
def test_equals_foreign_library(positives: Tensor) -> None:
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import SupConLoss

    x, text = rows(6).float(), rows(6, seed=1).float()
    labels = LABELS if positives is IDENTITY else torch.arange(6)
    # a clone, since the very same labels would mean the very same rows to it
    theirs = SupConLoss(temperature=0.1, distance=CosineSimilarity())(
        x, labels, ref_emb=text, ref_labels=labels.clone()
    )
    torch.testing.assert_close(contrast(scaled_cosines(x, text, 10.0), positives), theirs)


def test_own_text_is_cross_entropy() -> None:
    logits = rows(6, 6)
    torch.testing.assert_close(contrast(logits, OWN), F.cross_entropy(logits, torch.arange(6)))


@pytest.mark.parametrize(("number", "chance"), [(8, 2.079), (16, 2.773), (32, 3.466)])
def test_chance_and_floor(number: int, chance: float) -> None:
    # sheet 3.5: ln B where all logits are equal, and what is left at scale 1 with cosines of 1 against -1 or 0.7
    own = torch.eye(number, dtype=torch.bool)
    assert float(contrast(torch.zeros(number, number), own)) == pytest.approx(chance, abs=5e-4)
    best = {8: (0.667, 1.822), 16: (1.109, 2.494), 32: (1.648, 3.177)}[number]
    for other, floor in zip((-1.0, 0.7), best, strict=True):
        logits = torch.full((number, number), other).masked_fill(own, 1.0)
        assert float(contrast(logits, own)) == pytest.approx(floor, abs=1e-3)


def test_missing_texts_leave_as_rows_and_columns() -> None:
    logits, present = rows(6, 6), torch.tensor([True, False, True, True, False, True])
    kept = present.nonzero()[:, 0]
    alone = contrast(logits[kept][:, kept], IDENTITY[kept][:, kept])
    torch.testing.assert_close(contrast(logits, IDENTITY, present), alone)
    # whatever stands where a text is missing, and however large
    noise = torch.where(present[:, None] & present[None, :], logits, 1e30)
    torch.testing.assert_close(contrast(noise, IDENTITY, present), alone)
    assert torch.equal(among(logits, present), logits[kept][:, kept])


def test_no_text_at_all() -> None:
    logits = rows(3, 3).requires_grad_()
    value = contrast(logits, torch.eye(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool))
    assert value.item() == 0
    value.backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()
    assert float(matched(torch.zeros(0, 0), torch.zeros(0, 0, dtype=torch.bool))) == 0


def test_gradient() -> None:
    x, text = rows(6).requires_grad_(), rows(6, seed=1).requires_grad_()
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    present = torch.tensor([True, True, False, True, True, True])
    assert torch.autograd.gradcheck(
        lambda a, b, s: contrast(scaled_cosines(a, b, s), IDENTITY, present), (x, text, scale)
    )


def test_row_without_right_answer() -> None:
    positives = torch.tensor([[True, False], [False, False]])
    with pytest.raises(ValueError, match="contrast: row 1 of 2 has no right answer; a row's own text should be one"):
        contrast_rows(torch.zeros(2, 2), positives)


def test_equal_rows() -> None:
    x = torch.tensor([[1.0, 2.0], [1.0, 2.0 + 2**-20], [1.0, 2.0]])
    assert same_rows(x).tolist() == [[True, False, True], [False, True, False], [True, False, True]]


def test_matched_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [5.0, 4.0, 0.0], [0.0, 9.0, 1.0]])
    assert float(matched(logits, torch.eye(3, dtype=torch.bool))) == pytest.approx(1 / 3)
    both = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    assert float(matched(logits, both)) == pytest.approx(2 / 3)


def test_away_from_by_hand() -> None:
    x = torch.tensor([[1.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    y = torch.tensor([[5.0, 0.0], [4.0, 3.0], [-2.0, 0.0]])
    assert float(away_from(x, y)) == pytest.approx(1 - (1 + 0.96 - 1) / 3, abs=1e-6)
    assert float(away_from(x, 9 * x)) == pytest.approx(0, abs=1e-6)
    assert float(away_from(x, -x)) == pytest.approx(2, abs=1e-6)


def test_away_from_equals_loop_and_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(6, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    total = 0.0
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        total += sum(p * q for p, q in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)
    assert away_from(x, y).item() == pytest.approx(1 - total / 6)
    assert torch.autograd.gradcheck(away_from, (x, y))
    assert away_from(x.bfloat16(), y.bfloat16()).dtype == torch.float32
