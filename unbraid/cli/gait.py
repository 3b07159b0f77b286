"""Gait across sensors: walks of one's own, and the texts that gait methods retrieve from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from unbraid.cli.output import parse, show, verb_of

USAGE = """usage: unbraid gait COMMAND ...

  prepare  point clouds and masks of walking people as depth pictures and silhouettes in our own layout
  texts    the dictionary of texts about walking people from eight views, that a method such as TCFDNet retrieves from

`unbraid gait prepare --help` explains one command.
"""
VERBS = ("prepare", "texts")


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    verb, rest = verb_of("gait", VERBS, USAGE, arguments)
    if not verb:
        return
    if verb == "texts":
        from unbraid.cli.gait_texts import run as texts

        texts(rest)
        return

    def prepare(
        source: tyro.conf.Positional[Path],
        out: Path,
        across: float = 0.19188,
        up: float = 0.2,
        lowest: float = -25.0,
        highest: float = 15.0,
        span: tuple[float, float] | None = None,
        colour: Literal["jet", "grey"] = "jet",
        fewest: int = 8,
        synthetic: bool = False,
        json: bool = False,
    ) -> None:
        """Bring walks that your own LiDAR, camera or both saw into our own layout, which every command reads.

        SOURCE is a tree PERSON/WALK/ with one point cloud a frame (.pcd, .ply, .npy, .npz, or .bin as in KITTI), one
        mask a frame (.png, 0 and 255), or both; or PERSON/WALK.npz with all clouds of a walk. PERSON/WALK/VIEW/ tells
        views apart. With train/, query/ and gallery/ (or test/) above the people, these are the splits; without them
        everything is for testing.

        A cloud holds one person's points, cut out of the scene: metres, x and y horizontal, z up, the scanner at the
        origin. It becomes a picture by azimuth, elevation and horizontal range; both sensors give 64 x 64 pictures cut
        to the person's height and centred. A cloud and a mask of one name are of one moment; where names differ, there
        must be as many of both. Frames in which one sensor shows nobody are left out for both.

        The defaults are the geometry of SUSTech1K. For another scanner give its resolution: --up is the angle
        between beams, too small a value leaves black lines. After a kill the same command goes on.

        Args:
            source: Folder of people.
            out: New or empty folder, or one that this command began.
            across: Degrees of azimuth in a column.
            up: Degrees of elevation in a row.
            lowest: Degrees; points below are left out.
            highest: Degrees; points above are left out.
            span: Metres shown nearest and farthest; without it each frame's own, so that only shape is left.
            colour: jet, as in SUSTech1K, or grey, as in the built-in world; a method reads what it was trained on.
            fewest: Points below which a cloud shows nobody.
            synthetic: These people were rendered; every number made from them then says so.
            json: Print what was written as JSON.
        """
        from dataclasses import asdict

        from unbraid.data.depth import Projection
        from unbraid.data.gait import prepare_gait
        from unbraid.progress import console

        projection = Projection(across=across, up=up, lowest=lowest, highest=highest, span=span, colour=colour)
        done = prepare_gait(source, out, projection, fewest=fewest, synthetic=synthetic)
        for text in done.remarks:
            console.print(f"note: {text}", markup=False, highlight=False)
        told = " and ".join(f"{number} {modality}" for modality, number in done.tracklets.items())
        lines = [
            f"Prepared: {done.root} ({told} tracklets of {done.walks} walks, {done.people} people)",
            f"{max(done.frames.values())} frames, {done.frames_left_out} left out",
            f"Score it by --protocol {' or '.join(done.protocols)}",
        ]
        show(asdict(done), "\n".join(lines), json)

    parse(prepare, "gait prepare", rest)
