"""What a benchmark is, who may have it, and whether what was read is all of it.

Every reader module of this folder has an `ABOUT`; `about(name)` finds it by the benchmark's name.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from unbraid.data.benchmark import Benchmark
from unbraid.protocol import Protocol
from unbraid.tracklet import Tracklet

Access = Literal["open", "agreement", "withdrawn", "unclear"]
SAME_AS_TRACKLETS = ("tracklets", "images", "sequences")


@dataclass(frozen=True)
class About:
    """Facts about a benchmark that its owners state.

    name: as `Benchmark.name`, also the module's name with '-' for '_'.
    modality: what the frames are, 'rgb', or several with commas.
    access: 'open' to download, by 'agreement' with the owners, 'withdrawn' by them, or 'unclear'.
    licence: in words; says so when the owners state none.
    counts: what a whole copy holds, such as {"train identities": 625}; see `count` for the names.
    notes: what surprises in the data. source: where the facts come from.
    """

    name: str
    title: str
    modality: str
    access: Access
    licence: str
    counts: Mapping[str, int]
    notes: str = ""
    source: str = ""


def available() -> list[str]:
    """Names of all benchmarks that have a reader with an `ABOUT`, in alphabetical order."""
    return sorted(_modules())


def about(name: str) -> About:
    """The facts about a benchmark. Raises KeyError with the nearest name and all names."""
    modules = _modules()
    if name not in modules:
        near = difflib.get_close_matches(name, modules, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise KeyError(f"no benchmark {name!r}{hint} There are {', '.join(sorted(modules))}")
    found: About = modules[name].ABOUT
    return found


def check(benchmark: Benchmark) -> list[str]:
    """One sentence for every count of the owners that the benchmark does not have; none for a whole copy.

    Raises KeyError when nothing is known about a benchmark of that name.

    Example:
        for sentence in check(mars.read(Path("MARS"))):
            print(sentence)
    """
    facts = about(benchmark.name)
    return [
        f"{facts.name}: {found} {what}, but a whole copy has {expected}; {_advice(found, expected)}"
        for what, expected in facts.counts.items()
        if (found := count(benchmark, what)) != expected
    ]


def count(benchmark: Benchmark, what: str) -> int:
    """How many of something a benchmark holds.

    what: "<split> <thing>". Splits are train, query, gallery, test (query and gallery, shared keys once) and all.
    Things are identities; tracklets, images or sequences (all the same); frames; distractors (tracklets of unknown
    identity); or the plural of a label, for its different values: cameras, clothes, views, actions, ...

    Raises KeyError for another split or a word that is no such thing.
    """
    split, _, thing = what.partition(" ")
    parts: dict[str, Iterable[Tracklet]] = {
        "train": benchmark.train,
        "query": benchmark.query,
        "gallery": benchmark.gallery,
        "test": (*benchmark.query, *benchmark.gallery),
        "all": (*benchmark.train, *benchmark.query, *benchmark.gallery),
    }
    if split not in parts or not thing.endswith("s"):
        raise KeyError(f"{what!r} cannot be counted; write '<split> <things>' with a split of {list(parts)}")
    tracklets = {t.key: t for t in parts[split]}.values()
    if thing in SAME_AS_TRACKLETS:
        return len(tracklets)
    if thing == "identities":
        return len({t.identity for t in tracklets} - {None})
    if thing == "frames":
        return sum(len(t) for t in tracklets)
    if thing == "distractors":
        return sum(t.identity is None for t in tracklets)
    label = thing if thing == "clothes" else thing.removesuffix("s")
    return len({t.labels.get(label) for t in tracklets} - {None})


def _advice(found: int, expected: int) -> str:
    if found < expected:
        return "the copy is partial, or another packaging"
    return "files were added, or it is another version"


def reader(name: str) -> Callable[[Path], Benchmark]:
    """The `read` of a benchmark. Raises KeyError as `about`."""
    about(name)
    found: Callable[[Path], Benchmark] = _modules()[name].read
    return found


def protocols_of(name: str) -> dict[str, Protocol]:
    """The protocols of one benchmark by name, the default first. Raises KeyError as `about`."""
    about(name)
    return {p.name: p for p in _modules()[name].PROTOCOLS}


def protocols() -> dict[str, Protocol]:
    """The protocols of all benchmarks by name."""
    return {p.name: p for module in _modules().values() for p in module.PROTOCOLS}


def _modules() -> dict[str, ModuleType]:
    """Every reader of this folder by the name in its ABOUT."""
    package = importlib.import_module("unbraid.data.sets")
    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"unbraid.data.sets.{info.name}")
        facts = getattr(module, "ABOUT", None)
        if isinstance(facts, About):
            found[facts.name] = module
    return found
