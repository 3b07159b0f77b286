"""Everything that decides a run, and nothing that does not (no paths, no device)."""

import difflib
import hashlib
import importlib
import inspect
import json
import types
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, fields, is_dataclass
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

C = TypeVar("C")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# fields that came when there were saved recipes already, and what runs without them did
LATER: Mapping[str, Any] = {"recipe.text.shuffled": (), "recipe.data.stride": 4, "recipe.optim.decayed": "all"}


def _within(config: Any, limits: Mapping[str, tuple[float, float | None]]) -> None:
    """Raises ValueError naming the first field of a config whose value is outside its limits."""
    for name, (low, high) in limits.items():
        value = getattr(config, name)
        if not low <= value or (high is not None and value > high):
            ends = f"at least {low}" if high is None else f"{low} to {high}"
            raise ValueError(f"{type(config).__name__}.{name} = {value!r}; expected {ends}")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How clips are chosen, changed and put into batches."""

    frames: int = 6
    """T, frames per clip."""
    height: int = 256
    """H in pixels; frames are resized to it."""
    width: int = 128
    """W in pixels."""
    identities: int = 8
    """P, distinct identities per global batch."""
    clips: int = 4
    """K, clips per identity and batch."""
    chunks: Literal["even", "stmn"] = "even"
    """Edges of restricted random sampling: floor(iF/T), or STMN's ceil with last-frame padding."""
    epoch: Literal["tracklets", "identities", "groups"] = "tracklets"
    """One epoch shows every tracklet about once, or every identity once; 'groups' is as 'tracklets', but a batch may
    hold an identity twice."""
    spread: str = ""
    """A label, such as 'clothes', that should differ among the K clips of an identity where possible; '' for none."""
    pairs: str = ""
    """A label, such as 'walk', that the two tracklets of synchronised sensors share: K then counts pairs, and a batch
    has 2PK clips, two rows a pair with the same frames and changes. '' for single clips."""
    draw: Literal["restricted", "random", "strided"] = "restricted"
    """Frames of a training clip: one of each of T chunks in time order, any T in any order, or every `stride`-th from
    any start."""
    stride: int = 4
    """Frames from one to the next where they are drawn 'strided'."""
    flip: float = 0.5
    """Probability of a horizontal flip, shared by all frames of a clip."""
    erase: float = 0.5
    """Probability of random erasing."""
    erase_scope: Literal["frame", "clip"] = "frame"
    """Draw the erased box for every frame, or once for all frames of a clip."""
    erase_fill: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """What an erased box holds per RGB channel, after normalisation; 0 is the mean colour."""
    zoom: float = 0.0
    """Probability of enlarging a clip by an eighth and cutting a random part of the old size out of it."""
    shift: float = 0.0
    """Largest random shift of a clip as a share of its height and width, edges repeated."""
    test: Literal["interleaved", "contiguous", "stmn", "whole"] = "interleaved"
    """How the all-frames test cuts a tracklet into clips; 'whole' does not, a clip is then as long as its tracklet."""
    longest: int = 720
    """Frames of a tracklet that the 'whole' test uses, the first ones."""
    channels: Literal["rgb", "rgb+mask", "mask"] = "rgb"
    """What a frame holds: colours, colours and where the person is, or that alone."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Subtracted from frames in 0..1, per RGB channel."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Divides frames afterwards."""

    def __post_init__(self) -> None:
        _within(self, {"frames": (1, None), "height": (1, None), "width": (1, None), "identities": (2, None)})
        _within(self, {"clips": (1, None), "flip": (0, 1), "erase": (0, 1), "shift": (0, 1)})
        _within(self, {"zoom": (0, 1), "longest": (1, None), "stride": (1, None)})
        if min(self.std) <= 0:
            raise ValueError(f"data.std = {self.std}: every channel must be above 0")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Optimiser and learning-rate schedule."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    """Adam with L2 penalty, AdamW with decoupled weight decay, or SGD with momentum 0.9 and L2 penalty."""
    lr: float = 3.5e-4
    """Peak learning rate."""
    weight_decay: float = 5e-4
    """Weight decay."""
    decayed: Literal["all", "layers"] = "all"
    """What decays: every parameter, or the weights of layers alone, so that biases, normalisations and learned vectors
    such as queries do not."""
    bias_rate: float = 1.0
    """Factor on the rate of parameters whose name contains 'bias'."""
    schedule: Literal["step", "cosine", "epoch_cosine"] = "step"
    """Multiply by `decay` every `step_epochs`; fall to zero along a cosine that begins after the warm-up; or, constant
    within an epoch, follow a cosine over the whole run, the warm-up included, down to a tenth."""
    step_epochs: int = 40
    """Epochs between steps of the 'step' schedule."""
    decay: float = 0.1
    """Factor of each step."""
    warmup: float = 0.0
    """Share of the run in which the rate rises linearly."""
    start: float = 0.0
    """Rate at which the warm-up begins."""
    max_norm: float | None = None
    """Clip the gradient norm to this; None leaves it alone."""

    def __post_init__(self) -> None:
        _within(self, {"lr": (0, None), "weight_decay": (0, None), "step_epochs": (1, None), "warmup": (0, 0.99)})
        _within(self, {"start": (0, None), "bias_rate": (0, None)})


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Which texts teach, and how. Vectors come from a bank (`unbraid bank`); nothing here matters after training."""

    encoder: str = "world-clip"
    """The frozen encoder that the bank must have been made with, such as 'world-clip'."""
    averaged: tuple[str, ...] = ()
    """Aspects of which a clip gets the mean vector of its identity instead of its own."""
    centred: tuple[str, ...] = ()
    """Aspects whose vectors lose their common mean first, so that crowded texts can be told apart. Not in a paper."""
    shuffled: tuple[str, ...] = ()
    """Aspects whose vectors belong to another training clip, the same one for all these aspects: what is then still
    gained is not owed to what texts say. Not in a paper."""
    missing: Literal["refuse", "mask"] = "refuse"
    """A training clip without a caption is an error, or leaves the terms of that aspect."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Generic[C]):
    """A method, its config, and how to train it. `to_json` and `from_json` are exact inverses."""

    method: str
    config: C
    data: DataConfig = DataConfig()
    optim: OptimConfig = OptimConfig()
    text: TextConfig | None = None
    epochs: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        _within(self, {"epochs": (1, None), "seed": (0, None)})

    def to_json(self) -> str:
        """The recipe as indented JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that tell recipes apart; later fields that hold what earlier runs did leave it."""
        values = asdict(self)
        for name, meaning in LATER.items():
            _, *parts, last = name.split(".")
            place = values
            for part in parts:
                place = place[part] or {}
            if place.get(last) == meaning:
                del place[last]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]

    @staticmethod
    def from_json(text: str) -> "Recipe[Any]":
        """The recipe that `to_json` wrote.

        Raises ValueError for text that is not JSON or a value of the wrong type, KeyError for an unknown
        field (naming the nearest known one) or a missing one.
        """
        from unbraid.method import find

        try:
            values = json.loads(text)
        except ValueError as error:
            raise ValueError(f"the recipe is not valid JSON: {error}") from error
        if not isinstance(values, dict) or not isinstance(values.get("method"), str):
            raise ValueError("the recipe needs a field 'method' that names its method, such as \"dsanet\"")
        return Recipe(**_fields_of(Recipe, values, "recipe", {"config": find(values["method"]).Config}))


def _fields_of(kind: type, values: Any, where: str, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Constructor arguments for dataclass `kind` from JSON values, checked one by one."""
    if not isinstance(values, dict):
        raise ValueError(f"{where} should be an object with the fields of {kind.__name__}; got {values!r}")
    hints = {**get_type_hints(kind), **(known or {})}
    names = [f.name for f in fields(kind)]
    for name in values:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise KeyError(f"unknown field {where}.{name}{hint} Known fields: {names}")
    values = {**{name: LATER[f"{where}.{name}"] for name in names if f"{where}.{name}" in LATER}, **values}
    missing = [name for name in names if name not in values]
    if missing:
        raise KeyError(
            f"missing field {where}.{missing[0]}; a recipe names every field, so that no default decides a run"
            + _advice([f for f in fields(kind) if f.name in missing])
        )
    return {name: _value_of(hints[name], value, f"{where}.{name}") for name, value in values.items()}


