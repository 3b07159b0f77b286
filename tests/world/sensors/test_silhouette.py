import numpy as np
import pytest

from unbraid.world.sensors.silhouette import centred, draw_faults, normalised, segmented


def person(height=256, width=128):
    """A true mask: head, trunk, two legs with feet and a thin arm."""
    mask = np.zeros((height, width), bool)
    y, x = (np.mgrid[:height, :width] + 0.5) / height
    middle = width / height / 2
    mask |= (x - middle) ** 2 + (y - 0.13) ** 2 < 0.055**2
    mask |= (np.abs(x - middle) < 0.09) & (y > 0.17) & (y < 0.55)
    for side in (-1, 1):
        mask |= (np.abs(x - middle - 0.05 * side) < 0.03) & (y >= 0.5) & (y < 0.94)
        mask |= (np.abs(x - middle - 0.05 * side - 0.02) < 0.05) & (y > 0.91) & (y < 0.94)
    mask |= (np.abs(x - middle - 0.13) < 0.008) & (y > 0.2) & (y < 0.52)
    mask |= (np.abs(x - middle - 0.11) < 0.03) & (y > 0.2) & (y < 0.24)
    return mask


def agreement(first, second):
    return (first & second).sum() / (first | second).sum()


def slow_normalised(mask, block):
    """Block means of the occupied rows, then one column after the other to its place; heights of 64 x block only."""
    rows = [number for number in range(mask.shape[0]) if any(mask[number])]
    band = mask[rows[0] : rows[-1] + 1].astype(float) * 255
    small = np.array(
        [
            [band[r : r + block, c : c + block].mean() for c in range(0, band.shape[1], block)]
            for r in range(0, band.shape[0], block)
        ]
    )
    total, sofar, middle = small.sum(), 0.0, 0
    for column in range(small.shape[1]):
        sofar += small[:, column].sum()
        if sofar >= total / 2:
            middle = column
            break
    out = np.zeros((64, 64))
    for column in range(small.shape[1]):
        if 0 <= column - middle + 32 < 64:
            out[:, column - middle + 32] = small[:, column]
    return out


