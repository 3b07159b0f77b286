"""Faces made unrecognisable, for benchmarks that ask whether people are known by anything else.

A face that is found is blurred, and where none is found the place where a head is: the top of the person, or of the
frame. Blurring keeps a method from using faces; it does not make anybody anonymous.

Source: ABNet (arXiv 2403.17360) blurs faces in training and test alike; its code falls back to the top 22 % of the
person's box, or of the frame. The detector is ours: the cascades for faces from the front and from both sides that come
with OpenCV. They miss faces under about 20 pixels, hidden ones and many from the side, which the fallback is for.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from unbraid.data.media import Image, read_frames
from unbraid.data.sets.folder import INDEX, ORIGIN, read, read_origin
from unbraid.files import replacing, write_text
from unbraid.progress import track
from unbraid.tracklet import Box, Images, Strip, Tracklet

HEAD = 0.22
# Share of a found face's box by which it grows on each side: cascades leave out hair, ears and chin.
MARGIN = 0.2
# Standard deviation of the blur as a share of the longer side of what is blurred; a face keeps about four shades.
SIGMA = 0.2
SMALLEST = 20
QUALITY = 95
NOTE, TREATED = "faces.json", ".treated"
How = Literal["face", "head"]
CASCADES = ("haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml")


@dataclass(frozen=True)
class Blurred:
    """How often a face was found, and how often the place of the head stood in for it."""

    frames: int
    found: int
    heads: int


def find_faces(image: Image) -> list[Box]:
    """Boxes (left, top, width, height in pixels) of faces in an H W 3 RGB picture, from the front and from both sides.

    None where OpenCV came without its cascades.
    """
    grey = np.asarray(cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)))
    front, side = (_cascade(name) for name in CASCADES)
    width = image.shape[1]
    found: list[Box] = []
    for cascade, mirrored in ((front, False), (side, False), (side, True)):
        if cascade is None:
            continue
        boxes = cascade.detectMultiScale(
            np.ascontiguousarray(grey[:, ::-1]) if mirrored else grey,
            scaleFactor=1.1,
            minNeighbors=5,
            minSize=(SMALLEST, SMALLEST),
        )
        for left, top, w, h in boxes:
            found.append((float(width - left - w if mirrored else left), float(top), float(w), float(h)))
    return found


def blur_faces(image: Image, person: Box | None = None) -> tuple[Image, How]:
    """A copy of an H W 3 RGB picture with all faces blurred, and whether one was found.

    person: box of the person, if known; the whole picture otherwise. Faces count that lie in its upper half, and the
    head is its top 22 %.
    """
    height, width = image.shape[:2]
    left, top, w, h = person or (0.0, 0.0, float(width), float(height))
    faces = [box for box in find_faces(image) if person is None or _inside((left, top, w, h / 2), box)]
    result = image.copy()
    for x, y, fw, fh in faces:
        _blur(result, (x - MARGIN * fw, y - MARGIN * fh, (1 + 2 * MARGIN) * fw, (1 + 2 * MARGIN) * fh))
    if not faces:
        _blur(result, (left, top, w, HEAD * h))
    return result, "face" if faces else "head"


def person_box(mask: Image) -> Box | None:
    """The box around what is not 0 in an H W 3 mask, None when nothing is."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in ((1, 2), (0, 2)))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return float(left), float(top), float(columns[-1] + 1 - left), float(rows[-1] + 1 - top)


