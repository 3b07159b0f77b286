"""From what a body part does to local rotations: a figure of typical proportions, trunk, arms and jointed legs.

Lengths are in leg lengths (thigh + shank). On the figure's flat foot the ankle is at height 0 when the foot is on the
ground. The real body replaces the figure's proportions later (see `pose`), so they only need to be typical.
"""

from dataclasses import dataclass, field

import numpy as np

from unbraid.world.motion.style import Style, gain
from unbraid.world.people.skeleton import BONES, INDEX, PARENTS, SIDES, Floats, turn

DEGREE = np.pi / 180
# Means over 60 drawn adults in shoes, in leg lengths.
HIP = 0.138
THIGH, SHANK = 0.467, 0.533
TOE, HEEL = np.array((0.0, -0.258, -0.105)), np.array((0.0, 0.07, -0.105))
# A leg that is asked to reach further than this share of its length gives way smoothly; knees stay a little bent.
REACH, LIMIT = 0.99, 0.9992
# Forearms of hanging arms point forwards and a little inwards.
INWARD = 15 * DEGREE


@dataclass(eq=False)
class Figure:
    """Orientations of all bones in the world, (T, 19, 3, 3), being filled in part by part.

    heading (T,): direction of the whole person in radians, 0 towards -y, positive to the own left.
    """

    heading: Floats
    placed: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.placed = np.tile(np.eye(3), (len(self.heading), len(BONES), 1, 1))

    @property
    def facing(self) -> Floats:
        """Rotation (T, 3, 3) of the heading."""
        return turn("z", self.heading)

    def trunk(
        self,
        style: Style,
        *,
        pelvis: Floats,
        pitch: Floats | float = 0.0,
        bend: Floats | float = 0.0,
        twist: Floats | float = 0.0,
        tilt: Floats | float = 0.0,
        nod: Floats | float = 0.0,
    ) -> None:
        """Pelvis to head. pelvis (T, 3, 3): its orientation without heading, before its forward pitch (T,). bend, nod:
        forward flexion of chest and head; twist to the own left, tilt sideways of the chest, all relative to the
        heading, radians. The person's lean and head posture are added."""
        still = np.zeros_like(self.heading)
        bend, pitch = still + bend, still + pitch
        self.placed[:, INDEX["root"]] = self.facing @ pelvis @ turn("x", pitch)
        spine = turn("z", 0.5 * (twist + still)) @ turn("x", (bend + pitch) / 2 + style.lean / 2)
        self.placed[:, INDEX["spine"]] = self.facing @ spine
        chest = turn("z", still + twist) @ turn("y", still + tilt) @ turn("x", bend + style.lean)
        self.placed[:, INDEX["chest"]] = self.facing @ chest
        face = style.lean + style.head + bend + nod
        neck = turn("z", 0.4 * (twist + still)) @ turn("x", face - (0.5 * style.head + 0.5 * style.lean + nod / 2))
        self.placed[:, INDEX["neck"]] = self.facing @ neck
        # Eyes keep most of their direction when the trunk bends.
        self.placed[:, INDEX["head"]] = self.facing @ turn("x", face - 0.7 * style.lean - 0.55 * bend)
        for side, _ in SIDES:
            self.placed[:, INDEX[f"{side}_clavicle"]] = self.placed[:, INDEX["chest"]]

    def arm(
        self,
        sign: int,
        *,
        flexion: Floats,
        abduction: Floats | float,
        elbow: Floats,
        inward: Floats | float = INWARD,
        twist: Floats | float = 0.0,
        shrug: Floats | float = 0.0,
    ) -> None:
        """One arm; hanging is 0. flexion forwards, abduction outwards, axial turn inwards of the upper arm, flexion of
        the elbow, twist (T,): turn of the shoulders relative to the heading, shrug: upward turn of the clavicle, all
        in radians and relative to the vertical."""
        side, still = ("left" if sign > 0 else "right"), np.zeros_like(self.heading)
        upper = turn("y", -sign * (still + abduction)) @ turn("x", -(flexion + still))
        upper = self.facing @ turn("z", still + twist) @ upper @ turn("z", -sign * (still + inward))
        forearm = upper @ turn("x", -np.maximum(elbow + still, 0.03))
        lifted = self.placed[:, INDEX["chest"]] @ turn("y", -sign * (still + shrug))
        for bone, rotation in (("clavicle", lifted), ("upper_arm", upper), ("forearm", forearm), ("hand", forearm)):
            self.placed[:, INDEX[f"{side}_{bone}"]] = rotation

    def leg(self, sign: int, thigh: Floats, shank: Floats, foot: Floats) -> None:
        """One leg, from orientations in the world (T, 3, 3)."""
        side = "left" if sign > 0 else "right"
        for bone, rotation in (("thigh", thigh), ("shank", shank), ("foot", foot)):
            self.placed[:, INDEX[f"{side}_{bone}"]] = rotation

    def stand_on(self, sign: int, style: Style, hips: Floats, ankle: Floats, foot: Floats) -> None:
        """One leg from hip to ankle; the pelvis must be there.

        hips (T, 3): middle between the hip joints. ankle (T, 3): where the ankle is wanted. foot (T, 3, 3): its
        orientation. The knee points between pelvis and foot.
        """
        pelvis = self.placed[:, INDEX["root"]]
        hip = hips + sign * HIP * pelvis[:, :, 0]
        forward = -(pelvis[:, :, 1] + foot[:, :, 1]) / 2
        forward = forward + sign * 0.5 * (gain(style.knee, 1) - 1) * pelvis[:, :, 0]
        thigh, shank = two_bones(ankle - hip, forward)
        self.leg(sign, thigh, shank, foot)

    def local(self) -> Floats:
        """Rotations (T, 19, 3, 3) of every bone relative to its parent."""
        found = self.placed.copy()
        for number, parent in enumerate(PARENTS):
            if parent >= 0:
                found[:, number] = np.swapaxes(self.placed[:, parent], -1, -2) @ self.placed[:, number]
        return found


