"""Celeb-reID-light: street photographs of celebrities; no one wears the same clothes twice.

train/, query/, gallery/        1_1_0.jpg: identity, number of the picture, 0
"""

import re
from pathlib import Path

from unbraid.data.benchmark import Benchmark
from unbraid.data.sets.about import About
from unbraid.data.sets.files import image, images_in, matched, named, need
from unbraid.protocol import Protocol, never, same
from unbraid.tracklet import Tracklet

ABOUT = About(
    name="celeb-light",
    title="Celeb-reID-light",
    modality="rgb",
    access="open",
    licence="for research only; no distribution, no commercial use",
    counts={
        "train identities": 490,
        "train images": 9021,
        "query identities": 100,
        "query images": 887,
        "gallery identities": 100,
        "gallery images": 934,
    },
    notes="Every picture counts as an outfit of its own. There is no camera.",
    source="the readme of github.com/Huang-3/Celeb-reID",
)

SOURCE = "DIFFER's evaluation code, which puts the camera aside: nothing is skipped"
PROTOCOLS: tuple[Protocol, ...] = (Protocol("celeb-light@1", hit=same("identity"), skip=never(), source=SOURCE),)

LAYOUT = "the Celeb-reID-light folder with train, query and gallery"
NAME = re.compile(r"(?P<identity>\d+)_(?P<picture>\d+)_\d+\.(?:jpg|png)")


def read(root: Path) -> Benchmark:
    """Celeb-reID-light as its owners distribute it; lists folders, opens no picture.

    Raises FileNotFoundError for a missing folder, ValueError for a picture with another kind of name.
    """
    root = need(root, ["train", "query", "gallery"], LAYOUT)
    train, query, gallery = (_images(root, split) for split in ("train", "query", "gallery"))
    return Benchmark(ABOUT.name, train=train, query=query, gallery=gallery, protocols=named(PROTOCOLS))


def _images(root: Path, split: str) -> tuple[Tracklet, ...]:
    found = []
    for name in images_in(root / split):
        parts = matched(NAME, name, str(root / split), "1_1_0.jpg")
        clothes = f"{parts['identity']}-{parts['picture']}"
        found.append(image(root, f"{split}/{name}", parts["identity"], {"clothes": clothes}))
    return tuple(found)
