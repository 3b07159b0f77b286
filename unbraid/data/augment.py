"""Changes to a training clip that keep its labels true. All randomness comes from the given generator."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unbraid.recipe import DataConfig

# area as a share of the frame, height over width: not in the paper, the usual values of its relatives
ERASE_AREA = (0.02, 0.4)
ERASE_ASPECT = (0.3, 3.3)
ERASE_TRIES = 100
ZOOM = 1.125


def augment(clip: Float[Tensor, "T C H W"], config: DataConfig, generator: np.random.Generator) -> Tensor:
    """A changed copy of a normalised clip: flip, shift and zoom for the whole clip, erasing per frame or per clip.

    Source: DSANet section 4.2 (flip; erasing with probability 0.5); scope, area, aspect and fill are not in the paper.
    Zoom: DIFFER, released code.
    """
    clip = clip.flip(3) if generator.random() < config.flip else clip.clone()
    if config.shift > 0:
        clip = _shift(clip, config.shift, generator)
    if config.zoom > 0 and generator.random() < config.zoom:
        clip = _zoom(clip, generator)
    for part in [clip] if config.erase_scope == "clip" else clip.split(1):
        erase(part, config.erase, generator, config.erase_fill)
    return clip


def erase(
    clip: Float[Tensor, "T C H W"],
    probability: float,
    generator: np.random.Generator,
    fill: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    """Set one box of a clip to `fill` per RGB channel, in place; other channels become 0. 0 is the mean colour."""
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
            box = clip.numpy()[:, :, top : top + h, left : left + w]
            box[...] = 0
            if any(fill) and len(box[0]) >= len(fill):
                box[:, : len(fill)] = np.array(fill, dtype=np.float32)[:, None, None]
            return


def _shift(clip: Float[Tensor, "T C H W"], share: float, generator: np.random.Generator) -> Tensor:
    """The clip moved by up to `share` of its size in both directions, edges repeated."""
    rows, columns = (
        (torch.arange(size) + round(generator.uniform(-share, share) * size)).clamp(0, size - 1)
        for size in clip.shape[2:]
    )
    return clip[:, :, rows][:, :, :, columns]


def _zoom(clip: Float[Tensor, "T C H W"], generator: np.random.Generator) -> Tensor:
    """A part of the old size of the clip enlarged by an eighth."""
    height, width = clip.shape[2:]
    large = F.interpolate(clip, (round(height * ZOOM), round(width * ZOOM)), mode="bilinear", align_corners=False)
    top = int(generator.integers(0, large.shape[2] - height + 1))
    left = int(generator.integers(0, large.shape[3] - width + 1))
    return large[:, :, top : top + height, left : left + width].contiguous()
