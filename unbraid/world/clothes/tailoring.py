"""Where each garment begins and ends on a body, and how cloth drapes over it."""

from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unbraid.world.clothes.wardrobe import Outfit
from unbraid.world.people.body import EYE, LIP, Shape, body_model
from unbraid.world.people.skeleton import INDEX, Floats
from unbraid.world.sensors.raster import vertex_normals

Mask = NDArray[np.bool_]
# rounds of smoothing: how little of the body's relief a garment shows
STIFFNESS = {"t-shirt": 6, "shirt": 8, "hoodie": 16, "coat": 20, "dress": 6, "uniform": 12}
STIFFNESS |= {"jeans": 4, "trousers": 8, "shorts": 10, "wide trousers": 16}
COLLARED = ("shirt", "hoodie", "coat", "uniform")
# Share of the way from hip to ankle at which shoes begin.
SHOE_TOP = 0.965
# How far a vest reaches down the arm.
VEST_SLEEVE = 0.06
HAIR_LINES = {
    "short": (0.17, 0.70),
    "cropped": (0.13, 0.50),
    "medium": (0.18, 0.86),
    "long": (0.19, 1.0),
    "bun": (0.16, 0.74),
}
# Shares of the hair volume that flat hair has.
FLATNESS = {"cropped": 0.3, "bun": 0.5}
# Ears lie within these metres before and behind the head joint.
EAR = 0.05
# metres: half widths of backpack straps and of the strap of a shoulder bag
STRAPS, STRAP = 0.024, 0.019


class Part(IntEnum):
    """What a vertex shows; a true parsing label of every pixel."""

    SKIN = 0
    HAIR = 1
    TOP = 2
    BOTTOM = 3
    SHOE = 4
    BAG = 5
    EYE = 6
    LIP = 7
    HAT = 8
    HELD = 9
    BAND = 10


def parts(shape: Shape, outfit: Outfit) -> NDArray[np.uint8]:
    """Part labels (V,) of the body mesh."""
    region, descent, reach = body_model().region, _descent(shape), _reach(shape)
    part = np.full(len(shape.vertices), int(Part.SKIN), np.uint8)
    lower, arms = both("thigh", "shank", "foot") | owned("root", "spine"), both("upper_arm", "forearm")
    if outfit.top != "dress":
        part[lower & (descent < _leg_end(outfit))] = Part.BOTTOM
    part[(_torso() & (_neckline(shape, outfit) < 0)) | (arms & (reach < outfit.sleeve))] = Part.TOP
    part[lower & (descent < outfit.hem)] = Part.TOP
    if outfit.top == "uniform":
        part[arms & (reach > VEST_SLEEVE) & (reach < outfit.sleeve)] = Part.BOTTOM
    part[both("shank", "foot") & (descent > SHOE_TOP)] = Part.SHOE
    part[owned("head") & (_hair_depth(shape, outfit) < 0)] = Part.HAIR
    part[region == EYE] = Part.EYE
    part[(region == LIP) & (_lip_border(shape) < 0)] = Part.LIP
    part[(part == Part.TOP) & (_torso() | owned("spine")) & (_strap(shape, outfit) < 0)] = Part.BAG
    return part


def edges(shape: Shape, outfit: Outfit) -> Floats:
    """Signed distance (V,) to the border between two parts, negative on the upper, inner or hairy side.

    Inside a triangle with several parts the shader follows the zero line of this field, so that hems, sleeves and
    hair lines are smooth though the mesh is coarse. Units differ between regions; only the zero line counts.
    """
    descent, reach, edge = _descent(shape), _reach(shape), np.zeros(len(shape.vertices))
    lower, arms, torso = both("thigh", "shank", "foot") | owned("root"), both("upper_arm", "forearm"), _torso()
    spine, metres = owned("spine"), shape.joints[INDEX["left_thigh"], 2] - shape.joints[INDEX["left_foot"], 2]
    hems = [descent - outfit.hem, descent - SHOE_TOP]
    if outfit.top != "dress":
        hems.append(descent - _leg_end(outfit))
    edge[lower] = _nearest(*hems)[lower]
    sleeves = [reach - outfit.sleeve] + ([reach - VEST_SLEEVE] if outfit.top == "uniform" else [])
    edge[arms] = _nearest(*sleeves)[arms]
    strap = _strap(shape, outfit)
    edge[spine] = _nearest((descent - outfit.hem) * metres, strap)[spine]
    edge[torso] = _nearest(_neckline(shape, outfit), strap)[torso]
    mouth = body_model().region == LIP
    edge[owned("head")] = np.where(mouth, _lip_border(shape), _hair_depth(shape, outfit))[owned("head")]
    return edge


