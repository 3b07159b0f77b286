"""One tracklet as pictures: pose, skin, project, cover, shade, expose."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unbraid.world.camera import Camera, View, horizon, place_in_scene, stand
from unbraid.world.config import WorldConfig, view_angle
from unbraid.world.frame import Occluder, boxes, draw_occluder, draw_over
from unbraid.world.garments import Costume, Part, dress, hair_tone
from unbraid.world.motion import MotionSource, walk
from unbraid.world.people import Person
from unbraid.world.pose import bone_matrices
from unbraid.world.raster import bounds, cast_shadow, dim, expose, project, rasterise, shade, skin, to_pixels
from unbraid.world.skeleton import Floats
from unbraid.world.wardrobe import Outfit

Image = NDArray[np.uint8]
Single = NDArray[np.float32]
SHADOW_CELL = 4
SHADOW_DEPTH = 0.45


@dataclass(frozen=True, eq=False)
class Actor:
    """A person dressed in one outfit, ready for any number of tracklets."""

    person: Person
    costume: Costume


def actor(config: WorldConfig, someone: Person, outfit: Outfit) -> Actor:
    """The person in the outfit; hair tone is mixed as `appearance_identity` says."""
    hair = hair_tone(outfit, someone.hair, config.appearance_identity)
    return Actor(someone, dress(someone.shape, outfit, skin=someone.skin, hair=hair))


def pictures(
    config: WorldConfig, who: Actor, kind: Camera, view: int, random: np.random.Generator, motion: MotionSource = walk
) -> list[Image]:
    """The frames of one tracklet, each (height, width, 3) uint8 RGB, in time order.

    view: number of the view, see `view_angle`. All chance of the tracklet comes from `random`.
    """
    times = np.asarray((np.arange(config.frames) - (config.frames - 1) / 2) / config.frame_rate, np.float64)
    jitter = random.uniform(-config.view_jitter, config.view_jitter)
    seen_from = stand(kind, np.radians(view_angle(config, view) + jitter))
    matrices = bone_matrices(who.person.shape, who.costume, motion(who.person.style, times, random))
    points, normals = _posed(who.costume, matrices.astype(np.float32))
    projected = np.empty_like(points)
    rows, eye = seen_from.rows.astype(np.float32), seen_from.eye.astype(np.float32)
    extents = np.empty((config.frames, 2, 2), np.float32)
    for number in range(config.frames):
        project(points[number], rows, eye, projected[number])
        bounds(projected[number], extents[number])
    crop = boxes(extents.astype(np.float64), config, random)
    column, occluder = place_in_scene(random), draw_occluder(config, random)
    frames = []
    for number in range(config.frames):
        image = _backdrop(config, kind, crop[number], column)
        _darken(image, seen_from, points[number], crop[number])
        _paint(image, who.costume, projected[number], normals[number], crop[number], seen_from, kind.ambient)
        frames.append(_developed(config, kind, image, crop[number], occluder, number, random))
    return frames


def labelled(config: WorldConfig, who: Actor, kind: Camera, view: int, matrices: Floats, crop: Floats) -> Image:
    """Part labels plus one, 0 for background, (height, width) uint8, of one pose; matrices (19, 3, 4), crop (4,)."""
    seen_from = stand(kind, np.radians(view_angle(config, view)))
    points, _ = _posed(who.costume, matrices[None].astype(np.float32))
    projected = np.empty_like(points[0])
    project(points[0], seen_from.rows.astype(np.float32), seen_from.eye.astype(np.float32), projected)
    seen = _covered(who.costume, _on_screen(projected, crop, config.height, config.width), config.height, config.width)
    parts = who.costume.part[who.costume.faces[np.maximum(seen, 0), 0]] + 1
    return np.where(seen < 0, 0, parts).astype(np.uint8)


def _posed(costume: Costume, matrices: Single) -> tuple[Single, Single]:
    """World points and normals (T, V, 3) of every frame."""
    shape = (len(matrices), *costume.points.shape)
    points, normals = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for number, bones in enumerate(matrices):
        skin(
            costume.points,
            costume.normals,
            costume.bone_index,
            costume.bone_weight,
            bones,
            points[number],
            normals[number],
        )
    return points, normals


def _on_screen(projected: Single, crop: Floats, height: int, width: int) -> Single:
    """Pixel coordinates and depth (V, 3) inside the crop (left, top, width, height)."""
    left, top, across, down = crop
    screen = np.empty_like(projected)
    to_pixels(projected, float(left), float(top), float(width / across), float(height / down), screen)
    return screen


def _covered(costume: Costume, screen: Single, height: int, width: int) -> NDArray[np.int32]:
    """Index of the face seen in every pixel (height, width), -1 for background."""
    nearness, seen = np.zeros((height, width), np.float32), np.full((height, width), -1, np.int32)
    rasterise(screen, costume.faces, nearness, seen)
    return seen


def _backdrop(config: WorldConfig, kind: Camera, crop: Floats, column: float) -> Image:
    """The part of the painted place that lies behind the crop (height, width, 3); the person stands at `column`."""
    left, top, across, down = crop
    row, level = horizon(kind)
    scale = kind.scene_focal
    inverse = np.array(
        [
            [scale * across / config.width, 0, column + scale * left],
            [0, scale * down / config.height, row + scale * (top - level)],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (config.width, config.height)
    return np.asarray(cv2.warpAffine(kind.scene, inverse, size, flags=flags, borderMode=cv2.BORDER_REFLECT), np.uint8)


def _darken(image: Image, seen_from: View, points: Single, crop: Floats) -> None:
    """Lay the soft shadow of the person on the ground."""
    height, width = -(-image.shape[0] // SHADOW_CELL), -(-image.shape[1] // SHADOW_CELL)
    left, top, across, down = crop
    ground = np.zeros((height, width), np.float32)
    frame = np.array([left, top, width / across, height / down], np.float32)
    rows, eye, light = (value.astype(np.float32) for value in (seen_from.rows, seen_from.eye, seen_from.light))
    cast_shadow(points, light, rows, eye, frame, ground)
    soft = cv2.GaussianBlur(np.minimum(ground, 2.0), (0, 0), 0.8)
    factor = 1 - SHADOW_DEPTH * np.minimum(soft, 1.0)
    factor = cv2.resize(factor, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    dim(image, factor)


def _paint(
    image: Image, costume: Costume, projected: Single, normals: Single, crop: Floats, seen_from: View, ambient: float
) -> None:
    """Draw the person into the image."""
    height, width = image.shape[:2]
    screen = _on_screen(projected, crop, height, width)
    shade(
        screen,
        costume.faces,
        _covered(costume, screen, height, width),
        normals,
        costume.cloth,
        costume.part,
        costume.edge,
        costume.colours,
        costume.second,
        costume.pattern,
        int(Part.TOP),
        costume.waist,
        seen_from.light.astype(np.float32),
        ambient,
        image,
    )


def _developed(
    config: WorldConfig,
    kind: Camera,
    image: Image,
    crop: Floats,
    occluder: Occluder | None,
    number: int,
    random: np.random.Generator,
) -> Image:
    """Occluder, limited resolution, blur, tone curve and noise."""
    if occluder is not None:
        draw_over(image, occluder, number)
    size = (config.width, config.height)
    detail = min(1.0, kind.focal * float(crop[3]) / config.height)
    if detail < 0.95:
        small = (max(1, round(detail * config.width)), max(1, round(detail * config.height)))
        image = cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), size, interpolation=cv2.INTER_LINEAR)
    image = cv2.GaussianBlur(image, (0, 0), max(0.3, kind.blur * config.height / 256))
    noise = np.frombuffer(random.bytes(2 * image.size), np.uint8).reshape(2, *image.shape)
    out = np.empty_like(image)
    expose(image, kind.table, noise, kind.noise, out)
    return out
