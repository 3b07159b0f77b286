"""Arrays in other people's files, read without running anything that such a file asks for.

.npy and .npz files are read without their pickled objects, .pkl files by `data.pickled`, which runs nothing. Sizes that
a file declares are compared with what it holds before memory is taken for them.
"""

import io
import lzma
import tokenize
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from unbraid.data.pickled import pickled_arrays, shape_in_head

ENDINGS = (".npy", ".npz", ".pkl")

# No gait sequence comes near a GiB (300 frames of 3 x 64 x 64 are 4 MB); a larger file is a mistake or an attack.
LIMIT = 1 << 30

# Enough for everything that stands before the bytes of the first array.
HEAD = 4096


def load_array(path: Path, *, limit: int = LIMIT) -> NDArray[Any]:
    """The one array of a .npy, .npz or .pkl file; a pickled list of arrays of one shape is stacked on a new first axis.

    Raises as `load_arrays`, and ValueError for several arrays in one .npz and for lists of unequal shapes.
    """
    path = Path(path)
    arrays, single = _load(path, limit)
    if single:
        return arrays[0]
    shapes = sorted({a.shape for a in arrays})
    if path.suffix.lower() == ".npz" or len(shapes) != 1:
        raise ValueError(
            f"{path} holds {len(arrays)} arrays of shapes {shapes[:4]}; expected one, or a list of one shape"
        )
    return np.stack(arrays)


def load_arrays(path: Path, *, limit: int = LIMIT) -> list[NDArray[Any]]:
    """All arrays of a .npy, .npz or .pkl file, in order; read-only where they come from a pickle.

    limit: bytes that the file, and its contents when unpacked, may have.

    Raises FileNotFoundError for a missing file; ValueError naming the file for another ending, more bytes than the
    limit, a cut or malformed file, and anything in it that is not a number array or a list or tuple of them.
    """
    return _load(Path(path), limit)[0]


def count_frames(path: Path, *, limit: int = LIMIT) -> int:
    """Length of the first axis of `load_array`, mostly from the head of the file alone. Raises as `load_array`."""
    path = Path(path)
    _size(path, limit)
    with path.open("rb") as file:
        if path.suffix.lower() == ".npy":
            shape: tuple[int, ...] | None = _npy_header(path, file)[0]
        else:
            shape = shape_in_head(file.read(HEAD)) if path.suffix.lower() == ".pkl" else None
    if shape is None:
        shape = load_array(path, limit=limit).shape
    if not shape:
        raise ValueError(f"{path} holds a single number; expected an array whose first axis counts frames")
    return shape[0]


def _load(path: Path, limit: int) -> tuple[list[NDArray[Any]], bool]:
    """The arrays, and whether the file holds one array that is not in a list."""
    size = _size(path, limit)
    if path.suffix.lower() == ".pkl":
        try:
            arrays, single = pickled_arrays(path.read_bytes())
        except ValueError as error:
            raise ValueError(
                f"{path} is refused: {error}. Expected a pickled numpy array of numbers, or a list of them, and "
                f"nothing else; nothing in the file was run. If you trust its source, convert it (numpy.save)"
            ) from error
        # A list may name one array many times, so it can be larger than its file.
        if sum(array.nbytes for array in arrays) > limit:
            raise ValueError(f"{path} unpacks to more bytes than the limit of {limit}; raise `limit`")
        return arrays, single
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            return [_load_npy(path, file, size)], True
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if unpacked > limit:
                raise ValueError(f"{path} unpacks to {unpacked} bytes, more than the limit of {limit}; raise `limit`")
            arrays = [_load_npy(path, io.BytesIO(archive.read(m)), m.file_size) for m in members]
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path} is not a whole .npz archive ({error}); restore the file") from error
    return arrays, len(arrays) == 1


def _size(path: Path, limit: int) -> int:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; restore the file or remove its tracklet from the index")
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path} does not end in {', '.join(ENDINGS)}; convert it (numpy.save) and use the copy")
    size = path.stat().st_size
    if size > limit:
        raise ValueError(f"{path} has {size} bytes, more than the limit of {limit}; cut it up or raise `limit`")
    return size


def _npy_header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"version {version} of the format is for arrays with named fields")
        shape, _, kind = read(file)
    except (ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:
        raise ValueError(f"{path} is not a readable .npy array ({error}); restore the file") from error
    if kind.hasobject or kind.kind not in "biufc":
        raise ValueError(f"{path} holds an array of type {kind}; expected numbers, objects are never loaded")
    return shape, kind


def _load_npy(path: Path, file: BinaryIO, size: int) -> NDArray[Any]:
    shape, kind = _npy_header(path, file)
    held, wanted = size - file.tell(), prod(shape) * kind.itemsize
    if held != wanted:
        raise ValueError(f"{path} declares shape {shape} of {kind}, {wanted} bytes, but holds {held}; restore the file")
    file.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array
