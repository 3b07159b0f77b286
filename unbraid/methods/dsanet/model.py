"""DSANet (Kim, Cho, Lee; WACV 2023): identity and camera features of a video, split and recombined.

What is unusual here:
- a camera branch (CEL) grows from the third stage and lives in training only, the identity branch from the fourth;
- attention maps of the left, middle and right window find the person inside a misaligned box (TLM);
- frames are weighed by a score that imitates how well each frame alone is classified (FWG);
- the identity vector of one clip is added to the camera vector of another and must keep its identity (SAO).
The README beside this file maps the paper's loss to code and lists deviations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unbraid.batch import Batch, Clip
from unbraid.losses.independence import cosine_hinge
from unbraid.losses.metric import batch_hard_triplet, cosine_distances, distances, within_identity_variance
from unbraid.losses.precision import at_least_float32
from unbraid.method import Method
from unbraid.nn.backbones import residual_trunk
from unbraid.nn.heads import NeckHead
from unbraid.spaces import Spaces

# keeps the 'sum' normaliser defined when all frames are equally good; not in the paper
EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class DSANetWeights:
    """Factors of eqs. (9) and (10); lambda is 0.1. A weight of 0 removes the term and a head that nothing else uses;
    `frame` trains the head that `quality` reads, so it goes with it."""

    identity: float = 1.0
    triplet: float = 1.0
    disentangle: float = 1.0
    intra: float = 1.0
    augment: float = 0.1
    halves: float = 0.1
    camera: float = 0.1
    quality: float = 0.1
    frame: float = 0.1


@dataclass(frozen=True, kw_only=True)
class DSANetConfig:
    """The network and its open choices; every default is the recommended reading where the paper is silent."""

    trunk: str = "resnet50.tv_in1k"
    """A timm ResNet, or 'small-W' for the CPU trunk."""
    pretrained: bool = True
    """Start from the library's ImageNet weights."""
    camera: bool = True
    """Camera branch (CEL), its head and the hinge on the cosine between identity and camera."""
    localise: bool = True
    """Target localisation module (TLM)."""
    weigh: bool = True
    """Frame weight generator (FWG); without it frames are averaged."""
    aggregate: bool = True
    """Switching and aggregation (SAO); needs `camera`."""
    neck: bool = True
    """BNNeck before every head; False is the literal paper: plain linear heads."""
    camera_layer: Literal["norm", "norm_relu", "plain"] = "norm"
    """What follows the 1x1 convolution of the camera branch."""
    camera_pool: Literal["all", "space_then_time"] = "all"
    """Maximum over time and space at once, or over space and then the mean over time."""
    localise_kernel: int = 7
    """Kernel of the attention convolution."""
    localise_softmax: Literal["window", "width", "sigmoid"] = "window"
    """Softmax over all positions of a window, over its width only, or a sigmoid."""
    localise_shared: bool = True
    """One attention convolution for the three windows."""
    weigh_normaliser: Literal["softmax", "sum"] = "softmax"
    """How frame scores become weights that sum to 1."""
    aggregate_by: Literal["sum", "mean"] = "sum"
    """How identity and camera vectors are joined."""
    aggregate_detach_camera: bool = False
    """Keep the gradient of the joined vector away from the camera branch."""
    intra_channels: Literal["mean", "sum"] = "mean"
    """Mean or sum of the squared deviation over channels."""
    intra_unit: bool = False
    """Normalise identity vectors before their deviation is taken."""
    disentangle_on: Literal["raw", "neck"] = "raw"
    """Vectors before or after the necks in the cosine hinge."""
    triplet: Literal["soft_euclidean", "cosine"] = "soft_euclidean"
    """Soft-margin batch-hard on Euclidean distance, or a hinge on cosine distance."""
    triplet_margin: float = 0.3
    """Margin of the cosine variant."""
    weights: DSANetWeights = field(default_factory=DSANetWeights)

    def __post_init__(self) -> None:
        if self.localise_kernel < 1 or self.localise_kernel % 2 == 0:
            raise ValueError(f"localise_kernel = {self.localise_kernel}; expected an odd number, such as 7")


