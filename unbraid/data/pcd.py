"""Points of .pcd files, the format of the Point Cloud Library: ascii, binary and binary_compressed."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from unbraid.data.lzf import decompress

# Letters and bytes of a field's numbers, little-endian.
KINDS = {(letter, size): f"<{letter.lower()}{size}" for letter in "IU" for size in (1, 2, 4, 8)}
KINDS |= {("F", 4): "<f4", ("F", 8): "<f8"}
# No header comes near this; what has no DATA line by then is no .pcd file.
HEAD = 1 << 16
# Bytes of one point, and of all points of a compressed file.
RECORD, PLAIN = 1 << 12, 1 << 28
AXES = ("x", "y", "z")


def pcd_points(data: bytes) -> NDArray[np.float64]:
    """Coordinates N x 3 of the fields x, y, z, in the file's order and unit.

    The pose in VIEWPOINT is not applied, as in the library itself.

    Raises ValueError, which does not name the file, for anything that is not as the format says: a missing or malformed
    header line, no field x, y or z of one number each, more or fewer points than were declared.
    Source: The PCD (Point Cloud Data) file format, documentation of the Point Cloud Library.
    """
    head, body = _split(data)
    names = head.get("FIELDS", head.get("COLUMNS", []))
    sizes = _whole(head, "SIZE", len(names))
    counts = _whole(head, "COUNT", len(names)) if "COUNT" in head else [1] * len(names)
    types = head.get("TYPE", [])
    if not names or len(types) != len(names):
        raise ValueError(f"its header has FIELDS {names} and TYPE {types}; expected one type for each field")
    unknown = [(t, s) for t, s in zip(types, sizes, strict=True) if (t, s) not in KINDS]
    if unknown:
        raise ValueError(
            f"its header has a field of type {unknown[0][0]} and {unknown[0][1]} bytes; expected F, I or U"
        )
    places = []
    for axis in AXES:
        if names.count(axis) != 1 or counts[names.index(axis)] != 1:
            raise ValueError(f"its fields are {names} with {counts} numbers; expected x, y and z of one number each")
        places.append(names.index(axis))
    points = _whole(head, "POINTS", 1)[0] if "POINTS" in head else None
    width, height = (_whole(head, name, 1)[0] for name in ("WIDTH", "HEIGHT"))
    points = width * height if points is None else points
    if points != width * height:
        raise ValueError(f"its header has POINTS {points}, but WIDTH {width} and HEIGHT {height}")
    way = head["DATA"]
    kinds = [np.dtype(KINDS[key]) for key in zip(types, sizes, strict=True)]
    if way == ["ascii"]:
        return _ascii(body, points, places, counts)
    # where each field begins in the record of a point
    widths = [kind.itemsize * count for kind, count in zip(kinds, counts, strict=True)]
    starts = [sum(widths[:n]) for n in range(len(widths) + 1)]
    size = points * starts[-1]
    if starts[-1] > RECORD:
        raise ValueError(f"its header says that a point has {starts[-1]} bytes; expected {RECORD} at most")
    if way == ["binary"]:
        if len(body) < size:
            raise ValueError(f"it holds {len(body)} bytes of points, but {points} points take {size}; it is cut short")
        record = np.dtype(
            {
                "names": list(AXES),
                "formats": [kinds[p] for p in places],
                "offsets": [starts[p] for p in places],
                "itemsize": starts[-1],
            }
        )
        table = np.frombuffer(body, record, points)
        return np.stack([table[axis].astype(np.float64) for axis in AXES], axis=1)
    if way == ["binary_compressed"]:
        if points == 0:
            return np.zeros((0, 3))
        if len(body) < 8:
            raise ValueError("it ends before the sizes of its compressed block")
        packed, declared = struct.unpack("<II", body[:8])
        if size > PLAIN:
            raise ValueError(f"its {points} points unpack to {size} bytes; expected {PLAIN} at most")
        if declared != size or len(body) - 8 < packed:
            raise ValueError(
                f"its compressed block declares {packed} bytes for {declared}, but {len(body) - 8} follow and "
                f"{points} points take {size}"
            )
        plain = decompress(body[8 : 8 + packed], size)
        # field by field here: all x, then all y, ...
        columns = [np.frombuffer(plain, kinds[p], points, points * starts[p]) for p in places]
        return np.stack([column.astype(np.float64) for column in columns], axis=1)
    raise ValueError(f"its DATA is {' '.join(way)!r}; expected ascii, binary or binary_compressed")


def _split(data: bytes) -> tuple[dict[str, list[str]], bytes]:
    """Words of the header lines by their first word, and what follows the line DATA."""
    head: dict[str, list[str]] = {}
    at = 0
    while "DATA" not in head:
        stop = data.find(b"\n", at, HEAD)
        if stop < 0:
            raise ValueError("it has no header line DATA; expected a .pcd file")
        line = data[at:stop].decode("ascii", "replace").split("#")[0].split()
        if line:
            head[line[0].upper()] = line[1:]
        at = stop + 1
    return head, data[at:]


def _whole(head: Mapping[str, Sequence[str]], name: str, number: int) -> list[int]:
    words = head.get(name, [])
    if len(words) != number or not all(word.isascii() and word.isdigit() for word in words):
        raise ValueError(f"its header line {name} is {' '.join(words)!r}; expected {number} whole numbers")
    return [int(word) for word in words]


def _ascii(body: bytes, points: int, places: Sequence[int], counts: Sequence[int]) -> NDArray[np.float64]:
    columns = sum(counts)
    words = body.split()
    if len(words) != points * columns:
        raise ValueError(f"it holds {len(words)} numbers, but {points} points of {columns} were declared")
    starts = [sum(counts[:place]) for place in places]
    return numbers([words[n * columns + start] for n in range(points) for start in starts])


def numbers(words: Sequence[bytes]) -> NDArray[np.float64]:
    """Words of a text as coordinates N x 3. Raises ValueError for one that is no number."""
    try:
        return np.array([float(word) for word in words], np.float64).reshape(-1, 3)
    except ValueError as error:
        raise ValueError(f"one of its coordinates is no number ({error})") from error
