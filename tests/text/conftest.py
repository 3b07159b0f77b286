"""Tracklets to ask about."""

import cv2
import numpy as np
import pytest

from unbraid.tracklet import Images, Tracklet


@pytest.fixture
def tracklets(tmp_path) -> list[Tracklet]:
    """Five tracklets of four one-coloured frames: tracklet n, frame t has brightness 40 n + 10 t."""
    found = []
    for n in range(5):
        paths = tuple(tmp_path / f"{n}-{t}.png" for t in range(4))
        for t, path in enumerate(paths):
            cv2.imwrite(str(path), np.full((8, 4, 3), 40 * n + 10 * t, np.uint8))
        found.append(Tracklet(f"k{n}", Images(paths), identity=f"p{n // 2}"))
    return found
