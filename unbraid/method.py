"""The contract that every method keeps, and how a method is found: by its folder name."""

import difflib
import importlib
import importlib.util
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unbraid.batch import Batch, Clip
from unbraid.spaces import Spaces

# the space of `Method.raw`, which only `encode_only` gives, when asked
TRUNK = "trunk"


class Method(nn.Module, ABC):
    """A published system: a network, its losses and the rule that compares two people.

    Subclass once, never twice. Built from its own config and the number of training classes per label,
    `Method(config, classes={"identity": 625, "camera": 6})`; it never sees a path, a logger, a rank or a recipe.

    Config: frozen dataclass; its field `weights` is a dataclass with one field per loss name.
    spaces: names that `encode` returns. sensor: names it reads from `Clip.sensor`. aspects: texts it learns from.
    supervision: label names that training reads from `Batch.labels`.
    dictionary: names of fixed texts that training hands over once, before the first step, by `set_dictionary`; stated
        on the class, and emptied in __init__ where a config does without. A field `rounds` of the config, where there
        is one, is the number of texts per name and view.
    rates: factors on the learning rate by how parameter names begin.
    Every tensor that `forward` returns has the batch as its first axis, so that outputs of several
    devices can be joined before `losses` sees them.
    """

    Config: ClassVar[type]
    spaces: tuple[str, ...] = ("identity",)
    sensor: tuple[str, ...] = ()
    aspects: tuple[str, ...] = ()
    supervision: tuple[str, ...] = ("identity",)
    dictionary: tuple[str, ...] = ()
    rates: Mapping[str, float] = MappingProxyType({})

    def __init__(self, config: Any, *, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        self.classes = dict(classes)

    def number_of(self, label: str) -> int:
        """Number of training classes of a label. Raises ValueError when the training data do not carry it."""
        if label not in self.classes:
            raise ValueError(
                f"{type(self).__name__} learns from the label {label!r}, which the training tracklets lack; "
                f"they have {sorted(self.classes)}. Add the label, or switch the part that needs it off"
            )
        return self.classes[label]

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Training pass: named outputs, each with first axis B."""

    @abstractmethod
    def losses(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Unweighted scalars by name, computed without parameters; names are fields of `config.weights`."""

    @abstractmethod
    def encode(self, clip: Clip) -> Spaces:
        """Test pass: no labels, no captions; not normalised."""

    def set_dictionary(self, texts: Mapping[str, Float[Tensor, "N D"]]) -> None:
        """Keep the vectors of the texts in `dictionary`, by name, in a persistent buffer: checkpoints then have them.

        Raises ValueError where their number or width is not what the config says, and for methods without fixed texts.
        """
        raise ValueError(f"{type(self).__name__} retrieves from no fixed texts; it was given {', '.join(texts)}")

    def encode_only(self, clip: Clip, names: Sequence[str]) -> Spaces:
        """Identity and the named spaces, as `encode` makes them, and 'trunk'; methods that can compute nothing else.

        Raises KeyError naming the spaces that there are.
        """
        whole = dict(self.encode(clip))
        if TRUNK in names:
            whole[TRUNK] = self.raw(clip)
        lacking = [name for name in names if name not in whole]
        if lacking:
            raise KeyError(f"no space {lacking[0]!r}; there are {sorted((*self.spaces, TRUNK))}")
        return Spaces({name: whole[name] for name in dict.fromkeys(("identity", *names))})

    def raw(self, clip: Clip) -> Float[Tensor, "B D"]:
        """What the trunk saw before anything was pulled apart, the mean over valid frames and places: space 'trunk'.

        What a method separates is told from what was there. Raises KeyError for a method that does not show it.
        """
        raise KeyError(f"no space {TRUNK!r}; {type(self).__name__} has {', '.join(self.spaces)}")

    @property
    def matched(self) -> tuple[str, ...]:
        """The spaces that `similarity` reads."""
        return ("identity",)

    def similarity(self, query: Spaces, gallery: Spaces) -> Float[Tensor, "Q G"]:
        """Larger is more alike; cosine on the identity space unless the method says otherwise.

        Where it is an inner product of `query_vectors(query)` and `gallery_vectors(gallery)`, these should be methods:
        search then makes them once, and any plain index can hold them (`search.Factored`).
        """
        return cosine(query, gallery)

    @abstractmethod
    def heat(self, clip: Clip) -> dict[str, Float[Tensor, "B T h w"]]:
        """Where each space looks: non-negative maps by space name."""

    def monitor(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Scalars worth watching during training beside the losses, such as accuracies; nothing learns from them."""
        return {}

    def frame_weights(self, clip: Clip) -> Float[Tensor, "B T"] | None:
        """How much each frame counts in the identity space, rows summing to 1; None where frames are not weighed."""
        return None


def cosine(query: Spaces, gallery: Spaces) -> Float[Tensor, "Q G"]:
    """Cosine of the identity spaces; for N P D the mean cosine over parts."""
    parts = []
    for spaces in (query, gallery):
        value = spaces["identity"].float()
        value = value if value.ndim == 3 else value[:, None]
        # dividing by sqrt(P) on both sides makes the flat product the mean over parts
        parts.append((F.normalize(value, dim=2) / value.shape[1] ** 0.5).flatten(1))
    return torch.mm(parts[0], parts[1].T)


def available() -> tuple[str, ...]:
    """Names of the methods in the library: the folders of `unbraid.methods`."""
    import unbraid.methods as home

    return tuple(sorted(m.name for m in pkgutil.iter_modules(home.__path__) if m.ispkg))


def find(name: str) -> type[Method]:
    """The method class of a folder name ('dsanet') or of any importable package ('their_pkg.fifth').

    The package's `model` module holds exactly one Method subclass.
    Raises KeyError naming the nearest method when there is none of that name.
    """
    package = module_of(name)
    if importlib.util.find_spec(f"{package}.model") is None:
        raise KeyError(f"{package} is no method: it has no model.py beside its recipes.py")
    model = importlib.import_module(f"{package}.model")
    found = [
        v
        for v in vars(model).values()
        if isinstance(v, type) and issubclass(v, Method) and v.__module__ == model.__name__
    ]
    if len(found) != 1:
        raise ValueError(f"{model.__name__} must define one Method subclass; it defines {len(found)}")
    return found[0]


def module_of(name: str) -> str:
    """The package that holds a method; same names and errors as `find`."""
    if "." not in name and name in available():
        return f"unbraid.methods.{name}"
    try:
        known = importlib.util.find_spec(name) is not None if "." in name else False
    except (ModuleNotFoundError, ValueError, ImportError):
        known = False
    if known:
        return name
    near = difflib.get_close_matches(name.lower(), available(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise KeyError(
        f"no method {name!r}{hint} The library has {list(available())}; "
        f"a method of your own is named by its import path, such as 'their_package.fifth'"
    )
