"""MEVID: people of the MEVA videos over months, in several outfits, indoors and outdoors.

    bbox_train/<first 4 characters of the name>/0201O003C330T004F00192.jpg, bbox_test/...
    train_name.txt, test_name.txt                   one frame name per line
    track_train_info.txt, track_test_info.txt       rows of start, end, person, outfit, camera, written as decimals
    query_IDX.txt                                   numbers of test rows; all others are the gallery

Rows and frames are counted from 0, and `end` is the last frame, not the one after it.
"""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE, CLOTHES_CHANGE, SAME_CLOTHES
from unbraid.data.sets.about import About
from unbraid.data.sets.files import lines, matched, named, need, row_numbers, tell_empty, whole
from unbraid.protocol import Protocol
from unbraid.tracklet import Images, Tracklet

ABOUT = About(
    name="mevid",
    title="MEVID, Multi-view Extended Videos with Identities",
    modality="rgb",
    access="open",
    licence="that of the MEVA data, from whose site it is distributed; read it there",
    counts={
        "train identities": 104,
        "train clothes": 485,
        "train tracklets": 6338,
        "test identities": 54,
        "test clothes": 113,
        "test tracklets": 1754,
        "all cameras": 33,
    },
    notes="Tracklets have about 590 frames. Camera names are the numbers of MEVA. Some rows hold no frame and are left "
    "out with a warning, so fewer tracklets than the owners count is no fault of the copy.",
    source="the readme of github.com/Kitware/MEVID",
)

# Queries are not in the gallery. General, then with other clothes only, then with the query's clothes only. The owners'
# results by place and by size are not here.
SOURCE = "the owners' readme and their evaluation"
PROTOCOLS: tuple[Protocol, ...] = (
    replace(CAMERA_CHANGE, name="mevid@1", source=SOURCE),
    replace(CLOTHES_CHANGE, name="mevid-cc@1", source=SOURCE),
    replace(SAME_CLOTHES, name="mevid-sc@1", source=SOURCE),
)

LAYOUT = (
    "the MEVID folder with bbox_train, bbox_test, {train,test}_name.txt, track_{train,test}_info.txt, query_IDX.txt"
)
NAME = re.compile(r"(?P<tracklet>(?P<identity>\d{4})O\d+C\d+T\d+)F\d+\.jpg")
COLUMNS = ("start", "end", "person", "outfit", "camera")


def read(root: Path) -> Benchmark:
    """MEVID as its owners distribute it; opens the five text files only.

    Raises FileNotFoundError for a missing file, ValueError for one that is not as expected.
    """
    lists = ["train_name.txt", "test_name.txt", "track_train_info.txt", "track_test_info.txt", "query_IDX.txt"]
    root = need(root, lists, LAYOUT)
    train, test = _tracklets(root, "train"), _tracklets(root, "test")
    queries = root / "query_IDX.txt"
    asked = row_numbers(_numbers(queries, 1), len(test), str(queries), first=0)
    rest = sorted(set(range(len(test))) - set(asked))
    return Benchmark(
        name=ABOUT.name,
        train=tuple(t for t in train if t is not None),
        query=tuple(t for n in asked if (t := test[n]) is not None),
        gallery=tuple(t for n in rest if (t := test[n]) is not None),
        protocols=named(PROTOCOLS),
    )


def _tracklets(root: Path, split: str) -> list[Tracklet | None]:
    """One per row; None for rows without a frame."""
    names = list(lines(root / f"{split}_name.txt"))
    index = root / f"track_{split}_info.txt"
    found: list[Tracklet | None] = []
    empty, cut = [], []
    for number, row in enumerate(whole(_numbers(index, len(COLUMNS)), str(index))):
        start, end, person, outfit, camera = (int(v) for v in row)
        if start < 0:
            raise ValueError(f"{index}, row {number}: frame {start} does not exist; frames are counted from 0")
        # The owners' code cuts the list in this way, so that a row past its end is short or empty there too.
        frames = names[start : end + 1]
        if frames and end >= len(names):
            cut.append(f"row {number}")
        if not frames:
            empty.append(f"row {number}")
            found.append(None)
            continue
        parts = [matched(NAME, name, where, "0201O003C330T004F00192.jpg") for where, name in frames]
        if len({p["identity"] for p in parts}) > 1:
            raise ValueError(f"{index}, row {number}: the frames are of several people; the list is of another version")
        folder = root / f"bbox_{split}" / frames[0][1][:4]
        identity = f"{person:04d}"
        found.append(
            Tracklet(
                key=f"{split}/{number:05d}-{parts[0]['tracklet']}",
                media=Images(tuple(folder / name for _, name in frames)),
                identity=identity,
                labels={"camera": f"c{camera}", "clothes": f"{identity}-{outfit:03d}"},
            )
        )
    tell_empty(str(index), empty)
    if cut:
        warnings.warn(
            f"{index}: {len(cut)} tracklets end past the list of names and are cut short, the first is {cut[0]}",
            stacklevel=2,
        )
    return found


def _numbers(path: Path, columns: int) -> NDArray[np.float64]:
    """Rows of numbers of a text file, N x columns."""
    rows = []
    for where, line in lines(path):
        fields = line.split()
        try:
            row = [float(field) for field in fields]
        except ValueError as error:
            raise ValueError(f"{where}: {line!r} is not made of numbers; restore the owners' copy") from error
        if len(row) != columns:
            raise ValueError(f"{where}: {len(row)} numbers; expected {columns}")
        rows.append(row)
    return np.array(rows, np.float64).reshape(-1, columns)
