"""What reads the tokens of a clip: one Q-Former for all query groups, one for each, or none.

All readers take B x K x V tokens with their mask, texts by group and the groups that are asked for, and give B x M x D
per group.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unbraid.batch import Text
from unbraid.methods.disenq.config import DisenqConfig
from unbraid.nn.blip_vision import INSTRUCTBLIP
from unbraid.nn.pretrained import Pretrained
from unbraid.nn.qformer import INITIAL_SPREAD, QFormer, QFormerConfig
from unbraid.nn.qformer_weights import Loaded, load_qformer


class QueryReader(Pretrained):
    """Q-Formers for all groups together, or one for each ('independent').

    loaded: what became of a weight file, None before.
    """

    loaded: Loaded | None = None

    def __init__(self, config: DisenqConfig, visual_width: int) -> None:
        super().__init__()
        sizes = QFormerConfig(
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            inner=config.inner,
            visual_width=visual_width,
            text_width=config.text_width,
            queries=config.queries,
            cross_every=config.cross_every,
            text=config.text_route,
            dropout=config.dropout,
            attention_dropout=config.dropout,
            query_noise=config.query_noise,
            recompute=config.recompute,
        )
        sets = [(group,) for group in config.groups] if config.reader == "independent" else [config.groups]
        self.nets = nn.ModuleList(QFormer(sizes, groups) for groups in sets)
        with torch.no_grad():
            for module in self.nets.modules():
                if isinstance(module, nn.Linear):
                    module.weight.mul_(config.first_spread / INITIAL_SPREAD)
        self.library_name = config.trunk if config.pretrained and config.trunk == INSTRUCTBLIP else None
        self.width = config.width

    def forward(
        self,
        visual: Float[Tensor, "B K V"],
        mask: Bool[Tensor, "B K"] | None,
        *,
        text: Mapping[str, Text] | None = None,
        groups: Sequence[str],
    ) -> dict[str, Float[Tensor, "B M D"]]:
        """The queries of each group after the last layer, by group in the order asked."""
        found: dict[str, Tensor] = {}
        for net, asked in self._shared(groups):
            found |= net(visual, mask, text={g: t for g, t in (text or {}).items() if g in asked}, groups=asked)
        return {group: found[group] for group in groups}

    def attention(
        self, visual: Float[Tensor, "B K V"], mask: Bool[Tensor, "B K"] | None, *, groups: Sequence[str]
    ) -> dict[str, Float[Tensor, "B K"]]:
        """How much each group looks at each token, rows summing to 1."""
        found: dict[str, Tensor] = {}
        for net, asked in self._shared(groups):
            found |= net.attention(visual, mask, groups=asked)
        return {group: found[group] for group in groups}

    def load(self, source: Mapping[str, Tensor]) -> Loaded:
        """Fill every Q-Former from published weights; see `load_qformer`."""
        reports = [load_qformer(net, source) for net in self.nets if isinstance(net, QFormer)]
        self.loaded = reports[0]
        return reports[0]

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All tensors of this part, the published ones among them filled; strict as `load_qformer`."""
        self.load(state)
        return dict(self.state_dict())

    def queries_of(self, group: str) -> nn.Parameter:
        """M x D, the first queries of a group."""
        queries: nn.Parameter = self._shared([group])[0][0].queries[group]
        return queries

    def text_parts(self) -> list[nn.Parameter]:
        """What is used where there are texts alone."""
        return [p for n, p in self.named_parameters() if ".text_" in n]

    def _shared(self, groups: Sequence[str]) -> list[tuple[QFormer, list[str]]]:
        shared = [(net, [g for g in groups if g in net.groups]) for net in self.nets if isinstance(net, QFormer)]
        return [(net, asked) for net, asked in shared if asked]


class PooledReader(nn.Module):
    """The mean of the clip's tokens and, behind a linear map and a normalisation, those of its texts: [F, T].

    Not in the paper; chosen for its ablations without Q-Former, whose networks are unknown.
    """

    def __init__(self, config: DisenqConfig, visual_width: int) -> None:
        super().__init__()
        self.text_projection = nn.Sequential(nn.Linear(config.text_width, visual_width), nn.LayerNorm(visual_width))
        self.width = visual_width

    def forward(
        self,
        visual: Float[Tensor, "B K V"],
        mask: Bool[Tensor, "B K"] | None,
        *,
        text: Mapping[str, Text] | None = None,
        groups: Sequence[str],
    ) -> dict[str, Float[Tensor, "B 1 V"]]:
        """One vector for each group, the mean of the real tokens."""
        real = _real(visual, mask)
        found = {}
        for group in groups:
            tokens, there = visual, real
            if text and group in text:
                words = self.text_projection(text[group].tokens).to(visual.dtype)
                tokens, there = torch.cat([visual, words], dim=1), torch.cat([real, text[group].mask], dim=1)
            share = (there / there.sum(1, keepdim=True)).to(tokens.dtype)
            found[group] = torch.einsum("bkv,bk->bv", tokens, share)[:, None]
        return found

    def attention(
        self, visual: Float[Tensor, "B K V"], mask: Bool[Tensor, "B K"] | None, *, groups: Sequence[str]
    ) -> dict[str, Float[Tensor, "B K"]]:
        """The length of each token along the mean, no less than 0: how much it adds; rows sum to 1 or are 0."""
        real = _real(visual, mask)
        (mean,) = self(visual, mask, groups=groups[:1]).values()
        adds = torch.einsum("bkv,bcv->bk", visual, mean).clamp_min(0) * real
        share = adds / adds.sum(1, keepdim=True).clamp_min(torch.finfo(adds.dtype).tiny)
        return dict.fromkeys(groups, share)

    def text_parts(self) -> list[nn.Parameter]:
        """What is used where there are texts alone."""
        return list(self.text_projection.parameters())


def _real(visual: Tensor, mask: Tensor | None) -> Tensor:
    return torch.ones(visual.shape[:2], dtype=torch.bool, device=visual.device) if mask is None else mask
