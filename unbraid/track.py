"""People in raw video: find them, link them over time, and save one tracklet per person."""

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from unbraid import progress
from unbraid.data.media import Image, chosen_frames, crop, video_frames, video_info
from unbraid.data.sets.folder import INDEX, save_frames, save_index
from unbraid.detect import Detection, box_of, detect_people, overlaps, read_boxes
from unbraid.tracklet import Box

BOXES = "boxes.txt"
# Speed is the mean over so many detections: boxes jump by a few pixels from frame to frame, people do not.
SPEED_FROM = 4


@dataclass(frozen=True, slots=True)
class Track:
    """One person over time: ascending 0-based frame numbers and a box for each.

    detected: how many of the boxes were detected; the others are interpolated.
    """

    number: int
    frames: tuple[int, ...]
    boxes: tuple[Box, ...]
    detected: int


def track(
    video: Path,
    out: Path,
    *,
    boxes: Path | None = None,
    detector: Literal["motion", "hog"] = "motion",
    every: int = 3,
    upscale: float = 1.5,
    minimum_score: float = 0.4,
    minimum_overlap: float = 0.3,
    maximum_gap: int = 15,
    minimum_length: int = 8,
    maximum_frames: int = 1000,
    start: int = 0,
    stop: int | None = None,
    height: int = 256,
    width: int = 128,
    camera: str | None = None,
) -> Path:
    """Write the people of a video as a tracklet folder; returns the folder.

    Each person becomes one tracklet of split 'gallery' without identity: JPEG crops of height x width pixels,
    labels camera (None: the file's stem), video, start and stop (0-based frame numbers, stop excluded). Beside
    the index, `boxes.txt` holds the boxes in MOT format (1-based frames) with the number at the end of each key.
    The index moves in last, so a folder without it was never finished; a failure leaves `out` empty.

    boxes: MOT file to use in place of the detector; see `read_boxes`, `detect_people` and `link` for
        every, upscale, minimum_score, minimum_overlap and maximum_gap.
    minimum_length: detected boxes (not interpolated ones) a person needs to be kept.
    maximum_frames: of a longer track so many evenly spaced frames are kept (0.1 MB of memory each while read).
    start, stop: only these frames are searched; stop None is the end.

    Raises FileNotFoundError or ValueError for a video or box file that cannot be used, for `out` that is not an
    empty or new folder, and when nobody is found.
    """
    video, out = Path(video), Path(out)
    _check_free(out)
    if min(minimum_length, maximum_frames, height, width) < 1:
        raise ValueError("minimum_length, maximum_frames, height and width must be at least 1")
    if boxes is None and every > maximum_gap:
        raise ValueError(f"with every={every} no two boxes are within maximum_gap={maximum_gap} frames; raise it")
    video_frames(video, start, stop, step=every)  # refuses a wrong span before any work
    info = video_info(video)
    end = info.frames if stop is None else stop
    searched = f"{video}, frames {start} to {end - 1}"
    if boxes is None:
        found = detect_people(
            video, detector=detector, every=every, upscale=upscale, minimum_score=minimum_score, start=start, stop=stop
        )
        advice = "lower minimum_score, raise upscale, try the other detector (motion or hog) or bring boxes"
    else:
        found = read_boxes(boxes, minimum_score=minimum_score)
        late = [d.frame for d in found if d.frame >= info.frames]
        if late:
            raise ValueError(
                f"{boxes} has a box in frame {late[0] + 1} (counted from 1), but {video} has {info.frames} frames; "
                f"give the boxes of this video"
            )
        found = [d for d in found if start <= d.frame < end]
        advice = f"check minimum_score ({minimum_score:g}) and the frame numbers in {boxes}"
    if not found:
        raise ValueError(f"nobody found in {searched}; {advice}")
    linked = link(found, minimum_overlap=minimum_overlap, maximum_gap=maximum_gap)
    people = [t for t in (_clipped(t, info.width, info.height) for t in linked) if t.detected >= minimum_length]
    if not people:
        raise ValueError(
            f"{len(found)} boxes in {searched} form {len(linked)} tracks, the longest of "
            f"{max(t.detected for t in linked)} boxes, and minimum_length is {minimum_length}; lower it, or {advice}"
        )
    if found[0].person is None:
        people = [replace(person, number=number) for number, person in enumerate(people, start=1)]
    source = detector if boxes is None else Path(boxes).name
    origin = {"name": video.stem, "synthetic": False, "made_by": "unbraid track", "video": video.name, "boxes": source}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=out) as unfinished:
        folder = Path(unfinished)
        place = {"camera": video.stem if camera is None else camera, "video": video.name}
        rows: list[dict[str, Any]] = []
        for person, names in _save_people(folder, video, people, maximum_frames, (width, height)):
            seen = {"start": str(person.frames[0]), "stop": str(person.frames[-1] + 1)}
            row = {"key": _key(video, person), "split": "gallery", "modality": "rgb", "identity": None, "frames": names}
            rows.append({**row, **place, **seen})
        (folder / BOXES).write_text(_mot_text(people), encoding="utf-8")
        save_index(folder, sorted(rows, key=itemgetter("key")), origin)
        for part in sorted(folder.iterdir(), key=lambda part: part.name == INDEX):
            part.rename(out / part.name)
    return out


