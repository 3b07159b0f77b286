"""iLIDS-VID: 300 people in an airport hall, one tracklet in each of two cameras.

    i-LIDS-VID/sequences/{cam1,cam2}/<person>/<frame>.png
    train-test people splits/train_test_splits_ilidsvid.mat     `ls_set`, 10 x 300

A row of `ls_set` is one split: positions, counted from 1, in the sorted list of people; the first half of them is for
the test, the second half for training.
"""

from dataclasses import replace
from pathlib import Path

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.data.sets.about import About
from unbraid.data.sets.files import (
    folders_in,
    images_in,
    named,
    need,
    read_mat,
    row_numbers,
    tell_empty,
)
from unbraid.protocol import Protocol
from unbraid.tracklet import Images, Tracklet

ABOUT = About(
    name="ilids-vid",
    title="iLIDS-VID",
    modality="rgb",
    access="unclear",
    licence="made from the i-LIDS videos of the UK Home Office; the terms of these apply",
    counts={
        "train identities": 150,
        "train tracklets": 300,
        "query tracklets": 150,
        "gallery tracklets": 150,
        "all cameras": 2,
    },
    notes="Average the scores of the ten splits; only the rank scores say something, as each query has one mate.",
    source="the split file and the data set's description",
)

SOURCE = "the data set's description: people of camera 1 are looked for in camera 2, which holds one tracklet of each"
PROTOCOLS: tuple[Protocol, ...] = (replace(CAMERA_CHANGE, name="ilids-vid@1", source=SOURCE),)

FRAMES = "i-LIDS-VID/sequences"
SPLITS = "train-test people splits/train_test_splits_ilidsvid.mat"
LAYOUT = f"a folder with {FRAMES}/{{cam1,cam2}}/<person>/*.png and '{SPLITS}'"


def read(root: Path, *, split: int = 0) -> Benchmark:
    """One of the ten splits of iLIDS-VID, 0 to 9; lists folders, opens no frame.

    Raises FileNotFoundError for a missing file or folder, ValueError for a split that does not exist, or when the
    people are not those that the split file counts: all positions would shift.
    """
    root = need(root, [f"{FRAMES}/cam1", f"{FRAMES}/cam2", SPLITS], LAYOUT)
    table = read_mat(root / SPLITS, "ls_set")
    if table.ndim != 2 or not 0 <= split < len(table):
        raise ValueError(f"{root / SPLITS} has no split {split}; it has shape {table.shape}, choose 0 to 9")
    people = folders_in(root / FRAMES / "cam1")
    if people != folders_in(root / FRAMES / "cam2") or len(people) != table.shape[1]:
        raise ValueError(
            f"{root / FRAMES}: the people of cam1 and cam2 must be the same {table.shape[1]}, because the splits count "
            f"positions in the sorted list; cam1 has {len(people)}. Restore the missing folders"
        )
    order = row_numbers(table[split], len(people), f"{root / SPLITS}, split {split}", first=1)
    half = len(order) // 2
    tested, trained = ([people[n] for n in sorted(part)] for part in (order[:half], order[half:]))
    return Benchmark(
        name=ABOUT.name,
        train=tuple(t for camera in ("cam1", "cam2") for t in _tracklets(root, camera, trained)),
        query=_tracklets(root, "cam1", tested),
        gallery=_tracklets(root, "cam2", tested),
        protocols=named(PROTOCOLS),
    )


def _tracklets(root: Path, camera: str, people: list[str]) -> tuple[Tracklet, ...]:
    found, empty = [], []
    for person in people:
        folder = root / FRAMES / camera / person
        frames = tuple(folder / name for name in images_in(folder))
        key = f"{camera}/{person}"
        if frames:
            labels = {"camera": camera.replace("cam", "c")}
            found.append(Tracklet(key, Images(frames), identity=person, labels=labels))
        else:
            empty.append(key)
    tell_empty(str(root / FRAMES), empty)
    return tuple(found)
