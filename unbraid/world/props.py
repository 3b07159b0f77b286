"""Pieces of a costume with a mesh of their own: skirts, hoods, backpacks, long hair."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unbraid.world.skeleton import INDEX, Floats

AROUND, ALONG = 28, 12


@dataclass(frozen=True, eq=False)
class Piece:
    """A mesh in rest coordinates: points (N, 3), faces (F, 3) int32 outwards, four bones and weights per vertex."""

    points: Floats
    faces: NDArray[np.int32]
    bone_index: NDArray[np.int32]
    bone_weight: NDArray[np.float32]


def blob(centre: Floats, radii: tuple[float, float, float], bone: str, *, roundness: float = 1.0) -> Piece:
    """A closed superellipsoid that moves with one bone; roundness 1 is an ellipsoid, near 0 a box."""
    polar = np.linspace(0, np.pi, ALONG + 1)[:, None]
    turn = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)[None, :]

    def power(wave: Floats) -> Floats:
        return np.asarray(np.sign(wave) * np.abs(wave) ** roundness)

    ring = power(np.sin(polar))
    x, y = ring * power(np.cos(turn)), ring * power(np.sin(turn))
    unit = np.stack([x, y, np.broadcast_to(power(np.cos(polar)), x.shape)], axis=-1)
    points = centre + unit.reshape(-1, 3) * np.array(radii)
    index = np.full((len(points), 4), INDEX[bone], np.int32)
    weight = np.tile(np.array([1, 0, 0, 0], np.float32), (len(points), 1))
    return Piece(points=points, faces=tube_faces(ALONG + 1), bone_index=index, bone_weight=weight)


def tube_faces(rings: int) -> NDArray[np.int32]:
    """Triangles (F, 3) between rings of AROUND vertices, first ring on top, each counter-clockwise seen from above."""
    ring, step = np.meshgrid(np.arange(rings - 1), np.arange(AROUND), indexing="ij")
    here, beside = ring * AROUND + step, ring * AROUND + (step + 1) % AROUND
    upper = np.stack([here, here + AROUND, beside], axis=-1)
    lower = np.stack([beside, here + AROUND, beside + AROUND], axis=-1)
    return np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)]).astype(np.int32)


def skirt(joints: Floats, trunk: Floats, *, hem: float, flare: float) -> Piece:
    """The hanging part of a coat or dress: a tube from the waist to the hem that follows both thighs.

    trunk (N, 3): dressed vertices of trunk and thighs. hem: share of the way from hip to ankle. flare: widening
    towards the hem, as a share of the width.
    """
    hip = joints[[INDEX["left_thigh"], INDEX["right_thigh"]]].mean(0)
    ankle = joints[[INDEX["left_foot"], INDEX["right_foot"]], 2].mean()
    centre = np.array([0.0, trunk[np.abs(trunk[:, 2] - hip[2]) < 0.05, 1].mean()])
    heights = np.linspace(hip[2] + 0.16, hip[2] - hem * (hip[2] - ankle), ALONG)
    turn = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
    directions = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    widest, rings = np.zeros(AROUND), []
    for number, height in enumerate(heights):
        band = trunk[np.abs(trunk[:, 2] - height) < 0.03, :2] - centre
        if len(band):
            # Directional extent: the cloth spans hollows, so it follows the outline's convex hull.
            widest = np.maximum(widest, (band @ directions.T).max(0))
        radius = (widest + 0.012) * (1 + flare * max(0.0, number / (ALONG - 1) - 0.35))
        rings.append(np.column_stack([centre + radius[:, None] * directions, np.full(AROUND, height)]))
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


def hood(joints: Floats, trunk: Floats) -> Piece:
    """A hood that lies behind the neck."""
    neck = joints[INDEX["neck"]]
    back = trunk[np.abs(trunk[:, 2] - neck[2] + 0.05) < 0.04, 1].max()
    return blob(np.array([0.0, back - 0.015, neck[2] - 0.015]), (0.105, 0.055, 0.075), "chest")


def long_hair(joints: Floats, hair: Floats) -> Piece:
    """Hair that hangs behind the neck to the shoulders; hair (N, 3): vertices of the head's own hair."""
    top, back = hair[:, 2].max(), hair[:, 1].max()
    bottom = joints[INDEX["neck"], 2] - 0.06
    radii = (0.085, 0.06, float(top - bottom) / 2 - 0.03)
    return blob(np.array([0.0, back - 0.055, (top + bottom) / 2 - 0.03]), radii, "head")
