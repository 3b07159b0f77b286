"""Dressing: an outfit and a rest body become one coloured, skinned mesh."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unbraid.world.clothes.headwear import hair_pieces, hat
from unbraid.world.clothes.holding import Held, holding_pose
from unbraid.world.clothes.props import Piece, backpack, belt, box, hood, shoe, shoulder_bag, skirt, umbrella
from unbraid.world.clothes.tailoring import Part, both, draped, edges, in_shoes, owned, parts
from unbraid.world.clothes.wardrobe import COLOURS, HAIR_COLOURS, Outfit, colour
from unbraid.world.people.body import EYE, Shape, body_model
from unbraid.world.people.skeleton import INDEX, SIDES, Floats, rest_to_neutral
from unbraid.world.sensors.raster import CHECKS, COLUMNS, HALVES, OPEN_FRONT, PLAIN, ROWS, vertex_normals

__all__ = ["Costume", "Part", "dress", "hair_tone"]
PATTERN_NUMBERS = {
    "plain": PLAIN,
    "horizontal stripes": ROWS,
    "vertical stripes": COLUMNS,
    "checks": CHECKS,
    "open front": OPEN_FRONT,
    "two halves": HALVES,
}
# Reflective bands of a vest: metres above the chest joint and the bone they follow; their width.
BANDS, BAND_WIDTH = ((0.09, "chest"), (-0.09, "spine")), 0.05
# RGB of things that are the same in every world
BAND_COLOUR, CARDBOARD, EYE_COLOUR = (214, 216, 196), (172, 134, 94), (46, 36, 32)


@dataclass(frozen=True, eq=False)
class Costume:
    """A dressed rest body, ready to be posed: the vertices of the body model first, then those of all pieces.

    points, normals (N, 3) float32 in metres; cloth (N, 3): coordinates that carry patterns; faces (F, 3) int32;
    bone_index (N, 4) int32, bone_weight (N, 4) float32; part (N,) uint8; edge (N,) float32: signed distance to
    the border of the part, see `tailoring.edges`; colours (11, 3) float32 by Part; second (3,): other colour of
    the top; pattern: number for the shader; waist: rest height between halves; soles (S,): indices of vertices that
    can touch the ground. Vertices inside the shoes belong to no face.
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


def dress(shape: Shape, outfit: Outfit, *, skin: Floats, hair: Floats, held: Held = "nothing") -> Costume:
    """The mesh of one person in one outfit; skin and hair are RGB (3,) in 0..255.

    held: a thing that is a piece of the costume, for motions with the arms of `holding.hold(motion, held)`. Raises
    ValueError for an unknown thing.
    """
    model = body_model()
    part = parts(shape, outfit)
    points = draped(shape, outfit, part)
    pieces = _pieces(shape, outfit, points, part, held)
    # Feet are inside shoes: their two thousand vertices stay, but nothing is drawn of them.
    bare = ~in_shoes(shape)[model.faces].all(1)
    start, faces, weights, indices = len(points), [model.faces[bare]], [model.bone_weight], [model.bone_index]
    kinds, cloth, meshes, borders = [part], [shape.vertices], [points], [edges(shape, outfit)]
    soles: list[NDArray[np.intp]] = []
    for kind, piece in pieces:
        if kind == Part.SHOE:
            soles.append(start + _soles(piece.points))
        faces.append(piece.faces + np.int32(start))
        start += len(piece.points)
        meshes.append(piece.points)
        cloth.append(piece.points)
        weights.append(piece.bone_weight)
        indices.append(piece.bone_index)
        kinds.append(np.full(len(piece.points), kind, np.uint8))
        borders.append(np.zeros(len(piece.points)))
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
        edge=np.concatenate(borders).astype(np.float32),
        colours=_colours(outfit, skin, hair, held),
        second=(outfit.shade * colour(COLOURS, outfit.second_colour)).astype(np.float32),
        pattern=PATTERN_NUMBERS[outfit.pattern],
        waist=float(shape.joints[INDEX["chest"], 2] + 0.06),
        soles=np.concatenate(soles),
    )


def hair_tone(outfit: Outfit, own: Floats, share: float) -> Floats:
    """RGB of the hair: the outfit's colour, mixed with the person's own by `share`."""
    return np.asarray((1 - share) * colour(HAIR_COLOURS, outfit.hair_colour) + share * own)


