import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unbraid.world.people.skeleton import BONES, INDEX, forward_kinematics, rest_to_neutral, turn, turn_between


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_turn_agrees_with_scipy(axis):
    angles = np.linspace(-3, 3, 7)
    assert np.allclose(turn(axis, angles), Rotation.from_euler(axis, angles[:, None]).as_matrix())


def test_turn_between_is_the_smallest_rotation():
    random = np.random.default_rng(0)
    for _ in range(20):
        start, goal = random.normal(size=(2, 3))
        matrix = turn_between(start, goal)
        assert np.allclose(matrix @ start / np.linalg.norm(start), goal / np.linalg.norm(goal))
        angle = np.arccos(start @ goal / np.linalg.norm(start) / np.linalg.norm(goal))
        assert np.isclose(np.linalg.norm(Rotation.from_matrix(matrix).as_rotvec()), angle)
    with pytest.raises(ValueError, match="opposite"):
        turn_between(np.array([0.0, 0, 1]), np.array([0.0, 0, -1]))


def straight_joints():
    """A stick figure already in the neutral pose: hips at height 1, knees 0.5, ankles 0; arms of 0.3 + 0.3."""
    joints = np.zeros((len(BONES), 3))
    joints[:, 2] = 1.0
    for side, x in (("left", 0.1), ("right", -0.1)):
        for bone, z in (("thigh", 1.0), ("shank", 0.5), ("foot", 0.0)):
            joints[INDEX[f"{side}_{bone}"]] = (x, 0, z)
        for bone, z in (("clavicle", 1.5), ("upper_arm", 1.5), ("forearm", 1.2), ("hand", 0.9)):
            joints[INDEX[f"{side}_{bone}"]] = (2 * x, 0, z)
    return joints


def test_forward_kinematics_of_a_hand_computed_leg():
    # Thigh 90 degrees forward (towards -y), knee bent 90 degrees: the shank hangs down from a knee in front.
    rotations = np.tile(np.eye(3), (1, len(BONES), 1, 1))
    rotations[0, INDEX["left_thigh"]] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    rotations[0, INDEX["left_shank"]] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    _, position = forward_kinematics(rotations, np.array([[0.0, 0, 2]]), straight_joints())
    assert np.allclose(position[0, INDEX["left_thigh"]], (0.1, 0, 2))
    assert np.allclose(position[0, INDEX["left_shank"]], (0.1, -0.5, 2))
    assert np.allclose(position[0, INDEX["left_foot"]], (0.1, -0.5, 1.5))
    assert np.allclose(position[0, INDEX["right_foot"]], (-0.1, 0, 1))


def test_neutral_pose_hangs_arms_and_stands_legs_straight():
    joints = straight_joints()
    joints[INDEX["left_forearm"]] = (0.5, 0, 1.5)
    joints[INDEX["left_hand"]] = (0.5, -0.3, 1.5)
    rotations = np.tile(np.eye(3), (1, len(BONES), 1, 1))
    _, position = forward_kinematics(rotations, np.zeros((1, 3)), joints, rest_to_neutral(joints))
    shoulder = position[0, INDEX["left_upper_arm"]]
    assert np.allclose(position[0, INDEX["left_forearm"]] - shoulder, (0, 0, -0.3))
    assert np.allclose(position[0, INDEX["left_hand"]] - shoulder, (0, 0, -0.6))


def test_misfitting_shapes_are_named():
    with pytest.raises(ValueError, match=r"\(2, 19, 3, 3\)"):
        forward_kinematics(np.zeros((2, 19, 3, 3)), np.zeros((3, 3)), straight_joints())
