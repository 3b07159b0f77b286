"""From a motion and a dressed body to bone matrices that stand on the ground."""

import numpy as np

from unbraid.world.body import Shape, body_model
from unbraid.world.garments import Costume
from unbraid.world.motion import Motion
from unbraid.world.skeleton import INDEX, SIDES, Floats, forward_kinematics, leg_length, rest_to_neutral

SOFTNESS = 0.002
ARM_GAP = 0.045
GROUND_PERCENTILE = 5


def bone_matrices(shape: Shape, costume: Costume, motion: Motion) -> Floats:
    """Affine matrices (T, 19, 3, 4) that carry rest points into the world, floor at z = 0, walking towards -y."""
    aligned = rest_to_neutral(shape.joints, arm_clearance(shape))
    translation = motion.translation * leg_length(shape.joints)
    rotation, position = forward_kinematics(motion.rotations, translation, shape.joints, aligned)
    offset = position - np.einsum("tbij,bj->tbi", rotation, shape.joints)
    matrices = np.concatenate([rotation, offset[..., None]], axis=-1)
    lowest = soft_minimum(_heights(costume, matrices))
    shift = lowest if motion.grounded else np.full_like(lowest, np.percentile(lowest, GROUND_PERCENTILE))
    matrices[:, :, 2, 3] -= shift[:, None]
    return matrices


def soft_minimum(heights: Floats) -> Floats:
    """A smooth stand-in for the minimum over the last axis, at most SOFTNESS x ln(count) below it.

    The supporting point changes from heel to toe to the other foot; this keeps the root's path without kinks.
    """
    least = heights.min(-1)
    return np.asarray(least - SOFTNESS * np.log(np.exp((least[..., None] - heights) / SOFTNESS).sum(-1)))


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


def _heights(costume: Costume, matrices: Floats) -> Floats:
    """World height (T, S) of the sole vertices."""
    points = costume.points[costume.soles].astype(np.float64)
    index, weight = costume.bone_index[costume.soles], costume.bone_weight[costume.soles].astype(np.float64)
    rows = matrices[:, index, 2, :]
    return np.asarray(np.einsum("tski,si,sk->ts", rows[..., :3], points, weight) + (rows[..., 3] * weight).sum(-1))
