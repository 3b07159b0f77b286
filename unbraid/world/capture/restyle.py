"""A personal style on recorded motion: the same person stays recognisable in every action, whoever was recorded.

Not in a paper; chosen so that the style at the middle of its ranges leaves a recording as it is.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from unbraid.world.motion import Style
from unbraid.world.motion.style import STYLE_RANGES
from unbraid.world.people.skeleton import INDEX, SIDES, Floats, turn

# Radians of deviation from the mean at which a gain has half its effect. Walking stays below it; a jump or a throw
# goes far beyond, where a full gain would push arms through the trunk.
REACH = 0.8
STRAIGHTEST, LARGEST_BEND = 0.02, 2.5
HINGE_FROM = 0.05


def gain(style: Style, name: str) -> float:
    """The gain `name` of a style as a multiple of the middle of its range."""
    return float(getattr(style, name)) / _middle(name)


def offset(style: Style, name: str) -> float:
    """The angle `name` of a style away from the middle of its range, radians."""
    return float(getattr(style, name)) - _middle(name)


def restyle(rotations: Floats, whole: Floats, style: Style) -> Floats:
    """Local rotations (T, 19, 3, 3) in the manner of `style`.

    rotations: part of a recording. whole (N, 19, 3, 3): all frames that belong to it, whose mean pose and straightest
    knees the style starts from. Gains act on the deviation from the mean (legs, arms, trunk) or from the straightest
    knee and elbow; angles are added.
    """
    styled = rotations.copy()
    lean, head = offset(style, "lean"), offset(style, "head")
    for bone in ("spine", "chest"):
        styled[:, INDEX[bone]] = _swing(rotations, whole, bone, gain(style, "trunk"))
    styled[:, INDEX["spine"]] = turn("x", lean / 2) @ styled[:, INDEX["spine"]]
    styled[:, INDEX["chest"]] = turn("x", lean / 2) @ styled[:, INDEX["chest"]]
    styled[:, INDEX["neck"]] = turn("x", (head - lean) / 2) @ styled[:, INDEX["neck"]]
    styled[:, INDEX["head"]] = turn("x", head / 2 - 0.2 * lean) @ styled[:, INDEX["head"]]
    for side, sign in SIDES:
        legs = 1 + sign * (gain(style, "leg_asymmetry") - 1)
        arms = 1 + sign * (gain(style, "arm_asymmetry") - 1)
        out = turn("z", sign * offset(style, "toe_out") / 2)
        thigh, arm = (f"{side}_{bone}" for bone in ("thigh", "upper_arm"))
        styled[:, INDEX[thigh]] = _swing(rotations, whole, thigh, gain(style, "stride") * legs) @ out
        styled[:, INDEX[f"{side}_shank"]] = _bend(rotations, whole, f"{side}_shank", 1, gain(style, "knee") * legs, 0.0)
        styled[:, INDEX[f"{side}_foot"]] = rotations[:, INDEX[f"{side}_foot"]] @ out
        hang = turn("y", -sign * offset(style, "abduction")) @ turn("x", -lean)
        styled[:, INDEX[arm]] = hang @ _swing(rotations, whole, arm, gain(style, "arm_swing") * arms)
        bend = gain(style, "elbow_swing") * arms
        styled[:, INDEX[f"{side}_forearm"]] = _bend(
            rotations, whole, f"{side}_forearm", -1, bend, offset(style, "elbow")
        )
    return styled


def _swing(rotations: Floats, whole: Floats, bone: str, factor: float) -> Floats:
    """Rotations (T, 3, 3) of a bone with their deviation from the mean multiplied, less so far away from it."""
    mean = Rotation.from_matrix(whole[:, INDEX[bone]]).mean()
    deviation = (mean.inv() * Rotation.from_matrix(rotations[:, INDEX[bone]])).as_rotvec()
    angle = np.linalg.norm(deviation, axis=-1, keepdims=True)
    scale = 1 + (factor - 1) / (1 + (angle / REACH) ** 2)
    return np.asarray((mean * Rotation.from_rotvec(deviation * scale)).as_matrix())


def _bend(rotations: Floats, whole: Floats, bone: str, sign: int, factor: float, more: float) -> Floats:
    """Rotations (T, 3, 3) of a hinge (knee, elbow) with the bend beyond the straightest multiplied and `more` added.

    sign: of the bend about x where the recording does not tell the axis of the hinge.
    """
    vectors = Rotation.from_matrix(rotations[:, INDEX[bone]]).as_rotvec()
    every = Rotation.from_matrix(whole[:, INDEX[bone]]).as_rotvec()
    mean = every.mean(0)
    length = float(np.linalg.norm(mean))
    axis = mean / length if length > HINGE_FROM else np.array([float(sign), 0.0, 0.0])
    bend, straightest = vectors @ axis, float(np.percentile(every @ axis, 5))
    wanted = straightest + factor * (bend - straightest) + more
    least, most = np.minimum(bend, STRAIGHTEST), np.maximum(bend, LARGEST_BEND)
    changed = np.clip(wanted, least, most)
    return np.asarray(Rotation.from_rotvec(vectors + (changed - bend)[:, None] * axis).as_matrix())


def _middle(name: str) -> float:
    low, high = STYLE_RANGES[name]
    return (low + high) / 2
