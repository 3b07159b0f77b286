"""Where a command finds its data: a folder of ours, a benchmark as its owners pack it, or the built-in world."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbraid.data.benchmark import Benchmark


def open_benchmark(root: str) -> "Benchmark":
    """The benchmark that `--root` names.

    A folder: a tracklet folder. NAME:FOLDER, such as mars:/data/MARS: a benchmark in its owners' layout.
    world:KIND/SIZE/WORLD: a benchmark of the built-in world, rendered when it is first used. Rendered worlds are kept
    in the folder that UNBRAID_WORLDS names, else in .cache/unbraid/worlds of the home folder.
    Raises the errors of `read`, `named_world` and `render`.
    """
    from unbraid.data.sets.folder import read

    name, colon, folder_name = str(root).partition(":")
    if name != "world":
        from unbraid.data.sets.about import available, reader

        return reader(name)(Path(folder_name)) if colon and name in available() else read(Path(root))
    from unbraid.progress import console
    from unbraid.world import named_world, render

    named = named_world(str(root))
    folder = _world_folder(named.name)
    if not (folder / "tracklets.parquet").is_file():
        console.print(f"rendering {named.name} (synthetic) into {folder}")
    return read(render(named.config, folder, name=named.name))


def folder_of(root: str) -> Path | None:
    """The tracklet folder behind a `--root`, None for a benchmark in its owners' layout."""
    from unbraid.data.sets.about import available
    from unbraid.world import named_world

    name, colon, _ = str(root).partition(":")
    if name == "world":
        return _world_folder(named_world(str(root)).name)
    return None if colon and name in available() else Path(root)


def _world_folder(name: str) -> Path:
    return worlds() / name.removeprefix("world:").replace("/", "-")


def worlds() -> Path:
    """The folder for rendered worlds."""
    chosen = os.environ.get("UNBRAID_WORLDS")
    return Path(chosen) if chosen else Path.home() / ".cache" / "unbraid" / "worlds"
