"""Tokens of a CLIP image tower in the space that it shares with texts."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from unbraid.nn.pretrained import Pretrained
from unbraid.nn.vision import HOME, OPEN_CLIP, WORLD_CLIP, OpenClipTower, VisionTower, open_clip_file, vision_tower

# of the library's own small CLIP
SMALL_JOINT = 128


class JointTower(Pretrained):
    """All tokens of an image tower after its last normalisation, projected as CLIP projects the class token.

    width: E of the shared space. library_name: the model whose weights are asked for, tower and projection together;
    None when they are in place already.
    """

    def __init__(self, tower: VisionTower, width: int) -> None:
        super().__init__()
        self.tower, self.width = tower, width
        # one file fills both
        self.library_name, tower.library_name = tower.library_name, None
        self.project = nn.Linear(tower.width, width, bias=False)
        # as CLIP starts it; source: open_clip
        nn.init.normal_(self.project.weight, std=tower.width**-0.5)

    def forward(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N L E"]:
        """The class token first, then patches row by row; not normalised.

        Source: TCFDNet, whose tokens all have the width of the shared space; that patches pass the class token's
        projection is inferred from it.
        """
        tokens: Tensor = self.project(self.tower(frames))
        return tokens

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Patches per column and row of an image of this size."""
        return self.tower.grid(height, width)

    def library_file(self) -> Path:
        """The published weight file. Raises FileNotFoundError, saying how to supply it."""
        return open_clip_file(str(self.library_name))

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """open_clip's names of a whole CLIP, or of its image half, to those of the network."""
        named = {f"tower.{name}": value for name, value in self.tower.renamed(state).items()}
        # theirs multiplies from the right
        projection = named.pop("tower.net.proj", None)
        return named if projection is None else {**named, "project.weight": projection.T}


def joint_tower(name: str, *, pretrained: bool) -> JointTower:
    """A CLIP image tower by name: 'open_clip:MODEL/TAG' ('open_clip:ViT-B-16/openai'; TAG may be a weight file), or
    'world-clip', the library's own small one.

    Weights of others are not loaded here: `load_pretrained` does that once, at the start of training.
    Raises KeyError for an unknown name, ValueError for a network that shares no space with texts.

    Example:
        joint_tower("world-clip", pretrained=True)(torch.zeros(1, 3, 64, 64)).shape  # 1 17 128
    """
    if name == WORLD_CLIP:
        small = JointTower(vision_tower(name, pretrained=pretrained), SMALL_JOINT)
        if pretrained:
            small.project.load_state_dict({"weight": small_projection()})
        return small
    if not name.startswith(OPEN_CLIP):
        raise ValueError(
            f"{name!r} shares no space with texts; use a CLIP of open_clip such as 'open_clip:ViT-B-16/openai', or "
            f"'world-clip'"
        )
    tower = vision_tower(name, pretrained=pretrained)
    if not isinstance(tower, OpenClipTower):
        raise ValueError(
            f"{name!r} keeps its projection to the shared space inside another network; use a plain CLIP such as "
            f"'open_clip:ViT-B-16/openai', or 'world-clip'"
        )
    return JointTower(tower, tower.joint)


def small_projection() -> Float[Tensor, "E D"]:
    """The matrix that takes tokens of the library's own tower to the space shared with texts.

    Raises FileNotFoundError where it is missing.

    Example:
        token = vision_tower("world-clip", pretrained=True)(frames)[:, 0]
        alike = cosine(token @ small_projection().T, small_encoder()(texts).tokens[:, 0])
    """
    file = HOME / "projection.safetensors"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; reinstall the package, or train it: make world-clip")
    weight: Tensor = load_file(file)["weight"]
    return weight.to(torch.float32)