def blur_folder(root: Path, out: Path) -> Blurred:
    """A copy of a tracklet folder in which faces are blurred in every colour frame of every split; the rest as it is.

    Where a tracklet has masks the person's box is that of the mask, else the frame is taken to show one person.
    Silhouettes and depth maps show no faces and are copied. After a kill the same call goes on, and when all is done
    it changes nothing; the index is written last. Captions are not copied: they must tell of the blurred pictures.

    Raises FileNotFoundError when root is no tracklet folder; ValueError for an out that lies in root, holds something
    else or the frames of other data, and for frames that do not decode.
    """
    root, out = Path(root), Path(out)
    benchmark = read(root)
    if out.resolve().is_relative_to(root.resolve()) or root.resolve().is_relative_to(out.resolve()):
        raise ValueError(f"{out} and {root} lie in each other; choose a folder beside it")
    if out.exists() and any(out.iterdir()) and not (out / NOTE).is_file():
        raise ValueError(f"{out} is not empty and was not made by blurring faces; choose a new or empty folder")
    started = {"source": str(read_origin(root).get("name", root.name)), "head": HEAD, "opencv": cv2.__version__}
    started["index"] = hashlib.sha256((root / INDEX).read_bytes()).hexdigest()
    if (out / NOTE).is_file():
        facts = json.loads((out / NOTE).read_text(encoding="utf-8"))
        if facts.get("index") != started["index"]:
            raise ValueError(f"{out} holds frames of other data than {root}; choose a new or empty folder")
        if (out / INDEX).is_file():
            return Blurred(facts["frames"], facts["found"], facts["heads"])
        if any(facts.get(name) != value for name, value in started.items()):
            raise ValueError(
                f"{out} was begun with other settings or another OpenCV ({facts.get('opencv')}, now "
                f"{cv2.__version__}); delete it, or finish it with that one"
            )
    out.mkdir(parents=True, exist_ok=True)
    if not (out / NOTE).is_file():
        write_text(out / NOTE, json.dumps(started, indent=2) + "\n")
    counts: Counter[str] = Counter()
    every = {t.key: t for t in (*benchmark.train, *benchmark.query, *benchmark.gallery)}
    for tracklet in track(list(every.values()), "blur faces"):
        try:
            counts.update(_tracklet(tracklet, root, out))
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(f"tracklet {tracklet.key!r}: {error}") from error
    result = Blurred(counts["face"] + counts["head"], counts["face"], counts["head"])
    write_text(out / NOTE, json.dumps({**started, **asdict(result)}, indent=2) + "\n")
    origin = {**read_origin(root), "faces": {"blurred": True, **asdict(result)}}
    write_text(out / ORIGIN, json.dumps(origin, indent=2) + "\n")
    shutil.rmtree(out / TREATED, ignore_errors=True)
    _copy(root / INDEX, out / INDEX)
    return result


def _tracklet(tracklet: Tracklet, root: Path, out: Path) -> Iterator[str]:
    """Write the files of a tracklet; yields how each colour frame was treated, from a note when it was before."""
    media, mask = tracklet.media, tracklet.mask
    if not isinstance(media, Images | Strip):
        raise ValueError("a tracklet folder holds pictures; prepare the data first")
    files = media.paths if isinstance(media, Images) else (media.path,)
    if isinstance(mask, Strip):
        _copy(mask.path, out / mask.path.relative_to(root))
    if tracklet.modality != "rgb":
        for file in files:
            _copy(file, out / file.relative_to(root))
        return
    note = out / TREATED / f"{_name(files[0].relative_to(root))}.json"
    if note.is_file():
        yield from json.loads(note.read_text(encoding="utf-8"))
        return
    boxes = [person_box(m) for m in read_frames(mask, range(len(mask)))] if mask is not None else [None] * len(media)
    pictures = read_frames(media, range(len(media)))
    changed = [blur_faces(picture, box) for picture, box in zip(pictures, boxes, strict=True)]
    images = [image for image, _ in changed]
    if isinstance(media, Strip):
        images = [np.concatenate(images)]
    for file, image in zip(files, images, strict=True):
        _save(out / file.relative_to(root), image)
    note.parent.mkdir(exist_ok=True)
    write_text(note, json.dumps([how for _, how in changed]))
    yield from (how for _, how in changed)


def _name(path: Path) -> str:
    return "-".join(path.with_suffix("").parts)


def _save(path: Path, image: Image) -> None:
    """One RGB picture in the format that its name ends in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    how = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if path.suffix.lower() in (".jpg", ".jpeg") else []
    done, coded = cv2.imencode(path.suffix, image[..., ::-1], how)
    if not done:
        raise ValueError(f"{path}: pictures cannot be written as {path.suffix}; prepare the data first")
    with replacing(path) as part:
        part.write_bytes(coded.tobytes())


def _copy(source: Path, goal: Path) -> None:
    if goal.is_file() and goal.stat().st_size == source.stat().st_size:
        return
    goal.parent.mkdir(parents=True, exist_ok=True)
    with replacing(goal) as part:
        shutil.copyfile(source, part)


def _blur(image: Image, box: Box) -> None:
    """Blur the part of a picture inside a box, in place."""
    left, top, width, height = box
    rows = slice(max(round(top), 0), min(round(top + height), image.shape[0]))
    columns = slice(max(round(left), 0), min(round(left + width), image.shape[1]))
    part = image[rows, columns]
    if part.size:
        part[...] = cv2.GaussianBlur(part, (0, 0), max(SIGMA * max(part.shape[:2]), 1.0))


def _inside(outer: Box, box: Box) -> bool:
    """Whether the middle of a box lies in another one."""
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    return outer[0] <= x <= outer[0] + outer[2] and outer[1] <= y <= outer[1] + outer[3]


@lru_cache(maxsize=4)
def _cascade(name: str) -> Any:
    file = os.path.join(os.path.dirname(cv2.__file__), "data", name)
    return cv2.CascadeClassifier(file) if os.path.isfile(file) else None
