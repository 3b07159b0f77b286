"""Which joints of a recorded skeleton move which of our bones, found by their names and their place in the tree."""

import re
from dataclasses import dataclass

import numpy as np

from unbraid.world.capture.clip import END, Clip
from unbraid.world.people.skeleton import SIDES, Floats

# Limb joints by the end of their name without side, the better name first: 'Bip01 L Thigh' ends in 'thigh',
# 'LeftUpLeg' in 'upleg', 'shin.R' in 'shin'. A shoulder is an upper arm where nothing better is there.
LIMBS = {
    "thigh": ("thigh", "upleg", "upperleg", "femur", "hip"),
    "shank": ("shin", "shank", "calf", "lowerleg", "lowleg", "leg", "tibia", "knee"),
    "foot": ("foot", "ankle"),
    "upper_arm": ("upperarm", "uparm", "humerus", "arm", "shldr", "shoulder"),
    "forearm": ("forearm", "lowerarm", "lowarm", "radius", "elbow"),
    "hand": ("wrist", "hand"),
}
HEAD = ("head", "face", "skull")
OPTIONAL = ("hand",)
NAMES = {name for names in LIMBS.values() for name in names} | set(HEAD)
SIDE_WORDS = {"left": "left", "l": "left", "right": "right", "r": "right"}
WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


@dataclass(frozen=True, eq=False)
class Roles:
    """joints: number of the joint that turns each of our nineteen bones. tips: the joint at the far end of a limb
    bone. axes (3, 3): rotation from the axes of the file to ours, x left, y back, z up."""

    joints: dict[str, int]
    tips: dict[str, int]
    axes: Floats


def roles(clip: Clip) -> Roles:
    """Find our bones in a recorded skeleton.

    Thighs, shanks, feet, upper arms, forearms and the head must be there by name; the root is where the legs
    meet, the chest where the arms meet, and spine, neck and clavicles are joints in between. Missing hands,
    clavicles, spine or neck move with their parent. Raises ValueError listing what is missing and all joints.
    """
    named: dict[str, list[int]] = {}
    for number, name in enumerate(clip.joints):
        if not name.endswith(END):
            named.setdefault(_meaning(name), []).append(number)
    found: dict[str, int] = {}
    missing: list[str] = []
    for side, _ in SIDES:
        for bone, known in LIMBS.items():
            joint = next((named[f"{side} {name}"][0] for name in known if f"{side} {name}" in named), -1)
            if joint >= 0:
                found[f"{side}_{bone}"] = joint
            elif bone not in OPTIONAL:
                missing.append(f"{side} {bone.replace('_', ' ')}")
    head = next((named[name][0] for name in HEAD if name in named), -1)
    if missing or head < 0:
        raise ValueError(
            f"{clip.file}: no joint for {', '.join([*missing, *(['head'] if head < 0 else [])])}; the joints are "
            f"{', '.join(clip.joints)}; rename them to names such as LeftUpLeg, LeftLeg, LeftFoot, LeftArm, "
            "LeftForeArm, LeftHand, Head"
        )
    found["head"] = head
    found["root"] = _meeting(clip, found["left_thigh"], found["right_thigh"])
    found["chest"] = _meeting(clip, found["left_upper_arm"], found["right_upper_arm"])
    found["spine"] = _middle(_between(clip, found["root"], found["chest"]), found["chest"])
    found["neck"] = _middle(_between(clip, found["chest"], head), head)
    tips: dict[str, int] = {}
    for side, _ in SIDES:
        found[f"{side}_clavicle"] = _middle(_between(clip, found["chest"], found[f"{side}_upper_arm"]), found["chest"])
        found.setdefault(f"{side}_hand", found[f"{side}_forearm"])
        for bone, tip in (("thigh", "shank"), ("shank", "foot"), ("upper_arm", "forearm")):
            _under(clip, found[f"{side}_{bone}"], found[f"{side}_{tip}"])
            tips[f"{side}_{bone}"] = found[f"{side}_{tip}"]
        hand, forearm = found[f"{side}_hand"], found[f"{side}_forearm"]
        tips[f"{side}_forearm"] = hand if hand != forearm else _child(clip, forearm)
        tips[f"{side}_foot"] = _child(clip, found[f"{side}_foot"])
    return Roles(found, tips, _axes(clip, found))


def _meaning(joint: str) -> str:
    """'left upleg' for 'mixamorig:LeftUpLeg': the side and the longest known end of a name, empty when unknown."""
    words = [w.lower() for w in WORD.findall(joint.rsplit(":", 1)[-1]) if not w.isdigit()]
    side = next((SIDE_WORDS[w] for w in words if w in SIDE_WORDS), "")
    rest = [w for w in words if w not in SIDE_WORDS]
    for first in range(len(rest)):
        name = "".join(rest[first:])
        if not side and name[0] in "lr" and name[1:] in NAMES:
            return f"{SIDE_WORDS[name[0]]} {name[1:]}"
        if name in NAMES:
            return f"{side} {name}".strip()
    return ""


def _above(clip: Clip, joint: int) -> list[int]:
    """The joint and all above it, upwards."""
    path = [joint]
    while clip.parents[path[-1]] >= 0:
        path.append(clip.parents[path[-1]])
    return path


def _meeting(clip: Clip, one: int, other: int) -> int:
    above = set(_above(clip, one)[1:])
    return next(joint for joint in _above(clip, other)[1:] if joint in above)


def _between(clip: Clip, top: int, joint: int) -> list[int]:
    """Joints strictly between, from the top down; empty when `joint` does not hang below `top`."""
    path = _above(clip, joint)[1:]
    return path[: path.index(top)][::-1] if top in path else []


def _middle(joints: list[int], otherwise: int) -> int:
    return joints[(len(joints) - 1) // 2] if joints else otherwise


def _under(clip: Clip, joint: int, tip: int) -> None:
    if joint not in _above(clip, tip)[1:]:
        raise ValueError(f"{clip.file}: joint {clip.joints[tip]!r} should hang below {clip.joints[joint]!r}")


def _child(clip: Clip, joint: int) -> int:
    """The farthest child in the zero pose, the joint itself when it has none."""
    children = [number for number, parent in enumerate(clip.parents) if parent == joint]
    return max(children, key=lambda number: float(np.linalg.norm(clip.offsets[number])), default=joint)


def _axes(clip: Clip, found: dict[str, int]) -> Floats:
    """Rows: our left, back and up as axes of the file, from the zero pose."""
    rest = clip.rest()
    hips = (rest[found["left_thigh"]] + rest[found["right_thigh"]]) / 2
    up = _nearest_axis(rest[found["head"]] - hips)
    across = (rest[found["left_thigh"]] - rest[found["right_thigh"]]) * (up == 0)
    left = _nearest_axis(across)
    if not up.any() or not left.any():
        raise ValueError(
            f"{clip.file}: the zero pose shows no person who stands: the head must be above the hips and the thighs "
            "side by side"
        )
    return np.stack([left, np.cross(up, left), up])


def _nearest_axis(direction: Floats) -> Floats:
    axis = np.zeros(3)
    strongest = int(np.argmax(np.abs(direction)))
    axis[strongest] = np.sign(direction[strongest]) if abs(direction[strongest]) > 1e-9 else 0.0
    return axis
