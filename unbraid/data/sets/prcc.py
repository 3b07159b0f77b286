"""PRCC: pictures of people in three cameras; cameras A and B saw the same clothes, camera C others.

    rgb/train/<identity>/A_cropped_rgb001.jpg, rgb/val/...      the first letter is the camera
    rgb/test/{A,B,C}/<identity>/cropped_rgb001.jpg

The gallery is camera A; queries of B look for people in the same clothes, queries of C in other clothes.
"""

import re
from pathlib import Path

import numpy as np

from unbraid.data.benchmark import Benchmark
from unbraid.data.sets.about import About
from unbraid.data.sets.files import folders_in, image, images_in, matched, named, need
from unbraid.protocol import Protocol, Where, never, same
from unbraid.tracklet import Tracklet

ABOUT = About(
    name="prcc",
    title="PRCC, Person Re-identification under moderate Clothing Change",
    modality="rgb",
    access="unclear",
    licence="for research; the owners' terms were not seen",
    counts={
        "train identities": 150,
        "train images": 17896,
        "query identities": 71,
        "query images": 3543 + 3873,
        "gallery identities": 71,
        "gallery images": 3384,
        "all cameras": 3,
    },
    notes="The validation pictures (5002) show the people of the training set. Scores with one gallery picture per "
    "person and with all of them differ widely in mAP: never mix them.",
    source="papers that use the set; together 33698 pictures of 221 people",
)

CAMERAS = {"A": "c1", "B": "c2", "C": "c3"}
OUTFITS = {"A": "1", "B": "1", "C": "2"}


def _protocol(name: str, camera: str) -> Protocol:
    return Protocol(name, hit=same("identity"), skip=never(), query=Where({"camera": (CAMERAS[camera],)}))


# Source: DIFFER's evaluation code and Simple-CCReID: queries of C (other clothes) or B (same clothes) in all of A. No
# camera is shared, so nothing is skipped. One gallery picture per person, drawn ten times and averaged, is the rule of
# PRCC's paper as Simple-CCReID's author describes it.
PROTOCOLS: tuple[Protocol, ...] = (
    _protocol("prcc-cc/multi@1", "C"),
    _protocol("prcc-sc/multi@1", "B"),
    _protocol("prcc-cc/single@1", "C"),
    _protocol("prcc-sc/single@1", "B"),
)

LAYOUT = "the prcc folder with rgb/train, rgb/val and rgb/test/{A,B,C}"
NAME = re.compile(r"(?P<camera>[ABC])_.+")


def read(root: Path, *, validation: bool = False, single_shot: np.random.Generator | None = None) -> Benchmark:
    """PRCC as its owners distribute it; lists folders, opens no picture.

    validation: train on the validation pictures too. single_shot: draws one gallery picture per person, for the
    protocols named 'single'; read ten times with one generator and average.
    Raises FileNotFoundError for a missing folder, ValueError for a training picture with another kind of name.
    """
    trained = ["train", "val"] if validation else ["train"]
    root = need(root, [*(f"rgb/{part}" for part in trained), *(f"rgb/test/{c}" for c in CAMERAS)], LAYOUT)
    gallery = _tested(root, "A")
    if single_shot is not None:
        gallery = _one_per_identity(gallery, single_shot)
    return Benchmark(
        name=ABOUT.name,
        train=tuple(t for part in trained for t in _trained(root, part)),
        query=(*_tested(root, "B"), *_tested(root, "C")),
        gallery=gallery,
        protocols=named(PROTOCOLS[2:] if single_shot is not None else PROTOCOLS[:2]),
    )


def _trained(root: Path, part: str) -> tuple[Tracklet, ...]:
    found = []
    for identity in folders_in(root / "rgb" / part):
        folder = f"rgb/{part}/{identity}"
        for name in images_in(root / folder):
            camera = matched(NAME, name, str(root / folder), "A_cropped_rgb001.jpg")["camera"]
            found.append(image(root, f"{folder}/{name}", identity, _labels(identity, camera)))
    return tuple(found)


def _tested(root: Path, camera: str) -> tuple[Tracklet, ...]:
    return tuple(
        image(root, f"rgb/test/{camera}/{identity}/{name}", identity, _labels(identity, camera))
        for identity in folders_in(root / "rgb" / "test" / camera)
        for name in images_in(root / "rgb" / "test" / camera / identity)
    )


def _labels(identity: str, camera: str) -> dict[str, str]:
    return {"camera": CAMERAS[camera], "clothes": f"{identity}-{OUTFITS[camera]}"}


def _one_per_identity(tracklets: tuple[Tracklet, ...], generator: np.random.Generator) -> tuple[Tracklet, ...]:
    groups: dict[str | None, list[Tracklet]] = {}
    for tracklet in tracklets:
        groups.setdefault(tracklet.identity, []).append(tracklet)
    return tuple(group[generator.integers(len(group))] for group in groups.values())
