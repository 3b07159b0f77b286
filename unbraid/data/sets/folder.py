"""The tracklet folder: the one layout that unbraid itself writes (`world`, `track`) and reads.

    tracklets.parquet   one row per tracklet: key, split, modality, identity, frames, then one text column per label
    origin.json         what made the folder: {"name": ..., "synthetic": true|false, "protocols": [...], ...}
    frames/...          image files, named by the `frames` column relative to the folder

Two columns are optional: `strip`, a number of frames where `frames` names a single file that holds them all, one
below the other; and `mask`, such a file with masks of the same frames.

The index is written last, so a folder without `tracklets.parquet` is one that was never finished.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE, CLOTHES_CHANGE, PLAIN, named
from unbraid.data.sets.files import inside
from unbraid.files import replacing, write_text
from unbraid.protocol import Protocol
from unbraid.tracklet import Images, Media, Strip, Tracklet

INDEX = "tracklets.parquet"
ORIGIN = "origin.json"
COLUMNS = ("key", "split", "modality", "identity", "frames")
OPTIONAL = ("strip", "mask")


def read(root: Path) -> Benchmark:
    """The benchmark in a tracklet folder; opens the index only.

    Raises FileNotFoundError without an index, ValueError for a malformed one.
    """
    root = Path(root)
    index = root / INDEX
    if not index.is_file():
        raise FileNotFoundError(
            f"{root} holds no {INDEX}; point to a folder written by `unbraid world` or `unbraid track`, "
            f"and run that command again if it was interrupted"
        )
    try:
        table = pd.read_parquet(index)
    except (OSError, ValueError) as error:
        raise ValueError(f"{index} is not a readable Parquet file ({error}); write the folder again") from error
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise ValueError(f"{index} lacks the columns {missing}; it has {list(table.columns)}")
    labels = [c for c in table.columns if c not in (*COLUMNS, *OPTIONAL)]
    splits: dict[str, list[Tracklet]] = {"train": [], "query": [], "gallery": []}
    for row in table.to_dict("records"):
        if row["split"] not in splits:
            raise ValueError(
                f"{index}: tracklet {row['key']!r} has split {row['split']!r}; expected one of {list(splits)}"
            )
        splits[row["split"]].append(_tracklet(root, row, labels))
    origin = read_origin(root)
    return Benchmark(
        name=str(origin.get("name", root.name)),
        train=tuple(splits["train"]),
        query=tuple(splits["query"]),
        gallery=tuple(splits["gallery"]),
        protocols=_protocols(root, origin, labels),
        synthetic=bool(origin.get("synthetic", False)),
    )


def read_origin(root: Path) -> dict[str, Any]:
    """What made the folder, {} when it does not say. Raises ValueError when the file is not JSON."""
    path = Path(root) / ORIGIN
    if not path.is_file():
        return {}
    try:
        origin: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); delete it or write the folder again") from error
    return origin


def _tracklet(root: Path, row: Mapping[Any, Any], labels: Sequence[str]) -> Tracklet:
    frames = row["frames"]
    if isinstance(frames, str) or not hasattr(frames, "__iter__") or not all(isinstance(f, str) for f in frames):
        raise ValueError(
            f"{root / INDEX}: 'frames' of tracklet {row['key']!r} is {frames!r}; expected a list of file names"
        )
    strip, mask = row.get("strip"), row.get("mask")
    for name in (*frames, *([] if pd.isna(mask) else [mask])):
        # looked at closely only where it may be needed: there are millions of names
        if ".." in name or "\\" in name or ":" in name or name[:1] in ("", "/"):
            inside(root, name, f"{root / INDEX}, tracklet {row['key']!r}")
    media: Media = Images(tuple(root / name for name in frames))
    if not pd.isna(strip):
        if len(frames) != 1:
            raise ValueError(
                f"{root / INDEX}: tracklet {row['key']!r} is a strip of {len(frames)} files; expected one that holds "
                f"all frames"
            )
        media = Strip(root / frames[0], int(strip))
    return Tracklet(
        key=row["key"],
        media=media,
        modality=row["modality"],
        identity=None if pd.isna(row["identity"]) else row["identity"],
        labels={name: row[name] for name in labels if not pd.isna(row[name])},
        mask=None if pd.isna(mask) else Strip(root / mask, len(media)),
    )


def _protocols(root: Path, origin: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Protocol]:
    """Those that the folder names, else those that its labels allow."""
    if "protocols" in origin:
        try:
            return {name: named(name) for name in origin["protocols"]}
        except KeyError as error:
            raise ValueError(f"{root / ORIGIN}: {error.args[0]}") from error
    found = []
    if "camera" in labels:
        found.append(CAMERA_CHANGE)
        if "clothes" in labels:
            found.append(CLOTHES_CHANGE)
    return {p.name: p for p in found or [PLAIN]}


def save_frames(root: Path, key: str, images: Iterable[NDArray[np.uint8]], *, quality: int = 95) -> list[str]:
    """Write RGB images, each H W 3 uint8, as JPEG; returns their names relative to root, in order.

    Raises OSError when a file cannot be written (folder unwritable, disk full).
    """
    folder = Path(root) / "frames" / key
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for number, image in enumerate(images):
        coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        path = folder / f"{number:05d}.jpg"
        path.write_bytes(coded.tobytes())
        names.append(path.relative_to(root).as_posix())
    return names


def save_strip(root: Path, name: str, frames: Sequence[NDArray[np.uint8]]) -> str:
    """Write frames of one size, each H W or H W 3 (RGB) uint8, as one lossless PNG strip; returns `name`.

    name: file name relative to root, ending in .png. Raises OSError when it cannot be written.
    """
    path = Path(root) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.concatenate(frames)
    image = whole if whole.ndim == 2 else whole[..., ::-1]
    # Run lengths suit masks and maps of few grey levels, and are quick.
    how = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    path.write_bytes(cv2.imencode(".png", image, how)[1].tobytes())
    return name


def save_index(root: Path, rows: Sequence[Mapping[str, Any]], origin: Mapping[str, Any]) -> None:
    """Write origin and index, the index last and in one step.

    rows: key, split, modality, identity, frames (names from `save_frames` or `save_strip`), perhaps strip and mask, and
    one text value per label.
    """
    root = Path(root)
    write_text(root / ORIGIN, json.dumps(dict(origin), indent=2) + "\n")
    table = pd.DataFrame(list(rows))
    table = table[[*COLUMNS, *(c for c in table.columns if c not in COLUMNS)]]
    if "strip" in table.columns:
        table["strip"] = table["strip"].astype("Int64")
    with replacing(root / INDEX) as unfinished:
        table.to_parquet(unfinished, index=False)
