"""A picture of differences with their intervals, one line per claim."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.lines import Line2D

from unbraid.viz.axes import chart, footer, ticks
from unbraid.viz.style import BODY, INK, PAPER, RIGHT, RULE, SMALL, SOFT, UNKNOWN, WRONG, Picture, font, plain, png_of

Verdict = Literal["agrees", "contradicts", "open"]
COLOUR: dict[Verdict, str] = {"agrees": RIGHT, "contradicts": WRONG, "open": UNKNOWN}
MARKER: dict[Verdict, str] = {"agrees": "o", "contradicts": "X", "open": "s"}
# letters of a claim in a line, and the room for them in CSS pixels
LETTERS, ROOM, LINE = 58, 390, 17


@dataclass(frozen=True)
class Effect:
    """One line: a difference in points, its interval, and the difference of each repetition, such as seeds."""

    group: str
    says: str
    value: float
    low: float
    high: float
    each: tuple[float, ...]
    verdict: Verdict


def effects(found: Sequence[Effect], *, title: str, about: Sequence[str] = ()) -> Picture:
    """Differences as marks on lines, group by group, zero marked. about: lines below.

    Raises ValueError when there are none.
    """
    if not found:
        raise ValueError("there is no effect to show; give at least one")
    groups = list(dict.fromkeys(one.group for one in found))
    told = [textwrap.wrap(plain(one.says), LETTERS)[:2] for one in found]
    below = 66 + (16 * len(about) + 6 if about else 0)
    height = 12 + 30 * len(groups) + sum(LINE * len(lines) + 12 for lines in told) + below
    figure, axes = chart(ROOM + 490, height, left=ROOM, right=24, top=8, bottom=below)
    beside: dict[str, Any] = {"xytext": (-10, 0), "textcoords": "offset points", "ha": "right", "parse_math": False}
    ends = [end for one in found for end in (one.low, one.high, *one.each, 0.0)]
    margin = 0.04 * (max(ends) - min(ends) or 1)
    axes.set_xlim(min(ends) - margin, max(ends) + margin)
    y = 0.0
    for group in groups:
        name = axes.annotate(group, (axes.get_xlim()[0], y + 8), va="center", annotation_clip=False, **beside)
        name.set(fontproperties=font(BODY, bold=True), color=INK)
        y += 30
        for one, lines in zip(found, told, strict=True):
            if one.group != group:
                continue
            middle = y + LINE * len(lines) / 2
            colour = COLOUR[one.verdict]
            axes.plot([one.low, one.high], [middle, middle], color=colour, linewidth=1.8, zorder=2)
            axes.plot(one.each, [middle] * len(one.each), "|", color=INK, markersize=7, zorder=3)
            axes.plot(
                one.value, middle, MARKER[one.verdict], color=colour, markeredgecolor=PAPER, markersize=8, zorder=4
            )
            for place, line in enumerate(lines):
                words = axes.annotate(
                    line, (axes.get_xlim()[0], y + LINE * (place + 0.5)), va="center", annotation_clip=False, **beside
                )
                words.set(fontproperties=font(BODY), color=INK)
            y += LINE * len(lines) + 12
    axes.axvline(0, color=SOFT, linewidth=1, zorder=1)
    axes.grid(axis="x", color=RULE, linewidth=0.6, zorder=0)
    axes.set_ylim(y, -4)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    ticks(axes)
    axes.set_xlabel("points", fontproperties=font(BODY), color=SOFT)
    keys = [Line2D([], [], color=COLOUR[v], marker=MARKER[v], markeredgecolor=PAPER, markersize=8) for v in COLOUR]
    axes.legend(
        [*keys, Line2D([], [], color=INK, marker="|", linestyle="", markersize=7)],
        [*COLOUR, "single runs"],
        loc="upper center",
        bbox_to_anchor=(0.5, -36 / (height - below - 8)),
        ncols=4,
        frameon=False,
        prop=font(SMALL),
    )
    footer(figure, about)
    listed = "; ".join(
        f"{one.says} {one.value:+.1f} ({one.low:+.1f} to {one.high:+.1f}), {one.verdict}" for one in found
    )
    return Picture(
        title,
        "Marks: differences; lines: 95 % intervals; upright marks: single runs. Right of zero is what is claimed.",
        png_of(figure),
        f"Differences: {listed}.",
    )
