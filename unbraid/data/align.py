"""Silhouettes and depth pictures of one person as gait recognition uses them: equally tall and centred."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 64

Picture = NDArray[np.uint8]


def aligned(picture: Picture, *, size: int = SIZE, aspect: float = 1.0) -> Picture:
    """The picture cut to its lit rows, scaled to `size` rows and centred, `size` x `size`, channels as they were.

    picture (H, W) or (H, W, C) uint8, 0 where nothing is. aspect: how wide its pixels are for their height; pixels of
    the result are square. Its middle is the first column up to which more than half of the mass lies, mass being the
    sum over rows and channels; it becomes column size / 2. Columns beyond the picture are 0, as is a picture without
    anything lit.

    Raises ValueError for another shape or type.

    Source: preparation of silhouettes and depth maps in OpenGait (SUSTech1K). There everything is resized bicubically
    and a person near an edge is moved; here only enlarging is bicubic, since shrinking so makes jagged edges, and what
    is beyond an edge is black.
    """
    if picture.ndim not in (2, 3) or picture.dtype != np.uint8:
        raise ValueError(
            f"got an array of shape {picture.shape} and type {picture.dtype}; expected (H, W) or (H, W, C) uint8"
        )
    out = np.zeros((size, size, *picture.shape[2:]), np.uint8)
    lit = np.flatnonzero(picture.any(axis=tuple(range(1, picture.ndim))))
    if not len(lit):
        return out
    band = picture[lit[0] : lit[-1] + 1]
    wide = max(1, round(band.shape[1] * aspect * size / len(band)))
    way = cv2.INTER_AREA if len(band) > size else cv2.INTER_CUBIC
    # an axis of length 1 is lost in resizing
    small = np.asarray(cv2.resize(band, (wide, size), interpolation=way)).reshape(size, wide, *picture.shape[2:])
    total = np.cumsum(_mass(small))
    begin = int(np.searchsorted(2 * total, total[-1], side="right")) - size // 2
    low, high = max(begin, 0), min(begin + size, wide)
    out[:, low - begin : high - begin] = small[:, low:high]
    return out


def _mass(picture: Picture) -> NDArray[Any]:
    """The sum of each column over rows and channels."""
    return np.asarray(picture.sum(axis=(0, *range(2, picture.ndim)), dtype=np.int64))
