"""A recorded motion as its file holds it, with the skeleton of its own file and nothing decided about ours."""

from dataclasses import dataclass, replace

import numpy as np

from unbraid.world.people.skeleton import Floats

END = " end"
SHORTEST = 0.5
LEAP = 0.1
LEAP_RATIO = 8.0


@dataclass(frozen=True, eq=False)
class Clip:
    """T frames of a tree of J joints.

    joints: names, a parent before its children; the tip of a limb is a joint named '<parent> end'.
    parents: number of each parent, -1 for the first joint only. offsets (J, 3): from the parent to the joint in the
    zero pose, metres (BVH: the unit of the file). rotations (T, J, 3, 3): local, on column vectors; all-identity
    rotations are the zero pose of the file. translation (T, 3): position of the first joint in the same unit.
    rate: frames per second. subject: None when it is not known who moved. file: where it was read, for messages.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Floats
    rotations: Floats
    translation: Floats
    rate: float
    subject: str | None
    action: str
    file: str

    def __post_init__(self) -> None:
        count, frames = len(self.joints), len(self.rotations)
        shapes = (self.offsets.shape, self.rotations.shape, self.translation.shape)
        if len(self.parents) != count or shapes != ((count, 3), (frames, count, 3, 3), (frames, 3)):
            raise ValueError(f"{self.file}: arrays of {count} joints and {frames} frames do not fit: {shapes}")
        if not all(-1 <= parent < number for number, parent in enumerate(self.parents)) or self.parents.count(-1) != 1:
            raise ValueError(f"{self.file}: the joints are no tree with one root and parents before children")
        for what, values in (("offsets", self.offsets), ("root positions", self.translation)):
            if not np.isfinite(values).all():
                raise ValueError(f"{self.file}: {what} must be finite; found NaN or infinity")
        if not np.isfinite(self.rotations).all():
            frame = int(np.nonzero(~np.isfinite(self.rotations).all((1, 2, 3)))[0][0])
            raise ValueError(f"{self.file}: rotations must be finite; found NaN or infinity in frame {frame}")
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"{self.file}: the frame rate must be positive; got {self.rate}")

    @property
    def seconds(self) -> float:
        """Time from the first frame to the last."""
        return max(len(self.rotations) - 1, 0) / self.rate

    def rest(self) -> Floats:
        """Joint positions (J, 3) of the zero pose, the first joint at the origin."""
        placed = np.zeros_like(self.offsets)
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                placed[joint] = placed[parent] + self.offsets[joint]
        return placed

    def turned(self) -> Floats:
        """Global rotations (T, J, 3, 3) away from the zero pose."""
        turned = np.empty_like(self.rotations)
        for joint, parent in enumerate(self.parents):
            own = self.rotations[:, joint]
            turned[:, joint] = own if parent < 0 else turned[:, parent] @ own
        return turned

    def positions(self) -> Floats:
        """Joint positions (T, J, 3) by forward kinematics, in the axes and unit of the file."""
        turned = self.turned()
        placed = np.empty((*self.rotations.shape[:2], 3))
        for joint, parent in enumerate(self.parents):
            placed[:, joint] = (
                self.translation if parent < 0 else placed[:, parent] + turned[:, parent] @ self.offsets[joint]
            )
        return placed


def without_rest_frame(clip: Clip) -> Clip:
    """The clip without its first frame when that is a calibration pose, else the clip itself.

    Many files begin with one frame in T-pose. It is recognised by its step to the second frame: more than LEAP
    radians in the mean over the joints and LEAP_RATIO times the median step of the rest of the clip.
    Source: not in a paper; chosen because the fastest first step of the real clips we tried is far below.
    """
    if len(clip.rotations) < 4:
        return clip
    steps = np.swapaxes(clip.rotations[:-1], -1, -2) @ clip.rotations[1:]
    moving = (clip.rotations != clip.rotations[:1]).any((0, 2, 3))
    if not moving.any():
        return clip
    cosine = (np.trace(steps[:, moving], axis1=-2, axis2=-1) - 1) / 2
    angle = np.arccos(np.clip(cosine, -1.0, 1.0)).mean(-1)
    if angle[0] > LEAP and angle[0] > LEAP_RATIO * float(np.median(angle[1:])):
        return replace(clip, rotations=clip.rotations[1:], translation=clip.translation[1:])
    return clip


def long_enough(clip: Clip) -> Clip:
    """The clip itself. Raises ValueError when it is shorter than SHORTEST seconds."""
    if clip.seconds < SHORTEST:
        raise ValueError(
            f"{clip.file}: a clip must last at least {SHORTEST} s; this one has {len(clip.rotations)} frames at "
            f"{clip.rate:g} per second ({clip.seconds:.2f} s); remove it"
        )
    return clip
