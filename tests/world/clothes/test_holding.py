import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unbraid.world.clothes.garments import Part, dress
from unbraid.world.clothes.holding import hold
from unbraid.world.clothes.props import UMBRELLA_TILT
from unbraid.world.clothes.tailoring import owned
from unbraid.world.clothes.wardrobe import draw_outfit
from unbraid.world.config import WorldConfig
from unbraid.world.motion import Motion
from unbraid.world.people.body import body_model, draw_shape
from unbraid.world.people.person import TRAIN
from unbraid.world.people.pose import arm_clearance
from unbraid.world.people.skeleton import INDEX, forward_kinematics, rest_to_neutral
from unbraid.world.sensors.raster import skin

TONE = np.array([200.0, 150, 120])


def swaying(frames=6):
    """A motion with a trunk that leans, turns and sways, and arms that swing."""
    random = np.random.default_rng(0)
    angles = np.zeros((frames, 19, 3))
    angles[:, INDEX["root"], 2] = random.uniform(-2, 2, frames)
    for bone in ("spine", "chest"):
        angles[:, INDEX[bone]] = random.uniform((-0.1, -0.05, -0.1), (0.2, 0.05, 0.1), (frames, 3))
    for side in ("left", "right"):
        angles[:, INDEX[f"{side}_upper_arm"]] = random.uniform(-0.5, 0.5, (frames, 3))
    rotations = Rotation.from_euler("xyz", angles.reshape(-1, 3)).as_matrix().reshape(frames, 19, 3, 3)
    return Motion(rotations=rotations, translation=np.zeros((frames, 3)))


def dressed(seed, held):
    shape = draw_shape(np.random.default_rng(seed), spread=1.8)
    return shape, dress(shape, draw_outfit(WorldConfig(), TRAIN, seed, 0), skin=TONE, hair=TONE, held=held)


def posed(shape, costume, motion):
    """Bone rotations (T, 19, 3, 3), positions (T, 19, 3) and skinned points (T, V, 3)."""
    aligned = rest_to_neutral(shape.joints, arm_clearance(shape))
    rotation, position = forward_kinematics(motion.rotations, motion.translation, shape.joints, aligned)
    offset = position - np.einsum("tbij,bj->tbi", rotation, shape.joints)
    matrices = np.concatenate([rotation, offset[..., None]], axis=-1).astype(np.float32)
    points, normals = np.empty((len(matrices), *costume.points.shape), np.float32), np.empty_like(costume.normals)
    for bones, out in zip(matrices, points, strict=True):
        skin(costume.points, costume.normals, costume.bone_index, costume.bone_weight, bones, out, normals)
    return rotation, position, points


def test_nothing_changes_nothing_and_other_bones_keep_their_motion():
    motion = swaying()
    assert hold(motion, "nothing").rotations is motion.rotations
    before = motion.rotations.copy()
    arms = [INDEX[f"{side}_{b}"] for side in ("left", "right") for b in ("clavicle", "upper_arm", "forearm", "hand")]
    others = np.setdiff1d(np.arange(19), arms)
    assert np.array_equal(hold(motion, "box").rotations[:, others], before[:, others])
    umbrella = hold(motion, "umbrella").rotations
    assert np.array_equal(umbrella[:, [*others, *arms[:4]]], before[:, [*others, *arms[:4]]]), "the left arm swings on"
    assert np.array_equal(motion.rotations, before)
    assert np.allclose(umbrella @ np.swapaxes(umbrella, -1, -2), np.eye(3))
    with pytest.raises(ValueError, match="'piano'"):
        hold(motion, "piano")
    with pytest.raises(ValueError, match="'piano'"):
        dressed(0, "piano")


@pytest.mark.parametrize(("held", "sides"), [("box", ("left", "right")), ("umbrella", ("right",))])
def test_hands_are_constant_relative_to_the_chest(held, sides):
    shape, costume = dressed(1, held)
    rotation, position, _ = posed(shape, costume, hold(swaying(), held))
    chest = INDEX["chest"]
    for side in sides:
        hand = position[:, INDEX[f"{side}_hand"]] - position[:, chest]
        inside = np.einsum("tji,tj->ti", rotation[:, chest], hand)
        assert np.ptp(inside, axis=0).max() < 1e-9
        assert inside[0, 1] < -0.15, "in front"


def test_hands_meet_the_box_of_every_body():
    motion = hold(swaying(2), "box")
    for seed in range(30):
        shape, costume = dressed(seed, "box")
        rotation, position, points = posed(shape, costume, motion)
        chest, frame = INDEX["chest"], 1
        own = (points[frame] - position[frame, chest]) @ rotation[frame, chest] + shape.joints[chest]
        box = own[costume.part == Part.HELD]
        low, high = box.min(0), box.max(0)
        assert np.isclose(np.sort(box, axis=0)[[0, 11]], low, atol=1e-5).all(), "still a box"
        assert 0.12 < high[0] - low[0] < 0.6
        assert high[1] - low[1] > 0.1
        for side, sign in (("left", 1), ("right", -1)):
            hand = own[: body_model().vertex_count][owned(f"{side}_hand")]
            beyond = np.maximum(low - hand, hand - high)
            distance = np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(1), 0)
            assert np.abs(distance).min() < 0.02, (seed, side)
            assert (distance < 0.02).sum() > 100, "touched by more than a finger tip"
            assert distance.min() > -0.05, "no hand is lost in the box"
            assert sign * hand[:, 0].mean() > sign * (low[0] + high[0]) / 2
        trunk = own[: body_model().vertex_count][owned("spine", "chest")]
        inside = ((trunk > low) & (trunk < high)).all(1)
        assert not inside.any(), "the box is in front of the belly"


def test_umbrella_is_above_the_head_and_upright_for_every_body():
    motion = hold(swaying(3), "umbrella")
    for seed in range(30):
        shape, costume = dressed(seed, "umbrella")
        _, _, points = posed(shape, costume, motion)
        for frame in points:
            held = frame[costume.part == Part.HELD].astype(float)
            # 10 rings of 32 for the canopy, then 5 rings of 8 for the shaft (see `props.umbrella`).
            canopy, shaft = held[:320], held[320:].reshape(5, 8, 3)
            head = frame[: body_model().vertex_count][owned("head")]
            crown = head[head[:, 2].argmax()]
            near = np.linalg.norm(canopy[:, :2] - crown[:2], axis=1) < 0.2
            assert near.any(), "covers the head"
            assert canopy[near, 2].min() > crown[2] + 0.01
            axis = shaft[0].mean(0) - shaft[-1].mean(0)
            axis /= np.linalg.norm(axis)
            assert np.arccos(axis[2]) == pytest.approx(UMBRELLA_TILT, abs=1e-3)
            hand = frame[: body_model().vertex_count][owned("right_hand")] - shaft[-1].mean(0)
            aside = np.linalg.norm(hand - (hand @ axis)[:, None] * axis, axis=1)
            assert aside.min() < 0.02
            assert (aside < 0.03).sum() > 100
