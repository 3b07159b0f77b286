"""Which channels of the shared map count: feature selection and enhancement."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from unbraid.nn.parts import xavier


class FeatureSelection(nn.Module):
    """A weight per channel, from the whole map seen through a narrow passage.

    size: height and width of the map, halved by the convolution (by how much the paper does is unknown).
    kind: weights between 0 and 1, or a softmax over channels times their number. even: all channels start alike, which
    is not in the paper.
    Source: TCFDNet eqs. (20) to (22); eq. (23) applies the weights.
    """

    def __init__(
        self,
        width: int,
        size: tuple[int, int],
        *,
        hidden: int,
        slope: float,
        kind: Literal["sigmoid", "softmax"],
        even: bool,
    ) -> None:
        super().__init__()
        self.kind = kind
        cells = -(-size[0] // 2) * -(-size[1] // 2)
        self.reduce = nn.Conv2d(width, width, 3, 2, 1)
        last = nn.Linear(hidden, width)
        self.narrow = nn.Sequential(nn.Linear(cells * width, hidden), nn.LeakyReLU(slope), last)
        self.mix = nn.Conv1d(1, 1, 3, padding=1)
        xavier(self)
        if even:
            nn.init.zeros_(last.weight)

    def forward(self, x: Float[Tensor, "B D h w"]) -> Float[Tensor, "B D"]:
        channels = self.mix(self.narrow(self.reduce(x).flatten(1))[:, None])[:, 0]
        weights: Tensor = channels.sigmoid() if self.kind == "sigmoid" else channels.softmax(1) * x.shape[1]
        return weights