def _colours(outfit: Outfit, skin: Floats, hair: Floats, held: Held) -> NDArray[np.float32]:
    table = np.zeros((len(Part), 3))
    table[Part.SKIN], table[Part.HAIR] = skin, hair
    table[Part.TOP] = outfit.shade * colour(COLOURS, outfit.top_colour)
    table[Part.BOTTOM] = outfit.shade * colour(COLOURS, outfit.bottom_colour)
    table[Part.SHOE] = colour(COLOURS, outfit.shoe_colour)
    table[Part.BAG] = colour(COLOURS, outfit.bag_colour)
    table[Part.HAT] = colour(COLOURS, outfit.hat_colour)
    table[Part.HELD] = CARDBOARD if held == "box" else colour(COLOURS, outfit.held_colour)
    table[Part.BAND] = BAND_COLOUR
    table[Part.EYE] = EYE_COLOUR
    table[Part.LIP] = 0.78 * skin * np.array([1.0, 0.84, 0.84])
    return table.astype(np.float32)


def _pieces(
    shape: Shape, outfit: Outfit, points: Floats, part: NDArray[np.uint8], held: Held
) -> list[tuple[Part, Piece]]:
    """Parts of the costume that are not skin moved outwards."""
    pieces: list[tuple[Part, Piece]] = []
    for side, _ in SIDES:
        foot = owned(f"{side}_foot") & (part == Part.SHOE)
        pieces.append((Part.SHOE, shoe(points[foot], f"{side}_foot")))
    trunk = points[owned("spine", "chest", "root") | both("clavicle", "thigh")]
    if outfit.top in ("coat", "dress"):
        flare = 0.30 if outfit.top == "dress" else 0.10
        cloth = skirt(shape.joints, trunk, hem=outfit.hem, flare=flare)
        pieces.append((Part.TOP, cloth))
        trunk = np.concatenate([trunk, cloth.points])
    if outfit.top == "uniform":
        torso, middle = points[owned("spine", "chest")], float(shape.joints[INDEX["chest"], 2])
        pieces += [(Part.BAND, belt(torso, middle + low, middle + low + BAND_WIDTH, bone)) for low, bone in BANDS]
    if outfit.top == "hoodie":
        pieces.append((Part.TOP, hood(shape.joints, trunk)))
    if outfit.bag == "backpack":
        pieces.append((Part.BAG, backpack(shape.joints, trunk)))
    if outfit.bag == "shoulder bag":
        pieces.append((Part.BAG, shoulder_bag(shape.joints, trunk)))
    hair = points[part == Part.HAIR]
    pieces += [(Part.HAIR, piece) for piece in hair_pieces(outfit.hair, shape.joints, hair, outfit.hair_volume)]
    eyes = float(shape.vertices[body_model().region == EYE, 2].mean())
    pieces += [(Part.HAT, piece) for piece in hat(outfit.hat, points[owned("head")], eyes)]
    if held != "nothing":
        pieces += [(Part.HELD, piece) for piece in _held_pieces(shape, points, trunk, held)]
    return pieces


def _held_pieces(shape: Shape, points: Floats, trunk: Floats, held: Held) -> list[Piece]:
    """A box between the hands or an umbrella in the right hand, wherever the arms of this body put the hands."""
    # Here, because poses need costumes.
    from unbraid.world.people.pose import arm_clearance

    aligned = rest_to_neutral(shape.joints, arm_clearance(shape))
    rotation, position = holding_pose(shape.joints, aligned, held)
    hands = []
    for side, _ in SIDES:
        bone = INDEX[f"{side}_hand"]
        hands.append(position[bone] + (points[owned(f"{side}_hand")] - shape.joints[bone]) @ rotation[bone].T)
    if held == "box":
        return [box(trunk, (hands[0], hands[1]))]
    head = points[owned("head")]
    bone = INDEX["right_hand"]
    # The pieces turn with the hand: carried back from where they are held to where the hand is at rest.
    return [
        replace(piece, points=shape.joints[bone] + (piece.points - position[bone]) @ rotation[bone])
        for piece in umbrella(head[head[:, 2].argmax()], np.median(hands[1], axis=0))
    ]


def _soles(shoe: Floats) -> NDArray[np.intp]:
    """Vertices of a shoe (N, 3) that can touch the ground first: outermost straight down and slanting."""
    turns = np.arange(8) * np.pi / 4
    aims = [np.array([0.0, 0.0, -1.0])]
    for slope in (0.3, 0.8, 2.0):
        aims += [np.array([np.cos(t), np.sin(t), -slope]) for t in turns]
    return np.unique((shoe @ np.stack(aims, axis=1)).argmax(0))
