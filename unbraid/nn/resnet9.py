"""A small residual network that keeps much of the map: one block per stage and no pooling."""

import itertools

from jaxtyping import Float
from torch import Tensor, nn

from unbraid.nn.backbones import ResidualBlock


class ResNet9(nn.Module):
    """A 3x3 convolution of stride 1 and four stages of one residual block, frame by frame.

    widths: of the stages; the stem has the first one. strides: of the stages. inputs: channels of a frame.
    stride: input pixels per cell of the map, as a side. With the default sizes 4.9 million parameters, and
    64 x 64 pixels become 16 x 16 cells of 512 numbers.
    Source: OpenGait's ResNet9 as the authors of TCFDNet used it in UniCrossGait; TCFDNet only names it.
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int] = (64, 128, 256, 512),
        strides: tuple[int, int, int, int] = (1, 2, 2, 1),
        *,
        inputs: int = 3,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        )
        pairs = itertools.pairwise((widths[0], *widths))
        self.stages = nn.Sequential(
            *(ResidualBlock(before, after, stride) for (before, after), stride in zip(pairs, strides, strict=True))
        )

    def forward(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"]:
        cells: Tensor = self.stages(self.stem(frames))
        return cells
