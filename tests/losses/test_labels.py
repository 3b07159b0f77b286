"""Losses against labels by hand and by loop; rows without a label leave."""

import math

import pytest
import torch

from unbraid.losses.labels import any_of, one_of, same_or_not

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0], [5.0, 1.0, 1.0]])


def test_one_of() -> None:
    first = math.log(1 + math.exp(-2) + math.exp(-3))
    assert float(one_of(LOGITS, torch.tensor([0, 2, -1]))) == pytest.approx((first + math.log(3)) / 2)
    # torch's own mean would be nan
    nothing = LOGITS.clone().requires_grad_()
    value = one_of(nothing, torch.tensor([-1, -1, -1]))
    value.backward()
    assert float(value.detach()) == 0
    assert nothing.grad is not None


def test_any_of() -> None:
    labels = torch.tensor([[True, True, False], [False, False, True], [False, False, False]])
    rows = []
    for row, label in zip(LOGITS.tolist()[:2], labels.tolist()[:2], strict=True):
        terms = [math.log(1 + math.exp(-v if there else v)) for v, there in zip(row, label, strict=True)]
        rows.append(sum(terms) / 3)
    assert float(any_of(LOGITS, labels)) == pytest.approx(sum(rows) / 2)
    assert float(any_of(LOGITS, torch.zeros_like(labels))) == 0
    torch.testing.assert_close(any_of(LOGITS, labels.long()), any_of(LOGITS, labels))


def test_same_or_not() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 5), torch.tensor([0, 0, 0, 1, 2])
    same, other = [], []
    for a in range(5):
        for b in range(5):
            if a != b:
                value = float(logits[a, b])
                pair = labels[a] == labels[b]
                (same if pair else other).append(math.log(1 + math.exp(-value if pair else value)))
    assert (len(same), len(other)) == (6, 14)
    want = (sum(same) / 6 + sum(other) / 14) / 2
    assert float(same_or_not(logits, labels)) == pytest.approx(want, rel=1e-5)
    # the diagonal says nothing
    torch.testing.assert_close(same_or_not(logits + 100 * torch.eye(5), labels), same_or_not(logits, labels))


def test_same_or_not_without_one_kind() -> None:
    logits = torch.zeros(3, 3, requires_grad=True)
    assert float(same_or_not(logits, torch.arange(3)).detach()) == pytest.approx(math.log(2) / 2)
    assert float(same_or_not(logits, torch.zeros(3, dtype=torch.long)).detach()) == pytest.approx(math.log(2) / 2)
    alone = same_or_not(torch.zeros(1, 1), torch.tensor([0]))
    assert float(alone) == 0


def test_gradients() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3).double().requires_grad_()
    label = torch.tensor([0, -1, 2, 1])
    assert torch.autograd.gradcheck(lambda v: one_of(v, label), x)
    assert torch.autograd.gradcheck(lambda v: any_of(v, torch.tensor([[1, 0, 1]] * 3 + [[0, 0, 0]])), x)
    pairs = torch.randn(4, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: same_or_not(v, torch.tensor([0, 0, 1, 2])), pairs)
