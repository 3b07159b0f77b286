"""What every space knows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from unbraid.cli.output import parse, show

if TYPE_CHECKING:
    from unbraid.data.benchmark import Benchmark
    from unbraid.leakage import Leakage
    from unbraid.spaces import Embeddings
    from unbraid.viz import Picture

Kind = Literal["linear", "mlp", "knn"]
# Columns by which a table of facts is joined to the items, the finest first.
JOINS = ("key", "walk", "clothes", "identity")
FILE, TWINS = "leakage.json", "counterfactual.json"
# Pictures for each of the labels that first matches share most.
SHOWN = 2


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def leakage(
        embeddings: tyro.conf.Positional[tuple[Path, ...]],
        labels: tuple[str, ...] = (),
        facts: Path | None = None,
        probes: tuple[Kind, ...] = ("linear", "mlp", "knn"),
        items: int = 4000,
        out: Path | None = None,
        root: str | None = None,
        counterfactual: Path | None = None,
        seed: int = 0,
        json: bool = False,
    ) -> None:
        """What does every space know? How well each label can be read from each space, how sure that is, and in words.

        A space that knows clothes, cameras or activities gives them away, whatever it was trained for. For every space
        and label, probes (linear, one hidden layer, nearest neighbours) learn the label on half of the people and are
        asked about the other half. Printed are

          score     balanced accuracy (every value counts the same), or R2 for measures such as a height,
          interval  95 %, over people,
          chance    what guessing gives; a claim is a score three standard errors above it,
          shuffled  the same probe after the values were dealt anew: what it finds where there is nothing to find,
          bits      usable information: 0 is nothing, 1 bit halves the possibilities.

        identity is asked for in other cameras, and in other clothes where people have several; a person's own outfits
        among the items of that person. Then what a plain search finds (does the nearest item share the camera?), how
        dependent the spaces are on each other, which labels are tied in the data so that one may be mistaken for the
        other, and the verdicts, sentence by sentence. Too few people for a claim: the table says so, without a number.

          unbraid leakage EMBEDDINGS
          unbraid leakage EMBEDDINGS --labels identity camera top_colour --probes linear
          unbraid leakage EMBEDDINGS --facts WORLD/identities.parquet --labels identity height_metres
          unbraid leakage RUN-1/embeddings RUN-2/embeddings --out leaks --root world:clothes/small/dev

        Args:
            embeddings: Folders with query/ and gallery/, made by `unbraid extract`, or one of these two; several are
                compared.
            labels: Columns of the label table. Default: identity and every other that has two or more values.
            facts: A table (Parquet or CSV) with more labels, joined by its column key, walk, clothes or identity, such
                as the identities.parquet of a built-in world, which has everyone's height and style.
            probes: The probes to fit.
            items: Look at no more items than this; whole people are drawn.
            out: Folder for report.html, a page with all of it in pictures and words, and leakage.json; with several
                embeddings the page shows them side by side, and each has a folder for its leakage.json.
            root: The data that was extracted; the page then shows first matches that are alike and somebody else.
            counterfactual: What `unbraid counterfactual --out` wrote about the same runs, for the page.
            seed: Of the halves, the controls and the resampling of people that makes the intervals.
            json: Print the result as JSON; with several embeddings, by name.
        """
        from unbraid.cli.sides import short_names
        from unbraid.leakage import leakage as verb
        from unbraid.report.leakage_page import write_leakage

        if not embeddings:
            raise ValueError("name at least one folder of embeddings, made by `unbraid extract`")
        if not probes:
            raise ValueError("--probes has no value; name linear, mlp or knn")
        if out is None and (root is not None or counterfactual is not None):
            raise ValueError("--root and --counterfactual are for the page; say with --out where it goes")
        if out is not None and out.exists() and not out.is_dir():
            raise ValueError(f"{out} is a file; --out names a folder")
        if seed < 0:
            raise ValueError(f"--seed {seed} is below 0")
        named = {name: _with_facts(_load(folder), facts) for name, folder in short_names(embeddings).items()}
        moved = {} if counterfactual is None else _moved(counterfactual, named)
        benchmark = None if root is None else _data(root, named)
        found = {}
        for name, one in named.items():
            try:
                found[name] = verb(one, labels or None, kinds=probes, items=items, seed=seed)
            except (KeyError, ValueError) as error:
                raise type(error)(f"{name}: {error.args[0]}") from error
        told = {name: one.as_dict() for name, one in found.items()}
        text = "\n\n".join(str(one) if len(found) == 1 else f"{name}\n\n{one}" for name, one in found.items())
        if out is not None:
            from unbraid.report.leakage_page import write_leakage

            written = [_write(out if len(told) == 1 else out / name, one) for name, one in told.items()]
            pictures = {} if benchmark is None else _pictures(benchmark, named, found, seed)
            written.append(write_leakage(told, out, counterfactual=moved, examples=pictures))
            text += "\n\n" + "\n".join(f"Written: {path}" for path in written)
        show(next(iter(told.values())) if len(told) == 1 else told, text, json)

    parse(leakage, "leakage", arguments)


def _load(folder: Path) -> "Embeddings":
    """Query and gallery of a folder as one, or the embeddings that lie in it themselves."""
    from unbraid.cli.sides import load_sides
    from unbraid.report.gather import join
    from unbraid.spaces import Embeddings

    if (folder / "spaces.safetensors").is_file():
        return Embeddings.load(folder)
    if not (folder / "query").is_dir() and (folder / "recipe.json").is_file():
        inside = sorted(str(path.parent) for path in folder.glob("**/query") if path.is_dir())
        hint = f"name {inside[0]}" if inside else f"run `unbraid extract {folder} --out ...` first and name its folder"
        raise ValueError(f"{folder} is a run and not its embeddings; {hint}")
    return join(*load_sides(folder))


def _with_facts(embeddings: "Embeddings", path: Path | None) -> "Embeddings":
    """The embeddings with the columns of a table of facts that they lack.

    Raises FileNotFoundError, and ValueError for a table that cannot be joined.
    """
    import pandas as pd

    from unbraid.spaces import Embeddings

    if path is None:
        return embeddings
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; --facts names a Parquet or CSV table")
    try:
        facts = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no Parquet or CSV table ({error})") from error
    by = next((name for name in JOINS if name in facts.columns and name in embeddings.table.columns), None)
    if by is None:
        raise ValueError(
            f"{path} has none of the columns {', '.join(JOINS)} that the items have; it has "
            f"{list(map(str, facts.columns))}"
        )
    facts[by] = facts[by].astype(str)
    twice = facts[by][facts[by].duplicated()]
    if len(twice):
        raise ValueError(f"{path}: {by} {twice.iloc[0]!r} stands twice; facts need one row for each {by}")
    table = embeddings.table.copy()
    fresh = facts[[by, *(name for name in facts.columns if name not in table.columns)]].set_index(by)
    if not table[by].isin(fresh.index).any():
        raise ValueError(f"{path}: no {by} of it is that of an item, such as {table[by].iloc[0]!r}")
    joined = table.join(fresh, on=by)
    return Embeddings(embeddings.spaces, joined, embeddings.origin)


def _moved(folder: Path, named: "Mapping[str, Embeddings]") -> dict[str, Any]:
    """What `unbraid counterfactual` wrote, by name of the embeddings.

    Raises FileNotFoundError where there is none, ValueError for damaged files and those of other weights.
    """
    import json

    places = {name: folder / TWINS if len(named) == 1 else folder / name / TWINS for name in named}
    there = {name: path for name, path in places.items() if path.is_file()}
    if not there:
        raise FileNotFoundError(
            f"{folder} has no {next(iter(places.values())).relative_to(folder)}; name the folder that "
            f"`unbraid counterfactual --out` wrote for the same runs"
        )
    try:
        found = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in there.items()}
    except ValueError as error:
        raise ValueError(f"{folder}: {TWINS} is damaged ({error}); run `unbraid counterfactual` again") from error
    for name, told in found.items():
        weights = [origin.get("weights") for origin in (told.get("origin", {}), named[name].origin)]
        if None not in weights and weights[0] != weights[1]:
            raise ValueError(
                f"{there[name]} is about other weights than those that the embeddings of {name} were made with; run "
                f"`unbraid counterfactual` on the same run"
            )
    return found


def _data(root: str, named: "Mapping[str, Embeddings]") -> "Benchmark":
    """What was extracted. Raises ValueError for other data, as far as the embeddings say."""
    from unbraid.cli.root import open_benchmark
    from unbraid.data.benchmark import data_hash

    benchmark = open_benchmark(root)
    known = {t.key for t in (*benchmark.train, *benchmark.query, *benchmark.gallery)}
    for name, embeddings in named.items():
        lacking = sorted(set(embeddings.table["key"]) - known)
        if lacking:
            raise ValueError(f"{root} has no tracklet {lacking[0]!r}, of which {name} has an embedding; name its data")
        split, data = (embeddings.origin.get(fact) for fact in ("split", "data"))
        if split in ("train", "query", "gallery") and data and data_hash(getattr(benchmark, split)) != data:
            raise ValueError(
                f"{root} is not what {name} was extracted from ({embeddings.origin.get('benchmark', 'unnamed')}): its "
                f"{split} tracklets are others; name the same data"
            )
    return benchmark


def _pictures(
    benchmark: "Benchmark", named: "Mapping[str, Embeddings]", found: "Mapping[str, Leakage]", seed: int
) -> "dict[str, list[Picture]]":
    """Searches that came back with somebody else who shares a label, for the labels that are shared most."""
    from unbraid.data.media import read_frames
    from unbraid.report.leakage_examples import alike

    tracklets = {t.key: t for t in (*benchmark.train, *benchmark.query, *benchmark.gallery)}
    made: dict[str, list[Picture]] = {}
    for name, embeddings in named.items():
        shared = found[name].bias
        shared = shared[shared["low"] > shared["chance"]]
        order = (shared["share"] - shared["chance"]).sort_values(ascending=False).index
        pictures = [
            alike(
                embeddings,
                label,
                lambda key: read_frames(tracklets[key].media, [len(tracklets[key]) // 2])[0],
                seed=seed,
            )
            for label in shared.loc[order, "label"]
        ]
        made[name] = [picture for picture in pictures if picture is not None][:SHOWN]
    return made


def _write(folder: Path, told: Mapping[str, Any]) -> Path:
    import json

    from unbraid.files import write_text

    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FILE, json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return folder / FILE
