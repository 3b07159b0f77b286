"""What of a map a modality's texts explain, and what is left: retrieval, the modality's part, and its gate."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from unbraid.losses.precision import at_least_float32, no_autocast
from unbraid.methods.tcfdnet.fusion import Adapter
from unbraid.nn.parts import xavier

# a zero vector has cosine 0 instead of none
EPSILON = 1e-12
# in the place of a modality's number
UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Split:
    """A map in two. shared + specific is what came in; the gate has already acted on `specific`."""

    shared: Float[Tensor, "B D h w"]
    specific: Float[Tensor, "B D h w"]
    gate: Float[Tensor, "B D"]


class TextMemory(nn.Module):
    """The dictionary: vectors of N texts per modality, adapted, from which a clip gets the nearest.

    learned: vectors that are learned stand in the texts' place.
    Source: TCFDNet eq. (13), and retrieval among eqs. (14) to (19); GMTD and GMTF in its words.
    """

    texts: Tensor
    ready: Tensor

    def __init__(self, names: tuple[str, ...], number: int, width: int, adapter: Adapter, *, learned: bool) -> None:
        super().__init__()
        self.names, self.learned, self.adapter = names, learned, adapter
        if learned:
            # of about length 1; not in the paper
            self.prototypes = nn.Parameter(torch.randn(len(names), number, width) * width**-0.5)
        else:
            self.register_buffer("texts", torch.zeros(len(names), number, width))
            self.register_buffer("ready", torch.tensor(False))

    def fill(self, texts: Mapping[str, Float[Tensor, "N D"]]) -> None:
        """Keep the texts' vectors. Raises ValueError for missing names, another number or width, and bad vectors."""
        if self.learned:
            raise ValueError(f"gmtd = 'learned' retrieves from no texts; it was given some about {', '.join(texts)}")
        lacking = [name for name in self.names if name not in texts]
        if lacking:
            raise ValueError(f"tcfdnet needs texts about {lacking[0]!r}; it was given some about {sorted(texts)}")
        expected = tuple(self.texts.shape[1:])
        for name in self.names:
            value = texts[name]
            if tuple(value.shape) != expected:
                raise ValueError(
                    f"tcfdnet needs {expected[0]} texts about {name!r}, vectors of {expected[1]} numbers, and got "
                    f"{value.shape[0]} of {value.shape[1]}; set config.rounds to texts / 8 and config.text_width to "
                    f"the encoder's width"
                )
            if not bool(torch.isfinite(value).all() and value.any(1).all()):
                raise ValueError(f"a text about {name!r} has a vector of zeros or of numbers that are not finite")
        self.texts.copy_(torch.stack([texts[name] for name in self.names]))
        self.ready.fill_(True)

    def forward(self, whole: Float[Tensor, "B D"], place: Int[Tensor, "B"], number: int) -> Float[Tensor, "B K D"]:
        """The adapted vectors of the `number` texts of a clip's own modality that are nearest to it by cosine.

        whole: class tokens. place: of the modality among the names; UNKNOWN takes from all, which is ours.
        Raises ValueError where the dictionary was never filled.
        """
        if not self.learned and not bool(self.ready):
            raise ValueError(
                "the dictionary of tcfdnet is empty: fill it with set_dictionary, as `unbraid train` does, or "
                "load a trained run"
            )
        known = self.prototypes if self.learned else self.texts
        vectors: Tensor = self.adapter(known.flatten(0, 1))
        owner = torch.arange(known.shape[0], device=place.device).repeat_interleave(known.shape[1])
        foreign = (owner[None, :] != place[:, None]) & (place[:, None] != UNKNOWN)
        with no_autocast(whole):
            alike = F.normalize(at_least_float32(whole), dim=1, eps=EPSILON) @ _unit(vectors).mT
            nearest = alike.masked_fill(foreign, -torch.inf).topk(number, dim=1).indices
        return vectors[nearest]


class TextGuidedSplit(nn.Module):
    """Takes off a map what retrieved texts explain of it.

    Source: TCFDNet eqs. (14) to (19), after the retrieval.
    """

    def __init__(self, width: int, *, gate_hidden: int, gate_bias: float, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.project = nn.Linear(width, width)
        self.back = nn.Linear(width, width)
        last = nn.Linear(gate_hidden, width)
        self.gate = nn.Sequential(nn.Linear(width, gate_hidden), nn.GELU(), last)
        xavier(self)
        nn.init.constant_(last.bias, gate_bias)

    def forward(self, x: Float[Tensor, "B D h w"], texts: Float[Tensor, "B K D"]) -> Split:
        shares, prototypes = self.affinity(x, texts)
        whole: Tensor = self.back((shares @ prototypes).to(x.dtype))
        gate = self.gate(x.mean((2, 3))).sigmoid()
        specific = gate[:, :, None, None] * whole.mT.unflatten(2, x.shape[2:])
        return Split(shared=x - specific, specific=specific, gate=gate)

    def affinity(
        self, x: Float[Tensor, "B D h w"], texts: Float[Tensor, "B K D"]
    ) -> tuple[Float[Tensor, "B L K"], Float[Tensor, "B K D"]]:
        """How much each cell has of each text, rows summing to 1, and the texts as unit vectors of the latent space."""
        projected = self.project(texts)
        with no_autocast(x):
            prototypes = _unit(projected)
            cells = F.normalize(at_least_float32(x).flatten(2), dim=1, eps=EPSILON).mT
            return (cells @ prototypes.mT / self.temperature).softmax(2), prototypes


def _unit(x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
    return F.normalize(at_least_float32(x), dim=-1, eps=EPSILON)
