"""Gradient reversal: a feature passes as it is, its gradient comes back with the opposite sign."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

# steepness of the ramp; source: the paper named in `ramp`, gamma = 10
STEEPNESS = 10.0


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (factor,) = ctx.saved_tensors
        return -factor.to(gradients[0].dtype) * gradients[0], None


def reverse(x: Float[Tensor, "..."], factor: float | Tensor) -> Float[Tensor, "..."]:
    """x itself; on the way back its gradient is multiplied by -factor. The factor gets no gradient.

    Source: Ganin & Lempitsky, "Unsupervised Domain Adaptation by Backpropagation" (2015), gradient reversal layer;
    DIFFER places it between the feature and each non-biometric projection.
    """
    reversed_: Tensor = _Reverse.apply(x, torch.as_tensor(factor, device=x.device))
    return reversed_


def ramp(share: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """2 / (1 + exp(-10 share)) - 1, with share cut to 0..1: 0 at the start of the ramp, all but 1 at its end.

    Source: the same paper's schedule of its factor over training progress. DIFFER's is constant.
    """
    return 2 / (1 + torch.exp(-STEEPNESS * share.clamp(0, 1))) - 1
