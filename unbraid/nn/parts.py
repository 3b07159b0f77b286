"""Body parts: horizontal strips of a map, a layer of its own for each, and classifiers that give cosines."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# a zero vector has cosine 0 instead of none
EPSILON = 1e-12
# spread of the first scales of batch normalisation
NORM_SPREAD = 0.02


class HorizontalPooling(nn.Module):
    """Mean plus maximum over each of P horizontal strips.

    bins: numbers of equal strips into which the map is cut, one pyramid level each; P is their sum.
    Source: horizontal pyramid pooling (Fu et al. 2019) in OpenGait's form, in which both are added.
    """

    def __init__(self, bins: tuple[int, ...] = (16,)) -> None:
        super().__init__()
        self.bins, self.parts = bins, sum(bins)

    def forward(self, x: Float[Tensor, "B D h w"]) -> Float[Tensor, "B P D"]:
        """Raises ValueError when strips of whole rows do not fill the map."""
        uneven = [number for number in self.bins if x.shape[2] % number]
        if uneven:
            raise ValueError(f"{uneven[0]} equal strips do not fill a map of {x.shape[2]} rows; bins are {self.bins}")
        strips = [x.unflatten(2, (number, -1)).flatten(3) for number in self.bins]
        return torch.cat([cells.mean(3) + cells.amax(3) for cells in strips], dim=2).mT


class SeparateLinear(nn.Module):
    """A linear layer without bias for every part, Xavier-initialised part by part. Source: OpenGait."""

    def __init__(self, parts: int, width: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(_separate(parts, width, out))

    def forward(self, x: Float[Tensor, "B P D"]) -> Float[Tensor, "B P E"]:
        return torch.einsum("bpd,pde->bpe", x, self.weight)


class PartNeck(nn.Module):
    """Batch normalisation of all parts, then cosines with class vectors of each part.

    forward returns the vectors behind the normalisation at length 1, and the cosines, in float32 at least.
    Source: OpenGait (SeparateBNNecks), where scales start near 1, here at it; BNNeck: Luo et al., "Bag of Tricks".
    """

    def __init__(self, parts: int, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(parts * width)
        self.weight = nn.Parameter(_separate(parts, width, classes))

    def forward(self, x: Float[Tensor, "B P D"]) -> tuple[Float[Tensor, "B P D"], Float[Tensor, "B P N"]]:
        normal = self.norm(x.flatten(1)).view(x.shape)
        with torch.autocast(x.device.type, enabled=False):
            # cosines differ by less than 16 bits tell
            normal = normal.float() if normal.dtype in (torch.float16, torch.bfloat16) else normal
            unit = F.normalize(normal, dim=2, eps=EPSILON)
            return unit, torch.einsum("bpd,pdn->bpn", unit, F.normalize(self.weight, dim=1, eps=EPSILON))


def xavier(network: nn.Module) -> None:
    """Start convolutions and linear layers at Xavier's uniform weights and zero biases, batch normalisations at scales
    near 1, in place.

    Not for networks with a pretrained part inside, which it would overwrite.
    Source: OpenGait.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, NORM_SPREAD)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _separate(parts: int, width: int, out: int) -> Tensor:
    """Xavier's uniform weights P D E, each part a layer of its own."""
    return torch.stack([nn.init.xavier_uniform_(torch.empty(width, out)) for _ in range(parts)])
