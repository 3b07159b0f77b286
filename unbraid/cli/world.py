"""Synthetic people."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    from unbraid.world import WorldConfig

    def render(
        out: Path,
        config: Annotated[WorldConfig, tyro.conf.arg(name="")],
        workers: int | None = None,
        json: bool = False,
    ) -> None:
        """Render synthetic people with known identity, clothes, camera, view and action, as a tracklet folder.

        Args:
            out: Folder to write; a finished world of the same config is left as it is.
            config: The world.
            workers: Processes; all cores by default.
            json: Print the result as JSON.
        """
        from unbraid.world import render as verb

        folder = verb(config, out) if workers is None else verb(config, out, workers=workers)
        show({"root": str(folder)}, f"World: {folder}", json)

    if arguments[:1] == ["render"]:
        parse(render, "world render", arguments[1:])
    elif arguments[:1] in (["--help"], ["-h"]):
        print("usage: unbraid world render --out FOLDER ...\n\n`unbraid world render --help` explains it.")
    else:
        raise ValueError(f"expected `unbraid world render --out FOLDER`; got {' '.join(arguments) or 'nothing'}")
