"""Head and face proportions: a cue to identity that colours and clothes do not carry."""

from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from unbraid.world.people.body import EYE, LIP, Shape, body_model
from unbraid.world.people.skeleton import INDEX, Floats

# What a proportion of +1 does at full strength: shares of the width, depth or height; metres for the nose.
HEAD_WIDTH, HEAD_DEPTH, HEAD_HEIGHT = 0.08, 0.07, 0.06
JAW_WIDTH, EYE_SPACING, FACE_LENGTH, NOSE = 0.16, 0.10, 0.12, 0.007


@dataclass(frozen=True, kw_only=True)
class Face:
    """Proportions of a head, each from -1 (narrow, short, flat) over 0 (as the body model has it) to 1."""

    head_width: float = 0.0
    head_depth: float = 0.0
    head_height: float = 0.0
    jaw_width: float = 0.0
    eye_spacing: float = 0.0
    face_length: float = 0.0
    nose: float = 0.0


def draw_face(random: np.random.Generator) -> Face:
    """A face whose proportions are independent and even over -1..1."""
    return Face(**{field.name: float(random.uniform(-1, 1)) for field in fields(Face)})


def with_face(shape: Shape, face: Face, *, strength: float) -> Shape:
    """The shape with the proportions of `face`; strength 0..1, 0 gives the very same shape.

    Vertices move by smooth fields, scaled by how much they follow the head bone, so that the head stays one with the
    neck. Crown and joints do not move: stature and motion are those of the shape for every face.

    Source: not in a paper; amplitudes chosen by looking, so that heads still look natural at the corners.
    """
    if strength == 0 or not any(asdict(face).values()):
        return shape
    model = body_model()
    x, y, z = shape.vertices.T
    follows = np.where(model.bone_index == INDEX["head"], model.bone_weight, 0).sum(1).astype(np.float64)
    head = model.bone_index[:, 0] == INDEX["head"]
    eyes, lips = (float(z[model.region == region].mean()) for region in (EYE, LIP))
    front, middle = float(y[head].min()), float(shape.joints[INDEX["head"], 1])
    crown, unit = float(z[head].max()), eyes - lips
    # 1 on the face, 0 behind the ears.
    forward = _step((middle - y) / (middle - front), 0.0, 0.6)
    # 1 at the mouth and below, 0 at the cheekbones.
    jaw = _step((eyes - z) / unit, 0.25, 1.0)
    at_eyes = _bump((z - eyes) / (0.7 * unit)) * forward
    at_nose = _bump((z - (0.45 * eyes + 0.55 * lips)) / (0.45 * unit)) * _bump(x / 0.022) * forward
    wide = HEAD_WIDTH * face.head_width + JAW_WIDTH * face.jaw_width * jaw * (0.4 + 0.6 * forward)
    wide = wide + EYE_SPACING * face.eye_spacing * at_eyes * _bump(x / 0.05)
    below = np.minimum(z - eyes, 0.0)
    moved = np.stack(
        [
            wide * x,
            HEAD_DEPTH * face.head_depth * (y - middle) - NOSE * face.nose * at_nose,
            HEAD_HEIGHT * face.head_height * (z - crown) + FACE_LENGTH * face.face_length * below * forward,
        ],
        axis=1,
    )
    return replace(shape, vertices=shape.vertices + strength * follows[:, None] * moved)


def _step(values: Floats, low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _bump(values: Floats) -> Floats:
    """1 at 0, falling smoothly to nothing at about 2."""
    return np.asarray(np.exp(-(values**2)))
