"""From a recorded skeleton to our nineteen bones."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from unbraid.world.capture.clip import Clip
from unbraid.world.capture.names import Roles, roles
from unbraid.world.people.skeleton import BONES, INDEX, PARENTS, SIDES, Floats, turn, turn_between

# An arm that hangs in our neutral pose already keeps clear of the hips (`pose.arm_clearance`), and so does a recorded
# one: without this angle, radians, arms would stand away twice. Not in a paper; the usual clearance of our bodies.
CLEARANCE = 0.15
UPRIGHT, OPPOSITE = 0.3, -0.9
# Our feet do not bend at the toes: a foot that points down goes this share of the way, at most so many radians less,
# else its tip would lift the body whenever a recorded heel rises over bent toes.
RIGID_FOOT, RIGID_MOST = 0.62, 0.25
# A joint of a standing foot is as high as this percentile of its heights. The floor is where the lower foot was at its
# lowest within some seconds: recorded floors tilt by centimetres over a walk, and nobody flies for longer. Below the
# first height above it, leg lengths, the person stands, from the second one on the height is the recorded one: standing
# feet roll and markers slip that much.
FLOOR_PERCENTILE = 5
FLOOR_SECONDS = 0.6
STANDS, FLIES = 0.02, 0.06


@dataclass(frozen=True, eq=False)
class Recording:
    """A clip on our bones: rotations (T, 19, 3, 3) local, away from the neutral pose; translation (T, 3) of the root
    in leg lengths (thigh + shank) of the recorded person, our axes; lift (T,): how high the lower foot is above where
    it stands, in leg lengths, 0 while it stands; rate in frames per second."""

    rotations: Floats
    translation: Floats
    lift: Floats
    rate: float
    file: str

    @property
    def frames(self) -> int:
        return len(self.rotations)


def retarget(clip: Clip) -> Recording:
    """The motion of `clip` on our bones.

    A bone's global rotation is (axes) (rotation of its joint away from the zero pose of the file) (axes)^T (from our
    neutral direction of the limb to the direction in that zero pose). Trunk and head have no such last factor: the
    zero pose is taken as someone upright who looks ahead, in whatever pose of arms and legs. There hands are in line
    with forearms, and feet square to the shanks, as in the spread legs of the CMU skeletons, and turned out as the
    toes are. Feet that point down do so less than recorded (RIGID_FOOT).
    Raises ValueError when joints are missing or the zero pose or the motion is not that of someone upright.
    """
    found = roles(clip)
    rest = clip.rest() @ found.axes.T
    align = _alignment(clip, found, rest)
    needed = {found.joints[bone] for bone in BONES} | set(found.tips.values())
    turned = _turned(clip, needed)
    placed = np.stack([found.axes @ turned[found.joints[bone]] @ found.axes.T @ align[bone] for bone in BONES], axis=1)
    for bone in ("left_foot", "right_foot"):
        pitch = np.arcsin(np.clip(-placed[:, INDEX[bone], 2, 1], -1.0, 1.0))
        placed[:, INDEX[bone]] = placed[:, INDEX[bone]] @ turn("x", np.clip((1 - RIGID_FOOT) * pitch, -RIGID_MOST, 0.0))
    upright = float(np.median(placed[:, INDEX["root"], 2, 2]))
    if upright < UPRIGHT:
        raise ValueError(
            f"{clip.file}: the person lies or stands on the head in most frames (the pelvis points up by "
            f"{upright:.2f} of 1); the zero pose and the motion of this file have different upward axes, or it is no "
            "motion of an upright person"
        )
    local = placed.copy()
    for number, parent in enumerate(PARENTS):
        if parent >= 0:
            local[:, number] = np.swapaxes(placed[:, parent], -1, -2) @ placed[:, number]
    leg = _leg(found, rest)
    path = _position(clip, found.joints["root"], turned) @ found.axes.T / leg
    return Recording(local, path, _lift(clip, found, turned) / leg, clip.rate, clip.file)


def _leg(found: Roles, rest: Floats) -> float:
    """Thigh plus shank of the recorded person, mean of both sides; rest (J, 3): joints of the zero pose."""
    return sum(
        float(np.linalg.norm(rest[found.tips[f"{side}_{bone}"]] - rest[found.joints[f"{side}_{bone}"]])) / 2
        for side, _ in SIDES
        for bone in ("thigh", "shank")
    )


def _lift(clip: Clip, found: Roles, turned: dict[int, Floats]) -> Floats:
    """Height (T,) of the lower foot over its floor in the unit of the file, 0 while it stands.

    Not in a paper; chosen so that bodies of other proportions than the recorded one stand on the ground and fly
    where the recorded person did.
    """
    joints = {place[f"{side}_foot"] for place in (found.joints, found.tips) for side, _ in SIDES}
    heights = np.stack([_position(clip, joint, turned) @ found.axes[2] for joint in sorted(joints)])
    reach = max(1, round(FLOOR_SECONDS * clip.rate))
    heights = heights - _floor(heights.min(0), reach)
    low = (heights - np.percentile(heights, FLOOR_PERCENTILE, axis=1, keepdims=True)).min(0)
    rise = np.maximum(low - _floor(low, reach), 0.0)
    share = np.clip((rise / _leg(found, clip.rest()) - STANDS) / (FLIES - STANDS), 0.0, 1.0)
    return np.asarray(rise * share**2 * (3 - 2 * share))


def _floor(low: Floats, reach: int) -> Floats:
    """The smoothed running minimum (T,) of heights."""
    return np.asarray(_windows(_windows(low, reach).min(-1), reach).mean(-1))


def _windows(values: Floats, reach: int) -> Floats:
    """Each value with `reach` neighbours to both sides, (T, 2 reach + 1); the ends are repeated."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(values, reach, mode="edge"), 2 * reach + 1)


