import numpy as np
import pytest

from unbraid.world.motion.footing import (
    contact_path,
    flown,
    lifted_leg,
    smoothed,
    soft_minimum,
    strangeness,
    sunk,
)
from unbraid.world.motion.quality import feet


def planted(path, frames=60):
    """Two sole points of one planted foot and one that swings high, relative to a root at `path` (T, 2)."""
    soles = np.zeros((frames, 3, 3))
    soles[:, 0, :2] = (0.1, 0.2) - path
    soles[:, 1, :2] = (0.1, 0.0) - path
    soles[:, 2, :2] = 3 * path
    soles[:, 2, 2] = 0.2
    return soles


def test_a_planted_foot_gives_the_known_root_path():
    time = np.linspace(-1, 1, 60)
    path = np.stack([0.02 * np.sin(2 * time), -0.5 * time], axis=1)
    found = contact_path(planted(path), np.zeros(60), np.zeros((60, 2)))
    wanted = path - (path[29] + path[30]) / 2
    assert np.abs(found - wanted).max() < 1e-4, "smoothing only"
    straight = np.stack([0 * time, -0.5 * time], axis=1)
    assert np.allclose(contact_path(planted(straight), np.zeros(60), np.zeros((60, 2))), straight)


def test_in_the_air_the_motion_counts():
    travel = np.stack([np.linspace(-1, 1, 61), np.zeros(61)], axis=1)
    soles = np.random.default_rng(0).normal(size=(61, 4, 3))
    assert np.allclose(contact_path(soles, np.full(61, 0.1), travel), travel)
    assert contact_path(soles[:1], np.zeros(1), travel[:1]).tolist() == [[0, 0]]


def test_a_low_foot_that_swings_does_not_bear():
    time = np.linspace(-1, 1, 60)
    path = np.stack([0 * time, -0.5 * time], axis=1)
    soles = planted(path)
    soles[:, 2, 2] = -0.005
    soles[:, 2, :2] = 3 * path
    strange = strangeness(soles, path)
    assert strange[:, :2].max() < 1e-9
    assert strange[5:-5, 2].min() > 0.9
    assert np.allclose(contact_path(soles, np.zeros(60), path, strange), path, atol=5e-3)
    assert strangeness(soles[:1], path[:1]).tolist() == [[0, 0, 0]]


def test_flights_are_parabolas():
    frames = np.arange(40)
    above = np.where((frames > 10) & (frames < 30), 0.05, 0.0)
    fall = 0.9 + 0.002 * (frames - 10) * (30 - frames) * (above > 0)
    rough = fall + 0.01 * np.sin(frames) * (above > 0)
    found = flown(rough, above)
    assert np.array_equal(found[above == 0][:10], rough[above == 0][:10])
    inside = found[10:31]
    assert np.abs(np.diff(inside, 3)).max() < 1e-9
    assert np.diff(inside, 2).mean() == pytest.approx(-0.004, abs=0.0006)
    assert inside[[0, -1]] == pytest.approx([0.9, 0.9], abs=1e-3)
    # A clip may begin and end in the air.
    assert np.isfinite(flown(rough[15:25], above[15:25])).all()


def test_smoothing_keeps_lines_and_agrees_with_a_loop():
    line = np.linspace(0, 1, 30)[:, None] * (1.0, -2.0)
    assert np.allclose(smoothed(line, 1.5), line)
    values = np.random.default_rng(0).normal(size=(30, 1))
    kernel = np.exp(-0.5 * (np.arange(-3, 4) / 1.0) ** 2)
    wanted = [(values[t - 3 : t + 4, 0] @ kernel) / kernel.sum() for t in range(3, 27)]
    assert np.allclose(smoothed(values, 1.0)[3:27, 0], wanted)
    assert smoothed(values[:1], 1.0).shape == (1, 1)
    assert smoothed(values[:2], 1.0).shape == (2, 1)


def test_soft_minimum_is_a_tight_lower_bound():
    heights = np.random.default_rng(0).normal(size=(50, 16)) * 0.05
    gap = heights.min(1) - soft_minimum(heights)
    assert gap.min() >= 0
    assert gap.max() <= 0.002 * np.log(16) + 1e-12


def test_sunk_feet_rise_as_much_as_they_must_and_smoothly():
    depth = np.linspace(-0.05, 0.05, 2001)
    heights = np.stack([-depth, np.full_like(depth, 0.3)], axis=1)
    rise = sunk(heights, np.array([0, 1]))
    assert (rise[:, 1] == 0).all()
    assert (rise[depth < -0.002, 0] == 0).all()
    deep = depth > 0.01
    assert np.allclose(rise[deep, 0], depth[deep] - 0.001)
    assert (np.diff(rise[:, 0]) >= 0).all()
    assert np.diff(rise[:, 0]).max() < 2.1 * (depth[1] - depth[0]), "no jumps"


def test_a_lifted_leg_keeps_its_lengths_and_puts_the_ankle_higher():
    random = np.random.default_rng(0)
    hip = random.normal(size=(30, 3))
    knee = hip + 0.4 * np.array((0, -0.3, -0.95)) + 0.02 * random.normal(size=(30, 3))
    ankle = knee + 0.45 * np.array((0, 0.3, -0.95)) + 0.02 * random.normal(size=(30, 3))
    rise = random.uniform(0, 0.05, 30)
    thigh, shank = lifted_leg(np.stack([hip, knee, ankle], axis=1), np.tile((0.0, -1.0, 0.0), (30, 1)), rise)
    moved = np.einsum("tij,tj->ti", thigh, knee - hip) + np.einsum("tij,tj->ti", shank, ankle - knee)
    assert np.allclose(moved, ankle - hip + rise[:, None] * (0, 0, 1), atol=5e-3)
    still = lifted_leg(np.stack([hip, knee, ankle], axis=1), np.tile((0.0, -1.0, 0.0), (30, 1)), 0 * rise)
    assert np.allclose(still, np.eye(3), atol=1e-9)


def test_quality_of_a_hand_made_walk():
    # One foot stands in frames 0-9 and slides by 1 mm a frame, then flies; the other hovers at 2 cm.
    points = np.zeros((20, 2, 3))
    points[:, 0, 1] = 0.001 * np.arange(20)
    points[10:, 0, 2] = 0.1
    points[:, 1, 2] = 0.02
    points[3, 0, 2] = -0.004
    found = feet(points, np.array([0, 1]), rate=50)
    assert found.skating == pytest.approx(0.05)
    assert found.skating_95 == pytest.approx(0.05)
    assert found.slip == pytest.approx(0.009)
    assert found.penetration == pytest.approx(0.004 / 20)
    assert found.penetration_worst == pytest.approx(0.004)
    assert found.floating == pytest.approx(0.01)
    assert found.bearing == pytest.approx(9 / 19)
    flying = np.arange(20) >= 10
    assert feet(points, np.array([0, 1]), rate=50, flying=flying).floating == 0
    assert feet(points + np.array((0, 0, 1)), np.array([0, 1]), rate=50).skating == 0
    with pytest.raises(ValueError, match="T at least 2"):
        feet(points[:1], np.array([0, 1]), rate=50)
