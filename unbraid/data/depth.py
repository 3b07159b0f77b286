"""Depth pictures of point clouds, projected as in OpenGait's preparation of SUSTech1K, but without a plotting library.

The released files were drawn with a plotting library, point by point with a small disc. Here a point fills the one cell
that it falls into, and colours come from a fixed table: pictures are alike, but not bit-equal to released ones. Where
released depth maps exist, use those.
"""

from dataclasses import dataclass
from math import ceil, inf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Picture = NDArray[np.uint8]

# Grey of the farthest point, so that it differs from nothing.
DARKEST = 48
# Degrees of a cell; finer ones are a slip, and their canvas would fill the memory.
FINEST = 0.01
# Metres: shallower than this is all equally near, and not a picture of rounding errors.
FLAT = 1e-3
# Black columns on both sides of the points, as many as bicubic resizing looks at.
MARGIN = 4


@dataclass(frozen=True, kw_only=True)
class Projection:
    """How a scanner's points become a picture. The defaults are those of SUSTech1K's scanner."""

    across: float = 0.19188
    """Degrees of azimuth in a column: the horizontal resolution of the scanner."""
    up: float = 0.2
    """Degrees of elevation in a row: the distance between beams."""
    lowest: float = -25.0
    """Degrees: points below are left out."""
    highest: float = 15.0
    """Degrees: points at or above are left out."""
    span: tuple[float, float] | None = None
    """Metres of horizontal range shown nearest and farthest; absent, each frame's own nearest and farthest point."""
    colour: Literal["jet", "grey"] = "jet"
    """Colours from red (near) to blue, as in released files, or greys from bright (near) to dark, as in the world."""

    def __post_init__(self) -> None:
        if not (FINEST <= self.across <= 10 and FINEST <= self.up <= 10):
            raise ValueError(f"across = {self.across} and up = {self.up}; expected degrees from {FINEST:g} to 10")
        if not -90 <= self.lowest < self.highest <= 90:
            raise ValueError(
                f"lowest = {self.lowest} and highest = {self.highest}; expected degrees, -90 <= lowest < highest <= 90"
            )
        if self.span is not None and not 0 <= self.span[0] < self.span[1] < inf:
            raise ValueError(f"span = {self.span}; expected metres, 0 <= nearest < farthest")

    @property
    def aspect(self) -> float:
        """How wide a cell is for its height, as `align.aligned` wants it; 1 for the scanner of SUSTech1K.

        There cells of 0.19188 x 0.2 degrees were drawn as squares; so a person has one shape whatever scanner saw it.
        """
        return (self.across / self.up) / (Projection.across / Projection.up)

    @property
    def rows(self) -> int:
        """Rows of the canvas."""
        return ceil((self.highest - self.lowest) / self.up - 1e-9)

    @property
    def columns(self) -> int:
        """Columns of the canvas, a whole turn."""
        return ceil(360 / self.across - 1e-9)


def range_image(cloud: NDArray[np.floating], projection: Projection) -> Floats:
    """The horizontal range in metres of the nearest point in each cell, rows x columns, infinite where there is none.

    cloud N x 3: x and y horizontal, z up, metres, the scanner at the origin; a point there is no return. With
    r = sqrt(x^2 + y^2), column = (atan2(y, -x) + 180) / across and row from below = (atan2(z, r) - lowest) / up, angles
    in degrees, rounded down. So x forward lies at the seam, half a turn from column 0, and the picture is what a camera
    at the scanner sees: further right is further clockwise seen from above.

    Raises ValueError when cloud is not N x 3.
    Source: preparation of SUSTech1K in OpenGait, which negates x and y first; after that u = atan2(-y, x).
    """
    if cloud.ndim != 2 or cloud.shape[1] != 3:
        raise ValueError(f"expected a cloud N x 3, got {cloud.shape}")
    image = np.full((projection.rows, projection.columns), np.inf)
    x, y, z = cloud.astype(np.float64).T
    level = np.hypot(x, y)
    elevation = np.degrees(np.arctan2(z, level))
    kept = inside(cloud, projection)
    azimuth = np.degrees(np.arctan2(y, -x)) + 180
    column = np.minimum((azimuth / projection.across).astype(np.intp), projection.columns - 1)
    row = np.minimum(((elevation - projection.lowest) / projection.up).astype(np.intp), projection.rows - 1)
    np.minimum.at(image, (projection.rows - 1 - row[kept], column[kept]), level[kept])
    return image


