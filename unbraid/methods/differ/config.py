"""The choices of DIFFER; each says whether it is the paper's, the released code's, or ours."""

from dataclasses import dataclass, field
from typing import Literal

BIOMETRIC = "biometric"


@dataclass(frozen=True, kw_only=True)
class DifferWeights:
    """Factors of the terms, all 1 in the released code. A weight of 0 removes the term and what nothing else uses."""

    identity: float = 1.0
    triplet: float = 1.0
    biometric: float = 1.0
    nonbiometric: float = 1.0
    attributes: float = 1.0


@dataclass(frozen=True, kw_only=True)
class DifferConfig:
    """The network and its open choices; the defaults follow the earliest released code."""

    trunk: str = "eva02_large_patch14_clip_224.merged2b"
    """The paper's EVA02-CLIP-L/14 in timm, any timm vision transformer, 'open_clip:MODEL/TAG', the library's own
    'world-clip', or 'small-W' for the small convolutional trunk; the last two are ours."""
    pretrained: bool = True
    """Start from the weights that belong to the trunk's name, as the paper does."""
    fresh_norm: bool = False
    """Start the last normalisation at scale 1 and shift 0. True is the released code (its loader passes the weights
    over, which looks accidental); False is ours."""
    channels: int = 3
    """Channels of a frame: 3 is the paper; 4 (RGB and mask) and 1 (mask), for 'small-W', are ours."""
    colour_dropout: float = 0.0
    """Probability that a training frame loses its colours (they become 0, the mean colour) and keeps its mask, which
    needs 4 channels. Ours: an adversary can only take colours away, it does not make a network look at shapes."""
    text_width: int = 768
    """Width of the text vectors in the bank: 512, 768 or 1024 in the released code, by data set; 128 for
    'world-clip'."""
    biometric: bool = True
    """Bring the feature to the biometric text; the paper's L_Cb."""
    aspects: tuple[str, ...] = ("hair", "clothing")
    """Texts that the feature must not tell; one reversed projection each. The paper's differ by data set."""
    attributes: tuple[str, ...] = ()
    """Labels that classifiers behind the same reversal learn, without any text: ours, the reference that a claim for
    text must beat."""
    alpha: float = 1.0
    """Strength of reversal: the encoder gets -alpha times the gradient; 1 in the released code."""
    factors: tuple[float, ...] = ()
    """A factor on alpha per aspect, 1 for all when empty; ours."""
    ramp: int = 0
    """Training steps in which alpha grows from 0 (the ramp of gradient-reversal training, Ganin & Lempitsky 2015); 0 is
    the constant of the released code."""
    gated: bool = False
    """Ours: the adversaries learn from the detached feature, `gated_rate` times as fast, and a row is reversed only
    while its adversary does better than chance, so that the encoder cannot win by saying the opposite."""
    gated_rate: float = 10.0
    """Factor on the learning rate of gated adversaries; ours."""
    projection: Literal["linear", "mlp"] = "linear"
    """The maps W to the text spaces: linear as in the paper, or the released two-layer variant."""
    hidden: int = 512
    """Width between the two layers of 'mlp'; 512 in the released code."""
    temperature: Literal["fixed", "learnable"] = "fixed"
    """Scale of the cosines: `scale`, or exp(theta) per text from 1/0.07, at most 100 (as CLIP); the latter is ours."""
    scale: float = 1.0
    """The fixed scale; 1 in the released code."""
    positives: Literal["index", "identity", "text"] = "index"
    """Right answers of an image: its own text (released code); the biometric texts of its identity; or all texts that
    are equal to its own, of every aspect. The last two are ours."""
    direction: Literal["image", "both"] = "image"
    """Image to text as in the released code, or the mean of both directions."""
    side: bool = True
    """Add a learned vector of the camera to all tokens (transformers only); row 0, of an unknown camera, is zero."""
    side_scale: float = 3.0
    """Factor on that vector: 3 in the later released code and in TransReID, 1 in the earliest."""
    neck: bool = False
    """Batch normalisation between feature and heads (BNNeck); not in the released code."""
    smoothing: float = 0.0
    """Label smoothing of the identity term; off in the released settings."""
    weights: DifferWeights = field(default_factory=DifferWeights)

    def __post_init__(self) -> None:
        twice = sorted({a for a in self.aspects if self.aspects.count(a) > 1})
        if twice or BIOMETRIC in self.aspects:
            raise ValueError(
                f"aspects = {self.aspects}: name every non-biometric aspect once; 'biometric' is the field `biometric`"
            )
        if self.factors and len(self.factors) != len(self.aspects):
            raise ValueError(f"factors = {self.factors}; expected one for each of {self.aspects}, or none at all")
        if min((self.alpha, self.ramp, *self.factors)) < 0:
            raise ValueError(f"alpha = {self.alpha}, ramp = {self.ramp}, factors = {self.factors}; none may be below 0")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing = {self.smoothing}; expected 0 to below 1")
        if not 0 <= self.colour_dropout < 1:
            raise ValueError(f"colour_dropout = {self.colour_dropout}; expected 0 to below 1")
        if self.colour_dropout and self.channels != 4:
            raise ValueError(
                f"colour_dropout = {self.colour_dropout} leaves nothing of frames of {self.channels} channels; use 0, "
                f"or 4 channels with data.channels = 'rgb+mask'"
            )
        if min(self.scale, self.gated_rate) <= 0 or min(self.text_width, self.hidden, self.channels) < 1:
            raise ValueError(
                f"scale = {self.scale}, gated_rate = {self.gated_rate}, text_width = {self.text_width}, "
                f"hidden = {self.hidden}, channels = {self.channels}; all must be above 0"
            )
