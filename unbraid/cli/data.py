"""Benchmarks: what they are, whether a copy is sound, and a copy in our own layout."""

import difflib
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli.output import parse, show

if TYPE_CHECKING:
    from unbraid.data.benchmark import Benchmark
    from unbraid.data.finding import Finding

USAGE = """usage: unbraid data COMMAND ...

  list     every benchmark: what it is, who may have it, its licence and protocols; `list NAME` says all about one
  check    what is wrong with a copy: missing files, people in train and test, queries without mates, duplicates, ...
  prepare  a copy in our own layout, every frame decoded once, perhaps resized

ROOT is a folder of ours, NAME:FOLDER such as mars:/data/MARS for a benchmark in its owners' layout, a name such as
world:clothes/small/dev, or data of your own: people.csv, or own:FOLDER with a folder for each person.
`unbraid data check --help` explains one command.
"""
FORMS = "write NAME:FOLDER for a benchmark in its owners' layout, own:FOLDER for a folder of people, or a table (.csv)"
# A folder that `unbraid` finished or began; what it says when one is unfinished is better than our list of forms.
OURS = ("tracklets.parquet", "world.json", "prepare.json", "origin.json")
VERBS = ("list", "check", "prepare")
OWN = "own"
WIDTH = 100
COLUMNS = (15, 11, 19)


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    if not arguments or arguments[0] in ("--help", "-h"):
        print(USAGE)
        return
    verb, rest = arguments[0], list(arguments[1:])
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"there is no `unbraid data {verb}`{hint} Use one of {', '.join(VERBS)}")

    def list_(name: tyro.conf.Positional[str] = "", json: bool = False) -> None:
        """List every benchmark with access, licence and protocols, or tell all about one.

        Args:
            name: Only this one, with counts, notes and source.
            json: Print the facts as JSON.
        """
        if name:
            facts = _facts(name)
            show(facts, _whole(facts), json)
            return
        every = [_facts(n) for n in _names()]
        show(every, _table(every), json)

    def check(
        root: tyro.conf.Positional[str], frames: bool = False, captions: Path | None = None, json: bool = False
    ) -> None:
        """Look for what is wrong with a data set; exits with 1 when there are errors. Changes nothing.

        Args:
            root: What to look at: a folder of ours, NAME:FOLDER, world:KIND, a table or own:FOLDER.
            frames: Decode every frame too; takes minutes for a large set.
            captions: Caption file to look at as well; by default captions.jsonl in a folder of ours.
            json: Print the findings as JSON.
        """
        from dataclasses import asdict

        from unbraid.data.doctor import examine

        benchmark, remarks = _open(root)
        found = examine(benchmark, frames=frames, captions=captions or _captions(root), remarks=remarks)
        errors = sum(f.severity == "error" for f in found)
        facts = {"name": benchmark.name, "synthetic": benchmark.synthetic, "errors": errors}
        show({**facts, "findings": [asdict(f) for f in found]}, _findings(benchmark, found), json)
        if errors:
            raise SystemExit(1)

    def prepare(
        root: tyro.conf.Positional[str],
        out: Path,
        height: int | None = None,
        width: int | None = None,
        json: bool = False,
    ) -> None:
        """Copy a data set into our own layout, which every command reads; an interrupted copy goes on where it was.

        Pictures that are not resized are copied as they are. Frames of videos and arrays become JPEG of quality 95,
        silhouettes, depth maps and masks lossless PNG. Nothing depends on chance: the same data give the same bytes.

        Args:
            root: What to copy: a folder of ours, NAME:FOLDER, world:KIND, a table or own:FOLDER.
            out: New or empty folder for the copy, or one that this command began.
            height: Rows of all frames; with --width.
            width: Columns of all frames; with --height.
            json: Print what was written as JSON.
        """
        from unbraid.data.prepare import prepare as verb
        from unbraid.progress import console

        if (height is None) != (width is None):
            raise ValueError("--height and --width go together; give both, or none to keep the size of every frame")
        benchmark, remarks = _open(root)
        for text in remarks:
            console.print(f"note: {text}", markup=False, highlight=False)
        source = _folder(root)
        if source is not None and out.resolve().is_relative_to(source.resolve()):
            raise ValueError(f"{out} lies inside the data that are copied, {source}; choose a folder beside it")
        size = (height, width) if height is not None and width is not None else None
        folder = verb(benchmark, out, size=size, captions=_captions(root))
        sizes = {split: len(getattr(benchmark, split)) for split in ("train", "query", "gallery")}
        told = ", ".join(f"{number} {split}" for split, number in sizes.items())
        show({"root": str(folder), **sizes}, f"Prepared: {folder} ({told} tracklets)", json)

    commands: dict[str, Any] = {"list": list_, "check": check, "prepare": prepare}
    parse(commands[verb], f"data {verb}", rest)