def link(detections: Iterable[Detection], *, minimum_overlap: float = 0.3, maximum_gap: int = 15) -> list[Track]:
    """Tracks of one person each, in order of their first frame; missing boxes in between are interpolated linearly.

    Detections that carry a person keep it. Otherwise each frame's boxes are given to the tracks so that the sum
    of overlaps (intersection over union with the box predicted at constant speed) is largest; a pair below
    minimum_overlap is no pair, and a box without a track begins one.

    maximum_gap: largest difference of frame numbers over which a track goes on, or is interpolated.
    Raises ValueError when only some detections carry a person.
    Source: not from the papers; assignment after Kuhn (1955).
    """
    frames = defaultdict[int, list[Detection]](list)
    persons = defaultdict[int | None, list[Detection]](list)
    for detection in detections:
        frames[detection.frame].append(detection)
        persons[detection.person].append(detection)
    if None in persons and len(persons) > 1:
        raise ValueError(
            f"{len(persons[None])} boxes have no id and others have one; give an id (0 or more) to all or to none"
        )
    if persons and None not in persons:
        known = [_filled(n or 0, sorted(found, key=lambda d: d.frame), maximum_gap) for n, found in persons.items()]
        return sorted(known, key=lambda track: track.frames[0])
    paths: list[list[Detection]] = []
    for frame in sorted(frames):
        alive = [path for path in paths if frame - path[-1].frame <= maximum_gap]
        free = dict(enumerate(frames[frame]))
        if alive:
            expected = np.stack([_expected(path, frame) for path in alive])
            gain = overlaps(expected, np.array([detection.box for detection in free.values()]))
            gain[gain < minimum_overlap] = 0
            for path, new in zip(*linear_sum_assignment(gain, maximize=True), strict=True):
                if gain[path, new] > 0:
                    alive[path].append(free.pop(int(new)))
        paths += [[detection] for detection in free.values()]
    return [_filled(number, path, maximum_gap) for number, path in enumerate(paths, start=1)]


def _expected(path: Sequence[Detection], frame: int) -> NDArray[np.float64]:
    """The last box, moved on at the mean speed of its centre over the last detections."""
    first, last = path[-SPEED_FROM:][0], path[-1]
    a, b = np.array(first.box), np.array(last.box)
    speed = (b[:2] + b[2:] / 2 - a[:2] - a[2:] / 2) / max(last.frame - first.frame, 1)
    return np.concatenate([b[:2] + speed * (frame - last.frame), b[2:]])


def _filled(number: int, found: Sequence[Detection], maximum_gap: int) -> Track:
    known = np.array([d.frame for d in found])
    frames = [found[0].frame]
    for frame in known[1:].tolist():
        gap = frame - frames[-1]
        frames += range(frames[-1] + 1, frame + 1) if gap <= maximum_gap else [frame]
    boxes = np.array([d.box for d in found])
    filled = np.stack([np.interp(frames, known, side) for side in boxes.T], axis=1)
    return Track(number, tuple(frames), tuple(map(box_of, filled)), len(found))


def _clipped(track: Track, width: int, height: int) -> Track:
    """The track inside the picture; frames in which less than 2 pixels of the person's box are left go away."""
    kept = []
    for frame, (left, top, wide, tall) in zip(track.frames, track.boxes, strict=True):
        x, y = max(left, 0.0), max(top, 0.0)
        box = (x, y, min(left + wide, width) - x, min(top + tall, height) - y)
        if min(box[2:]) >= 2:
            kept.append((frame, box))
    return Track(track.number, tuple(f for f, _ in kept), tuple(b for _, b in kept), min(track.detected, len(kept)))


def _save_people(
    folder: Path, video: Path, people: Sequence[Track], maximum_frames: int, size: tuple[int, int]
) -> Iterator[tuple[Track, list[str]]]:
    """Crop all people in one pass over the video; each is written, and given back, at the last frame."""
    wanted = defaultdict[int, list[tuple[Track, Box]]](list)
    last = {}
    for person in people:
        count = min(maximum_frames, len(person.frames))
        for index in np.linspace(0, len(person.frames) - 1, count).round().astype(int).tolist():
            wanted[person.frames[index]].append((person, person.boxes[index]))
            last[person.number] = person.frames[index]
    crops = defaultdict[int, list[Image]](list)
    for number, image in progress.track(chosen_frames(video, wanted), "cutting tracklets", len(wanted)):
        for person, box in wanted[number]:
            part = crop(image, box)
            # averaging when it shrinks, cubic when it grows
            method = cv2.INTER_AREA if part.shape[0] > size[1] else cv2.INTER_CUBIC
            crops[person.number].append(cv2.resize(part, size, interpolation=method))
            if last[person.number] == number:
                yield person, save_frames(folder, _key(video, person), crops.pop(person.number))


def _key(video: Path, person: Track) -> str:
    return f"{video.stem}-{person.number:04d}"


def _mot_text(people: Sequence[Track]) -> str:
    rows = sorted((f + 1, p.number, *box) for p in people for f, box in zip(p.frames, p.boxes, strict=True))
    return "".join("{},{},{:.2f},{:.2f},{:.2f},{:.2f},1,-1,-1,-1\n".format(*row) for row in rows)


def _check_free(out: Path) -> None:
    if (out / INDEX).is_file():
        raise ValueError(f"{out} already holds a finished tracklet folder; choose another folder or delete it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not an empty folder; choose a new one, or empty it if a run was killed there")