def _alignment(clip: Clip, found: Roles, rest: Floats) -> dict[str, Floats]:
    """For each bone the rotation (3, 3) from our neutral pose to the zero pose of the file."""
    align = {bone: np.eye(3) for bone in BONES}
    down = np.array([0.0, 0.0, -1.0])
    for side, sign in SIDES:
        hanging = np.array([sign * np.sin(CLEARANCE), 0.0, -np.cos(CLEARANCE)])
        for bone, neutral in (("thigh", down), ("shank", down), ("upper_arm", hanging), ("forearm", hanging)):
            joint, tip = found.joints[f"{side}_{bone}"], found.tips[f"{side}_{bone}"]
            direction = rest[tip] - rest[joint]
            length = float(np.linalg.norm(direction))
            # Near the opposite of the neutral direction the twist of the limb is a matter of rounding.
            if length < 1e-9 or float(direction @ neutral) < OPPOSITE * length:
                raise ValueError(
                    f"{clip.file}: {clip.joints[joint]!r} points straight up or has no length in the zero pose; "
                    "expected a person who stands with arms hanging or spread"
                )
            align[f"{side}_{bone}"] = turn_between(neutral, direction)
        align[f"{side}_hand"] = align[f"{side}_forearm"]
        shank = align[f"{side}_foot"] = align[f"{side}_shank"]
        x, y, z = shank.T @ (rest[found.tips[f"{side}_foot"]] - rest[found.joints[f"{side}_foot"]])
        heading = float(np.arctan2(x, -y))
        # A foot that points down or backwards in the zero pose says nothing about where the toes are.
        if np.hypot(x, y) > 0.3 * abs(z) and abs(heading) < np.pi / 4:
            align[f"{side}_foot"] = shank @ turn("z", heading)
    return align


def _turned(clip: Clip, needed: set[int]) -> dict[int, Floats]:
    """Global rotations (T, 3, 3) of the needed joints and of all above them."""
    turned: dict[int, Floats] = {}
    wanted = set(needed)
    for joint in needed:
        while clip.parents[joint] >= 0:
            joint = clip.parents[joint]
            wanted.add(joint)
    for joint in sorted(wanted):
        parent, own = clip.parents[joint], clip.rotations[:, joint]
        turned[joint] = own if parent < 0 else turned[parent] @ own
    return turned


def _position(clip: Clip, joint: int, turned: dict[int, Floats]) -> Floats:
    """Where a joint is (T, 3) in the axes and unit of the file."""
    parent = clip.parents[joint]
    if parent < 0:
        return clip.translation
    return np.asarray(_position(clip, parent, turned) + turned[parent] @ clip.offsets[joint])


def between_frames(recording: Recording, places: Floats, first: int, last: int) -> Recording:
    """The recording at `places` (N,) in frames, by Catmull-Rom curves.

    Only frames first ... last - 1 are touched. Quaternions with consistent signs are interpolated and normalised, so
    that even 12 frames per second give a smooth motion that passes through every recorded frame.
    Source: Catmull and Rom, A class of local interpolating splines (1974).
    """
    quaternions = Rotation.from_matrix(recording.rotations[first:last].reshape(-1, 3, 3)).as_quat()
    quaternions = quaternions.reshape(last - first, len(BONES), 4)
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(-1))
    quaternions[1:] *= np.cumprod(np.where(flips == 0, 1.0, flips), axis=0)[..., None]
    path, lift = recording.translation[first:last], recording.lift[first:last, None]
    values = np.concatenate([quaternions.reshape(last - first, -1), path, lift], axis=1)
    base = np.clip(np.floor(places).astype(int), first, last - 2) - first
    part = np.clip(places - first - base, 0.0, 1.0)[:, None]
    before, start, goal, after = (values[np.clip(base + k, 0, last - first - 1)] for k in (-1, 0, 1, 2))
    curve = start + part / 2 * (
        (goal - before)
        + part * ((2 * before - 5 * start + 4 * goal - after) + part * (3 * (start - goal) + after - before))
    )
    turned = Rotation.from_quat(curve[:, :-4].reshape(-1, 4)).as_matrix().reshape(len(places), len(BONES), 3, 3)
    return replace(recording, rotations=turned, translation=curve[:, -4:-1], lift=np.maximum(curve[:, -1], 0.0))
