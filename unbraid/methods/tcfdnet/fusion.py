"""From CLIP's tokens and a local map to one weighted map: adapter, multi-grained fusion, spatial weighting."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unbraid.nn.parts import xavier


class Adapter(nn.Module):
    """A two-layer network behind a normalisation, for tokens of images and for texts.

    residual: it adds to what it gets, and adds nothing at first; without it, eq. as written.
    Source: TCFDNet, among eqs. (1) to (4) for images and eq. (13) for texts; residual and GELU are not in the paper.
    """

    def __init__(self, width: int, hidden: int, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.norm = nn.LayerNorm(width)
        last = nn.Linear(hidden, width)
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), last)
        xavier(self.layers)
        if residual:
            nn.init.zeros_(last.weight)

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        out: Tensor = self.layers(self.norm(x))
        return x + out if self.residual else out


class CrossAttention(nn.Module):
    """Multi-head attention of queries to a context, without biases. Source: TCFDNet, among eqs. (5) to (9)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, queries: Float[Tensor, "B L D"], context: Float[Tensor, "B S D"]) -> Float[Tensor, "B L D"]:
        asked, keys, values = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, queries), (self.key, context), (self.value, context))
        )
        seen = F.scaled_dot_product_attention(asked, keys, values)
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out


class MultiGrainedFusion(nn.Module):
    """Tokens and local map ask each other, layer by layer; the sum over layers of what the map got is the result.

    residual: each layer adds to what it got, and so does the whole, which adds nothing at first.
    Of the last layer only the map's side exists: nothing would read the other.
    Source: TCFDNet eqs. (5) to (9).
    """

    def __init__(self, width: int, *, layers: int, heads: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.local = nn.ModuleList(CrossAttention(width, heads) for _ in range(layers))
        self.whole = nn.ModuleList(CrossAttention(width, heads) for _ in range(layers - 1))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        xavier(self)
        if residual:
            nn.init.zeros_(self.out.weight)

    def forward(self, tokens: Float[Tensor, "B L D"], local: Float[Tensor, "B D h w"]) -> Float[Tensor, "B D h w"]:
        cells = local.flatten(2).mT
        found = []
        for number, layer in enumerate(self.local):
            before = cells, tokens
            cells = layer(cells, tokens)
            if number < len(self.whole):
                # both from the previous layer's values
                tokens = self.whole[number](tokens, before[0])
                tokens = tokens + before[1] if self.residual else tokens
            cells = cells + before[0] if self.residual else cells
            found.append(cells)
        fused: Tensor = self.out(self.norm(sum(found[1:], found[0])))
        placed: Tensor = fused.mT.unflatten(2, local.shape[2:])
        return local + placed if self.residual else placed


class SpatialWeighting(nn.Module):
    """How much each place of a map counts, of either sign.

    even: at first every place counts 1.
    Source: TCFDNet eq. (10), without a last sigmoid; `even` is not in the paper.
    """

    def __init__(self, width: int, hidden: int, *, slope: float, even: bool) -> None:
        super().__init__()
        last = nn.Conv2d(hidden, 1, 1)
        self.layers = nn.Sequential(
            nn.Conv2d(width, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.LeakyReLU(slope), last
        )
        xavier(self.layers)
        if even and last.bias is not None:
            nn.init.zeros_(last.weight)
            nn.init.ones_(last.bias)

    def forward(self, x: Float[Tensor, "B D h w"]) -> Float[Tensor, "B 1 h w"]:
        weights: Tensor = self.layers(x)
        return weights