def _advice(missing: list[Field[Any]]) -> str:
    """What to add to a recipe that was saved before some fields existed."""
    plain = {f.name: f.default for f in missing if isinstance(f.default, str | int | float | None | tuple)}
    if len(plain) < len(missing):
        return ""
    return f". If an older version saved it, add what the field means there; today's defaults: {json.dumps(plain)}"


def _value_of(kind: Any, value: Any, where: str) -> Any:
    """One JSON value as the annotated type, or ValueError saying what was expected."""
    origin = get_origin(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return kind(**_fields_of(kind, value, where))
    if origin is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{where} should be one of {list(get_args(kind))}; got {value!r}")
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(kind):
            return None
        inner = [k for k in get_args(kind) if k is not type(None)]
        return _value_of(inner[0], value, where)
    if origin is tuple:
        parts = get_args(kind)
        if isinstance(value, list | tuple) and parts[-1] is Ellipsis:
            return tuple(_value_of(parts[0], v, where) for v in value)
        if not isinstance(value, list | tuple) or len(value) != len(parts):
            raise ValueError(f"{where} should be a list of {len(parts)} values; got {value!r}")
        return tuple(_value_of(k, v, where) for k, v in zip(parts, value, strict=True))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where} should be {kind.__name__}; got {value!r}")
    return value


def differences(a: "Recipe[Any]", b: "Recipe[Any]") -> list[str]:
    """Dotted names of the fields in which two recipes differ."""

    def walk(x: Any, y: Any, where: str) -> list[str]:
        if isinstance(x, dict) and isinstance(y, dict):
            names = sorted({*x, *y})
            return [d for n in names for d in walk(x.get(n), y.get(n), f"{where}.{n}" if where else n)]
        return [] if x == y else [where]

    return walk(asdict(a), asdict(b), "")


def available_recipes(method: str) -> tuple[str, ...]:
    """Names of the recipes of a method: the public functions of its recipes.py."""
    from unbraid.method import module_of

    module = importlib.import_module(f"{module_of(method)}.recipes")
    return tuple(
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    )


def find_recipe(name: str) -> Recipe[Any]:
    """The recipe 'method:recipe', such as 'dsanet:mars' or 'their_package.fifth:tiny'.

    Raises KeyError naming the nearest recipe when there is none of that name, ValueError without a colon.
    """
    from unbraid.method import module_of

    method, colon, recipe = name.partition(":")
    if not colon:
        raise ValueError(f"a recipe is named METHOD:RECIPE, such as 'dsanet:world'; got {name!r}")
    known = available_recipes(method)
    if recipe not in known:
        near = difflib.get_close_matches(recipe, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise KeyError(f"{method} has no recipe {recipe!r}{hint} It has {list(known)}")
    made: Recipe[Any] = getattr(importlib.import_module(f"{module_of(method)}.recipes"), recipe)()
    return made
