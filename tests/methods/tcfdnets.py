"""Small TCFDNets for tests, and batches of walks seen by two sensors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unbraid.batch import Batch, Clip
from unbraid.methods.tcfdnet.config import TcfdnetConfig
from unbraid.methods.tcfdnet.model import Tcfdnet
from unbraid.methods.tcfdnet.recipes import tiny

SILHOUETTE, DEPTH = 2, 3
PEOPLE = 3


def some(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def texts_of(config: TcfdnetConfig, seed: int = 5) -> dict[str, Tensor]:
    return {name: some(config.texts, config.text_width, seed=seed + n) for n, name in enumerate(config.modalities)}


def small(*, seed: int = 0, config: TcfdnetConfig | None = None, **fields: Any) -> Tcfdnet:
    """The tiny network with other fields, its dictionary filled."""
    config = replace(config or tiny().config, **fields)
    torch.manual_seed(seed)
    method = Tcfdnet(config, classes={"identity": PEOPLE})
    if method.dictionary:
        method.set_dictionary(texts_of(config))
    return method


def clip_of(
    config: TcfdnetConfig, *, rows: int = 4, frames: int = 2, modality: Sequence[int] | None = None, seed: int = 1
) -> Clip:
    """Frames in 0..1, rows in turn of silhouettes and depth maps where nothing is said."""
    pixels = torch.rand(rows, frames, 3, *config.pixels, generator=torch.Generator().manual_seed(seed))
    sensors = torch.tensor(modality if modality is not None else [SILHOUETTE, DEPTH] * (rows // 2))
    return replace(Clip.of(pixels), sensor={"modality": sensors})


def batch_of(config: TcfdnetConfig, *, pairs: int = 4, frames: int = 2) -> Batch:
    """Two people, each in half of the pairs."""
    who = torch.tensor([0] * pairs + [2] * pairs)
    return Batch(clip_of(config, rows=2 * pairs, frames=frames), {"identity": who}, [f"k{i}" for i in range(2 * pairs)])
