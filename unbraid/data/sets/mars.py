"""MARS: tracklets of a campus seen by six cameras, made by a detector and a tracker.

    bbox_train/<first 4 characters of the name>/0001C1T0001F001.jpg
    bbox_test/...                   junk in folder 00-1, distractors in folder 0000
    info/train_name.txt, info/test_name.txt                     one frame name per line
    info/tracks_train_info.mat, info/tracks_test_info.mat       start, end, identity, camera
    info/query_IDX.mat                                          row numbers of the test rows

Rows are counted from 1, and `end` is the last frame, not the one after it.
"""

import re
from dataclasses import replace
from pathlib import Path

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.data.sets.about import About
from unbraid.data.sets.files import (
    Integers,
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
    name="mars",
    title="MARS, Motion Analysis and Re-identification Set",
    modality="rgb",
    access="open",
    licence="the owners state none",
    counts={
        "train identities": 625,
        "train tracklets": 8298,
        "train frames": 509914,
        "query identities": 626,
        "query tracklets": 1980,
        "gallery identities": 634,
        "gallery tracklets": 11310,
        "gallery distractors": 3248,
        "gallery frames": 657709,
        "all cameras": 6,
    },
    notes="870 junk tracklets (identity -1) are dropped. Queries stand in the gallery, or 140 of them had no mate.",
    source="counted in the index files of github.com/liangzheng06/MARS-evaluation",
)

# Queries stand in the gallery. The step rule for AP is that of the papers that report on MARS; the owners' own script
# takes the area under the curve, hence the second protocol.
SOURCE = "the owners' evaluation_mars.m: tracklets of the query's person and camera are skipped"
PROTOCOLS: tuple[Protocol, ...] = (
    replace(CAMERA_CHANGE, name="mars@1", source=SOURCE),
    replace(CAMERA_CHANGE, name="mars/matlab@1", ap="trapezoid", source=SOURCE),
)

LAYOUT = "the MARS folder with bbox_train, bbox_test and info (train_name.txt, tracks_train_info.mat, ...)"
NAME = re.compile(r"(?P<tracklet>(?P<identity>\d{4}|00-1)C(?P<camera>\d)T\d{4})F\d{3,}\.jpg")
JUNK, DISTRACTOR = -1, 0


def read(root: Path) -> Benchmark:
    """MARS as its owners distribute it; opens the files of `info` only.

    Raises FileNotFoundError for a missing index file, ValueError for one that is not as expected.
    """
    files = [f"info/{part}" for part in ("train_name.txt", "test_name.txt", "tracks_train_info.mat")]
    root = need(root, [*files, "info/tracks_test_info.mat", "info/query_IDX.mat"], LAYOUT)
    train, test = _tracklets(root, "train"), _tracklets(root, "test")
    queries = root / "info" / "query_IDX.mat"
    asked = row_numbers(read_mat(queries, "query_IDX"), len(test), str(queries), first=1)
    return Benchmark(
        name=ABOUT.name,
        train=tuple(t for t in train if t is not None),
        query=tuple(t for n in asked if (t := test[n]) is not None),
        gallery=tuple(t for t in test if t is not None),
        protocols=named(PROTOCOLS),
    )


def _tracklets(root: Path, split: str) -> list[Tracklet | None]:
    """One per row; None for junk and for rows without a frame."""
    names = list(lines(root / "info" / f"{split}_name.txt"))
    index = root / "info" / f"tracks_{split}_info.mat"
    found: list[Tracklet | None] = []
    empty = []
    for number, row in enumerate(_rows(index, f"track_{split}_info", len(names)), start=1):
        start, end, identity, camera = (int(v) for v in row)
        if identity != JUNK and start > end:
            empty.append(f"row {number}")
        if identity == JUNK or start > end:
            found.append(None)
            continue
        frames = names[start - 1 : end]
        tracklet = _one_tracklet(frames, f"{index}, row {number}")
        folder = root / f"bbox_{split}" / frames[0][1][:4]
        found.append(
            Tracklet(
                key=f"{split}/{number:05d}-{tracklet}",
                media=Images(tuple(folder / name for _, name in frames)),
                identity=None if identity == DISTRACTOR else f"{identity:04d}",
                labels={"camera": f"c{camera}"},
            )
        )
    tell_empty(str(index), empty)
    return found


def _rows(index: Path, key: str, frames: int) -> Integers:
    """Rows of four numbers: start, end, identity, camera."""
    rows = whole(read_mat(index, key), str(index))
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"{index}: {key} has shape {rows.shape}; expected rows of start, end, identity, camera")
    wrong = ((rows[:, 0] < 1) | (rows[:, 1] > frames)).nonzero()[0]
    if len(wrong):
        start, end = rows[wrong[0], :2]
        raise ValueError(
            f"{index}, row {wrong[0] + 1}: frames {start} to {end} are outside the {frames} names of the list, which "
            f"are counted from 1; the two files do not belong together"
        )
    return rows


def _one_tracklet(frames: list[tuple[str, str]], where: str) -> str:
    """Name of the tracklet of all frames. Raises ValueError for a bad name, or for two people or cameras."""
    found = [matched(NAME, name, line, "0001C1T0001F001.jpg") for line, name in frames]
    if len({(m["identity"], m["camera"]) for m in found}) > 1:
        raise ValueError(
            f"{where}: frames {found[0].string!r} to {found[-1].string!r} are not of one person and camera; the list "
            f"of names belongs to another version"
        )
    return found[0]["tracklet"]
