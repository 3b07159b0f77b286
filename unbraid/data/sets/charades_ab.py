"""Charades-AB: people of Charades recognised whatever they do, several things in most videos.

Charades_v1_train.csv, Charades_v1_test.csv     id, subject, actions ("c092 11.90 21.20;c147 0.00 12.60"), ...
Charades_v1_480/AO8RW.mp4                       the videos, in any folder below root
Charades_v1_rgb/AO8RW/AO8RW-000001.jpg          or a folder of frames for each of them
"""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CROSS_ACTIVITY, SAME_ACTIVITY
from unbraid.data.sets.about import About
from unbraid.data.sets.activity import (
    CROSS,
    SAME,
    SEED,
    SHARE,
    SHORTEST,
    activity_protocol,
    clip_media,
    divide,
    find_clips,
)
from unbraid.protocol import Block, Protocol, Rule, same
from unbraid.tracklet import Tracklet

ABOUT = About(
    name="charades-ab",
    title="Charades-AB, people at home in Charades",
    modality="rgb",
    access="open",
    licence="non-commercial use only, Allen Institute for Artificial Intelligence",
    counts={"all identities": 267, "train tracklets": 7985, "test tracklets": 1863},
    notes="157 activities, about 6.8 in a video, one camera. "
    "The owners of Charades-AB published no lists of probes, so another seed gives other numbers; faces are not "
    "blurred here.",
    source="ABNet (arXiv 2403.17360); numbers of the official split from general knowledge",
)


def shares(label: str) -> Rule:
    """True where query and gallery have a value in common, of several joined by '+'; unknown shares nothing."""

    def bind(query: pd.DataFrame, gallery: pd.DataFrame) -> Block:
        sides = []
        for table, side in ((query, "query"), (gallery, "gallery")):
            if label not in table.columns:
                raise KeyError(f"the {side} table has no label {label!r}; it has {sorted(map(str, table.columns))}")
            sides.append([set(v.split("+")) if isinstance(v, str) and v else set() for v in table[label]])
        names = sorted(set().union(*sides[0], *sides[1]))
        asked, offered = (np.array([[n in v for n in names] for v in side], np.float32) for side in sides)
        return lambda rows: asked.reshape(len(query), -1)[rows] @ offered.reshape(len(gallery), -1).T > 0

    return Rule(f"shares({label!r})", bind)


PROTOCOLS = (
    # one camera, so there is no 'view-'
    activity_protocol(
        "charades-ab/same@1", SAME_ACTIVITY, SAME, "ABNet (arXiv 2403.17360), section on protocols; probes drawn here"
    ),
    activity_protocol(
        "charades-ab/cross@1",
        CROSS_ACTIVITY,
        CROSS,
        "code of ABNet: of several activities the first by number is compared; probes drawn here",
    ),
    activity_protocol(
        "charades-ab/cross-any@1",
        Protocol("", hit=same("identity") & ~shares("actions"), skip=shares("actions")),
        CROSS,
        "not in a paper; chosen because the first activity alone lets clips with common activities be compared",
    ),
)

NAME = re.compile(r"([A-Z0-9]{5})")
LAYOUT = "videos such as Charades_v1_480/AO8RW.mp4, or folders of frames such as Charades_v1_rgb/AO8RW"
COLUMNS = ("id", "subject", "actions")
ACTION = re.compile(r"(c\d{3}) [\d.]+ [\d.]+")


def read(root: Path, *, step: int = 3, share: float = SHARE, seed: int = SEED) -> Benchmark:
    """Whole videos; labels 'actions' (joined by '+'), 'action' (the first of them by number), and the parts in the
    protocols. A video without known activity has neither label.

    step: of videos every step-th frame is taken; 3 makes the 10 frames per second of ABNet's code from 30.
    share, seed: of the division into probes and gallery, see `activity.divide`.

    Listed videos that are absent or have fewer than 4 frames are left out with a warning that counts them.
    Raises FileNotFoundError for a missing list or when there is no video at all; ValueError for a line without id or
    subject, or with activities that are not as above.
    """
    root = Path(root)
    lists = {part: _list(root, part) for part in ("train", "test")}
    clips = find_clips(root, NAME, LAYOUT)
    splits: dict[str, list[Tracklet]] = {"train": [], "test": []}
    absent = short = 0
    for part, path in lists.items():
        for key, subject, actions in _lines(path):
            media = clip_media(clips[key], step) if key in clips else None
            if media is None:
                absent, short = absent + (key not in clips), short + (key in clips)
                continue
            labels = {"action": actions[0], "actions": "+".join(actions)} if actions else {}
            splits[part].append(Tracklet(key, media, "rgb", subject, labels))
    if absent or short:
        warnings.warn(
            f"charades-ab: {absent} listed videos are absent and {short} have fewer than {SHORTEST} frames; "
            f"they are left out",
            stacklevel=2,
        )
    query, gallery = divide(splits["test"], share=share, generator=np.random.default_rng(seed))
    return Benchmark("charades-ab", tuple(splits["train"]), query, gallery, {p.name: p for p in PROTOCOLS})


def _list(root: Path, part: str) -> Path:
    name = f"Charades_v1_{part}.csv"
    found = [p for p in (root / name, root / "Charades" / name) if p.is_file()]
    if not found:
        raise FileNotFoundError(f"{root} holds no {name}; expected the owners' annotations and {LAYOUT}")
    return found[0]


def _lines(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Video, subject and sorted activities of each line."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise ValueError(f"{path} lacks the columns {missing}; it has {list(table.columns)}")
    for number, row in enumerate(table[list(COLUMNS)].itertuples(index=False), 2):
        key, subject, text = (str(value).strip() for value in row)
        parts = [part.strip() for part in text.split(";") if part.strip()]
        matches = [ACTION.fullmatch(part) for part in parts]
        if not NAME.fullmatch(key) or not subject or None in matches:
            raise ValueError(
                f"{path}, row {number}: id {key!r}, subject {subject!r}, actions {text!r}; expected five capitals and "
                f"digits, a subject, and actions such as 'c092 11.90 21.20;c147 0.00 12.60'"
            )
        yield key, subject, sorted({match[1] for match in matches if match})
