"""The page."""

from collections.abc import Sequence
from pathlib import Path

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def report(run: tyro.conf.Positional[Path], root: str, out: Path, json: bool = False) -> None:
        """Test a run on a data set and write one self-contained HTML page, with its numbers as JSON beside it.

        Args:
            run: Run folder made by `unbraid train`.
            root: Tracklet folder with query and gallery, or a built-in benchmark such as world:clothes/small/dev.
            out: The page to write, such as report.html.
            json: Print where it is as JSON.
        """
        from unbraid.cli.root import open_benchmark
        from unbraid.report import report as write
        from unbraid.report.gather import gather

        page = write(gather(run, open_benchmark(root)), out)
        show({"report": str(page)}, f"Report: {page.resolve()}", json)

    parse(report, "report", arguments)
