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
        methods: tuple[str, ...] = (),
        rows: tuple[str, ...] = (),
        seeds: tuple[int, ...] = (),
        jobs: int = 1,
        json: bool = False,
    ) -> None:
        """Train every method, its baseline and its ablations on synthetic people, and write what was found.

        Recognition and leakage stand side by side, with intervals, chance, times, hardware and commit. Each claim of a
        paper that the world can test gets a line: claimed, found, agrees or not. Rows that a title names as headlines
        get five seeds, others three. The command can be stopped at any time; the same command goes on.

        `tiny` shows in minutes that everything runs, and its numbers mean nothing; `small` takes hours.

        Args:
            out: Folder for worlds, runs and results; pages are written to its folder `pages`.
            size: Of the worlds.
            methods: Only these.
            rows: Only these, by title.
            seeds: These instead of 1 to 5 and 1 to 3.
            jobs: Processes of one thread each; as many as there are cores is best.
            json: Print the claims as JSON.
        """
        from unbraid.report.results import write_results
        from unbraid.reproduce import reproduce as verb

        lines = verb(out, methods=methods, size=size, rows=rows, seeds=seeds, jobs=jobs)
        found = write_results(lines, out, out / "pages")
        claims = {method: one["claims"] for method, one in found.items()}
        index = out / "pages" / "index.md"
        text = "\n".join(
            f"{method}: {claim['verdict']}: {claim['says']} ({claim['measure']})"
            for method, own in claims.items()
            for claim in own
        )
        show({"pages": str(index), "claims": claims}, f"{text}\nSYNTHETIC. Pages: {index}", json)

    parse(reproduce, "reproduce", arguments)
