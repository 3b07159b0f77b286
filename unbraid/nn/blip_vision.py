"""The vision tower of InstructBLIP and BLIP-2: EVA-CLIP ViT-g/14 with 39 blocks, and its published names.

Source: names and sizes of the published InstructBLIP and LAVIS files. Every name is kept, dropped for a
listed reason, or an error.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from timm.models.eva import Eva
from torch import Tensor

from unbraid.nn.vision import VisionTower

INSTRUCTBLIP = "instructblip"
WIDTH, BLOCKS, HEADS, INNER, PATCH, PIXELS = 1408, 39, 16, 6144, 14, 224
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# (where a layout's tower begins, where its blocks do, its last normalisation), then parts outside and inside of blocks
LAYOUTS: dict[str, tuple[str, str, str]] = {
    "transformers": ("vision_model.", "encoder.layers", "vision_model.post_layernorm"),
    "lavis": ("visual_encoder.", "blocks", "ln_vision"),
}
OUTSIDE: dict[str, dict[str, str]] = {
    "transformers": {
        "embeddings.class_embedding": "cls_token",
        "embeddings.position_embedding": "pos_embed",
        "embeddings.patch_embedding.weight": "patch_embed.proj.weight",
        "embeddings.patch_embedding.bias": "patch_embed.proj.bias",
    },
    "lavis": {name: name for name in ("cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias")},
}
INSIDE: dict[str, dict[str, str]] = {
    "transformers": {
        "layer_norm1": "norm1",
        "layer_norm2": "norm2",
        "self_attn.projection": "attn.proj",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    },
    "lavis": {name: name for name in ("norm1", "norm2", "attn.proj", "mlp.fc1", "mlp.fc2")},
}
DROPPED: tuple[tuple[str, str], ...] = (
    (r"query_tokens|(qformer|Qformer)\..+", "Q-Former"),
    (r"(language_model|lm_head|llm_model|t5_model|opt_model)\..+", "language model"),
    (r"(language_projection|llm_proj|t5_proj|opt_proj)\..+", "projection for the language model"),
    (r"(vision_projection|text_projection|vision_proj|text_proj|itm_head)\..+|temp", "image and text matching"),
    (r"visual_encoder\.(fc_norm|norm|head)\..+", "end of the tower that is not used"),
)


@dataclass(frozen=True)
class LoadedTower:
    """What became of a file's tensors. kept: how many. dropped: names with the reason."""

    layout: str
    kept: int
    dropped: Mapping[str, str]

    def __str__(self) -> str:
        reasons = Counter(self.dropped.values())
        dropped = ", ".join(f"{number} of the {reason}" for reason, number in reasons.items()) or "none"
        return f"{self.kept} tensors of a vision tower loaded ({self.layout} names); dropped: {dropped}"


