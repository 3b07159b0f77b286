"""Where people are in the frames of a video, one box at a time.

The built-in detector needs no download: it compares the video with its own background and asks OpenCV's HOG
detector where a moving shape is not one upright person. It is meant for fixed cameras and a few people. Boxes of any
other detector or tracker come from a file in the MOT-challenge format.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from unbraid import progress
from unbraid.data.media import Image, background, crop, shrink, video_frames, video_info
from unbraid.tracklet import Box

NOT_GIVEN = -1.0  # what MOT files write for a value that is absent

# Motion is looked for at this height at most: enough to see a person, and noise averages out.
MOTION_HEIGHT = 576
# Grey levels (of 255) by which a pixel must leave the background; above the noise of usual compression.
MOTION_LEVEL = 25
# Share of moving pixels below which a HOG box is taken for a pole or a sign.
MINIMUM_MOTION = 0.1
# The HOG window holds the person and a margin: this part of it is the person.
PERSON_IN_WINDOW = 0.8
# Of two HOG boxes that overlap more, the surer one stays.
MAXIMUM_OVERLAP = 0.5

Scored = list[tuple[Box, float]]


@dataclass(frozen=True, slots=True)
class Detection:
    """One box of one frame. frame: 0-based. box: left, top, width, height in pixels.

    score: larger is surer. person: the number a tracker gave, None when boxes are not linked yet.
    """

    frame: int
    box: Box
    score: float = NOT_GIVEN
    person: int | None = None


def detect_people(
    video: Path,
    *,
    detector: Literal["motion", "hog"] = "motion",
    every: int = 3,
    upscale: float = 1.5,
    minimum_score: float = 0.4,
    start: int = 0,
    stop: int | None = None,
) -> list[Detection]:
    """Boxes of people in every n-th frame of a video, from start to below stop.

    detector: 'motion' (fixed camera) compares with the background; a moving shape that is upright and filled is one
        person, anything else is searched with HOG. 'hog' searches whole frames: slow, for a camera that moves.
    upscale: pictures are enlarged by it before HOG, whose smallest person is about 100 pixels tall.
    minimum_score: of a HOG box (distance from the decision plane). Moving shapes carry their filled share, 0..1.

    Raises as `video_frames`, and ValueError for an unknown detector or upscale.
    """
    if detector not in ("motion", "hog") or not upscale > 0:
        raise ValueError(f"detector {detector!r}, upscale {upscale}; expected 'motion' or 'hog', and more than 0")
    frames = video_frames(video, start, stop, step=every)
    total = len(range(start, video_info(video).frames if stop is None else stop, every))
    behind = background(video, height=MOTION_HEIGHT) if detector == "motion" else None
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())
    find = partial(_hog, hog, upscale, minimum_score)
    found = []
    for number, image in progress.track(frames, "finding people", total):
        people = find(image) if behind is None else _moving_people(image, behind, find)
        found += [Detection(number, box, score) for box, score in people]
    return found


def _hog(hog: Any, upscale: float, minimum_score: float, image: Image) -> Scored:
    """OpenCV's default people detector, then greedy non-maximum suppression."""
    large = cv2.resize(image, None, fx=upscale, fy=upscale, interpolation=cv2.INTER_LINEAR)
    if large.shape[0] < 128 or large.shape[1] < 64:
        return []
    windows, weights = hog.detectMultiScale(large, winStride=(8, 8), padding=(8, 8), scale=1.05, groupThreshold=2)
    scores = np.array(weights, dtype=np.float64).ravel()
    boxes = np.array(windows, dtype=np.float64).reshape(-1, 4) / upscale
    boxes[:, :2] += boxes[:, 2:] * (1 - PERSON_IN_WINDOW) / 2
    boxes[:, 2:] *= PERSON_IN_WINDOW
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        alone = not kept or overlaps(boxes[[index]], boxes[kept]).max() <= MAXIMUM_OVERLAP
        if scores[index] >= minimum_score and alone:
            kept.append(index)
    return [(box_of(boxes[index]), float(scores[index])) for index in kept]


