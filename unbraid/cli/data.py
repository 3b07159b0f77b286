"""Benchmarks: what they are, whether a copy is sound, copies in our own layout and without faces, lists drawn anew."""

import difflib
import re
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli.listing import WIDTH, facts_of, names, table, whole
from unbraid.cli.output import parse, show, verb_of

if TYPE_CHECKING:
    from unbraid.data.benchmark import Benchmark
    from unbraid.data.finding import Finding

USAGE = """usage: unbraid data COMMAND ...

  list     every benchmark: what it is, who may have it, its licence and protocols; `list NAME` says all about one
  check    what is wrong with a copy: missing files, people in train and test, queries without mates, duplicates, ...
  prepare  a copy in our own layout, every frame decoded once, perhaps resized
  blur     a copy of a folder of ours in which faces are blurred
  draws    probes and gallery of same and cross activity, drawn for five seeds and written down with hashes

ROOT is a folder of ours, NAME:FOLDER such as mars:/data/MARS for a benchmark in its owners' layout, a name such as
world:clothes/small/dev, or data of your own: people.csv, or own:FOLDER with a folder for each person.
`unbraid data check --help` explains one command.
"""
FORMS = "write NAME:FOLDER for a benchmark in its owners' layout, own:FOLDER for a folder of people, or a table (.csv)"
# A folder that `unbraid` finished or began; what it says when one is unfinished is better than our list of forms.
OURS = ("tracklets.parquet", "world.json", "prepare.json", "origin.json")
VERBS = ("list", "check", "prepare", "blur", "draws")
OWN = "own"


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    verb, rest = verb_of("data", VERBS, USAGE, arguments)
    if not verb:
        return

    def list_(name: tyro.conf.Positional[str] = "", json: bool = False) -> None:
        """List every benchmark with access, licence and protocols, or tell all about one.

        Args:
            name: Only this one, with counts, notes and source.
            json: Print the facts as JSON.
        """
        if name:
            facts = facts_of(name)
            show(facts, whole(facts), json)
            return
        every = [facts_of(n) for n in names()]
        show(every, table(every), json)

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

    def blur(root: tyro.conf.Positional[str], out: Path, json: bool = False) -> None:
        """Copy a folder of ours with all faces blurred, for benchmarks that ask who is known by anything else.

        Where no face is found the place of a head is blurred: the top 22 % of the person's mask, or of the frame. It
        keeps a method from using faces; it makes nobody anonymous. Silhouettes and depth maps are copied, captions are
        not. An interrupted copy goes on where it was; until it is whole no command reads it.

        Args:
            root: What to copy: a folder of ours or world:KIND. Bring other data into it with `unbraid data prepare`.
            out: New or empty folder for the copy, or one that this command began.
            json: Print what was done as JSON.
        """
        from dataclasses import asdict

        from unbraid.data.faces import blur_folder

        _open(root)
        source = _ours(root)
        if source is None:
            raise ValueError(
                f"faces are blurred in folders of ours, and {root} is none; run `unbraid data prepare {root} "
                f"--out FOLDER` first and blur that"
            )
        done = blur_folder(source, out)
        text = f"{done.frames} frames: faces found in {done.found}, the place of a head blurred in {done.heads}"
        show({"root": str(out), **asdict(done)}, f"Blurred: {out} ({text})", json)

    def draws(
        root: tyro.conf.Positional[str],
        out: Path,
        seeds: tuple[int, ...] = (42, 43, 44, 45, 46),
        share: float = 0.25,
        json: bool = False,
    ) -> None:
        """Divide the test clips of an activity benchmark into probes and gallery, several times, and write it down.

        The owners of these benchmarks published rules but no lists. The folder holds four lists of keys for every seed,
        and their SHA-256, so that others can use the same; `unbraid evaluate EMBEDDINGS --draws FOLDER` gives mean and
        spread. The same data and seeds give the same bytes, and other draws are never replaced.

        Args:
            root: What to divide: a folder of ours, NAME:FOLDER, world:activity or a table; with the label action.
            out: New or empty folder for the lists.
            seeds: One draw for each.
            share: Of each person's clips that become probes, between 0 and 1.
            json: Print how many clips each list has as JSON.
        """
        from unbraid.data.activity import draw, save

        benchmark, _ = _open(root)
        made = draw(benchmark, seeds=seeds, share=share)
        folder = save(made, out, benchmark, share=share)
        counts = {one.seed: {"-".join(pair): len(keys) for pair, keys in one.lists.items()} for one in made}
        columns = list(counts[seeds[0]])
        lines = ["seed    " + "".join(f"{name:>24}" for name in columns)]
        lines += [f"{seed:<8}" + "".join(f"{row[name]:>24}" for name in columns) for seed, row in counts.items()]
        told = {"root": str(folder), "benchmark": benchmark.name, "synthetic": benchmark.synthetic, "draws": counts}
        show(told, "\n".join([f"Drawn from {benchmark.name}: {folder}", *lines]), json)

    commands: dict[str, Any] = {"list": list_, "check": check, "prepare": prepare, "blur": blur, "draws": draws}
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


def _ours(root: str) -> Path | None:
    """The folder of ours that is meant, None for anything else."""
    from unbraid.cli.root import folder_of

    return folder_of(root) if root.startswith("world:") or Path(root).is_dir() else None


def _captions(root: str) -> Path | None:
    """The caption file of a folder of ours, if it has one."""
    from unbraid.cli.root import folder_of

    folder = _folder(root) if not root.startswith("world:") else folder_of(root)
    path = None if folder is None else folder / "captions.jsonl"
    return path if path is not None and path.is_file() else None


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
