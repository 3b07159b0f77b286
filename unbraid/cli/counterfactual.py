"""How far one factor alone moves what a run makes of a shot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli.output import parse, show

if TYPE_CHECKING:
    from unbraid.checkpoint import Run
    from unbraid.counterfactual import Counterfactual
    from unbraid.data.benchmark import Benchmark
    from unbraid.world import NamedWorld

USUAL = "clothes/small/final"
FILE, SHEET = "counterfactual.json", "twins.png"


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def counterfactual(
        runs: tyro.conf.Positional[tuple[Path, ...]],
        world: str | None = None,
        people: int = 40,
        out: Path | None = None,
        seed: int = 0,
        device: str | None = None,
        json: bool = False,
    ) -> None:
        """How far one change moves the features: the same shot again with other clothes, and nothing else changed.

        Shots of test people of the built-in world are rendered again with exactly one factor changed and everything
        else as it was, down to the noise of the sensor. A run's features of both are compared:

          person    another body and style, in the same outfit, motion and scene: the yardstick, always 1
          clothes   another outfit, with its bag and hat
          camera    another camera, from the same side
          modality  the same instants by another sensor, where the world has several
          action    another activity
          view      from another side
          take      another clip of the same activity
          nothing   other noise of the sensors only: the floor

        A number says how far the change moves the features as a share of how far another person does: median over the
        twins of each, in brackets its 95 % interval over the people. 0.1 for clothes: they hardly matter. 1: new
        clothes look like a new person. The identity space is compared by the run's own method, every other space by
        cosine. Unlike a probe, this cannot mistake what goes along with a factor for the factor.

        The numbers are about synthetic people. Twins are rendered once and kept (in the folder that UNBRAID_WORLDS
        names, else .cache/unbraid/worlds of the home folder).

        Args:
            runs: Run folders made by `unbraid train`.
            world: World of the shots, such as clothes/small/final; the run must read one of its sensors. Default: the
                one that the runs were trained on, where it is built in, else clothes/small/final.
            people: How many of its test people, one shot each; all if it has fewer.
            out: Write counterfactual.json, a picture of a shot with its twins, and the embeddings into this folder;
                with several runs JSON and embeddings of each go into a folder of its name.
            seed: Of the intervals.
            device: 'cpu', 'cuda', ...; a GPU when there is one.
            json: Print the result as JSON.
        """
        from unbraid.checkpoint import open_run
        from unbraid.cli.root import worlds
        from unbraid.cli.sides import short_names
        from unbraid.data.sets.folder import read
        from unbraid.progress import console
        from unbraid.world import named_world
        from unbraid.world.twins import render_twins

        if not runs:
            raise ValueError("name at least one run folder, such as `unbraid counterfactual demo/run`")
        opened = {name: open_run(folder) for name, folder in short_names(runs).items()}
        named = named_world(world) if world else _world_of(opened)
        reads = {name: _read_sensors(one, named) for name, one in opened.items()}
        count = min(people, named.config.test_identities)
        folder = worlds() / f"{named.name.removeprefix('world:').replace('/', '-')}-twins-{count}"
        if not (folder / "tracklets.parquet").is_file():
            console.print(f"rendering twins of {named.name} (synthetic) into {folder}")
        twins = read(render_twins(named.config, folder, people=people, name=named.name))
        found: dict[str, Counterfactual] = {}
        for name, one in opened.items():
            place = None if out is None else out if len(opened) == 1 else out / name
            found[name] = _measure(one, _seen(twins, reads[name]), place, seed, device)
        files = [] if out is None else _write(found, twins, out)
        text = "\n\n".join(f"{name} on {twins.name}\n{one}" for name, one in found.items())
        text = "\n".join([text, *(f"Wrote {file}" for file in files)])
        facts = {"world": named.name, "runs": {name: one.as_dict() for name, one in found.items()}}
        show({**facts, "files": [str(file) for file in files]}, text, json)

    parse(counterfactual, "counterfactual", arguments)


def _world_of(runs: "Mapping[str, Run]") -> "NamedWorld":
    """The built-in world that all runs were trained on, the usual one where none says so."""
    from unbraid.world import named_world
    from unbraid.world.benchmarks import START

    told = {str(run.origin.get("benchmark", "")) for run in runs.values()}
    known = sorted(name for name in told if name.startswith(START))
    if len(known) > 1:
        raise ValueError(f"the runs were trained on different worlds ({', '.join(known)}); name one with --world")
    return named_world(_procedural(known[0]) if known else USUAL)


def _procedural(name: str) -> str:
    """The name of a world without that of recorded motion: twins move in the procedural way."""
    return "/".join(name.split("/")[:3])


def _read_sensors(run: "Run", named: "NamedWorld") -> tuple[str, ...]:
    """Those of the world's modalities that the run reads. Raises ValueError when it reads none of them."""
    from unbraid.checkpoint import load_method
    from unbraid.world import named_world
    from unbraid.world.benchmarks import KINDS, START

    # here, so that a run without weights is refused before anything is rendered
    method, shown = load_method(run.folder), named.config.modalities
    trained, channels = str(run.origin.get("benchmark", "")), run.recipe.data.channels
    reads: tuple[str, ...]
    if channels != "rgb":
        reads, why = ("rgb",), f"its recipe has data.channels = {channels!r}: frames with masks"
    elif "modality" in method.sensor and hasattr(method.config, "modalities"):
        reads, why = tuple(method.config.modalities), "so its recipe says"
    elif trained.startswith(START):
        reads, why = named_world(_procedural(trained)).config.modalities, f"it was trained on {trained}"
    else:
        # a folder of somebody's own: it does not say, and any picture can be read as three channels
        return shown
    if not set(reads) & set(shown):
        fitting = [kind for kind, config in KINDS.items() if set(reads) & set(config.modalities)]
        raise ValueError(
            f"{run.folder} reads {' and '.join(reads)} ({why}), but {named.name} shows {' and '.join(shown)}; "
            f"choose a --world that fits, of {', '.join(fitting)}"
        )
    return tuple(name for name in shown if name in reads)