def _open(root: str) -> "tuple[Benchmark, list[str]]":
    """The benchmark, and what its reader warned of. Raises KeyError for an unknown NAME, and the reader's errors."""
    from unbraid.cli.root import open_benchmark
    from unbraid.data.sets.about import available
    from unbraid.data.sets.table import read

    name, colon, rest = root.partition(":")
    known = [*available(), "world", OWN]
    # one letter is a drive of Windows
    if colon and re.fullmatch(r"[\w-]{2,}", name) and name not in known and not Path(root).exists():
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise KeyError(f"no benchmark {name!r}{hint} There are {', '.join(known)}")
    named = bool(colon) and name in known
    if named and name != "world" and not (rest and Path(rest).exists()):
        raise FileNotFoundError(f"{rest or 'an empty name'} does not exist; {name}: is followed by its folder")
    if not colon and root in (*available(), "world") and not Path(root).exists():
        example = f"{root}:FOLDER" if root != "world" else "world:clothes/tiny"
        raise ValueError(f"{root!r} alone does not say where it lies; write {example}")
    if not named and not Path(root).exists():
        raise FileNotFoundError(f"{root} does not exist; {FORMS}")
    if not named and Path(root).is_dir() and not any((Path(root) / f).exists() for f in OURS):
        raise FileNotFoundError(f"{root} is no folder of ours, it holds no {OURS[0]}; {FORMS}")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        if name == OWN and colon:
            benchmark = read(Path(rest))
        elif Path(root).suffix.lower() in (".csv", ".parquet"):
            benchmark = read(Path(root))
        else:
            benchmark = open_benchmark(root)
    return benchmark, [str(w.message) for w in said if issubclass(w.category, UserWarning)]


def _folder(root: str) -> Path | None:
    """Where the data lie, None for a world by name or a table."""
    from unbraid.data.sets.about import available

    name, colon, rest = root.partition(":")
    path = Path(rest) if colon and name in (*available(), OWN) else Path(root)
    return path if path.is_dir() else None


def _captions(root: str) -> Path | None:
    """The caption file of a folder of ours, if it has one."""
    from unbraid.cli.root import folder_of

    folder = _folder(root) if not root.startswith("world:") else folder_of(root)
    path = None if folder is None else folder / "captions.jsonl"
    return path if path is not None and path.is_file() else None


def _names() -> list[str]:
    from unbraid.data.sets.about import available
    from unbraid.world.benchmarks import KINDS

    return [*available(), *(f"world:{kind}" for kind in KINDS)]


