"""Changes to a training clip that keep its labels true. All randomness comes from the given generator."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unbraid.recipe import DataConfig

# area as a share of the frame, height over width: not in the paper, the usual values of its relatives
ERASE_AREA = (0.02, 0.4)
ERASE_ASPECT = (0.3, 3.3)
ERASE_TRIES = 100


def augment(clip: Float[Tensor, "T C H W"], config: DataConfig, generator: np.random.Generator) -> Tensor:
    """A changed copy of a normalised clip: flip and shift for the whole clip, erasing per frame or per clip.

    Source: DSANet section 4.2 (flip; erasing with probability 0.5); scope, area, aspect and fill are not in the paper.
    """
    clip = clip.flip(3) if generator.random() < config.flip else clip.clone()
    if config.shift > 0:
        clip = _shift(clip, config.shift, generator)
    for part in [clip] if config.erase_scope == "clip" else clip.split(1):
        erase(part, config.erase, generator)
    return clip


def erase(clip: Float[Tensor, "T C H W"], probability: float, generator: np.random.Generator) -> None:
    """Set one box of a clip to 0, the mean colour after normalisation, in place."""
    if generator.random() >= probability:
        return
    height, width = clip.shape[2:]
    for _ in range(ERASE_TRIES):
        area = generator.uniform(*ERASE_AREA) * height * width
        aspect = math.exp(generator.uniform(math.log(ERASE_ASPECT[0]), math.log(ERASE_ASPECT[1])))
        h, w = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < h < height and 0 < w < width:
            top, left = generator.integers(0, height - h + 1), generator.integers(0, width - w + 1)
            # the same memory as an array, where small slices cost less
            clip.numpy()[:, :, top : top + h, left : left + w] = 0
            return


def _shift(clip: Float[Tensor, "T C H W"], share: float, generator: np.random.Generator) -> Tensor:
    """The clip moved by up to `share` of its size in both directions, edges repeated."""
    rows, columns = (
        (torch.arange(size) + round(generator.uniform(-share, share) * size)).clamp(0, size - 1)
        for size in clip.shape[2:]
    )
    return clip[:, :, rows][:, :, :, columns]
