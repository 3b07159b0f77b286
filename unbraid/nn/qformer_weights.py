"""Published Q-Former weights into ours: BLIP-2's and InstructBLIP's, under the names of transformers or of LAVIS.

Every name is either kept, or dropped for a reason that is listed here, or an error.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from unbraid.nn.pretrained import tensors_of
from unbraid.nn.qformer import QFormer, QFormerConfig

Layout = Literal["instructblip", "blip2", "lavis"]

# where the tensors of a layout begin, what it calls an attention's inner part, and its first normalisation
LAYOUTS: dict[Layout, tuple[str, str, str]] = {
    "instructblip": ("qformer.", "attention", "embeddings.layernorm"),
    "blip2": ("qformer.", "attention", "layernorm"),
    "lavis": ("Qformer.bert.", "self", "embeddings.LayerNorm"),
}
QUERIES = "query_tokens"

TEXT_FEED = "feed-forward part for text"
# what a whole model holds besides: a pattern that the full name must match, and why it is left aside
DROPPED: tuple[tuple[str, str], ...] = (
    (r"(qformer|Qformer\.bert)\.encoder\.layer\.\d+\.(intermediate|output)\..+", TEXT_FEED),
    (r"((qformer|Qformer\.bert)\.)?embeddings\.(word_embeddings\.weight|position_.+)", "word and position embeddings"),
    (r"Qformer\.cls\..+", "word prediction"),
    (r"(vision_model|visual_encoder|ln_vision)\..+", "vision tower"),
    (r"(language_model|lm_head|llm_model|t5_model|opt_model)\..+", "language model"),
    (r"(language_projection|llm_proj|t5_proj|opt_proj)\..+", "projection for the language model"),
    (r"(vision_projection|text_projection|vision_proj|text_proj|itm_head)\..+|temp", "image and text matching"),
)


@dataclass(frozen=True)
class Loaded:
    """What became of a file's tensors. kept: how many. dropped: names with the reason.

    fresh: our tensors that no such file holds and that stay as they were built.
    """

    layout: Layout
    kept: int
    dropped: Mapping[str, str]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        reasons = Counter(self.dropped.values())
        dropped = ", ".join(f"{number} of the {reason}" for reason, number in reasons.items()) or "none"
        return (
            f"{self.kept} tensors of a Q-Former loaded ({self.layout} names); dropped: {dropped}; "
            f"not in the file, as built: {', '.join(self.fresh) or 'none'}"
        )


def load_qformer(
    network: QFormer, source: Path | Mapping[str, Tensor], *, generator: torch.Generator | None = None
) -> Loaded:
    """Fill the layers and the queries of every group from published weights; says what it kept and dropped.

    source: tensors by name, or where they lie: a whole model or one that holds `query_tokens` and the Q-Former, as
        safetensors file, index or folder (only what is kept is read), or as PyTorch file of plain tensors.
    generator: for the noise between the groups' queries, see `QFormer.set_queries`.
    Names may begin with 'module.' and 'model.'. Text parts without a published counterpart stay as they were built.
    Raises FileNotFoundError, ValueError for a name that is neither kept nor known to be left aside, a missing tensor
    or another shape; nothing is changed then.
    Source: the names in the published files of both layouts.
    """
    where = str(source) if isinstance(source, Path) else "these weights"
    if isinstance(source, Path):
        source = tensors_of(source)
    theirs = {name.removeprefix("module.").removeprefix("model."): name for name in source}
    if len(theirs) < len(source):
        raise ValueError(f"{where} name a tensor with and without the prefix 'model.' or 'module.'; remove one of them")
    layout = layout_of(theirs, where)
    names = key_map(network.config, layout)
    missing = [name for name in (QUERIES, *names) if name not in theirs]
    if missing:
        raise ValueError(
            f"{where} ({layout} names) lack {missing[0]!r} and {len(missing) - 1} more that this Q-Former of "
            f"{network.config.layers} layers needs; use a file of the whole model, or set layers and cross_every to fit"
        )
    dropped = {name: _reason(name, where) for name in theirs if name != QUERIES and name not in names}

    own = network.state_dict()
    values = {ours: source[theirs[name]] for name, ours in names.items()}
    for name, ours in names.items():
        if values[ours].shape != own[ours].shape:
            raise ValueError(
                f"{where}: {name!r} is {tuple(values[ours].shape)}; this Q-Former has {tuple(own[ours].shape)}: "
                f"set width, inner and visual_width to fit"
            )
    queries = source[theirs[QUERIES]]
    network.set_queries(queries[0] if queries.ndim == 3 and len(queries) == 1 else queries, generator=generator)
    network.load_state_dict(values, strict=False)
    fresh = tuple(n for n in own if n not in values and not n.startswith("queries."))
    return Loaded(layout, len(values) + 1, dropped, fresh)


def layout_of(names: Mapping[str, str], where: str = "these weights") -> Layout:
    """Whose names these are. Raises ValueError when they hold no Q-Former that is known here."""
    for layout, (root, _, norm) in LAYOUTS.items():
        if f"{root}{norm}.weight" in names:
            return layout
    expected = [f"{root}{norm}.weight" for root, _, norm in LAYOUTS.values()]
    raise ValueError(f"{where} hold no Q-Former: expected one of {expected}, found {sorted(names)[:5]} ...")


def key_map(config: QFormerConfig, layout: Layout) -> dict[str, str]:
    """Published name -> ours, for every tensor of the layers; the queries (`query_tokens`) come on top.

    The feed-forward part for text is in it in the text route 'instruction' alone, and never for the last layer, whose
    text goes nowhere.
    """
    root, inner, norm = LAYOUTS[layout]
    modules = {root + norm: "norm"}
    for i in range(config.layers):
        theirs, ours = f"{root}encoder.layer.{i}", f"layers.{i}"
        modules |= _attention(f"{theirs}.attention", f"{ours}.attention", inner)
        if i % config.cross_every == 0:
            modules |= _attention(f"{theirs}.crossattention", f"{ours}.cross", inner)
        modules |= _feed(theirs, f"{ours}.feed", "_query")
        if config.text == "instruction" and i < config.layers - 1:
            modules |= _feed(theirs, f"{ours}.text_feed", "")
    return {f"{a}.{kind}": f"{b}.{kind}" for a, b in modules.items() for kind in ("weight", "bias")}


def _attention(theirs: str, ours: str, inner: str) -> dict[str, str]:
    linear = {f"{theirs}.{inner}.{part}": f"{ours}.{part}" for part in ("query", "key", "value")}
    return linear | {f"{theirs}.output.dense": f"{ours}.output", f"{theirs}.output.LayerNorm": f"{ours}.norm"}


def _feed(theirs: str, ours: str, suffix: str) -> dict[str, str]:
    return {
        f"{theirs}.intermediate{suffix}.dense": f"{ours}.inner",
        f"{theirs}.output{suffix}.dense": f"{ours}.outer",
        f"{theirs}.output{suffix}.LayerNorm": f"{ours}.norm",
    }


def _reason(name: str, where: str) -> str:
    for pattern, reason in DROPPED:
        if re.fullmatch(pattern, name):
            return reason
    raise ValueError(
        f"{where} hold {name!r}, which is neither a part of this Q-Former nor known to be left aside; "
        f"set layers, cross_every and text to fit, or remove it"
    )
