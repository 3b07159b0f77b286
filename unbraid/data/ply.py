"""Points of .ply files: ascii, binary little-endian and binary big-endian."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unbraid.data.pcd import AXES, numbers

KINDS = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
KINDS |= {"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"}
KINDS |= {f"{name}{8 * size}": f"{name[0]}{size}" for name in ("int", "uint") for size in (1, 2, 4)}
FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
HEAD = 1 << 20


@dataclass
class _Element:
    """A table of the file: how many rows, and name and type of each column; '' is the type of a list."""

    name: str
    count: int
    columns: list[tuple[str, str]] = field(default_factory=list)


def ply_points(data: bytes) -> NDArray[np.float64]:
    """Coordinates N x 3 of the properties x, y, z of the element vertex, in the file's order and unit.

    Raises ValueError, which does not name the file, for anything that is not as the format says, for vertices without
    x, y and z, and for lists among or, in a binary file, before the vertices.
    Source: Greg Turk, The PLY polygon file format (1994).
    """
    way, elements, body = _split(data)
    names = [element.name for element in elements]
    if "vertex" not in names:
        raise ValueError(f"its elements are {names}; expected one named vertex")
    before, vertex = elements[: names.index("vertex")], elements[names.index("vertex")]
    columns = [name for name, _ in vertex.columns]
    if any(columns.count(axis) != 1 for axis in AXES) or not all(kind for _, kind in vertex.columns):
        raise ValueError(f"its vertices have the properties {columns}; expected x, y and z, and no lists")
    places = [columns.index(axis) for axis in AXES]
    if way == "ascii":
        return _ascii(body, sum(element.count for element in before), vertex.count, places, len(columns))
    if not all(kind for element in before for _, kind in element.columns):
        raise ValueError("lists stand before its vertices; write the file anew with the vertices first")
    skipped = sum(element.count * _record(element, way).itemsize for element in before)
    record = _record(vertex, way)
    size = vertex.count * record.itemsize
    if len(body) - skipped < size:
        raise ValueError(
            f"it holds {max(len(body) - skipped, 0)} bytes of vertices, but {vertex.count} take {size}; it is cut short"
        )
    table = np.frombuffer(body, record, vertex.count, skipped)
    return np.stack([table[f"f{place}"].astype(np.float64) for place in places], axis=1)


def _record(element: _Element, way: str) -> np.dtype[np.void]:
    return np.dtype([(f"f{n}", FORMATS[way] + kind) for n, (_, kind) in enumerate(element.columns)])


def _split(data: bytes) -> tuple[str, list[_Element], bytes]:
    """Format, elements and what follows the header."""
    way, elements, at = "", list[_Element](), 0
    while True:
        stop = data.find(b"\n", at, HEAD)
        if stop < 0 or (at == 0 and data[:stop].strip() != b"ply"):
            raise ValueError("it does not begin with the line ply and a header that ends in end_header")
        line = data[at:stop].decode("ascii", "replace")
        words = line.split()
        at = stop + 1
        match words:
            case ["end_header"]:
                break
            case ["format", ("ascii" | "binary_little_endian" | "binary_big_endian") as way, "1.0"]:
                pass
            case ["element", name, count] if count.isascii() and count.isdigit():
                elements.append(_Element(name, int(count)))
            case ["property", "list", _, _, name] if elements:
                elements[-1].columns.append((name, ""))
            case ["property", kind, name] if elements and kind in KINDS:
                elements[-1].columns.append((name, KINDS[kind]))
            case ["ply"] | ["comment", *_] | ["obj_info", *_] | []:
                pass
            case _:
                raise ValueError(f"its header line {line.strip()!r} is not understood")
    if not way:
        raise ValueError(f"its header has no line format; expected one of {', '.join(FORMATS)}, version 1.0")
    return way, elements, data[at:]


def _ascii(body: bytes, skipped: int, count: int, places: Sequence[int], columns: int) -> NDArray[np.float64]:
    lines = [line for line in body.splitlines() if line.strip()][skipped : skipped + count]
    if len(lines) < count:
        raise ValueError(f"it holds {len(lines)} vertices, but {count} were declared; it is cut short")
    rows = [line.split() for line in lines]
    wrong = [number for number, row in enumerate(rows) if len(row) != columns]
    if wrong:
        raise ValueError(f"vertex {wrong[0]} has {len(rows[wrong[0]])} numbers; expected {columns}")
    return numbers([row[place] for row in rows for place in places])
