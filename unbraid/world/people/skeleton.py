"""The nineteen bones of the synthetic people and how their rotations place them.

Axes of a person: x to the own left, y to the back, z up, metres. The *neutral pose* is standing upright with legs
vertical, feet as in the rest shape and arms hanging straight down. All rotations are 3 x 3 matrices that act on
column vectors; a *local* rotation turns a bone, with everything below it, relative to its parent and away from
the neutral pose, so all-identity rotations are the neutral pose of every body.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BONES = (
    "root",
    "spine",
    "chest",
    "neck",
    "head",
    "left_clavicle",
    "left_upper_arm",
    "left_forearm",
    "left_hand",
    "right_clavicle",
    "right_upper_arm",
    "right_forearm",
    "right_hand",
    "left_thigh",
    "left_shank",
    "left_foot",
    "right_thigh",
    "right_shank",
    "right_foot",
)
PARENTS = (-1, 0, 1, 2, 3, 2, 5, 6, 7, 2, 9, 10, 11, 0, 13, 14, 0, 16, 17)
INDEX = {name: number for number, name in enumerate(BONES)}
SIDES: tuple[tuple[str, int], ...] = (("left", 1), ("right", -1))


def turn(axis: Literal["x", "y", "z"], angle: Floats | float) -> Floats:
    """Right-handed rotations (..., 3, 3) by `angle` (...) in radians about one axis."""
    angle = np.asarray(angle, np.float64)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.zeros((*angle.shape, 3, 3))
    matrix[..., 3 - first - second, 3 - first - second] = 1.0
    matrix[..., first, first] = matrix[..., second, second] = np.cos(angle)
    matrix[..., second, first] = np.sin(angle)
    matrix[..., first, second] = -np.sin(angle)
    return matrix


def turn_between(start: Floats, goal: Floats) -> Floats:
    """The smallest rotation (3, 3) that turns direction `start` (3,) into direction `goal` (3,).

    Source: Rodrigues' formula with the axis start x goal. Raises ValueError for opposite directions.
    """
    a, b = start / np.linalg.norm(start), goal / np.linalg.norm(goal)
    x, y, z = np.cross(a, b)
    cosine = float(a @ b)
    if cosine < -1 + 1e-9:
        raise ValueError("no single smallest rotation turns a direction into its opposite")
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + cosine))


def leg_length(joints: Floats) -> float:
    """Thigh plus shank in metres, mean of both sides; joints (19, 3)."""
    total = 0.0
    for side, _ in SIDES:
        hip, knee, ankle = (joints[INDEX[f"{side}_{bone}"]] for bone in ("thigh", "shank", "foot"))
        total += float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)) / 2
    return total


def rest_to_neutral(joints: Floats, arm_clearance: float = 0.0) -> Floats:
    """Rotations (19, 3, 3) that carry each bone of the rest shape into the neutral pose.

    joints: rest joint heads (19, 3), metres. arm_clearance: angle in radians by which hanging arms stay away
    from the trunk so that hands do not sink into wide hips.
    """
    aligned = np.tile(np.eye(3), (len(BONES), 1, 1))
    down = np.array([0.0, 0.0, -1.0])
    for side, sign in SIDES:
        hanging = np.array([sign * np.sin(arm_clearance), 0.0, -np.cos(arm_clearance)])
        for bone, tip, goal in (
            ("upper_arm", "forearm", hanging),
            ("forearm", "hand", hanging),
            ("thigh", "shank", down),
            ("shank", "foot", down),
        ):
            start, end = joints[INDEX[f"{side}_{bone}"]], joints[INDEX[f"{side}_{tip}"]]
            aligned[INDEX[f"{side}_{bone}"]] = turn_between(end - start, goal)
        aligned[INDEX[f"{side}_hand"]] = aligned[INDEX[f"{side}_forearm"]]
    return aligned


def forward_kinematics(
    rotations: Floats, translation: Floats, joints: Floats, aligned: Floats | None = None
) -> tuple[Floats, Floats]:
    """Where each bone is: global rotations (T, 19, 3, 3) from the rest shape and joint positions (T, 19, 3).

    rotations: local (T, 19, 3, 3), see the module text. translation: root position (T, 3), metres.
    joints: rest joint heads (19, 3). aligned: rotations from rest to neutral (19, 3, 3), identity when absent.
    Raises ValueError when the shapes do not fit.
    """
    frames = len(rotations)
    if rotations.shape != (frames, len(BONES), 3, 3) or translation.shape != (frames, 3):
        raise ValueError(
            f"expected rotations (T, {len(BONES)}, 3, 3) and translation (T, 3) with the same T; "
            f"got {rotations.shape} and {translation.shape}"
        )
    if aligned is None:
        aligned = np.tile(np.eye(3), (len(BONES), 1, 1))
    motion = np.empty_like(rotations)
    placed = np.empty_like(rotations)
    position = np.empty((frames, len(BONES), 3))
    for bone, parent in enumerate(PARENTS):
        motion[:, bone] = rotations[:, bone] if parent < 0 else motion[:, parent] @ rotations[:, bone]
        placed[:, bone] = motion[:, bone] @ aligned[bone]
        if parent < 0:
            position[:, bone] = translation
        else:
            position[:, bone] = position[:, parent] + placed[:, parent] @ (joints[bone] - joints[parent])
    return placed, position
