"""Contact sheets: what a world looks like, by action, outfit, camera, view and condition."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unbraid.data.protocols import CONDITIONS
from unbraid.progress import track
from unbraid.world.clothes.wardrobe import draw_outfit
from unbraid.world.config import WorldConfig, view_name
from unbraid.world.motion import MotionSource, Procedural
from unbraid.world.people.person import TEST, person
from unbraid.world.plan import Shot
from unbraid.world.sensors.camera import camera
from unbraid.world.sensors.picture import Recording, actor, record

Image = NDArray[np.uint8]
Row = tuple[str, Recording]
TALL, MARGIN, LETTER = 160, 4, 18
INSTANTS, MAPS = 6, 3
PEOPLE = 6


def show(config: WorldConfig, out: Path, *, motion: MotionSource | None = None) -> list[Path]:
    """Write one PNG per factor into the folder `out`: actions, outfits, people, cameras, views, conditions.

    A row holds frames of one tracklet, then silhouettes, then LiDAR depth maps (near is bright) of the same instants.
    config: the size, modalities and rates of nuisance in it do not count here. Raises OSError when `out` cannot be
    written.
    """
    moves = motion or Procedural()
    plain = replace(config, modalities=("rgb", "silhouette", "depth"), height=256, width=128, frames=8, night_rate=0.0)
    plain = replace(plain, occluder_rate=0.0, truncation_rate=0.0, box_jitter=0.01, mask_errors=0.5)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Callable[[WorldConfig, MotionSource], Iterator[Row]]] = {
        "actions": _actions,
        "outfits": _outfits,
        "people": _people,
        "cameras": _cameras,
        "views": _views,
        "conditions": _conditions,
    }
    paths = []
    for name, rows in track(list(kinds.items()), "drawing"):
        paths.append(out / f"{name}.png")
        image = sheet([_strip(title, taken) for title, taken in rows(plain, moves)])
        if not cv2.imwrite(str(paths[-1]), image[..., ::-1]):
            raise OSError(f"cannot write {paths[-1]}; choose a folder that can be written")
    return paths


def sheet(rows: Sequence[Image]) -> Image:
    """Rows (h, w, 3) below one another, filled up with white to the widest."""
    width = max(row.shape[1] for row in rows)
    filled = [np.pad(row, ((0, MARGIN), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate(filled)


def _strip(title: str, taken: Recording) -> Image:
    """One row: RGB frames, silhouettes, depth maps, and a title above."""
    chosen = np.linspace(0, len(taken.rgb) - 1, INSTANTS).round().astype(int)
    few = chosen[:: INSTANTS // MAPS]
    tiles = [_fit(taken.rgb[i]) for i in chosen]
    tiles += [_fit(taken.silhouettes[i]) for i in few]
    tiles += [_fit(cv2.applyColorMap(taken.depth[i], cv2.COLORMAP_BONE)) for i in few]
    row = np.concatenate([np.pad(t, ((0, 0), (0, MARGIN), (0, 0)), constant_values=255) for t in tiles], axis=1)
    head = np.full((LETTER, row.shape[1], 3), 255, np.uint8)
    cv2.putText(head, title, (2, LETTER - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([head, row])


def _fit(image: Image) -> Image:
    """The image (TALL, w, 3) with its aspect kept."""
    wide = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    size = (round(TALL * wide.shape[1] / wide.shape[0]), TALL)
    how = cv2.INTER_AREA if wide.shape[0] > TALL else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(wide, size, interpolation=how), np.uint8)


def _take(
    config: WorldConfig,
    motion: MotionSource,
    number: int,
    *,
    action: str = "",
    outfit: int = 0,
    condition: str = "any",
    place: int = 0,
    view: int = 1,
    tracklet: int = 0,
) -> Recording:
    """One shot of test person `number`; they walk, or do the first thing that the motion knows."""
    usual = "walk" if "walk" in motion.actions else motion.actions[0]
    worn = draw_outfit(config, TEST, number, outfit, condition=condition)
    shot = Shot(
        place=(TEST, number, outfit, tracklet),
        split="gallery",
        outfit=outfit,
        worn=outfit,
        condition=condition,
        camera=place,
        view=view % config.views,
        action=action or usual,
        night=condition == "night",
    )
    who = actor(config, person(config, TEST, number), worn, shot.held)
    return record(config, who, camera(config, place), shot, motion)


def _actions(config: WorldConfig, motion: MotionSource) -> Iterator[Row]:
    slow = replace(config, views=8, frame_rate=6.0)
    for number, action in enumerate(config.actions):
        for view in (1, 2):
            taken = _take(slow, motion, number % PEOPLE, action=action, view=view, condition="normal", tracklet=view)
            yield f"{action}, seen from the {view_name(slow, view)}", taken


def _outfits(config: WorldConfig, motion: MotionSource) -> Iterator[Row]:
    for outfit in range(min(10, config.wardrobe or 10)):
        worn = draw_outfit(config, TEST, 0, outfit, condition="any")
        title = f"one person: {worn.top_colour} {worn.pattern} {worn.top}, {worn.bottom_colour} {worn.bottom}"
        title += f", {worn.hair} hair" + ("" if worn.bag == "none" else f", {worn.bag}")
        yield title, _take(config, motion, 0, outfit=outfit)


def _people(config: WorldConfig, motion: MotionSource) -> Iterator[Row]:
    for number in range(10):
        someone = person(config, TEST, number)
        title = f"{someone.shape.sex}, {someone.shape.height:.2f} m"
        yield title, _take(replace(config, appearance_identity=1.0), motion, number, condition="normal")


def _cameras(config: WorldConfig, motion: MotionSource) -> Iterator[Row]:
    for number in range(config.cameras):
        kind = camera(config, number)
        title = f"camera {number}: {kind.place}, {kind.distance:.1f} m, {np.degrees(kind.elevation):.0f} degrees above"
        yield title, _take(config, motion, 1, place=number)


def _views(config: WorldConfig, motion: MotionSource) -> Iterator[Row]:
    around = replace(config, views=8)
    for view in range(8):
        yield view_name(around, view), _take(around, motion, 2, view=view, condition="normal")


def _conditions(config: WorldConfig, motion: MotionSource) -> Iterator[Row]:
    for condition in CONDITIONS:
        yield condition, _take(config, motion, 3, condition=condition, outfit=int(condition == "clothing"))
