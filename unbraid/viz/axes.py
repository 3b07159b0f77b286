"""A chart with calm axes, and a legend that takes labels as they are."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unbraid.viz.style import BODY, CSS_PER_INCH, INK, PAPER, RULE, SMALL, SOFT, broken, font, new_figure, width_of

# the longest label of a legend, in CSS pixels; longer ones lose their middle
LABEL = 200


def chart(width: float, height: float, *, left: float, right: float, top: float, bottom: float) -> tuple[Figure, Axes]:
    """A figure of a size in CSS pixels with one pair of axes inside the margins; only left and bottom lines show."""
    figure = new_figure(width, height)
    size = ((width - left - right) / width, (height - top - bottom) / height)
    axes = figure.add_axes((left / width, bottom / height, *size), facecolor=PAPER)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(RULE)
        spine.set_linewidth(0.8)
    return figure, axes


def room(entries: Sequence[str]) -> float:
    """Width of a legend of these entries in CSS pixels."""
    return 50 + max(width_of(broken(entry, LABEL, 1)[0], BODY) for entry in entries)


def ticks(axes: Axes) -> None:
    """Numbers without tick marks, in the one typeface."""
    axes.tick_params(length=0, pad=5, labelcolor=SOFT)
    for tick in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        tick.set_fontproperties(font(BODY))


def legend(axes: Axes, keys: Sequence[Line2D], entries: Sequence[str], title: str) -> None:
    """Keys right of the chart; the words are set afterwards, so that no label is taken for markup or hidden."""
    box = axes.legend(
        keys,
        [str(number) for number in range(len(keys))],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        handletextpad=0.4,
        labelspacing=0.55,
        borderaxespad=0.0,
        alignment="left",
        prop=font(BODY),
    )
    for text, entry in zip(box.get_texts(), entries, strict=True):
        text.set_text(broken(entry, LABEL, 1)[0])
        text.set_parse_math(False)
        text.set_color(INK)
    if title:
        box.set_title(broken(title, LABEL, 1)[0], prop=font(BODY))
        box.get_title().set_parse_math(False)
        box.get_title().set_color(SOFT)


def footer(figure: Figure, lines: Sequence[str]) -> None:
    """Lines below the axes, such as protocol and counts, so that the picture says them wherever it goes.

    The caller leaves 16 CSS pixels for each; longer lines lose their middle.
    """
    width, height = (length * CSS_PER_INCH for length in figure.get_size_inches())
    for place, line in enumerate(reversed(lines)):
        text = broken(line, width - 24, 1)[0]
        figure.text(
            12 / width, (8 + 16 * place) / height, text, fontproperties=font(SMALL), color=SOFT, parse_math=False
        )
