"""Losses that keep two embeddings of the same clip apart."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unbraid.losses.precision import at_least_float32

# a zero vector has cosine 0 instead of none
EPSILON = 1e-12


def cosine_hinge(x: Float[Tensor, "B D"], y: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Mean over rows of max(cos(x, y), 0), in float32 at least; opposite vectors cost nothing.

    Source: DSANet eq. (1).
    """
    return F.cosine_similarity(at_least_float32(x), at_least_float32(y), dim=1, eps=EPSILON).clamp_min(0).mean()
