"""From a motion and a dressed body to bone matrices that stand on the ground and do not slide on it."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unbraid.world.clothes.garments import Costume
from unbraid.world.motion import Motion
from unbraid.world.motion.footing import (
    AIRBORNE,
    CLEAR,
    DRAGGED,
    SMOOTH_HEIGHT,
    contact_path,
    flown,
    lifted_leg,
    smoothed,
    soft_minimum,
    strangeness,
    sunk,
)
from unbraid.world.people.body import Shape, body_model
from unbraid.world.people.skeleton import INDEX, SIDES, Floats, forward_kinematics, leg_length, rest_to_neutral

ARM_GAP = 0.045
GROUND_PERCENTILE = 5
# A clip without `lift` stands within a few centimetres of one height; this much is pressed to a fraction, metres.
NEARLY = 0.03


def bone_matrices(shape: Shape, costume: Costume, motion: Motion, *, every: int = 1) -> Floats:
    """Affine matrices (T / every, 19, 3, 4) that carry rest points into the world, floor at z = 0, facing -y.

    motion: dense, about 60 frames a second; every `every`-th frame is returned, the first one first. Heights follow
    from the soles and `motion.lift`; without it the clip keeps its own, pressed to the ground where it nearly touches
    it. Horizontally the root moves so that the soles that bear it stay where they are; while nothing bears, as
    `motion.translation` says. In mid clip the root is at the horizontal origin. Feet that would sink into the ground
    are lifted by bending the knee.
    """
    aligned = _aligned(shape)
    travel = motion.translation * leg_length(shape.joints)
    rotation, position = forward_kinematics(motion.rotations, np.zeros_like(travel), shape.joints, aligned)
    matrices = _affine(rotation, position, shape.joints)
    soles = sole_points(costume, matrices)
    strange = strangeness(soles, travel[:, :2])
    if motion.lift is None:
        low = soft_minimum(soles[..., 2]) + travel[:, 2]
        risen = np.maximum(low - np.percentile(low, GROUND_PERCENTILE), 0.0)
        above = risen**2 / (risen + NEARLY)
    else:
        above = motion.lift * leg_length(shape.joints)
    stands = np.exp(-((above / AIRBORNE) ** 2))[:, None]
    height = flown(above - soft_minimum(soles[..., 2] + DRAGGED * strange * stands), above)
    height = smoothed(height[:, None], SMOOTH_HEIGHT)[:, 0]
    root = np.column_stack([contact_path(soles, above, travel[:, :2], strange), height])
    rise = sunk(soles[..., 2] + height[:, None] - CLEAR * strange * stands, sole_foot(costume))
    for number, (side, _) in enumerate(SIDES):
        if rise[:, number].max() > 0:
            _lift_foot(rotation, position, side, rise[:, number], aligned)
    matrices = _affine(rotation[::every], position[::every] + root[::every, None], shape.joints)
    return np.ascontiguousarray(matrices)


@lru_cache(maxsize=4)
def _aligned(shape: Shape) -> Floats:
    """Rotations (19, 3, 3) from rest to the neutral pose; kept, as a person is posed many times in a row."""
    return rest_to_neutral(shape.joints, arm_clearance(shape))


def _affine(rotation: Floats, position: Floats, joints: Floats) -> Floats:
    """Matrices (T, 19, 3, 4) from rotations (T, 19, 3, 3) and positions (T, 19, 3) of bones; joints (19, 3) at rest."""
    offset = position - (rotation @ joints[:, :, None])[..., 0]
    return np.concatenate([rotation, offset[..., None]], axis=-1)


def _lift_foot(rotation: Floats, position: Floats, side: str, rise: Floats, aligned: Floats) -> None:
    """Lift one foot by `rise` (T,) metres, in place; the foot keeps its direction."""
    thigh, shank, foot = (INDEX[f"{side}_{bone}"] for bone in ("thigh", "shank", "foot"))
    # Knees point to the front of thigh and shank.
    front = -(rotation[:, thigh] @ aligned[thigh].T)[:, :, 1] - (rotation[:, shank] @ aligned[shank].T)[:, :, 1]
    turned = lifted_leg(position[:, [thigh, shank, foot]], front, rise)
    knee = position[:, shank] - position[:, thigh]
    calf = position[:, foot] - position[:, shank]
    for bone, change in zip((thigh, shank), turned, strict=True):
        rotation[:, bone] = change @ rotation[:, bone]
    position[:, shank] = position[:, thigh] + (turned[0] @ knee[:, :, None])[..., 0]
    position[:, foot] = position[:, shank] + (turned[1] @ calf[:, :, None])[..., 0]


def arm_clearance(shape: Shape) -> float:
    """Radians by which straight hanging arms must stand away so that the wrists pass the hips."""
    widths = []
    for side, sign in SIDES:
        shoulder, elbow, wrist = (shape.joints[INDEX[f"{side}_{bone}"]] for bone in ("upper_arm", "forearm", "hand"))
        length = float(np.linalg.norm(elbow - shoulder) + np.linalg.norm(wrist - elbow))
        strongest = body_model().bone_index[:, 0]
        hips = shape.vertices[np.isin(strongest, [INDEX["root"], INDEX[f"{side}_thigh"]])]
        gap = (sign * hips[:, 0]).max() + ARM_GAP - sign * float(shoulder[0])
        widths.append(np.arcsin(np.clip(gap / length, 0.05, 0.35)))
    return float(np.mean(widths))


def sole_points(costume: Costume, matrices: Floats) -> Floats:
    """World positions (T, S, 3) of the sole vertices; matrices (T, 19, 3, 4)."""
    points = costume.points[costume.soles].astype(np.float64)
    index, weight = costume.bone_index[costume.soles], costume.bone_weight[costume.soles].astype(np.float64)
    blended = np.einsum("tskij,sk->tsij", matrices[:, index], weight)
    return np.asarray(np.einsum("tsij,sj->tsi", blended[..., :3], points) + blended[..., 3])


def sole_foot(costume: Costume) -> NDArray[np.intp]:
    """Whose foot every sole vertex (S,) belongs to: 0 left, 1 right."""
    strongest = costume.bone_weight[costume.soles].argmax(1)
    bone = costume.bone_index[costume.soles, strongest]
    return np.isin(bone, [INDEX["right_foot"], INDEX["right_shank"]]).astype(np.intp)
