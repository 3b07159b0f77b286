"""Pictures made of numbers: CMC curves, and bars of what a space gives away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from unbraid.viz.axes import chart, footer, legend, room, ticks
from unbraid.viz.style import (
    BODY,
    COLOURS,
    GROUND,
    INK,
    MARKERS,
    PAPER,
    RULE,
    SOFT,
    Picture,
    broken,
    font,
    png_of,
    width_of,
)

Floats = NDArray[np.float64]
# Chance curves are all of one soft colour; where there are several, their dots and dashes tell them apart.
DOTS: tuple[Any, ...] = ((0, (1, 1.65)), (0, (4, 2)), (0, (4, 2, 1, 2)), (0, (1, 4)), (0, (8, 3)), (0, (8, 3, 1, 3)))


@dataclass(frozen=True)
class Bar:
    """One bar of a chart: a value in 0..1 with its interval (NaN: none) and the value that chance alone gives."""

    group: str
    name: str
    value: float
    low: float
    high: float
    chance: float


def cmc_curves(
    curves: Mapping[str, ArrayLike],
    *,
    chance: Mapping[str, ArrayLike] | None = None,
    bands: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    about: Sequence[str] = (),
    title: str = "CMC curves",
) -> Picture:
    """Share of queries whose first hit has rank <= k, one line per name, k = 1, 2, ...

    curves: name -> K shares in 0..1. chance: name -> K shares of galleries in random order, dotted and softer, with
    names of their own: several curves may share one. bands: by the names of the curves, K lower and K upper ends of
    intervals. about: lines below, such as protocol and counts.
    Raises ValueError without curves, for more than 12, for more than 6 chance curves and for shares outside 0..1.
    """
    if not 1 <= len(curves) <= len(COLOURS):
        raise ValueError(f"a CMC chart shows 1 to {len(COLOURS)} curves; got {len(curves)}")
    arrays = {name: _shares(name, value) for name, value in curves.items()}
    chances = {name: _shares(name, value) for name, value in (chance or {}).items()}
    if len(chances) > len(DOTS):
        raise ValueError(f"a CMC chart shows at most {len(DOTS)} chance curves; got {len(chances)}")
    side = room([*arrays, *chances]) + 12
    below = 46 + (16 * len(about) + 6 if about else 0)
    figure, axes = chart(420 + side, 284 + below, left=54, right=side, top=16, bottom=below)
    longest = max(map(len, arrays.values()))
    keys = []
    for place, (name, values) in enumerate(arrays.items()):
        ranks = np.arange(1, len(values) + 1)
        look: dict[str, Any] = {
            "color": COLOURS[place],
            "markersize": 5,
            "linewidth": 1.6,
            "markeredgecolor": PAPER,
            "clip_on": False,
            # above the axes, or a curve at 0 loses half of its line and its marks
            "zorder": 3,
        }
        if bands and name in bands:
            low, high = (_shares(name, end) for end in bands[name])
            axes.fill_between(ranks, 100 * low, 100 * high, color=COLOURS[place], alpha=0.16, linewidth=0)
        marks = [rank - 1 for rank in (1, 5, 10, 20, 50) if rank <= len(values)]
        axes.plot(ranks, 100 * values, marker=MARKERS[place], markevery=marks, **look)
        keys.append(Line2D([], [], marker=MARKERS[place], **look))
    for values, dots in zip(chances.values(), DOTS, strict=False):
        soft: dict[str, Any] = {"color": SOFT, "linestyle": dots, "linewidth": 1.2}
        axes.plot(np.arange(1, len(values) + 1), 100 * values, **soft)
        keys.append(Line2D([], [], **soft))
    axes.set_xlim(0.5, longest + 0.5)
    axes.set_ylim(0, 100)
    axes.set_xticks([rank for rank in (1, 5, 10, 15, 20, 30, 50) if rank <= longest])
    axes.grid(visible=True, axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    ticks(axes)
    axes.set_xlabel("rank", fontproperties=font(BODY), color=SOFT)
    axes.set_ylabel("queries, %", fontproperties=font(BODY), color=SOFT)
    legend(axes, keys, [*arrays, *chances], "")
    footer(figure, about)
    firsts = ", ".join(f"{name} {100 * values[0]:.1f} %" for name, values in arrays.items())
    dotted = " Dotted: the same galleries in random order." if chances else ""
    dotted += " Band: 95 % interval over query identities." if bands else ""
    return Picture(
        title,
        f"Share of queries that meet the right person within the first k items; queries without a mate are left out."
        f"{dotted}",
        png_of(figure),
        f"CMC curves up to rank {longest}. At rank 1: {firsts}.",
        "curves",
    )


def leakage_bars(bars: Sequence[Bar], *, title: str = "What each space gives away") -> Picture:
    """Horizontal bars by group, each with its interval and a mark where chance alone would be.

    Raises ValueError without bars or for values outside 0..1.
    """
    if not bars:
        raise ValueError("there is no bar to draw")
    for bar in bars:
        if not (0 <= bar.value <= 1 and 0 <= bar.chance <= 1):
            raise ValueError(
                f"bar {bar.group!r} / {bar.name!r}: value {bar.value} and chance {bar.chance} must be in 0..1"
            )
    groups = list(dict.fromkeys(bar.group for bar in bars))
    names = list(dict.fromkeys(bar.name for bar in bars))
    left = 24 + max(width_of(broken(name, 170, 1)[0], BODY) for name in names)
    height = 24 + sum(30 + 22 * sum(bar.group == group for bar in bars) for group in groups) + 48
    figure, axes = chart(left + 560, height, left=left, right=30, top=8, bottom=48)
    y = 0.0
    for group in groups:
        axes.text(0, y + 6, broken(group, 300, 1)[0], fontproperties=font(BODY, bold=True), color=INK, parse_math=False)
        y += 28
        for bar in (bar for bar in bars if bar.group == group):
            colour = COLOURS[names.index(bar.name) % len(COLOURS)]
            axes.barh(y, 100, height=14, color=GROUND, zorder=0)
            axes.barh(y, 100 * bar.value, height=14, color=colour, zorder=1)
            if np.isfinite([bar.low, bar.high]).all():
                axes.plot([100 * bar.low, 100 * bar.high], [y, y], color=INK, linewidth=1.2, zorder=3)
                axes.plot([100 * bar.low, 100 * bar.high], [y, y], "|", color=INK, markersize=5, zorder=3)
            axes.plot([100 * bar.chance] * 2, [y - 9, y + 9], color=PAPER, linewidth=3.2, zorder=4)
            axes.plot([100 * bar.chance] * 2, [y - 9, y + 9], color=INK, linewidth=1.6, zorder=5)
            name = broken(bar.name, 170, 1)[0]
            place: dict[str, Any] = {
                "xytext": (-8, 0),
                "textcoords": "offset points",
                "ha": "right",
                "va": "center_baseline",
            }
            axes.annotate(name, (0, y), fontproperties=font(BODY), color=INK, parse_math=False, **place)
            y += 22
    axes.set_xlim(0, 100)
    axes.set_ylim(y, -8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    ticks(axes)
    axes.set_xlabel("score, %", fontproperties=font(BODY), color=SOFT)
    told = "; ".join(
        f"{b.group} from {b.name} {100 * b.value:.0f} % (chance {100 * b.chance:.0f} %)" for b in bars[:12]
    )
    return Picture(
        title,
        "Bold: the label that is read; below it, the spaces it is read from. Thin line: 95 % interval, upright "
        "mark: chance. A space that holds only what its name says ends near the mark for every other label.",
        png_of(figure),
        f"Bars: {told}.",
        "leakage",
    )


def _shares(name: str, value: ArrayLike) -> Floats:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"curve {name!r} must be shares in 0..1, one per rank; got shape {array.shape}")
    return array
