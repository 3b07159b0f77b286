import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unbraid.world.motion import ACTIONS, Procedural, draw_style
from unbraid.world.motion.clip import MotionSource
from unbraid.world.motion.jump import jump_at
from unbraid.world.motion.run import GRAVITY
from unbraid.world.motion.style import Style, stronger_arm, stronger_leg
from unbraid.world.people.skeleton import INDEX, PARENTS

RATE = 60
TIMES = (np.arange(241) - 120) / RATE
STANDING = ("jump", "squat", "wave", "reach", "kick", "turn")


def clip(action, seed, style=None, times=TIMES):
    style = style or draw_style(np.random.default_rng(seed))
    return Procedural()(style, times, np.random.default_rng(1000 + seed), action=action, session=0)


def rotation_vectors(rotations):
    return Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(*rotations.shape[:2], 3)


def in_world(rotations):
    placed = rotations.copy()
    for bone, parent in enumerate(PARENTS):
        if parent >= 0:
            placed[:, bone] = placed[:, parent] @ rotations[:, bone]
    return placed


def test_the_source_can_be_sent_to_workers_and_says_what_it_is():
    source: MotionSource = pickle.loads(pickle.dumps(Procedural()))
    assert source.name == "procedural"
    assert source.actions == ACTIONS
    with pytest.raises(ValueError, match=r"swim.*walk, run, jump"):
        source(Style(), TIMES, np.random.default_rng(0), action="swim", session=0)


@pytest.mark.parametrize("action", ACTIONS)
def test_clips_repeat_with_their_chance_and_differ_without(action):
    style = draw_style(np.random.default_rng(0))
    first, again, other = (
        Procedural()(style, TIMES, np.random.default_rng(s), action=action, session=n)
        for s, n in ((1, 0), (1, 1), (2, 0))
    )
    assert np.array_equal(first.rotations, again.rotations)
    assert np.array_equal(first.lift, again.lift)
    assert np.abs(first.rotations - other.rotations).max() > 0.05
    assert first.rotations.shape == (241, 19, 3, 3)
    assert first.translation.shape == (241, 3)
    assert first.lift.shape == (241,)
    assert first.lift.min() >= 0


@pytest.mark.parametrize("action", ACTIONS)
def test_times_may_be_few_or_many(action):
    for count in (1, 2, 5):
        motion = clip(action, 0, times=(np.arange(count) - (count - 1) / 2) / RATE)
        assert np.isfinite(motion.rotations).all()
        assert motion.lift.shape == (count,)


@pytest.mark.parametrize("action", ACTIONS)
def test_rotations_are_rotations_and_smooth(action):
    for seed in range(6):
        motion = clip(action, seed)
        flat = motion.rotations.reshape(-1, 3, 3)
        assert np.allclose(flat @ np.swapaxes(flat, 1, 2), np.eye(3), atol=1e-9)
        assert np.allclose(np.linalg.det(flat), 1)
        # Angular velocity and acceleration of every bone in the world, radians per second (squared): a fast human
        # movement such as a kick or a sprint stays below 20 and 500.
        placed = in_world(motion.rotations)
        turned = rotation_vectors(placed[1:] @ np.swapaxes(placed[:-1], -1, -2)) * RATE
        assert np.linalg.norm(turned, axis=-1).max() < 20
        assert np.linalg.norm(np.diff(turned, axis=0), axis=-1).max() * RATE < 500


@pytest.mark.parametrize("action", ACTIONS)
def test_knees_and_elbows_are_hinges_and_joints_stay_in_human_range(action):
    for seed in range(12):
        bent = np.degrees(rotation_vectors(clip(action, seed).rotations))
        for side in ("left", "right"):
            knee, elbow = bent[:, INDEX[f"{side}_shank"]], bent[:, INDEX[f"{side}_forearm"]]
            assert np.abs(knee[:, 1:]).max() < 1e-6
            assert knee[:, 0].min() > -1
            assert knee[:, 0].max() < 150
            assert np.abs(elbow[:, 1:]).max() < 1e-6
            assert elbow[:, 0].max() < 0
            assert elbow[:, 0].min() > -150
            thigh, foot = bent[:, INDEX[f"{side}_thigh"]], bent[:, INDEX[f"{side}_foot"]]
            assert thigh[:, 0].min() > -130, "hip flexion"
            assert thigh[:, 0].max() < 50, "hip extension"
            assert np.abs(thigh[:, 1:]).max() < 50
            assert foot[:, 0].min() > -45, "dorsiflexion"
            assert foot[:, 0].max() < 75, "plantar flexion"
            assert np.abs(foot[:, 1:]).max() < 40
        for bone, most in (("spine", 50), ("chest", 50), ("neck", 50), ("head", 60)):
            assert np.linalg.norm(bent[:, INDEX[bone]], axis=1).max() < most, bone


