"""Point clouds of one's own sensor, read without running anything that a file asks for.

| ending | one frame | a whole walk |
|---|---|---|
| .pcd | ascii, binary, binary_compressed | |
| .ply | ascii, binary | |
| .bin | float32 x, y, z, intensity as in KITTI; .pcd.bin: five numbers a point as in nuScenes | |
| .npy | N x 3 or more | T x N x 3 or more |
| .npz | one such array | one array a frame, in the order of their names |
| .pkl | one such array | a list of such arrays |
| .safetensors | | `points` N x 3 and `counts` T, as the built-in world writes |

Axes: x and y horizontal, z up, in metres, the sensor at the origin.
"""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unbraid.data.arrays import load_array, load_arrays
from unbraid.data.pcd import pcd_points
from unbraid.data.ply import ply_points
from unbraid.files import read_tensors

Cloud = NDArray[np.float32]

FRAME_ENDINGS = (".pcd", ".ply", ".bin", ".npy", ".npz")
WALK_ENDINGS = (".npy", ".npz", ".pkl", ".safetensors")
# 64 MiB hold four million points of four numbers; a sweep has at most a few hundred thousand.
FRAME_LIMIT = 1 << 26
WALK_LIMIT = 1 << 30
# Numbers that a point has at most: three rows of more are coordinates in rows.
WIDEST = 16
# Metres; no scanner sees as far, so that larger numbers come from another layout or unit.
FARTHEST = 10_000.0


def read_cloud(path: Path, *, limit: int = FRAME_LIMIT) -> Cloud:
    """The points N x 3 of one frame, metres, in the file's order; those that are not finite are left out.

    limit: bytes that the file may have.

    Raises FileNotFoundError for a missing file; ValueError naming the file for another ending, more bytes than the
    limit, and contents that are not as the table above says.
    """
    path = Path(path)
    ending = _checked(path, FRAME_ENDINGS, limit)
    try:
        if ending in (".npy", ".npz"):
            return _cloud(load_array(path, limit=limit))
        data = path.read_bytes()
        if ending == ".bin":
            return _cloud(_plain(data, 5 if path.name.lower().endswith(".pcd.bin") else 4))
        return _cloud(pcd_points(data) if ending == ".pcd" else ply_points(data))
    except ValueError as error:
        raise _named(path, error) from error


def read_clouds(path: Path, *, limit: int = WALK_LIMIT) -> list[Cloud]:
    """The frames of a walk that lies in one file, each as `read_cloud` gives it. Raises as `read_cloud`."""
    path = Path(path)
    ending = _checked(path, WALK_ENDINGS, limit)
    try:
        if ending == ".safetensors":
            return _joined(read_tensors(path))
        arrays: Sequence[NDArray[Any]] = load_arrays(path, limit=limit)
        if ending == ".npz":
            arrays = [arrays[place] for place in _in_order(path)]
        if len(arrays) == 1 and arrays[0].ndim == 3:
            arrays = list(arrays[0])
        elif len(arrays) == 1 and ending != ".pkl":
            raise ValueError(
                f"it holds one array of shape {arrays[0].shape}; expected T x N x 3 for a walk. Frames of N x 3 go "
                f"into a folder of their own, one file each"
            )
        return [_cloud(array) for array in arrays]
    except ValueError as error:
        raise _named(path, error) from error


def _checked(path: Path, endings: Sequence[str], limit: int) -> str:
    ending = path.suffix.lower()
    if ending not in endings:
        raise ValueError(f"{path} does not end in {', '.join(endings)}; convert it into one of these")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected a file of points")
    size = path.stat().st_size
    if size > limit:
        raise ValueError(f"{path} has {size} bytes, more than the limit of {limit}; cut it up or raise `limit`")
    return ending


def _named(path: Path, error: ValueError) -> ValueError:
    told = str(error)
    return ValueError(told if str(path) in told else f"{path}: {told}")


def _cloud(points: NDArray[Any]) -> Cloud:
    """N x 3 float32 of an array whose first three columns are coordinates."""
    if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in "fiu":
        raise ValueError(
            f"it holds an array of shape {points.shape} and type {points.dtype}; expected N x 3 or more numbers, "
            f"x, y, z first"
        )
    if len(points) == 3 and points.shape[1] > WIDEST:
        raise ValueError(f"it holds an array of shape {points.shape}; expected a row for each point: turn it over (.T)")
    kept = points[:, :3].astype(np.float64)
    kept = kept[np.isfinite(kept).all(axis=1)]
    if len(kept) and np.abs(kept).max() > FARTHEST:
        raise ValueError(
            f"it has a coordinate of {np.abs(kept).max():.3g}; expected metres from the sensor, below {FARTHEST:g}. "
            f"Another unit or another layout of the file?"
        )
    return kept.astype(np.float32)


def _plain(data: bytes, columns: int) -> NDArray[np.float32]:
    """Little-endian float32 rows."""
    if len(data) % (4 * columns):
        raise ValueError(f"it has {len(data)} bytes; expected {4 * columns} a point, {columns} float32 numbers")
    return np.frombuffer(data, "<f4").reshape(-1, columns)


def _in_order(path: Path) -> list[int]:
    """Places of the arrays of an archive, by name with numbers as numbers: 2 before 10."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return sorted(range(len(names)), key=lambda place: natural(names[place]))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names by the numbers in them: frame2 before frame10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _joined(tensors: dict[str, Any]) -> list[Cloud]:
    """Frames of one table of points and the number of rows of each."""
    if not {"points", "counts"} <= set(tensors):
        raise ValueError(f"it holds {sorted(tensors)}; expected points, N x 3, and counts, one number a frame")
    if tensors["counts"].is_floating_point():
        raise ValueError(f"its counts are of type {tensors['counts'].dtype}; expected whole numbers")
    points, counts = tensors["points"].float().numpy(), tensors["counts"].numpy()
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any() or counts.sum() != len(points):
        raise ValueError(f"its counts add up to {counts.sum()}, but it holds {len(points)} points")
    return [_cloud(part) for part in np.split(points, np.cumsum(counts)[:-1])]
