"""What CLIP and ResNet-9 see in a clip: tokens of the whole and a local map, each the maximum over time."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unbraid.methods.tcfdnet.config import TcfdnetConfig
from unbraid.methods.tcfdnet.disentangle import UNKNOWN
from unbraid.methods.tcfdnet.fusion import Adapter
from unbraid.nn.frame_memory import FrameMemory
from unbraid.nn.joint import joint_tower
from unbraid.nn.parts import xavier
from unbraid.nn.resnet9 import ResNet9


@dataclass(frozen=True, eq=False)
class Seen:
    """tokens: CLIP's, the class token first; none at all, L = 0, where nothing asks CLIP."""

    tokens: Float[Tensor, "B L D"]
    local: Float[Tensor, "B D h w"]


class Streams(nn.Module):
    """Frozen CLIP with an adapter beside a trained ResNet-9, frame by frame, and the maximum over valid frames.

    Source: TCFDNet eqs. (1) to (4).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: TcfdnetConfig) -> None:
        super().__init__()
        self.config = config
        if config.uses_clip:
            self.clip = joint_tower(config.clip, pretrained=config.pretrained).requires_grad_(False)
            if self.clip.width != config.text_width:
                raise ValueError(
                    f"text_width = {config.text_width}, but {config.clip} meets texts in {self.clip.width} numbers"
                )
            self.memory = FrameMemory(self._read, room=config.remembered * 2**20) if config.remembered else None
            self.adapter = Adapter(config.text_width, config.adapter_hidden, residual=config.adapter_residual)
            # choosing texts sends no gradient back: without the other uses it would never learn
            self.adapter.requires_grad_(config.mf or not config.resnet)
            for name, value in (("mean", config.clip_mean), ("std", config.clip_std)):
                self.register_buffer(name, torch.tensor(value)[:, None, None], persistent=False)
        if config.resnet:
            names = config.modalities if config.separate_resnets else ("all",)
            self.resnets = nn.ModuleDict({name: ResNet9(config.widths, config.strides) for name in names})
            # CLIP keeps its own weights: it is no part of this
            xavier(self.resnets)

    def forward(
        self, frames: Float[Tensor, "B T C H W"], valid: Bool[Tensor, "B T"], place: Int[Tensor, "B"], chunk: int | None
    ) -> Seen:
        """place: number of each clip's modality, or UNKNOWN. chunk: frames that pass the networks at once; None is all.

        Frames that are not valid pass no network. Batch normalisation in training sees the frames of a chunk together.
        """
        tokens = frames.new_zeros(len(frames), 0, self.config.text_width)
        if self.config.uses_clip:
            tokens = over_time(self._tokens, frames, valid, chunk)
        if not self.config.resnet:
            return Seen(tokens, self._enlarged(tokens))
        if self.config.separate_resnets:
            return Seen(tokens, self._own(frames, valid, place, chunk))
        return Seen(tokens, over_time(self.resnets["all"], frames, valid, chunk))

    def train(self, mode: bool = True) -> "Streams":
        """As every module; CLIP stays in eval mode."""
        super().train(mode)
        if self.config.uses_clip:
            self.clip.eval()
        return self

    def _tokens(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N L D"]:
        seen = self.memory.read(frames) if self.memory and self.training else self._read(frames)
        adapted: Tensor = self.adapter(seen)
        return adapted

    def _read(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N L D"]:
        """CLIP's own tokens."""
        with torch.no_grad():
            seen: Tensor = self.clip((frames - self.mean) / self.std)
        return seen

    def _enlarged(self, tokens: Float[Tensor, "B L D"]) -> Float[Tensor, "B D h w"]:
        """CLIP's patches as a map of the size that the ResNet's would have; ours, for the ablation without it."""
        patches = tokens[:, self.clip.tower.prefix :].mT.unflatten(2, self.clip.grid(*self.config.pixels))
        return F.interpolate(patches, self.config.map_size, mode="bilinear", align_corners=False)

    def _own(
        self, frames: Float[Tensor, "B T C H W"], valid: Bool[Tensor, "B T"], place: Int[Tensor, "B"], chunk: int | None
    ) -> Float[Tensor, "B D h w"]:
        """Each clip through the ResNet of its modality."""
        if bool((place == UNKNOWN).any()):
            raise ValueError(
                "separate_resnets needs to know what sensor a clip is from; give its modality, or share the ResNet"
            )
        rows = [(place == number).nonzero()[:, 0] for number in range(len(self.config.modalities))]
        pairs = zip(rows, self.resnets.values(), strict=True)
        # a batch of one sensor, such as a single long sequence, is not copied
        sides = [(net, own if len(own) < len(place) else slice(None)) for own, net in pairs if len(own)]
        found = [over_time(net, frames[own], valid[own], chunk) for net, own in sides]
        return torch.cat(found)[torch.cat(rows).argsort()]


def over_time(
    network: Callable[[Tensor], Tensor],
    frames: Float[Tensor, "B T C H W"],
    valid: Bool[Tensor, "B T"],
    chunk: int | None,
) -> Float[Tensor, "B ..."]:
    """The maximum over each clip's valid frames of what a network makes of them, in memory for `chunk` frames.

    Raises ValueError for a clip without a valid frame.
    """
    lengths: list[int] = valid.sum(1).tolist()
    if 0 in lengths:
        raise ValueError(f"clip {lengths.index(0)} of the batch has no valid frame; leave it out")
    real = valid.nonzero()
    best: list[Tensor] = []
    for part in real.split(chunk or len(real)):
        rows, counts = part[:, 0].cpu().unique_consecutive(return_counts=True)
        seen = network(frames[part[:, 0], part[:, 1]])
        for row, several in zip(rows.tolist(), seen.split(counts.tolist()), strict=True):
            highest = several.amax(0)
            if row == len(best):
                best.append(highest)
            else:
                best[row] = torch.maximum(best[row], highest)
    return torch.stack(best)
