"""Where a command finds its data: a folder, or a benchmark of the built-in world by name."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbraid.data.benchmark import Benchmark


def open_benchmark(root: str) -> "Benchmark":
    """The benchmark in a folder, or of a name that starts with 'world:', rendered when it is first used.

    Rendered worlds are kept in the folder that UNBRAID_WORLDS names, else in .cache/unbraid/worlds of the home folder.
    Raises the errors of `read`, `named_world` and `render`.
    """
    from unbraid.data.sets.folder import read

    if not str(root).startswith("world:"):
        return read(Path(root))
    from unbraid.progress import console
    from unbraid.world import named_world, render

    named = named_world(str(root))
    folder = worlds() / named.name.removeprefix("world:").replace("/", "-")
    if not (folder / "tracklets.parquet").is_file():
        console.print(f"rendering {named.name} (synthetic) into {folder}")
    return read(render(named.config, folder, name=named.name))


def worlds() -> Path:
    """The folder for rendered worlds."""
    chosen = os.environ.get("UNBRAID_WORLDS")
    return Path(chosen) if chosen else Path.home() / ".cache" / "unbraid" / "worlds"
