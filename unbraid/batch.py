"""What a method receives, split by when it is known.

A `Clip` is what a deployed system has: pixels and facts about the sensor. A `Batch` adds what only
training may know. There is no way to build a Batch from a query: that is the point.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

MODALITIES: tuple[str, ...] = ("rgb", "silhouette", "depth", "points")
"""Kinds of sensor in the order of their numbers: sensor['modality'] is 1 + the place here, whatever the data hold."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of B tracklets.

    frames: already resized and normalised.
    valid: False where a short tracklet was padded; such frames must not change any result.
    sensor: indices for 'camera', 'modality', 'view' when known; 0 means unknown.
    """

    frames: Float[Tensor, "B T C H W"]
    valid: Bool[Tensor, "B T"]
    sensor: Mapping[str, Int[Tensor, "B"]] = field(default_factory=dict)

    @classmethod
    def of(cls, frames: Float[Tensor, "B T C H W"]) -> "Clip":
        """A clip in which every frame is real and nothing is known about the sensor."""
        return cls(frames, torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device))

    def to(self, device: torch.device | str) -> "Clip":
        """The same clip on another device."""
        return Clip(
            self.frames.to(device, non_blocking=True),
            self.valid.to(device, non_blocking=True),
            {name: value.to(device, non_blocking=True) for name, value in self.sensor.items()},
        )


@dataclass(frozen=True, eq=False)
class Text:
    """Frozen text embeddings for one aspect: token sequences, or L = 1 for pooled encoders.

    mask: False at padding.
    """

    tokens: Float[Tensor, "B L D"]
    mask: Bool[Tensor, "B L"]


@dataclass(frozen=True, eq=False)
class Batch:
    """A clip plus everything only training may know.

    labels: class indices by label name, 'identity' always among them; of a label of several values a row of booleans.
    text: embeddings by aspect, empty for methods without text.
    keys: the tracklets' keys.
    """

    clip: Clip
    labels: Mapping[str, Shaped[Tensor, "B ..."]]
    keys: Sequence[str]
    text: Mapping[str, Text] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        return Batch(
            self.clip.to(device),
            {name: value.to(device, non_blocking=True) for name, value in self.labels.items()},
            self.keys,
            {name: Text(t.tokens.to(device), t.mask.to(device)) for name, t in self.text.items()},
        )
