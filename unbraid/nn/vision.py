"""Image transformers as token encoders: timm's, open_clip's, and the small one that comes with the library."""

import difflib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from timm.layers import PatchEmbed, resample_abs_pos_embed
from timm.models import eva, vision_transformer
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from unbraid.nn.pretrained import Pretrained

WORLD_CLIP = "world-clip"
OPEN_CLIP = "open_clip:"
# of the channels of the stem
GROUPS = 8
HOME = Path(__file__).parent / "world_clip"
EXAMPLE = "use one such as 'vit_base_patch16_clip_224.openai' or 'eva02_large_patch14_clip_224.merged2b'"


class VisionTower(Pretrained):
    """A vision transformer up to its last normalisation.

    width: D. size: native height and width in pixels. Other sizes work where the network was built for them
    (positions are interpolated); `stride` pixels make one patch. prefix: tokens before the patches, the class token
    first.
    library_name: the model whose weights the network asks for, None when it starts as built.
    fresh_norm: the last normalisation starts at scale 1 and shift 0, whatever the weights say.
    """

    net: Any
    last: str

    def __init__(self, net: nn.Module, *, library_name: str | None = None, fresh_norm: bool = False) -> None:
        """net: timm's VisionTransformer or Eva."""
        super().__init__()
        self.net = net
        self.library_name, self.fresh_norm = library_name, fresh_norm
        self._measure(net)
        if fresh_norm:
            getattr(net, self.last).reset_parameters()

    def _measure(self, net: Any) -> None:
        self.width = int(net.embed_dim)
        self.size: tuple[int, int] = net.patch_embed.img_size
        self.stride: int = net.patch_embed.patch_size[0]
        self.prefix: int = net.num_prefix_tokens
        # networks that average patches keep their normalisation behind the average
        self.last = "fc_norm" if isinstance(net.norm, nn.Identity) else "norm"

    def forward(
        self, frames: Float[Tensor, "N C H W"], side: Float[Tensor, "N D"] | None = None
    ) -> Float[Tensor, "N L D"]:
        """Tokens after the last normalisation: the class token first, then patches row by row.

        side: added to every token after the positions, the class token included.
        Source of the side embedding: TransReID (He et al. 2021); DIFFER, released code.
        """
        net = self.net
        placed = net._pos_embed(net.patch_embed(frames))
        x, rotation = placed if isinstance(placed, tuple) else (placed, None)
        if side is not None:
            x = x + side[:, None]
        x = net.norm_pre(x)
        for block in net.blocks:
            x = block(x) if rotation is None else block(x, rope=rotation)
        tokens: Tensor = getattr(net, self.last)(x)
        return tokens

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Patches per column and row of an image of this size."""
        return height // self.stride, width // self.stride

    def attention(
        self, frames: Float[Tensor, "N C H W"], side: Float[Tensor, "N D"] | None = None
    ) -> Float[Tensor, "N h w"]:
        """How much the class token attends to each patch in the last block, mean over heads."""
        seen: list[Tensor] = []
        layer: Any = self.net.blocks[-1].attn
        # the fused product never forms the matrix; the plain one hands it to this layer
        hook = layer.attn_drop.register_forward_hook(lambda _module, _given, out: seen.append(out))
        fused, layer.fused_attn = layer.fused_attn, False
        try:
            self(frames, side)
        finally:
            hook.remove()
            layer.fused_attn = fused
        weights = seen[0][:, :, 0, self.prefix :].mean(1)
        return weights.view(len(weights), *self.grid(*frames.shape[2:]))

    def library_file(self) -> Path:
        """The file that timm or open_clip publishes, or the file that stands for open_clip's tag."""
        name = str(self.library_name)
        return open_clip_file(name) if name.startswith(OPEN_CLIP) else super().library_file()

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Names and shapes of timm's, open_clip's or the publishers' own files to those of the network."""
        return self._kept(self._translated(dict(state)))

    def _translated(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        kind: Any = eva if isinstance(self.net, Eva) else vision_transformer
        named: dict[str, Tensor] = kind.checkpoint_filter_fn(state, self.net)
        return named

    def _kept(self, named: dict[str, Tensor]) -> dict[str, Tensor]:
        own = {n: v for n, v in self.state_dict().items() if self.fresh_norm and n.startswith(f"net.{self.last}.")}
        return {f"net.{n}": v for n, v in named.items()} | own


class OpenClipTower(VisionTower):
    """The image tower of an open_clip model in open_clip's own implementation.

    joint: width of the space shared with texts; the projection to it is not part of this tower (see `nn.joint`).
    """

    joint: int

    def _measure(self, net: Any) -> None:
        self.width = int(net.conv1.out_channels)
        self.size = tuple(net.image_size)
        self.stride = int(net.patch_size[0])
        self.prefix = 1
        self.last = "ln_post"
        self.joint = int(net.proj.shape[1])
        net.proj = None

    def forward(
        self, frames: Float[Tensor, "N C H W"], side: Float[Tensor, "N D"] | None = None
    ) -> Float[Tensor, "N L D"]:
        """As `VisionTower.forward`. Raises ValueError for frames that whole patches do not fill."""
        height, width = frames.shape[2:]
        if height % self.stride or width % self.stride:
            raise ValueError(
                f"open_clip tower got frames of {height} x {width} pixels, which patches of {self.stride} x "
                f"{self.stride} do not fill; set data.height and data.width to multiples of {self.stride}"
            )
        net = self.net
        patches = net.conv1(frames).flatten(2).transpose(1, 2)
        x = torch.cat([net.class_embedding.expand(len(patches), 1, -1), patches], dim=1)
        x = x + self._positions(height, width)
        if side is not None:
            x = x + side[:, None]
        tokens: Tensor = net.ln_post(net.transformer(net.ln_pre(x)))
        return tokens

    def _positions(self, height: int, width: int) -> Float[Tensor, "L D"]:
        """The class token's position, and those of patches brought to their number by bicubic interpolation."""
        native: Tensor = self.net.positional_embedding
        if (height, width) == self.size:
            return native
        grid, new = self.grid(*self.size), self.grid(height, width)
        found: Tensor = resample_abs_pos_embed(native[None], list(new), list(grid), num_prefix_tokens=1)[0]
        return found

    def attention(
        self, frames: Float[Tensor, "N C H W"], side: Float[Tensor, "N D"] | None = None
    ) -> Float[Tensor, "N h w"]:
        """As `VisionTower.attention`."""
        seen: list[Tensor] = []
        block: Any = self.net.transformer.resblocks[-1]
        hook = block.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
        try:
            self(frames, side)
        finally:
            hook.remove()
        x = block.ln_1(seen[0])
        weights: Tensor = block.attn(x, x, x, need_weights=True)[1]
        return weights[:, 0, 1:].reshape(len(weights), *self.grid(*frames.shape[2:]))

    def _translated(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The image half of a whole CLIP, or a file of that half alone."""
        return {n.removeprefix("visual."): v for n, v in state.items() if n.startswith("visual.")} or state


class ConvStem(PatchEmbed):  # type: ignore[misc]  # timm has no types
    """Patches of 16 x 16 pixels from four 3x3 convolutions of stride 2.

    Not in any paper of ours; chosen because a small transformer learns shape much sooner behind convolutions
    (source: Xiao et al., "Early Convolutions Help Transformers See Better", 2021). Normalised image by image, not over
    the batch: photographs and silhouettes share no statistics.
    """

    def __init__(self, *args: object, in_chans: int = 3, embed_dim: int = 192, **kwargs: object) -> None:
        super().__init__(*args, in_chans=in_chans, embed_dim=embed_dim, **kwargs)
        widths = (in_chans, embed_dim // 6, embed_dim // 3, embed_dim * 2 // 3)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 3, 2, 1, bias=False),
                nn.GroupNorm(GROUPS, after),
                nn.ReLU(inplace=True),
            ]
        self.proj = nn.Sequential(*layers, nn.Conv2d(widths[-1], embed_dim, 3, 2, 1))


def small_transformer(*, channels: int = 3) -> VisionTransformer:
    """The architecture of the library's own image tower: 4 blocks of width 192 behind `ConvStem`, 128 x 64 pixels."""
    return VisionTransformer(
        img_size=(128, 64),
        patch_size=16,
        in_chans=channels,
        embed_dim=192,
        depth=4,
        num_heads=3,
        num_classes=0,
        embed_layer=ConvStem,
        dynamic_img_size=True,
    )


def vision_tower(
    name: str, *, pretrained: bool, size: tuple[int, int] | None = None, fresh_norm: bool = False
) -> VisionTower:
    """An image tower by name: a timm vision transformer ('vit_base_patch16_clip_224.openai'), 'open_clip:MODEL/TAG'
    ('open_clip:ViT-B-16/openai'; TAG may be a weight file), or 'world-clip'.

    size: height and width in pixels to build a timm model for, its own when absent.
    fresh_norm: see `VisionTower`.
    Weights of others are not loaded here: `load_pretrained` does that once, at the start of training. The small
    tower's weights come with the library and are in place at once.
    Raises KeyError for an unknown name, ValueError for a network of another kind.
    """
    if name == WORLD_CLIP:
        net = small_transformer()
        if pretrained:
            net.load_state_dict({k: v.float() for k, v in load_file(_small_file()).items()})
        return VisionTower(net, fresh_norm=fresh_norm)
    library_name = name if pretrained else None
    if name.startswith(OPEN_CLIP):
        return _open_clip_tower(name, library_name, fresh_norm)
    return VisionTower(_timm_net(name, size), library_name=library_name, fresh_norm=fresh_norm)


def _small_file() -> Path:
    file = HOME / "image.safetensors"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; reinstall the package, or train it: make world-clip")
    return file


def _timm_net(name: str, size: tuple[int, int] | None) -> VisionTransformer | Eva:
    import timm

    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('.')[0]}*")[:5] or timm.list_models("*clip*")[:5]
        raise KeyError(f"no image tower {name!r} in timm; some near names: {near}. The small one of ours: 'world-clip'")
    options = {"img_size": size} if size else {}
    try:
        net = timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True, **options)
    except RuntimeError as error:
        known = timm.list_pretrained(f"{name.split('.')[0]}.*")
        raise KeyError(f"no image tower {name!r} in timm ({error}); pretrained ones: {known}") from error
    except TypeError as error:
        # other kinds of networks do not know all of the options
        raise ValueError(f"{name!r} is no vision transformer; {EXAMPLE}") from error
    if not isinstance(net, VisionTransformer | Eva) or net.cls_token is None:
        raise ValueError(f"{name!r} is no vision transformer with a class token; {EXAMPLE}")
    return net


