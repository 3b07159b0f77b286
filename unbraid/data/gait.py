"""Point clouds and masks of walking people as a tracklet folder of depth pictures and silhouettes.

    tracklets.parquet, origin.json      the tracklet folder (see `data.sets.folder`)
    frames/SPLIT/NUMBER-NAME/           depth.png and silhouette.png, all frames of a walk in one strip each, facts.json
    prepare.json                        what this folder is for; the first file to be written

Frames are 64 x 64. The two sensors of a walk have the same frames and the same label `walk`.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unbraid.data.align import Picture, aligned
from unbraid.data.depth import Projection, depth_picture, inside
from unbraid.data.media import read_frames
from unbraid.data.points import Cloud, read_cloud, read_clouds
from unbraid.data.prepare import claim
from unbraid.data.protocols import PLAIN, WALKS
from unbraid.data.sets.folder import save_index, save_strip
from unbraid.data.sets.table import SPLITS
from unbraid.data.walks import Walk, find_walks, matched
from unbraid.files import replacing_folder
from unbraid.progress import track
from unbraid.tracklet import Images

FACTS = "facts.json"
VERSION = 1
# Metres around the median point in which a person is, and the share of the points that may be elsewhere.
REACH, STRAY = 2.5, 0.1
# Share of the points that the projection must show.
SHOWN = 0.5
# Share of rows between the highest and the lowest point that hold one; fewer are black lines across the person.
FILLED = 0.6
# Grey levels of a picture below which a mask shows nobody. Source: OpenGait's preparation of silhouettes.
LEAST = 10_000
# Masks are 0 and 255, or 0 and 1.
THRESHOLD = 127
# Rows that the reader of strips takes.
LONGEST = 15_000
NOBODY: Picture = np.zeros((1, 1), np.uint8)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of the walks: tracklets and frames by modality, frames and walks left out, protocols to score by, and
    what to look at."""

    root: Path
    people: int
    walks: int
    tracklets: Mapping[str, int]
    frames: Mapping[str, int]
    frames_left_out: int
    walks_left_out: int
    protocols: tuple[str, ...]
    remarks: tuple[str, ...]


def prepare_gait(
    source: Path, out: Path, projection: Projection | None = None, *, fewest: int = 8, synthetic: bool = False
) -> Prepared:
    """Write the walks below `source` (see `data.walks`) as a tracklet folder.

    projection: of clouds; the geometry of SUSTech1K's scanner when absent. fewest: points below which a cloud shows
    nobody. synthetic: what the folder says about its people.

    A frame in which one sensor shows nobody is left out for both. Walks without frames are left out. After a kill the
    same call goes on; the same input gives the same bytes.

    Raises FileNotFoundError and ValueError as `find_walks`, `matched` and the readers of clouds and pictures, and
    ValueError for an `out` that holds something else, for clouds that are not of one person around the scanner, for
    pictures that are no masks, and when no walk is left.
    """
    source, out = Path(source), Path(out)
    projection = projection or Projection()
    walks = find_walks(source)
    wanted = {
        "version": VERSION,
        "files_sha256": _hash(source, walks),
        "projection": json.loads(json.dumps(asdict(projection))),
        "fewest": fewest,
        "synthetic": synthetic,
        "opencv": cv2.__version__,
    }
    if out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{out} lies inside the walks that are read, {source}; choose a folder beside it")
    claim(out, wanted)
    rows: list[dict[str, Any]] = []
    facts = []
    for number, walk in enumerate(track(walks, "prepare")):
        slug = re.sub(r"[^A-Za-z0-9_]+", "-", walk.name).strip("-")[-60:]
        place = f"frames/{walk.split}/{number:06d}-{slug}"
        told = _facts(out / place) or _write(out / place, walk, projection, fewest)
        facts.append(told)
        labels = {"walk": walk.name, **({} if walk.view is None else {"view": walk.view})}
        for modality in told["modalities"]:
            own = {"key": f"{walk.name}/{modality}", "modality": modality, "identity": walk.person}
            files = {"frames": [f"{place}/{modality}.png"], "strip": told["frames"]}
            rows += [{**own, "split": split, **files, **labels} for split in SPLITS[walk.split]]
    if not rows:
        raise ValueError(
            f"{source}: no frame shows anybody, so there is nothing to write; expected clouds of at least {fewest} "
            f"points between {projection.lowest:g} and {projection.highest:g} degrees, or masks of 0 and 255"
        )
    found = {row["modality"] for row in rows}
    sides = {p.name: {*p.query.labels["modality"], *p.gallery.labels["modality"]} for p in WALKS}
    protocols = (*(name for name, needed in sides.items() if needed <= found), PLAIN.name)
    origin = {"name": source.resolve().name, "synthetic": synthetic, "prepared": wanted, "protocols": protocols}
    save_index(out, rows, origin)
    return _summary(out, walks, facts, projection, protocols)


def mask_of(picture: Picture) -> Picture:
    """A silhouette H W, 0 and 255, of a picture H W 3 of a mask. Raises ValueError for a picture in colour."""
    low, high = picture.min(axis=2), picture.max(axis=2)
    if (high.astype(np.int16) - low > 16).mean() > 0.01:
        raise ValueError("it is a picture in colour; expected a mask, 0 where nobody is and 255 (or 1) on the person")
    lit = high > (0 if high.max(initial=0) == 1 else THRESHOLD)
    return np.where(lit, np.uint8(255), np.uint8(0))


