from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unbraid.world.motion.figure import HEEL, TOE, foot_at
from unbraid.world.motion.gait import curves, leg_angles, steps
from unbraid.world.motion.run import GRAVITY, RUN, bounce, run_at
from unbraid.world.motion.style import Style, draw_style
from unbraid.world.motion.walk import WALK, walk_at
from unbraid.world.people.skeleton import INDEX, forward_kinematics

PHASE = np.linspace(0, 1, 101)


@pytest.mark.parametrize("gait", [WALK, RUN])
def test_curves_follow_their_tables(gait):
    tables = (gait.thigh, gait.knee, gait.ankle)
    found = np.degrees(curves(tables, np.arange(20) / 20))
    assert np.abs(found - np.array(tables)).max() < 3
    assert np.allclose(curves(tables, PHASE), curves(tables, PHASE + 3))


def test_harmonics_of_a_pure_wave():
    # 10 + 20 cos(x) + 5 sin(2 x), sampled 20 times.
    x = 2 * np.pi * np.arange(20) / 20
    table = tuple((10 + 20 * np.cos(x) + 5 * np.sin(2 * x)).tolist())
    at = np.array([0.0, 0.13, 0.5])
    wanted = 10 + 20 * np.cos(2 * np.pi * at) + 5 * np.sin(4 * np.pi * at)
    assert np.allclose(np.degrees(curves((table,), at)[0]), wanted)


@pytest.mark.parametrize("gait", [WALK, RUN])
def test_knees_bend_one_way(gait):
    for seed in range(50):
        style = draw_style(np.random.default_rng(seed))
        for sign in (1, -1):
            _, knee, _ = leg_angles(gait, style, PHASE, sign)
            assert knee.min() > -0.01
            assert np.degrees(knee.max()) < (80 if gait is WALK else 130)


@pytest.mark.parametrize("gait", [WALK, RUN])
def test_the_standing_foot_does_not_slide_and_the_swinging_one_is_clear(gait):
    for seed in range(10):
        style = replace(draw_style(np.random.default_rng(seed)), toe_out=0.0)
        legs = steps(gait, style, lambda at: 0.01 * np.cos(4 * np.pi * at))
        for leg in legs.values():
            phase = np.linspace(0.001, gait.stance - 0.001, 200)
            points = sole_path(leg, phase)
            low = points[..., 1].argmin(1)
            assert np.abs(points[np.arange(200), low, 1]).max() < 1e-9, "on the ground"
            moved = np.diff(points[:, :, 0], axis=0) - leg.speed * np.diff(phase)[:, None]
            slid = [moved[t, low[t]] for t in range(199) if low[t] == low[t + 1]]
            assert np.abs(slid).max() < 1e-9
            swing = gait.stance + (1 - gait.stance) * np.linspace(0.3, 0.75, 30)
            assert sole_path(leg, swing)[..., 1].min() > gait.clearance - 0.005
            around, _ = leg.ankle(np.linspace(0, 1, 2001))
            assert np.abs(np.diff(around, axis=0)).max() < 0.006, "no jumps"
            assert np.abs(np.diff(around, 2, axis=0)).max() < 1.5e-4, "no kinks"


def sole_path(leg, phase):
    """Heel and toe (T, 2 points, 2), back and up, over the ground under the hips."""
    path, pitch = leg.ankle(phase)
    _, foot = foot_at(np.zeros((len(phase), 2)), np.zeros_like(phase), pitch)
    return np.stack([path + (foot @ point)[:, 1:] - (0, HEEL[2]) for point in (HEEL, TOE)], axis=1)


@pytest.mark.parametrize("make", [walk_at, lambda style, phase: run_at(style, phase, 0.74)])
def test_gaits_repeat_and_sides_are_half_a_cycle_apart(make):
    style, phase = Style(toe_out=0.2, abduction=0.1), np.linspace(0, 1, 13)
    now, later, again = (make(style, phase + shift) for shift in (0, 0.5, 1))
    assert np.allclose(now.rotations, again.rotations)
    assert np.allclose(now.lift, again.lift)
    now, later = (
        Rotation.from_matrix(m.rotations.reshape(-1, 3, 3)).as_rotvec().reshape(13, 19, 3) for m in (now, later)
    )
    # Mirror images in the plane x = 0: rotation vectors keep x and change the signs of y and z.
    for bone in ("thigh", "shank", "foot", "upper_arm", "forearm"):
        assert np.allclose(now[:, INDEX[f"left_{bone}"]], later[:, INDEX[f"right_{bone}"]] * (1, -1, -1), atol=1e-9)


def test_arm_swings_against_the_leg_of_its_side():
    world = walk_at(Style(lean=0), np.linspace(0, 1, 100, endpoint=False)).rotations
    joints = np.zeros((19, 3))
    heights = {"thigh": 1.0, "shank": 0.5, "foot": 0, "upper_arm": 1.5, "forearm": 1.2, "hand": 0.9}
    for side, x in (("left", 0.2), ("right", -0.2)):
        for bone, z in heights.items():
            joints[INDEX[f"{side}_{bone}"]] = (x, 0, z)
    _, position = forward_kinematics(world, np.zeros((100, 3)), joints)
    forward = -position[:, :, 1]
    assert np.corrcoef(forward[:, INDEX["left_hand"]], forward[:, INDEX["right_foot"]])[0, 1] > 0.8
    assert np.corrcoef(forward[:, INDEX["left_hand"]], forward[:, INDEX["left_foot"]])[0, 1] < -0.8


def test_runners_fly_freely_between_steps():
    seconds = 0.72
    phase = np.linspace(0, 1, 7201)
    height = bounce(phase, seconds)
    step = seconds / 7200
    curved = np.diff(height, 2) / step**2
    flying = (phase[1:-1] % 0.5) > RUN.stance + 0.001
    flying &= (phase[1:-1] % 0.5) < 0.499
    assert np.allclose(curved[flying], -GRAVITY, rtol=1e-3)
    assert np.abs(np.diff(height)).max() < 1e-4, "no jumps"
    assert np.abs(curved).max() < 3 * GRAVITY, "no kinks"
    lift = run_at(Style(), phase, seconds).lift
    in_air = (phase % 0.5 > RUN.stance + 0.01) & (phase % 0.5 < 0.49)
    assert (lift[in_air] > 0).all()
    assert np.abs(lift[(phase % 0.5) < RUN.stance]).max() < 1e-9


def test_strides_are_as_fast_as_people():
    # Leg lengths per second times 0.8 m: an easy walk and a jog.
    for gait, seconds, low, high in ((WALK, 1.06, 0.8, 1.6), (RUN, 0.74, 2.0, 3.6)):
        speed = steps(gait, Style(), lambda at: 0 * at)[1].speed / seconds * 0.8
        assert low < speed < high
