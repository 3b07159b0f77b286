"""Cameras: one place, one light, one lens and one sensor per camera number."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unbraid.world.config import WorldConfig
from unbraid.world.people.skeleton import Floats
from unbraid.world.seeds import Purpose, stream
from unbraid.world.sensors.scene import HORIZON, WIDTH, paint

TARGET_HEIGHT = 0.9
# scene pixels per unit of normalised image coordinates and metre of distance: people are about 225 scene pixels tall
SCENE_SCALE = 132.0


@dataclass(frozen=True, eq=False)
class Camera:
    """A fixed camera.

    distance in metres to the person in mid-clip, elevation in radians above the horizontal, focal in pixels of its
    own image (decides how much detail a person's crop has), sun: azimuth relative to the viewing direction and
    height above the horizon in radians, ambient 0..1, blur in pixels of a 256-pixel-tall frame, noise in grey
    levels, table (256, 3): white balance and gamma, place: kind of surroundings, scene: their picture.
    """

    number: int
    distance: float
    elevation: float
    focal: float
    sun: tuple[float, float]
    ambient: float
    blur: float
    noise: float
    table: NDArray[np.uint8]
    place: str
    scene: NDArray[np.uint8]

    @property
    def scene_focal(self) -> float:
        """Scene pixels per unit of normalised image coordinates."""
        return SCENE_SCALE * self.distance


@dataclass(frozen=True, eq=False)
class View:
    """Where a camera stands for one tracklet. rows (3, 3): its x, y, z axes in the person's world; eye (3,);
    light (3,): unit vector towards the sun in the same world."""

    rows: Floats
    eye: Floats
    light: Floats


def camera(config: WorldConfig, number: int) -> Camera:
    """Camera `number` of a world; the same for every person, outfit and split."""
    random = stream(config.seed, Purpose.CAMERA, number)
    distance, elevation = float(random.uniform(6, 11)), float(np.radians(random.uniform(1, 10)))
    gains = 1 + config.camera_cast * random.uniform(-0.1, 0.1, 3)
    gamma = float(np.exp(config.camera_cast * random.uniform(-0.18, 0.18)))
    levels = np.arange(256)[:, None] / 255
    focal, sun = float(random.uniform(700, 1900)), (random.uniform(-np.pi, np.pi), np.radians(random.uniform(35, 70)))
    ambient, blur, noise = random.uniform(0.5, 0.75), random.uniform(0.35, 0.9), random.uniform(1.0, 4.0)
    place, scene = paint(random)
    return Camera(
        number=number,
        distance=distance,
        elevation=elevation,
        focal=focal,
        sun=(float(sun[0]), float(sun[1])),
        ambient=float(ambient),
        blur=float(blur),
        noise=config.camera_noise * float(noise),
        table=np.clip(255 * (np.maximum(gains * levels, 0) ** gamma), 0, 255).round().astype(np.uint8),
        place=place,
        scene=scene,
    )


def stand(kind: Camera, azimuth: float) -> View:
    """The camera at `azimuth` radians from the walking direction, counter-clockwise seen from above.

    The person walks towards -y through the origin, so azimuth 0 puts the camera at negative y, in front; pi / 2
    puts it at positive x, on the person's left.
    """
    outward = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
    level, rise = np.cos(kind.elevation), np.sin(kind.elevation)
    eye = kind.distance * (level * outward + np.array([0, 0, rise])) + np.array([0, 0, TARGET_HEIGHT])
    forward = -(level * outward + np.array([0, 0, rise]))
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    turn, height = kind.sun
    towards = -np.cos(turn) * outward + np.sin(turn) * right
    light = np.cos(height) * towards + np.array([0, 0, np.sin(height)])
    return View(rows=np.stack([right, np.cross(forward, right), forward]), eye=eye, light=light)


def place_in_scene(random: np.random.Generator) -> float:
    """Scene column in front of which a person stands, away from the edges."""
    return float(random.uniform(0.2, 0.8) * WIDTH)


def horizon(kind: Camera) -> tuple[int, float]:
    """Row of the horizon in the scene, and its normalised image coordinate."""
    return HORIZON, -float(np.tan(kind.elevation))
