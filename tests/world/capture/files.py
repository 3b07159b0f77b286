"""Tiny motion files, written by hand, whose joint positions can be computed on paper."""

from functools import cache
from pathlib import Path

from tests.shared import shared
from unbraid.world.capture import Capture, open_motion

# A person with all the names of CMU skeletons, T-pose, limbs along the axes, one unit = 1 inch / 0.5.
BONES = {
    "lfemur": ("root", (0, -1, 0), 8, "rx ry rz"),
    "ltibia": ("lfemur", (0, -1, 0), 8, "rx"),
    "lfoot": ("ltibia", (0, 0, 1), 4, ""),
    "rfemur": ("root", (0, -1, 0), 8, "rx ry rz"),
    "rtibia": ("rfemur", (0, -1, 0), 8, "rx"),
    "rfoot": ("rtibia", (0, 0, 1), 4, ""),
    "thorax": ("root", (0, 1, 0), 10, ""),
    "head": ("thorax", (0, 1, 0), 4, ""),
    "lhumerus": ("thorax", (1, 0, 0), 6, "rz ry"),
    "lradius": ("lhumerus", (1, 0, 0), 5, ""),
    "rhumerus": ("thorax", (-1, 0, 0), 6, ""),
    "rradius": ("rhumerus", (-1, 0, 0), 5, ""),
}
HIPS = {"lhip": ("root", (1, 0, 0), 2, ""), "rhip": ("root", (-1, 0, 0), 2, "")}


def asf(*, axes: str = "0 0 0 XYZ", length: str = "0.5", angle: str = "deg") -> str:
    """The skeleton; `axes` are those of the left femur."""
    bones = {**HIPS, **BONES}
    parents = {name: row[0] for name, row in bones.items()}
    parents["lfemur"], parents["rfemur"] = "lhip", "rhip"
    text = [":version 1.10", ":name tiny", ":units", "  mass 1.0", f"  length {length}", f"  angle {angle}"]
    text += [":documentation", "  by hand: nobody", ":root", "  order TX TY TZ RX RY RZ", "  axis XYZ"]
    text += ["  position 0 0 0", "  orientation 0 0 0", ":bonedata"]
    for number, (name, (_, direction, size, dof)) in enumerate(bones.items()):
        text += [
            "  begin",
            f"    id {number + 1}",
            f"    name {name}",
            f"    direction {' '.join(map(str, direction))}",
        ]
        text += [f"    length {size}", f"    axis {axes if name == 'lfemur' else '0 0 0 XYZ'}"]
        if dof:
            text += [f"    dof {dof}", "    limits (-180 180)", *["           (-180 180)"] * dof.count(" ")]
        text.append("  end")
    text += [":hierarchy", "  begin"]
    children: dict[str, list[str]] = {}
    for name, parent in parents.items():
        children.setdefault(parent, []).append(name)
    text += [f"    {parent} {' '.join(below)}" for parent, below in children.items()]
    return "\n".join([*text, "  end", ""])


def amc(frames: list[dict[str, str]], head: str = ":FULLY-SPECIFIED\n:DEGREES") -> str:
    """The motion; bones that a frame does not name are at rest."""
    still = {"root": "0 18 0 0 0 0", **{name: " ".join("0" * len(row[3].split())) for name, row in BONES.items()}}
    text = [head]
    for number, frame in enumerate(frames):
        text.append(str(number + 1))
        text += [f"{name} {values}" for name, values in {**still, **frame}.items() if values]
    return "\n".join([*text, ""])


LIMBS = (*(("Left", 1), ("Right", -1)),)


def bvh(rows: list[list[float]], *, order: str = "Zrotation Xrotation Yrotation", seconds: float = 1 / 60) -> str:
    """A BVH person in T-pose, 17 joints with 3 channels in `order`, the root with positions before them."""
    lines = ["HIERARCHY", "ROOT Hips", "{", "OFFSET 0 0 0", f"CHANNELS 6 Xposition Yposition Zposition {order}"]

    def joint(name: str, offset: str, *inside: list[str]) -> list[str]:
        own = [f"JOINT {name}", "{", f"OFFSET {offset}", f"CHANNELS 3 {order}"]
        for other in inside:
            own += other
        return [*own, "}"]

    def end(offset: str) -> list[str]:
        return ["End Site", "{", f"OFFSET {offset}", "}"]

    arms: list[list[str]] = []
    for side, sign in LIMBS:
        lines += joint(
            f"{side}UpLeg",
            f"{10 * sign} 0 0",
            joint(f"{side}Leg", "0 -40 0", joint(f"{side}Foot", "0 -45 0", end("0 -5 15"))),
        )
        hand = joint(f"{side}Hand", f"{25 * sign} 0 0", end(f"{10 * sign} 0 0"))
        fore = joint(f"{side}ForeArm", f"{30 * sign} 0 0", hand)
        arms.append(joint(f"{side}Shoulder", f"{5 * sign} 20 0", joint(f"{side}Arm", f"{10 * sign} 0 0", fore)))
    lines += joint("Spine", "0 20 0", *arms, joint("Neck", "0 25 0", joint("Head", "0 10 0", end("0 20 0"))))
    lines += ["}", "MOTION", f"Frames: {len(rows)}", f"Frame Time: {seconds}"]
    return "\n".join([*lines, *(" ".join(f"{value:.6f}" for value in row) for row in rows), ""])


BVH_JOINTS = (
    *("Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "RightUpLeg", "RightLeg", "RightFoot", "Spine"),
    *("LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand"),
    *("RightShoulder", "RightArm", "RightForeArm", "RightHand", "Neck", "Head"),
)


def bvh_row(position: tuple[float, float, float] = (0, 90, 0), **angles: tuple[float, float, float]) -> list[float]:
    """One frame: root position, then three angles in degrees of each joint, 0 where not given."""
    row = list(position)
    for name in BVH_JOINTS:
        row += angles.get(name, (0.0, 0.0, 0.0))
    return row


@cache
def real(name: str) -> Capture:
    """Real motion files, opened once for all tests; skips the test where they are absent."""
    return open_motion(shared(f"data/mocap/{name}"))


def write(path: Path, text: str) -> Path:
    """Write a file, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
