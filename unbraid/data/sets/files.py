"""What the readers share: finding, listing and checking the index files of a benchmark.

Errors name the file, and the line or row where there is one.
"""

import importlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray

from unbraid.protocol import Protocol
from unbraid.tracklet import Images, Tracklet

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_OFFSETS = (0, 512)  # MATLAB 7.3 puts a text header of 512 bytes before it

Integers = NDArray[np.int64]


def need(root: Path, names: Sequence[str], layout: str) -> Path:
    """The root as a Path, when all the names exist below it.

    layout: what the root looks like, in one line, for the message.
    Raises FileNotFoundError for the first name that is missing, with the folder inside root that has it, if any.
    """
    root = Path(root)
    missing = next((name for name in names if not (root / name).exists()), None)
    if missing is None:
        return root
    inner = sorted(root.glob(f"*/{missing}")) if root.is_dir() else []
    hint = f". Point to {str(inner[0])[: -len(missing) - 1]}, which has it" if inner else ""
    raise FileNotFoundError(f"{root / missing} is missing; expected {layout}{hint}")


def inside(root: Path, relative: str, where: str) -> Path:
    """root / relative. where: file and line, for the message. Raises ValueError for a path that leaves root."""
    path = PurePosixPath(relative)
    if not relative or path.is_absolute() or ".." in path.parts or "\\" in relative or ":" in relative:
        raise ValueError(
            f"{where}: {relative!r} is not a path inside {root}; expected a relative one without '..', '\\' or ':'"
        )
    return root / path


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """(where, line) of a text file; `where` is "file, line 3", counted from 1.

    Raises ValueError when the file is not UTF-8 text, or for a blank line that is not at the end: it would shift rows.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file ({error}); restore the owners' copy") from error
    for number, line in enumerate(text.rstrip().splitlines(), start=1):
        if not line.strip():
            raise ValueError(f"{path}, line {number} is blank; restore the owners' copy or remove the line")
        yield f"{path}, line {number}", line.strip()


def matched(pattern: "re.Pattern[str]", text: str, where: str, example: str) -> "re.Match[str]":
    """The match of a whole text. Raises ValueError with the example of what was expected."""
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(f"{where}: {text!r} is not named like {example!r}; remove it or restore the owners' copy")
    return found


def images_in(folder: Path) -> list[str]:
    """Names of the image files in a folder, sorted; hidden files and other kinds are passed over."""
    return sorted(
        e.name for e in folder.iterdir() if e.name.lower().endswith(IMAGE_SUFFIXES) and not e.name.startswith(".")
    )


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones are passed over."""
    return sorted(e.name for e in folder.iterdir() if e.is_dir() and not e.name.startswith("."))


def image(root: Path, relative: str, identity: str | None, labels: Mapping[str, str]) -> Tracklet:
    """A tracklet of one frame; its key is the path relative to root without the suffix."""
    key = str(PurePosixPath(relative).with_suffix(""))
    return Tracklet(key, Images((root / relative,)), identity=identity, labels=labels)


def named(protocols: Sequence[Protocol]) -> dict[str, Protocol]:
    """Protocols by their names, in order."""
    return {p.name: p for p in protocols}


def tell_empty(where: str, empty: Sequence[str]) -> None:
    """Warn, once and with their number, of tracklets that hold no frame and are therefore left out."""
    if empty:
        warnings.warn(
            f"{where}: {len(empty)} tracklets hold no frame and are left out, the first is {empty[0]}", stacklevel=3
        )


def row_numbers(values: NDArray[Any], rows: int, where: str, *, first: int) -> list[int]:
    """0-based row numbers, in the order given.

    values: any shape, numbers of rows counted from `first` (0 or 1). rows: how many there are.
    Raises ValueError for a fraction, a number out of range, or one that stands twice.
    """
    numbers = whole(values, where).ravel() - first
    wrong = numbers[(numbers < 0) | (numbers >= rows)]
    if len(wrong):
        raise ValueError(
            f"{where}: row {int(wrong[0]) + first} does not exist; rows are counted from {first} to {rows - 1 + first}"
        )
    if len(np.unique(numbers)) < len(numbers):
        raise ValueError(f"{where}: a row stands there twice; restore the owners' copy")
    return [int(n) for n in numbers]


def whole(values: NDArray[Any], where: str) -> Integers:
    """The values as int64. Raises ValueError unless all are whole numbers."""
    if values.dtype.kind not in "iuf" or not np.all(np.isfinite(values)) or np.any(values != np.floor(values)):
        raise ValueError(f"{where} holds something else than whole numbers; restore the owners' copy")
    return values.astype(np.int64)


def read_mat(path: Path, key: str) -> NDArray[Any]:
    """A variable of a MATLAB file in MATLAB's orientation. Files of version 7.3 are HDF5 and need h5py.

    Raises ValueError for a damaged file, or one without that variable; as `hdf5` for version 7.3.
    """
    with path.open("rb") as stream:
        head = stream.read(max(HDF5_OFFSETS) + len(HDF5_SIGNATURE))
    if any(head[o : o + len(HDF5_SIGNATURE)] == HDF5_SIGNATURE for o in HDF5_OFFSETS):
        with hdf5(path) as file:
            if key not in file:
                raise ValueError(f"{path} has no variable {key!r}; it has {sorted(file)}")
            return np.asarray(file[key]).T
    try:
        variables = scipy.io.loadmat(path)
    # scipy raises many kinds for damaged bytes, TypeError, struct.error and zlib.error among them
    except Exception as error:
        raise ValueError(f"{path} is not a readable MATLAB file ({error}); restore the owners' copy") from error
    if key not in variables:
        raise ValueError(f"{path} has no variable {key!r}; it has {[k for k in variables if not k.startswith('__')]}")
    return np.asarray(variables[key])


def hdf5(path: Path) -> Any:
    """An h5py.File open for reading.

    Raises ValueError when h5py is not installed, saying how, or when the file is damaged.
    """
    try:
        library = importlib.import_module("h5py")
    except ImportError as error:
        raise ValueError(
            f"{path} is a MATLAB 7.3 (HDF5) file, which needs h5py: pip install 'unbraid[matlab]'"
        ) from error
    try:
        return library.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path} is not a readable HDF5 file ({error}); restore the owners' copy") from error
