"""Data of one's own: a table with one row per tracklet, or a folder with one folder per person.

A table is a CSV or Parquet file with the columns

    path        an image, a video, an array file (.npy, .npz, .pkl) or a folder of images; or instead
    frames      a pattern of image files, such as p1/walk/*.jpg
    identity    who it is; empty when unknown
    key         optional; unique. Without it `path` or `frames` is the key
    split       optional; train, query, gallery, or test, which is query and gallery at once. Empty means test
    modality    optional; rgb, silhouette, depth or points
    camera, clothes, action, ...    any other column is a label; an empty cell is an unknown value

A folder is train/<person>/..., query/<person>/..., gallery/<person>/... or test/<person>/..., or <person>/... alone,
which is test. In a person's folder every image, video and array file is a tracklet, and every folder of images is one.

A test item is never compared with itself. Protocols by camera, clothes or action are there when every test item
knows its value; data without cameras have `plain@1`.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from unbraid.data.arrays import ENDINGS, count_frames
from unbraid.data.benchmark import Benchmark
from unbraid.data.media import declared_frames
from unbraid.data.protocols import (
    CAMERA_CHANGE,
    CLOTHES_CHANGE,
    CROSS_ACTIVITY,
    CROSS_ACTIVITY_OTHER_CAMERA,
    PLAIN,
    SAME_CLOTHES,
)
from unbraid.data.sets.activity import pictures
from unbraid.data.sets.files import inside
from unbraid.protocol import Protocol
from unbraid.tracklet import Arrays, Images, Media, Modality, Tracklet, VideoSpan

SPLITS = {"train": ("train",), "query": ("query",), "gallery": ("gallery",), "test": ("query", "gallery")}
OWN = ("path", "frames", "identity", "key", "split", "modality")
VIDEO_ENDINGS = (".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts")
BY_LABELS: tuple[tuple[Protocol, tuple[str, ...]], ...] = (
    (CAMERA_CHANGE, ("camera",)),
    (CLOTHES_CHANGE, ("camera", "clothes")),
    (SAME_CLOTHES, ("camera", "clothes")),
    (CROSS_ACTIVITY, ("action",)),
    (CROSS_ACTIVITY_OTHER_CAMERA, ("action", "camera")),
)


def read(
    source: Path, *, root: Path | None = None, name: str | None = None, modality: Modality = "rgb", step: int = 1
) -> Benchmark:
    """The tracklets of a table or of a folder of people.

    root: where paths of a table begin; the table's folder when absent. Paths must stay inside.
    name: of the benchmark; the file's or folder's name when absent.
    modality: of rows that do not say. step: of videos every step-th frame is taken.

    Raises FileNotFoundError for a source, or a file named by it, that does not exist; ValueError, with the row, for
    missing columns, unknown splits and modalities, keys that stand twice, and paths that leave root.

    Example:
        benchmark = read(Path("people.csv"))
        print(list(benchmark.protocols))
    """
    source = Path(source)
    splits: dict[str, list[Tracklet]] = {"train": [], "query": [], "gallery": []}
    if source.is_dir():
        found = _of_folder(source, modality, step)
    elif source.is_file() and source.suffix.lower() in (".csv", ".parquet"):
        found = _of_table(source, Path(root) if root else source.parent, modality, step)
    else:
        raise FileNotFoundError(f"{source} is neither a .csv or .parquet file nor a folder of people; see this reader")
    for split, tracklet in found:
        for part in SPLITS[split]:
            splits[part].append(tracklet)
    if not any(splits.values()):
        raise ValueError(f"{source} holds no tracklet; expected rows, or folders of people with files in them")
    train, query, gallery = (tuple(splits[part]) for part in ("train", "query", "gallery"))
    protocols = _protocols(source, {t.key: t for t in (*query, *gallery)}.values())
    return Benchmark(name or source.stem, train, query, gallery, {p.name: p for p in protocols})


def _protocols(source: Path, tracklets: Sequence[Tracklet] | Any) -> list[Protocol]:
    test = list(tracklets)
    known = {label: sum(label in t.labels for t in test) for _, labels in BY_LABELS for label in labels}
    for label, number in known.items():
        if 0 < number < len(test):
            warnings.warn(
                f"{source}: {label} is known of {number} of {len(test)} test items only, so there is no protocol by "
                f"{label}; fill in the others",
                stacklevel=3,
            )
    found = [p for p, labels in BY_LABELS if test and all(known[label] == len(test) for label in labels)]
    return [*found, PLAIN]


def _of_table(path: Path, root: Path, modality: Modality, step: int) -> Iterator[tuple[str, Tracklet]]:
    table = _table(path)
    if "identity" not in table.columns or not {"path", "frames"} & set(table.columns):
        raise ValueError(f"{path} has the columns {list(table.columns)}; expected identity, and path or frames")
    labels = [column for column in table.columns if column not in OWN]
    seen: dict[str, int] = {}
    # Row 1 of a CSV is its header, so that numbers are those that an editor shows.
    for number, row in enumerate(table.to_dict("records"), 2 if path.suffix.lower() == ".csv" else 0):
        where = f"{path}, row {number}"
        named, pattern = row.get("path", ""), row.get("frames", "")
        if bool(named) == bool(pattern):
            raise ValueError(f"{where}: expected a value for path or for frames, and not for both")
        key = row.get("key") or named or pattern
        if key in seen:
            raise ValueError(f"{where}: key {key!r} stands in row {seen[key]} already; a column `key` tells rows apart")
        seen[key] = number
        split, kind = row.get("split") or "test", row.get("modality") or modality
        if split not in SPLITS:
            raise ValueError(f"{where}: split is {split!r}; expected one of {', '.join(SPLITS)}")
        if kind not in get_args(Modality):
            raise ValueError(f"{where}: modality is {kind!r}; expected one of {', '.join(get_args(Modality))}")
        media = _frames(root, pattern, where) if pattern else _media(_inside(root, named, where), where, step)
        known = {label: row[label] for label in labels if row[label]}
        yield split, Tracklet(key, media, kind, row["identity"] or None, known)


def _table(path: Path) -> pd.DataFrame:
    """All cells as text, '' where empty."""
    try:
        if path.suffix.lower() == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        else:
            whole = pd.read_parquet(path)
            table = whole.astype(str).where(whole.notna(), "")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a readable table ({error}); write it again") from error
    table.columns = table.columns.astype(str).str.strip()
    twice = sorted(table.columns[table.columns.duplicated()])
    if twice:
        raise ValueError(f"{path} has two columns {twice[0]!r}; rename or remove one")
    stripped: pd.DataFrame = table.apply(lambda column: column.str.strip())
    return stripped


def _inside(root: Path, text: str, where: str) -> Path:
    """A path of the table; absolute ones may be given when they lead into root."""
    path = Path(text)
    if path.is_absolute() and path.is_relative_to(root.absolute()):
        text = path.relative_to(root.absolute()).as_posix()
    elif path.is_absolute():
        raise ValueError(f"{where}: {text!r} lies outside {root}; name the folder of the files with `root`")
    return inside(root, text, where)


def _frames(root: Path, pattern: str, where: str) -> Images:
    relative = _inside(root, pattern, where).relative_to(root).as_posix()
    found = pictures(root.glob(relative))
    if not found:
        raise FileNotFoundError(f"{where}: no image matches {pattern!r} below {root}; correct it or remove the row")
    return Images(found)


def _media(path: Path, where: str, step: int) -> Media:
    ending = path.suffix.lower()
    if path.is_dir():
        media: Media = Images(pictures(path.iterdir()))
    elif not path.is_file():
        raise FileNotFoundError(f"{where}: {path} does not exist; restore it or remove the row")
    elif ending in VIDEO_ENDINGS:
        media = VideoSpan(path, tuple(range(0, declared_frames(path), step)))
    elif ending in ENDINGS:
        media = Arrays(path, count_frames(path))
    else:
        media = Images((path,))
    if not len(media):
        raise ValueError(f"{where}: {path} holds no frames; add them or remove the row")
    return media


def _of_folder(root: Path, modality: Modality, step: int) -> Iterator[tuple[str, Tracklet]]:
    parts: Mapping[str, Path] = {split: root / split for split in SPLITS if (root / split).is_dir()} or {"test": root}
    for split, part in parts.items():
        for person in sorted(p for p in part.iterdir() if p.is_dir() and not p.name.startswith(".")):
            for item in sorted(person.iterdir()):
                known = item.suffix.lower() in VIDEO_ENDINGS + ENDINGS or bool(pictures([item]))
                filled = item.is_dir() and bool(pictures(item.iterdir()))
                if filled or (known and item.is_file() and not item.name.startswith(".")):
                    key = item.relative_to(root).as_posix()
                    yield split, Tracklet(key, _media(item, str(root), step), modality, person.name)