class DSANet(Method):
    """DSANet. Spaces: identity (after the neck; the only test feature of the paper) and camera."""

    Config = DSANetConfig

    def __init__(self, config: DSANetConfig, *, classes: Mapping[str, int]) -> None:
        super().__init__(config, classes=classes)
        if config.aggregate and not config.camera:
            raise ValueError("dsanet: aggregate needs the camera branch; set camera to True or aggregate to False")
        identities = self.number_of("identity")
        self.trunk = residual_trunk(config.trunk, pretrained=config.pretrained)
        middle, width = self.trunk.channels
        self.identity_head = NeckHead(width, identities, neck=config.neck)
        if config.camera:
            self.supervision = ("identity", "camera")
            self.spaces = ("identity", "camera")
            self.camera_layer = _camera_layer(middle, width, config.camera_layer)
            self.camera_head = NeckHead(width, self.number_of("camera"), neck=config.neck)
            if self.number_of("camera") == 1 or config.weights.camera == 0:
                self.camera_head.classify.requires_grad_(False)
        if config.localise:
            self.localise = Localise(config)
        self.has_halves = config.localise and config.weights.halves > 0
        if self.has_halves:
            self.halves_head = NeckHead(width, identities, neck=config.neck)
        self.has_quality = config.weigh and config.weights.quality > 0
        if config.weigh:
            self.frame_score = nn.Conv1d(width, 1, 1)
            # near 0, so that training starts from the temporal mean
            nn.init.normal_(self.frame_score.weight, std=1e-3 / width**0.5)
            nn.init.zeros_(self.frame_score.bias)  # type: ignore[arg-type]
        if self.has_quality:
            self.frame_head = NeckHead(width, identities, neck=config.neck)
            if config.weights.frame == 0:
                self.frame_head.requires_grad_(False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named outputs: vectors before the necks, logits per head, frame weights; first axis B."""
        config, clip = self.config, batch.clip
        middle, last = self._stages(clip)
        frames, map_ = self._frames(last)
        weights = self._weights(frames, clip.valid)
        identity = _over_time(frames, weights)
        normal, logits = self.identity_head(identity)
        out = {"identity": identity, "identity_neck": normal, "identity_logits": logits, "valid": clip.valid}
        if config.camera:
            camera = self._camera(middle, clip.valid)
            camera_normal, camera_logits = self.camera_head(camera)
            out |= {"camera": camera, "camera_neck": camera_normal, "camera_logits": camera_logits}
        if config.aggregate:
            other = camera_normal.detach() if config.aggregate_detach_camera else camera_normal
            joined = normal + other[torch.randperm(len(other), device=other.device)]
            joined = joined / 2 if config.aggregate_by == "mean" else joined
            out["augmented_logits"] = self.identity_head.classify(joined)
        if self.has_halves:
            left, right = map_.chunk(2, dim=4)
            both = torch.stack([left.amax((3, 4)), right.amax((3, 4))], dim=2)
            out["halves_logits"] = self.halves_head(both)[1]
        if config.weigh:
            out["frame_weights"] = weights
        if self.has_quality:
            out["frame_logits"] = self.frame_head(frames)[1]
        return {name: at_least_float32(value) for name, value in out.items()}

    def losses(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """The terms of eqs. (9) and (10) and the added frame term, unweighted; see the README's table."""
        config, identity = self.config, batch.labels["identity"]
        valid = out["valid"]
        near = distances if config.triplet == "soft_euclidean" else cosine_distances
        margin = None if config.triplet == "soft_euclidean" else config.triplet_margin
        terms = {
            "identity": F.cross_entropy(out["identity_logits"], identity),
            "triplet": batch_hard_triplet(near(out["identity"]), identity, margin=margin),
        }
        vector = F.normalize(out["identity"], dim=1) if config.intra_unit else out["identity"]
        terms["intra"] = within_identity_variance(vector, identity, channels=config.intra_channels)
        if config.camera:
            end = "_neck" if config.disentangle_on == "neck" else ""
            terms["disentangle"] = cosine_hinge(out["identity" + end], out["camera" + end])
            if self.classes["camera"] > 1:
                terms["camera"] = F.cross_entropy(out["camera_logits"], batch.labels["camera"])
        if config.aggregate:
            terms["augment"] = F.cross_entropy(out["augmented_logits"], identity)
        if self.has_halves:
            # eq. (5) adds the left and the right term
            left, right = out["halves_logits"].unbind(2)
            per_frame = _frame_cross_entropy(left, identity) + _frame_cross_entropy(right, identity)
            terms["halves"] = per_frame[valid].mean()
        if self.has_quality:
            per_frame = _frame_cross_entropy(out["frame_logits"], identity)
            target = quality_weights(per_frame.detach(), valid, config.weigh_normaliser)
            terms["quality"] = (out["frame_weights"] - target)[valid].square().mean()
            terms["frame"] = per_frame[valid].mean()
        return {name: value for name, value in terms.items() if getattr(config.weights, name) > 0}

    def encode(self, clip: Clip) -> Spaces:
        """identity B D after the neck; camera B D after its neck when the branch exists."""
        middle, last = self._stages(clip)
        frames, _ = self._frames(last)
        identity = _over_time(frames, self._weights(frames, clip.valid))
        named = {"identity": self.identity_head.normalise(identity)}
        if self.config.camera:
            named["camera"] = self.camera_head.normalise(self._camera(middle, clip.valid))
        return Spaces(named)

    def raw(self, clip: Clip) -> Float[Tensor, "B d"]:
        """The mean over valid frames and cells of the trunk's last map."""
        frames = at_least_float32(self._stages(clip)[1].mean((3, 4)))
        return _over_time(frames, clip.valid / clip.valid.sum(1, keepdim=True))

    def heat(self, clip: Clip) -> dict[str, Float[Tensor, "B T h w"]]:
        """How much of each space comes from each cell of its map.

        Every channel of a space is the maximum over a map; the cell that holds it is credited with the channel's
        length after the neck, in the identity space times the weight of the frame.
        Not in the paper, which shows activations; chosen because a cell that is bright in every picture says nothing.
        """
        middle, last = self._stages(clip)
        frames, map_ = self._frames(last)
        weights = self._weights(frames, clip.valid)
        credit = self.identity_head.normalise(frames).abs() * weights[..., None]
        maps = {"identity": _credited(map_.flatten(0, 1), credit.flatten(0, 1)).view(*map_.shape[:2], *map_.shape[3:])}
        if self.config.camera:
            seen = self.camera_layer(middle.flatten(0, 1)).view(*middle.shape[:2], -1, *middle.shape[3:])
            seen = seen.masked_fill(~clip.valid[:, :, None, None, None], -torch.inf)
            normal = self.camera_head.normalise(self._camera(middle, clip.valid)).abs()
            if self.config.camera_pool == "all":
                # one map per clip, its frames side by side
                wide = _credited(seen.movedim(1, 3).flatten(3, 4), normal)
                maps["camera"] = wide.view(len(wide), seen.shape[3], seen.shape[1], -1).movedim(2, 1)
            else:
                share = normal[:, None] * (clip.valid / clip.valid.sum(1, keepdim=True))[..., None]
                maps["camera"] = _credited(seen.flatten(0, 1), share.flatten(0, 1)).view(
                    *seen.shape[:2], *seen.shape[3:]
                )
        return {name: at_least_float32(value) for name, value in maps.items()}

    def frame_weights(self, clip: Clip) -> Float[Tensor, "B T"] | None:
        """The weights that FWG gives, rows summing to 1; None without FWG."""
        if not self.config.weigh:
            return None
        frames, _ = self._frames(self._stages(clip)[1])
        return self._weights(frames, clip.valid)

    def _stages(self, clip: Clip) -> tuple[Float[Tensor, "B T c h w"], Float[Tensor, "B T d h w"]]:
        shape = clip.frames.shape[:2]
        middle, last = self.trunk(clip.frames.flatten(0, 1))
        return middle.unflatten(0, shape), last.unflatten(0, shape)

    def _frames(self, last: Float[Tensor, "B T d h w"]) -> tuple[Float[Tensor, "B T d"], Float[Tensor, "B T d h w"]]:
        map_ = self.localise(last.flatten(0, 1)).unflatten(0, last.shape[:2]) if self.config.localise else last
        return map_.amax((3, 4)), map_

    def _weights(self, frames: Float[Tensor, "B T d"], valid: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        if not self.config.weigh:
            return valid / valid.sum(1, keepdim=True)
        score = at_least_float32(self.frame_score(frames.transpose(1, 2))[:, 0])
        return quality_weights(score, valid, self.config.weigh_normaliser)

    def _camera(self, middle: Float[Tensor, "B T c h w"], valid: Bool[Tensor, "B T"]) -> Float[Tensor, "B d"]:
        frames = self.camera_layer(middle.flatten(0, 1)).amax((2, 3)).unflatten(0, valid.shape)
        if self.config.camera_pool == "all":
            pooled: Tensor = frames.masked_fill(~valid[..., None], -torch.inf).amax(1)
            return pooled
        return _over_time(frames, valid / valid.sum(1, keepdim=True))


class Localise(nn.Module):
    """Target localisation (TLM): attention of the left, middle and right half-width window, eqs. (2) to (4)."""

    def __init__(self, config: DSANetConfig) -> None:
        super().__init__()
        kernel = config.localise_kernel
        number = 1 if config.localise_shared else 3
        self.convs = nn.ModuleList(nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False) for _ in range(number))
        self.softmax = config.localise_softmax

    def attention(self, x: Float[Tensor, "N C h w"]) -> Float[Tensor, "N 1 h w"]:
        """[A_L ; A_R] + A_M of eq. (3), A_M padded with zeros to the middle columns.

        Raises ValueError unless the map's width is divisible by 4.
        """
        width = x.shape[3]
        if width % 4:
            raise ValueError(
                f"dsanet: the last feature map is {x.shape[2]} x {width}; its width must be divisible by 4. "
                f"Choose --data.width accordingly, or --config.no-localise"
            )
        half, quarter = width // 2, width // 4
        windows = (x[..., :half], x[..., quarter : quarter + half], x[..., half:])
        left, middle, right = (
            self._window(window, self.convs[i if len(self.convs) > 1 else 0]) for i, window in enumerate(windows)
        )
        return torch.cat([left, right], dim=3) + F.pad(middle, (quarter, quarter))

    def _window(self, x: Float[Tensor, "N C h v"], conv: nn.Module) -> Float[Tensor, "N 1 h v"]:
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)  # eq. (2): [max; mean]
        score = at_least_float32(conv(pooled))
        if self.softmax == "window":
            return score.flatten(2).softmax(2).view_as(score)
        return score.softmax(3) if self.softmax == "width" else score.sigmoid()

    def forward(self, x: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C h w"]:
        """Eq. (4)."""
        return self.attention(x).to(x.dtype) * x + x


def quality_weights(score: Float[Tensor, "B T"], valid: Bool[Tensor, "B T"], normaliser: str) -> Float[Tensor, "B T"]:
    """Weights that sum to 1 over the valid frames, larger where the score (a cross-entropy) is smaller.

    Source: DSANet eq. (6) for the difference to the worst frame; the normaliser is not in the paper.
    """
    worst = score.masked_fill(~valid, -torch.inf).amax(1, keepdim=True)
    better = worst - score
    if normaliser == "softmax":
        return better.masked_fill(~valid, -torch.inf).softmax(1)
    share = (better + EPSILON) * valid
    return share / share.sum(1, keepdim=True)


def _credited(map_: Float[Tensor, "N C h w"], credit: Float[Tensor, "N C"]) -> Float[Tensor, "N h w"]:
    """The credit of each channel, put where the channel is largest, summed over channels."""
    cells = map_.flatten(2)
    heat = torch.zeros_like(cells[:, 0]).scatter_add(1, cells.argmax(2), credit)
    return heat.view(len(map_), *map_.shape[2:])


def _camera_layer(middle: int, width: int, after: str) -> nn.Sequential:
    conv = nn.Conv2d(middle, width, 1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    if after == "plain":
        return nn.Sequential(conv)
    norm = nn.BatchNorm2d(width)
    return nn.Sequential(conv, norm) if after == "norm" else nn.Sequential(conv, norm, nn.ReLU())


def _over_time(frames: Float[Tensor, "B T d"], weights: Float[Tensor, "B T"]) -> Float[Tensor, "B d"]:
    """Weighted sum of frame vectors."""
    return torch.einsum("btd,bt->bd", frames, weights.to(frames.dtype))


def _frame_cross_entropy(logits: Float[Tensor, "B T N"], identity: Tensor) -> Float[Tensor, "B T"]:
    """Cross-entropy of every frame against its clip's identity."""
    repeated = identity[:, None].expand(logits.shape[:2])
    return F.cross_entropy(logits.transpose(1, 2), repeated, reduction="none")
