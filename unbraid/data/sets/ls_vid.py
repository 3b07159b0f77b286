"""LS-VID: long tracklets of a campus seen by 15 cameras over four days.

    list_sequence/list_seq_train.txt, list_seq_test.txt     lines "tracklet_test/0001/0001_0001_01 1": prefix, identity
    tracklet_train/..., tracklet_test/...                   frames <prefix>_<number>; the third part is the camera
    test/data/info_test.mat                                 HDF5; `query` holds 1-based numbers of test lines

`list_sequence` and `data` may also lie in a folder `info`. A converted packaging has `test/query.npy` with the same row
numbers, and `test/info_test.npy` with the camera in column 3 of each row.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.data.sets.about import About
from unbraid.data.sets.files import (
    Integers,
    images_in,
    inside,
    lines,
    matched,
    named,
    need,
    read_mat,
    row_numbers,
    tell_empty,
    whole,
)
from unbraid.protocol import Protocol
from unbraid.tracklet import Images, Tracklet

ABOUT = About(
    name="ls-vid",
    title="LS-VID, Large-Scale Video person re-identification",
    modality="rgb",
    access="agreement",
    licence="for research, by an agreement with the owners",
    counts={
        "train identities": 842,
        "train tracklets": 2831,
        "query tracklets": 3504,
        "test tracklets": 11333,
        "all cameras": 15,
    },
    notes="The gallery is the rest of the test list (7829); published work often adds the queries to it (11333), which "
    "`queries_in_gallery` does under a protocol name of its own. The validation list is not read.",
    source="the GLTR paper (ICCV 2019) and code of papers that use the set; the index files were not seen",
)

# With the queries in the gallery each query has more mates, so that has its own name.
SOURCE = (
    "the convention of MARS, which the papers on this set follow: tracklets of the query's person and camera skipped"
)
PROTOCOLS: tuple[Protocol, ...] = (
    replace(CAMERA_CHANGE, name="ls-vid@1", source=SOURCE),
    replace(CAMERA_CHANGE, name="ls-vid/queries-in-gallery@1", source=SOURCE),
)

LAYOUT = "the LS-VID folder with list_sequence/list_seq_{train,test}.txt, tracklet_{train,test} and test"
LINE = re.compile(r"(?P<prefix>\S+)\s+(?P<identity>\d+)")
NAME = re.compile(r"[^_]+_[^_]+_(?P<camera>\d+)_[^_]+")
CAMERA_COLUMN = 3


def read(root: Path, *, queries_in_gallery: bool = False) -> Benchmark:
    """LS-VID as its owners distribute it, or converted; lists folders, opens no frame.

    queries_in_gallery: put the query tracklets into the gallery too.
    Raises FileNotFoundError for a missing list, ValueError for one that is not as expected or when h5py is needed.
    """
    info = "info/" if (Path(root) / "info" / "list_sequence").is_dir() else ""
    lists = {split: f"{info}list_sequence/list_seq_{split}.txt" for split in ("train", "test")}
    root = need(root, list(lists.values()), LAYOUT)
    queries = _query_file(root)
    cameras = _cameras(queries.with_name("info_test.npy"))
    train = _tracklets(root, root / lists["train"], None)
    test = _tracklets(root, root / lists["test"], cameras)
    values = _load(queries) if queries.suffix == ".npy" else read_mat(queries, "query")
    asked = row_numbers(values, len(test), str(queries), first=1)
    left_out = set() if queries_in_gallery else set(asked)
    return Benchmark(
        name=ABOUT.name,
        train=tuple(t for t in train if t is not None),
        query=tuple(t for n in asked if (t := test[n]) is not None),
        gallery=tuple(t for n, t in enumerate(test) if t is not None and n not in left_out),
        protocols=named(PROTOCOLS[1:] if queries_in_gallery else PROTOCOLS[:1]),
    )


def _query_file(root: Path) -> Path:
    places = ("test/data/info_test.mat", "info/data/info_test.mat", "test/query.npy")
    found = next((root / place for place in places if (root / place).is_file()), None)
    return found or need(root, [places[0]], f"{LAYOUT}; {places[1]} or {places[2]} would also do") / places[0]


def _tracklets(root: Path, index: Path, cameras: Integers | None) -> list[Tracklet | None]:
    """One per line, None for those without a frame. cameras: of each line, else frame names tell."""
    rows = list(lines(index))
    if cameras is not None and len(cameras) != len(rows):
        raise ValueError(f"{index} has {len(rows)} lines, but info_test.npy has {len(cameras)} rows")
    frames_of = _lister()
    found: list[Tracklet | None] = []
    empty = []
    for number, (where, line) in enumerate(rows):
        row = matched(LINE, line, where, "tracklet_test/0001/0001_0001_01 1")
        prefix = inside(root, row["prefix"], where)
        frames = frames_of(prefix.parent).get(prefix.name, [])
        if not frames:
            empty.append(row["prefix"])
            found.append(None)
            continue
        camera = _camera(prefix.parent, frames[0]) if cameras is None else int(cameras[number])
        media = Images(tuple(prefix.parent / name for name in frames))
        found.append(Tracklet(row["prefix"], media, identity=row["identity"], labels={"camera": f"c{camera}"}))
    tell_empty(str(index), empty)
    return found


def _lister() -> Callable[[Path], dict[str, list[str]]]:
    """A function from a folder to its frames by prefix, sorted; each folder is listed once.

    A prefix ends at the last '_', so that one never swallows the frames of a longer one.
    """
    seen: dict[Path, dict[str, list[str]]] = {}

    def frames_of(folder: Path) -> dict[str, list[str]]:
        if folder not in seen:
            seen[folder] = defaultdict(list)
            for name in images_in(folder) if folder.is_dir() else []:
                seen[folder][name.rpartition("_")[0]].append(name)
        return seen[folder]

    return frames_of


def _camera(folder: Path, name: str) -> int:
    stem = name.rpartition(".")[0]
    return int(matched(NAME, stem, str(folder), "0001_0001_01_0001")["camera"])


def _cameras(path: Path) -> Integers | None:
    """Camera of each test line in the converted packaging, None elsewhere."""
    if not path.is_file():
        return None
    table = whole(_load(path), str(path))
    if table.ndim != 2 or table.shape[1] <= CAMERA_COLUMN:
        raise ValueError(f"{path} has shape {table.shape}; expected rows of at least {CAMERA_COLUMN + 1} numbers")
    return table[:, CAMERA_COLUMN]


def _load(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is not a plain .npy array of numbers ({error}); convert it again") from error
