"""Alignment against loops over pixels, and by hand."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unbraid.data.align import aligned


def slowly(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The rule in loops, for a picture whose lit rows are `size` already."""
    rows = [r for r in range(len(picture)) if picture[r].any()]
    band = [picture[r] for r in range(rows[0], rows[-1] + 1)]
    assert len(band) == size
    wide = len(band[0])
    mass = [sum(int(np.sum(line[c])) for line in band) for c in range(wide)]
    middle, below = 0, 0
    for column in range(wide):
        below += mass[column]
        if 2 * below > sum(mass):
            middle = column
            break
    out = np.zeros((size, size, *picture.shape[2:]), np.uint8)
    for r, line in enumerate(band):
        for c in range(size):
            source = c + middle - size // 2
            if 0 <= source < wide:
                out[r, c] = line[source]
    return out


@pytest.mark.parametrize("channels", [(), (3,), (1,)])
@pytest.mark.parametrize("wide", [3, 16, 45])
def test_cutting_and_centring_against_loops(channels: tuple[int, ...], wide: int) -> None:
    random = np.random.default_rng(wide)
    for top in (0, 5):
        picture = np.zeros((30, wide, *channels), np.uint8)
        part = random.integers(0, 256, (16, wide, *channels), np.uint8)
        part[random.random((16, wide)) < 0.7] = 0
        part[[0, -1], wide // 3] = 9
        picture[top : top + 16] = part
        assert np.array_equal(aligned(picture, size=16), slowly(picture, 16))


@pytest.mark.parametrize(("height", "wide", "aspect"), [(10, 3, 1.0), (200, 81, 1.0), (64, 21, 1.0), (27, 40, 0.5)])
def test_a_block_keeps_its_aspect(height: int, wide: int, aspect: float) -> None:
    picture = np.zeros((height + 7, wide + 90), np.uint8)
    picture[4 : 4 + height, 50 : 50 + wide] = 255
    out = aligned(picture, aspect=aspect)
    assert out.shape == (64, 64)
    lit = (out > 127).sum(1)
    assert lit.min() == lit.max() == pytest.approx(wide * aspect * 64 / height, abs=1.01)
    columns = np.flatnonzero((out > 127).any(0))
    assert abs(columns.mean() - 31.5) <= 1


def test_the_middle_is_that_of_the_mass() -> None:
    picture = np.zeros((64, 100), np.uint8)
    picture[:, 10] = 100
    picture[:, 70] = 101
    assert np.flatnonzero(aligned(picture).any(0)).tolist() == [32]
    picture[:, 10] = 101
    # exactly half of the mass lies up to column 10, more than half up to 70: that is the middle, the other is 60 left
    assert np.flatnonzero(aligned(picture).any(0)).tolist() == [32]
    picture[:, 41] = 1
    assert np.flatnonzero(aligned(picture).any(0)).tolist() == [1, 32, 61]


def test_enlarging_is_bicubic_and_shrinking_averages() -> None:
    random = np.random.default_rng(0)
    small = random.integers(1, 256, (16, 20), np.uint8)
    large = random.integers(1, 256, (256, 320), np.uint8)
    for picture, way in ((small, cv2.INTER_CUBIC), (large, cv2.INTER_AREA)):
        resized = cv2.resize(picture, (80, 64), interpolation=way)
        assert np.array_equal(aligned(picture), slowly(resized, 64))


def test_nothing_to_align() -> None:
    assert aligned(np.zeros((5, 9), np.uint8)).tolist() == np.zeros((64, 64)).tolist()
    assert aligned(np.zeros((0, 9, 3), np.uint8)).shape == (64, 64, 3)
    for wrong in (np.zeros((5, 5)), np.zeros(5, np.uint8)):
        with pytest.raises(ValueError, match="expected"):
            aligned(wrong)  # type: ignore[arg-type]
