from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from unbraid.world.clothes.garments import dress
from unbraid.world.clothes.wardrobe import draw_outfit
from unbraid.world.config import WorldConfig
from unbraid.world.motion import ACTIONS, Motion, Procedural
from unbraid.world.motion.quality import feet
from unbraid.world.motion.walk import walk_at
from unbraid.world.people.person import TRAIN, person
from unbraid.world.people.pose import bone_matrices, sole_foot, sole_points
from unbraid.world.people.skeleton import INDEX, leg_length, turn

RATE = 60
TIMES = (np.arange(121) - 60) / RATE
PEOPLE = range(5)
# Largest mean skating of five people, metres per second.
SKATING = {"walk": 0.03, "carry": 0.03, "run": 0.09, "jump": 0.03}


@pytest.fixture(scope="module")
def cast():
    config = WorldConfig(seed=3)
    found = []
    for number in PEOPLE:
        someone = person(config, TRAIN, number)
        outfit = draw_outfit(config, TRAIN, number, 0)
        found.append((someone, dress(someone.shape, outfit, skin=someone.skin, hair=someone.hair)))
    return found


def shoe_points(costume, matrices):
    """All low points of both feet, not only the soles that pose looks at, and whose they are."""
    bone = costume.bone_index[np.arange(len(costume.points)), costume.bone_weight.argmax(1)]
    mine = np.flatnonzero(np.isin(bone, [INDEX["left_foot"], INDEX["right_foot"]]))
    mine = mine[costume.points[mine, 2] < costume.points[mine, 2].min() + 0.05]
    whole = replace(costume, soles=mine)
    return sole_points(whole, matrices), (bone[mine] == INDEX["right_foot"]).astype(np.intp)


def hand_height(costume, matrices):
    """Height of the lowest point of both hands."""
    bone = costume.bone_index[np.arange(len(costume.points)), costume.bone_weight.argmax(1)]
    hands = np.flatnonzero(np.isin(bone, [INDEX["left_hand"], INDEX["right_hand"]]))[::10]
    return sole_points(replace(costume, soles=hands), matrices[::5])[..., 2].min()


def root_of(shape, matrices):
    return matrices[:, 0, :, 3] + matrices[:, 0, :, :3] @ shape.joints[0]


@pytest.mark.parametrize("action", ACTIONS)
def test_feet_stand_on_the_ground_and_do_not_slide(cast, action):
    skating = []
    for number, (someone, costume) in enumerate(cast):
        motion = Procedural()(someone.style, TIMES, np.random.default_rng(number), action=action, session=0)
        matrices = bone_matrices(someone.shape, costume, motion)
        points, foot = shoe_points(costume, matrices)
        found = feet(points, foot, RATE, flying=motion.lift > 0)
        skating.append(found.skating)
        assert found.penetration_worst < 0.005
        assert found.floating < 0.01
        assert found.bearing > (0.4 if action == "jump" else 0.6 if action == "run" else 0.95)
        root = root_of(someone.shape, matrices)
        assert hand_height(costume, matrices) > 0, "hands reach down to the ground, not into it"
        assert root[60, :2] == pytest.approx(0, abs=1e-9)
        # Three times gravity is a hard jump; walking and gestures stay below one.
        most = {"run": 25, "jump": 45}.get(action, 12)
        assert np.linalg.norm(np.diff(root, 2, axis=0) * RATE**2, axis=1).max() < most
        if action in ("walk", "run", "carry"):
            speed = -(root[-1, 1] - root[0, 1]) / (TIMES[-1] - TIMES[0])
            assert (0.6 < speed < 1.8) if action != "run" else (1.6 < speed < 3.8)
    assert np.mean(skating) < SKATING.get(action, 0.015)


def test_flight_is_free_fall(cast):
    gravity = []
    for number, (someone, costume) in enumerate(cast):
        motion = Procedural()(someone.style, TIMES, np.random.default_rng(number), action="jump", session=0)
        height = root_of(someone.shape, bone_matrices(someone.shape, costume, motion))[:, 2]
        # Well inside the flight, away from the smoothing at its ends.
        inside = np.convolve(motion.lift > 0.02, np.ones(9), mode="same") > 8.5
        inside[[*range(6), *range(-6, 0)]] = False
        gravity.append(np.mean(np.diff(height, 2)[inside[1:-1]]) * RATE**2)
    assert np.array(gravity) == pytest.approx(-9.81, rel=0.25)


def test_every_gives_the_same_frames(cast):
    someone, costume = cast[0]
    motion = Procedural()(someone.style, TIMES, np.random.default_rng(0), action="kick", session=0)
    dense = bone_matrices(someone.shape, costume, motion)
    assert np.array_equal(bone_matrices(someone.shape, costume, motion, every=6), dense[::6])