def _seen(twins: "Benchmark", modalities: Sequence[str]) -> "Benchmark":
    """Originals and twins of some modalities, twins only with their originals."""
    from dataclasses import replace

    kept = {t.key for t in twins.gallery if t.modality in modalities}
    return replace(
        twins, gallery=tuple(t for t in twins.gallery if t.key in kept and t.labels.get("twin_of", t.key) in kept)
    )


def _measure(run: "Run", twins: "Benchmark", out: Path | None, seed: int, device: str | None) -> "Counterfactual":
    """Embeddings of the twins by a run, kept where `out` says, and what they tell."""
    from unbraid.checkpoint import load_method
    from unbraid.counterfactual import counterfactual
    from unbraid.extract import extract, extract_run

    method = load_method(run.folder)
    if out is not None:
        found = extract_run(run.folder, twins, out / "embeddings", splits=("gallery",), device=device)["gallery"]
    else:
        origin = {"method": run.recipe.method, "benchmark": twins.name, "synthetic": "true"}
        found = extract(method, twins.gallery, run.recipe.data, device=device, origin=origin, classes=run.classes)
    return counterfactual(found, seed, similarity=method.similarity)


def _write(found: "Mapping[str, Counterfactual]", twins: "Benchmark", out: Path) -> list[Path]:
    """Write the JSON files and the picture; returns their names."""
    from json import dumps

    from unbraid.cli.sides import write_picture
    from unbraid.files import write_text

    files = []
    for name, one in found.items():
        files.append((out if len(found) == 1 else out / name) / FILE)
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        write_text(files[-1], dumps(one.as_dict(), indent=2, allow_nan=False) + "\n")
    write_picture(_sheet(found, twins), out / SHEET)
    return [*files, out / SHEET]


def _sheet(found: "Mapping[str, Counterfactual]", twins: "Benchmark") -> Any:
    """The first shot with its twins, and what each change does to the identity space of the runs."""
    from unbraid.data.media import read_frames
    from unbraid.viz.twins import TwinRow, twin_sheet
    from unbraid.world.twins import FACTORS

    original = next(t for t in twins.gallery if "twin_of" not in t.labels)
    own = {t.labels["factor"]: t for t in twins.gallery if t.labels.get("twin_of") == original.key}
    moved = {(row.factor, name): str(row) for name, one in found.items() for row in one.rows if row.space == "identity"}
    facts = {"identity": original.identity, "modality": original.modality, **original.labels}
    known = [name for name in ("identity", "clothes", "camera", "modality", "action", "view") if name in facts]
    lines = [", ".join(f"{name} {facts[name]}" for name in known[start : start + 2]) for start in range(0, 6, 2)]
    people = max(row.identities for one in found.values() for row in one.rows)
    lines += [
        "SYNTHETIC",
        f"below, over {people} people: how far the identity",
        "space moves, 1 = as far as another person",
    ]
    rows = [TwinRow("original", lines, read_frames(original.media, range(len(original))))]
    for factor, label in FACTORS.items():
        if factor in own:
            twin = own[factor]
            now = {"identity": twin.identity, "modality": twin.modality, **twin.labels}[label]
            notes = [f"{facts[label]} \N{RIGHTWARDS ARROW} {now}"]
            notes += [f"{name}: {moved[factor, name]}" for name in found if (factor, name) in moved]
            rows.append(TwinRow(factor, notes, read_frames(twin.media, range(len(twin)))))
    return twin_sheet(rows)
