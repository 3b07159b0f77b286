"""Depth pictures against loops over points, and the colours against the plotting library that others used."""

import math

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray

from unbraid.data.align import aligned
from unbraid.data.depth import MARGIN, Projection, depth_picture, inside, jet, range_image

# a tenth of a degree of slack on all sides, and a whole number of columns in half a turn
EVEN = Projection(across=0.5, up=0.5)


def person(
    random: np.random.Generator, towards: float, distance: float = 8.0, points: int = 300
) -> NDArray[np.float64]:
    """Points in a box of 0.5 x 0.3 x 1.7 metres whose middle is 0.2 above the scanner, `towards` degrees from x."""
    box = random.uniform(-0.5, 0.5, (points, 3)) * (0.5, 0.3, 1.7) + (0, 0, -0.6)
    angle = math.radians(towards)
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    moved: NDArray[np.float64] = (box + np.array([distance, 0, 0])) @ turn.T
    return moved


def slowly(
    cloud: NDArray[np.float64], across: float, up: float, low: float, high: float
) -> dict[tuple[int, int], float]:
    """The sheet's formulas for one point after the other: x and y negated, u and v by resolutions, shifted."""
    cells: dict[tuple[int, int], float] = {}
    for a, b, z in cloud.tolist():
        x, y = -a, -b
        r = math.sqrt(x * x + y * y)
        u = math.atan2(-y, x) / math.radians(across) + 180 / across
        v = math.atan2(z, r) / math.radians(up) - low / up
        if 0 <= v < (high - low) / up:
            place = (round((high - low) / up) - 1 - math.floor(v), math.floor(u))
            cells[place] = min(cells.get(place, math.inf), r)
    return cells


@pytest.mark.parametrize("towards", [180.0, 90.0, -30.0, 0.0])
def test_cells_against_loops(towards: float) -> None:
    cloud = person(np.random.default_rng(0), towards, distance=4.0, points=2000)
    image = range_image(cloud, Projection())
    assert image.shape == (200, 1877)
    expected = slowly(cloud, 0.19188, 0.2, -25, 15)
    assert {(int(r), int(c)) for r, c in np.argwhere(np.isfinite(image))} == set(expected)
    for place, level in expected.items():
        assert image[place] == pytest.approx(level, rel=1e-12)
    assert len(expected) < 2000


def test_places_by_hand() -> None:
    # behind the scanner, level: the middle column, 180 / 0.19188 = 938.09; 25 degrees are 125 rows from below
    image = range_image(np.array([[-5.0, 0.0, 0.001]]), Projection())
    assert np.argwhere(np.isfinite(image)).tolist() == [[199 - 125, 938]]
    assert image[74, 938] == 5.0
    # 15 degrees up is outside, just below it is the first row, 25 degrees down the last one
    for elevation, row in ((15.0001, None), (14.9, 0), (-24.99, 199), (-25.01, None)):
        cloud = np.array([[-5.0, 0.0, 5 * math.tan(math.radians(elevation))]])
        found = np.argwhere(np.isfinite(range_image(cloud, Projection())))
        assert found[:, 0].tolist() == ([] if row is None else [row])
        assert inside(cloud, Projection()).tolist() == [row is not None]
    # of two points behind one another the nearer is seen, and the scanner itself is no point
    near = np.array([[-6.0, 0, 0], [-4.0, 0, 0], [0.0, 0, 0], [-5.0, 0, 0]])
    image = range_image(near, EVEN)
    assert image[np.isfinite(image)].tolist() == [4.0]


def test_the_sensors_left_is_left() -> None:
    """Behind the scanner, looking along -x, the left is -y."""
    cloud = np.array([[-5.0, -0.5, 0.0], [-4.0, 0.5, 0.0]])
    picture = depth_picture(cloud, Projection(colour="grey"))
    row = picture[picture.any(1)][0]
    assert row[np.flatnonzero(row)].tolist() == [48, 255]


def test_nobody_is_cut_by_the_seam() -> None:
    """The same person straight ahead, at the seam, and behind: one picture."""
    behind = person(np.random.default_rng(1), 180.0)
    ahead = behind * (-1, -1, 1)
    lit = np.flatnonzero(np.isfinite(range_image(ahead, EVEN)).any(0))
    assert lit[0] < 20
    assert lit[-1] > 700
    assert np.array_equal(depth_picture(ahead, EVEN), depth_picture(behind, EVEN))
    assert np.array_equal(np.isfinite(range_image(behind, EVEN)).sum(), (depth_picture(behind, EVEN).any(axis=2)).sum())


