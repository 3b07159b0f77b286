"""Mean colour, and the fixed texts that are nearest to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unbraid.batch import Batch, Clip
from unbraid.method import Method
from unbraid.spaces import Spaces


@dataclass(frozen=True, kw_only=True)
class RetrieverWeights:
    identity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class RetrieverConfig:
    rounds: int = 2
    text_width: int = 128
    retrieve: bool = True
    weights: RetrieverWeights = field(default_factory=RetrieverWeights)


class Retriever(Method):
    Config = RetrieverConfig
    dictionary = ("silhouette", "depth")

    texts: Tensor
    ready: Tensor

    def __init__(self, config: Any, *, classes: Mapping[str, int]) -> None:
        super().__init__(config, classes=classes)
        if not config.retrieve:
            self.dictionary = ()
        self.embed = nn.Linear(3, config.text_width)
        self.classify = nn.Linear(config.text_width, self.number_of("identity"))
        self.register_buffer("texts", torch.zeros(len(self.dictionary), 8 * config.rounds, config.text_width))
        self.register_buffer("ready", torch.tensor(not config.retrieve))

    def set_dictionary(self, texts: Mapping[str, Float[Tensor, "N D"]]) -> None:
        given = [texts[name] for name in self.dictionary]
        for name, value in zip(self.dictionary, given, strict=True):
            if value.shape != self.texts.shape[1:]:
                raise ValueError(f"texts about {name}: {tuple(value.shape)} instead of {tuple(self.texts.shape[1:])}")
        self.texts.copy_(torch.stack(given))
        self.ready.fill_(True)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"logits": self.classify(self._identity(batch.clip))}

    def losses(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        return {"identity": F.cross_entropy(out["logits"], batch.labels["identity"])}

    def encode(self, clip: Clip) -> Spaces:
        return Spaces({"identity": self._identity(clip)})

    def heat(self, clip: Clip) -> dict[str, Tensor]:
        return {"identity": clip.frames.norm(dim=2)}

    def _identity(self, clip: Clip) -> Tensor:
        if not bool(self.ready):
            raise ValueError("the dictionary is empty")
        mean = (clip.frames.mean((3, 4)) * clip.valid[..., None]).sum(1) / clip.valid.sum(1, keepdim=True)
        x: Tensor = self.embed(mean)
        texts = F.normalize(self.texts.flatten(0, 1), dim=1)
        return x + (x @ texts.T).softmax(1) @ texts