def _open_clip_tower(name: str, library_name: str | None, fresh_norm: bool) -> VisionTower:
    open_clip = _open_clip()
    model, _, tag = name.removeprefix(OPEN_CLIP).partition("/")
    config = open_clip.get_model_config(model)
    if config is None:
        near = difflib.get_close_matches(model, open_clip.list_models(), n=5, cutoff=0.3)
        raise KeyError(f"no image tower {name!r} in open_clip; some near models: {near}")
    known = open_clip.get_pretrained_cfg(model, tag) if tag else {}
    if library_name and not known and not Path(tag).is_file():
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise KeyError(f"{name!r} names no weights: {tag!r} is no file, and open_clip has the tags {tags}")
    vision = config["vision_cfg"]
    if "timm_model_name" in vision:
        size = vision.get("image_size", 224)
        net = _timm_net(vision["timm_model_name"], (size, size) if isinstance(size, int) else tuple(size))
        return VisionTower(net, library_name=library_name, fresh_norm=fresh_norm)
    # the activation belongs to the weights: some were trained with a quick approximation
    quick = bool(config.get("quick_gelu") or known.get("quick_gelu"))
    # the public way builds the text half as well, and warns of missing weights, which come later here
    visual = open_clip.model._build_vision_tower(config["embed_dim"], vision | {"patch_dropout": 0.0}, quick)
    if not hasattr(visual, "class_embedding") or visual.attn_pool is not None:
        raise ValueError(f"{name!r} is no vision transformer with a class token; {EXAMPLE}")
    return OpenClipTower(visual, library_name=library_name, fresh_norm=fresh_norm)


def open_clip_file(name: str) -> Path:
    """The weight file of 'open_clip:MODEL/TAG', cached, downloaded, or TAG itself.

    Raises FileNotFoundError, saying how to supply the file, when it is neither here nor reachable.
    """
    from huggingface_hub.errors import HfHubHTTPError

    open_clip = _open_clip()
    model, _, tag = name.removeprefix(OPEN_CLIP).partition("/")
    if Path(tag).is_file():
        return Path(tag)
    try:
        return Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(model, tag)))
    except (OSError, HfHubHTTPError, RuntimeError) as error:
        raise FileNotFoundError(
            f"the weights of {name} are not cached and could not be fetched ({type(error).__name__}). Download them "
            f"where there is a network and pass --weights FILE"
        ) from error


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError as error:
        raise ValueError(f"towers of {OPEN_CLIP}... need a package: pip install open_clip_torch") from error
    return open_clip