@pytest.mark.parametrize("action", ACTIONS)
def test_people_face_forward_in_mid_clip(action):
    for seed in range(5):
        root = clip(action, seed).rotations[120, INDEX["root"]]
        forward = -root[:, 1]
        assert abs(np.degrees(np.arctan2(forward[0], -forward[1]))) < 12


def test_only_travellers_travel():
    for action in ACTIONS:
        travel = clip(action, 3).translation
        if action in STANDING:
            assert np.array_equal(travel, np.zeros_like(travel))
        else:
            assert travel[0, 1] > 0 > travel[-1, 1], "towards -y"
            assert travel[120] == pytest.approx(0)


def test_turning_is_as_fast_as_said():
    for seed in range(8):
        style = draw_style(np.random.default_rng(seed))
        root = clip("turn", seed, style).rotations[:, 0]
        heading = np.unwrap(np.arctan2(-root[:, 0, 1], root[:, 1, 1]))
        speed = np.degrees(abs(heading[-1] - heading[0])) / (TIMES[-1] - TIMES[0])
        assert 40 < speed < 95


def test_the_stronger_side_acts():
    for seed in range(8):
        style = draw_style(np.random.default_rng(seed))
        for action, bone, sign in (
            ("wave", "upper_arm", stronger_arm(style)),
            ("reach", "upper_arm", stronger_arm(style)),
            ("kick", "thigh", stronger_leg(style)),
        ):
            placed = in_world(clip(action, seed, style).rotations)
            raised = {s: placed[:, INDEX[f"{side}_{bone}"], 2, 2].min() for side, s in (("left", 1), ("right", -1))}
            assert raised[sign] < raised[-sign] - 0.1, action


def test_hands_and_hips_do_what_the_action_says():
    for seed in range(6):
        reach = in_world(clip("reach", seed).rotations)
        assert reach[:, [INDEX["left_upper_arm"], INDEX["right_upper_arm"]], 2, 2].min() < -0.6, (
            "arm above the shoulder"
        )
        squat = np.degrees(rotation_vectors(clip("squat", seed).rotations))
        assert squat[:, INDEX["left_shank"], 0].max() > 80
        assert squat[:, INDEX["left_shank"], 0].min() < 30
        wave = in_world(clip("wave", seed).rotations)
        assert wave[:, [INDEX["left_forearm"], INDEX["right_forearm"]], 2, 2].min() < -0.5, "forearm points up"


def test_jumpers_fall_freely():
    times = np.arange(0, 1.7, 1 / 1000)
    for seed in range(5):
        style = draw_style(np.random.default_rng(seed))
        motion = jump_at(style, 0.0, times, 1.0)
        knee = rotation_vectors(motion.rotations)[:, INDEX["left_shank"], 0]
        foot = -in_world(motion.rotations)[:, INDEX["left_foot"]] @ (0, 1, 0)
        air = np.flatnonzero(motion.lift > 0.02)
        # Legs and feet hold still for a while around the top; there soles fall as the hips do.
        still = air[(np.abs(np.gradient(knee)[air]) < 5e-5) & (np.abs(np.gradient(foot[:, 2])[air]) < 5e-5)]
        curved = np.gradient(np.gradient(motion.lift, 0.001), 0.001)
        assert len(still) > 3
        assert np.median(curved[still]) == pytest.approx(-GRAVITY, rel=0.3)
        assert 0.08 < motion.lift.max() < 0.35


@pytest.mark.parametrize("action", STANDING)
def test_someone_is_always_on_the_ground_but_jumpers(action):
    lift = clip(action, 2).lift
    assert (lift.max() > 0.08) if action == "jump" else (lift.max() < 1e-9)
