"""Acclaim skeletons (ASF) and motions (AMC).

Source: Acclaim ASF/AMC formats as described by Jeff Lander, Working with Motion Capture File Formats, Game
Developer (January 1998). Lengths are multiplied by 1 / `length` of the units section and taken as inches; with the
0.45 of the CMU database one unit of the file is 0.056444 m.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unbraid.world.capture.clip import END, Clip
from unbraid.world.capture.text import Lines, euler
from unbraid.world.people.skeleton import Floats

INCH = 0.0254
RATE = 120.0
SECTIONS = (":version", ":name", ":units", ":documentation", ":root", ":bonedata", ":hierarchy")
MARKS = (":fully-specified", ":degrees", ":radians", ":samples-per-second")
CHANNELS = ("tx", "ty", "tz", "rx", "ry", "rz")


@dataclass(eq=False)
class Bone:
    """One bone of an ASF file: its axes turned by `axis` (3, 3), free about the letters of `dof` in file order."""

    direction: Floats
    length: float
    axis: Floats
    dof: tuple[str, ...] = ()


@dataclass(eq=False)
class Acclaim:
    """An ASF skeleton. metres: of one unit. radian: of one angle unit. order: the root's channels in file order."""

    bones: dict[str, Bone] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    metres: float = INCH
    radian: float = np.pi / 180
    order: tuple[str, ...] = CHANNELS
    axis: Floats = field(default_factory=lambda: np.eye(3))


def read_amc(path: Path, *, action: str, subject: str | None, rate: float = RATE) -> Clip:
    """The clip of an AMC file with the skeleton beside it.

    The file has no frame rate: `rate` is 120 per second as in the CMU database. The skeleton of 35_01.amc is
    35.asf in the same folder, else the only ASF file of the folder.
    Raises ValueError with file and line for anything that is not as the format says, FileNotFoundError without
    skeleton.
    """
    skeleton = read_asf(skeleton_of(path))
    lines = Lines(path, comment="#")
    frames: list[dict[str, Floats]] = []
    radian = skeleton.radian
    while lines.more():
        words = lines.take("a frame")
        if words[0].startswith(":"):
            mark = words[0].lower()
            if mark not in MARKS:
                lines.fail(f"unknown keyword {words[0]!r}; known: {', '.join(MARKS)}")
            if mark == ":samples-per-second":
                rate = float(lines.numbers(words[1:], 1, "samples per second")[0])
            else:
                radian = {":degrees": np.pi / 180, ":radians": 1.0}.get(mark, radian)
        elif len(words) == 1 and words[0].isdigit():
            if frames:
                _complete(lines, frames[-1], skeleton, len(frames))
            if int(words[0]) != len(frames) + 1:
                lines.fail(f"frame {words[0]} follows frame {len(frames)}; frames must be numbered 1, 2, 3, ...")
            frames.append({})
        else:
            if not frames:
                lines.fail(f"expected the number of the first frame, found {words[0]!r}")
            name = words[0]
            if name in frames[-1] or (name != "root" and name not in skeleton.bones):
                fault = "twice in one frame" if name in frames[-1] else "not in the skeleton"
                lines.fail(f"bone {name!r} is {fault}")
            dof = skeleton.order if name == "root" else skeleton.bones[name].dof
            frames[-1][name] = lines.numbers(words[1:], len(dof), f"bone {name!r} ({' '.join(dof)})")
    if not frames:
        raise ValueError(f"{path}: no frame in the file; it is empty or cut off")
    _complete(lines, frames[-1], skeleton, len(frames))
    return _clip(skeleton, frames, radian, rate, action, subject, str(path))


def skeleton_of(path: Path) -> Path:
    """The ASF file that belongs to an AMC file. Raises FileNotFoundError saying what was looked for."""
    own = path.with_name(path.stem.rsplit("_", 1)[0] + ".asf")
    others = sorted(path.parent.glob("*.asf"))
    if own.is_file():
        return own
    if len(others) == 1:
        return others[0]
    raise FileNotFoundError(
        f"{path}: no skeleton; expected {own.name} beside it, or exactly one .asf file in the folder, "
        f"found {[o.name for o in others] or 'none'}"
    )


def read_asf(path: Path) -> Acclaim:
    """The skeleton of an ASF file. Raises ValueError with file and line for anything out of format."""
    lines, found, section = Lines(path, comment="#"), Acclaim(), ""
    while lines.more():
        words = lines.take("a section")
        if words[0].startswith(":"):
            section = words[0].lower()
            if section not in SECTIONS:
                lines.fail(f"unknown section {words[0]!r}; known: {', '.join(SECTIONS)}")
        elif section == ":units":
            _unit(lines, words, found)
        elif section == ":root":
            _root(lines, words, found)
        elif section == ":bonedata":
            _bone(lines, words, found)
        elif section == ":hierarchy":
            _children(lines, words, found)
        elif section not in (":version", ":name", ":documentation"):
            lines.fail(f"expected a section such as ':units', found {words[0]!r}")
    lost = [name for name in found.bones if name not in found.parents]
    if not found.bones or lost:
        raise ValueError(f"{path}: bones without a place in the hierarchy: {lost or 'no bone at all'}")
    return found


def _unit(lines: Lines, words: list[str], found: Acclaim) -> None:
    if words[0] == "length":
        found.metres = INCH / float(lines.numbers(words[1:], 1, "length unit")[0])
    elif words[0] == "angle":
        if words[1:] not in (["deg"], ["rad"]):
            lines.fail(f"the angle unit must be 'deg' or 'rad', found {' '.join(words[1:])!r}")
        found.radian = np.pi / 180 if words[1] == "deg" else 1.0
    elif words[0] != "mass":
        lines.fail(f"unknown unit {words[0]!r}; known: mass, length, angle")


