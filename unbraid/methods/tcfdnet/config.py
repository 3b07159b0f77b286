"""The choices of TCFDNet. The paper's body and supplement were not readable to us: each field says whether its default
is stated (second-hand, by notes on the paper), inferred, or ours because nothing is known."""

from dataclasses import dataclass, field
from typing import Literal

from unbraid.batch import MODALITIES
from unbraid.nn.blip_vision import CLIP_MEAN, CLIP_STD

VIEWS = 8


@dataclass(frozen=True, kw_only=True)
class TcfdnetWeights:
    """Factors of the terms: gamma 1 = 1, gamma 2 = 0.5, gamma 3 = 0.1, all stated. 0 removes a term."""

    triplet: float = 1.0
    identity: float = 1.0
    align: float = 0.5
    orthogonal: float = 0.1
    hsic: float = 0.1


@dataclass(frozen=True, kw_only=True)
class TcfdnetConfig:
    """The network and its open choices; the defaults are the recipe `sustech1k`."""

    clip: str = "open_clip:ViT-B-16/openai"
    """The frozen CLIP. Which one is inferred: only ViT-B/16 makes 16 patches of 64 x 64 pixels and meets texts in 512
    numbers. 'world-clip' is the library's own."""
    pretrained: bool = True
    """Start from CLIP's weights."""
    clip_mean: tuple[float, float, float] = CLIP_MEAN
    """Subtracted from frames in 0..1 on their way into CLIP only; CLIP's own value, inferred."""
    clip_std: tuple[float, float, float] = CLIP_STD
    """Divides them afterwards."""
    text_width: int = 512
    """d (stated): width of CLIP's shared space, and with it of texts and maps; 128 for 'world-clip'."""
    pixels: tuple[int, int] = (64, 64)
    """Height and width of a frame (stated); `data.height` and `data.width` must say the same."""
    remembered: int = 0
    """Mebibytes for CLIP's tokens of training frames, so that it reads each of them once; 0 is none. For frames that
    stay as they are, hence without `patch_exchange`. Ours."""
    modalities: tuple[str, ...] = ("silhouette", "depth")
    """Kinds of sensor, each with texts of its own."""
    rounds: int = 8
    """l, texts per view: 8 l of them per modality. Unknown."""
    gmtd: Literal["text", "learned"] = "text"
    """Retrieve from texts, or from as many learned vectors: what the paper's ablation puts there is unknown."""
    k_t: int = 16
    """How many texts (stated) of the dictionary a clip gets."""
    resnet: bool = True
    """The trained ResNet-9 beside CLIP; without it CLIP's patches, enlarged, are the local map."""
    mf: bool = True
    """Multi-grained fusion of CLIP's tokens and the local map; without it CLIP only retrieves."""
    sw: bool = True
    """Spatial weighting of the fused map."""
    tfd: bool = True
    """Text-guided disentanglement, with its three terms; without it there is no modality space."""
    fse: bool = True
    """Feature selection: channels of what is shared are weighted."""
    patch_exchange: bool = True
    """Training pairs swap regions of their frames."""
    separate_resnets: bool = False
    """A ResNet-9 for each modality, as in UniCrossGait; the modality must then be known at test. Everything else is
    always shared. Unknown; shared, because sensors are marked on data only, not on weights."""
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    """Channels of its stages (inferred); the last one is d."""
    strides: tuple[int, int, int, int] = (1, 2, 2, 1)
    """Strides of its stages (inferred): a map of 16 x 16."""
    adapter_hidden: int = 128
    """Hidden width of the two-layer adapters of images and texts. Unknown; a habit of the authors."""
    adapter_residual: bool = True
    """Adapters add to what they get and start at adding nothing, which keeps images and texts aligned. False is the
    formula as written: what CLIP knows then passes a random layer."""
    layers: int = 2
    """n_l, layers of the fusion. Unknown."""
    heads: int = 8
    """H, attention heads of the fusion. Unknown; a habit of the authors."""
    mf_residual: bool = False
    """Each layer of the fusion adds to what it got, and the fusion to the local map, nothing at first. False is the
    formula as written, in which the local map asks but does not enter, and normalising every cell makes empty ones as
    strong as others; the authors' code of a sibling added."""
    weighting_hidden: int = 128
    """Channels between the two convolutions of the spatial weighting. Unknown; a quarter of d."""
    even_start: bool = False
    """Weights of places start at 1 and those of channels equal. False is Xavier's start as of all layers, in which both
    are drawn at random, differently for each sensor. Unknown."""
    slope: float = 0.02
    """Slope of LeakyReLU below 0. Unknown; a habit of the authors."""
    temperature: float = 1.0
    """Divides the cosines of the affinity. None is shown in the formula: at 1 the shares of texts are nearly equal."""
    gate_hidden: int = 128
    """Hidden width of the gate on the modality's part. Unknown."""
    gate_bias: float = -2.0
    """First value of the gate's last bias: it starts at about 0.12, for the stated aim of a small part early on.
    Unknown."""
    detached_target: bool = False
    """The modality's part is brought to its texts without moving their adapter. False is the formula as written."""
    selection_hidden: int = 64
    """d' of the feature selection. Unknown, far below d (stated)."""
    selection: Literal["sigmoid", "softmax"] = "sigmoid"
    """How channels are weighted: the equation's sign is that of a sigmoid, the text says softmax; that is multiplied
    by d here, since features would otherwise shrink by as much. Sigmoids can all be driven to 0 by the triplet term,
    which starts at large distances, and nothing is learned then; in short runs that is what happens."""
    bins: tuple[int, ...] = (16,)
    """Horizontal strips, their numbers by pyramid level. Unknown; OpenGait's usual."""
    out_width: int = 256
    """Numbers per part. d in the equations, 256 in OpenGait and in the authors' other code."""
    triplet: Literal["cross", "joint"] = "cross"
    """Anchors of one modality against the other, both ways, as in UniCrossGait; or all clips as one batch, which is
    what a single modality needs. Unknown."""
    margin: float = 0.2
    """Margin of the triplet term. Unknown; OpenGait's."""
    scale: float = 16.0
    """Factor on the cosines of the identity term. Unknown; OpenGait's."""
    smoothing: float = 0.1
    """Label smoothing of the identity term. Unknown; OpenGait's."""
    exchange_probability: float = 0.5
    """Share of pairs that swap regions. Unknown, as all about the exchange but that it swaps local regions."""
    exchange_cell: int = 16
    """Side of a region in pixels; 16, so that regions are CLIP's patches."""
    exchange_most: int = 4
    """A pair swaps 1 to this many regions, the same ones in all frames."""
    distance: Literal["euclidean", "cosine"] = "euclidean"
    """Two people are compared by the mean over parts of their features' distances, or cosines. Unknown; the authors'
    logs and texts disagree."""
    chunk: int = 128
    """Frames that pass CLIP and ResNet at once in recognition; bounds its memory for sequences of any length. Ours."""
    weights: TcfdnetWeights = field(default_factory=TcfdnetWeights)

    def __post_init__(self) -> None:
        foreign = [name for name in self.modalities if name not in MODALITIES]
        if foreign or not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"modalities = {self.modalities}; expected some of {MODALITIES}, each once")
        if len(self.modalities) == 1 and (self.triplet == "cross" or self.patch_exchange):
            raise ValueError(
                f"modalities = {self.modalities} has nothing to cross or exchange with; set triplet to 'joint' and "
                f"patch_exchange to False"
            )
        if self.tfd and self.k_t > self.texts:
            raise ValueError(f"k_t = {self.k_t}, but {self.rounds} rounds make {self.texts} texts")
        if self.resnet and self.widths[3] != self.text_width:
            raise ValueError(
                f"widths = {self.widths} end in {self.widths[3]}, text_width = {self.text_width}; both are d, make "
                f"them equal"
            )
        if self.mf and self.text_width % self.heads:
            raise ValueError(f"text_width = {self.text_width} does not divide into {self.heads} heads")
        self._check_sizes()
        for name, low, high in (("smoothing", 0, 0.99), ("exchange_probability", 0, 1), ("margin", 0, 1e9)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} = {getattr(self, name)}; expected {low} to {high}")
        for name in ("temperature", "scale"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}; expected above 0")

    @property
    def texts(self) -> int:
        """Texts per modality."""
        return VIEWS * self.rounds

    @property
    def uses_clip(self) -> bool:
        """Whether anything asks CLIP."""
        return self.mf or self.tfd or not self.resnet

    @property
    def map_size(self) -> tuple[int, int]:
        """h' and w', the size of the local map."""
        height, width = self.pixels
        for stride in self.strides:
            height, width = -(-height // stride), -(-width // stride)
        return height, width

    def _check_sizes(self) -> None:
        whole = ("rounds", "k_t", "adapter_hidden", "layers", "heads", "weighting_hidden", "gate_hidden")
        for name in (*whole, "selection_hidden", "out_width", "exchange_cell", "exchange_most", "chunk", "text_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 1 or more")
        if min((*self.pixels, *self.widths, *self.strides)) < 1 or not self.bins or min(self.bins) < 1:
            raise ValueError(
                f"pixels = {self.pixels}, widths = {self.widths}, strides = {self.strides}, bins = {self.bins}; all "
                f"must be 1 or more"
            )
        uneven = [number for number in self.bins if self.map_size[0] % number]
        if uneven:
            raise ValueError(f"bins = {self.bins}: {uneven[0]} strips do not fill a map of {self.map_size[0]} rows")
        if self.patch_exchange:
            grid = [side // self.exchange_cell for side in self.pixels]
            if [n * self.exchange_cell for n in grid] != list(self.pixels) or self.exchange_most > grid[0] * grid[1]:
                raise ValueError(
                    f"regions of {self.exchange_cell} x {self.exchange_cell} pixels do not fill frames of "
                    f"{self.pixels[0]} x {self.pixels[1]}, or are fewer than exchange_most = {self.exchange_most}"
                )
        if self.remembered < 0 or (self.remembered and self.patch_exchange):
            raise ValueError(
                f"remembered = {self.remembered} with patch_exchange = {self.patch_exchange}; expected a number of "
                f"mebibytes for frames that no exchange changes, or 0"
            )
        if min(self.clip_std) <= 0:
            raise ValueError(f"clip_std = {self.clip_std}; every value must be above 0")
