"""The cosine hinge against values worked out by hand and a loop."""

import math

import pytest
import torch

from unbraid.losses.independence import absolute_cosine, cosine_hinge, linear_hsic


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


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_absolute_cosine_by_hand() -> None:
    # (1, 2, 2, 0) with (2, 1, 0, 2): 4 of 9; opposite maps are as bad as equal ones
    x = torch.tensor([[[1.0, 2.0], [2.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]]])
    y = torch.tensor([[[2.0, 1.0], [0.0, 2.0]], [[-7.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]])
    assert absolute_cosine(x, y).item() == pytest.approx((4 / 9 + 1 + 0) / 3, abs=1e-6)
    assert absolute_cosine(x, -y).item() == pytest.approx((4 / 9 + 1 + 0) / 3, abs=1e-6)


def test_absolute_cosine_equals_loop_and_gradient() -> None:
    x, y = draws(5, 3, 2, 2).requires_grad_(), draws(5, 3, 2, 2, seed=1).requires_grad_()
    total = 0.0
    for a, b in zip(x.flatten(1).tolist(), y.flatten(1).tolist(), strict=True):
        total += abs(sum(p * q for p, q in zip(a, b, strict=True))) / math.hypot(*a) / math.hypot(*b)
    assert absolute_cosine(x, y).item() == pytest.approx(total / 5)
    assert torch.autograd.gradcheck(absolute_cosine, (x, y))
    assert absolute_cosine(x.half(), y.half()).dtype == torch.float32


def test_absolute_cosine_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 4\) and \(2, 2, 2\)"):
        absolute_cosine(torch.ones(2, 4), torch.ones(2, 2, 2))


def trace_formula(x: torch.Tensor, y: torch.Tensor) -> float:
    """tr(H K H  H L H) / (N - 1)^2 in double, with the centring matrix H written out."""
    n = len(x)
    centring = torch.eye(n, dtype=torch.float64) - torch.full((n, n), 1 / n, dtype=torch.float64)
    centred_k = centring @ (x.double() @ x.double().T) @ centring
    centred_l = centring @ (y.double() @ y.double().T) @ centring
    return float((centred_k @ centred_l).trace()) / (n - 1) ** 2


def test_hsic_by_hand() -> None:
    # centred: x is (-1, 0, 1), y is (-1, 2, -1) and (-2, 0, 2); x'y = (0, 4)
    x, y = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.0, 1.0], [3.0, 3.0], [0.0, 5.0]])
    assert linear_hsic(x, y, normalise=False).item() == pytest.approx(16 / 4)
    assert linear_hsic(x, y[:, :1], normalise=False).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("width", [3, 40])
def test_hsic_is_the_trace_of_centred_gram_matrices(seed: int, width: int) -> None:
    x, y = draws(9, width, seed=seed).float() + 2, draws(9, width + 2, seed=seed + 9).float() - 1
    assert linear_hsic(x, y, normalise=False).item() == pytest.approx(trace_formula(x, y), rel=1e-5)
    unit = [v / v.norm(dim=1, keepdim=True) for v in (x, y)]
    assert linear_hsic(x, y).item() == pytest.approx(trace_formula(*unit), rel=1e-4)
    torch.testing.assert_close(linear_hsic(x, y), linear_hsic(y, x))


def test_hsic_is_bounded_and_zero_without_change() -> None:
    assert linear_hsic(torch.ones(6, 4), draws(6, 4).float()).item() == pytest.approx(0, abs=1e-12)
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]] * 4)
    assert linear_hsic(100 * opposite, 0.01 * opposite).item() == pytest.approx((8 / 7) ** 2)


def test_hsic_gradient_precision_and_degenerate() -> None:
    x, y = draws(5, 3).requires_grad_(), draws(5, 4, seed=1).requires_grad_()
    for normalise in (True, False):
        assert torch.autograd.gradcheck(lambda a, b, n=normalise: linear_hsic(a, b, normalise=n), (x, y))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = linear_hsic(x.detach().float(), y.detach().float())
    assert torch.equal(found, linear_hsic(x.detach().float(), y.detach().float()))
    assert linear_hsic(x.half(), y.half()).dtype == torch.float32
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        linear_hsic(torch.ones(1, 3), torch.ones(1, 3))
