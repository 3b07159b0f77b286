from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unbraid.world.config import WorldConfig
from unbraid.world.garments import dress
from unbraid.world.motion import ANKLE, KNEE, STYLE_RANGES, THIGH, Style, curve, draw_style, leg_angles, pose_at, walk
from unbraid.world.people import TRAIN, person
from unbraid.world.picture import _posed
from unbraid.world.pose import bone_matrices, soft_minimum
from unbraid.world.skeleton import INDEX, forward_kinematics, leg_length
from unbraid.world.wardrobe import draw_outfit


@pytest.mark.parametrize("table", [THIGH, KNEE, ANKLE])
def test_curves_follow_their_tables(table):
    phase = np.arange(20) / 20
    assert np.abs(np.degrees(curve(table, phase)) - np.array(table)).max() < 2.5
    assert np.allclose(curve(table, phase), curve(table, phase + 3))


def test_walk_repeats_after_one_cycle_and_sides_are_half_a_cycle_apart():
    style, phase = Style(toe_out=0.2, abduction=0.1), np.linspace(0, 1, 13)
    assert np.allclose(pose_at(style, phase), pose_at(style, phase + 1))
    now, later = (Rotation.from_matrix(pose_at(style, p).reshape(-1, 3, 3)).as_rotvec() for p in (phase, phase + 0.5))
    now, later = now.reshape(13, 19, 3), later.reshape(13, 19, 3)
    # Mirror images in the plane x = 0: rotation vectors keep x and change the signs of y and z.
    for bone in ("thigh", "shank", "foot", "upper_arm", "forearm"):
        assert np.allclose(now[:, INDEX[f"left_{bone}"]], later[:, INDEX[f"right_{bone}"]] * (1, -1, -1), atol=1e-9)


def test_knees_bend_one_way_and_styles_stay_in_range():
    phase = np.linspace(0, 1, 101)
    for seed in range(50):
        style = draw_style(np.random.default_rng(seed))
        assert all(low <= asdict(style)[name] <= high for name, (low, high) in STYLE_RANGES.items())
        for sign in (1, -1):
            _, knee, _ = leg_angles(style, phase, sign)
            assert knee.min() > -0.01
            assert np.degrees(knee.max()) < 80
    assert draw_style(np.random.default_rng(0), gait_spread=0, posture_spread=0) == draw_style(
        np.random.default_rng(1), gait_spread=0, posture_spread=0
    )


def test_arm_swings_against_the_leg_of_its_side():
    phase = np.linspace(0, 1, 100, endpoint=False)
    world = pose_at(Style(lean=0), phase)
    joints = np.zeros((19, 3))
    for side, x in (("left", 0.2), ("right", -0.2)):
        for bone, z in (
            ("thigh", 1.0),
            ("shank", 0.5),
            ("foot", 0),
            ("upper_arm", 1.5),
            ("forearm", 1.2),
            ("hand", 0.9),
        ):
            joints[INDEX[f"{side}_{bone}"]] = (x, 0, z)
    _, position = forward_kinematics(world, np.zeros((100, 3)), joints)
    forward = -position[:, :, 1]
    assert np.corrcoef(forward[:, INDEX["left_hand"]], forward[:, INDEX["right_foot"]])[0, 1] > 0.8
    assert np.corrcoef(forward[:, INDEX["left_hand"]], forward[:, INDEX["left_foot"]])[0, 1] < -0.8


def walking_clip(number, seconds=2.1, rate=30):
    config = WorldConfig(seed=3)
    someone, outfit = person(config, TRAIN, number), draw_outfit(config, TRAIN, number, 0)
    costume = dress(someone.shape, outfit, skin=someone.skin, hair=someone.hair)
    times = np.arange(0, seconds, 1 / rate)
    motion = walk(someone.style, times, np.random.default_rng(number))
    return someone, costume, motion, bone_matrices(someone.shape, costume, motion), rate


def test_feet_stay_on_the_ground_and_do_not_slip():
    for number in range(3):
        someone, costume, motion, matrices, rate = walking_clip(number)
        points, _ = _posed(costume, matrices.astype(np.float32))
        lowest = points[..., 2].min(1)
        assert lowest.min() > -0.012, "nobody sinks"
        assert lowest.max() < 0.02, "nobody floats"
        assert np.abs(np.diff(lowest, 2)).max() < 0.015
        speed = -np.gradient(motion.translation[:, 1] * leg_length(someone.shape.joints)).mean() * rate
        assert 0.7 < speed < 1.9, "metres per second, towards -y"
        sole = costume.soles[points[..., costume.soles, 2].argmin(1)]
        slip = [
            np.abs(points[t + 1, s, 1] - points[t, s, 1]) * rate
            for t, s in enumerate(sole[:-1])
            if points[t + 1, s, 2] < 0.01
        ]
        assert np.median(slip) < 0.4 * speed


def test_root_bobs_smoothly_twice_per_cycle():
    someone, costume, _, _, _ = walking_clip(0)
    times = np.arange(200) / 200 * 1.06 / someone.style.cadence
    motion = walk(someone.style, times, np.random.default_rng(0))
    height = bone_matrices(someone.shape, costume, motion)[:, 0, 2, 3]
    assert 0.01 < np.ptp(height) < 0.09
    assert np.abs(np.diff(height)).max() < 0.003
    assert np.abs(np.diff(height, 2)).max() < 0.003
    symmetric = replace(someone.style, leg_asymmetry=1.0)
    lifted = bone_matrices(someone.shape, costume, replace(motion, rotations=pose_at(symmetric, np.arange(200) / 200)))
    power = np.abs(np.fft.rfft(lifted[:, 0, 2, 3] - lifted[:, 0, 2, 3].mean()))
    assert power.argmax() == 2


def test_soft_minimum_is_a_tight_lower_bound():
    heights = np.random.default_rng(0).normal(size=(50, 16)) * 0.05
    gap = heights.min(1) - soft_minimum(heights)
    assert gap.min() >= 0
    assert gap.max() <= 0.002 * np.log(16) + 1e-12


def test_other_motion_sources_keep_their_vertical_motion():
    someone, costume, motion, _, _ = walking_clip(1)
    jump = np.sin(np.linspace(0, np.pi, len(motion.translation)))
    free = replace(motion, translation=motion.translation + jump[:, None] * (0, 0, 0.5), grounded=False)
    points, _ = _posed(costume, bone_matrices(someone.shape, costume, free).astype(np.float32))
    assert points[len(jump) // 2, :, 2].min() > 0.2
    assert np.percentile(points[..., 2].min(1), 5) < 0.02
