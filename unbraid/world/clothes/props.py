"""Pieces of a costume with a mesh of their own: skirts, hoods, bags, boxes, umbrellas."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unbraid.world.people.skeleton import INDEX, Floats, turn_between

AROUND, ALONG = 28, 12
# metres
BOX_HALF_HEIGHT, BOX_HALF_DEPTH = 0.12, 0.14
CANOPY_RADIUS, CANOPY_RISE, CANOPY_ABOVE_HEAD, BELOW_HAND = 0.52, 0.27, 0.11, 0.14
# How far the shaft of an umbrella leans towards the head, radians.
UMBRELLA_TILT = 0.2
PANELS = 8
SHOE_GAP, SHOE_RINGS, SHOE_AROUND = 0.004, 11, 16


@dataclass(frozen=True, eq=False)
class Piece:
    """A mesh in rest coordinates: points (N, 3), faces (F, 3) int32 outwards, four bones and weights per vertex."""

    points: Floats
    faces: NDArray[np.int32]
    bone_index: NDArray[np.int32]
    bone_weight: NDArray[np.float32]


def rigid(points: Floats, faces: NDArray[np.int32], bone: str) -> Piece:
    """A piece that moves with one bone."""
    index = np.full((len(points), 4), INDEX[bone], np.int32)
    weight = np.tile(np.array([1, 0, 0, 0], np.float32), (len(points), 1))
    return Piece(points=points, faces=faces, bone_index=index, bone_weight=weight)


def blob(centre: Floats, radii: tuple[float, float, float], bone: str, *, roundness: float = 1.0) -> Piece:
    """A closed superellipsoid that moves with one bone; roundness 1 is an ellipsoid, near 0 a box."""
    polar = np.linspace(0, np.pi, ALONG + 1)[:, None]
    turn = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)[None, :]

    def power(wave: Floats) -> Floats:
        return np.asarray(np.sign(wave) * np.abs(wave) ** roundness)

    ring = power(np.sin(polar))
    x, y = ring * power(np.cos(turn)), ring * power(np.sin(turn))
    unit = np.stack([x, y, np.broadcast_to(power(np.cos(polar)), x.shape)], axis=-1)
    return rigid(centre + unit.reshape(-1, 3) * np.array(radii), tube_faces(ALONG + 1), bone)


def tube_faces(rings: int, around: int = AROUND) -> NDArray[np.int32]:
    """Triangles (F, 3) between rings of `around` vertices, first ring on top, each counter-clockwise from above."""
    ring, step = np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij")
    here, beside = ring * around + step, ring * around + (step + 1) % around
    upper = np.stack([here, here + around, beside], axis=-1)
    lower = np.stack([beside, here + around, beside + around], axis=-1)
    return np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)]).astype(np.int32)


def directions(around: int = AROUND) -> Floats:
    """Horizontal unit vectors (around, 2), counter-clockwise from above."""
    turn = np.linspace(0, 2 * np.pi, around, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def skirt(joints: Floats, trunk: Floats, *, hem: float, flare: float) -> Piece:
    """The hanging part of a coat or dress: a tube from the waist to the hem that follows both thighs.

    trunk (N, 3): dressed vertices of trunk and thighs. hem: share of the way from hip to ankle. flare: widening
    towards the hem, as a share of the width.
    """
    hip = joints[[INDEX["left_thigh"], INDEX["right_thigh"]]].mean(0)
    ankle = joints[[INDEX["left_foot"], INDEX["right_foot"]], 2].mean()
    centre = np.array([0.0, trunk[np.abs(trunk[:, 2] - hip[2]) < 0.05, 1].mean()])
    heights = np.linspace(hip[2] + 0.16, hip[2] - hem * (hip[2] - ankle), ALONG)
    widest, rings = np.zeros(AROUND), []
    for number, height in enumerate(heights):
        band = trunk[np.abs(trunk[:, 2] - height) < 0.03, :2] - centre
        if len(band):
            # Directional extent: the cloth spans hollows, so it follows the outline's convex hull.
            widest = np.maximum(widest, (band @ directions().T).max(0))
        radius = (widest + 0.012) * (1 + flare * max(0.0, number / (ALONG - 1) - 0.35))
        rings.append(np.column_stack([centre + radius[:, None] * directions(), np.full(AROUND, height)]))
    points = np.concatenate(rings)
    loose = 0.72 * np.clip((hip[2] + 0.05 - points[:, 2]) / 0.30, 0, 1)
    left = np.clip(0.5 + points[:, 0] / (1.2 * np.abs(points[:, 0]).max()), 0, 1)
    weight = np.stack([1 - loose, loose * left, loose * (1 - left), np.zeros(len(points))], axis=1)
    bones = np.array([INDEX["root"], INDEX["left_thigh"], INDEX["right_thigh"], INDEX["root"]], np.int32)
    index = np.tile(bones, (len(points), 1))
    return Piece(points=points, faces=tube_faces(ALONG), bone_index=index, bone_weight=weight.astype(np.float32))


def backpack(joints: Floats, trunk: Floats) -> Piece:
    """A rounded box on the back between shoulders and waist."""
    shoulder = joints[INDEX["left_upper_arm"]]
    top, bottom = shoulder[2] + 0.02, joints[INDEX["spine"], 2] + 0.08
    back = trunk[(np.abs(trunk[:, 2] - (top + bottom) / 2) < 0.12) & (np.abs(trunk[:, 0]) < 0.1), 1].max()
    radii = (0.82 * abs(float(shoulder[0])), 0.085, float(top - bottom) / 2)
    return blob(np.array([0.0, back + 0.065, (top + bottom) / 2]), radii, "chest", roundness=0.35)


def shoulder_bag(joints: Floats, trunk: Floats) -> Piece:
    """A flat rounded bag at the left hip, a little behind it, where the strap of `tailoring.strap_line` ends.

    trunk (N, 3): dressed vertices of trunk and thighs with the skirt.
    """
    hip = joints[INDEX["left_thigh"]]
    centre = np.array([0.0, hip[1] + 0.05, hip[2] - 0.01])
    beside = (np.abs(trunk[:, 1:] - centre[1:]) < (0.08, 0.10)).all(1)
    centre[0] = trunk[beside, 0].max() + 0.035
    return blob(centre, (0.05, 0.15, 0.115), "root", roundness=0.4)


def belt(trunk: Floats, low: float, high: float, bone: str) -> Piece:
    """A closed band around the trunk between two rest heights, 4 mm above its convex outline.

    trunk (N, 3): dressed vertices of the trunk without the arms.
    """
    rings = []
    for height, gap in ((high, -0.01), (high, 0.004), (low, 0.004), (low, -0.01)):
        band = trunk[np.abs(trunk[:, 2] - height) < 0.03, :2]
        centre = (band.min(0) + band.max(0)) / 2
        radius = ((band - centre) @ directions().T).max(0) + gap
        rings.append(np.column_stack([centre + radius[:, None] * directions(), np.full(AROUND, height)]))
    rings.append(rings[0])
    return rigid(np.concatenate(rings), tube_faces(5), bone)


def shoe(foot: Floats, bone: str) -> Piece:
    """A closed shoe without toes: the convex outline of a foot, slice by slice, and SHOE_GAP more.

    foot (N, 3): vertices of one foot up to the rim of the shoe.
    """
    heel, toes = float(foot[:, 1].max()), float(foot[:, 1].min())
    depths = np.linspace(heel, toes, SHOE_RINGS)
    width = 0.9 * (heel - toes) / (SHOE_RINGS - 1)
    ring, rings = directions(SHOE_AROUND), []
    for depth in depths:
        outline = foot[np.abs(foot[:, 1] - depth) < width][:, [2, 0]]
        low, high = outline.min(0), outline.max(0)
        centre = (low + high) / 2
        # The farthest extent as a radius overshoots between the axes, so corners are cut back to a box.
        radius = ((outline - centre) @ ring.T).max(0) + SHOE_GAP
        flat = np.clip(centre + radius[:, None] * ring, low - SHOE_GAP, high + SHOE_GAP)
        rings.append(np.column_stack([flat[:, 1], np.full(SHOE_AROUND, depth), flat[:, 0]]))
    ends = []
    for last, beyond in ((rings[0], 0.004), (rings[-1], -0.012)):
        middle = last.mean(0)
        steps = ((0.0, 1.0), (0.5, 0.8), (0.85, 0.45))
        ends.append([middle + np.array([0.0, share * beyond, 0.0]) + size * (last - middle) for size, share in steps])
    rings = ends[0] + rings + ends[1][::-1]
    return rigid(np.concatenate(rings), tube_faces(len(rings), SHOE_AROUND), bone)


def hood(joints: Floats, trunk: Floats) -> Piece:
    """A hood that lies behind the neck."""
    neck = joints[INDEX["neck"]]
    back = trunk[np.abs(trunk[:, 2] - neck[2] + 0.05) < 0.04, 1].max()
    return blob(np.array([0.0, back - 0.015, neck[2] - 0.015]), (0.105, 0.055, 0.075), "chest")


def box(trunk: Floats, hands: tuple[Floats, Floats]) -> Piece:
    """A cardboard box between the hands, in front of the body; moves with the chest.

    trunk (N, 3): dressed vertices of the trunk. hands: vertices (N, 3) of the left and the right hand where they are
    in rest coordinates of the chest (see `holding.holding_pose`).
    """
    left, right = (np.median(hand, axis=0) for hand in hands)
    centre = (left + right) / 2 + np.array([0.0, 0.0, 0.04])
    band = trunk[np.abs(trunk[:, 2] - centre[2]) < BOX_HALF_HEIGHT]
    front, back = centre[1] - BOX_HALF_DEPTH, min(centre[1] + BOX_HALF_DEPTH, float(band[:, 1].min()) - 0.015)
    low = np.array([right[0] + 0.012, front, centre[2] - BOX_HALF_HEIGHT])
    high = np.array([left[0] - 0.012, back, centre[2] + BOX_HALF_HEIGHT])
    return cuboid(low, high, "chest")


def cuboid(low: Floats, high: Floats, bone: str) -> Piece:
    """A box from corner `low` (3,) to `high` (3,) with sharp edges: four vertices of its own per side."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    corners = []
    for axis in range(3):
        for end in (0, 1):
            side = np.empty((4, 3))
            side[:, axis] = end
            # Counter-clockwise seen from outside: the other two axes in cyclic order, turned over on the low side.
            side[:, [(axis + 1) % 3, (axis + 2) % 3]] = square if end else square[::-1]
            corners.append(side)
    faces = np.arange(0, 24, 4)[:, None, None] + np.array([[0, 1, 2], [0, 2, 3]])
    return rigid(low + np.concatenate(corners) * (high - low), faces.reshape(-1, 3).astype(np.int32), bone)


