"""DET curves: false matches against false non-matches, both axes in normal deviates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy.special import ndtri

from unbraid.viz.axes import chart, footer, legend, room
from unbraid.viz.style import BODY, COLOURS, MARKERS, PAPER, RULE, SOFT, Picture, font, png_of

Floats = NDArray[np.float64]

# How far inside of the axes a rate of exactly 0 or 100 % is drawn, as a share of the axis: both are infinitely far.
EDGE = 0.012
# The highest FNMR on the axis.
CEILING = 0.999
# The highest FMR on the axis.
LAST = 0.62
# Numbers of an axis that are closer than this, in normal deviates, may touch.
NEAR = 0.2
# Rates in per cent that may get a number on an axis.
TICKS = (1e-4, 1e-3, 0.01, 0.1, 1, 5, 20, 40, 60, 80, 95, 99, 99.9)


@dataclass(frozen=True, eq=False)
class Det:
    """One DET curve. fmr, fnmr: N rates in 0..1 along it. band: M rows of FMR, low and high FNMR.

    eer: where the two rates meet. lowest: the FMR below which pairs are too few, and the curve is drawn thin.
    about: protocol and counts, in lines of about 80 letters.
    """

    fmr: Floats
    fnmr: Floats
    band: Floats
    eer: float
    lowest: float
    about: Sequence[str]


def det_curves(
    curves: Mapping[str, Det], *, synthetic: bool = False, title: str = "Detection error trade-off"
) -> Picture:
    """FNMR over FMR, one curve per name with its 95 % band, and the line of chance.

    synthetic: True marks the picture. Raises ValueError without curves, for more than 12 and for rates outside 0..1.
    Source: axes in normal deviates as in Martin et al., "The DET curve in assessment of detection task performance",
    Eurospeech 1997.
    """
    if not 1 <= len(curves) <= len(COLOURS):
        raise ValueError(f"a DET chart shows 1 to {len(COLOURS)} curves; got {len(curves)}")
    for name, curve in curves.items():
        values = np.concatenate([curve.fmr, curve.fnmr])
        if curve.fmr.shape != curve.fnmr.shape or not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"DET curve {name!r} must be equally many FMR and FNMR in 0..1")
    told = {name: " ".join(curve.about) for name, curve in curves.items()}
    lines = [
        line if place else f"{name}: {line}" for name, curve in curves.items() for place, line in enumerate(curve.about)
    ]
    if synthetic:
        lines.insert(0, "SYNTHETIC people; says nothing about real people")
    equal = "equal error rate"
    side = room([*curves, equal]) + 12
    width, left, below = 440 + side, 62.0, 50.0
    bottom = below + 16 * len(lines) + 8
    figure, axes = chart(width, 330 + bottom, left=left, right=side, top=16, bottom=bottom)
    start, floor = _ends(curves)
    low, high = (float(_deviate(end)) for end in (floor, CEILING))
    # without an error, or with nothing else, a curve runs along the edge; its band says how sure that is
    edges = {0.0: low + EDGE * (high - low), 1.0: high - EDGE * (high - low)}
    keys = []
    for place, curve in enumerate(curves.values()):
        look: dict[str, Any] = {"color": COLOURS[place], "clip_on": True}
        if len(curve.band):
            fmr, low, high = curve.band.T
            axes.fill_between(_deviate(fmr), _deviate(low), _deviate(high), alpha=0.16, linewidth=0, **look)
        sure = curve.fmr >= curve.lowest
        order = np.lexsort((-curve.fnmr, curve.fmr))
        heights = _deviate(curve.fnmr[order])
        for rate, height in edges.items():
            heights[curve.fnmr[order] == rate] = height
        shown = _deviate(curve.fmr[order]), heights
        axes.plot(*shown, linewidth=0.8, linestyle=(0, (2, 2)), **look)
        axes.plot(*(np.where(sure[order], one, np.nan) for one in shown), linewidth=1.8, **look)
        mark: dict[str, Any] = {"marker": MARKERS[place], "markersize": 6, "markeredgecolor": PAPER}
        axes.plot([_deviate(curve.eer)], [_deviate(curve.eer)], linestyle="", zorder=4, **mark, **look)
        keys.append(Line2D([], [], linewidth=1.8, color=COLOURS[place], **mark))
    line = np.linspace(-6, 6, 2)
    axes.plot(line, -line, ":", color=SOFT, linewidth=1.2)
    keys.append(Line2D([], [], color=SOFT, linestyle=":", linewidth=1.2))
    entries = [*curves, "chance"]
    if any(start <= curve.eer <= LAST and floor <= curve.eer for curve in curves.values()):
        keys.append(Line2D([], [], color=SOFT, linestyle="", marker=MARKERS[0], markersize=6, markeredgecolor=PAPER))
        entries.append(equal)
    inside = [curve.fnmr[(curve.fmr >= start) & (curve.fmr <= LAST)] for curve in curves.values()]
    met = {rate: y for rate, y in edges.items() if any((one == rate).any() for one in inside)}
    _axis(axes, start, floor, met)
    axes.set_xlabel("false match rate (FMR), %", fontproperties=font(BODY), color=SOFT)
    axes.set_ylabel("false non-match rate (FNMR), %", fontproperties=font(BODY), color=SOFT)
    legend(axes, keys, entries, "")
    footer(figure, lines)
    rates = ", ".join(f"{name} {100 * curve.eer:.2f} %" for name, curve in curves.items())
    banded = any(len(curve.band) for curve in curves.values())
    parts = [
        "Different people taken for one (FMR) against one person taken for two (FNMR) at every threshold; lower left "
        "is better. Axes in normal deviates. Mark: equal error rate.",
        "Along an edge the FNMR is exactly 0 or 100 %, with the interval of the rule of 3." if met else "",
        "Band: 95 % interval over query identities." if banded else "",
        "Thin dashes: too few pairs for a rate.",
        "Synthetic people." if synthetic else "",
        "; ".join(f"{name}: {line}" for name, line in told.items()) + ".",
    ]
    caption = " ".join(part for part in parts if part)
    return Picture(title, caption, png_of(figure), f"DET curves. Equal error rate: {rates}.", "curves")


def _deviate(rates: Any) -> Floats:
    """Normal deviates, finite also for 0 and 1, which lie outside of every axis."""
    found: Floats = ndtri(np.clip(np.asarray(rates, np.float64), 1e-12, 1 - 1e-12))
    return found


def _ends(curves: Mapping[str, Det]) -> tuple[float, float]:
    """Lowest FMR and FNMR that the axes show."""
    start = min(curve.lowest for curve in curves.values()) / 3
    fnmr = [curve.fnmr[(curve.fmr >= start) & (curve.fmr <= 0.6) & (curve.fnmr > 0)] for curve in curves.values()]
    lows = [float(one.min()) for one in fnmr if len(one)]
    return min(max(start, 1e-6), 0.05), min(max(min(lows, default=0.01) / 2, 1e-4), 0.1)


def _axis(axes: Any, start: float, floor: float, edges: Mapping[float, float]) -> None:
    """Limits and numbers of both axes. edges: heights of the FNMRs 0 and 1, where a curve has them."""
    axes.set_xlim(_deviate(start), _deviate(LAST))
    axes.set_ylim(_deviate(floor), _deviate(CEILING))
    for axis, low, high, ends in ((axes.xaxis, start, LAST, {}), (axes.yaxis, floor, CEILING, edges)):
        rates = [tick for tick in TICKS if low <= tick / 100 <= high]
        places = dict(zip(rates, _deviate(np.array(rates) / 100).tolist(), strict=True))
        # a number that would touch that of an edge is left out
        room_for = {r: y for r, y in places.items() if all(abs(y - end) > NEAR for end in ends.values())}
        shown = {**room_for, **{100 * rate: y for rate, y in ends.items()}}
        axis.set_ticks(list(shown.values()), [f"{rate:g}" for rate in shown])
    axes.grid(visible=True, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=5, labelcolor=SOFT)
    for tick in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        tick.set_fontproperties(font(BODY))
