"""Any benchmark as a tracklet folder: every frame decoded once, and everything known about it in one place.

    tracklets.parquet, origin.json      the tracklet folder (see `data.sets.folder`)
    lists/{train,query,gallery}.txt     keys in order, one a line; their SHA-256 stands in origin.json
    frames/SPLIT/NUMBER-KEY/            pictures: 00000.jpg ...
    frames/SPLIT/NUMBER-KEY.png         silhouettes and depth maps, all frames of a tracklet in one strip
    masks/SPLIT/NUMBER-KEY.png          masks, likewise
    captions.jsonl                      a copy, where there are captions
    prepare.json                        what this folder is for; the first file to be written

Picture files are copied as they are, after they were decoded once, unless they are resized; what comes from a video or
an array becomes JPEG, and everything but pictures becomes lossless PNG. The same input gives the same bytes.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unbraid.data.benchmark import Benchmark, data_hash
from unbraid.data.finding import SPLITS, Item, items_of
from unbraid.data.media import Image, read_frames
from unbraid.data.protocols import named
from unbraid.data.sets.folder import COLUMNS, OPTIONAL, save_frames, save_index, save_strip
from unbraid.files import replacing, write_text
from unbraid.progress import track
from unbraid.protocol import Protocol
from unbraid.tracklet import Images, Media, Tracklet, VideoSpan

MARK, STAGING, CAPTIONS = "prepare.json", ".unfinished", "captions.jsonl"
QUALITY = 95
# Frames held in memory at once.
CHUNK = 32
# Limits of the PNG reader, in rows and in pixels.
ROWS, PIXELS = 1_000_000, 1 << 30


def prepare(
    benchmark: Benchmark, out: Path, *, size: tuple[int, int] | None = None, captions: Path | None = None
) -> Path:
    """Write a benchmark as a tracklet folder; returns `out`.

    size: height and width of all frames in pixels; as they are when absent. Pictures are resized by area averaging
    (bilinearly when they grow), silhouettes, depth maps and masks to the nearest value, so that no new ones arise.
    captions: a caption file to put beside the index.

    After a kill the same call goes on: tracklets appear whole, those that are there are kept.

    Raises ValueError for a benchmark without tracklets or with something that a tracklet folder cannot say, for an
    `out` that holds something else, and for a frame that does not decode; FileNotFoundError for a missing file.

    Example:
        prepare(mars.read(Path("MARS")), Path("mars-256x128"), size=(256, 128))
    """
    out = Path(out)
    items = items_of(benchmark)
    _check(benchmark, items)
    if size is not None and min(size) < 1:
        raise ValueError(f"size is {size[0]} x {size[1]}; expected a height and a width of at least 1 pixel")
    if captions is not None and not Path(captions).is_file():
        raise FileNotFoundError(f"{captions} does not exist; expected a file of captions")
    wanted = {
        "source": benchmark.name,
        **{f"{split}_sha256": data_hash(getattr(benchmark, split)) for split in SPLITS},
        "captions_sha256": None if captions is None else hashlib.sha256(Path(captions).read_bytes()).hexdigest(),
        "height": size[0] if size else None,
        "width": size[1] if size else None,
        "jpeg_quality": QUALITY,
        "opencv": cv2.__version__,
    }
    claim(out, wanted)
    shutil.rmtree(out / STAGING, ignore_errors=True)
    files: dict[tuple[str, Media], dict[str, Any]] = {}
    for number, item in enumerate(track(items, "prepare")):
        tracklet = item.tracklet
        place = _place(number, item)
        try:
            files[tracklet.key, tracklet.media] = _finished(out, place, tracklet, size) or _write(
                out, place, tracklet, size
            )
        except (ValueError, FileNotFoundError, cv2.error) as error:
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
            raise kind(f"tracklet {tracklet.key!r}: {error}; `unbraid data check --frames` finds all such") from error
    shutil.rmtree(out / STAGING, ignore_errors=True)
    if captions is not None:
        with replacing(out / CAPTIONS) as part:
            shutil.copyfile(captions, part)
    rows = [
        {"key": t.key, "split": split, "modality": t.modality, "identity": t.identity, **files[t.key, t.media]}
        | dict(t.labels)
        for split in SPLITS
        for t in getattr(benchmark, split)
    ]
    origin = {
        "name": benchmark.name,
        "synthetic": benchmark.synthetic,
        "protocols": list(benchmark.protocols),
        "lists": _lists(out, benchmark),
        "prepared": wanted,
    }
    unused = [c for c in OPTIONAL if all(row[c] is None for row in rows)]
    save_index(out, [{k: v for k, v in row.items() if k not in unused} for row in rows], origin)
    return out


def _check(benchmark: Benchmark, items: Sequence[Item]) -> None:
    """Raise ValueError for what a tracklet folder cannot say."""
    name = benchmark.name
    if not items:
        raise ValueError(f"{name} holds no tracklet; there is nothing to prepare")
    for key, protocol in benchmark.protocols.items():
        try:
            known = named(key)
        except KeyError as error:
            raise ValueError(
                f"{name}: {error.args[0]}; a tracklet folder names protocols, give it a known one"
            ) from error
        if _facts(known) != _facts(protocol):
            raise ValueError(f"{name}: its protocol {key!r} is not the known one of that name; name it differently")
    for item in items:
        tracklet = item.tracklet
        if tracklet.modality == "points":
            raise ValueError(f"{name}: tracklet {tracklet.key!r} is a point cloud; only pictures can be prepared")
        if len(tracklet.key.splitlines()) > 1:
            raise ValueError(f"{name}: key {tracklet.key!r} holds a line break; lists have one key a line, rename it")
        taken = sorted(set(tracklet.labels) & {*COLUMNS, *OPTIONAL})
        if taken:
            raise ValueError(
                f"{name}: tracklet {tracklet.key!r} has a label {taken[0]!r}, which is a column of the index; rename it"
            )


def _facts(protocol: Protocol) -> list[str]:
    """All that a protocol says; rules are compared by their text."""
    return [str(getattr(protocol, field.name)) for field in fields(protocol)]


def claim(out: Path, wanted: Mapping[str, Any]) -> None:
    """Make the folder and write down what it is for, or check that it is already for this.

    wanted: in the types of JSON. Raises ValueError for a file, a folder that is for something else, and one that is
    not empty and was not made so.
    """
    mark = out / MARK
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; name a folder to write into")
    if mark.is_file():
        try:
            found = json.loads(mark.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{mark} is not valid JSON ({error}); delete {out} and prepare it anew") from error
        before = found if isinstance(found, dict) else {}
        other = [k for k in wanted if before.get(k) != wanted[k]]
        if other:
            raise ValueError(
                f"{out} was prepared from other data or with other options: {other[0]} was {before.get(other[0])!r} "
                f"and is {wanted[other[0]]!r}; choose another folder, or delete this one"
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and was not prepared by this command; choose a new or empty folder")
    out.mkdir(parents=True, exist_ok=True)
    write_text(mark, json.dumps(dict(wanted), indent=2) + "\n")


def _place(number: int, item: Item) -> str:
    """Where the files of a tracklet lie: unique by number, readable by key, and never outside the folder."""
    split = next(split for split in SPLITS if split in item.splits)
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", item.tracklet.key).strip("-")[-60:]
    return f"{split}/{number:06d}-{slug}"


def _copied(tracklet: Tracklet, size: tuple[int, int] | None) -> bool:
    """Whether the picture files are taken as they are."""
    return isinstance(tracklet.media, Images) and tracklet.modality == "rgb" and size is None


def _names(place: str, tracklet: Tracklet, size: tuple[int, int] | None) -> list[str]:
    """File names of a tracklet that is not one strip."""
    ending = ".jpg" if tracklet.modality == "rgb" else ".png"
    endings = [ending] * len(tracklet)
    if isinstance(tracklet.media, Images) and _copied(tracklet, size):
        endings = [path.suffix.lower() for path in tracklet.media.paths]
    return [f"frames/{place}/{number:05d}{suffix}" for number, suffix in enumerate(endings)]


def _finished(out: Path, place: str, tracklet: Tracklet, size: tuple[int, int] | None) -> dict[str, Any] | None:
    """The index entries of files that are there already, None when any lacks. Files appear whole, masks first."""
    mask = f"masks/{place}.png" if tracklet.mask is not None else None
    strip = f"frames/{place}.png"
    names = _names(place, tracklet, size)
    single = _filled(out / strip)
    if (mask is not None and not _filled(out / mask)) or not (single or all(_filled(out / n) for n in names)):
        return None
    return {"frames": [strip] if single else names, "strip": len(tracklet) if single else None, "mask": mask}


def _filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _write(out: Path, place: str, tracklet: Tracklet, size: tuple[int, int] | None) -> dict[str, Any]:
    """Write the files of a tracklet beside the folder's others, then move them there; returns their index entries."""
    staging = out / STAGING
    mask = None
    if tracklet.mask is not None:
        masks = [m[..., 0] for m in _frames(tracklet.mask, size, "mask")]
        mask = f"masks/{place}.png"
        if not _fits(masks):
            raise ValueError("its masks differ in size or are too many for one strip; give --height and --width")
        _move(out, save_strip(staging, mask, masks))
    names, strip = _names(place, tracklet, size), None
    (staging / names[0]).parent.mkdir(parents=True, exist_ok=True)
    if isinstance(tracklet.media, Images) and _copied(tracklet, size):
        for number, (path, name) in enumerate(zip(tracklet.media.paths, names, strict=True)):
            read_frames(tracklet.media, [number])
            shutil.copyfile(path, staging / name)
    elif tracklet.modality == "rgb":
        save_frames(staging, place, _frames(tracklet.media, size, "rgb"), quality=QUALITY)
    else:
        images = [_plain(image) for image in _frames(tracklet.media, size, tracklet.modality)]
        if len({image.ndim for image in images}) > 1:
            images = [np.repeat(i[..., None], 3, 2) if i.ndim == 2 else i for i in images]
        if _fits(images):
            names, strip = [save_strip(staging, f"frames/{place}.png", images)], len(images)
        else:
            for image, name in zip(images, names, strict=True):
                save_strip(staging, name, [image])
    _move(out, names[0] if strip is not None else str(Path(names[0]).parent))
    return {"frames": names, "strip": strip, "mask": mask}


