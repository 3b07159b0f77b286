import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from unbraid.world.motion.figure import HEEL, HIP, SHANK, THIGH, TOE, Figure, foot_at, lowest, two_bones
from unbraid.world.motion.keys import driven, keyed
from unbraid.world.motion.style import Style
from unbraid.world.people.skeleton import BONES, INDEX, forward_kinematics, turn


def figure_joints():
    """Joints (19, 3) of a stick figure with the legs of `Figure`, root between the hips."""
    joints = np.zeros((len(BONES), 3))
    for side, sign in (("left", 1), ("right", -1)):
        for bone, z in (("thigh", 0.0), ("shank", -THIGH), ("foot", -THIGH - SHANK)):
            joints[INDEX[f"{side}_{bone}"]] = (sign * HIP, 0, z)
    return joints


def test_two_bones_reach_their_goal():
    random = np.random.default_rng(0)
    goal = random.normal(size=(200, 3))
    goal *= (random.uniform(0.3, 0.98, 200) / np.linalg.norm(goal, axis=1))[:, None]
    forward = random.normal(size=(200, 3))
    first, second = two_bones(goal, forward)
    down = np.array([0.0, 0.0, -1.0])
    knee, end = first @ down * THIGH, first @ down * THIGH + second @ down * SHANK
    assert np.allclose(end, goal, atol=1e-9)
    # The knee is in the plane of goal and forward, on the forward side.
    normal = np.cross(goal, forward)
    assert np.allclose(np.einsum("ti,ti->t", knee, normal) / np.linalg.norm(normal, axis=1), 0, atol=1e-9)
    along = goal / np.linalg.norm(goal, axis=1, keepdims=True)
    aside = knee - (knee * along).sum(1, keepdims=True) * along
    assert ((aside * forward).sum(1) > 0).all()
    assert np.allclose(first @ np.swapaxes(first, 1, 2), np.eye(3), atol=1e-12)


def test_two_bones_of_a_hand_computed_leg():
    # Thigh 3, shank 4, ankle 5 away: a right angle in the knee.
    first, second = two_bones(np.array([[0.0, 0, -5]]), np.array([[0.0, -1, 0]]), first=3.0, second=4.0)
    knee = first[0] @ (0, 0, -3.0)
    assert np.allclose(knee, (0, -2.4, -1.8))
    assert np.allclose(knee + second[0] @ (0, 0, -4.0), (0, 0, -5))


def test_two_bones_give_way_smoothly_when_out_of_reach():
    far = np.linspace(0.95, 1.3, 400)
    first, second = two_bones(far[:, None] * (0, 0, -1.0), np.tile((0.0, -1.0, 0.0), (400, 1)))
    end = (first @ (0, 0, -THIGH) + second @ (0, 0, -SHANK))[:, 2]
    assert (np.diff(-end) >= -1e-12).all()
    assert -end.min() < 1.0
    assert np.abs(np.diff(end, 2)).max() < 2e-4


def test_figure_puts_ankles_where_they_are_wanted():
    random, still = np.random.default_rng(1), np.zeros(20)
    figure = Figure(random.uniform(-2, 2, 20))
    figure.trunk(Style(), pelvis=turn("z", random.uniform(-0.2, 0.2, 20)), pitch=0.4, bend=0.8)
    hips = np.stack([still, still + 0.1, still + 0.8], axis=1)
    ankles = {}
    for sign in (1, -1):
        spot = np.stack([still + 0.12 * sign, random.uniform(-0.2, 0.2, 20)], axis=1)
        ankles[sign], foot = foot_at(spot, still, random.uniform(-0.5, 0.3, 20))
        figure.stand_on(sign, Style(), hips, ankles[sign], foot)
    _, position = forward_kinematics(figure.local(), hips, figure_joints())
    assert np.allclose(position[:, INDEX["left_foot"]], ankles[1], atol=1e-9)
    assert np.allclose(position[:, INDEX["right_foot"]], ankles[-1], atol=1e-9)


@pytest.mark.parametrize("pitch", [-0.6, -0.1, 0.0, 0.2])
def test_feet_pivot_about_heel_or_toes_without_sliding(pitch):
    still = np.zeros(1)
    ankle, foot = foot_at(np.array([[0.3, -0.2]]), still + 0.4, still + pitch, rise=0.05)
    flat, level = foot_at(np.array([[0.3, -0.2]]), still + 0.4, still)
    point = HEEL if pitch > 0 else TOE
    moved, stood = ankle[0] + foot[0] @ point, flat[0] + level[0] @ point
    assert np.allclose(moved - stood, (0, 0, 0.05))
    assert lowest((ankle,), (foot,)) == pytest.approx(0.05)


def test_keyed_is_periodic_smooth_and_never_overshoots():
    keys = ((0.1, 0.0), (0.3, 1.0), (0.5, 1.0), (0.7, -0.5))
    phase = np.linspace(-1, 2, 3001)
    value = keyed(phase, *keys)
    assert np.allclose(value[:1000], value[1000:2000], atol=1e-12)
    assert np.allclose(keyed(np.array([k[0] for k in keys]), *keys), [k[1] for k in keys])
    assert value.max() <= 1
    assert value.min() >= -0.5
    assert np.allclose(keyed(np.linspace(0.3, 0.5, 9), *keys), 1.0)
    assert np.abs(np.diff(value, 2)).max() < 1e-3, "slopes are continuous"
    at = np.array([k[0] for k in keys])
    oracle = PchipInterpolator(np.r_[at - 1, at, at + 1], np.tile([k[1] for k in keys], 3))
    assert np.allclose(keyed(np.linspace(0, 0.99, 50), *keys), oracle(np.linspace(0, 0.99, 50)))


def test_driven_has_the_wanted_values_and_velocities():
    turns = ((0.0, 1.0, 0.0), (0.4, 2.0, 3.0), (1.0, 0.0, -1.0))
    step = 1e-5
    for at, value, velocity in turns:
        inside = np.clip(np.array([at - step, at, at + step]), 0, 1)
        found = driven(inside, *turns)
        assert found[1] == pytest.approx(value)
        assert (found[2] - found[0]) / (inside[2] - inside[0]) == pytest.approx(velocity, abs=1e-3)
    assert np.abs(np.diff(driven(np.linspace(0, 1, 2001), *turns), 3)).max() < 1e-6, "accelerations are continuous"
