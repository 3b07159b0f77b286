"""Synthetic people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from unbraid.cli.output import parse, show

if TYPE_CHECKING:
    from unbraid.world.motion import MotionSource

USAGE = """usage: unbraid world COMMAND [NAME or FOLDER] ...

  render  synthetic people with every factor known, as a tracklet folder
  show    contact sheets: what the world looks like, by action, outfit, camera, view and condition
  check   whether a rendered world is honest: what must and what must not be recognised in it

NAME is a benchmark such as world:clothes/small/dev; without it, options alone describe the world.
`unbraid world render --help` explains all of them.
"""


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    from unbraid.world import NamedWorld, WorldConfig, named_world

    if not arguments or arguments[0] in ("--help", "-h"):
        print(USAGE)
        return
    verb, rest = arguments[0], list(arguments[1:])
    if verb not in ("render", "show", "check"):
        raise ValueError(f"there is no `unbraid world {verb}`; use render, show or check")

    def check(root: tyro.conf.Positional[Path], seed: int = 0, json: bool = False) -> None:
        """Audit a rendered world with features that need no network; exits with 1 when it is not honest.

        Args:
            root: Folder written by `unbraid world render`.
            seed: Of intervals and shuffling.
            json: Print the result as JSON.
        """
        from unbraid.audit import as_text, audit, failures

        table = audit(root, seed=seed)
        wrong = failures(table)
        rows = [{k: None if v != v else v for k, v in row.items()} for row in table.to_dict("records")]
        show({"rows": rows, "failures": wrong}, f"{as_text(table)}\n\n" + ("\n".join(wrong) or "honest"), json)
        if wrong:
            raise SystemExit(1)

    if verb == "check":
        parse(check, "world check", rest)
        return
    named = NamedWorld("world", WorldConfig())
    if rest and not rest[0].startswith("-"):
        named = named_world(rest.pop(0))
    Config = Annotated[WorldConfig, tyro.conf.arg(name="")]

    def render(
        out: Path,
        config: Config = named.config,
        motion: Path | None = None,
        workers: int | None = None,
        json: bool = False,
    ) -> None:
        """Render synthetic people with every factor known, as a tracklet folder with captions.

        Args:
            out: Folder to write; a finished world of the same config is left as it is.
            config: The world.
            motion: Recorded motion: a .bvh or .amc file, a folder of them, or a packed .npz. People then do what the
                recordings show, unless --actions names some of it.
            workers: Processes; all cores by default.
            json: Print the result as JSON.
        """
        from unbraid.world import render as make

        name = named.name if config == named.config and motion is None else "world"
        source = _source(motion)
        folder = make(
            config.moved_by(source.actions) if source else config, out, workers=workers, motion=source, name=name
        )
        show({"root": str(folder)}, f"World: {folder}", json)

    def sheets(out: Path, config: Config = named.config, motion: Path | None = None, json: bool = False) -> None:
        """Draw contact sheets of a world, without rendering it.

        Args:
            out: Folder for the pictures.
            config: The world.
            motion: Recorded motion, as for `unbraid world render`.
            json: Print the result as JSON.
        """
        from unbraid.world.show import show as draw

        source = _source(motion)
        paths = draw(config.moved_by(source.actions) if source else config, out, motion=source)
        show([str(path) for path in paths], "\n".join(str(path) for path in paths), json)

    parse(render if verb == "render" else sheets, f"world {verb}", rest)


def _source(path: Path | None) -> "MotionSource | None":
    if path is None:
        return None
    from unbraid.world.capture import open_motion

    return open_motion(path)
