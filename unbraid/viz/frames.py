"""Pictures made of frames: ranked strips, heat maps, weights of frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import ArrayLike, NDArray

from unbraid.viz.style import (
    BODY,
    COLOURS,
    INK,
    RIGHT,
    RULE,
    SMALL,
    SOFT,
    UNKNOWN,
    WRONG,
    Image,
    Picture,
    Sheet,
    broken,
    check_image,
    width_of,
)

Verdict = Literal["right", "wrong", "unknown"]

COLOUR_OF = {"right": RIGHT, "wrong": WRONG, "unknown": UNKNOWN}
MARK_OF = {"right": "\u2713", "wrong": "\u2717", "unknown": "?"}

MARGIN = 16
EDGE = 4
BADGE = 18
LINE = 14
GAP = 18


@dataclass(frozen=True, eq=False)
class Shot:
    """One item of a strip: a frame, H W 3 uint8 RGB, and what is written under it.

    score: similarity to the query; None for the query itself.
    verdict: None for the query; 'unknown' for an item whose identity nobody knows.
    """

    frame: Image
    key: str
    camera: str | None = None
    score: float | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True, eq=False)
class Strip:
    """A query and the gallery items ranked for it, best first, skipped items left out."""

    query: Shot
    ranked: Sequence[Shot]


def ranked_strips(
    strips: Sequence[Strip], *, title: str = "Ranked gallery", cell: tuple[int, int] = (64, 128)
) -> Picture:
    """Each query with its best gallery items in one row; right, wrong and unknown differ by colour and by sign.

    cell: width and height of a frame in CSS pixels; frames keep their aspect inside it.
    Raises ValueError without strips, or for a frame that is not H W 3 uint8.

    Example:
        frame = np.zeros((128, 64, 3), np.uint8)
        strip = Strip(Shot(frame, "a"), [Shot(frame, "b", score=0.9, verdict="right")])
        picture = ranked_strips([strip])
    """
    if not strips:
        raise ValueError("there is no strip to draw; give at least one query with its ranked items")
    wide, high = cell[0] + cell[0] % 2, cell[1] + cell[1] % 2
    columns = max(len(strip.ranked) for strip in strips)
    step = wide + 2 * EDGE + GAP
    line = high + 2 * EDGE + 4 * LINE + GAP
    first = MARGIN + step + GAP
    sheet = Sheet(first + columns * step - GAP + MARGIN, MARGIN + 24 + len(strips) * line)
    sheet.text(MARGIN + EDGE, MARGIN, "query", size=BODY, colour=SOFT)
    for column in range(columns):
        sheet.text(first + column * step + EDGE, MARGIN, str(column + 1), size=BODY, colour=SOFT)
    for number, strip in enumerate(strips):
        top = MARGIN + 24 + number * line
        _shot(sheet, strip.query, MARGIN, top, (wide, high))
        for column, shot in enumerate(strip.ranked):
            _shot(sheet, shot, first + column * step, top, (wide, high))
    verdicts = [shot.verdict for strip in strips for shot in strip.ranked]
    firsts = [strip.ranked[0].verdict for strip in strips if strip.ranked]
    unknown = " A grey frame with ? is a person whose identity is unknown." if "unknown" in verdicts else ""
    return Picture(
        title,
        f"Left: the query. Then its {columns} most similar gallery items, best first, under each its key, camera and "
        f"similarity. A green frame with \u2713 is the same person, a red one with \u2717 somebody else.{unknown} "
        f"Items that the protocol skips are not shown.",
        sheet.png(),
        f"{len(strips)} queries, each with up to {columns} ranked gallery items; at rank 1 {firsts.count('right')} "
        f"right, {firsts.count('wrong')} wrong, {firsts.count('unknown')} unknown.",
        "strips",
    )


def heat_maps(
    frames: Sequence[Image],
    maps: Mapping[str, ArrayLike],
    *,
    title: str = "Where each space looks",
    height: int = 128,
) -> Picture:
    """A row of frames, then per space the same frames under its maps.

    frames: T of H W 3 uint8 RGB. maps: space name -> T h w, finite and not negative; enlarged to the frames.
    Each map is coloured from 0 to its own maximum, which is written below it.
    height: of a frame in CSS pixels.
    Raises ValueError when there is nothing to draw, numbers of frames differ, or values are negative or not finite.
    """
    if not frames or not maps:
        raise ValueError(f"a heat picture needs frames and maps; got {len(frames)} frames and maps {sorted(maps)}")
    for number, frame in enumerate(frames):
        check_image(frame, f"frame {number}")
    arrays = {name: _checked_maps(name, value, len(frames)) for name, value in maps.items()}
    high = height + height % 2
    wide = 2 * max(round(high * frame.shape[1] / frame.shape[0] / 2) for frame in frames)
    left = MARGIN + 2 * round(max(width_of(name, BODY, bold=True) for name in [*arrays, "maximum"]) / 2) + GAP
    step, line = wide + 8, high + 2 * LINE
    sheet = Sheet(left + max(len(frames) * step - 8, 240) + MARGIN, 2 * MARGIN + (1 + len(arrays)) * line)
    sheet.text(MARGIN, MARGIN, "frame", size=BODY, bold=True)
    for column, frame in enumerate(frames):
        sheet.picture(frame, left + column * step, MARGIN, wide, high)
    for row, (name, values) in enumerate(arrays.items(), start=1):
        top = MARGIN + row * line - LINE
        sheet.text(MARGIN, top, name, size=BODY, bold=True)
        for column, frame in enumerate(frames):
            sheet.picture(_overlay(frame, values[column]), left + column * step, top, wide, high)
            sheet.text(left + column * step, top + high + 3, f"max {values[column].max():.3g}", colour=SOFT)
    foot = MARGIN + (1 + len(arrays)) * line - LINE
    ramp = _coloured(np.linspace(0, 1, 120)[None])
    sheet.picture(np.repeat(ramp, 10, axis=0), left + 16, foot, 120, 10)
    sheet.text(left, foot, "0", colour=SOFT)
    sheet.text(left + 142, foot, "own maximum", colour=SOFT)
    return Picture(
        title,
        "First row: the frames. Below, for each space, where its features come from. Every map runs from 0 to its own "
        "maximum, written under it, so brightness can be compared within a map and not between maps.",
        sheet.png(),
        f"{len(frames)} frames with heat maps of {', '.join(arrays)}.",
        "heat",
    )


def frame_weights(
    frames: Sequence[Image], weights: ArrayLike, *, title: str = "Weight of each frame", height: int = 112
) -> Picture:
    """The frames of a tracklet in time order, the weight of each as a bar above it.

    weights: T, finite and not negative. The dashed line is the equal share: their sum / T.
    Raises ValueError when lengths differ, there are no frames, or a weight is negative or not finite.
    """
    values = np.asarray(weights, dtype=np.float64)
    if not frames or values.shape != (len(frames),):
        raise ValueError(f"one weight per frame is needed; got {len(frames)} frames and weights {values.shape}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"frame weights must be finite and not negative; got {values.tolist()}")
    for number, frame in enumerate(frames):
        check_image(frame, f"frame {number}")
    high, plot = height + height % 2, 90
    wide = max(40, 2 * max(round(high * frame.shape[1] / frame.shape[0] / 2) for frame in frames))
    step = wide + 6
    total = len(frames) * step - 6
    sheet = Sheet(2 * MARGIN + max(total, 240), 2 * MARGIN + LINE + plot + 8 + high + LINE)
    base = MARGIN + LINE + plot
    scale = plot / max(float(values.max()), 1e-12)
    for column, (frame, value) in enumerate(zip(frames, values, strict=True)):
        x = MARGIN + column * step
        top = base - value * scale
        sheet.box(x + wide * 0.2, top, wide * 0.6, value * scale, COLOURS[0])
        sheet.text(x + wide / 2, top - 14, f"{value:.2f}", align="center")
        sheet.picture(frame, x, base + 8, wide, high)
        sheet.text(x + wide / 2, base + high + 12, str(column), colour=SOFT, align="center")
    sheet.box(MARGIN, base, total, 1, RULE, above=True)
    for x in range(MARGIN, MARGIN + total - 4, 10):
        sheet.box(x, base - values.mean() * scale, 6, 1, INK, above=True)
    return Picture(
        title,
        f"Bars: how much each frame counts; dashed: the equal share {values.mean():.2f}. Frames in time order.",
        sheet.png(),
        f"{len(frames)} frames; weights from {values.min():.2f} to {values.max():.2f}, "
        f"largest at frame {int(values.argmax())}.",
        "heat",
    )


def _shot(sheet: Sheet, shot: Shot, left: int, top: int, cell: tuple[int, int]) -> None:
    check_image(shot.frame, f"item {shot.key!r}")
    wide, high = cell
    if shot.verdict is not None:
        sheet.box(left, top, wide + 2 * EDGE, high + 2 * EDGE, COLOUR_OF[shot.verdict])
    sheet.picture(shot.frame, left + EDGE, top + EDGE, wide, high)
    if shot.verdict is not None:
        sheet.box(left, top, BADGE, BADGE, COLOUR_OF[shot.verdict], above=True)
        sheet.text(
            left + BADGE / 2, top + 2, MARK_OF[shot.verdict], size=13, colour="#ffffff", align="center", bold=True
        )
    words = broken(shot.key, wide + 2 * EDGE + GAP - 6, 2)
    words += [shot.camera] if shot.camera is not None else []
    foot = top + high + 2 * EDGE + 4
    for number, line in enumerate(words):
        text = broken(line, wide + 2 * EDGE + GAP - 6, 1)[0]
        sheet.text(left + EDGE, foot + number * LINE, text, colour=INK if line is not shot.camera else SOFT)
    if shot.score is not None:
        sheet.text(left + EDGE, foot + len(words) * LINE, f"{shot.score:.3f}", colour=SOFT, size=SMALL)


def _checked_maps(name: str, value: ArrayLike, frames: int) -> NDArray[np.float64]:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != 3 or len(array) != frames or array.size == 0:
        raise ValueError(f"maps of {name!r} have shape {array.shape}; expected ({frames}, h, w), one per frame")
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(f"maps of {name!r} must be finite and not negative; minimum {array.min()}")
    return array


def _overlay(frame: Image, values: NDArray[np.float64]) -> Image:
    """The frame in grey under its map in colour, both still readable."""
    share = values / values.max() if values.max() > 0 else values
    size = frame.shape[1], frame.shape[0]
    share = np.clip(cv2.resize(share, size, interpolation=cv2.INTER_LINEAR), 0, 1)
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, axis=2)
    mixed: Image = cv2.addWeighted(grey, 0.45, _coloured(share), 0.55, 0)
    return mixed


def _coloured(share: NDArray[np.float64]) -> Image:
    colours = np.asarray(colormaps["inferno"](share))[..., :3]
    image: Image = np.round(colours * 255).astype(np.uint8)
    return image
