"""The choices of DisenQ. The paper's body was not readable to us: each field says whether its default is stated
(second-hand), inferred, or ours."""

from dataclasses import dataclass, field
from typing import Literal

from unbraid.losses.orthogonality import Norm
from unbraid.nn.gate import Sharing
from unbraid.nn.qformer import Recompute, TextRoute
from unbraid.nn.temporal import Pooling

# query groups under the names of the spaces they become: biometrics b, motion m, non-biometrics b-hat
IDENTITY, MOTION, APPEARANCE = GROUPS = ("identity", "motion", "appearance")


@dataclass(frozen=True, kw_only=True)
class DisenqWeights:
    """Factors of the terms. A weight of 0 removes the term; so does the absence of its query group.

    Only the first 0.01 is stated; the others equal it because ratios alone matter to AdamW. That of the gate is free:
    nothing else shares its parameters.
    """

    identity: float = 0.01
    triplet: float = 0.01
    orthogonality: float = 0.01
    action: float = 0.01
    gate: float = 1.0


@dataclass(frozen=True, kw_only=True)
class DisenqConfig:
    """The network and its open choices; the defaults are the preset `paper`."""

    trunk: str = "instructblip"
    """EVA-CLIP ViT-g/14 (stated) with InstructBLIP's weights (inferred from the widths); any timm vision transformer,
    'open_clip:MODEL/TAG' or the library's own 'world-clip'."""
    pretrained: bool = True
    """Start from the weights that belong to the trunk's name; with 'instructblip' the Q-Former does, too (stated)."""
    tuned: int = 0
    """Last blocks of the trunk that learn, with its last normalisation; 0 freezes it, -1 lets all of it learn. Unknown;
    0 because a thousand million weights at this batch are otherwise unrealistic."""
    trunk_precision: Literal["float32", "bfloat16"] = "float32"
    """How the weights of a frozen trunk are kept and computed with; bfloat16 halves its memory. Unknown."""
    remembered: int = 0
    """Mebibytes for the tokens of training frames, so that a frozen trunk reads each frame once; worth it where frames
    come back unchanged (no erasing, shift or zoom). Bits of a resumed run may differ. Ours."""
    chunk: int = 32
    """Frames that pass the trunk at once; bounds its memory, and that of recognition as a whole. Ours."""
    pooling: Pooling = "frame"
    """From frames to the clip's tokens: see `nn.temporal`. An attention is stated, its formula is unknown."""
    pooling_hidden: int = 512
    """Hidden units of that attention. Unknown."""
    positions: int = 32
    """Longest clip in frames. Ours."""
    reader: Literal["shared", "independent", "pooled"] = "shared"
    """What reads the clip's tokens: one Q-Former for all groups (stated), one for each (the paper's ablation), or their
    plain mean (what ablations without Q-Former mean is unknown)."""
    groups: tuple[str, ...] = GROUPS
    """Query groups, 'identity' first; fewer for the paper's ablations."""
    width: int = 768
    """D of the Q-Former. This and the next six are inferred from InstructBLIP, whose weights it starts from."""
    layers: int = 12
    """Layers."""
    heads: int = 12
    """Attention heads."""
    inner: int = 3072
    """Width inside the feed-forward parts."""
    queries: int = 32
    """Queries per group."""
    cross_every: int = 2
    """Layers 0, n, 2n, ... look at the clip."""
    dropout: float = 0.1
    """Dropout of the Q-Former, of states and of attention."""
    query_noise: float = 0.0
    """Spread of the noise that tells the groups' equal first queries apart. Unknown."""
    first_spread: float = 0.02
    """Spread of the Q-Former's first weights where none are loaded. 0.02 is BERT's at width 768; in a narrow one clips
    then hardly reach the queries at first. Ours."""
    recompute: Recompute = "cheap"
    """What the backward pass of the Q-Former computes again to save memory."""
    text_route: TextRoute = "projected"
    """How texts of another width than the tokens enter; see `nn.qformer`. Unknown."""
    text_width: int = 768
    """Width of the vectors in the bank: 768 for BERT's base model, 128 for 'world-clip' and 'world-clip#tokens'."""
    identity_texts: tuple[str, ...] = ("biometric",)
    """Aspects whose texts the identity group sees in training, one behind the other; several make the slots of a
    description of the body. () for none."""
    motion_texts: tuple[str, ...] = ("motion",)
    """The same for the motion group."""
    appearance_texts: tuple[str, ...] = ("clothing",)
    """The same for the appearance group."""
    averaging: Literal["offline", "running", "momentum"] = "offline"
    """The running average of biometric texts (stated, its rule unknown): made beforehand by `text.averaged` of the
    recipe, or here, clip by clip, as a cumulative mean or with a fixed rate."""
    momentum: float = 0.05
    """The rate of 'momentum'. Unknown."""
    text_dropout: float = 0.0
    """Probability that a training clip sees none of its texts. 0 is the paper as far as we know it; see the README."""
    random_texts: tuple[str, ...] = ()
    """Aspects whose texts come from random clips of the batch; ('clothing',) is the paper's ablation."""
    neck: bool = True
    """Batch normalisation between the identity feature and its classifier (BNNeck); retrieval uses what is behind it.
    Unknown; ABNet's head."""
    smoothing: float = 0.0
    """Label smoothing of the identity term. Unknown; off as in ABNet's code."""
    margin: float = 0.3
    """Margin of the triplet term, batch-hard (stated; mining inferred)."""
    triplet_on: Literal["raw", "normalised"] = "raw"
    """Distances between features before the neck as they are (ABNet), or at length 1. Unknown."""
    orthogonality: Norm = "cosine"
    """What || F_b^T F_bhat || means: see `losses.orthogonality`. Unknown; 'raw' and 'matrix' are of the order of 100
    and would decide the training."""
    orthogonality_steps: int = 0
    """Training steps in which that term grows from 0 to its weight. Groups that start equal start at its maximum."""
    action: str = "action"
    """The label of what somebody does."""
    several_actions: bool = False
    """A clip has several actions: its label is a row of 0 and 1 per clip, and the term binary cross-entropy."""
    action_on: Literal["motion", "identity"] = "motion"
    """The group whose feature tells the action (stated: motion); 'identity' for an ablation with a single group."""
    compare: Literal["adaptive", "fixed", "identity", "motion", "appearance"] = "adaptive"
    """Two people are as alike as their identity and motion features, weighted by a gate (stated) or by `share`; or as a
    single one."""
    share: float = 0.5
    """Share of identity in 'fixed'. Unknown."""
    gate_hidden: int = 256
    """Hidden units of the gate. Unknown."""
    gate_sharing: Sharing = "arithmetic"
    """How the shares of two items make the weight of their pair; see `nn.gate`. Unknown."""
    weights: DisenqWeights = field(default_factory=DisenqWeights)

    def __post_init__(self) -> None:
        unknown = [g for g in self.groups if g not in GROUPS]
        if unknown or len(set(self.groups)) < len(self.groups) or self.groups[:1] != (IDENTITY,):
            raise ValueError(f"groups = {self.groups}; expected 'identity' and then any of {GROUPS[1:]}, each once")
        needed = (IDENTITY, MOTION) if self.compare in ("adaptive", "fixed") else (self.compare,)
        lacking = [g for g in needed if g not in self.groups]
        if lacking:
            raise ValueError(f"compare = {self.compare!r} needs the group {lacking[0]!r}; groups are {self.groups}")
        if self.reader == "pooled" and len(self.groups) > 1:
            raise ValueError("reader = 'pooled' reads one feature; set groups to identity alone")
        if self.tuned < -1 or (self.tuned and self.trunk_precision != "float32"):
            raise ValueError(
                f"tuned = {self.tuned} with trunk_precision = {self.trunk_precision!r}; expected a number of blocks, "
                f"-1 for all or 0 for none, and float32 where anything learns"
            )
        if self.remembered < 0 or (self.remembered and self.tuned):
            raise ValueError(
                f"remembered = {self.remembered} with tuned = {self.tuned}; expected a number of mebibytes for a trunk "
                f"that does not learn (tuned = 0), or 0"
            )
        for name, low, high in (("text_dropout", 0, 1), ("momentum", 0, 1), ("share", 0, 1), ("smoothing", 0, 0.99)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} = {getattr(self, name)}; expected {low} to {high}")
        if self.first_spread <= 0:
            raise ValueError(f"first_spread = {self.first_spread}; expected more than 0, such as 0.02")
        for name in ("chunk", "pooling_hidden", "positions", "text_width", "gate_hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 1 or more")
        if min(self.orthogonality_steps, self.margin) < 0:
            raise ValueError(f"orthogonality_steps = {self.orthogonality_steps}, margin = {self.margin}; none below 0")

    def texts(self, group: str) -> tuple[str, ...]:
        """Aspects whose texts a group sees in training."""
        aspects: tuple[str, ...] = getattr(self, f"{group}_texts")
        return aspects
