"""PRCC: pictures of people in three cameras; cameras A and B saw the same clothes, camera C others.

    rgb/train/<identity>/A_cropped_rgb001.jpg, rgb/val/...      the first letter is the camera
    rgb/test/{A,B,C}/<identity>/cropped_rgb001.jpg

The gallery is camera A; queries of B look for people in the same clothes, queries of C in other clothes.
"""

import re
from pathlib import Path

from unbraid.data.benchmark import Benchmark
from unbraid.data.sets.about import About
from unbraid.data.sets.files import folders_in, image, images_in, matched, named, need
from unbraid.protocol import Protocol, Shots, Where, never, same
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


def _protocol(name: str, camera: str, source: str, shots: Shots | None = None) -> Protocol:
    asked = Where({"camera": (CAMERAS[camera],)})
    return Protocol(name, hit=same("identity"), skip=never(), query=asked, shots=shots, source=source)


# Queries of C (other clothes) or B (same clothes) in A. No camera is shared, so nothing is skipped. Which pictures of A
# are drawn is not published, so numbers of 'single' agree with others' within the spread of draws only.
MULTI = "DIFFER's evaluation code and Simple-CCReID: all pictures of camera A are the gallery"
SINGLE = "PRCC's paper as Simple-CCReID's author describes it: one gallery picture per person, mean of ten draws"
PROTOCOLS: tuple[Protocol, ...] = (
    _protocol("prcc-cc/multi@1", "C", MULTI),
    _protocol("prcc-sc/multi@1", "B", MULTI),
    _protocol("prcc-cc/single@1", "C", SINGLE, Shots(items=1, draws=10)),
    _protocol("prcc-sc/single@1", "B", SINGLE, Shots(items=1, draws=10)),
)

LAYOUT = "the prcc folder with rgb/train, rgb/val and rgb/test/{A,B,C}"
NAME = re.compile(r"(?P<camera>[ABC])_.+")


def read(root: Path, *, validation: bool = False) -> Benchmark:
    """PRCC as its owners distribute it; lists folders, opens no picture.

    validation: train on the validation pictures too.
    Raises FileNotFoundError for a missing folder, ValueError for a training picture with another kind of name.
    """
    trained = ["train", "val"] if validation else ["train"]
    root = need(root, [*(f"rgb/{part}" for part in trained), *(f"rgb/test/{c}" for c in CAMERAS)], LAYOUT)
    return Benchmark(
        name=ABOUT.name,
        train=tuple(t for part in trained for t in _trained(root, part)),
        query=(*_tested(root, "B"), *_tested(root, "C")),
        gallery=_tested(root, "A"),
        protocols=named(PROTOCOLS),
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
