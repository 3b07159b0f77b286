"""A Q-Former with several groups of queries that share every layer but do not see each other.

Source: DisenQ, second-hand; layers as in BLIP-2 (Li et al. 2023) and InstructBLIP
(Dai et al. 2023), whose published weights `unbraid.nn.qformer_weights` loads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from unbraid.batch import Text

TextRoute = Literal["projected", "separate", "instruction"]
Recompute = Literal["nothing", "cheap", "layers"]
NORM_EPSILON = 1e-12  # of BERT, and so of the published Q-Formers
INITIAL_SPREAD = 0.02  # likewise, for weights and queries


@dataclass(frozen=True, kw_only=True)
class QFormerConfig:
    """Sizes of a Q-Former and the way by which text enters; the defaults fit the published weights.

    width: D, of queries and layers. inner: width inside the feed-forward parts.
    visual_width, text_width: V and E, of the tokens that come in. queries: M, in each group.
    cross_every: layers 0, cross_every, 2 cross_every, ... look at the visual tokens.
    text: 'projected' maps text tokens to V with a linear layer and a normalisation and appends them to the visual
        tokens, so that one pair of key and value weights serves both: [F, T] of DisenQ;
        'separate' gives text key and value weights of its own; 'instruction' appends text tokens to the queries in
        self-attention and gives them a feed-forward part of their own, as InstructBLIP does.
    dropout, attention_dropout: probabilities, in training only.
    query_noise: standard deviation of noise by which the groups' equal first queries are told apart.
    recompute: what the backward pass computes again instead of keeping it: 'nothing'; 'cheap', attention weights and
        GELU, which take much memory and little time; 'layers', all inside a layer, for the least memory.
    Source: sizes of InstructBLIP, from which DisenQ starts; the paper states none. How T meets F is not in it either;
        'projected' chosen because the published V-wide weights stay loadable and one W serves both as in its formula.
    Raises ValueError naming the field.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    inner: int = 3072
    visual_width: int = 1408
    text_width: int = 768
    queries: int = 32
    cross_every: int = 2
    text: TextRoute = "projected"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    query_noise: float = 0.0
    recompute: Recompute = "cheap"

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "inner", "visual_width", "text_width", "queries", "cross_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more and less than 1")
        if self.query_noise < 0:
            raise ValueError(f"query_noise is {self.query_noise}; expected 0 or more")
        for name, known in (("text", get_args(TextRoute)), ("recompute", get_args(Recompute))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {known}")


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the groups look at: the same in every layer.

    source: visual tokens, followed by the projected text of all groups. words: that text where it has weights of its
    own. allowed: which group may look where, None for everywhere. beside: whether queries and text of a group may be
    looked at in self-attention, None for all.
    """

    source: Float[Tensor, "B S V"]
    words: Float[Tensor, "B L E"] | None = None
    allowed: Bool[Tensor, "B 1 q k"] | None = None
    beside: Bool[Tensor, "N 1 1 s"] | None = None


def _spared(work: Callable[..., Tensor], *given: Tensor | None, spare: bool) -> Tensor:
    """The result of the work; if `spare`, what is inside is computed again in the backward pass."""
    if not (spare and torch.is_grad_enabled()):
        return work(*given)
    out: Tensor = checkpoint(work, *given, use_reentrant=False)
    return out


class _Attention(nn.Module):
    """Multi-head attention, then the sum with what came in and its normalisation.

    source_width: of the tokens looked at. text_width: of text with key and value weights of its own.
    """

    def __init__(self, config: QFormerConfig, source_width: int, text_width: int | None = None) -> None:
        super().__init__()
        width = config.width
        self.heads, self.attention_dropout = config.heads, config.attention_dropout
        self.spare = config.recompute == "cheap"
        self.query, self.output = nn.Linear(width, width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(source_width, width), nn.Linear(source_width, width)
        self.text_key = nn.Linear(text_width, width) if text_width else None
        self.text_value = nn.Linear(text_width, width) if text_width else None
        self.norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(config.dropout)

    def keys(self, source: Tensor, words: Tensor | None) -> Tensor:
        """Keys N heads S d of the source, then of the words."""
        key = self.key(source)
        if words is not None and self.text_key is not None:
            key = torch.cat([key, self.text_key(words)], dim=1)
        return self._split(key)

    def forward(
        self,
        x: Float[Tensor, "N q D"],
        source: Float[Tensor, "N S s"],
        allowed: Bool[Tensor, "#N 1 #q k"] | None,
        words: Float[Tensor, "N L E"] | None = None,
    ) -> Float[Tensor, "N q D"]:
        value = self.value(source)
        if words is not None and self.text_value is not None:
            value = torch.cat([value, self.text_value(words)], dim=1)
        query, key, value = self._split(self.query(x)), self.keys(source, words), self._split(value)
        seen = _spared(self._read, query, key, value, allowed, spare=self.spare and self.training)
        mixed: Tensor = self.norm(x + self.dropout(self.output(seen.transpose(1, 2).flatten(2))))
        return mixed

    def _read(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None) -> Tensor:
        dropout = self.attention_dropout if self.training else 0.0
        return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=dropout)

    def weights(self, x: Tensor, source: Tensor, allowed: Tensor | None) -> Float[Tensor, "N q S"]:
        """How much every query attends to every source token, mean over heads."""
        query, key = self._split(self.query(x)).float(), self.keys(source, None).float()
        scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        looked: Tensor = scores.softmax(3).mean(1)
        return looked

    def _split(self, x: Tensor) -> Tensor:
        parts: Tensor = x.unflatten(2, (self.heads, -1))
        return parts.transpose(1, 2)


class _Feed(nn.Module):
    """Two linear layers around an exact GELU, then the sum with what came in and its normalisation."""

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(config.width, config.inner), nn.Linear(config.inner, config.width)
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(config.dropout)
        self.spare = config.recompute == "cheap"

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        bent = _spared(lambda y: self.outer(F.gelu(y)), self.inner(x), spare=self.spare and self.training)
        fed: Tensor = self.norm(x + self.dropout(bent))
        return fed


class _Layer(nn.Module):
    """Self-attention inside each group, cross-attention of all groups to one source, feed-forward.

    cross: whether the layer looks at the source. text_feed: whether it passes text tokens on.
    """

    def __init__(self, config: QFormerConfig, *, cross: bool, text_feed: bool) -> None:
        super().__init__()
        own = config.text_width if config.text == "separate" else None
        self.attention = _Attention(config, config.width)
        self.cross = _Attention(config, config.visual_width, own) if cross else None
        self.feed = _Feed(config)
        self.text_feed = _Feed(config) if text_feed else None

    def forward(
        self, h: Float[Tensor, "B G M D"], said: Float[Tensor, "B G L D"] | None, seen: _Seen
    ) -> tuple[Float[Tensor, "B G M D"], Float[Tensor, "B G L D"] | None]:
        """Queries and, in the text route 'instruction', the text beside them; the last layer drops the text."""
        size, groups, queries = h.shape[:3]
        x = (h if said is None else torch.cat([h, said], dim=2)).flatten(0, 1)
        x = self.attention(x, x, seen.beside).unflatten(0, (size, groups))
        h = x[:, :, :queries]
        said = None if said is None or self.text_feed is None else self.text_feed(x[:, :, queries:])
        if self.cross is not None:
            # queries do not meet in cross-attention, so all groups can ask the same keys and values
            h = self.cross(h.flatten(1, 2), seen.source, seen.allowed, seen.words).unflatten(1, (groups, queries))
        return self.feed(h), said


class QFormer(nn.Module):
    """Groups of learnt queries that read visual tokens, and text if there is any, through shared layers.

    Groups do not influence each other: a group's output is that of a Q-Former with its queries alone. The keys and
    values of the visual tokens are computed once for all groups.
    groups: names, in the order of the output. All start from the same queries, apart by `config.query_noise`.

        reader = QFormer(QFormerConfig(), ["identity", "motion", "appearance"])
        features = reader(tokens, groups=["identity", "motion"])["identity"].mean(1)
    """

    def __init__(self, config: QFormerConfig, groups: Sequence[str]) -> None:
        super().__init__()
        if not groups or len(set(groups)) < len(groups):
            raise ValueError(f"groups are {list(groups)}; expected one or more different names")
        self.config, self.groups = config, tuple(groups)
        last = config.layers - 1
        instruction = config.text == "instruction"
        self.layers = nn.ModuleList(
            _Layer(config, cross=i % config.cross_every == 0, text_feed=instruction and i < last)
            for i in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(config.dropout)
        self.text_projection = self._text_projection()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=INITIAL_SPREAD)
                nn.init.zeros_(module.bias)
        self.queries = nn.ParameterDict({name: torch.empty(config.queries, config.width) for name in self.groups})
        self.set_queries(torch.empty(config.queries, config.width).normal_(std=INITIAL_SPREAD))

    def _text_projection(self) -> nn.Module:
        config = self.config
        if config.text == "projected":
            # the normalisation is part of our choice; its epsilon is PyTorch's own
            return nn.Sequential(nn.Linear(config.text_width, config.visual_width), nn.LayerNorm(config.visual_width))
        if config.text == "instruction" and config.text_width != config.width:
            return nn.Linear(config.text_width, config.width)
        return nn.Identity()

    def set_queries(self, tokens: Float[Tensor, "M D"], *, generator: torch.Generator | None = None) -> None:
        """Give every group these queries, plus noise of its own when `config.query_noise` is not 0.

        generator: for the noise; PyTorch's own when absent. Raises ValueError for another shape.
        """
        expected = (self.config.queries, self.config.width)
        if tuple(tokens.shape) != expected:
            raise ValueError(f"queries are {tuple(tokens.shape)}; expected {expected}: set queries and width to fit")
        with torch.no_grad():
            for query in self.queries.values():
                noise = torch.randn(expected, generator=generator) if self.config.query_noise else torch.zeros(())
                query.copy_(tokens.to(query) + self.config.query_noise * noise.to(query))

    def forward(
        self,
        visual: Float[Tensor, "B K V"],
        visual_mask: Bool[Tensor, "B K"] | None = None,
        *,
        text: Mapping[str, Text] | None = None,
        groups: Sequence[str] | None = None,
    ) -> dict[str, Float[Tensor, "B M D"]]:
        """The queries of each group after the last layer, by group.

        visual: tokens of one image or clip each. visual_mask: False at padding, None when there is none.
        text: by group; a group that is not named, or whose mask is all False, reads the visual tokens alone. Text of
            groups that are not asked for is left aside.
        groups: the ones to compute, all when None.
        Raises KeyError for an unknown group, ValueError for widths, sizes or masks that do not fit.
        """
        asked = self._asked(groups)
        self._check(visual, visual_mask, text or {})
        given = {name: text[name] for name in asked if text and name in text}
        h = self.norm(torch.stack([self.queries[name] for name in asked]))
        h = self.dropout(h.expand(len(visual), -1, -1, -1).contiguous())
        if self.config.text == "instruction":
            said, seen = self._beside(visual, visual_mask, given, asked)
        else:
            said, seen = None, self._appended(visual, visual_mask, given, asked)
        for layer in self.layers:
            if self.config.recompute == "layers" and self.training and torch.is_grad_enabled():
                h, said = checkpoint(layer, h, said, seen, use_reentrant=False)
            else:
                h, said = layer(h, said, seen)
        return dict(zip(asked, h.unbind(1), strict=True))

    def attention(
        self,
        visual: Float[Tensor, "B K V"],
        visual_mask: Bool[Tensor, "B K"] | None = None,
        *,
        groups: Sequence[str] | None = None,
    ) -> dict[str, Float[Tensor, "B K"]]:
        """How much each group looks at each visual token in its last cross-attention, mean over heads and queries.

        Without text; every row sums to 1. Arguments and errors as in `forward`.
        """
        found: list[Tensor] = []
        last = [layer.cross for layer in self.layers if isinstance(layer, _Layer) and layer.cross is not None][-1]
        hook = last.register_forward_pre_hook(lambda _module, given: found.append(last.weights(*given[:3])))
        try:
            asked = list(self(visual, visual_mask, groups=groups))
        finally:
            hook.remove()
        return dict(zip(asked, found[0].unflatten(1, (len(asked), -1)).mean(2).unbind(1), strict=True))

    def _asked(self, groups: Sequence[str] | None) -> tuple[str, ...]:
        asked = self.groups if groups is None else tuple(groups)
        self._known(asked, "groups")
        if not asked or len(set(asked)) < len(asked):
            raise ValueError(f"groups are {list(asked)}; expected one or more different names of {list(self.groups)}")
        return asked

    def _known(self, names: Sequence[str], what: str) -> None:
        unknown = [name for name in names if name not in self.groups]
        if unknown:
            raise KeyError(f"{what} names {unknown[0]!r}, which is no query group; there are {list(self.groups)}")

    def _check(self, visual: Tensor, visual_mask: Tensor | None, text: Mapping[str, Text]) -> None:
        config, size = self.config, len(visual)
        if visual.ndim != 3 or visual.shape[2] != config.visual_width or not visual.shape[1]:
            raise ValueError(f"visual tokens are {tuple(visual.shape)}; expected B x K x {config.visual_width}, K > 0")
        if visual_mask is not None and visual_mask.shape != visual.shape[:2]:
            raise ValueError(f"visual_mask is {tuple(visual_mask.shape)}; expected {tuple(visual.shape[:2])}")
        # values are unknown while a graph is captured
        if visual_mask is not None and not torch.compiler.is_compiling() and not bool(visual_mask.any(1).all()):
            row = int((~visual_mask.any(1)).nonzero()[0])
            raise ValueError(f"visual_mask hides every token of row {row}; expected at least one real token")
        self._known(list(text), "text")
        for name, words in text.items():
            got = tuple(words.tokens.shape)
            if len(got) != 3 or got[0] != size or got[2] != config.text_width or words.mask.shape != got[:2]:
                raise ValueError(
                    f"text of {name!r}: tokens {got}, mask {tuple(words.mask.shape)}; expected {size} x L x "
                    f"{config.text_width} and {size} x L"
                )

    def _appended(
        self, visual: Tensor, visual_mask: Tensor | None, given: Mapping[str, Text], asked: Sequence[str]
    ) -> _Seen:
        """[F, T] for all groups at once: each may look at the visual tokens and at its own text."""
        words = torch.cat([t.tokens for t in given.values()], dim=1) if given else None
        if words is None and visual_mask is None:
            return _Seen(visual)
        everywhere = torch.ones(visual.shape[:2], dtype=torch.bool, device=visual.device)
        real = everywhere if visual_mask is None else visual_mask
        allowed = torch.stack(
            [torch.cat([real, *(t.mask & (n == name) for n, t in given.items())], dim=1) for name in asked], dim=1
        )
        allowed = allowed.repeat_interleave(self.config.queries, dim=1)[:, None]
        if words is None:
            return _Seen(visual, allowed=allowed)
        words = self.text_projection(words)
        if self.config.text == "separate":
            return _Seen(visual, words, allowed)
        return _Seen(torch.cat([visual, words.to(visual.dtype)], dim=1), allowed=allowed)

    def _beside(
        self, visual: Tensor, visual_mask: Tensor | None, given: Mapping[str, Text], asked: Sequence[str]
    ) -> tuple[Tensor | None, _Seen]:
        """Text tokens next to the queries of their group, padded to the longest, and who may look where."""
        seen = self._appended(visual, visual_mask, {}, asked)
        if not given:
            return None, seen
        config, size = self.config, len(visual)
        longest = max(t.tokens.shape[1] for t in given.values())
        first = next(iter(given.values()))
        tokens = first.tokens.new_zeros(size, len(asked), longest, config.text_width)
        mask = first.mask.new_zeros(size, len(asked), config.queries + longest)
        mask[:, :, : config.queries] = True
        for i, name in enumerate(asked):
            if name in given:
                length = given[name].tokens.shape[1]
                tokens[:, i, :length] = given[name].tokens
                mask[:, i, config.queries : config.queries + length] = given[name].mask
        said = self.dropout(self.norm(self.text_projection(tokens)))
        return said, _Seen(seen.source, None, seen.allowed, mask.flatten(0, 1)[:, None, None])
