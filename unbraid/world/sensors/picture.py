"""One shot as the sensors see it: pose, skin, project, cover, then shade and expose, segment, or scan."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unbraid.world.clothes.garments import Costume, Part, dress, hair_tone
from unbraid.world.clothes.holding import Held, hold
from unbraid.world.clothes.wardrobe import Outfit
from unbraid.world.config import WorldConfig, view_angle
from unbraid.world.motion import MotionSource, Procedural
from unbraid.world.people.person import Person, own_hair
from unbraid.world.people.pose import bone_matrices
from unbraid.world.people.skeleton import Floats
from unbraid.world.plan import Shot
from unbraid.world.seeds import Purpose, stream
from unbraid.world.sensors.camera import Camera, View, horizon, place_in_scene, stand
from unbraid.world.sensors.frame import Occluder, boxes, draw_occluder, draw_over, hidden
from unbraid.world.sensors.lidar import depth_map, draw_scanner, scan
from unbraid.world.sensors.lidar import facts as scanned
from unbraid.world.sensors.raster import bounds, cast_shadow, dim, expose, project, rasterise, shade, skin, to_pixels
from unbraid.world.sensors.silhouette import draw_faults, normalised, segmented

Image = NDArray[np.uint8]
Single = NDArray[np.float32]
SHADOW_CELL = 4
SHADOW_DEPTH = 0.45
# poses per second, so that feet are followed between frames
POSE_RATE = 60.0
# share of red, green and blue that is left at night, and the noise of a sensor at its limit, grey levels
NIGHT = np.array([0.22, 0.25, 0.31], np.float32)
NIGHT_NOISE = 5.0
PROCEDURAL = Procedural()


@dataclass(frozen=True, eq=False)
class Actor:
    """A person dressed in one outfit, with something in the hands or nothing, ready for any number of shots."""

    person: Person
    costume: Costume
    held: Held


def actor(config: WorldConfig, someone: Person, outfit: Outfit, held: Held = "nothing") -> Actor:
    """The person in the outfit; hair is mixed as `appearance_identity` says."""
    share = config.appearance_identity
    hair, worn = hair_tone(outfit, someone.hair, share), own_hair(outfit, someone, share)
    return Actor(someone, dress(someone.shape, worn, skin=someone.skin, hair=hair, held=held), held)


@dataclass(frozen=True, eq=False)
class Recording:
    """What the sensors saw at T instants; a list is empty when its modality was not asked for.

    rgb: (H, W, 3) uint8. masks: (H, W) uint8, 0 or 255, what a segmentation network found. silhouettes, depth: (64, 64)
    uint8. clouds: (N, 3) float32 metres, LiDAR frame. facts: what chance decided, one number each.
    """

    rgb: list[Image]
    masks: list[Image]
    silhouettes: list[Image]
    depth: list[Image]
    clouds: list[Single]
    facts: dict[str, float]


def record(
    config: WorldConfig,
    who: Actor,
    kind: Camera,
    shot: Shot,
    motion: MotionSource = PROCEDURAL,
    *,
    noise: tuple[int, ...] = (),
) -> Recording:
    """One shot as all asked sensors see it. Each sensor draws from a stream of its own, so none changes another.

    noise: another place than the shot's, whose streams then give what differs from frame to frame: noise of pixels and
    ranges, errors of masks.
    """
    random, faulty, laser = _streams(config, shot.place)
    every, times = dense_times(config)
    jitter = random.uniform(-config.view_jitter, config.view_jitter)
    azimuth = float(np.radians(view_angle(config, shot.view) + jitter))
    seen_from = stand(kind, azimuth)
    moved = motion(who.person.style, times, random, action=shot.action, session=int(shot.split != "query"))
    matrices = bone_matrices(who.person.shape, who.costume, hold(moved, who.held), every=every)
    points, normals = _posed(who.costume, matrices.astype(np.float32))
    projected = np.empty_like(points)
    rows, eye = seen_from.rows.astype(np.float32), seen_from.eye.astype(np.float32)
    extents = np.empty((config.frames, 2, 2), np.float32)
    for number in range(config.frames):
        project(points[number], rows, eye, projected[number])
        bounds(projected[number], extents[number])
    crop = boxes(extents.astype(np.float64), config, random)
    rate = config.occluder_rate if shot.condition == "any" else float(shot.condition == "occlusion")
    column, occluder = place_in_scene(random), draw_occluder(config, rate, random)
    faults = draw_faults(config.mask_errors, faulty, night=shot.night)
    scanner = draw_scanner(laser, near=config.lidar_near, far=config.lidar_far)
    station, forward = scanner.stand(azimuth)
    if noise:
        random, faulty, laser = _streams(config, noise)
    taken = Recording([], [], [], [], [], {"view_jitter_degrees": float(jitter)})
    covers = []
    for number in range(config.frames):
        screen = _on_screen(projected[number], crop[number], config.height, config.width)
        covered = _covered(who.costume, screen, config.height, config.width)
        behind = hidden(occluder, number, config.height, config.width)
        if "rgb" in config.modalities:
            image = _backdrop(config, kind, crop[number], column)
            _darken(image, seen_from, points[number], crop[number])
            _paint(image, who.costume, screen, covered, normals[number], seen_from, kind.ambient)
            taken.rgb.append(_developed(config, kind, image, crop[number], occluder, number, shot.night, random))
        covers.append(float((behind & (covered >= 0)).sum() / max(1, int((covered >= 0).sum()))))
        if (config.masks and "rgb" in config.modalities) or "silhouette" in config.modalities:
            found = segmented((covered >= 0) & ~behind, faults, faulty)
            taken.masks.append(np.asarray(found * np.uint8(255)))
            if "silhouette" in config.modalities:
                taken.silhouettes.append(normalised(found))
        if "depth" in config.modalities:
            hits = scan(points[number], who.costume.faces, station, forward, scanner, laser)
            cloud = hits.cloud[~_behind(hits.world, seen_from, crop[number], behind)]
            taken.clouds.append(cloud)
            taken.depth.append(depth_map(cloud))
    taken.facts["hidden_share"] = float(np.mean(covers))
    taken.facts["cut_share"] = _cut(extents.astype(np.float64), crop)
    if taken.clouds:
        taken.facts.update(scanned(scanner, taken.clouds))
    return taken


def _streams(config: WorldConfig, place: tuple[int, ...]) -> list[np.random.Generator]:
    """The chance of the clip, of its masks and of its LiDAR at a place."""
    return [stream(config.seed, purpose, *place) for purpose in (Purpose.CLIP, Purpose.MASK, Purpose.LIDAR)]


def _cut(extents: Floats, crop: Floats) -> float:
    """Share of the person's extent (T, 2, 2) that lies outside the boxes (T, 4), mean over the frames."""
    low, high = extents[:, 0], extents[:, 1]
    inside = np.minimum(high, crop[:, :2] + crop[:, 2:]) - np.maximum(low, crop[:, :2])
    return float(1 - (np.maximum(inside, 0) / (high - low)).prod(1).mean())


