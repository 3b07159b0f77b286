"""A space in two dimensions."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from unbraid.viz.axes import chart, legend, room
from unbraid.viz.style import COLOURS, MARKERS, PAPER, Picture, png_of

Projection = Literal["pca", "tsne"]
Floats = NDArray[np.float64]

# t-SNE of more points takes minutes and paints one blob.
MOST_POINTS = 3000
PERPLEXITY = 30.0
REST = "#c9c5bc"


def scatter(
    points: ArrayLike,
    labels: Sequence[object],
    *,
    space: str,
    label: str,
    projection: Projection = "pca",
    seed: int = 0,
    classes: int = len(COLOURS),
) -> Picture:
    """The items of a space in two dimensions, one colour and one marker per class.

    points: N D, or N P D for parts, finite; rows are scaled to unit length, because spaces are compared by cosine.
    labels: N values; None or NaN is unknown. space, label: their names, for title and caption.
    classes: how many of the classes get a colour, at most 12: those with the most items; the rest is grey.
    seed: of t-SNE, and of the draw of 3000 items when there are more.
    Raises ValueError for fewer than 3 items, lengths that differ or values that are not finite.

    Example:
        points = np.random.default_rng(0).normal(size=(40, 8))
        scatter(points, ["a", "b"] * 20, space="identity", label="camera")
    """
    rows = np.asarray(points, dtype=np.float64)
    rows = rows.reshape(len(rows), -1)
    if len(rows) != len(labels) or len(rows) < 3:
        raise ValueError(
            f"space {space!r}: {len(rows)} items and {len(labels)} labels; expected equally many, 3 or more"
        )
    if not np.isfinite(rows).all():
        raise ValueError(f"space {space!r} holds values that are not finite")
    if not 1 <= classes <= len(COLOURS):
        raise ValueError(f"classes must be from 1 to {len(COLOURS)}, the number of colours; got {classes}")
    chosen = np.arange(len(rows))
    if len(rows) > MOST_POINTS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(rows), MOST_POINTS, replace=False))
    missing = pd.isna(np.array([*labels], dtype=object))
    names = np.array([None if missing[row] else str(labels[row]) for row in chosen.tolist()], dtype=object)
    flat, method = _project(rows[chosen], projection, seed)
    counts = Counter(name for name in names if name is not None)
    shown = sorted(sorted(counts, key=lambda name: (-counts[name], name))[:classes], key=_natural)
    hidden, unknown = len(counts) - len(shown), int(np.count_nonzero(names == None))  # noqa: E711
    rest = ", ".join([f"{hidden} others"] * (hidden > 0) + ["unknown"] * (unknown > 0))
    members = [np.flatnonzero(names == name) for name in shown]
    many = f" Only the {len(shown)} of {len(counts)} classes with most items have a colour." if hidden else ""
    many += f" {unknown} items of unknown {label} are grey." if unknown else ""
    many += f" {len(chosen)} of {len(rows)} items, drawn with seed {seed}." if len(chosen) < len(rows) else ""
    return Picture(
        f"{space} space, by {label}",
        f"{len(chosen)} items of the {space} space, coloured by {label}; {method}. Near points are alike.{many}",
        _drawn(flat, members, [*shown, rest] if rest else shown, label),
        f"Scatter of {len(chosen)} items of the {space} space in two dimensions, {len(counts)} classes of {label}.",
        "scatter",
    )


def _drawn(flat: Floats, members: Sequence[NDArray[np.int64]], entries: Sequence[str], title: str) -> bytes:
    """PNG of the points N 2. members: rows of each coloured class; one more entry than classes names the grey rest."""
    # room for short names at least, so that pictures side by side have one scale
    side = max(150, room([*entries, title]))
    figure, axes = chart(420 + side, 380, left=16, right=side, top=16, bottom=16)
    axes.set_xticks([])
    axes.set_yticks([])
    rest = np.setdiff1d(np.arange(len(flat)), np.concatenate([*members, np.empty(0, np.int64)]))
    axes.scatter(flat[rest, 0], flat[rest, 1], s=9, c=REST, marker="o", linewidths=0, zorder=1)
    keys = []
    for place, rows in enumerate(members):
        # a star covers less of its square than a disc does
        size = 9.0 if MARKERS[place] == "*" else 6.0
        look: dict[str, Any] = {"marker": MARKERS[place], "edgecolors": PAPER, "linewidths": 0.5}
        axes.scatter(flat[rows, 0], flat[rows, 1], s=size**2 * 0.75, c=COLOURS[place], zorder=2, **look)
        keys.append(Line2D([], [], color=COLOURS[place], marker=MARKERS[place], ls="", ms=size, mec=PAPER, mew=0.5))
    keys += [Line2D([], [], color=REST, marker="o", ls="", ms=4)] * (len(entries) - len(members))
    legend(axes, keys, entries, title)
    return png_of(figure)


def _natural(name: str) -> list[str | int]:
    """Sorts 'p2' before 'p10'."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split("([0-9]+)", name))]


def _project(rows: Floats, projection: Projection, seed: int) -> tuple[Floats, str]:
    """N 2 coordinates and how they were made."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(length > 0, length, 1)
    if projection == "pca":
        if not unit.var(axis=0).any():
            return np.zeros((len(unit), 2)), "all items are equal"
        model = PCA(n_components=min(2, unit.shape[1]), random_state=seed)
        flat = model.fit_transform(unit)
        share = float(model.explained_variance_ratio_.sum())
        flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))  # a space of one dimension is a line
        return flat, f"the two main axes (PCA) carry {100 * share:.0f} % of the variance"
    if projection == "tsne":
        perplexity = min(PERPLEXITY, (len(unit) - 1) / 3)
        flat = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(unit)
        return flat, f"t-SNE, perplexity {perplexity:.3g}, seed {seed}: distances between groups mean nothing"
    raise ValueError(f"no projection {projection!r}; use 'pca' or 'tsne'")