def _moving_people(image: Image, behind: Image, find: Callable[[Image], Scored]) -> Scored:
    small = shrink(image, MOTION_HEIGHT)
    change = cv2.GaussianBlur(cv2.absdiff(small, behind), (5, 5), 0)
    change = cv2.max(cv2.max(change[..., 0], change[..., 1]), change[..., 2])
    moving = cv2.morphologyEx((change > MOTION_LEVEL).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    # Clothes of the background's colour cut a body across, so what is joined again is taller than wide.
    tall = np.ones((max(small.shape[0] // 24, 1), max(small.shape[0] // 48, 1)), np.uint8)
    _, marks, shapes, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(moving, cv2.MORPH_CLOSE, tall))
    scale = image.shape[0] / small.shape[0]
    found: Scored = []
    for mark, (left, top, width, height, area) in list(enumerate(shapes.tolist()))[1:]:
        # shadows, reflections and changes of exposure are faint all over
        if height < small.shape[0] / 15 or np.percentile(change[marks == mark], 90) < 2 * MOTION_LEVEL:
            continue
        filled = area / (width * height)
        if 1.5 <= height / width <= 3.6 and filled >= 0.4:
            # a narrower box than 1:2 would be stretched in the crop
            wide = max(width, height / 2)
            found.append((box_of(np.array([left + (width - wide) / 2, top, wide, height]) * scale), filled))
            continue
        margin = round(height * 0.2) + 8
        x, y = max(left - margin, 0), max(top - margin, 0)
        window = np.array([x, y, left + width + margin - x, top + height + margin - y]) * scale
        for box, score in find(crop(image, box_of(window))):
            placed = np.array([box[0] + round(window[0]), box[1] + round(window[1]), *box[2:]])
            if crop(moving, box_of(placed / scale)).mean() >= MINIMUM_MOTION:
                found.append((box_of(placed), score))
    return found


def read_boxes(path: Path, *, minimum_score: float = 0.4) -> list[Detection]:
    """Boxes of a MOT-challenge text file: frame (from 1), id, left, top, width, height, score, anything.

    Detector files (id -1: not linked), tracker results and ground truth are read alike. A score of -1 or none is
    'not given' and the box is kept; ground truth writes 0 for boxes that do not count. Blank lines are skipped.

    Raises FileNotFoundError, and ValueError with the line number for a malformed line or an id twice in a frame.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected boxes in MOT format")
    found, seen = [], dict[tuple[int, int], int]()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            frame, person, left, top, width, height, *more = (float(cell) for cell in line.split(","))
            if not (frame.is_integer() and frame >= 1 and person.is_integer() and width > 0 and height > 0):
                raise ValueError("frame and id are whole numbers, frame counts from 1, width and height exceed 0")
            if not all(map(math.isfinite, (left, top, width, height, *more[:1]))):
                raise ValueError("a value is not finite")
        except (ValueError, OverflowError) as error:
            raise ValueError(
                f"{path}, line {number}: {line[:80]!r} is not 'frame,id,left,top,width,height,score' ({error})"
            ) from error
        identified = int(person) if person >= 0 else None
        if identified is not None and seen.setdefault((int(frame), identified), number) != number:
            raise ValueError(
                f"{path}, line {number}: id {identified} is in frame {int(frame)} twice (first in line "
                f"{seen[int(frame), identified]}); an id is one person, write -1 for boxes that are not linked"
            )
        score = more[0] if more else NOT_GIVEN
        if score == NOT_GIVEN or score >= minimum_score:
            found.append(Detection(int(frame) - 1, (left, top, width, height), score, identified))
    return found


def overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of every box of a (N 4: left, top, width, height) with every box of b (M 4), N M."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    union = np.prod(a[:, 2:], axis=1)[:, None] + np.prod(b[:, 2:], axis=1)[None, :] - shared
    ratio: NDArray[np.float64] = shared / union
    return ratio


def box_of(values: NDArray[np.float64]) -> Box:
    left, top, width, height = values.tolist()
    return left, top, width, height
