"""Walks that a camera and a LiDAR saw at once: frames whose grey says which walk, which frame and which sensor."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unbraid.data.sets.folder import save_index, save_strip

SIDE = 12
SENSORS = ("depth", "silhouette")
PEOPLE, VIEWS, TYPES, FRAMES = 4, ("000", "090"), ("00-nm", "01-bg"), 5


def level(walk: int, frame: int, modality: str) -> int:
    """The grey of a frame: silhouettes are even, depth maps one more."""
    return 16 * walk % 240 + 2 * frame + (modality == "depth")


def row(root: Path, number: int, modality: str, identity: str, frames: int = FRAMES, **labels: str) -> dict[str, Any]:
    """An index row with its strip; the lower half is black, so that shifts can be seen."""
    key = f"{number:02d}/{modality}"
    pictures = [np.zeros((SIDE, SIDE), np.uint8) for _ in range(frames)]
    for frame, picture in enumerate(pictures):
        picture[: SIDE // 2] = level(number, frame, modality)
    name = save_strip(root, f"frames/{key}.png", pictures)
    own = {"key": key, "split": "train", "modality": modality, "identity": identity}
    return {**own, "frames": [name], "strip": frames, **labels}


def write_walks(root: Path, extra: Mapping[str, Any] | None = None) -> Path:
    """A tracklet folder: four training people, each in two types from two views, both sensors, depth first."""
    rows, walk = [], 0
    for person in range(PEOPLE):
        for kind in TYPES:
            for view in VIEWS:
                for modality in SENSORS:
                    labels = {"walk": f"{person}/{kind}/{view}", "view": view, "type": kind}
                    rows.append(row(root, walk, modality, f"p{person}", **labels))
                walk += 1
    save_index(root, [*rows, *([extra] if extra else [])], {"name": "walks", "synthetic": True})
    return root