def _root(lines: Lines, words: list[str], found: Acclaim) -> None:
    if words[0] == "order":
        found.order = tuple(word.lower() for word in words[1:])
        if sorted(found.order) != sorted(CHANNELS):
            lines.fail(f"the root needs the six channels {' '.join(CHANNELS)}, found {' '.join(words[1:])!r}")
    elif words[0] == "axis":
        _axes(lines, words[1:])
    elif words[0] == "position":
        lines.numbers(words[1:], 3, "root position")
    elif words[0] == "orientation":
        angles = lines.numbers(words[1:], 3, "root orientation")
        found.axis = euler("zyx", angles[::-1] * found.radian)
    else:
        lines.fail(f"unknown root entry {words[0]!r}; known: order, axis, position, orientation")


def _bone(lines: Lines, words: list[str], found: Acclaim) -> None:
    if words != ["begin"]:
        lines.fail(f"expected 'begin' of a bone, found {words[0]!r}")
    name, bone = "", Bone(np.zeros(3), 0.0, np.eye(3))
    in_limits = False
    while (words := lines.take("'end' of a bone")) != ["end"]:
        key, rest = words[0], words[1:]
        if key == "name" and len(rest) == 1:
            name = rest[0]
        elif key == "direction":
            bone.direction = lines.numbers(rest, 3, "direction")
        elif key == "length":
            bone.length = float(lines.numbers(rest, 1, "length")[0]) * found.metres
        elif key == "axis":
            letters = _axes(lines, rest[3:])
            angles = lines.numbers(rest[:3], 3, "axis") * found.radian
            bone.axis = euler(letters[::-1], angles[::-1])
        elif key == "dof":
            bone.dof = tuple(word.lower() for word in rest)
            if not set(bone.dof) <= {"rx", "ry", "rz"} or len(set(bone.dof)) != len(bone.dof):
                lines.fail(f"degrees of freedom must be among rx ry rz, found {' '.join(rest)!r}")
        elif key not in ("id", "limits", "bodymass", "cofmass") and not (in_limits and key.startswith("(")):
            lines.fail(f"unknown bone entry {key!r}")
        in_limits = key == "limits" or (in_limits and key.startswith("("))
    length = float(np.linalg.norm(bone.direction))
    if not name or name in found.bones or name == "root" or length == 0:
        lines.fail(f"a bone needs a name of its own and a direction that is not zero; this one is {name!r}")
    bone.direction = bone.direction / length
    found.bones[name] = bone


def _axes(lines: Lines, words: list[str]) -> str:
    letters = "".join(words).lower()
    if sorted(letters) != ["x", "y", "z"]:
        lines.fail(f"expected an order of axes such as XYZ, found {' '.join(words)!r}")
    return letters


def _children(lines: Lines, words: list[str], found: Acclaim) -> None:
    if words in (["begin"], ["end"]):
        return
    parent, *children = words
    for name in (parent, *children):
        if name != "root" and name not in found.bones:
            lines.fail(f"unknown bone {name!r} in the hierarchy")
    if parent != "root" and parent not in found.parents:
        lines.fail(f"bone {parent!r} has children before it has a parent")
    for child in children:
        if child in found.parents or child == "root":
            lines.fail(f"bone {child!r} has two parents")
        found.parents[child] = parent


def _complete(lines: Lines, frame: dict[str, Floats], skeleton: Acclaim, number: int) -> None:
    missing = [n for n in ("root", *(n for n, b in skeleton.bones.items() if b.dof)) if n not in frame]
    if missing:
        lines.fail(f"frame {number} ends without {', '.join(missing[:5])}; the file is cut off or damaged")


def _clip(
    skeleton: Acclaim,
    frames: list[dict[str, Floats]],
    radian: float,
    rate: float,
    action: str,
    subject: str | None,
    file: str,
) -> Clip:
    """Bones of the file, which end where their children begin, as joints at their beginnings."""
    names = ["root", *skeleton.parents]  # every parent stands before its children
    leaves = [name for name in names[1:] if name not in skeleton.parents.values()]
    joints = [*names, *(leaf + END for leaf in leaves)]
    parents = [
        -1,
        *(names.index(skeleton.parents[name]) for name in names[1:]),
        *(names.index(leaf) for leaf in leaves),
    ]
    offsets = np.zeros((len(joints), 3))
    for number, parent in enumerate(parents):
        if parent > 0:
            bone = skeleton.bones[names[parent]]
            offsets[number] = bone.direction * bone.length
    rotations = np.tile(np.eye(3), (len(frames), len(joints), 1, 1))
    root = np.stack([frame["root"] for frame in frames])
    place = [skeleton.order.index(channel) for channel in ("tx", "ty", "tz")]
    turns = [c for c in skeleton.order if c.startswith("r")]
    angles = root[:, [skeleton.order.index(c) for c in turns]] * radian
    rotations[:, 0] = euler("".join(c[1] for c in turns)[::-1], angles[:, ::-1]) @ skeleton.axis
    for name, bone in skeleton.bones.items():
        if bone.dof:
            angles = np.stack([frame[name] for frame in frames]) * radian
            # The first channel of a bone is applied first, so it is the rightmost factor.
            own = euler("".join(d[1] for d in bone.dof)[::-1], angles[:, ::-1])
            rotations[:, names.index(name)] = bone.axis @ own @ bone.axis.T
    return Clip(
        joints=tuple(joints),
        parents=tuple(parents),
        offsets=offsets,
        rotations=rotations,
        translation=root[:, place] * skeleton.metres,
        rate=rate,
        subject=subject,
        action=action,
        file=file,
    )
