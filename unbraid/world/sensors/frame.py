"""Where detector boxes lie and what passes in front: slow nuisances of one tracklet."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unbraid.world.config import WorldConfig
from unbraid.world.people.skeleton import Floats

# of the height and width of a box, what the person fills
TALL_SHARE, WIDE_SHARE = 0.88, 0.92
# a tracker averages the boxes of its detector over this time, seconds
TRACKER_MEMORY = 0.45


@dataclass(frozen=True, eq=False)
class Occluder:
    """A thing between camera and person. Shares of the frame: path (T,) of its centre, width, top.
    tone (3,) in 0..255; rounded for a passer-by, square for posts and bins."""

    path: Floats
    width: float
    top: float
    tone: Floats
    rounded: bool


def boxes(extents: Floats, config: WorldConfig, random: np.random.Generator) -> Floats:
    """Boxes (T, 4) of a simulated detector and tracker: left, top, width, height in normalised image coordinates.

    extents (T, 2, 2): least and greatest x, y of the person per frame, in the same coordinates. A tracker's box
    moves smoothly, so centre and size are averages over a short time; misalignment is fixed for the tracklet plus a
    slow drift. A cut box loses the legs, or the head, or one side.
    """
    low, high = extents[:, 0], extents[:, 1]
    aspect = config.width / config.height
    needed = np.maximum((high - low)[:, 1:] / TALL_SHARE, (high - low)[:, :1] / (WIDE_SHARE * aspect))
    middle, wanted = (_smooth(values, TRACKER_MEMORY * config.frame_rate) for values in ((low + high) / 2, needed))
    jitter = config.box_jitter
    size = wanted * np.exp(random.normal() * jitter)
    drift = np.linspace(-0.5, 0.5, len(size))[:, None] if len(size) > 1 else np.zeros((1, 1))
    shift = random.normal(size=2) * jitter + drift * random.normal(size=2) * jitter / 2
    if random.random() < config.truncation_rate:
        cut = random.choice(3, p=[0.5, 0.2, 0.3])
        share = random.uniform(0.12, 0.28)
        offset = {0: (0.0, -share), 1: (0.0, share), 2: (float(random.choice([-1, 1])) * 0.5 * share, 0.0)}[int(cut)]
        shift = shift + np.array(offset)
    centre = middle + shift * size
    return np.concatenate([centre - 0.5 * size * np.array([aspect, 1.0]), size * aspect, size], axis=1)


def draw_occluder(config: WorldConfig, rate: float, random: np.random.Generator) -> Occluder | None:
    """With probability `rate`, something that crosses the frame during a part of the tracklet."""
    if random.random() >= rate:
        return None
    rounded, low = bool(random.random() < 0.4), bool(random.random() < 0.4)
    width = float(random.uniform(0.3, 0.5) if rounded else random.uniform(0.18, 0.55))
    direction = float(random.choice([-1, 1]))
    # The centre is inside the frame at `meeting`; the speed lets the crossing last half a tracklet or more.
    meeting, speed = random.uniform(-0.1, 1.1), random.uniform(0.9, 2.2)
    path = 0.5 + direction * speed * (np.linspace(0, 1, config.frames) - meeting)
    tone = random.uniform(40, 170) + 10 * random.normal(size=3)
    return Occluder(
        path, width, float(random.uniform(0.5, 0.72)) if low else float(random.uniform(-0.1, 0.1)), tone, rounded
    )


def draw_over(image: NDArray[np.uint8], thing: Occluder, frame: int) -> None:
    """Paint the occluder of one frame into image (H, W, 3)."""
    height, width = image.shape[:2]
    centre, half = thing.path[frame] * width, 0.5 * thing.width * width
    left, right, top = round(centre - half), round(centre + half), round(thing.top * height)
    if right <= 0 or left >= width:
        return
    tone = tuple(float(c) for c in np.clip(thing.tone, 5, 245))
    darker = tuple(0.78 * c for c in tone)
    if thing.rounded:
        neck = top + round(0.16 * height)
        cv2.circle(image, (round(centre), neck - round(0.04 * height)), round(0.075 * height), darker, -1)
        shoulder = neck + round(0.03 * height)
        cv2.rectangle(image, (left, shoulder + round(half * 0.5)), (right, height), tone, -1)
        cv2.ellipse(
            image,
            (round(centre), shoulder + round(half * 0.5)),
            (round(half), round(half * 0.5)),
            0,
            180,
            360,
            tone,
            -1,
        )
    else:
        cv2.rectangle(image, (left, top), (right, height), tone, -1)
        cv2.rectangle(image, (right - round(half * 0.5), top), (right, height), darker, -1)


def hidden(thing: Occluder | None, frame: int, height: int, width: int) -> NDArray[np.bool_]:
    """Pixels (height, width) that lie behind the occluder of one frame."""
    canvas = np.zeros((height, width, 3), np.uint8)
    if thing is not None:
        draw_over(canvas, replace(thing, tone=np.full(3, 245.0)), frame)
    return np.asarray(canvas[..., 0] > 0)


def _smooth(values: Floats, frames: float) -> Floats:
    """values (T, D) with what deviates from their straight line averaged over time by a bell of `frames` frames."""
    time = np.arange(len(values)) - (len(values) - 1) / 2
    slope = time @ (values - values.mean(0)) / max(float(time @ time), 1e-9)
    line = values.mean(0) + time[:, None] * slope
    bell = np.exp(-0.5 * (np.subtract.outer(time, time) / (0.5 * frames)) ** 2)
    return np.asarray(line + bell @ (values - line) / bell.sum(1, keepdims=True))