class BlipTower(VisionTower):
    """EVA-CLIP ViT-g/14 as InstructBLIP has it: all tokens after the last normalisation.

    size: height and width of frames in pixels; positions of other sizes than 224 x 224 are interpolated.
    width, blocks, heads, inner, pixels: for tests, which cannot hold a thousand million numbers.
    loaded: what became of a weight file, None before.
    """

    loaded: LoadedTower | None = None

    def __init__(
        self,
        *,
        pretrained: bool,
        width: int = WIDTH,
        blocks: int = BLOCKS,
        heads: int = HEADS,
        inner: int = INNER,
        pixels: int = PIXELS,
    ) -> None:
        net = Eva(
            img_size=pixels,
            patch_size=PATCH,
            num_classes=0,
            global_pool="token",
            embed_dim=width,
            depth=blocks,
            num_heads=heads,
            mlp_ratio=inner / width,
            dynamic_img_size=True,
        )
        super().__init__(net, library_name=INSTRUCTBLIP if pretrained else None)

    def library_file(self) -> Path:
        """Always FileNotFoundError: a whole InstructBLIP is too large to be fetched unasked."""
        raise FileNotFoundError(
            "the weights of InstructBLIP are not part of any package; download a checkpoint such as "
            "Salesforce/instructblip-flan-t5-xl from huggingface.co and pass its file with --weights FILE"
        )

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """InstructBLIP's, BLIP-2's or LAVIS' names and shapes to those of the network; see `translated`."""
        values, self.loaded = self.translated(state, "these weights")
        return values

    def translated(self, state: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], LoadedTower]:
        """The tower's tensors under our names; only these are read from `state`.

        Names may begin with 'module.' and 'model.'.
        Raises ValueError for a name that is neither kept nor known to be left aside, a missing tensor, another shape,
        and a bias of the keys, which this tower does not have.
        """
        theirs = {name.removeprefix("module.").removeprefix("model."): name for name in state}
        layout = next((key for key, (_, _, norm) in LAYOUTS.items() if f"{norm}.weight" in theirs), None)
        if layout is None:
            expected = [f"{norm}.weight" for _, _, norm in LAYOUTS.values()]
            raise ValueError(f"{where} hold no vision tower of BLIP: expected {expected}, found {sorted(theirs)[:5]}")
        names = key_map(len(self.net.blocks), layout)
        missing = [name for name in names if name not in theirs]
        if missing:
            raise ValueError(f"{where} ({layout} names) lack {missing[0]!r} and {len(missing) - 1} more of the tower")
        dropped = {name: _reason(name, where) for name in theirs if name not in names}
        own, values = self.state_dict(), {}
        for name, ours in names.items():
            value = state[theirs[name]]
            for part, one in zip(ours, _parts(value, name, ours, where), strict=True):
                if own[part].shape != one.shape:
                    raise ValueError(
                        f"{where}: {name!r} is {tuple(value.shape)}; this tower has {tuple(own[part].shape)}"
                    )
                values[part] = one
        return values, LoadedTower(layout, len(names), dropped)


def key_map(blocks: int, layout: str) -> dict[str, tuple[str, ...]]:
    """Published name -> ours; the published bias of queries, keys and values is two of ours."""
    root, stem, norm = LAYOUTS[layout]
    names: dict[str, tuple[str, ...]] = {root + a: (f"net.{b}",) for a, b in OUTSIDE[layout].items()}
    modules = {norm: "net.norm"}
    for i in range(blocks):
        theirs, ours = f"{root}{stem}.{i}", f"net.blocks.{i}"
        modules |= {f"{theirs}.{a}": f"{ours}.{b}" for a, b in INSIDE[layout].items()}
        if layout == "lavis":
            names |= {f"{theirs}.attn.{a}": (f"{ours}.attn.{a}",) for a in ("qkv.weight", "q_bias", "v_bias")}
        else:
            names[f"{theirs}.self_attn.qkv.weight"] = (f"{ours}.attn.qkv.weight",)
            names[f"{theirs}.self_attn.qkv.bias"] = (f"{ours}.attn.q_bias", f"{ours}.attn.v_bias")
    return names | {f"{a}.{kind}": (f"{b}.{kind}",) for a, b in modules.items() for kind in ("weight", "bias")}


def _parts(value: Tensor, name: str, ours: tuple[str, ...], where: str) -> tuple[Tensor, ...]:
    if len(ours) == 1:
        return (value,)
    if value.ndim != 1 or len(value) % 3:
        raise ValueError(f"{where}: {name!r} is {tuple(value.shape)}; expected one bias each of queries, keys, values")
    query, key, v = value.chunk(3)
    if bool(torch.count_nonzero(key)):
        raise ValueError(f"{where}: {name!r} has a bias of the keys, which this tower has none of")
    return query, v


def _reason(name: str, where: str) -> str:
    for pattern, reason in DROPPED:
        if re.fullmatch(pattern, name):
            return reason
    raise ValueError(f"{where} hold {name!r}, which is neither a part of this tower nor known to be left aside")