def depth_picture(cloud: NDArray[np.floating], projection: Projection) -> Picture:
    """A picture of a cloud N x 3 around its points: all rows, and the columns from the first to the last point.

    (H, W, 3) uint8 RGB, or (H, W) in greys; black where there is no point. The widest part of the turn without a point
    is where the picture begins and ends, so that nobody is cut by the seam. `align.aligned` makes it 64 x 64, with the
    projection's `aspect`.
    Raises as `range_image`.
    """
    image = range_image(cloud, projection)
    lit = np.flatnonzero(np.isfinite(image).any(axis=0))
    if len(lit):
        gaps = np.diff(lit, append=lit[0] + image.shape[1])
        last = int(gaps.argmax())
        begin, end = int(lit[(last + 1) % len(lit)]), int(lit[last])
        wide = (end - begin) % image.shape[1] + 1
        image = np.roll(image, -begin, axis=1)[:, :wide]
        image = np.pad(image, ((0, 0), (MARGIN, MARGIN)), constant_values=np.inf)
    else:
        image = image[:, :1]
    nearness = _nearness(image, projection.span)
    if projection.colour == "grey":
        shown = np.rint(DARKEST + (255 - DARKEST) * nearness).astype(np.uint8)
        return np.asarray(np.where(np.isfinite(image), shown, np.uint8(0)))
    colours = jet()[np.minimum((256 * nearness).astype(np.intp), 255)]
    return np.asarray(np.where(np.isfinite(image)[..., None], colours, np.uint8(0)))


def inside(cloud: NDArray[np.floating], projection: Projection) -> NDArray[np.bool_]:
    """Which points of a cloud N x 3 a picture shows."""
    x, y, z = cloud.astype(np.float64).T
    level = np.hypot(x, y)
    elevation = np.degrees(np.arctan2(z, level))
    return np.asarray((elevation >= projection.lowest) & (elevation < projection.highest) & (level > 0))


def jet() -> Picture:
    """256 colours from dark blue through cyan, yellow and red to dark red, 256 x 3 uint8.

    Each channel is linear between the places where it turns, in shares of the table.
    Source: the colour map named jet, as the plotting library of the released files has it.
    """
    turns = {
        "red": ((0.0, 0.0), (0.35, 0.0), (0.66, 1.0), (0.89, 1.0), (1.0, 0.5)),
        "green": ((0.0, 0.0), (0.125, 0.0), (0.375, 1.0), (0.64, 1.0), (0.91, 0.0), (1.0, 0.0)),
        "blue": ((0.0, 0.5), (0.11, 1.0), (0.34, 1.0), (0.65, 0.0), (1.0, 0.0)),
    }
    place = np.linspace(0, 1, 256)
    channels = [np.interp(place, *np.array(known).T) for known in turns.values()]
    return np.asarray(np.rint(255 * np.stack(channels, axis=1)), np.uint8)


def _nearness(image: Floats, span: tuple[float, float] | None) -> Floats:
    """1 for the nearest, 0 for the farthest range, anything where there is no point."""
    known = image[np.isfinite(image)]
    if not len(known):
        return np.zeros(image.shape)
    near, far = span or (float(known.min()), float(known.max()))
    share = (np.where(np.isfinite(image), image, far) - near) / max(far - near, FLAT)
    return 1 - np.clip(share, 0, 1)
