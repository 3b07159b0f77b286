"""PRID2011: people in a street, one tracklet in each of two cameras.

    prid_2011/multi_shot/{cam_a,cam_b}/<person>/<frame>.png
    splits_prid2011.json        a list of splits {"train": [<person>, ...], "test": [<person>, ...]}

The splits hold the 178 people that both cameras saw for long enough.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.data.sets.about import About
from unbraid.data.sets.files import images_in, inside, named, need, tell_empty
from unbraid.protocol import Protocol
from unbraid.tracklet import Images, Tracklet

ABOUT = About(
    name="prid2011",
    title="PRID 2011, multi-shot",
    modality="rgb",
    access="open",
    licence="the owners' terms were not seen; read them where you download",
    counts={
        "train identities": 89,
        "train tracklets": 178,
        "query tracklets": 89,
        "gallery tracklets": 89,
        "all cameras": 2,
    },
    notes="Average the scores of the splits; only the rank scores say something, as each query has one mate.",
    source="the split file that torchreid distributes",
)

SOURCE = "the convention of all papers on the 178 people: those of camera A are looked for in camera B"
PROTOCOLS: tuple[Protocol, ...] = (replace(CAMERA_CHANGE, name="prid2011@1", source=SOURCE),)

FRAMES = "prid_2011/multi_shot"
SPLITS = "splits_prid2011.json"
CAMERAS = {"cam_a": "c1", "cam_b": "c2"}
LAYOUT = f"a folder with {FRAMES}/{{cam_a,cam_b}}/<person>/*.png and {SPLITS}"


def read(root: Path, *, split: int = 0) -> Benchmark:
    """One split of PRID2011, counted from 0; lists folders, opens no frame.

    Raises FileNotFoundError for a missing file or folder, ValueError for a split file that is not as expected or a
    split that does not exist.
    """
    root = need(root, [f"{FRAMES}/cam_a", f"{FRAMES}/cam_b", SPLITS], LAYOUT)
    people = _people(root / SPLITS, split)
    return Benchmark(
        name=ABOUT.name,
        train=tuple(t for camera in CAMERAS for t in _tracklets(root, camera, people["train"])),
        query=_tracklets(root, "cam_a", people["test"]),
        gallery=_tracklets(root, "cam_b", people["test"]),
        protocols=named(PROTOCOLS),
    )


def _people(path: Path, split: int) -> dict[str, list[str]]:
    try:
        splits: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); restore it") from error
    if not isinstance(splits, list) or not 0 <= split < len(splits):
        has = f"a list of {len(splits)}" if isinstance(splits, list) else type(splits).__name__
        raise ValueError(f"{path} has no split {split}; it holds {has}, counted from 0")
    chosen = splits[split]
    for part in ("train", "test"):
        names = chosen.get(part) if isinstance(chosen, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{path}: split {split} has no list of names {part!r}; expected 'train' and 'test'")
    both = sorted(set(chosen["train"]) & set(chosen["test"]))
    if both:
        raise ValueError(f"{path}: split {split} has {both[0]!r} in 'train' and in 'test'; restore the file")
    return {part: sorted(chosen[part]) for part in ("train", "test")}


def _tracklets(root: Path, camera: str, people: list[str]) -> tuple[Tracklet, ...]:
    found, empty = [], []
    for person in people:
        folder = inside(root / FRAMES / camera, person, str(root / SPLITS))
        frames = tuple(folder / name for name in images_in(folder)) if folder.is_dir() else ()
        key = f"{camera}/{person}"
        if frames:
            found.append(Tracklet(key, Images(frames), identity=person, labels={"camera": CAMERAS[camera]}))
        else:
            empty.append(key)
    tell_empty(str(root / FRAMES), empty)
    return tuple(found)
