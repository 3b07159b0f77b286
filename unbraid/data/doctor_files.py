"""The doctor's look at files, pixels and captions; see `data.doctor`."""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from textwrap import shorten
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unbraid.data.finding import Finding, Item, Severity, finding
from unbraid.data.media import read_frames
from unbraid.progress import track
from unbraid.tracklet import Images, Media, Tracklet, VideoSpan

# How much of a file is compared: whole pictures, and of videos as much as tells two of one size apart.
HEAD = 1 << 20
# Frames of a video held in memory at once.
CHUNK = 32


def examine_files(items: Sequence[Item], broken: set[Path]) -> list[Finding]:
    """Files that are missing, empty, unreadable (these are added to `broken`), or in more tracklets than one."""
    return [*_files(items, broken), *_shared(items), *_same_bytes(items, broken)]


def examine_frames(items: Sequence[Item], broken: set[Path]) -> list[Finding]:
    """What decoding every frame and mask shows. broken: files already known to be bad, passed over."""
    bad: list[str] = []
    points: list[str] = []
    blank: list[str] = []
    uneven: list[str] = []
    sizes: Counter[tuple[int, int]] = Counter()
    nothing: Counter[str] = Counter()
    with _quiet():
        for item in track(items, "frames"):
            tracklet = item.tracklet
            if tracklet.modality == "points":
                points.append(tracklet.key)
                continue
            seen: dict[str, list[tuple[int, int]]] = {}
            for part, media in (("", tracklet.media), (", mask", tracklet.mask)):
                if media is None:
                    continue
                seen[part] = []
                for number, picture in _decoded(media, broken):
                    where = f"{tracklet.key}{part}, frame {number}"
                    if isinstance(picture, str):
                        bad.append(f"{where}: {picture}")
                        continue
                    seen[part].append(picture.shape[:2])
                    if picture.min() == picture.max():
                        blank.append(where)
                        nothing[tracklet.key] += not part
            sizes.update(seen[""])
            if len(seen) == 2 and len(seen[""]) == len(seen[", mask"]) and seen[""] != seen[", mask"]:
                uneven.append(tracklet.key)
    hollow = [item.tracklet.key for item in items if nothing[item.tracklet.key] == len(item.tracklet)]
    found = [
        finding("frames-unreadable", "error", bad, f"{len(bad)} frames do not decode", "restore or remove these files"),
        finding("tracklets-blank", "error", hollow, f"{len(hollow)} tracklets show nothing at all", "remove them"),
        finding("masks-size", "error", uneven, f"{len(uneven)} tracklets have masks of another size than their frames"),
        finding("points", "note", points, f"{len(points)} tracklets are point clouds, whose frames are not looked at"),
        finding(
            "frames-blank",
            "warning",
            blank,
            f"{len(blank)} frames or masks are one single value, without any content",
            "usual at the ends of gait sequences and where something hides the person; elsewhere a fault",
        ),
    ]
    if sizes:
        heights, widths = zip(*sizes, strict=True)
        smallest, largest = (f"{pick(heights)} x {pick(widths)}" for pick in (min, max))
        text = smallest if len(sizes) == 1 else f"between {smallest} and {largest}, {len(sizes)} different sizes"
        message = f"{sum(sizes.values())} frames decode, their height and width {text}"
        found.append(Finding("frames", "note", sum(sizes.values()), message))
    return found