def umbrella(crown: Floats, grip: Floats) -> list[Piece]:
    """Canopy and shaft of an open umbrella, upright, where they are when the hand holds them.

    crown (3,): top of the head; grip (3,): where the hand holds the shaft; both in rest coordinates of the chest.
    The pieces are given to the right hand; the caller carries them into its rest coordinates.
    """
    towards = crown[:2] - grip[:2]
    lean = np.append(np.sin(UMBRELLA_TILT) * towards / np.linalg.norm(towards), np.cos(UMBRELLA_TILT))
    upright = turn_between(np.array([0.0, 0.0, 1.0]), lean)
    rim = (crown[2] + CANOPY_ABOVE_HEAD - grip[2]) / lean[2]
    share = np.array([0.0, 0.3, 0.58, 0.82, 1.0])
    over = CANOPY_RISE * np.sqrt(1 - 0.92 * share**2) - CANOPY_RISE * np.sqrt(0.08)
    outer = np.column_stack([CANOPY_RADIUS * share, rim + over])
    # The inner side is seen from below, so the canopy is a closed shell.
    canopy = np.concatenate([outer, outer[::-1] - (0.0, 0.012)])
    shaft = np.array([[0, rim + over[0] + 0.05], [0.009, rim], [0.009, -BELOW_HAND + 0.04], [0.016, -BELOW_HAND]])
    shaft = np.concatenate([shaft, [[0, -BELOW_HAND - 0.005]]])
    pieces = []
    for profile, around, dent in ((canopy, 4 * PANELS, 0.05), (shaft, 8, 0.0)):
        points, faces = lathe(profile, around, dent)
        pieces.append(rigid(grip + points @ upright.T, faces, "right_hand"))
    return pieces


def lathe(profile: Floats, around: int, dent: float = 0.0) -> tuple[Floats, NDArray[np.int32]]:
    """Points and faces of a surface of revolution about z; profile (R, 2): radius and height, outside seen from above
    first. dent: by which share the rim draws in between PANELS ribs."""
    ring = directions(around)
    ribs = np.cos(PANELS * np.linspace(0, 2 * np.pi, around, endpoint=False))
    share = profile[:, 0] / profile[:, 0].max()
    radius = profile[:, :1] * (1 - dent * share[:, None] * (1 - ribs) / 2)
    flat = radius[..., None] * ring
    height = np.broadcast_to(profile[:, 1:, None], (len(profile), around, 1))
    return np.concatenate([flat, height], axis=-1).reshape(-1, 3), tube_faces(len(profile), around)
