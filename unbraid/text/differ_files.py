"""Text vectors as DIFFER's authors share them, read without running anything that such a file asks for.

    FOLDER/train_caption_summary_biometric.json      per identity: {"ft_ENCODER": [[...]], ...}
    FOLDER/ENCODER/train.npz                         'data' N*K D, K rows per image; 'metadata', the N image keys

Source: data formats of the released code. The files themselves were not available for checking.
"""

import json
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b, file_digest
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unbraid.data.arrays import LIMIT
from unbraid.text.bank import TextBank, pack
from unbraid.text.captions import ASPECTS

SUMMARIES = "train_caption_summary_biometric.json"


def read_differ(
    folder: Path,
    encoder: str,
    *,
    split: str = "train",
    aspects: Sequence[str] = ASPECTS,
    prefix: str | None = None,
    summaries: bool = False,
    half: bool = False,
    limit: int = LIMIT,
) -> TextBank:
    """A bank of DIFFER's vectors, pooled and not normalised, as they are in the file.

    folder: the data set's, such as LTCC_ReID. encoder: name of the folder with the vectors, such as EVA02-CLIP-L-14.
    aspects: of the K rows per image, in their order. A row of zeros is taken for a missing text. prefix: put before
    an image's key to make the key of a tracklet; None is what this library's readers of LTCC, PRCC and Celeb-light
    need: 'rgb/train/' for keys with a folder in them, else 'train/'. summaries: the biometric text of every image is
    that of its person, whose number the key begins with. half: keep float16. limit: bytes that an array may have.

    Raises FileNotFoundError naming the file and what there is; ValueError for malformed and oversized files, pickled
    contents, another number of rows per image, a key that stands twice, and people without a summary.
    """
    folder = Path(folder)
    file = folder / encoder / f"{split}.npz"
    if not file.is_file():
        there = sorted(str(p.relative_to(folder)) for p in folder.glob("*/*.npz")) if folder.is_dir() else []
        raise FileNotFoundError(f"{file} is missing; {folder} has {', '.join(there) or 'no ENCODER/SPLIT.npz'}")
    data, keys = _vectors(file, limit)
    if data.ndim != 2 or not len(keys) or len(data) != len(keys) * len(aspects):
        raise ValueError(
            f"{file}: 'data' has shape {data.shape} and 'metadata' {len(keys)} image keys; expected "
            f"{len(aspects)} rows per image, for {', '.join(aspects)}. Name other `aspects` if the file has others"
        )
    twice = next((key for key, times in Counter(keys).items() if times > 1), None)
    if twice is not None:
        raise ValueError(f"{file}: the image key {twice!r} stands twice in 'metadata'")
    if prefix is None:
        prefix = f"rgb/{split}/" if "/" in keys[0] else f"{split}/"
    kind = np.float16 if half else np.float32
    with np.errstate(over="ignore"):
        values = data.astype(kind)
    bad = np.flatnonzero(~np.isfinite(values).all(1))
    if len(bad):
        key, aspect = keys[bad[0] // len(aspects)], aspects[bad[0] % len(aspects)]
        raise ValueError(f"{file}: the vector about {aspect} of {key!r} is not finite{' in float16' if half else ''}")
    codes, pieces = _different(values)
    rows = {
        aspect: {prefix + key: int(row) for key, row in zip(keys, codes[i :: len(aspects)], strict=True) if row >= 0}
        for i, aspect in enumerate(aspects)
    }
    origin = {"differ_file_sha256": _sha256(file), "encoder_version": "unknown", "zero_vectors": str((codes < 0).sum())}
    if summaries:
        found = _summaries(folder / SUMMARIES, encoder, keys, data.shape[1])
        numbers = {identity: len(pieces) + place for place, identity in enumerate(found)}
        pieces += [torch.from_numpy(vector.astype(kind))[None] for vector in found.values()]
        rows[aspects[0]] = {prefix + key: numbers[_identity(key)] for key in keys}
        origin["summary_file_sha256"] = _sha256(folder / SUMMARIES)
    return pack(f"differ:{encoder}", origin, {a: index for a, index in rows.items() if index}, pieces)


def _vectors(file: Path, limit: int) -> tuple[NDArray[Any], list[str]]:
    """'data' and 'metadata' of an .npz file."""
    try:
        with zipfile.ZipFile(file) as archive:
            data = _member(file, archive, "data", "fiu", limit)
            keys = _member(file, archive, "metadata", "US", limit)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ValueError(f"{file} is not a whole .npz archive ({error}); restore the file") from error
    if keys.ndim != 1:
        raise ValueError(f"{file}: 'metadata' has shape {keys.shape}; expected one key per image")
    return data, [key.decode() if isinstance(key, bytes) else str(key) for key in keys.tolist()]


def _member(file: Path, archive: zipfile.ZipFile, name: str, kinds: str, limit: int) -> NDArray[Any]:
    """One array of an archive, with numpy's type letters `kinds` only and no larger than it really is."""
    if f"{name}.npy" not in archive.namelist():
        there = ", ".join(member.removesuffix(".npy") for member in archive.namelist()) or "nothing"
        raise ValueError(f"{file} has no array {name!r}; it has {there}")
    if archive.getinfo(f"{name}.npy").file_size > limit:
        raise ValueError(f"{file}: {name!r} unpacks to more than {limit} bytes; raise `limit`")
    with archive.open(f"{name}.npy") as opened:
        try:
            magic = np.lib.format.read_magic(opened)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[magic]
            shape, by_column, kind = read(opened)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{file}: {name!r} is not a readable array ({error}); restore the file") from error
        if kind.hasobject or kind.kind not in kinds:
            raise ValueError(
                f"{file}: {name!r} is of type {kind}, and Python objects are never loaded; expected "
                f"{'texts' if 'U' in kinds else 'numbers'}. If you trust its source, save it again as "
                f"numpy.array(values.tolist())"
            )
        content = opened.read()
    if len(content) != prod(shape) * kind.itemsize:
        raise ValueError(f"{file}: {name!r} declares shape {shape} of {kind} but holds {len(content)} bytes")
    if not kind.itemsize:
        return np.zeros(shape, kind)
    return np.frombuffer(content, kind).reshape(shape, order="F" if by_column else "C")


def _different(values: NDArray[Any]) -> tuple[NDArray[np.int64], list[Tensor]]:
    """A number per row, equal for equal rows and -1 for zeros, and the different rows as vectors 1 D."""
    seen: dict[bytes, int] = {}
    pieces: list[Tensor] = []
    codes = np.full(len(values), -1, dtype=np.int64)
    for place in np.flatnonzero(values.any(1)):
        mark = blake2b(values[place].tobytes(), digest_size=16).digest()
        if mark not in seen:
            seen[mark] = len(pieces)
            pieces.append(torch.from_numpy(values[place : place + 1].copy()))
        codes[place] = seen[mark]
    return codes, pieces


def _identity(key: str) -> str:
    """The number that an image key begins with, without leading zeros: '005_1_c3_12' and '005/A_12' are '5'."""
    found = re.match(r"\d+", key)
    if found is None:
        raise ValueError(f"the image key {key!r} does not begin with a person's number, so no summary can be found")
    return str(int(found[0]))


def _summaries(file: Path, encoder: str, keys: Sequence[str], width: int) -> dict[str, NDArray[np.float64]]:
    """Summary vector by the person's number as it stands in image keys.

    The file may be keyed by these numbers or by their rank; the released loaders disagree. The first is tried first.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing; do without `summaries`, and take the mean over each person instead"
        )
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON ({error}); restore the file") from error
    if not isinstance(values, Mapping):
        raise ValueError(f"{file} holds a {type(values).__name__}; expected an object keyed by identity")
    people = sorted({_identity(key) for key in keys}, key=int)
    # a raw key may be zero-padded
    keyed = {str(int(name)) if name.isdecimal() else name: name for name in values}
    names = {person: keyed.get(person) for person in people}
    if any(name is None for name in names.values()):
        if set(keyed) != {str(n) for n in range(len(people))}:
            lacking = [person for person, name in names.items() if name is None]
            raise ValueError(f"{file} has no summary of {len(lacking)} of {len(people)} people, such as {lacking[0]!r}")
        warnings.warn(
            f"{file} is keyed by 0 to {len(people) - 1} and not by the numbers of people; taken for their ranks",
            stacklevel=3,
        )
        names = {person: keyed[str(rank)] for rank, person in enumerate(people)}
    found = {}
    for person, name in names.items():
        field = f"ft_{encoder}"
        entry = values[name]
        if not isinstance(entry, Mapping) or field not in entry:
            there = sorted(entry) if isinstance(entry, Mapping) else type(entry).__name__
            raise ValueError(f"{file}: the summary of {name!r} has no {field!r}; it has {there}")
        try:
            vector = np.array(entry[field], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{file}: {field} of {name!r} is not a list of numbers ({error})") from error
        if vector.shape not in ((1, width), (width,)) or not np.isfinite(vector).all() or not vector.any():
            raise ValueError(f"{file}: {field} of {name!r} is no vector of {width} finite numbers")
        found[person] = vector.reshape(width)
    return found


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()