def draped(shape: Shape, outfit: Outfit, part: NDArray[np.uint8]) -> Floats:
    """Vertices (V, 3) after cloth has hidden the relief of the body and stands off it."""
    points, z = shape.vertices.copy(), shape.vertices[:, 2]
    on_top = np.isin(part, (Part.TOP, Part.BAG))
    for mask, rounds in (
        (on_top, STIFFNESS[outfit.top]),
        (part == Part.BOTTOM, STIFFNESS[outfit.bottom]),
    ):
        rows = _neighbours()[np.flatnonzero(mask)]
        for _ in range(rounds):
            points[mask] = rows @ points
    rest = points.astype(np.float32)
    normals = np.empty_like(rest)
    vertex_normals(rest, body_model().faces, normals)
    neck, hip = shape.joints[INDEX["neck"], 2], shape.joints[INDEX["left_thigh"], 2]
    top = outfit.top_stand_off * np.clip((neck + 0.02 - z) / 0.12, 0.15, 1) + 0.004 * (z < hip + 0.1)
    bottom = outfit.bottom_stand_off * np.clip((hip + 0.12 - z) / 0.2, 0.3, 1)
    away = np.select(
        [
            (part == Part.TOP) | ((part == Part.BOTTOM) & both("upper_arm", "forearm")),
            part == Part.BAG,
            part == Part.BOTTOM,
            part == Part.SHOE,
            part == Part.HAIR,
        ],
        [top, top + 0.008, bottom, 0.002, outfit.hair_volume * FLATNESS.get(outfit.hair, 1.0)],
        0.0,
    )
    # One round of averaging slopes the cloth towards its hems; a step there would fray along the mesh.
    away = _neighbours() @ away
    return np.asarray(points + normals * away[:, None])


@cache
def owned(*bones: str) -> Mask:
    """Vertices (V,) that follow one of the named bones most; not to be written to."""
    return np.isin(body_model().bone_index[:, 0], [INDEX[bone] for bone in bones])


def both(*bones: str) -> Mask:
    """As `owned`, of the bones of this name on both sides."""
    return owned(*(f"{side}_{bone}" for side in ("left", "right") for bone in bones))


def in_shoes(shape: Shape) -> Mask:
    """Vertices (V,) of the feet that shoes hide whatever the ankle does."""
    line = np.flatnonzero(_descent(shape) > SHOE_TOP)
    return np.asarray(both("foot") & (shape.vertices[:, 2] < shape.vertices[line, 2].max() - 0.025))


def strap_line(shape: Shape) -> tuple[Floats, Floats]:
    """Where the strap of a shoulder bag begins and ends, x and z: the right shoulder and the left hip."""
    shoulder, hip = shape.joints[INDEX["right_upper_arm"]], shape.joints[INDEX["left_thigh"]]
    return np.array([0.55 * shoulder[0], shoulder[2] + 0.06]), np.array([hip[0] + 0.07, hip[2] + 0.06])


def _torso() -> Mask:
    return owned("chest", "neck", "left_clavicle", "right_clavicle")


def _nearest(*fields: Floats) -> Floats:
    """Of several signed distances (V,) the one that is nearest to zero."""
    stack = np.stack(fields)
    return np.asarray(np.take_along_axis(stack, np.abs(stack).argmin(0)[None], axis=0)[0])


def _leg_end(outfit: Outfit) -> float:
    """Where trousers end, as a share of the way from hip to ankle; long ones end on the shoe."""
    return SHOE_TOP if outfit.leg > SHOE_TOP - 0.04 else outfit.leg


def _descent(shape: Shape) -> Floats:
    """How far a vertex (V,) is below the hip joints, as a share of the way to the ankles."""
    hip = shape.joints[[INDEX["left_thigh"], INDEX["right_thigh"]], 2].mean()
    ankle = shape.joints[[INDEX["left_foot"], INDEX["right_foot"]], 2].mean()
    return np.asarray((hip - shape.vertices[:, 2]) / (hip - ankle))


