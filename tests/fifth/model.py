"""The smallest honest method: mean colour, one linear layer, one loss, no batch statistics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from unbraid.batch import Batch, Clip
from unbraid.method import Method, cosine
from unbraid.spaces import Spaces


@dataclass(frozen=True, kw_only=True)
class FifthWeights:
    identity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class FifthConfig:
    width: int = 8
    backwards: bool = False
    weights: FifthWeights = field(default_factory=FifthWeights)


class Fifth(Method):
    Config = FifthConfig

    def __init__(self, config: Any, *, classes: Mapping[str, int]) -> None:
        super().__init__(config, classes=classes)
        self.embed = nn.Linear(3 * 4, config.width)
        self.classify = nn.Linear(config.width, self.number_of("identity"))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"logits": self.classify(self._identity(batch.clip))}

    def losses(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        return {"identity": F.cross_entropy(out["logits"], batch.labels["identity"])}

    def encode(self, clip: Clip) -> Spaces:
        return Spaces({"identity": self._identity(clip)})

    def heat(self, clip: Clip) -> dict[str, Tensor]:
        return {"identity": clip.frames.norm(dim=2)}

    def similarity(self, query: Spaces, gallery: Spaces) -> Tensor:
        return cosine(query, gallery) * (-1 if self.config.backwards else 1)

    def _identity(self, clip: Clip) -> Tensor:
        stripes = F.adaptive_avg_pool2d(clip.frames.flatten(0, 1), (4, 1)).flatten(1)
        weight = clip.valid / clip.valid.sum(1, keepdim=True)
        frames = stripes.unflatten(0, clip.frames.shape[:2])
        return self.embed((frames * weight[..., None]).sum(1))
