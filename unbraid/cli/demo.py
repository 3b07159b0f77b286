"""The whole line in one command."""

from collections.abc import Sequence
from pathlib import Path

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""

    def demo(out: Path = Path("demo"), seed: int = 0, json: bool = False) -> None:
        """Render a small synthetic world, train DSANet on it, test it on people it never saw, write a report.

        A second run uses what the first one left behind.

        Args:
            out: Folder for everything.
            seed: Seed of the world and of training.
            json: Print the numbers as JSON.
        """
        from unbraid.demo import demo as verb

        page = verb(out, seed=seed)
        show({"report": str(page)}, f"Report: {page.resolve()}", json)

    parse(demo, "demo", arguments)