def _move(out: Path, name: str) -> None:
    goal = out / name
    if goal.is_dir():
        shutil.rmtree(goal)
    goal.parent.mkdir(parents=True, exist_ok=True)
    os.replace(out / STAGING / name, goal)


def _frames(media: Media, size: tuple[int, int] | None, kind: str) -> Iterator[Image]:
    """All frames in order, resized. A video is decoded some frames at a time."""
    step = CHUNK if isinstance(media, VideoSpan | Images) else len(media)
    for start in range(0, len(media), step):
        for image in read_frames(media, range(start, min(start + step, len(media)))):
            yield image if size is None or image.shape[:2] == size else _resized(image, size, kind)


def _resized(image: Image, size: tuple[int, int], kind: str) -> Image:
    height, width = size
    how = cv2.INTER_AREA if image.shape[0] * image.shape[1] > height * width else cv2.INTER_LINEAR
    how = how if kind == "rgb" else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), dtype=np.uint8)


def _plain(image: Image) -> Image:
    """One channel, H W, where all three are the same."""
    same = np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 0], image[..., 2])
    return image[..., 0] if same else image


def _fits(images: Sequence[Image]) -> bool:
    """Whether the frames can be one strip."""
    height, width = images[0].shape[:2]
    rows = height * len(images)
    return len({i.shape for i in images}) == 1 and rows <= ROWS and rows * width <= PIXELS


def _lists(out: Path, benchmark: Benchmark) -> dict[str, dict[str, Any]]:
    """Write the keys of each split in order; their number and SHA-256."""
    (out / "lists").mkdir(exist_ok=True)
    told = {}
    for split in SPLITS:
        text = "".join(f"{tracklet.key}\n" for tracklet in getattr(benchmark, split))
        write_text(out / "lists" / f"{split}.txt", text)
        told[split] = {"tracklets": len(getattr(benchmark, split)), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return told
