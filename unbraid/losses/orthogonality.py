"""A loss that keeps two embeddings of the same clip at right angles."""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unbraid.losses.precision import at_least_float32, no_autocast

Norm = Literal["cosine", "raw", "matrix"]
# a zero vector has cosine 0 instead of none
EPSILON = 1e-12


def orthogonality(x: Float[Tensor, "B D"], y: Float[Tensor, "B D"], norm: Norm = "cosine") -> Float[Tensor, ""]:
    """How far from orthogonal two embeddings are, in float32 at least; 0 when they are.

    norm: 'cosine', mean over rows of |cos(x, y)|, which lengths do not change; 'raw', mean over rows of |x . y|;
        'matrix', the Frobenius norm of X^T Y over B, which also asks that no number of x goes with one of y over the
        batch.
    Source: DisenQ, second-hand: || F_b^T F_bhat ||, of which norm, normalisation and batch are not stated.
    """
    with no_autocast(x):
        x, y = at_least_float32(x), at_least_float32(y)
        if norm == "cosine":
            return F.cosine_similarity(x, y, dim=1, eps=EPSILON).abs().mean()
        if norm == "raw":
            return (x * y).sum(1).abs().mean()
        # || X^T Y ||^2 = sum of (X X^T) * (Y Y^T): B x B instead of D x D
        squared = ((x @ x.T) * (y @ y.T)).sum()
        return squared.clamp_min(EPSILON).sqrt() / len(x)