@pytest.mark.parametrize("block", [1, 2, 4])
def test_normalised_agrees_with_a_slow_loop(block):
    random = np.random.default_rng(block)
    for trial in range(6):
        mask = np.zeros((80 * block, 90 * block), bool)
        top, left = block * int(random.integers(0, 16)), block * int(random.integers(0, 40))
        wide = block * int(random.integers(3, 50))
        mask[top : top + 64 * block, left : left + wide] = random.random((64 * block, wide)) < 0.5
        mask[top, left] = mask[top + 64 * block - 1, left] = True
        # Something lopsided moves the median away from the middle of the box.
        mask[top + 5 * block : top + 40 * block, left : left + wide // 3 // block * block] = True
        # Cutting columns on a block's border keeps the slow blocks where the fast ones are.
        found = normalised(mask.astype(np.uint8) if trial % 2 else mask)
        assert found.dtype == np.uint8
        assert np.abs(found - slow_normalised(mask, block)).max() <= 1


def test_normalised_by_hand():
    # A 128 x 32 bar and a foot 16 wide on its right: at half the size 64 x 16 and 8 more columns in the last 4 rows.
    mask = np.zeros((200, 100), np.uint8)
    mask[30:158, 10:42] = 7
    mask[150:158, 42:58] = 7
    found = normalised(mask)
    # Masses: 16 columns of 64, 8 of 4: half of 1056 is reached in the 9th column, which becomes column 32.
    expected = np.zeros((64, 64), np.uint8)
    expected[:, 24:40] = 255
    expected[60:, 40:48] = 255
    assert np.array_equal(found, expected)


def test_normalised_edges():
    assert not normalised(np.zeros((50, 40), bool)).any()
    assert normalised(np.zeros((0, 0), bool)).shape == (64, 64)
    assert (normalised(np.ones((64, 200), bool)) == 255).all(), "wider than 64 columns is cut"
    assert (normalised(np.ones((1, 2), np.uint8)) == 255).all(), "one row fills all rows"
    thin = np.zeros((256, 128), bool)
    thin[:, 3] = True
    assert np.flatnonzero(normalised(thin).any(0)).tolist() == [32]
    with pytest.raises(ValueError, match=r"mask \(H, W\)"):
        normalised(np.zeros((4, 4, 3), np.uint8))


def test_normalised_does_not_depend_on_size_and_place():
    mask = person()
    reference = normalised(mask) > 127
    for bigger in (np.kron(mask, np.ones((3, 3), bool)), np.roll(mask, (8, 20), (0, 1))):
        assert agreement(reference, normalised(bigger) > 127) > 0.97
    assert agreement(reference, normalised(person(128, 64)) > 127) > 0.9
    assert agreement(reference, normalised(person(64, 32)) > 127) > 0.8


def test_centred_places_the_median_column():
    picture = np.tile(np.arange(10, dtype=np.uint8), (64, 1))
    mass = np.array([0, 0, 5, 0, 0, 0, 4, 0, 0, 0])
    assert centred(picture, mass)[0, 32] == 2
    mass[6] = 6
    assert centred(picture, mass)[0, 32] == 6


def test_without_strength_the_mask_stays():
    random = np.random.default_rng(0)
    for night in (False, True):
        faults = draw_faults(0.0, random, night=night)
        for mask in (person(), random.random((40, 30)) < 0.5):
            found = segmented(mask, faults, random)
            assert found.dtype == bool
            assert np.array_equal(found, mask)
            assert found is not mask


def scores(strength, *, night=False, size=(256, 128), tracklets=60):
    """Agreement with the truth (tracklets, 6 frames)."""
    random = np.random.default_rng(11)
    mask = person(*size)
    table = []
    for _ in range(tracklets):
        faults = draw_faults(strength, random, night=night)
        table.append([agreement(segmented(mask, faults, random), mask) for _ in range(6)])
    return np.array(table)


def test_faults_grow_with_strength_and_at_night():
    weak, normal, strong, night = scores(0.3), scores(1.0), scores(2.5), scores(1.0, night=True)
    assert np.median(weak) > np.median(normal) + 0.02 > np.median(strong) + 0.04
    assert 0.8 < np.median(normal) < 0.96
    assert 0.3 < np.median(night) < 0.8
    assert (night < 0.3).mean() > 0.1, "large parts are missing"
    # Flicker: within a tracklet the frames differ much more than by day.
    assert np.median(night.std(1)) > 2 * np.median(normal.std(1))
    assert abs(np.median(scores(1.0, size=(128, 64))) - np.median(normal)) < 0.06, "independent of the resolution"


def test_share_of_bad_frames():
    low = scores(1.0, tracklets=250) < 0.75
    assert 0.02 < low.mean() < 0.09
    faults = draw_faults(1.0, np.random.default_rng(0))
    assert faults.bad == pytest.approx(0.05)


def test_outline_errors_are_smooth_and_thin_parts_go_first():
    random = np.random.default_rng(5)
    mask = person()
    trunk, arm, feet = (np.zeros_like(mask) for _ in range(3))
    trunk[64:128, 50:78], arm[80:130, 95:99] = True, True
    feet[234:] = mask[234:]
    assert mask[trunk].all()
    assert mask[arm].all()
    kept = {"trunk": [], "arm": [], "feet": []}
    pieces = []
    for _ in range(300):
        found = segmented(mask, draw_faults(1.0, random), random)
        for name, part in (("trunk", trunk), ("arm", arm), ("feet", feet)):
            kept[name].append(found[part].mean())
        error = found ^ mask
        pieces.append((error[1:] & error[:-1]).sum() / max(1, error.sum()))
    trunk, arm, feet = (np.array(kept[name]) for name in ("trunk", "arm", "feet"))
    assert ((arm < 0.6) & (trunk > 0.95)).mean() > 0.2
    assert ((feet < 0.8) & (trunk > 0.95)).mean() > 0.15
    assert ((trunk < 0.6) & (feet > 0.95)).mean() < 0.05
    # Most wrong pixels have a wrong one above them; independent noise would have few.
    assert np.mean(pieces) > 0.6


def test_faults_stay_within_a_tracklet():
    """Two frames of one tracklet err more alike than frames of two tracklets."""
    random = np.random.default_rng(8)
    mask = person()
    same, other, last = [], [], None
    for _ in range(80):
        faults = draw_faults(1.0, random)
        first, second = (segmented(mask, faults, random) ^ mask for _ in range(2))
        same.append(agreement(first, second))
        if last is not None:
            other.append(agreement(first, last))
        last = first
    assert np.median(same) > 1.3 * np.median(other)


def test_faults_repeat_by_seed_and_bear_odd_masks():
    mask = person()
    found = [segmented(mask, draw_faults(1.0, np.random.default_rng(3)), np.random.default_rng(4)) for _ in range(2)]
    assert np.array_equal(found[0], found[1])
    random = np.random.default_rng(0)
    for odd in (np.zeros((30, 20), bool), np.ones((30, 20), bool), np.eye(9, dtype=bool), np.ones((1, 1), bool)):
        for _ in range(30):
            result = segmented(odd, draw_faults(2.0, random, night=True), random)
            assert result.shape == odd.shape
            assert result.dtype == bool
            if not odd.any():
                assert not result.any()
    numbers = mask.astype(np.uint8) * 255
    assert np.array_equal(
        segmented(numbers, draw_faults(1.0, np.random.default_rng(3)), np.random.default_rng(4)), found[0]
    )


def test_faults_refuse_what_does_not_fit():
    random = np.random.default_rng(0)
    for strength in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="strength"):
            draw_faults(strength, random)
    with pytest.raises(ValueError, match=r"mask \(H, W\)"):
        segmented(np.zeros((4, 4, 3), bool), draw_faults(1.0, random), random)
