"""Losses that keep two embeddings of the same clip apart."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unbraid.losses.precision import at_least_float32, no_autocast

# a zero vector has cosine 0 instead of none
EPSILON = 1e-12


def cosine_hinge(x: Float[Tensor, "B D"], y: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Mean over rows of max(cos(x, y), 0), in float32 at least; opposite vectors cost nothing.

    Source: DSANet eq. (1).
    """
    return F.cosine_similarity(at_least_float32(x), at_least_float32(y), dim=1, eps=EPSILON).clamp_min(0).mean()


def absolute_cosine(x: Float[Tensor, "B ..."], y: Float[Tensor, "B ..."]) -> Float[Tensor, ""]:
    """Mean over rows of |cos(x, y)|, each row flattened, in float32 at least; 0 where they are orthogonal.

    Raises ValueError when x and y differ in shape.
    Source: TCFDNet, orthogonality term among eqs. (24) to (27); the notes on the paper disagree on the absolute value,
    without which opposite maps would be best.
    """
    if x.shape != y.shape:
        raise ValueError(f"absolute_cosine compares like with like; got {tuple(x.shape)} and {tuple(y.shape)}")
    x, y = at_least_float32(x).flatten(1), at_least_float32(y).flatten(1)
    return F.cosine_similarity(x, y, dim=1, eps=EPSILON).abs().mean()


def linear_hsic(x: Float[Tensor, "B D"], y: Float[Tensor, "B E"], *, normalise: bool = True) -> Float[Tensor, ""]:
    """How much of x a linear map can tell from y over a batch, in float32 at least: 0 for nothing.

    tr(K L) / (N - 1)^2 with the centred Gram matrices K of x and L of y, which is ||Xc' Yc||^2 / (N - 1)^2 with the
    Frobenius norm of centred rows.
    normalise: bring rows to length one first, so that the value is at most (N / (N - 1))^2.
    Raises ValueError for fewer than 2 rows, of which nothing can be said.
    Source: TCFDNet, HSIC term among eqs. (24) to (27), linear kernel; `normalise` is not in the paper, chosen because
    the value otherwise grows with the fourth power of the features and no fixed weight fits.
    """
    if len(x) < 2:
        raise ValueError(f"HSIC tells how two things go together over a batch; it needs at least 2 rows, got {len(x)}")
    with no_autocast(x):
        x, y = at_least_float32(x), at_least_float32(y)
        if normalise:
            x, y = F.normalize(x, dim=1), F.normalize(y, dim=1)
        x, y = x - x.mean(0), y - y.mean(0)
        return (x.T @ y).square().sum() / (len(x) - 1) ** 2
