"""Dressing: an outfit and a rest body become one coloured, skinned mesh."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unbraid.world.body import EYE, LIP, Shape, body_model
from unbraid.world.props import Piece, backpack, hood, long_hair, skirt
from unbraid.world.raster import CHECKS, COLUMNS, HALVES, OPEN_FRONT, PLAIN, ROWS, vertex_normals
from unbraid.world.skeleton import INDEX, Floats
from unbraid.world.wardrobe import COLOURS, HAIR_COLOURS, Outfit, colour

Mask = NDArray[np.bool_]
PATTERN_NUMBERS = {
    "plain": PLAIN,
    "horizontal stripes": ROWS,
    "vertical stripes": COLUMNS,
    "checks": CHECKS,
    "open front": OPEN_FRONT,
    "two halves": HALVES,
}
# rounds of smoothing: how little of the body's relief a garment shows
STIFFNESS = {"t-shirt": 6, "shirt": 8, "hoodie": 16, "coat": 20, "dress": 6}
STIFFNESS |= {"jeans": 4, "trousers": 8, "shorts": 10, "wide trousers": 16}


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


@dataclass(frozen=True, eq=False)
class Costume:
    """A dressed rest body, ready to be posed.

    points, normals (N, 3) float32 in metres; cloth (N, 3): coordinates that carry patterns; faces (F, 3) int32;
    bone_index (N, 4) int32, bone_weight (N, 4) float32; part (N,) uint8; edge (N,) float32: signed distance to
    the border of the part, see `_edges`; colours (8, 3) float32 by Part; second (3,): other colour of the top;
    pattern: number for the shader; waist: rest height between halves; soles (S,): indices of vertices that can
    touch the ground.
    """

    points: NDArray[np.float32]
    normals: NDArray[np.float32]
    cloth: NDArray[np.float32]
    faces: NDArray[np.int32]
    bone_index: NDArray[np.int32]
    bone_weight: NDArray[np.float32]
    part: NDArray[np.uint8]
    edge: NDArray[np.float32]
    colours: NDArray[np.float32]
    second: NDArray[np.float32]
    pattern: int
    waist: float
    soles: NDArray[np.intp]


def dress(shape: Shape, outfit: Outfit, *, skin: Floats, hair: Floats) -> Costume:
    """The mesh of one person in one outfit; skin and hair are RGB (3,) in 0..255."""
    model = body_model()
    part = _parts(shape, outfit)
    points = _draped(shape, outfit, part)
    pieces = _pieces(shape, outfit, points, part)
    start, faces, weights, indices = len(points), [model.faces], [model.bone_weight], [model.bone_index]
    kinds, cloth, meshes, edges = [part], [shape.vertices], [points], [_edges(shape, outfit)]
    for kind, piece in pieces:
        faces.append(piece.faces + np.int32(start))
        start += len(piece.points)
        meshes.append(piece.points)
        cloth.append(piece.points)
        weights.append(piece.bone_weight)
        indices.append(piece.bone_index)
        kinds.append(np.full(len(piece.points), kind, np.uint8))
        edges.append(np.zeros(len(piece.points)))
    whole, triangles = np.concatenate(meshes).astype(np.float32), np.ascontiguousarray(np.concatenate(faces), np.int32)
    normals = np.empty_like(whole)
    vertex_normals(whole, triangles, normals)
    return Costume(
        points=whole,
        normals=normals,
        cloth=np.concatenate(cloth).astype(np.float32),
        faces=triangles,
        bone_index=np.ascontiguousarray(np.concatenate(indices), np.int32),
        bone_weight=np.ascontiguousarray(np.concatenate(weights), np.float32),
        part=np.concatenate(kinds),
        edge=np.concatenate(edges).astype(np.float32),
        colours=_colours(outfit, skin, hair),
        second=(outfit.shade * colour(COLOURS, outfit.second_colour)).astype(np.float32),
        pattern=PATTERN_NUMBERS[outfit.pattern],
        waist=float(shape.joints[INDEX["chest"], 2] + 0.06),
        soles=_soles(shape),
    )


def hair_tone(outfit: Outfit, own: Floats, share: float) -> Floats:
    """RGB of the hair: the outfit's colour, mixed with the person's own by `share`."""
    return np.asarray((1 - share) * colour(HAIR_COLOURS, outfit.hair_colour) + share * own)


def _colours(outfit: Outfit, skin: Floats, hair: Floats) -> NDArray[np.float32]:
    table = np.zeros((len(Part), 3))
    table[Part.SKIN], table[Part.HAIR] = skin, hair
    table[Part.TOP] = outfit.shade * colour(COLOURS, outfit.top_colour)
    table[Part.BOTTOM] = outfit.shade * colour(COLOURS, outfit.bottom_colour)
    table[Part.SHOE] = colour(COLOURS, outfit.shoe_colour)
    table[Part.BAG] = colour(COLOURS, outfit.bag_colour)
    table[Part.EYE] = (46, 36, 32)
    table[Part.LIP] = 0.78 * skin * np.array([1.0, 0.84, 0.84])
    return table.astype(np.float32)


def _owned(*bones: str) -> Mask:
    """Vertices (V,) that follow one of the named bones most."""
    strongest = body_model().bone_index[:, 0]
    return np.isin(strongest, [INDEX[bone] for bone in bones])


def _both(*bones: str) -> Mask:
    return _owned(*(f"{side}_{bone}" for side in ("left", "right") for bone in bones))


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
            mask = _owned(f"{side}_{bone}")
            along = (shape.vertices[mask] - start) @ (end - start) / ((end - start) @ (end - start))
            reach[mask] = base + 0.5 * along
    return reach


def _parts(shape: Shape, outfit: Outfit) -> NDArray[np.uint8]:
    """Part labels (V,) of the body mesh."""
    region, descent = body_model().region, _descent(shape)
    part = np.full(len(shape.vertices), int(Part.SKIN), np.uint8)
    lower = _owned("root") | _both("thigh", "shank")
    part[lower & (descent < outfit.leg)] = Part.BOTTOM
    if outfit.top == "dress":
        part[lower] = Part.SKIN
    sleeves = _both("upper_arm", "forearm") & (_reach(shape) < outfit.sleeve)
    part[_owned("spine", "chest") | _both("clavicle") | sleeves | (lower & (descent < outfit.hem))] = Part.TOP
    if outfit.top in ("shirt", "hoodie", "coat"):
        part[_owned("neck") & (shape.vertices[:, 2] < _collar(shape))] = Part.TOP
    part[_both("foot")] = Part.SHOE
    part[_owned("head") & (_hair_depth(shape, outfit) < 0)] = Part.HAIR
    part[region == EYE] = Part.EYE
    part[(region == LIP) & (part == Part.SKIN)] = Part.LIP
    if outfit.bag:
        chest = (_owned("chest") | _both("clavicle")) & (shape.vertices[:, 2] > shape.joints[INDEX["chest"], 2] + 0.05)
        part[chest & (_strap_distance(shape) < 0)] = Part.BAG
    return part


def _hair_depth(shape: Shape, outfit: Outfit) -> Floats:
    """How far (V,) a point of the head is below the hair line, in head heights; the line falls from a high
    forehead to a low neck."""
    head = _owned("head")
    y, z = shape.vertices[:, 1], shape.vertices[:, 2]
    low, high = z[head].min(), z[head].max()
    backward = (y - y[head].min()) / np.ptp(y[head])
    blend = np.clip((backward - 0.34) / 0.36, 0, 1)
    front, back = {"short": (0.17, 0.70), "cap": (0.13, 0.50), "long": (0.19, 1.0)}[outfit.hair]
    limit = front + (back - front) * blend * blend * (3 - 2 * blend)
    return np.asarray((high - z) / (high - low) - limit)


def _strap_distance(shape: Shape) -> Floats:
    """Metres (V,) sideways from the border of the nearer backpack strap; negative under it."""
    shoulder = abs(shape.joints[INDEX["left_upper_arm"], 0])
    return np.asarray(np.abs(np.abs(shape.vertices[:, 0]) - 0.62 * shoulder) - 0.024)


def _edges(shape: Shape, outfit: Outfit) -> Floats:
    """Signed distance (V,) to the border between two parts, negative on the upper, inner or hairy side.

    Inside a triangle with several parts the shader follows the zero line of this field, so that hems, sleeves and
    hair lines are smooth though the mesh is coarse. Units differ between regions; only the zero line counts.
    """
    descent, edge = _descent(shape), np.zeros(len(shape.vertices))
    lower, arms, torso = _owned("root") | _both("thigh", "shank"), _both("upper_arm", "forearm"), _owned("spine")
    hem, leg = descent - outfit.hem, descent - outfit.leg
    nearest = hem if outfit.top == "dress" else np.where(np.abs(hem) < np.abs(leg), hem, leg)
    edge[lower] = nearest[lower]
    edge[torso] = hem[torso]
    edge[arms] = (_reach(shape) - outfit.sleeve)[arms]
    head, neck = _owned("head"), _owned("neck")
    edge[head] = _hair_depth(shape, outfit)[head]
    edge[neck] = (shape.vertices[:, 2] - _collar(shape))[neck]
    if outfit.bag:
        chest = _owned("chest") | _both("clavicle")
        edge[chest] = _strap_distance(shape)[chest]
    return edge


def _collar(shape: Shape) -> float:
    """Rest height of a collar, metres."""
    return float(shape.joints[INDEX["neck"], 2]) + 0.02


def _draped(shape: Shape, outfit: Outfit, part: NDArray[np.uint8]) -> Floats:
    """Vertices (V, 3) after cloth has hidden the relief of the body and stands off it."""
    points, z = shape.vertices.copy(), shape.vertices[:, 2]
    for kind, rounds in ((Part.TOP, STIFFNESS[outfit.top]), (Part.BOTTOM, STIFFNESS[outfit.bottom])):
        mask = (part == kind) | ((part == Part.BAG) if kind == Part.TOP else False)
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
        [part == Part.TOP, part == Part.BAG, part == Part.BOTTOM, part == Part.SHOE, part == Part.HAIR],
        [top, top + 0.008, bottom, 0.008, outfit.hair_volume * (0.3 if outfit.hair == "cap" else 1.0)],
        0.0,
    )
    # One round of averaging slopes the cloth towards its hems; a step there would fray along the mesh.
    away = _neighbours() @ away
    return np.asarray(points + normals * away[:, None])


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


def _pieces(shape: Shape, outfit: Outfit, points: Floats, part: NDArray[np.uint8]) -> list[tuple[Part, Piece]]:
    """Parts of the costume that are not skin moved outwards."""
    pieces: list[tuple[Part, Piece]] = []
    trunk = _owned("spine", "chest", "root") | _both("clavicle", "thigh")
    if outfit.top in ("coat", "dress"):
        flare = 0.30 if outfit.top == "dress" else 0.10
        pieces.append((Part.TOP, skirt(shape.joints, points[trunk], hem=outfit.hem, flare=flare)))
    if outfit.top == "hoodie":
        pieces.append((Part.TOP, hood(shape.joints, points[trunk])))
    if outfit.bag:
        pieces.append((Part.BAG, backpack(shape.joints, points[trunk])))
    if outfit.hair == "long":
        pieces.append((Part.HAIR, long_hair(shape.joints, points[part == Part.HAIR])))
    return pieces


def _soles(shape: Shape) -> NDArray[np.intp]:
    """Vertices that can touch the ground first: outermost ones of each foot, straight down and slanting."""
    turns = np.arange(8) * np.pi / 4
    directions = [np.array([0.0, 0.0, -1.0])]
    for slope in (0.3, 0.8, 2.0):
        directions += [np.array([np.cos(t), np.sin(t), -slope]) for t in turns]
    found: list[int] = []
    for side in ("left", "right"):
        foot = np.flatnonzero(_owned(f"{side}_foot"))
        found.extend(int(foot[np.argmax(shape.vertices[foot] @ direction)]) for direction in directions)
    return np.unique(np.array(found, np.intp))