def _write(place: Path, walk: Walk, projection: Projection, fewest: int) -> dict[str, Any]:
    """Write the strips of a walk, whole or not at all; returns its facts."""
    clouds = [read_cloud(path) for path in walk.clouds] if walk.packed is None else read_clouds(walk.packed)
    first, second = matched(walk, len(clouds))
    given = max(len(first), len(second))
    if given > LONGEST:
        raise ValueError(f"walk {walk.name!r} has {given} frames; expected {LONGEST} at most, cut it into several")
    frames: dict[str, list[Picture]] = {}
    filled: list[float] = []
    if first:
        pictures = [_depth(clouds[n], projection, fewest, _name(walk, n)) for n in first]
        filled = [_filled(picture) for picture in pictures if picture.any()]
        frames["depth"] = [aligned(picture, aspect=projection.aspect) for picture in pictures]
    if second:
        frames["silhouette"] = [_silhouette(walk.masks[n]) for n in second]
    kept = [n for n in range(given) if all(own[n].any() for own in frames.values())]
    told: dict[str, Any] = {
        "modalities": sorted(frames) if kept else [],
        "frames": len(kept),
        "left_out": max(len(clouds), len(walk.masks)) - len(kept),
        "filled": float(np.mean(filled)) if filled else 1.0,
    }
    with replacing_folder(place) as part:
        for modality in told["modalities"]:
            save_strip(part, f"{modality}.png", [frames[modality][n] for n in kept])
        (part / FACTS).write_text(json.dumps(told), encoding="utf-8")
    return told


def _silhouette(path: Path) -> Picture:
    """The aligned silhouette of a mask's file, all 0 when it shows nobody."""
    picture = read_frames(Images((path,)), [0])[0]
    try:
        mask = mask_of(picture)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return aligned(mask) if int(mask.sum(dtype=np.int64)) > LEAST else NOBODY


def _depth(cloud: Cloud, projection: Projection, fewest: int, name: str) -> Picture:
    """The depth picture of a cloud, all 0 when it shows nobody; ValueError when it cannot be that of one person."""
    if len(cloud) < max(fewest, 1):
        return NOBODY
    away = np.abs(cloud - np.median(cloud, axis=0)).max(axis=1)
    share = float((away >= REACH).mean())
    if share > STRAY:
        size = " x ".join(f"{extent:.3g}" for extent in np.ptp(cloud, axis=0))
        raise ValueError(
            f"{name} spans {size} metres, and {100 * share:.0f} % of its points are {REACH:g} metres or more from the "
            f"middle one; expected the points of one person. Cut the person out first, or convert the unit to metres"
        )
    shown = cloud[inside(cloud, projection)]
    if len(shown) < SHOWN * len(cloud):
        raise ValueError(
            f"{name}: {100 - 100 * len(shown) / len(cloud):.0f} % of its points lie outside {projection.lowest:g} to "
            f"{projection.highest:g} degrees of elevation; expected x and y horizontal, z up and the scanner at the "
            f"origin. Turn the cloud, or give the scanner's own angles"
        )
    return depth_picture(shown, projection) if len(shown) >= max(fewest, 1) else NOBODY


def _filled(picture: Picture) -> float:
    """The share of rows with a point between the highest and the lowest of them."""
    lines = np.flatnonzero(picture.reshape(len(picture), -1).any(axis=1))
    return len(lines) / int(lines[-1] - lines[0] + 1)


def _name(walk: Walk, number: int) -> str:
    return str(walk.clouds[number]) if walk.packed is None else f"{walk.packed}, frame {number}"


def _facts(place: Path) -> dict[str, Any] | None:
    """The facts of a walk that is there whole; folders appear whole, so only deletions leave gaps."""
    path = place / FACTS
    if not path.is_file():
        return None
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    there = [place / f"{modality}.png" for modality in told["modalities"]]
    return told if all(strip.is_file() and strip.stat().st_size for strip in there) else None


def _hash(root: Path, walks: Sequence[Walk]) -> str:
    """SHA-256 of the names and contents of all files in order."""
    digest = hashlib.sha256()
    for walk in track(walks, "look for changes"):
        for path in (*walk.clouds, *([walk.packed] if walk.packed else []), *walk.masks):
            with path.open("rb") as file:
                contents = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(root).as_posix()}\n{contents}\n".encode())
    return digest.hexdigest()


def _summary(
    out: Path,
    walks: Sequence[Walk],
    facts: Sequence[Mapping[str, Any]],
    projection: Projection,
    protocols: tuple[str, ...],
) -> Prepared:
    frames = {m: sum(told["frames"] for told in facts if m in told["modalities"]) for m in ("depth", "silhouette")}
    tracklets = {m: sum(m in told["modalities"] for told in facts) for m in frames}
    empty = [walk.name for walk, told in zip(walks, facts, strict=True) if not told["modalities"]]
    remarks = []
    if empty:
        remarks.append(f"{len(empty)} walks show nobody in any frame and are left out, such as {empty[0]!r}")
    depth = [told["filled"] for told in facts if "depth" in told["modalities"]]
    if depth and np.mean(depth) < FILLED:
        remarks.append(
            f"depth pictures have black lines: only {100 * np.mean(depth):.0f} % of the rows from a person's highest "
            f"point to the lowest hold one. `up` is {projection.up:g} degrees; give the angle between your scanner's "
            f"beams"
        )
    return Prepared(
        out,
        len({walk.person for walk, told in zip(walks, facts, strict=True) if told["modalities"]}),
        len(walks) - len(empty),
        {m: n for m, n in tracklets.items() if n},
        {m: n for m, n in frames.items() if n},
        sum(told["left_out"] for told in facts),
        len(empty),
        protocols,
        tuple(remarks),
    )
