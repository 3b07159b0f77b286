"""How much each of two similarities counts, decided for each item, so that a plain index can search by the result.

Source: DisenQ, second-hand. Stated is the sum a1 sim_b + a2 sim_m with weights from
a small network; its input, its width and how two items share their weights are ours.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Sharing = Literal["arithmetic", "geometric"]


class SimilarityGate(nn.Module):
    """g(x) = softmax(MLP([x_1; x_2; ...])): one share per aspect, summing to 1; equal shares at first.

    widths: of the aspects. hidden: units between the two layers.
    """

    def __init__(self, widths: Sequence[int], *, hidden: int = 256) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(sum(widths), hidden), nn.Linear(hidden, len(widths))
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, aspects: Sequence[Tensor]) -> Float[Tensor, "B A"]:
        shares: Tensor = self.outer(F.relu(self.inner(torch.cat(list(aspects), dim=1)))).float().softmax(1)
        return shares


def query_vectors(aspects: Sequence[Tensor], shares: Float[Tensor, "Q A"], how: Sharing) -> Float[Tensor, "Q D"]:
    """What a query asks an index of `gallery_vectors` for: their inner product is sum_i w_i cos_i.

    aspects: one Q x D_i each. shares: of the aspects, summing to 1.
    how: w_i of a pair is the 'arithmetic' mean (g_i(query) + g_i(item)) / 2 or the 'geometric' one,
        sqrt(g_i(query) g_i(item)). For the latter both sides have the same vectors, of length 1 where shares sum to 1,
        so that it is a plain cosine; for the former D is 2 sum_i D_i.
    """
    unit = [F.normalize(aspect.float(), dim=1) for aspect in aspects]
    own = shares.float().unbind(1)
    if how == "geometric":
        return _scaled(unit, [share.sqrt() for share in own])
    return torch.cat([_scaled(unit, own), *unit], dim=1) / 2


def gallery_vectors(aspects: Sequence[Tensor], shares: Float[Tensor, "G A"], how: Sharing) -> Float[Tensor, "G D"]:
    """What an index holds of each item; see `query_vectors`."""
    if how == "geometric":
        return query_vectors(aspects, shares, how)
    unit = [F.normalize(aspect.float(), dim=1) for aspect in aspects]
    return torch.cat([*unit, _scaled(unit, shares.float().unbind(1))], dim=1)


def _scaled(aspects: Sequence[Tensor], factors: Sequence[Tensor]) -> Tensor:
    return torch.cat([x * f[:, None] for x, f in zip(aspects, factors, strict=True)], dim=1)
