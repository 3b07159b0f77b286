"""Independent random streams by purpose, so that no factor of the world depends on the order of rendering."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for. Never renumber: the numbers are part of every world's bytes."""

    PERSON = 1
    OUTFIT = 2
    CAMERA = 3
    ORDER = 4
    CLIP = 5
    MASK = 6
    LIDAR = 7
    CAPTION = 8
    WARDROBE = 9


def stream(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """A generator for one purpose and place; places of one purpose must have equally many numbers."""
    return np.random.default_rng([seed, int(purpose), *place])
