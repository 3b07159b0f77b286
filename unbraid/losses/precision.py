"""The precision in which losses compute."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """x itself, or as float32 when it is a float of 16 bits; double stays double, so that gradients can be checked."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def no_autocast(x: Tensor) -> torch.autocast:
    """A context in which matrix products on x's device keep the precision of their arguments."""
    return torch.autocast(x.device.type, enabled=False)