def _decoded(media: Media, broken: set[Path]) -> Iterator[tuple[int, "NDArray[np.uint8] | str"]]:
    """Frame numbers of a tracklet with the picture, or with what is wrong."""
    if isinstance(media, Images):
        parts = [range(n, n + 1) for n in range(len(media)) if media.paths[n] not in broken]
    elif broken.intersection(_paths(media)):
        return
    else:
        step = CHUNK if isinstance(media, VideoSpan) else len(media)
        parts = [range(start, min(start + step, len(media))) for start in range(0, len(media), step)]
    for part in parts:
        try:
            yield from zip(part, read_frames(media, part), strict=True)
        except (ValueError, OSError, cv2.error) as error:
            yield part.start, str(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV's own lines about bad pictures say nothing that the findings do not."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def examine_captions(path: Path, items: Sequence[Item]) -> list[Finding]:
    """What a caption file lacks or has too much: JSON lines with key, aspect and text.

    Raises FileNotFoundError when it does not exist, ValueError when it is not UTF-8 text.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected captions as JSON lines with key, aspect and text")
    there = {item.tracklet.key: item for item in items}
    malformed, twice, empty = [], [], []
    texts: dict[tuple[str, str], str] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                row = _caption(line)
                if row is None:
                    malformed.append(f"line {number}")
                    continue
                key, aspect, text = row
                if (key, aspect) in texts:
                    twice.append(f"line {number}: {key}, {aspect}")
                if not text.strip():
                    empty.append(f"line {number}: {key}, {aspect}")
                else:
                    texts[key, aspect] = text
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); write it again") from error
    foreign = sorted({key for key, _ in texts if key not in there})
    say = "correct these lines"
    return [
        finding("captions-malformed", "error", malformed, f"{len(malformed)} lines are no captions", say),
        finding("captions-twice", "error", twice, f"{len(twice)} texts are a second one of their tracklet", say),
        finding("captions-empty", "error", empty, f"{len(empty)} captions say nothing", say),
        finding(
            "captions-foreign",
            "warning",
            foreign,
            f"{len(foreign)} keys with captions are no tracklets here",
            "the file belongs to another data set or version",
        ),
        *_coverage(texts, there),
    ]


def _coverage(texts: Mapping[tuple[str, str], str], there: Mapping[str, Item]) -> Iterator[Finding]:
    """Which tracklets have a text, by aspect and modality, and which texts are those of several people."""
    keys: dict[str, list[str]] = defaultdict(list)
    for key, item in there.items():
        keys[item.tracklet.modality].append(key)
    whole: dict[str, list[str]] = defaultdict(list)
    for aspect in sorted({aspect for _, aspect in texts}):
        for modality, every in keys.items():
            without = [key for key in every if (key, aspect) not in texts]
            training = sum("train" in there[key].splits for key in without)
            covered = len(every) - len(without)
            if not without:
                whole[modality].append(aspect)
            elif covered:
                yield finding(
                    "captions-coverage",
                    "warning" if training else "note",
                    without,
                    f"{aspect}: {covered} of {len(every)} {modality} tracklets have a text; of those without, "
                    f"{training} are for training",
                    "write the texts that lack, or leave the aspect out of training",
                )
    for modality, aspects in whole.items():
        message = f"all {len(keys[modality])} {modality} tracklets have texts about {', '.join(aspects)}"
        yield Finding("captions", "note", len(aspects), message)
    told = {key for key, _ in texts}
    silent = [key for every in keys.values() if not told.intersection(every) for key in every]
    yield finding("captions-none", "warning", silent, f"{len(silent)} tracklets of modalities without any text")
    people: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    for (key, aspect), text in texts.items():
        if key in there:
            people[aspect, text].add(there[key].tracklet.identity)
    common = [
        shorten(f"{aspect}: {text}", 80, placeholder=" ...")
        for (aspect, text), those in people.items()
        if len(those) > 1
    ]
    message = f"{len(common)} of {len(people)} different texts are, word for word, about several people"
    yield finding("captions-shared", "note", common, message, "usual for surroundings; copied lines look like this too")


def _caption(line: str) -> tuple[str, str, str] | None:
    try:
        row: Any = json.loads(line)
    except ValueError:
        return None
    values = [row.get(name) for name in ("key", "aspect", "text")] if isinstance(row, dict) else []
    match [value for value in values if isinstance(value, str)]:
        case [key, aspect, text] if key and aspect:
            return key, aspect, text
    return None


def _paths(media: Media | None) -> tuple[Path, ...]:
    return () if media is None else media.paths if isinstance(media, Images) else (media.path,)


def _files(items: Sequence[Item], broken: set[Path]) -> Iterator[Finding]:
    """Files that are missing, empty or may not be read; they are added to `broken`."""
    states: dict[Path, str] = {}
    holders: dict[str, set[str]] = defaultdict(set)
    for item in track(items, "files"):
        for path in (*_paths(item.tracklet.media), *_paths(item.tracklet.mask)):
            if path not in states:
                states[path] = _state(path)
            if states[path]:
                holders[states[path]].add(item.tracklet.key)
    broken.update(path for path, state in states.items() if state)
    advice = "restore the files, or remove their tracklets from the index"
    for state, keys in holders.items():
        paths = [path for path, of_path in states.items() if of_path == state]
        message = f"{len(paths)} of {len(states)} files, of {len(keys)} tracklets, are {state}"
        yield finding(f"files-{state}", "error", paths, message, advice)


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError:
        return "unreadable"
    if not S_ISREG(found.st_mode) or not os.access(path, os.R_OK):
        return "unreadable"
    return "" if found.st_size else "empty"


def _units(tracklet: Tracklet) -> Iterable[tuple[object, ...]]:
    """What may not be in two tracklets: files, or frames of a video with their boxes."""
    media = tracklet.media
    if isinstance(media, VideoSpan):
        boxes: Sequence[object] = media.boxes or (None,) * len(media)
        return {(str(media.path), n, box) for n, box in zip(media.frames, boxes, strict=True)}
    return {(str(path),) for path in _paths(media)}


def _shared(items: Sequence[Item]) -> Iterator[Finding]:
    """Files, or frames of a video, in more than one tracklet."""
    if not items:
        return
    videos = Counter(str(i.tracklet.media.path) for i in items if isinstance(i.tracklet.media, VideoSpan))
    some = [i for i in items if not isinstance(m := i.tracklet.media, VideoSpan) or videos[str(m.path)] > 1]
    # millions of names are compared by number first, which takes 8 bytes each
    parts = [np.array([hash(unit) for unit in _units(i.tracklet)], np.int64) for i in track(some, "shared files")]
    values, counts = np.unique(np.concatenate([*parts, np.zeros(0, np.int64)]), return_counts=True)
    twice = set(values[counts > 1].tolist())
    holders: dict[object, list[Item]] = defaultdict(list)
    for item, numbers in zip(some, parts, strict=True):
        if twice.intersection(numbers.tolist()):
            for unit in _units(item.tracklet):
                if hash(unit) in twice:
                    holders[unit].append(item)
    names = {" frame ".join(str(p) for p in unit[:2]): those for unit, those in holders.items()}  # type: ignore[index]
    yield from _leaks("shared-files", names, "the same file", "remove the tracklet from one of them")


def _same_bytes(items: Sequence[Item], broken: set[Path]) -> Iterator[Finding]:
    """Files of equal content. Of each tracklet the middle file: gait sequences often begin with an empty picture.

    The choice of file is not in the paper; chosen because of these.
    """
    sizes: dict[int, dict[Path, list[Item]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        paths = _paths(item.tracklet.media)
        path = paths[len(paths) // 2]
        if path not in broken:
            sizes[path.stat().st_size][path].append(item)
    alike = [files for files in sizes.values() if len(files) > 1]
    contents: dict[str, list[Item]] = defaultdict(list)
    for files in track(alike, "equal files"):
        for path, those in files.items():
            with path.open("rb") as file:
                digest = hashlib.sha256(file.read(HEAD)).hexdigest()
            contents[f"{path.stat().st_size} {digest}"].append(those[0])
    # within a split, copies harm only where they are said to show different people
    names = {
        " = ".join(i.tracklet.key for i in those[:3]): those
        for those in contents.values()
        if len(those) > 1
        and (len({i.tracklet.identity for i in those}) > 1 or len({frozenset(i.splits) for i in those}) > 1)
    }
    yield from _leaks("same-bytes", names, "files of the same content", "look at them and remove the copies")


def _leaks(name: str, holders: Mapping[str, list[Item]], what: str, advice: str) -> Iterator[Finding]:
    """Findings about what several tracklets have in common, by how much harm it does."""
    groups: dict[str, list[str]] = defaultdict(list)
    for text, those in holders.items():
        splits = {frozenset(item.splits) for item in those}
        if any("train" in s for s in splits) and any(s - {"train"} for s in splits):
            kind = "train and test tracklets"
        elif _asked_elsewhere(those):
            kind = "queries and gallery items of other keys"
        else:
            kind = "tracklets of one split"
        keys = ", ".join(item.tracklet.key for item in those[:3])
        groups[kind].append(text if " = " in text else f"{text} in {keys}")
    for kind, cases in groups.items():
        severity: Severity = "warning" if kind == "tracklets of one split" else "error"
        yield finding(name, severity, cases, f"{kind} have {what}; cases: {len(cases)}", advice)


def _asked_elsewhere(items: Sequence[Item]) -> bool:
    """Whether a query shares something with a gallery item that is not itself."""
    asked, offered = ([i for i in items if side in i.splits] for side in ("query", "gallery"))
    return bool(asked) and bool(offered) and len({id(i) for i in (*asked, *offered)}) > 1
