"""Silhouettes as gait recognition uses them, and the errors that a segmentation network would have made.

A *threshold field* does all errors at once: the true mask is blurred, and a pixel is foreground where the blurred mask
exceeds the field. At 0.5 everywhere the outline is kept; smooth deviations move it in and out, high values make holes
and lose thin parts first, negative values attach background.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Single = NDArray[np.float32]

SIZE = 64
# nodes of the threshold field over the person's box, and the margin of the field in heights of the box
GRID = (32, 22)
MARGIN = 0.12
# width of the blur in heights of the person: a deviation of 0.1 moves the outline by 0.3 per cent of the height
BLUR = 0.03
# grey levels of the blurred mask; those beyond let a field attach or refuse whatever the mask says
OUTSIDE, INSIDE = 60, 190
# beyond this deviation a field hides, or with the other sign attaches, whatever the mask says
CERTAIN = 1.2
# the outline alone neither makes holes nor attaches background
ROUGHEST = 0.42
BAD_RATE = 0.05
NIGHT_BAD_RATE = 0.3


@dataclass(frozen=True, eq=False)
class Faults:
    """How the segmentation of one tracklet goes wrong.

    outline: standard deviation of the threshold from frame to frame. standing (32, 22): deviation that stays.
    spots (K, 32, 22): deviations that come and go (lost feet and hands, holes, attached background), each there in a
    share `active` (K,) of the frames. bad: share of frames with large parts missing. exact: no fault at all.
    """

    outline: float
    standing: Single
    spots: Single
    active: NDArray[np.float64]
    bad: float
    exact: bool


def normalised(mask: NDArray[np.uint8] | Mask) -> Bytes:
    """The silhouette (64, 64) uint8, 0..255, of a mask (H, W), bool or uint8 with non-zero foreground.

    Cut to the occupied rows, scaled to 64 rows with its aspect, centred on the median of mass, cut or padded with zeros
    to 64 columns. An empty mask gives zeros. Raises ValueError when the mask is not (H, W).

    Source: the convention of aligned silhouettes in gait data sets (OpenGait, SUSTech1K).
    """
    box = _box(mask)
    if box is None:
        return np.zeros((SIZE, SIZE), np.uint8)
    left, top, width, height = box
    cut = (mask[top : top + height, left : left + width] != 0).astype(np.uint8) * np.uint8(255)
    wide = max(1, round(width * SIZE / height))
    way = cv2.INTER_AREA if height >= SIZE else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(cut, (wide, SIZE), interpolation=way), np.uint8)
    return centred(small, small.sum(0, dtype=np.int64))


def centred(picture: Bytes, mass: NDArray[np.int64]) -> Bytes:
    """64 columns of picture (64, W) around the median column of mass (W,), zeros where the picture ends.

    The median is the first column up to which lies at least half of the mass; it becomes column 32.
    """
    total = np.cumsum(mass)
    middle = int(np.searchsorted(2 * total, total[-1]))
    out = np.zeros((SIZE, SIZE), np.uint8)
    start = middle - SIZE // 2
    low, high = max(start, 0), min(start + SIZE, picture.shape[1])
    out[:, low - start : high - start] = picture[:, low:high]
    return out


def draw_faults(strength: float, random: np.random.Generator, *, night: bool = False) -> Faults:
    """The faults of one tracklet. strength 0: none at all; 1: a good network; more: a worse one.

    By day: an outline that is off by about half a per cent of the height, feet and hands lost in some frames,
    sometimes a hole or a piece of background, 5 % bad frames. At night: large missing parts that flicker, a ragged
    outline, 30 % bad frames. (Not in a paper; chosen to look like the masks of instance segmentation networks.)

    Raises ValueError when strength is negative or not finite.
    """
    if not 0 <= strength < float("inf"):
        raise ValueError(f"strength = {strength} of segmentation faults must be a number from 0 upwards")
    if strength == 0:
        nothing = np.zeros((0, *GRID), np.float32)
        return Faults(0.0, np.zeros(GRID, np.float32), nothing, np.zeros(0), 0.0, exact=True)
    rough = strength * (2.2 if night else 1.0)
    standing = rough * (0.08 * random.normal() + 0.10 * random.normal(size=GRID))
    spots, active = [], []
    for row, column, rate in ((1.0, 0.25, 0.5), (1.0, 0.75, 0.5), (0.53, 0.06, 0.3), (0.53, 0.94, 0.3)):
        if random.random() < rate:
            amount = rough * float(random.uniform(0.2, 0.9))
            spots.append(amount * _bump(row, column, 0.06))
            active.append(random.uniform(0.3, 0.9))
    for _ in range(int(random.poisson((1.8 if night else 0.5) * strength))):
        radius = float(random.uniform(0.05, 0.14) if night else random.uniform(0.035, 0.05))
        depth = CERTAIN if night else float(random.uniform(0.6, 1.0))
        spots.append(depth * _bump(float(random.uniform(0.1, 1)), float(random.uniform(0.2, 0.8)), radius))
        active.append(random.uniform(0.4, 0.9) if night else random.uniform(0.1, 0.5))
    for _ in range(int(random.poisson(0.4 * strength))):
        place = 0.5 + float(random.choice([-1, 1])) * float(random.uniform(0.25, 0.5))
        spots.append(-CERTAIN * _bump(float(random.uniform(0.1, 1)), place, float(random.uniform(0.035, 0.06))))
        active.append(random.uniform(0.2, 0.7))
    fields = np.stack(spots) if spots else np.zeros((0, *GRID))
    return Faults(
        outline=0.09 * rough,
        standing=standing.astype(np.float32),
        spots=fields.astype(np.float32),
        active=np.array(active, np.float64),
        bad=min(1.0, strength * (NIGHT_BAD_RATE if night else BAD_RATE)),
        exact=False,
    )


def segmented(mask: Mask, faults: Faults, random: np.random.Generator) -> Mask:
    """What a network would have segmented in one frame: (H, W) bool, from the true mask (H, W).

    Faults without strength give the mask itself, and an empty mask stays empty. Raises ValueError when the mask is not
    (H, W).
    """
    box = _box(mask)
    if faults.exact or box is None:
        return np.asarray(mask != 0)
    field = _field(faults, random)
    left, top, width, height = box
    margin = max(1, round(MARGIN * height))
    first, last = max(0, top - margin), min(mask.shape[0], top + height + margin)
    start, stop = max(0, left - margin), min(mask.shape[1], left + width + margin)
    levels = np.clip(OUTSIDE + (INSIDE - OUTSIDE) * (0.5 + field), 0, 255).astype(np.uint8)
    whole = cv2.resize(levels, (width + 2 * margin, height + 2 * margin), interpolation=cv2.INTER_LINEAR)
    above, aside = first - (top - margin), start - (left - margin)
    threshold = whole[above : above + last - first, aside : aside + stop - start]
    true = (mask[first:last, start:stop] != 0).astype(np.uint8)
    region = true * np.uint8(INSIDE - OUTSIDE) + np.uint8(OUTSIDE)
    size = 2 * round(BLUR * height / 2) + 1
    soft = cv2.blur(region, (size, size), borderType=cv2.BORDER_REPLICATE)
    out = np.zeros(mask.shape, np.bool_)
    out[first:last, start:stop] = soft >= threshold
    return out


def _field(faults: Faults, random: np.random.Generator) -> Single:
    """Deviation of the threshold (32, 22) in one frame."""
    field = faults.standing + np.float32(faults.outline) * random.standard_normal(GRID, np.float32)
    np.clip(field, -ROUGHEST, ROUGHEST, out=field)
    for spot in faults.spots[random.random(len(faults.active)) < faults.active]:
        field += spot
    if random.random() < faults.bad:
        rows, columns = GRID
        kind, share = int(random.integers(5)), float(random.uniform(0.3, 0.7))
        parts = {
            0: np.s_[round(share * rows) :, :],
            1: np.s_[: round(share * rows), :],
            2: np.s_[:, : round(share * columns)],
            3: np.s_[:, round(share * columns) :],
            4: np.s_[: round(rows * (0.3 + share)), :],
        }
        field[parts[kind]] += np.float32(CERTAIN)
    return np.asarray(field, np.float32)


def _bump(row: float, column: float, radius: float) -> NDArray[np.float64]:
    """A smooth hill (32, 22) of height 1 at a place given in shares of the person's box; radius in its heights."""
    # The field reaches MARGIN heights beyond the box on all sides; a box is about 0.4 times as wide as it is high.
    aspect = 0.4
    down = np.linspace(-MARGIN, 1 + MARGIN, GRID[0]) - row
    across = np.linspace(-MARGIN, aspect + MARGIN, GRID[1]) - column * aspect
    # Not narrower than the nodes, or it would fall between them.
    radius = max(radius, 0.035)
    return np.exp(-(down[:, None] ** 2 + across**2) / (2 * radius**2))


def _box(mask: NDArray[np.uint8] | Mask) -> tuple[int, int, int, int] | None:
    """Left, top, width, height of the foreground; None when there is none."""
    if mask.ndim != 2:
        raise ValueError(f"expected a mask (H, W), got {mask.shape}")
    left, top, width, height = cv2.boundingRect((mask != 0).view(np.uint8))
    return None if width == 0 else (left, top, width, height)
