"""CCVID: people walking towards a camera in several sessions, with bags and in other clothes; made from FVG.

train.txt, query.txt, gallery.txt       lines "session1/001_01 001 u0_l0_s0_c0_a0": folder, identity, clothes
session1/001_01/<frame>.jpg             the part after '_' numbers the walk
"""

import re
from dataclasses import replace
from pathlib import Path

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE, CLOTHES_CHANGE, SAME_CLOTHES
from unbraid.data.sets.about import About
from unbraid.data.sets.files import images_in, inside, lines, matched, named, need, tell_empty
from unbraid.protocol import Protocol
from unbraid.tracklet import Images, Tracklet

ABOUT = About(
    name="ccvid",
    title="CCVID, Clothes-Changing Video person re-IDentification",
    modality="rgb",
    access="unclear",
    licence="for research; made from FVG, whose terms apply too",
    counts={
        "train identities": 75,
        "train frames": 118613,
        "query tracklets": 834,
        "query frames": 116799,
        "gallery tracklets": 1074,
        "gallery frames": 112421,
        "test identities": 151,
    },
    notes="There is one camera: the label 'camera' numbers walks, as the owners' code does, so that walks of session 3 "
    "are apart from those of the others. What a space knows of 'camera' here is the walk and the session.",
    source="documentation of the set by others; the sum of frames is that of the owners",
)

# The general rule, then only other and only the same clothes. Queries are not in the gallery.
SOURCE = "the code of github.com/guxinqian/Simple-CCReID"
PROTOCOLS: tuple[Protocol, ...] = (
    replace(CAMERA_CHANGE, name="ccvid-general@1", source=SOURCE),
    replace(CLOTHES_CHANGE, name="ccvid-cc@1", source=SOURCE),
    replace(SAME_CLOTHES, name="ccvid-sc@1", source=SOURCE),
)

LAYOUT = "the CCVID folder with train.txt, query.txt, gallery.txt and session1, session2, session3"
LINE = re.compile(
    r"(?P<folder>(?:\S*/)?(?P<session>session\d+)/[^\s_/]+_(?P<walk>\d+))\s+(?P<identity>\S+)\s+(?P<clothes>\S+)"
)
LATE_SESSION, WALKS_BEFORE = "session3", 12


def read(root: Path) -> Benchmark:
    """CCVID as its owners distribute it; opens the three lists and lists folders.

    Raises FileNotFoundError for a missing list, ValueError for a line that cannot be read or leaves the root.
    """
    root = need(root, ["train.txt", "query.txt", "gallery.txt"], LAYOUT)
    train, query, gallery = (_tracklets(root, root / f"{split}.txt") for split in ("train", "query", "gallery"))
    return Benchmark(ABOUT.name, train=train, query=query, gallery=gallery, protocols=named(PROTOCOLS))


def _tracklets(root: Path, index: Path) -> tuple[Tracklet, ...]:
    found, empty = [], []
    for where, line in lines(index):
        inside(root, line.split()[0], where)
        row = matched(LINE, line, where, "session1/001_01 001 u0_l0_s0_c0_a0")
        folder = root / row["folder"]
        frames = tuple(folder / name for name in images_in(folder)) if folder.is_dir() else ()
        if not frames:
            empty.append(row["folder"])
            continue
        walk = int(row["walk"]) + (WALKS_BEFORE if row["session"] == LATE_SESSION else 0)
        labels = {
            "camera": f"c{walk}",
            "clothes": f"{row['identity']}-{row['clothes']}",
            "session": row["session"],
        }
        found.append(Tracklet(row["folder"], Images(frames), identity=row["identity"], labels=labels))
    tell_empty(str(index), empty)
    return tuple(found)