def _reach(shape: Shape) -> Floats:
    """How far down its arm a vertex (V,) is: 0 shoulder, 0.5 elbow, 1 wrist; 0 for vertices of no arm."""
    reach = np.zeros(len(shape.vertices))
    for side in ("left", "right"):
        for base, bone, tip in ((0.0, "upper_arm", "forearm"), (0.5, "forearm", "hand")):
            start, end = shape.joints[INDEX[f"{side}_{bone}"]], shape.joints[INDEX[f"{side}_{tip}"]]
            mask = owned(f"{side}_{bone}")
            along = (shape.vertices[mask] - start) @ (end - start) / ((end - start) @ (end - start))
            reach[mask] = base + 0.5 * along
    return reach


def _neckline(shape: Shape, outfit: Outfit) -> Floats:
    """Metres (V,) above the upper border of the top: a level collar, or a round neck that is lower in front."""
    neck, vertices = shape.joints[INDEX["neck"]], shape.vertices
    if outfit.top in COLLARED:
        return np.asarray(vertices[:, 2] - neck[2] - 0.02)
    slope = 0.35 * (vertices[:, 1] - neck[1]) + 0.3 * np.abs(vertices[:, 0])
    return np.asarray(vertices[:, 2] - neck[2] + 0.02 - slope)


def _strap(shape: Shape, outfit: Outfit) -> Floats:
    """Metres (V,) from the border of the nearest strap of a bag; negative under it."""
    x, z = shape.vertices[:, 0], shape.vertices[:, 2]
    if outfit.bag == "backpack":
        aside = np.abs(np.abs(x) - 0.62 * abs(shape.joints[INDEX["left_upper_arm"], 0])) - STRAPS
        return np.asarray(np.maximum(aside, shape.joints[INDEX["chest"], 2] + 0.05 - z))
    if outfit.bag == "shoulder bag":
        start, end = strap_line(shape)
        along = (end - start) / np.linalg.norm(end - start)
        return np.asarray(np.abs((x - start[0]) * along[1] - (z - start[1]) * along[0]) - STRAP)
    return np.full(len(x), np.inf)


def _hair_depth(shape: Shape, outfit: Outfit) -> Floats:
    """How far (V,) a point of the head is below the hair line, in head heights; the line falls from a high
    forehead to a low neck."""
    head = owned("head")
    y, z = shape.vertices[:, 1], shape.vertices[:, 2]
    low, high = z[head].min(), z[head].max()
    backward = (y - y[head].min()) / np.ptp(y[head])
    blend = np.clip((backward - 0.34) / 0.36, 0, 1)
    front, back = HAIR_LINES[outfit.hair]
    limit = front + (back - front) * blend * blend * (3 - 2 * blend)
    depth = (high - z) / (high - low) - limit
    depth[_ears()] = 0.02
    return np.asarray(depth)


def _lip_border(shape: Shape) -> Floats:
    """Negative (V,) inside an ellipse around the mouth, which is smoother than the mesh."""
    lips = body_model().region == LIP
    x, z = shape.vertices[:, 0], shape.vertices[:, 2]
    middle, wide = float(z[lips].mean()), 0.8 * float(x[lips].max())
    return np.asarray((x / wide) ** 2 + ((z - middle) / (0.42 * wide)) ** 2 - 1)


@cache
def _ears() -> Mask:
    """Vertices (V,) of the ears: what stands out from the sides of the mean head."""
    model = body_model()
    x, y, z = model.mean[: model.vertex_count].T
    eyes, lips = (float(z[model.region == region].mean()) for region in (EYE, LIP))
    between = (
        (z > lips - 0.02) & (z < eyes + 0.018) & (np.abs(y - model.mean[model.vertex_count + INDEX["head"], 1]) < EAR)
    )
    skull = np.abs(x[owned("head") & (z > eyes + 0.04)]).max()
    return np.asarray(owned("head") & between & (np.abs(x) > skull + 0.0005))


@cache
def _neighbours() -> Any:
    """Sparse (V, V): the mean over a vertex and its neighbours in the mesh."""
    faces, count = body_model().faces, body_model().vertex_count
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends = np.concatenate([ends, ends[:, ::-1], np.arange(count)[:, None].repeat(2, axis=1)])
    matrix = csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    degree = np.diff(matrix.indptr)
    matrix.data = np.repeat(1.0 / degree, degree)
    return matrix
