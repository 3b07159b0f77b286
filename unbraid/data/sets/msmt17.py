"""MSMT17: pictures of a campus, 15 cameras, four days, three times of day.

    list_{train,val,query,gallery}.txt      lines "0000/0000_000_01_0303morning_0008_0.jpg 0"
    train/..., test/...     in version 2, with faces masked, mask_train_v2/... and mask_test_v2/...

A line names a picture below train or test, and the person, counted from 0 in train and again in test: 0000 in train is
not 0000 in test. Therefore identities here are "train-0000" and "test-0000".
"""

import re
from dataclasses import replace
from pathlib import Path

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.data.sets.about import About
from unbraid.data.sets.files import image, inside, lines, matched, named, need
from unbraid.protocol import Protocol
from unbraid.tracklet import Tracklet

ABOUT = About(
    name="msmt17",
    title="MSMT17, Multi-Scene Multi-Time person re-identification",
    modality="rgb",
    access="agreement",
    licence="for research, by an agreement with the owners",
    counts={
        "train identities": 1041,
        "train images": 32621,
        "query identities": 3060,
        "query images": 11659,
        "gallery identities": 3060,
        "gallery images": 82161,
        "all cameras": 15,
    },
    notes="The 32621 training pictures are both lists, train (30248) and val (2373), of the same people.",
    source="the data set's paper (CVPR 2018) and peer libraries",
)

SOURCE = "the data set's paper (CVPR 2018), which takes over the rule of Market-1501"
PROTOCOLS: tuple[Protocol, ...] = (replace(CAMERA_CHANGE, name="msmt17@1", source=SOURCE),)

FOLDERS = (("train", "test"), ("mask_train_v2", "mask_test_v2"))
LAYOUT = "the MSMT17 folder with list_{train,val,query,gallery}.txt, train and test (or mask_train_v2 and mask_test_v2)"
LINE = re.compile(
    r"(?P<path>(?:[^\s/]+/)*\d+_\d+_(?P<camera>\d+)_(?P<session>[^\s/_]+)_[^\s/]+\.(?:jpg|png))\s+(?P<identity>\d+)"
)


def read(root: Path, *, validation: bool = True) -> Benchmark:
    """MSMT17 in either version; opens the four lists only.

    validation: train on the list 'val' too, as the owners' count of training pictures does.
    Raises FileNotFoundError for a missing list or folder, ValueError for a line that cannot be read or leaves the root.
    """
    trained, tested = next((pair for pair in FOLDERS if (Path(root) / pair[0]).is_dir()), FOLDERS[0])
    parts = ["train", "val"] if validation else ["train"]
    root = need(root, [*(f"list_{part}.txt" for part in (*parts, "query", "gallery")), trained, tested], LAYOUT)
    return Benchmark(
        name=ABOUT.name,
        train=tuple(t for part in parts for t in _images(root, part, trained, "train")),
        query=_images(root, "query", tested, "test"),
        gallery=_images(root, "gallery", tested, "test"),
        protocols=named(PROTOCOLS),
    )


def _images(root: Path, part: str, folder: str, side: str) -> tuple[Tracklet, ...]:
    found = []
    for where, line in lines(root / f"list_{part}.txt"):
        inside(root, line.split()[0], where)
        row = matched(LINE, line, where, "0000/0000_000_01_0303morning_0008_0.jpg 0")
        labels = {"camera": f"c{int(row['camera'])}", "session": row["session"]}
        found.append(image(root, f"{folder}/{row['path']}", f"{side}-{int(row['identity']):04d}", labels))
    return tuple(found)
