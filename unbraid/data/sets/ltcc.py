"""LTCC: pictures of people who come back in other clothes over two months, twelve cameras.

train/, query/, test/       000_1_c9_015833.png: identity, clothes, camera, frame; test is the gallery
info/                       lists of those who change clothes; not needed
"""

import re
from dataclasses import replace
from pathlib import Path

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE, CLOTHES_CHANGE
from unbraid.data.sets.about import About
from unbraid.data.sets.files import image, images_in, matched, named, need
from unbraid.protocol import Protocol
from unbraid.tracklet import Tracklet

ABOUT = About(
    name="ltcc",
    title="LTCC, Long-Term Cloth-Changing person re-identification",
    modality="rgb",
    access="agreement",
    licence="for research, by an agreement with the owners",
    counts={
        "train identities": 77,
        "train images": 9576,
        "query identities": 75,
        "query images": 493,
        "gallery images": 7050,
    },
    notes="Numbers reported on the people of info/cloth-change_id_test.txt alone are another protocol.",
    source="papers that use the set; together 17119 images of 152 people",
)

# Clothes-changing: pictures of the query's person in its camera or in its clothes are skipped. General: those in its
# camera only.
SOURCE = "the evaluation code of DIFFER and of Simple-CCReID"
PROTOCOLS: tuple[Protocol, ...] = (
    replace(CLOTHES_CHANGE, name="ltcc-cc@1", source=SOURCE),
    replace(CAMERA_CHANGE, name="ltcc-general@1", source=SOURCE),
)

LAYOUT = "the LTCC_ReID folder with train, query and test"
NAME = re.compile(r"(?P<identity>\d+)_(?P<clothes>\d+)_c(?P<camera>\d+)_.+\.(?:png|jpg)")


def read(root: Path) -> Benchmark:
    """LTCC as its owners distribute it; lists folders, opens no picture.

    Raises FileNotFoundError for a missing folder, ValueError for a picture with another kind of name.
    """
    root = need(root, ["train", "query", "test"], LAYOUT)
    train, query, gallery = (_images(root, split) for split in ("train", "query", "test"))
    return Benchmark(ABOUT.name, train=train, query=query, gallery=gallery, protocols=named(PROTOCOLS))


def _images(root: Path, split: str) -> tuple[Tracklet, ...]:
    found = []
    for name in images_in(root / split):
        parts = matched(NAME, name, str(root / split), "000_1_c9_015833.png")
        labels = {"camera": f"c{int(parts['camera'])}", "clothes": f"{parts['identity']}-{parts['clothes']}"}
        found.append(image(root, f"{split}/{name}", parts["identity"], labels))
    return tuple(found)
