"""DIFFER (Liang & Rawat, CVPR 2025): identity features of people in other clothes, freed with the help of texts.

What is unusual here:
- linear maps W lead from the feature to text spaces: one biometric, any number of non-biometric ones;
- the biometric map is pulled to its text, and with it the encoder;
- each non-biometric map learns to match its text while the gradient it sends to the encoder is reversed;
- the camera enters as a vector added to all tokens of the image transformer;
- texts, maps and reversal live in training only: `encode` needs pixels, and the camera if it is known.
The README beside this file maps the loss to code and lists deviations.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import functional_call

from unbraid.batch import Batch, Clip
from unbraid.losses.alignment import among, contrast_rows, matched, mean_or_zero, same_rows, scaled_cosines
from unbraid.losses.metric import batch_hard_triplet, distances
from unbraid.losses.precision import at_least_float32
from unbraid.method import Method
from unbraid.methods.differ.config import BIOMETRIC, DifferConfig
from unbraid.nn.backbones import Trunk, residual_trunk
from unbraid.nn.gradient import ramp, reverse
from unbraid.nn.heads import NeckHead
from unbraid.nn.vision import VisionTower, vision_tower
from unbraid.spaces import Spaces

# largest learnable scale and where it starts; source: CLIP (Radford et al. 2021), section 2.5
LARGEST_SCALE, FIRST_SCALE = 100.0, 1 / 0.07
# second output of a gated adversary, which teaches the encoder alone
GATE = "gate/"


class Differ(Method):
    """DIFFER. Spaces: identity (the feature, the only one to compare people by); for inspection also biometric and one
    per non-biometric aspect: the feature as the training-side maps see it."""

    Config = DifferConfig
    steps: Tensor

    def __init__(self, config: DifferConfig, *, classes: Mapping[str, int]) -> None:
        super().__init__(config, classes=classes)
        weights = config.weights
        self.detached = config.aspects if weights.nonbiometric > 0 else ()
        self.labels = config.attributes if weights.attributes > 0 else ()
        self.aspects = ((BIOMETRIC,) if config.biometric and weights.biometric > 0 else ()) + self.detached
        self.spaces = ("identity", *self.aspects)
        self.supervision = tuple(dict.fromkeys(("identity", *self.labels)))
        self.trunk = _trunk(config)
        width = self.trunk.width if isinstance(self.trunk, VisionTower) else self.trunk.channels[1]
        if config.side:
            if not isinstance(self.trunk, VisionTower):
                raise ValueError(
                    f"differ: trunk {config.trunk!r} has no tokens to add the camera to; set side to False"
                )
            self.sensor = ("camera",)
            self.camera = nn.Embedding(self.number_of("camera") + 1, width, padding_idx=0)
            nn.init.trunc_normal_(self.camera.weight.data[1:], std=0.02)
        self.head = NeckHead(width, self.number_of("identity"), neck=config.neck)
        if not config.neck:
            nn.init.trunc_normal_(self.head.classify.weight, std=0.02)
            # starts close to equal odds; source: released code
            self.head.classify.weight.data.mul_(0.001)
            nn.init.zeros_(self.head.classify.bias)
        if weights.identity == 0:
            self.head.classify.requires_grad_(False)
        if BIOMETRIC in self.aspects:
            self.toward = _projection(config, width, bias=True)
        self.against = nn.ModuleDict({name: _projection(config, width, bias=False) for name in self.detached})
        self.tell = nn.ModuleDict({name: _linear(width, self.number_of(name), bias=True) for name in self.labels})
        if config.temperature == "learnable":
            self.log_scale = nn.Parameter(torch.full((len(self.aspects),), math.log(FIRST_SCALE)))
        if config.ramp:
            self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        if config.gated:
            self.rates = {"against.": config.gated_rate, "tell.": config.gated_rate}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named outputs, first axis B: 'raw' before the neck, 'logits', one projection per aspect and logits per
        attribute; those of adversaries a second time under 'gate/' when gated."""
        clip, config = batch.clip, self.config
        share = clip.valid / clip.valid.sum(1, keepdim=True)
        if config.colour_dropout and self.training:
            clip = replace(clip, frames=_some_without_colours(clip.frames, config.colour_dropout))
        raw = torch.einsum("btd,bt->bd", self._frames(clip), share.to(clip.frames.dtype))
        feature, logits = self.head(raw)
        out = {"raw": raw, "logits": logits}
        alpha = self._alpha(feature)
        if BIOMETRIC in self.aspects:
            out[BIOMETRIC] = self.toward(feature)
        factors = config.factors or (1.0,) * len(config.aspects)
        for name, factor in zip(config.aspects, factors, strict=True):
            if name in self.detached:
                out |= self._adversary(self.against[name], feature, alpha * factor, name)
        for name in self.labels:
            out |= self._adversary(self.tell[name], feature, alpha, f"label/{name}")
        if config.temperature == "learnable":
            out["scale"] = self.log_scale.exp().clamp(max=LARGEST_SCALE).expand(len(raw), -1)
        return {name: at_least_float32(value) for name, value in out.items()}

    def losses(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """The terms of the README's table, unweighted; what is reversed is reversed in `forward`."""
        config, identity = self.config, batch.labels["identity"]
        terms = {
            "identity": F.cross_entropy(out["logits"], identity, label_smoothing=config.smoothing),
            "triplet": batch_hard_triplet(distances(out["raw"]), identity, lonely="skip"),
        }
        if BIOMETRIC in self.aspects:
            terms["biometric"] = mean_or_zero(self._rows(out, batch, BIOMETRIC))
        if self.detached:
            terms["nonbiometric"] = _sum([self._reversed(out, batch, name) for name in self.detached])
        if self.labels:
            values = [self._told(out, batch, name) for name in self.labels]
            # a mean: their number should not decide how strongly they act; not in the paper
            terms["attributes"] = _sum(values) / len(values)
        return {name: value for name, value in terms.items() if getattr(config.weights, name) > 0}

    def monitor(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Share of rows that each text map and attribute classifier gets right, by name: 'accuracy/clothing', ...

        The values of the contrastive terms hardly move at scale 1; these do. An adversary at 0 has not been beaten: the
        encoder says the opposite, which tells as much.
        """
        shares = {f"accuracy/{name}": matched(*self._asked(out, batch, name)) for name in self.aspects}
        for name in self.labels:
            right = out[f"label/{name}"].argmax(1) == batch.labels[name]
            shares[f"accuracy/label/{name}"] = right.float().mean()
        return shares

    def encode(self, clip: Clip) -> Spaces:
        """Unit vectors B D of the identity space and B E of the projections: means over a clip's valid frames of the
        frames' unit vectors. A clip whose sensor facts lack the camera is from an unknown one."""
        feature = self.head.normalise(self._frames(clip))
        named = {"identity": feature}
        if BIOMETRIC in self.aspects:
            named[BIOMETRIC] = self.toward(feature)
        named |= {name: self.against[name](feature) for name in self.detached}
        return Spaces({name: _mean_direction(at_least_float32(value), clip.valid) for name, value in named.items()})

    def raw(self, clip: Clip) -> Float[Tensor, "B D"]:
        """The mean over valid frames of their features before the neck."""
        weights = clip.valid / clip.valid.sum(1, keepdim=True)
        return torch.einsum("btd,bt->bd", at_least_float32(self._frames(clip)), weights)

    def heat(self, clip: Clip) -> dict[str, Float[Tensor, "B T h w"]]:
        """Attention of the class token in the last block; for the small trunk how much each cell adds to the feature.

        Not in the paper.
        """
        frames, shape = clip.frames.flatten(0, 1), clip.frames.shape[:2]
        if isinstance(self.trunk, VisionTower):
            cells = self.trunk.attention(frames, self._side(clip))
        else:
            cells = self.trunk(frames)[1]
            cells = torch.einsum("nchw,nc->nhw", cells, F.normalize(cells.mean((2, 3)), dim=1)).clamp_min(0)
        return {"identity": at_least_float32(cells).unflatten(0, shape)}

    def _frames(self, clip: Clip) -> Float[Tensor, "B T D"]:
        """Features of single frames before the neck."""
        frames = clip.frames.flatten(0, 1)
        if isinstance(self.trunk, VisionTower):
            found: Tensor = self.trunk(frames, self._side(clip))[:, 0]
        else:
            found = self.trunk(frames)[1].mean((2, 3))
        return found.view(*clip.frames.shape[:2], -1)

    def _side(self, clip: Clip) -> Float[Tensor, "N D"] | None:
        """The camera's vector for each frame."""
        if not self.config.side:
            return None
        number, length = clip.frames.shape[:2]
        unknown = torch.zeros(number, dtype=torch.long, device=clip.frames.device)
        side: Tensor = self.config.side_scale * self.camera(clip.sensor.get("camera", unknown))
        return side.repeat_interleave(length, dim=0)

    def _alpha(self, feature: Tensor) -> float | Tensor:
        """The strength of reversal at this step, counted in a buffer so that a resumed run goes on with it."""
        alpha: float = self.config.alpha
        if not self.config.ramp:
            return alpha
        now = alpha * ramp(self.steps / self.config.ramp)
        if self.training:
            self.steps += 1
        return now.to(feature.device)

    def _adversary(self, head: nn.Module, feature: Tensor, alpha: float | Tensor, name: str) -> dict[str, Tensor]:
        if not self.config.gated:
            return {name: head(reverse(feature, alpha))}
        frozen = {n: p.detach() for n, p in head.named_parameters()}
        return {
            name: head(feature.detach()),
            GATE + name: functional_call(head, frozen, (reverse(feature, alpha),)),
        }

    def _asked(
        self, out: Mapping[str, Tensor], batch: Batch, aspect: str, *, gate: bool = False
    ) -> tuple[Float[Tensor, "N N"], Bool[Tensor, "N N"]]:
        """Logits and right answers of the images that have a text about an aspect against those texts."""
        text, present = self._texts(batch, aspect)
        positives = torch.eye(len(text), dtype=torch.bool, device=text.device)
        if self.config.positives == "text":
            positives = same_rows(text)
        elif self.config.positives == "identity" and aspect == BIOMETRIC:
            identity = batch.labels["identity"]
            positives = identity[:, None] == identity[None, :]
        scale: float | Tensor = self.config.scale
        if "scale" in out:
            # all rows hold the same; their mean reaches the parameter from every device
            scale = out["scale"].mean(0)[self.aspects.index(aspect)]
            scale = scale.detach() if gate else scale
        logits = scaled_cosines(out[GATE + aspect if gate else aspect], text, scale)
        return among(logits, present), among(positives, present)

    def _rows(self, out: Mapping[str, Tensor], batch: Batch, aspect: str, *, gate: bool = False) -> Float[Tensor, "N"]:
        """The contrastive loss of every image that has a text about the aspect."""
        logits, positives = self._asked(out, batch, aspect, gate=gate)
        rows = contrast_rows(logits, positives)
        if self.config.direction == "both":
            rows = (rows + contrast_rows(logits.T, positives.T)) / 2
        return rows

    def _reversed(self, out: Mapping[str, Tensor], batch: Batch, aspect: str) -> Float[Tensor, ""]:
        rows = self._rows(out, batch, aspect)
        if not self.config.gated:
            return mean_or_zero(rows)
        return _gated(rows, self._rows(out, batch, aspect, gate=True), max(len(rows), 1))

    def _told(self, out: Mapping[str, Tensor], batch: Batch, label: str) -> Float[Tensor, ""]:
        name, target = f"label/{label}", batch.labels[label]
        rows = F.cross_entropy(out[name], target, reduction="none")
        if not self.config.gated:
            return rows.mean()
        return _gated(rows, F.cross_entropy(out[GATE + name], target, reduction="none"), out[name].shape[1])

    def _texts(self, batch: Batch, aspect: str) -> tuple[Float[Tensor, "B D"], Bool[Tensor, "B"]]:
        """One vector per image, and which are real. Raises ValueError for texts that do not fit the config."""
        if aspect not in batch.text:
            raise ValueError(f"differ learns from texts about {aspect!r}, but the batch has {sorted(batch.text)}")
        text = batch.text[aspect]
        length, width = text.tokens.shape[1:]
        if length != 1 or width != self.config.text_width:
            raise ValueError(
                f"differ needs one vector of {self.config.text_width} numbers per text about {aspect!r} and got "
                f"{length} of {width}; make a bank with a pooled encoder and set config.text_width to its width"
            )
        return text.tokens[:, 0], text.mask[:, 0]


def _gated(rows: Float[Tensor, "N"], against: Float[Tensor, "N"], choices: int) -> Float[Tensor, ""]:
    """The adversary's loss, as value and for its parameters; the encoder's part ends where a row is at chance.

    Not in the paper; chosen because an encoder that is rewarded for errors beyond chance learns to say the opposite,
    which keeps all that it was to forget.
    """
    cut = mean_or_zero(against.clamp_max(math.log(choices)))
    return mean_or_zero(rows) + cut - cut.detach()


def _sum(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()


def _mean_direction(x: Float[Tensor, "B T D"], valid: Bool[Tensor, "B T"]) -> Float[Tensor, "B D"]:
    """Unit vectors of frames, averaged over the valid ones and brought to length 1 again.

    Source: the evaluation on video of DIFFER's first released code averages unit vectors of clips; to do the same with
    frames is ours.
    """
    return F.normalize((F.normalize(x, dim=2) * valid[..., None]).sum(1), dim=1)


def _some_without_colours(frames: Float[Tensor, "B T 4 H W"], probability: float) -> Float[Tensor, "B T 4 H W"]:
    """A copy in which each clip has lost its colours with this probability; the mask stays.

    Chance is torch's, which the training loop seeds at every step, as for any dropout.
    Not in the paper; ModDrop (Neverova et al. 2016) drops any kind of input so, here only colours are.
    """
    kept = torch.rand(len(frames), 1, 1, 1, 1, device=frames.device) >= probability
    return torch.cat([frames[:, :, :3] * kept, frames[:, :, 3:]], dim=2)


def _trunk(config: DifferConfig) -> Trunk | VisionTower:
    if config.trunk.startswith("small-"):
        if config.fresh_norm:
            raise ValueError(f"differ: trunk {config.trunk!r} has no last normalisation; set fresh_norm to False")
        return residual_trunk(config.trunk, pretrained=config.pretrained, inputs=config.channels)
    if config.channels != 3:
        raise ValueError(
            f"differ: trunk {config.trunk!r} takes frames of 3 channels, not {config.channels}; use 'small-16' or alike"
        )
    return vision_tower(config.trunk, pretrained=config.pretrained, fresh_norm=config.fresh_norm)


def _projection(config: DifferConfig, width: int, *, bias: bool) -> nn.Module:
    """A map W; the two-layer variant of the released code has biases everywhere."""
    if config.projection == "linear":
        return _linear(width, config.text_width, bias=bias)
    return nn.Sequential(
        _linear(width, config.hidden, bias=True), nn.GELU(), _linear(config.hidden, config.text_width, bias=True)
    )


def _linear(width: int, out: int, *, bias: bool) -> nn.Linear:
    layer = nn.Linear(width, out, bias=bias)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
