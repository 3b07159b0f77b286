"""The cosine hinge against values worked out by hand and a loop."""

import math

import pytest
import torch

from unbraid.losses.independence import cosine_hinge


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([[1.0, 0.0]], [[2.0, 0.0]], 1.0),
        ([[1.0, 0.0]], [[0.0, 3.0]], 0.0),
        ([[1.0, 0.0]], [[-1.0, 0.0]], 0.0),  # opposite vectors cost nothing
        ([[3.0, 4.0]], [[4.0, 3.0]], 0.96),
        ([[0.0, 0.0]], [[1.0, 1.0]], 0.0),  # a zero vector has no direction
        ([[1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [-5.0, 1.0]], 0.5 / math.sqrt(2)),  # the negative row is not averaged
    ],
)
def test_by_hand(x: list[list[float]], y: list[list[float]], expected: float) -> None:
    assert cosine_hinge(torch.tensor(x), torch.tensor(y)).item() == pytest.approx(expected, abs=1e-6)


def test_equals_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 7, generator=generator), torch.randn(20, 7, generator=generator)
    total = 0.0
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        dot = sum(p * q for p, q in zip(a, b, strict=True))
        total += max(dot / math.hypot(*a) / math.hypot(*b), 0.0)
    assert cosine_hinge(x, y).item() == pytest.approx(total / 20, rel=1e-5)


def test_small_vectors_keep_their_angle() -> None:
    assert cosine_hinge(torch.full((1, 3), 1e-5), torch.ones(1, 3)).item() == pytest.approx(1.0)


def test_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randn(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cosine_hinge, (x, y))


def test_zero_vector_has_a_finite_gradient() -> None:
    x = torch.zeros(1, 3, requires_grad=True)
    cosine_hinge(x, torch.ones(1, 3)).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_precision(dtype: torch.dtype) -> None:
    value = cosine_hinge(torch.ones(2, 2, dtype=dtype), torch.ones(2, 2, dtype=dtype))
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
