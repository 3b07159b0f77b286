"""NTU RGB-AB: people of NTU RGB+D 120 recognised whatever they do.

    nturgb+d_rgb/S001C002P003R002A013_rgb.avi      the owners' videos, in any folder below root
    S001C002P003R002A013/000001.jpg ...            or a folder of frames for each of them

A name holds setup, camera, person, repetition and action.
"""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from unbraid.data.benchmark import Benchmark
from unbraid.data.sets.about import About
from unbraid.data.sets.activity import SEED, SHARE, SHORTEST, activity_protocols, clip_media, divide, find_clips
from unbraid.tracklet import Tracklet

# Source: NTU RGB+D 120, cross-subject protocol, as in the code of ABNet (abnet/data/splits.py).
TRAIN_PEOPLE = frozenset(
    {1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38, 45, 46, 47, 49, 50, *range(52, 60), 70, 74, 78}
    | {*range(80, 87), 89, *range(91, 96), 97, 98, 100, 103}
)  # fmt: skip
# Source: ABNet section on data: actions of two people are dropped, which leaves 94 of 120.
MUTUAL_ACTIONS = frozenset({*range(50, 61), *range(106, 121)})

ABOUT = About(
    name="ntu-ab",
    title="NTU RGB-AB, actions of single people in NTU RGB+D 120",
    modality="rgb",
    access="agreement",
    licence="research only, by agreement with the ROSE Lab of Nanyang Technological University",
    counts={
        "train identities": 53,
        "test identities": 53,
        "all tracklets": 88692,
        "all cameras": 3,
        "all setups": 32,
        "all actions": 94,
    },
    notes="The owners of NTU RGB-AB published no lists of probes, so another seed gives other numbers; faces are not "
    "blurred here.",
    source="ABNet (arXiv 2403.17360) and its code",
)

# Source: see `activity_protocols`.
PROTOCOLS = activity_protocols("ntu-ab")

NAME = re.compile(r"(S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3}))(?:_rgb)?")
LAYOUT = "videos SsssCcccPpppRrrrAaaa_rgb.avi or folders of frames SsssCcccPpppRrrrAaaa, in any folder below root"


def read(
    root: Path,
    *,
    step: int = 3,
    share: float = SHARE,
    seed: int = SEED,
    train_people: frozenset[int] = TRAIN_PEOPLE,
    mutual_actions: frozenset[int] = MUTUAL_ACTIONS,
) -> Benchmark:
    """Clips of one person; labels 'camera', 'action', 'setup', 'repetition', and the parts in the two protocols.

    step: of videos every step-th frame is taken; 3 makes the 10 frames per second of ABNet's code from 30.
    share, seed: of the division into probes and gallery, see `activity.divide`.
    train_people, mutual_actions: numbers of the people to train on and of the actions to drop.

    Clips of fewer than 4 frames are left out with a warning that counts them.
    Raises FileNotFoundError without clips, ValueError for a video that cannot be opened.
    """
    train: list[Tracklet] = []
    test: list[Tracklet] = []
    short = 0
    for key, path in find_clips(Path(root), NAME, LAYOUT).items():
        numbers = _numbers(key)
        if numbers["action"] in mutual_actions:
            continue
        media = clip_media(path, step)
        if media is None:
            short += 1
            continue
        labels = {
            "camera": f"c{numbers['camera']}",
            "action": f"A{numbers['action']:03d}",
            "setup": f"S{numbers['setup']:03d}",
            "repetition": f"R{numbers['repetition']:03d}",
        }
        tracklet = Tracklet(key, media, "rgb", f"P{numbers['person']:03d}", labels)
        (train if numbers["person"] in train_people else test).append(tracklet)
    if short:
        warnings.warn(f"ntu-ab: {short} clips of fewer than {SHORTEST} frames are left out", stacklevel=2)
    query, gallery = divide(test, share=share, generator=np.random.default_rng(seed))
    return Benchmark("ntu-ab", tuple(train), query, gallery, {p.name: p for p in PROTOCOLS})


def _numbers(name: str) -> Mapping[str, int]:
    digits = (int(name[place : place + 3]) for place in range(1, 20, 4))
    return dict(zip(("setup", "camera", "person", "repetition", "action"), digits, strict=True))
