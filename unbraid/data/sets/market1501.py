"""Market-1501: pictures in front of a supermarket, six cameras, boxes of a detector.

    bounding_box_train/, query/, bounding_box_test/     0001_c1s1_000151_01.jpg: identity, camera, sequence, frame, box

In bounding_box_test, -1 is junk (bad boxes, dropped) and 0000 a distractor (kept, of unknown identity). Further folders
(gt_bbox, gt_query) are passed over.
"""

import re
from dataclasses import replace
from pathlib import Path

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.data.sets.about import About
from unbraid.data.sets.files import image, images_in, matched, named, need
from unbraid.protocol import Protocol
from unbraid.tracklet import Tracklet

ABOUT = About(
    name="market1501",
    title="Market-1501",
    modality="rgb",
    access="open",
    licence="the owners state none",
    counts={
        "train identities": 751,
        "train images": 12936,
        "query identities": 750,
        "query images": 3368,
        "gallery images": 15913,
        "all cameras": 6,
    },
    notes="3819 junk pictures are dropped; the gallery is 19732 pictures with them.",
    source="the data set's description (ICCV 2015) and peer libraries",
)

# The step rule for AP is that of most papers; the owners' script takes the area under the curve, hence the second
# protocol.
SOURCE = "the data set's paper (ICCV 2015): pictures of the query's person in its camera are skipped"
PROTOCOLS: tuple[Protocol, ...] = (
    replace(CAMERA_CHANGE, name="market1501@1", source=SOURCE),
    replace(CAMERA_CHANGE, name="market1501/matlab@1", ap="trapezoid", source=SOURCE),
)

LAYOUT = "the Market-1501 folder with bounding_box_train, query and bounding_box_test"
NAME = re.compile(r"(?P<identity>-1|\d{4})_c(?P<camera>\d+)s(?P<sequence>\d+)_\d+_\d+\.(?:jpg|png)")
JUNK, DISTRACTOR = "-1", "0000"


def read(root: Path) -> Benchmark:
    """Market-1501 as its owners distribute it; lists folders, opens no picture.

    Raises FileNotFoundError for a missing folder, ValueError for a picture with another kind of name.
    """
    folders = ("bounding_box_train", "query", "bounding_box_test")
    root = need(root, folders, LAYOUT)
    train, query, gallery = (_images(root, folder) for folder in folders)
    return Benchmark(ABOUT.name, train=train, query=query, gallery=gallery, protocols=named(PROTOCOLS))


def _images(root: Path, folder: str) -> tuple[Tracklet, ...]:
    found = []
    for name in images_in(root / folder):
        parts = matched(NAME, name, str(root / folder), "0001_c1s1_000151_01.jpg")
        if parts["identity"] == JUNK:
            continue
        identity = None if parts["identity"] == DISTRACTOR else parts["identity"]
        labels = {"camera": f"c{parts['camera']}", "sequence": f"s{parts['sequence']}"}
        found.append(image(root, f"{folder}/{name}", identity, labels))
    return tuple(found)
