"""Packed clips of the CMU motion capture database: one table of exponential maps and one of clips.

The table (.npz: data, base, keep, fps) holds the columns that ever change; all others are constant. A full row has
117 columns: root position in CMU units, then an exponential map for each of 38 joints. The original uses row
vectors, so on column vectors the map is negated. The list of clips is the .json beside it. The file has no bone
lengths: the skeleton here has the shape of one subject of the database and each clip the size at which the lower
foot stands on the floor of the recording in its median frame.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from unbraid.world.capture.clip import END, Clip
from unbraid.world.capture.text import euler
from unbraid.world.people.skeleton import Floats

UNIT = 0.056444
COLUMNS = 117
LEG = ("femur", "tibia", "foot", "toes", "toes" + END)
ARM = ("clavicle", "humerus", "radius", "wrist", "hand", "fingers", "fingers" + END)
JOINTS = (
    "root",
    *("lhipjoint", *(f"l{bone}" for bone in LEG)),
    *("rhipjoint", *(f"r{bone}" for bone in LEG)),
    *("lowerback", "upperback", "thorax", "lowerneck", "upperneck", "head", "head" + END),
    *(*(f"l{bone}" for bone in ARM), "lthumb", "lthumb" + END),
    *(*(f"r{bone}" for bone in ARM), "rthumb", "rthumb" + END),
)
PARENTS = (
    *(-1, 0, 1, 2, 3, 4, 5, 0, 7, 8, 9, 10, 11, 0, 13, 14, 15, 16, 17, 18),
    *(15, 20, 21, 22, 23, 24, 25, 23, 27, 15, 29, 30, 31, 32, 33, 34, 32, 36),
)
# Offset of each left joint and each middle joint from its parent in CMU units, x left, y up, z forward, T-pose with
# legs spread by 20 degrees. Source: the skeletons of the CMU database share these directions; lengths are those of
# subject 35, both sides averaged and rounded.
SIDE = {
    "hipjoint": (0.0, 0.0, 0.0),
    "femur": (1.68, -1.89, 0.48),
    "tibia": (2.57, -7.06, 0.0),
    "foot": (2.72, -7.48, 0.0),
    "toes": (0.22, -0.60, 2.22),
    "toes" + END: (0.0, 0.0, 1.15),
    "clavicle": (0.02, 2.05, 0.11),
    "humerus": (3.43, 0.90, -0.55),
    "radius": (5.10, 0.0, 0.0),
    "wrist": (3.55, 0.0, 0.0),
    "hand": (1.78, 0.0, 0.0),
    "fingers": (0.45, 0.0, 0.0),
    "fingers" + END: (0.36, 0.0, 0.0),
    "thumb": (1.78, 0.0, 0.0),
    "thumb" + END: (0.37, 0.0, 0.37),
}
MIDDLE = {
    "root": (0.0, 0.0, 0.0),
    "lowerback": (0.0, 0.0, 0.0),
    "upperback": (0.03, 2.02, -0.22),
    "thorax": (0.03, 2.03, 0.01),
    "lowerneck": (0.02, 2.05, 0.11),
    "upperneck": (0.0, 1.70, 0.21),
    "head": (0.03, 1.72, -0.22),
    "head" + END: (0.0, 1.72, -0.10),
}
SOLE = 0.35


@dataclass(frozen=True, eq=False)
class Packed:
    """An opened pair of files. rows (N, 117). clips: the entries of the list, checked."""

    path: Path
    rows: Floats
    clips: tuple[dict[str, Any], ...]
    rate: float

    def clip(self, number: int, *, action: str, subject: str | None) -> Clip:
        """Clip `number` in metres; file names the table and the original file of the clip."""
        entry = self.clips[number]
        rows = self.rows[entry["start"] : entry["start"] + entry["length"]]
        vectors = -rows[:, 3:].reshape(-1, 3)
        rotations = Rotation.from_rotvec(vectors).as_matrix().reshape(len(rows), len(JOINTS), 3, 3)
        rotations[:, 0] = _root_reordered(rotations[:, 0])
        clip = Clip(
            joints=JOINTS,
            parents=PARENTS,
            offsets=_offsets() * UNIT,
            rotations=rotations,
            translation=np.ascontiguousarray(rows[:, :3]) * UNIT,
            rate=self.rate,
            subject=subject,
            action=action,
            file=f"{self.path}, {entry['source']}",
        )
        return _sized(clip)


def read_packed(path: Path) -> Packed:
    """Open the .npz or the .json of a pair; the other one has the same name.

    Raises FileNotFoundError when one is missing, ValueError naming the file and what is wrong in it.
    """
    table, listing = path.with_suffix(".npz"), path.with_suffix(".json")
    for file in (table, listing):
        if not file.is_file():
            raise FileNotFoundError(f"{path}: packed clips are a .npz and a .json of the same name; {file} is missing")
    with np.load(table, allow_pickle=False) as arrays:
        missing = {"data", "base", "keep"} - set(arrays.files)
        if missing:
            raise ValueError(f"{table}: no packed clips, {sorted(missing)} missing; found {sorted(arrays.files)}")
        data, base, keep = (np.asarray(arrays[name]) for name in ("data", "base", "keep"))
    fits = base.shape == (COLUMNS,) and data.ndim == 2 and keep.shape == data.shape[1:]
    if not fits or keep.dtype.kind not in "iu" or keep.min(initial=0) < 0 or keep.max(initial=0) >= COLUMNS:
        raise ValueError(
            f"{table}: expected base ({COLUMNS},), data (N, K), keep (K,) column numbers; "
            f"found {base.shape}, {data.shape}, {keep.shape} {keep.dtype}"
        )
    rows = np.tile(base.astype(np.float64), (len(data), 1))
    rows[:, keep] = data
    if not np.isfinite(rows).all():
        raise ValueError(f"{table}: NaN or infinity in row {int(np.nonzero(~np.isfinite(rows).all(1))[0][0])}")
    try:
        head = json.loads(listing.read_text(encoding="utf-8"))
        rate, clips = float(head["fps"]), tuple(_entry(listing, row, len(rows)) for row in head["clips"])
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{listing}: expected an object with 'fps' and 'clips': {error}") from error
    return Packed(table, rows, clips, rate)


def _entry(listing: Path, row: dict[str, Any], rows: int) -> dict[str, Any]:
    start, length = row["start"], row["length"]
    if not (isinstance(start, int) and isinstance(length, int) and 0 <= start < start + length <= rows):
        raise ValueError(f"{listing}: clip {row['source']!r} spans {start} + {length} of {rows} rows")
    group = row.get("gait_group")
    if not isinstance(row["activity"], str) or not (group is None or isinstance(group, str)):
        raise ValueError(f"{listing}: clip {row['source']!r} needs 'activity' (text) and 'gait_group' (text or null)")
    return {"source": str(row["source"]), "activity": row["activity"], "group": group, "start": start, "length": length}


def _offsets() -> Floats:
    offsets = np.zeros((len(JOINTS), 3))
    for number, joint in enumerate(JOINTS):
        if joint in MIDDLE:
            offsets[number] = MIDDLE[joint]
        else:
            x, y, z = SIDE[joint[1:]]
            offsets[number] = (x if joint[0] == "l" else -x, y, z)
    return offsets


def _root_reordered(turned: Floats) -> Floats:
    """Root rotations (T, 3, 3) as recorded, from those of the table.

    The table multiplies the root's angles as turn(z) turn(x) turn(y); they are meant as turn(z) turn(y) turn(x), as
    in the ASF/AMC files and as all other joints of the table. Left alone, whoever turns sideways falls over. The
    angles are read off and multiplied again. Two triples of angles give the same table: the one with |y| up to 90
    degrees is right in the first frame, after that the one that goes on from the frame before.
    Source: not in a paper; the one clip of which we have both forms agrees to 0.001 degrees, and people stay upright.
    """
    z, x, y = Rotation.from_matrix(turned).as_euler("ZXY").T
    first = euler("zyx", np.stack([z, y, x], axis=-1))
    second = euler("zyx", np.stack([z, -y, -x], axis=-1))
    chosen = np.where((np.cos(y) >= 0)[:, None, None], first, second)
    for frame in range(1, len(turned)):
        likeness = [float(np.vdot(chosen[frame - 1], other[frame])) for other in (first, second)]
        chosen[frame] = first[frame] if likeness[0] >= likeness[1] else second[frame]
    return chosen


def _sized(clip: Clip) -> Clip:
    """The clip with its skeleton scaled so that the lower foot stands on the floor, y = 0, in the median frame."""
    reach = clip.translation[:, 1:2] - clip.positions()[:, :, 1]
    lowest = reach.max(1) + SOLE * UNIT
    scale = float(np.median(clip.translation[:, 1] / lowest))
    return Clip(**{**vars(clip), "offsets": clip.offsets * scale})
