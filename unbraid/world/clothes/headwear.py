"""Hair and hats that have a mesh of their own."""

import numpy as np

from unbraid.world.clothes.props import AROUND, Piece, blob, directions, rigid, tube_faces
from unbraid.world.people.skeleton import INDEX, Floats

DOME = 7
# How high above the eyes a hat begins, as a share of the way to the crown.
HAT_LINE = {"peaked cap": 0.42, "knitted hat": 0.34}
# metres: distance to the hair, height above the crown
HAT_ROOM = {"peaked cap": (0.006, 0.022), "knitted hat": (0.009, 0.035)}
# exponent of the dome: larger is flatter on top
HAT_FORM = {"peaked cap": 3.0, "knitted hat": 2.4}


def hair_pieces(style: str, joints: Floats, hair: Floats, volume: float) -> list[Piece]:
    """Hair that hangs or is tied up: none for short styles.

    hair (N, 3): vertices of the head's own hair, volume included; volume in metres.
    """
    top, back, neck = float(hair[:, 2].max()), float(hair[:, 1].max()), joints[INDEX["neck"]]
    if style == "long":
        bottom = neck[2] - 0.06
        radii = (0.075 + volume, 0.06, float(top - bottom) / 2 - 0.03)
        return [blob(np.array([0.0, back - 0.055, (top + bottom) / 2 - 0.03]), radii, "head")]
    if style == "medium":
        bottom = neck[2] + 0.045
        wide = float(np.abs(hair[:, 0]).max()) + 0.012
        radii = (wide, 0.075, float(top - bottom) / 2 - 0.01)
        return [blob(np.array([0.0, back - 0.068, (top + bottom) / 2 - 0.012]), radii, "head", roundness=0.75)]
    if style == "bun":
        size = 0.032 + 0.6 * volume
        return [blob(np.array([0.0, back + 0.4 * size, top - 0.075]), (size, size, 0.9 * size), "head")]
    return []


def hat(kind: str, head: Floats, eye_level: float) -> list[Piece]:
    """A hat that fits over the hair; head (N, 3): vertices of head and hair, eye_level: rest height, metres."""
    if kind == "none":
        return []
    crown = float(head[:, 2].max())
    line = eye_level + HAT_LINE[kind] * (crown - eye_level)
    inside = head[head[:, 2] > line, :2]
    centre = np.array([0.0, (inside[:, 1].min() + inside[:, 1].max()) / 2])
    gap, rise = HAT_ROOM[kind]
    radius = ((inside - centre) @ directions().T).max(0) + gap
    # Rings by angle, so that they crowd where the dome closes.
    angle = np.linspace(np.pi / 2, 0, DOME)
    form = 2 / HAT_FORM[kind]
    height = line - 0.004 + (crown + rise - line) * np.sin(angle) ** form
    share = np.cos(angle) ** form
    share[0] = 0.0
    rings = centre + share[:, None, None] * radius[:, None] * directions()
    points = np.concatenate([rings, np.broadcast_to(height[:, None, None], (DOME, AROUND, 1))], axis=-1)
    pieces = [rigid(points.reshape(-1, 3), tube_faces(DOME), "head")]
    if kind == "peaked cap":
        front = centre[1] - radius[(3 * AROUND) // 4]
        pieces.append(blob(np.array([0.0, front - 0.018, line + 0.002]), (0.075, 0.06, 0.007), "head"))
    return pieces
