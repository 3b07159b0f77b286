"""What lies in the folder of a world, and how it comes there so that a kill leaves nothing half done.

tracklets.parquet, origin.json   the tracklet folder (see `data.sets.folder`)
identities.parquet               every factor of every person
outfits.parquet                  every factor of every outfit
captions.jsonl                   what there is to say about every tracklet, by aspect
    frames/KEY/    one folder per shot: 00000.jpg ..., mask.png, silhouette.png, depth.png, points.safetensors
world.json                       what this folder is for; the first file to be written
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from unbraid.data.sets.folder import INDEX, ORIGIN, save_frames, save_index, save_strip
from unbraid.files import replacing, write_text
from unbraid.text.captions import write_captions
from unbraid.world.clothes.wardrobe import Outfit, draw_outfit
from unbraid.world.config import WorldConfig
from unbraid.world.people.person import TEST, TRAIN, factors, person
from unbraid.world.plan import Shot, labels
from unbraid.world.sensors.camera import Camera, camera
from unbraid.world.sensors.picture import Recording
from unbraid.world.text.captions import captions

PLAN = "world.json"
IDENTITIES, OUTFITS, CAPTIONS = "identities.parquet", "outfits.parquet", "captions.jsonl"
SHOTS, FACTS = "shots.parquet", "facts.json"
STAGING = ".unfinished"
MASK, SILHOUETTE, DEPTH, POINTS = "mask.png", "silhouette.png", "depth.png", "points.safetensors"


def complete(out: Path) -> bool:
    """Whether every table of the world is there."""
    return all((out / name).is_file() for name in (INDEX, ORIGIN, IDENTITIES, OUTFITS, SHOTS, CAPTIONS))


def claim(out: Path, wanted: dict[str, Any]) -> None:
    """Make the folder and write down which world it is for, or check that it is already for this one.

    wanted: what decides the pixels.

    Raises ValueError when `out` is a file, holds something else or another world; OSError when it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; name a folder for the world")
    mark = out / PLAN
    if mark.is_file():
        found = _read_plan(mark)
        if found != wanted:
            raise ValueError(
                f"{out} holds another world ({_difference(found, wanted)}); choose another folder, or delete this one "
                f"to render it anew"
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and holds no world; choose a new or empty folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(mark, json.dumps(wanted, indent=2) + "\n")
    except OSError as error:
        raise OSError(error.errno, f"cannot write into {out}: {error}; choose a folder that can be written") from error


def finished(config: WorldConfig, out: Path, shot: Shot) -> bool:
    """Whether all files of the shot are there; folders appear whole, so only deletions leave gaps."""
    wanted = (config.frames if "rgb" in config.modalities else 0) + len(_extras(config)) + 1
    try:
        with os.scandir(_folder(out, shot)) as found:
            return sum(entry.stat().st_size > 0 for entry in found) == wanted
    except FileNotFoundError:
        return False


def save(config: WorldConfig, out: Path, shot: Shot, taken: Recording) -> None:
    """Store one shot. Its folder is moved into place whole: what lies under frames/ is always complete."""
    staging, goal = out / STAGING, _folder(out, shot)
    save_frames(staging, shot.key, taken.rgb, quality=config.jpeg_quality)
    place = f"frames/{shot.key}"
    extras = _extras(config)
    for name, frames in ((MASK, taken.masks), (SILHOUETTE, taken.silhouettes), (DEPTH, taken.depth)):
        if name in extras:
            save_strip(staging, f"{place}/{name}", frames)
    if POINTS in extras:
        counts = np.array([len(cloud) for cloud in taken.clouds], np.int32)
        save_file({"points": np.concatenate(taken.clouds), "counts": counts}, staging / place / POINTS)
    (staging / place).mkdir(parents=True, exist_ok=True)
    (staging / place / FACTS).write_text(json.dumps(taken.facts), encoding="utf-8")
    if goal.exists():
        shutil.rmtree(goal)
    goal.parent.mkdir(exist_ok=True)
    os.replace(staging / place, goal)


def write_tables(config: WorldConfig, out: Path, shots: Sequence[Shot], origin: dict[str, Any]) -> None:
    """Everything beside the pixels; the index comes last, so that it stands for a whole world."""
    people = {
        (group, number): person(config, group, number)
        for group, count in ((TRAIN, config.train_identities), (TEST, config.test_identities))
        for number in range(count)
    }
    _write_table(out / IDENTITIES, [factors(someone) for someone in people.values()])
    outfits: dict[tuple[str, str], Outfit] = {}
    said = []
    for shot in shots:
        worn = outfits.setdefault((shot.clothes, shot.condition), outfit_of(config, shot))
        seen_by = camera_of(config, shot.camera)
        for modality in config.modalities:
            someone = people[shot.place[:2]]
            said += captions(config, shot, someone, worn, seen_by.place, modality, blur=seen_by.blur)
    rows = [
        {"clothes": clothes, "condition": condition, **asdict(outfit)}
        for (clothes, condition), outfit in outfits.items()
    ]
    _write_table(out / OUTFITS, rows)
    write_captions(out / CAPTIONS, said)
    seen = [json.loads((_folder(out, shot) / FACTS).read_text(encoding="utf-8")) for shot in shots]
    _write_table(out / SHOTS, [{"shot": shot.key, **one} for shot, one in zip(shots, seen, strict=True)])
    rows = [
        {**row, "top": worn.top, "top_colour": worn.top_colour, "bottom_colour": worn.bottom_colour}
        | {"sex": people[shot.place[:2]].shape.sex}
        for shot in shots
        for worn in [outfits[shot.clothes, shot.condition]]
        for row in index_rows(config, shot)
    ]
    save_index(out, rows, origin)


def outfit_of(config: WorldConfig, shot: Shot) -> Outfit:
    """What the person of a shot wears."""
    return draw_outfit(config, *shot.place[:2], shot.worn, condition=shot.condition)


@lru_cache(maxsize=128)
def camera_of(config: WorldConfig, number: int) -> Camera:
    """Cameras are painted once per process."""
    return camera(config, number)


def index_rows(config: WorldConfig, shot: Shot) -> list[dict[str, Any]]:
    """The index rows of a shot: one per modality."""
    place, shared = f"frames/{shot.key}", labels(config, shot)
    # what several sensors saw of the same instants
    walk = {"walk": shot.key} if len(config.modalities) > 1 else {}
    rows = []
    for modality in config.modalities:
        names = [f"{place}/{number:05d}.jpg" for number in range(config.frames)]
        strip = {"silhouette": SILHOUETTE, "depth": DEPTH}.get(modality)
        row: dict[str, Any] = {"key": shot.key if modality == "rgb" else f"{shot.key}-{modality}", "split": shot.split}
        row |= {"modality": modality, "identity": shot.identity}
        row["frames"] = names if strip is None else [f"{place}/{strip}"]
        row["strip"] = None if strip is None else config.frames
        row["mask"] = f"{place}/{MASK}" if modality == "rgb" and config.masks else None
        rows.append({**row, **shared, **walk})
    return rows


def _extras(config: WorldConfig) -> list[str]:
    """Files of a shot beside the RGB frames."""
    names = {"silhouette": SILHOUETTE, "depth": DEPTH}
    found = [names[modality] for modality in config.modalities if modality in names]
    if config.masks and "rgb" in config.modalities:
        found.append(MASK)
    if config.points and "depth" in config.modalities:
        found.append(POINTS)
    return found


def _folder(out: Path, shot: Shot) -> Path:
    return out / "frames" / shot.key


def _write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with replacing(path) as unfinished:
        pd.DataFrame(list(rows)).to_parquet(unfinished, index=False)


def _read_plan(mark: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(mark.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{mark} is not valid JSON ({error}); delete the folder and render it anew") from error
    return found


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Names of what differs, with both values."""
    old, new = ({**world, **world.get("config", {})} for world in (found, wanted))
    names = [n for n in sorted(old.keys() | new.keys()) if n != "config" and old.get(n) != new.get(n)]
    return ", ".join(f"{name} is {old.get(name)!r} there, {new.get(name)!r} asked" for name in names[:4])