def two_bones(
    reach: Floats, forward: Floats, *, first: float | Floats = THIGH, second: float | Floats = SHANK, ease: bool = True
) -> tuple[Floats, Floats]:
    """Orientations (T, 3, 3) of two bones of lengths `first` and `second` that end at `reach` (T, 3) from their start.

    Neutral bones hang down and the joint between them bends backwards, so that it points `forward` (T, 3). A reach
    beyond REACH of the whole length is shortened smoothly, never to more than LIMIT; without `ease` only a reach beyond
    the whole length is. Source: law of cosines.
    """
    whole = np.asarray(first + second, np.float64)
    distance = np.linalg.norm(reach, axis=-1)
    share = distance / whole
    beyond = np.maximum(share - REACH, 0.0)
    eased = np.where(share > REACH, LIMIT - (LIMIT - REACH) * np.exp(-beyond / (LIMIT - REACH)), share)
    share = eased if ease else np.minimum(share, 1.0)
    length = np.maximum(share * whole, np.abs(first - second) + 0.05 * whole)
    down = reach / distance[..., None]
    across = np.cross(forward, down)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    frame = np.stack([across, np.cross(-down, across), -down], axis=-1)
    upper = np.arccos((first**2 + length**2 - second**2) / (2 * first * length))
    lower = np.arccos((second**2 + length**2 - first**2) / (2 * second * length))
    return frame @ turn("x", -upper), frame @ turn("x", lower)


def foot_at(spot: Floats, heading: Floats, pitch: Floats, *, rise: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """Ankle (T, 3) and orientation (T, 3, 3) of a foot.

    spot (T, 2): where the ankle of the flat foot is. heading (T,): direction of the toes. pitch (T,): toes up about
    the heel when positive, heel up about the toes when negative, radians. rise: height of the lowest point.
    """
    orientation = turn("z", heading) @ turn("x", -pitch)
    pivot = np.where((pitch > 0)[:, None], HEEL, TOE)
    # The pivot stays where it is on the flat foot.
    ankle = np.einsum("tij,tj->ti", turn("z", heading), pivot) - np.einsum("tij,tj->ti", orientation, pivot)
    ankle[:, :2] += spot
    ankle[:, 2] += rise
    return ankle, orientation


def lowest(ankles: tuple[Floats, ...], feet: tuple[Floats, ...]) -> Floats:
    """Height (T,) of the lowest point of the figure's soles; ankles (T, 3) and feet (T, 3, 3) by foot."""
    heights = [
        ankle[:, 2] + foot[:, 2] @ point - HEEL[2]
        for ankle, foot in zip(ankles, feet, strict=True)
        for point in (TOE, HEEL)
    ]
    return np.asarray(np.min(heights, axis=0))
