"""Gradient reversal against autograd without it, and its ramp against the formula."""

import math

import pytest
import torch

from unbraid.nn.gradient import ramp, reverse


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, torch.tensor(2.5)])
def test_the_gradient_alone_changes(factor: float | torch.Tensor) -> None:
    x, w = numbers(4, 3).requires_grad_(), numbers(3, 2, seed=1).requires_grad_()
    plain = torch.autograd.grad((x @ w).sin().sum(), (x, w))
    passed = reverse(x, factor)
    assert torch.equal(passed, x)
    turned = torch.autograd.grad((passed @ w).sin().sum(), (x, w))
    torch.testing.assert_close(turned[0], -float(factor) * plain[0])
    torch.testing.assert_close(turned[1], plain[1])


def test_reversing_twice_goes_forward() -> None:
    x = numbers(4, 3).requires_grad_()
    (twice,) = torch.autograd.grad(reverse(reverse(x, 0.5), 4.0).square().sum(), x)
    torch.testing.assert_close(twice, 2 * 2 * x.detach())


def test_a_factor_learns_nothing() -> None:
    factor = torch.ones((), requires_grad=True)
    reverse(numbers(2, 2).requires_grad_(), factor).sum().backward()
    assert factor.grad is None


def test_low_precision_keeps_its_type() -> None:
    x = torch.ones(2, 2, dtype=torch.bfloat16, requires_grad=True)
    reverse(x, torch.tensor(0.5)).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
    assert (x.grad == -0.5).all()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_ramp_is_that_of_the_paper(share: float) -> None:
    assert float(ramp(torch.tensor(share))) == pytest.approx(2 / (1 + math.exp(-10 * share)) - 1, abs=1e-6)


def test_ramp_stays_at_its_ends() -> None:
    assert float(ramp(torch.tensor(-1.0))) == 0
    assert float(ramp(torch.tensor(7.0))) == float(ramp(torch.tensor(1.0))) == pytest.approx(0.9999, abs=1e-4)