def dense_times(config: WorldConfig) -> tuple[int, Floats]:
    """Seconds around mid-clip at which poses are needed, and every which of them is a frame.

    Between the frames of a slow camera the feet must be followed too; see `pose`.
    """
    every = max(1, int(np.ceil(POSE_RATE / config.frame_rate)))
    count = (config.frames - 1) * every + 1
    return every, np.asarray((np.arange(count) - (count - 1) / 2) / (config.frame_rate * every), np.float64)


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


def _behind(world: Single, seen_from: View, crop: Floats, hidden_pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which world points (N, 3) lie behind an occluder, given as pixels of the camera's crop."""
    if not len(world) or not hidden_pixels.any():
        return np.zeros(len(world), bool)
    height, width = hidden_pixels.shape
    x, y, depth = seen_from.rows @ (world.astype(np.float64) - seen_from.eye).T
    column = np.floor((x / depth - crop[0]) / crop[2] * width).astype(int)
    row = np.floor((y / depth - crop[1]) / crop[3] * height).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.asarray(inside & hidden_pixels[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)])


def _paint(
    image: Image,
    costume: Costume,
    screen: Single,
    covered: NDArray[np.int32],
    normals: Single,
    seen_from: View,
    ambient: float,
) -> None:
    """Draw the person into the image."""
    shade(
        screen,
        costume.faces,
        covered,
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
    night: bool,
    random: np.random.Generator,
) -> Image:
    """Occluder, night, limited resolution, blur, tone curve and noise."""
    if occluder is not None:
        draw_over(image, occluder, number)
    if night:
        image = np.asarray(image * NIGHT, np.uint8)
    size = (config.width, config.height)
    detail = min(1.0, kind.focal * float(crop[3]) / config.height)
    if detail < 0.95:
        small = (max(1, round(detail * config.width)), max(1, round(detail * config.height)))
        image = cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), size, interpolation=cv2.INTER_LINEAR)
    image = cv2.GaussianBlur(image, (0, 0), max(0.3, kind.blur * config.height / 256))
    noise = np.frombuffer(random.bytes(2 * image.size), np.uint8).reshape(2, *image.shape)
    out = np.empty_like(image)
    expose(image, kind.table, noise, kind.noise + NIGHT_NOISE * night, out)
    return out
