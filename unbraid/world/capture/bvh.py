"""Biovision hierarchies (BVH).

Source: Meredith and Maddock, Motion Capture File Formats Explained, University of Sheffield (2001): the channels of
a joint are applied to column vectors from left to right in the order of the file, in degrees; the first joint's
position channels add to its offset. The unit of length is not in the file and not guessed: offsets and positions
keep it, and everything that leaves this package is divided by the length of the recorded leg.
"""

from pathlib import Path

import numpy as np

from unbraid.world.capture.clip import END, Clip
from unbraid.world.capture.text import Lines, euler
from unbraid.world.people.skeleton import Floats

POSITIONS = ("xposition", "yposition", "zposition")
ROTATIONS = ("xrotation", "yrotation", "zrotation")


class _Tree:
    """Joints while they are read."""

    def __init__(self) -> None:
        self.joints: list[str] = []
        self.parents: list[int] = []
        self.offsets: list[Floats] = []
        self.channels: list[tuple[str, ...]] = []

    def add(self, name: str, parent: int) -> int:
        self.joints.append(name)
        self.parents.append(parent)
        self.offsets.append(np.zeros(3))
        self.channels.append(())
        return len(self.joints) - 1


def read_bvh(path: Path, *, action: str, subject: str | None) -> Clip:
    """The clip of a BVH file; CHANNELS of any number and order.

    Position channels of joints below the first are read and left out: recorded bones keep the length of their
    offset. Raises ValueError with file and line for anything that is not as the format says.
    """
    lines = Lines(path)
    tree = _hierarchy(lines)
    count, seconds = _motion_head(lines)
    width = sum(len(channels) for channels in tree.channels)
    rows = [
        lines.numbers(lines.take(f"frame {number} of {count}"), width, f"the channels of frame {number}")
        for number in range(1, count + 1)
    ]
    if lines.more():
        lines.take("the end of the file")
        lines.fail(f"more lines than the {count} frames that the file announces")
    values = np.stack(rows)
    rotations = np.tile(np.eye(3), (count, len(tree.joints), 1, 1))
    translation = np.tile(tree.offsets[0], (count, 1))
    first = 0
    for joint, channels in enumerate(tree.channels):
        own = values[:, first : first + len(channels)]
        first += len(channels)
        if joint == 0:
            for column, channel in enumerate(channels):
                if channel in POSITIONS:
                    translation[:, POSITIONS.index(channel)] += own[:, column]
        turning = [column for column, channel in enumerate(channels) if channel in ROTATIONS]
        rotations[:, joint] = euler("".join(channels[c][0] for c in turning), np.radians(own[:, turning]))
    return Clip(
        joints=tuple(tree.joints),
        parents=tuple(tree.parents),
        offsets=np.stack(tree.offsets),
        rotations=rotations,
        translation=translation,
        rate=1 / seconds,
        subject=subject,
        action=action,
        file=str(path),
    )


def _hierarchy(lines: Lines) -> _Tree:
    if lines.take("HIERARCHY")[0].upper() != "HIERARCHY":
        lines.fail("a BVH file must begin with HIERARCHY")
    tree, stack = _Tree(), [-1]
    while lines.peek()[:1] != ["MOTION"]:
        words = lines.take("MOTION")
        key = words[0].upper()
        if key in ("ROOT", "JOINT", "END"):
            if (key == "ROOT") != (not tree.joints) or (len(stack) == 1 and key != "ROOT"):
                lines.fail(f"{words[0]} does not belong here; one ROOT comes first and holds all joints")
            name = tree.joints[stack[-1]] + END if key == "END" else " ".join(words[1:])
            if not name or name in tree.joints:
                lines.fail(f"a joint needs a name of its own, found {name!r}")
            stack.append(tree.add(name, stack[-1]))
            if lines.take("'{'") != ["{"]:
                lines.fail("expected '{' after the name of a joint")
        elif key == "}" and len(stack) > 1:
            joint = stack.pop()
            if not tree.channels[joint] and not tree.joints[joint].endswith(END):
                lines.fail(f"joint {tree.joints[joint]!r} has no CHANNELS")
        elif key == "OFFSET" and len(stack) > 1:
            tree.offsets[stack[-1]] = lines.numbers(words[1:], 3, f"the offset of {tree.joints[stack[-1]]!r}")
        elif key == "CHANNELS" and len(stack) > 1:
            tree.channels[stack[-1]] = _channels(lines, words)
        else:
            lines.fail(f"unexpected {words[0]!r}; expected JOINT, End Site, OFFSET, CHANNELS, '}}' or MOTION")
    if len(stack) > 1 or not tree.joints:
        lines.fail("MOTION begins before all joints are closed with '}'")
    return tree


def _channels(lines: Lines, words: list[str]) -> tuple[str, ...]:
    channels = tuple(word.lower() for word in words[2:])
    if words[1:2] != [str(len(channels))]:
        lines.fail(f"CHANNELS announces {' '.join(words[1:2])} channels and names {len(channels)}")
    if not set(channels) <= {*POSITIONS, *ROTATIONS} or len(set(channels)) != len(channels):
        lines.fail(f"channels must be among Xposition ... Zrotation, each once, found {' '.join(words[2:])!r}")
    return channels


def _motion_head(lines: Lines) -> tuple[int, float]:
    lines.take("MOTION")
    words = lines.take("Frames:")
    if words[0].lower() != "frames:" or len(words) != 2 or not words[1].isdigit() or int(words[1]) < 1:
        lines.fail(f"expected 'Frames: N' with N at least 1, found {' '.join(words)!r}")
    count = int(words[1])
    words = lines.take("Frame Time:")
    if [word.lower() for word in words[:2]] != ["frame", "time:"]:
        lines.fail(f"expected 'Frame Time: SECONDS', found {' '.join(words)!r}")
    seconds = float(lines.numbers(words[2:], 1, "the frame time")[0])
    if not 1e-4 <= seconds <= 1.0:
        lines.fail(f"the frame time must lie in 0.0001 to 1 s, found {seconds:g}")
    return count, seconds
