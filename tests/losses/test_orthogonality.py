"""Orthogonality by hand, by loop, and where vectors vanish."""

import math

import pytest
import torch

from unbraid.losses.orthogonality import Norm, orthogonality

X = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
Y = torch.tensor([[-3.0, -4.0], [0.0, 2.0]])


def test_by_hand() -> None:
    # cosines -1 and 0, products -25 and 0, X^T Y = [[-9, -12 + 2], [-12, -16]]
    assert float(orthogonality(X, Y)) == pytest.approx(0.5)
    assert float(orthogonality(X, Y, "raw")) == pytest.approx(12.5)
    assert float(orthogonality(X, Y, "matrix")) == pytest.approx(math.sqrt(81 + 100 + 144 + 256) / 2)


def test_matrix_is_the_frobenius_norm() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(5, 7), torch.randn(5, 7)
    torch.testing.assert_close(orthogonality(x, y, "matrix"), torch.linalg.matrix_norm(x.T @ y) / 5)


def test_lengths_do_not_change_the_cosine() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(5, 7), torch.randn(5, 7)
    torch.testing.assert_close(orthogonality(14 * x, y), orthogonality(x, 0.1 * y))
    # opposite is as bad as equal, orthogonal is 0
    assert float(orthogonality(x, -x)) == pytest.approx(1, abs=1e-6)
    assert float(orthogonality(X[1:], Y[1:])) == 0


@pytest.mark.parametrize("norm", ["cosine", "raw", "matrix"])
def test_gradients_and_zero_vectors(norm: Norm) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(3, 4).double().requires_grad_(), torch.randn(3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: orthogonality(a, b, norm), (x, y))
    zero = torch.zeros(2, 4, requires_grad=True)
    value = orthogonality(zero, torch.ones(2, 4), norm)
    value.backward()
    assert zero.grad is not None
    assert torch.isfinite(zero.grad).all()
    assert float(value.detach()) == pytest.approx(0, abs=1e-5)
    assert orthogonality(X.bfloat16(), Y.bfloat16(), norm).dtype == torch.float32
