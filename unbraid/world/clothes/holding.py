"""Holding things: arms that carry a box or an umbrella, and where the hands then are.

Source: not in a paper; angles chosen by looking, so that hands are in front of the body at the waist (box) or the
shoulder (umbrella) for every body.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from unbraid.world.people.skeleton import BONES, INDEX, PARENTS, SIDES, Floats, forward_kinematics, turn

if TYPE_CHECKING:
    from unbraid.world.motion import Motion

Held = Literal["nothing", "box", "umbrella"]
DEGREE = np.pi / 180
# Flexion of the shoulder, abduction, inward turn of the forearm, flexion of the elbow, turn of the hand about the
# forearm (palm inwards), degrees.
BOX_ARM = (14.0, 2.0, 18.0, 72.0, 30.0)
UMBRELLA_ARM = (2.0, 4.0, 8.0, 124.0, 0.0)
# Pitch of the hand with the umbrella (fingers forwards, a little down), and its turn about its length (thumb up).
UMBRELLA_HAND = (-75.0, -30.0)


def hold(motion: "Motion", held: Held) -> "Motion":
    """The motion with arms that hold something; everything but the arms stays.

    "box": both arms keep one pose relative to the chest, forearms forwards. "umbrella": so does the right arm, its
    hand in front of the shoulder; the hand itself stays level whatever the chest does, so that the shaft stays
    upright; the left arm keeps its motion. Raises ValueError for an unknown thing.
    """
    return replace(motion, rotations=held_rotations(motion.rotations, held))


def held_rotations(rotations: Floats, held: Held) -> Floats:
    """Local rotations (T, 19, 3, 3) with the arms of `hold`. Raises ValueError for an unknown thing."""
    if held == "nothing":
        return rotations
    if held not in ("box", "umbrella"):
        raise ValueError(f"nobody can hold {held!r}; known are 'nothing', 'box' and 'umbrella'")
    changed = rotations.copy()
    for side, sign in SIDES if held == "box" else SIDES[1:]:
        upper, forearm, hand = _arm(BOX_ARM if held == "box" else UMBRELLA_ARM, sign)
        for bone, turned in (("clavicle", np.eye(3)), ("upper_arm", upper), ("forearm", forearm), ("hand", hand)):
            changed[:, INDEX[f"{side}_{bone}"]] = turned
    if held == "umbrella":
        pitch, palm = (angle * DEGREE for angle in UMBRELLA_HAND)
        chest = _global(changed, "chest")
        heading = np.arctan2(-chest[:, 0, 1], chest[:, 1, 1])
        level = turn("z", heading) @ turn("x", pitch) @ turn("z", palm)
        changed[:, INDEX["right_hand"]] = np.swapaxes(_global(changed, "right_forearm"), -1, -2) @ level
    return changed


def holding_pose(joints: Floats, aligned: Floats, held: Held) -> tuple[Floats, Floats]:
    """Rotations (19, 3, 3) and joint positions (19, 3) of someone who holds something and otherwise stands still.

    joints (19, 3): rest joint heads; aligned (19, 3, 3): rotations from rest to neutral. The trunk is where it is in
    the rest shape, so positions of the hands are in rest coordinates of the chest.
    """
    still = np.tile(np.eye(3), (1, len(BONES), 1, 1))
    rotation, position = forward_kinematics(held_rotations(still, held), joints[:1], joints, aligned)
    return rotation[0], position[0]


def _arm(angles: tuple[float, ...], sign: int) -> tuple[Floats, Floats, Floats]:
    """Local rotations (3, 3) of upper arm, forearm and hand."""
    flexion, abduction, inward, elbow, palm = (angle * DEGREE for angle in angles)
    upper = turn("y", -sign * abduction) @ turn("x", -flexion) @ turn("z", -sign * inward)
    return upper, turn("x", -elbow), turn("z", sign * palm)


def _global(rotations: Floats, bone: str) -> Floats:
    """Rotation (T, 3, 3) of a bone in the world, away from the neutral pose."""
    chain, number = [], INDEX[bone]
    while number >= 0:
        chain.append(number)
        number = PARENTS[number]
    found = rotations[:, chain[-1]]
    for number in reversed(chain[:-1]):
        found = found @ rotations[:, number]
    return found