def _facts(name: str) -> dict[str, Any]:
    """What is known about a benchmark or a world. Raises KeyError with the nearest name and all."""
    from dataclasses import asdict

    from unbraid.data.sets.about import about, available, protocols_of
    from unbraid.world.benchmarks import KINDS, PEOPLE, SEEDS, SIZES, named_world
    from unbraid.world.plan import protocols

    if name in available():
        return {**asdict(about(name)), "protocols": list(protocols_of(name)), "synthetic": False}
    kind = name.removeprefix("world:").partition("/")[0]
    if not name.startswith("world:") or kind not in KINDS:
        near = difflib.get_close_matches(name, _names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise KeyError(f"no benchmark {name!r}{hint} There are {', '.join(_names())}")
    config = named_world(name).config
    sizes = ", ".join(f"{size} ({train} people to train on, {test} to test)" for size, (train, test) in PEOPLE.items())
    return {
        "name": name,
        "title": f"synthetic people of the built-in world, {kind}",
        "modality": ",".join(config.modalities),
        "access": "built in",
        "licence": "synthetic, nobody's picture; body model CC0",
        "counts": {"train identities": config.train_identities, "test identities": config.test_identities},
        "notes": f"Names are {name.split('/')[0]}/SIZE/WORLD, SIZE one of {sizes} and WORLD one of {', '.join(SEEDS)}; "
        f"rendered on first use. {SIZES[0]} is for trying. Numbers made from it say nothing about real people.",
        "source": "unbraid world render --help",
        "protocols": protocols(config),
        "synthetic": True,
    }


def _access(facts: Mapping[str, Any]) -> str:
    return "WITHDRAWN" if facts["access"] == "withdrawn" else str(facts["access"])


def _table(every: Sequence[Mapping[str, Any]]) -> str:
    """One block for each: name, access and modality, and beside them title, licence and protocols."""
    head = _row(("name", "access", "modality"), ["title; licence; protocols"])
    blocks = [
        _row(
            (facts["name"], _access(facts), facts["modality"].replace(",", ", ")),
            [facts["title"], facts["licence"], _few(facts["protocols"])],
        )
        for facts in every
    ]
    end = (
        "`unbraid data list NAME` says all about one. WITHDRAWN: its owners took it back; do not use copies of it. "
        "unclear: we could not find the terms, ask the owners. Nothing is downloaded by unbraid."
    )
    return "\n\n".join([f"{head}\n{'-' * WIDTH}", *blocks, textwrap.fill(end, WIDTH)])


def _row(cells: Sequence[str], texts: Sequence[str]) -> str:
    left = sum(COLUMNS)
    wrapped = [line for text in texts for line in textwrap.wrap(text, WIDTH - left, break_on_hyphens=False)]
    first = "".join(f"{cell:<{width}}" for cell, width in zip(cells, COLUMNS, strict=True))
    return "\n".join([f"{first}{wrapped[0]}", *(" " * left + line for line in wrapped[1:])])


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 4 else ""
    return ", ".join(names[: 3 if more else 4]) + more


def _whole(facts: Mapping[str, Any]) -> str:
    """Everything known about one."""
    lines = [f"{facts['name']}: {facts['title']}"]
    rows = {
        "access": _access(facts)
        + (" by its owners; do not use copies of it" if facts["access"] == "withdrawn" else ""),
        "licence": facts["licence"],
        "modality": facts["modality"].replace(",", ", "),
        "a whole copy": ", ".join(f"{number} {what}" for what, number in facts["counts"].items()),
        "protocols": ", ".join(facts["protocols"]),
        "notes": facts["notes"],
        "source": facts["source"],
    }
    if not facts["synthetic"]:
        rows["read it with"] = f"--root {facts['name']}:FOLDER"
    for name, text in rows.items():
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=f"  {name:<14}", subsequent_indent=" " * 16, break_on_hyphens=False
        )
    return "\n".join(lines)


def _findings(benchmark: "Benchmark", found: "Sequence[Finding]") -> str:
    """All findings, errors first, and the verdict."""
    lines = [f"{benchmark.name}{' (synthetic)' if benchmark.synthetic else ''}"]
    for finding in found:
        head = f"  {finding.severity:<9}"
        lines += ["", *_wrapped(f"{finding.message} [{finding.check}]", head)]
        shown = finding.examples
        lines += [f"{' ' * 13}{text}" for text in shown]
        if finding.count > len(shown) > 0:
            lines.append(f"{' ' * 13}... and {finding.count - len(shown)} more")
        if finding.advice:
            lines += _wrapped(finding.advice, f"{' ' * 11}-> ")
    numbers = {s: sum(f.severity == s for f in found) for s in ("error", "warning", "note")}
    return "\n".join([*lines, "", ", ".join(f"{n} {s}{'' if n == 1 else 's'}" for s, n in numbers.items())])


def _wrapped(text: str, start: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)
