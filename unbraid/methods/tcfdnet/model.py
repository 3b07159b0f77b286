"""TCFDNet (Lu & Cheng, CVPR 2026): gait across camera and LiDAR.

What is unusual here:
- two streams see a clip of silhouettes or of depth maps: a frozen CLIP with an adapter, and a small trained ResNet;
- the class token retrieves texts about the clip's own kind of sensor from a fixed dictionary;
- what these texts explain of the map is the sensor's part; it is gated and taken off, what is left is shared by both;
- people are compared by horizontal strips of the shared part, whichever sensor saw them;
- in training, rows 2i and 2i + 1 are one walk seen by both sensors, and may swap regions of their frames.
The README beside this file maps equations to code and lists deviations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unbraid.batch import MODALITIES, Batch, Clip
from unbraid.losses.alignment import away_from
from unbraid.losses.independence import absolute_cosine, linear_hsic
from unbraid.losses.parts import cross_modal_triplet, part_cross_entropy, part_distances
from unbraid.losses.precision import at_least_float32
from unbraid.method import Method, cosine
from unbraid.methods.tcfdnet.config import TcfdnetConfig
from unbraid.methods.tcfdnet.disentangle import UNKNOWN, Split, TextGuidedSplit, TextMemory
from unbraid.methods.tcfdnet.enhance import FeatureSelection
from unbraid.methods.tcfdnet.exchange import exchanged
from unbraid.methods.tcfdnet.fusion import Adapter, MultiGrainedFusion, SpatialWeighting
from unbraid.methods.tcfdnet.streams import Seen, Streams
from unbraid.nn.parts import HorizontalPooling, PartNeck, SeparateLinear
from unbraid.spaces import Spaces

# in the table of places, of a modality that the network was not built for
FOREIGN = -2


@dataclass(frozen=True, eq=False)
class Found:
    """What a clip became. looked: how much each place counts. texts, split: None without disentanglement."""

    parts: Float[Tensor, "B P E"]
    shared: Float[Tensor, "B D h w"]
    looked: Float[Tensor, "B h w"]
    texts: Float[Tensor, "B D"] | None
    split: Split | None


class Tcfdnet(Method):
    """TCFDNet. Spaces: identity, P parts, the shared feature by which people are compared; and modality, the mean over
    the map of what was taken off. The latter is ours, for inspection."""

    Config = TcfdnetConfig
    dictionary: tuple[str, ...] = ("silhouette", "depth")
    places: Tensor

    def __init__(self, config: TcfdnetConfig, *, classes: Mapping[str, int]) -> None:
        super().__init__(config, classes=classes)
        width = config.text_width
        self.sensor = ("modality",)
        self.spaces = ("identity", "modality") if config.tfd else ("identity",)
        self.dictionary = config.modalities if config.tfd and config.gmtd == "text" else ()
        known = [config.modalities.index(name) if name in config.modalities else FOREIGN for name in MODALITIES]
        self.register_buffer("places", torch.tensor([UNKNOWN, *known]), persistent=False)
        self.streams = Streams(config)
        if config.mf:
            self.fuse = MultiGrainedFusion(width, layers=config.layers, heads=config.heads, residual=config.mf_residual)
        if config.sw:
            self.weigh = SpatialWeighting(width, config.weighting_hidden, slope=config.slope, even=config.even_start)
        if config.tfd:
            adapter = Adapter(width, config.adapter_hidden, residual=config.adapter_residual)
            self.memory = TextMemory(config.modalities, config.texts, width, adapter, learned=config.gmtd == "learned")
            self.split = TextGuidedSplit(
                width, gate_hidden=config.gate_hidden, gate_bias=config.gate_bias, temperature=config.temperature
            )
        if config.fse:
            self.select = FeatureSelection(
                width,
                config.map_size,
                hidden=config.selection_hidden,
                slope=config.slope,
                kind=config.selection,
                even=config.even_start,
            )
        self.pool = HorizontalPooling(config.bins)
        self.part = SeparateLinear(self.pool.parts, width, config.out_width)
        self.neck = PartNeck(self.pool.parts, config.out_width, self.number_of("identity"))
        if config.weights.identity == 0:
            self.neck.requires_grad_(False)

    def set_dictionary(self, texts: Mapping[str, Float[Tensor, "N D"]]) -> None:
        """Keep the texts' vectors, 8 x rounds per modality in any order of views, as the frozen encoder gave them."""
        if not self.config.tfd:
            raise ValueError(f"tcfdnet without tfd retrieves from no texts; it was given some about {', '.join(texts)}")
        self.memory.fill(texts)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named outputs, first axis B: 'parts', 'logits', 'modality'; with disentanglement also the maps 'shared' and
        'specific', 'texts' (mean of the retrieved ones) and 'gate'."""
        config, clip = self.config, batch.clip
        modality = self._modality(clip)
        if self.training and config.patch_exchange:
            frames = exchanged(
                clip.frames,
                modality,
                probability=config.exchange_probability,
                cell=config.exchange_cell,
                most=config.exchange_most,
            )
            clip = Clip(frames, clip.valid, clip.sensor)
        found = self._found(clip, chunk=None if self.training else config.chunk)
        out = {"parts": found.parts, "logits": self.neck(found.parts)[1], "modality": modality}
        if found.split is not None and found.texts is not None:
            out |= {
                "shared": found.shared,
                "specific": found.split.specific,
                "texts": found.texts.detach() if config.detached_target else found.texts,
                "gate": found.split.gate,
            }
        return {name: at_least_float32(value) for name, value in out.items()}

    def losses(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """The terms of eqs. (24) to (27), unweighted; those of the disentanglement are means over modalities."""
        config, identity = self.config, batch.labels["identity"]
        parts, logits, modality = out["parts"], out["logits"], out["modality"]
        terms = {
            "triplet": cross_modal_triplet(parts, identity, modality, margin=config.margin, mode=config.triplet),
            "identity": part_cross_entropy(logits, identity, scale=config.scale, smoothing=config.smoothing),
        }
        if config.tfd:
            shared, specific = out["shared"].mean((2, 3)), out["specific"].mean((2, 3))
            terms["align"] = _mean_over(modality, away_from, specific, out["texts"])
            terms["orthogonal"] = _mean_over(modality, absolute_cosine, out["shared"], out["specific"])
            terms["hsic"] = _mean_over(modality, linear_hsic, specific, shared)
        return {name: value for name, value in terms.items() if getattr(config.weights, name) > 0}

    def monitor(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Share of right identities by the mean of the parts' cosines, and how far the gate is open."""
        right = out["logits"].detach().mean(1).argmax(1) == batch.labels["identity"]
        found = {"accuracy/identity": right.float().mean()}
        return found | ({"gate": out["gate"].detach().mean()} if "gate" in out else {})

    def encode(self, clip: Clip) -> Spaces:
        """Identity B P E and modality B D, from all valid frames; not normalised.

        Of a clip from an unknown sensor (modality 0, or none given) texts of all modalities are retrieved, which is
        ours. Memory is bounded by `chunk` frames. Raises ValueError for a modality that the network does not know.
        """
        found = self._found(clip, chunk=self.config.chunk)
        named = {"identity": found.parts}
        if found.split is not None:
            named["modality"] = found.split.specific.mean((2, 3))
        return Spaces({name: at_least_float32(value) for name, value in named.items()})

    def raw(self, clip: Clip) -> Float[Tensor, "B D"]:
        """The mean over places of the local map, the ResNet's maximum over valid frames."""
        return at_least_float32(self._seen(clip, self.config.chunk)[0].local.mean((2, 3)))

    def similarity(self, query: Spaces, gallery: Spaces) -> Float[Tensor, "Q G"]:
        """Minus the mean over parts of Euclidean distances, or the mean cosine, as `distance` says."""
        if self.config.distance == "cosine":
            return cosine(query, gallery)
        x, y = query["identity"], gallery["identity"]
        total = x.new_zeros(len(x), len(y))
        # part by part: all at once would take P times the memory
        for part in range(x.shape[1]):
            total -= part_distances(x[:, part : part + 1], y[:, part : part + 1])[0]
        return total / x.shape[1]

    def heat(self, clip: Clip) -> dict[str, Float[Tensor, "B T h w"]]:
        """The size of the spatial weights, or of the map without them; one map for all valid frames of a clip.

        Not in the paper.
        """
        looked = at_least_float32(self._found(clip, chunk=self.config.chunk).looked)
        return {"identity": looked[:, None] * clip.valid[:, :, None, None]}

    def _seen(self, clip: Clip, chunk: int | None) -> tuple[Seen, Int[Tensor, "B"]]:
        """What the streams make of clips, and the place of each one's modality."""
        config = self.config
        if clip.frames.shape[2:] != (3, *config.pixels):
            channels, height, width = clip.frames.shape[2:]
            raise ValueError(
                f"tcfdnet was built for frames of 3 channels and {config.pixels[0]} x {config.pixels[1]} pixels and "
                f"got {channels} and {height} x {width}; set data.channels to 'rgb', and data.height, data.width and "
                f"config.pixels to the same"
            )
        place = self.places[self._modality(clip)]
        if bool((place == FOREIGN).any()):
            number = int(self._modality(clip)[place == FOREIGN][0])
            raise ValueError(
                f"a clip is of modality {MODALITIES[number - 1]!r}; this network knows {', '.join(config.modalities)}"
            )
        return self.streams(clip.frames, clip.valid, place, chunk), place

    def _found(self, clip: Clip, *, chunk: int | None) -> Found:
        config = self.config
        seen, place = self._seen(clip, chunk)
        x = self.fuse(seen.tokens, seen.local) if config.mf else seen.local
        looked = at_least_float32(x).norm(dim=1)
        if config.sw:
            weights = self.weigh(x)
            # eq. (11)
            x, looked = weights * x, weights[:, 0].abs()
        texts, split = None, None
        if config.tfd:
            retrieved = self.memory(seen.tokens[:, 0], place, config.k_t)
            split, texts = self.split(x, retrieved), retrieved.mean(1)
            x = split.shared
        if config.fse:
            # eq. (23)
            x = self.select(x)[:, :, None, None] * x
        return Found(self.part(self.pool(x)), x, looked, texts, split)

    def _modality(self, clip: Clip) -> Int[Tensor, "B"]:
        unknown = torch.zeros(len(clip.frames), dtype=torch.long, device=clip.frames.device)
        return clip.sensor.get("modality", unknown)


def _mean_over(modality: Int[Tensor, "B"], loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The mean over modalities of a loss on the rows of each."""
    return torch.stack([loss(x[modality == one], y[modality == one]) for one in modality.unique()]).mean()