def test_colours_of_a_frame() -> None:
    cloud = np.array([[-2.0, 0.1, 0.1], [-3.0, 0.2, 0.2], [-4.0, 0.3, 0.3]])
    levels = np.hypot(cloud[:, 0], cloud[:, 1])
    share = (levels.max() - levels) / (levels.max() - levels.min())
    grey = depth_picture(cloud, Projection(colour="grey"))
    assert sorted(grey[grey > 0].tolist()) == sorted(np.rint(48 + 207 * share).astype(int).tolist())
    colours = depth_picture(cloud, Projection())
    seen = {tuple(pixel) for pixel in colours[colours.any(axis=2)].tolist()}
    expected = {tuple(pixel) for pixel in jet()[np.minimum((256 * share).astype(int), 255)].tolist()}
    assert seen == expected
    assert jet()[[0, 255]].tolist() == [[0, 0, 128], [128, 0, 0]]
    # alike however near: the range of a frame is its own
    assert np.array_equal(np.sort(grey[grey > 0]), np.sort(_lit(depth_picture(2 * cloud, Projection(colour="grey")))))
    fixed = Projection(colour="grey", span=(2.0, 6.0))
    there = np.rint(48 + 207 * (1 - (levels - 2) / 4)).astype(int)
    assert sorted(_lit(depth_picture(cloud, fixed)).tolist()) == sorted(there.tolist())
    assert sorted(_lit(depth_picture(4 * cloud, fixed)).tolist()) == [48, 48, 48]
    flat = np.array([[-5.0, 0.0, 0.0], [-5.0, 0.0, 1.0]])
    assert _lit(depth_picture(flat, Projection(colour="grey"))).tolist() == [255, 255]


def _lit(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture[picture > 0]


def test_the_table_of_colours() -> None:
    known = matplotlib.colormaps["jet"](np.arange(256), bytes=True)[:, :3].astype(int)
    assert np.abs(jet().astype(int) - known).max() <= 1


def test_one_shape_whatever_the_scanner() -> None:
    cloud = person(np.random.default_rng(2), 170.0, points=40_000)
    assert Projection().aspect == 1
    for across, up in ((0.19188, 0.2), (0.1, 0.4), (0.4, 0.2), (0.2, 1.0)):
        projection = Projection(across=across, up=up, span=(90.0, 100.0), colour="grey")
        out = aligned(depth_picture(cloud, projection), aspect=projection.aspect) > 127
        # 0.3 of 1.7 metres at 64 rows, widened by 0.2 / 0.19188 as in released files: 12 columns
        assert np.ptp(np.flatnonzero(out.any(0))) + 1 == pytest.approx(0.3 / 1.7 * 64 * 0.2 / 0.19188, abs=2.1)
        assert out.mean(0)[30:34].min() > 0.95


def test_nothing_to_show() -> None:
    for cloud in (np.zeros((0, 3)), np.array([[1.0, 0, 9.0]])):
        assert depth_picture(cloud, Projection()).shape == (200, 1 + 0, 3)
        assert not depth_picture(cloud, Projection(colour="grey")).any()
    assert depth_picture(np.array([[-1.0, 0, 0]]), EVEN).shape == (80, 1 + 2 * MARGIN, 3)
    with pytest.raises(ValueError, match=r"expected a cloud N x 3, got \(3, 2\)"):
        range_image(np.zeros((3, 2)), Projection())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"across": 0.0}, "degrees from 0.01 to 10"),
        ({"across": 1e-6}, "degrees from 0.01 to 10"),
        ({"up": 11.0}, "degrees from 0.01 to 10"),
        ({"span": (0.0, float("inf"))}, "nearest < farthest"),
        ({"lowest": 15.0}, "lowest < highest"),
        ({"highest": 91.0}, "<= 90"),
        ({"span": (3.0, 3.0)}, "nearest < farthest"),
    ],
)
def test_projections_that_cannot_be(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Projection(**fields)  # type: ignore[arg-type]