def test_root_bobs_twice_per_stride(cast):
    someone, costume = cast[0]
    style = replace(someone.style, leg_asymmetry=1.0)
    walk = walk_at(style, np.arange(200) / 200)
    height = root_of(someone.shape, bone_matrices(someone.shape, costume, walk))[:, 2]
    assert 0.01 < np.ptp(height) < 0.09
    power = np.abs(np.fft.rfft(height - height.mean()))
    assert power.argmax() == 2


def still(frames=40):
    return np.tile(np.eye(3), (frames, 19, 1, 1))


def test_a_planted_foot_moves_the_root_as_geometry_says(cast):
    someone, costume = cast[1]
    # The left leg turns backwards about its hip and its foot stays level; the right one is lifted out of the way.
    angle = np.linspace(-0.2, 0.2, 40)
    rotations = still()
    rotations[:, INDEX["left_thigh"]] = turn("x", angle)
    rotations[:, INDEX["left_foot"]] = turn("x", -angle)
    rotations[:, INDEX["right_thigh"]] = turn("x", -0.6)
    rotations[:, INDEX["right_shank"]] = turn("x", 1.2)
    rotations[:, INDEX["right_foot"]] = turn("x", -0.6)
    motion = Motion(rotations, np.zeros((40, 3)), np.zeros(40))
    matrices = bone_matrices(someone.shape, costume, motion)
    joints = someone.shape.joints
    leg = sum(
        np.linalg.norm(joints[INDEX[f"left_{a}"]] - joints[INDEX[f"left_{b}"]])
        for a, b in (("thigh", "shank"), ("shank", "foot"))
    )
    path = root_of(someone.shape, matrices)
    assert np.allclose(path[:, 1], -leg * np.sin(angle), atol=2e-3)
    assert np.allclose(path[:, 0], 0, atol=2e-3)
    assert np.allclose(path[:, 2] - path[20, 2], leg * (np.cos(angle) - np.cos(angle[20])), atol=2e-3)


def test_clips_of_their_own_height_are_shifted_as_a_whole(cast):
    someone, costume = cast[0]
    arc = 0.4 * np.sin(np.linspace(0, np.pi, 60)) * (np.arange(60) > 20)
    motion = Motion(still(60), np.stack([0 * arc, 0 * arc, 3 + arc], axis=1))
    points, _ = shoe_points(costume, bone_matrices(someone.shape, costume, motion))
    low = points[..., 2].min(1)
    assert np.abs(low[:15]).max() < 0.01, "stands"
    assert low.max() == pytest.approx(0.4 * leg_length(someone.shape.joints), abs=0.05)


def test_feet_that_would_sink_are_lifted(cast):
    someone, costume = cast[2]
    # The right leg swings past the standing one, stretched, its toes a little lower: it must bend its knee.
    angle = np.linspace(0.7, -0.7, 40)
    rotations = still()
    rotations[:, INDEX["right_thigh"]] = turn("x", angle)
    rotations[:, INDEX["right_foot"]] = turn("x", 0.05 - angle)
    motion = Motion(rotations, np.zeros((40, 3)), np.zeros(40))
    matrices = bone_matrices(someone.shape, costume, motion)
    points, foot = shoe_points(costume, matrices)
    assert points[..., 2].min() > -0.003
    assert points[:, foot == 0, 2].min(1).max() < 0.006, "the other foot stays down"
    bent = knee_of(someone.shape, matrices)
    assert bent[18:22].max() > 5
    assert bent[[0, -1]].max() < 1
    assert np.allclose(matrices[..., :3] @ np.swapaxes(matrices[..., :3], -1, -2), np.eye(3), atol=1e-9)


def knee_of(shape, matrices):
    """Flexion (T,) of the right knee, degrees."""
    bones = [INDEX[f"right_{bone}"] for bone in ("thigh", "shank", "foot")]
    joints = [matrices[:, bone, :, :3] @ shape.joints[bone] + matrices[:, bone, :, 3] for bone in bones]
    thigh, shank = (below - above for above, below in pairwise(joints))
    cosine = (thigh * shank).sum(1) / np.linalg.norm(thigh, axis=1) / np.linalg.norm(shank, axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_sole_points_agree_with_a_loop(cast):
    someone, costume = cast[0]
    motion = Procedural()(someone.style, TIMES[:3], np.random.default_rng(0), action="walk", session=0)
    matrices = bone_matrices(someone.shape, costume, motion)
    found = sole_points(costume, matrices)
    for row in range(0, len(costume.soles), 7):
        vertex = costume.soles[row]
        point = np.append(costume.points[vertex].astype(float), 1.0)
        wanted = sum(
            w * matrices[1, b] @ point
            for b, w in zip(costume.bone_index[vertex], costume.bone_weight[vertex], strict=True)
        )
        assert np.allclose(found[1, row], wanted)
    side = np.where(sole_foot(costume) == 0, 1, -1)
    assert (np.sign(costume.points[costume.soles, 0]) == side).all()
