"""Evidence for every method on the built-in world."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""

    def reproduce(
        out: Path,
        size: Literal["tiny", "small", "full"] = "small",
        world: Literal["final", "dev"] = "final",
        mocap: Path | None = None,
        methods: tuple[str, ...] = (),
        rows: tuple[str, ...] = (),
        seeds: tuple[int, ...] = (),
        jobs: int = 1,
        json: bool = False,
    ) -> None:
        """Train every method, its baseline and its ablations on synthetic people, and write what was found.

        Recognition and leakage stand side by side, with intervals, chance, times, hardware and commit. Each claim of a
        paper that the world can test gets a line: claimed, found, agrees or not. The rows that claims rest on get five
        seeds, other rows three; sweeps get one, at `full`, and three when named. The command can be stopped at any
        time; the same command goes on.

        `tiny` shows in minutes that everything runs, and its numbers mean nothing; `small` takes about three hours
        on two cores with `--jobs 2`.

        Args:
            out: Folder for worlds, runs and results; pages about all of them are written to OUT/pages.
            size: Of the worlds.
            world: The one for reporting, or the one for choosing settings.
            mocap: Recorded motion by which people move (BVH, AMC or packed clips); procedural without it.
            methods: Only these.
            rows: Only these, by title.
            seeds: These instead of 1 to 5 and 1 to 3.
            jobs: Processes of one thread each; as many as there are cores is best.
            json: Print the claims as JSON.
        """
        from unbraid.experiment import Setting
        from unbraid.report.results import write_results
        from unbraid.reproduce import current
        from unbraid.reproduce import reproduce as verb

        setting = Setting(size=size, part=world, motion=mocap)
        made = verb(out, methods=methods, setting=setting, rows=rows, seeds=seeds, jobs=jobs)
        pages = out / "pages" / setting.name
        found = write_results(current(out, setting), out, pages)
        asked = {line["method"] for line in made}
        claims = {method: one["claims"] for method, one in found.items() if method in asked}
        index = pages / "index.md"
        text = "\n".join(
            f"{method}: {claim['verdict']}: {claim['says']} ({claim['measure']})"
            for method, own in claims.items()
            for claim in own
        )
        show({"pages": str(index), "claims": claims}, f"{text}\nSYNTHETIC. Pages: {index}", json)

    parse(reproduce, "reproduce", arguments)
