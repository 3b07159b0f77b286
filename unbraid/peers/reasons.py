"""Why a peer's numbers differ from ours: one habit changed after the other, each with what it did to the numbers."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from unbraid.peers.distances import WORDS
from unbraid.peers.habits import Column, Habits
from unbraid.peers.ranked import Order, Ranked
from unbraid.peers.scores import Scores, scores

SHORT: Mapping[Column, str] = {
    "rank_1": "rank-1",
    "rank_5": "rank-5",
    "rank_10": "rank-10",
    "mean_ap": "mAP",
    "mean_inp": "mINP",
}
# Half of the last digit shown, in points of per cent.
VISIBLE = 0.005


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known about the sides of a comparison.

    found: rankings by order. shots: single-shot ranks. views: the queries' own. junk: gallery items of identity -1.
    unknown: gallery items of unknown identity. identities: of the gallery, the unknown ones as one.
    spread: of the lengths of gallery vectors, see `distances.spread_of_lengths`. seed: of the draws.
    """

    found: Mapping[Order, Ranked]
    shots: NDArray[np.int64] | None
    views: NDArray[np.str_] | None
    junk: int
    unknown: int
    identities: int
    spread: float
    seed: int


@dataclass(frozen=True)
class Step:
    """One habit changed. words: what. points: change in points of per cent by column, NaN kept.

    changed: cases whose ranks or AP differ. unit: what a case is.
    """

    words: str
    points: Mapping[Column, float]
    changed: int
    unit: str

    @property
    def matters(self) -> bool:
        """Whether a digit that is shown changes, or a query does."""
        return self.changed > 0 or any(not abs(value) < VISIBLE for value in self.points.values())

    def __str__(self) -> str:
        told = ", ".join(f"{SHORT[name]} {_signed(value)}" for name, value in self.points.items())
        tail = (
            f" ({plural(self.changed, self.unit)} {'changes' if self.changed == 1 else 'change'})"
            if self.changed
            else ""
        )
        return f"{self.words}: {told}{tail}"


def chain(start: Habits, goal: Habits) -> Iterator[tuple[str, Habits]]:
    """The habits between two, one field changed after the other: the field's name and the habits with it changed."""
    current = start
    for name in (f.name for f in fields(Habits)):
        if getattr(goal, name) != getattr(start, name):
            current = replace(current, **{name: getattr(goal, name)})
            yield name, current


def score(facts: Facts, habits: Habits) -> Scores:
    """The means that some habits give."""
    return scores(facts.found[Order.of(habits)], habits, views=facts.views, shots=facts.shots)


def steps(facts: Facts, start: Habits, goal: Habits, columns: tuple[Column, ...]) -> list[Step]:
    """What each difference between two ways does to the numbers, applied one after the other."""
    shown: tuple[Column, ...] = tuple(c for c in columns if c in ("rank_1", "mean_ap"))
    found, before, habits_before = [], score(facts, start), start
    for name, habits in chain(start, goal):
        after = score(facts, habits)
        one, two = (facts.found[Order.of(h)].ranking for h in (habits_before, habits))
        changed = (one.first != two.first) | (np.nan_to_num(one.ap) != np.nan_to_num(two.ap))
        # another rule for AP changes every AP; what matters is the mean
        number = 0 if name == "ap" else int(np.count_nonzero(changed))
        points = {c: _points(getattr(before, c), getattr(after, c)) for c in shown}
        found.append(Step(_WORDS[name](facts, habits), points, number, _unit(facts.found[Order.of(habits)])))
        before, habits_before = after, habits
    return found


def ties(facts: Facts, habits: Habits, columns: tuple[Column, ...]) -> tuple[str, bool]:
    """How far the numbers go with the order of equal scores, when a sort leaves it open, and whether a digit changes.

    The text is empty when no mate ties with a stranger.
    """
    order = Order.of(habits)
    low, high = (facts.found[replace(order, ties=name)] for name in ("mates last", "mates first"))
    tied = int(np.count_nonzero(np.nan_to_num(high.ranking.ap) != np.nan_to_num(low.ranking.ap)))
    if not tied:
        return "", False
    worst, best = (scores(one, habits, views=facts.views, shots=facts.shots) for one in (low, high))
    spans = []
    for name in (c for c in columns if c in ("rank_1", "mean_ap") and not (habits.draws and c == "rank_1")):
        ends = 100 * getattr(worst, name), 100 * getattr(best, name)
        if ends[1] - ends[0] >= VISIBLE:
            spans.append(f"{SHORT[name]} {ends[0]:.2f} to {ends[1]:.2f}")
    text = f"{plural(tied, _unit(high))} with a mate that ties with a stranger, whose order its sort leaves open"
    return (f"{text}: {', '.join(spans)}", True) if spans else (text, False)


def _points(before: float, after: float) -> float:
    return 0.0 if math.isnan(before) else 100 * (after - before)


def _signed(value: float) -> str:
    # adding 0 turns -0.00 into +0.00
    return "becomes NaN" if math.isnan(value) else f"{round(value, 2) + 0.0:+.2f}"


def plural(number: int, unit: str) -> str:
    """'1 query', '2 queries'."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit.replace('query', 'queries', 1)}"


def explained(facts: Facts, start: Habits, goal: Habits, columns: tuple[Column, ...]) -> tuple[str, ...]:
    """The steps that matter, each a line, those that change nothing here in one line, and what ties leave open."""
    found = steps(facts, start, goal, columns)
    lines = [str(step) for step in found if step.matters]
    idle = [step.words for step in found if not step.matters]
    open_order, matters = ties(facts, goal, columns)
    if open_order:
        (lines if matters else idle).append(open_order)
    if idle:
        lines.append(f"changes nothing here: {'; '.join(idle)}")
    return tuple(lines or ["the same rule as ours"])


def _distance(facts: Facts, habits: Habits) -> str:
    lengths = "not normalised" in WORDS[habits.distance]
    return WORDS[habits.distance] + (f" (lengths vary by {100 * facts.spread:.1f} %)" if lengths else "")


def _junk(facts: Facts, habits: Habits) -> str:
    return f"skips the {facts.junk} junk items (identity -1) of the gallery" if facts.junk else "would skip junk (-1)"


def _later(facts: Facts, habits: Habits) -> str:
    return "of equal scores the later gallery item comes first"


def _ap(facts: Facts, habits: Habits) -> str:
    rule = {"trapezoid": "the area under straight lines (trapezoid)", "step": "the mean precision at the mates (step)"}
    return f"AP is {rule[habits.ap]}"


def _draws(facts: Facts, habits: Habits) -> str:
    # the k-th draws of all queries make one gallery choice; their spread is the noise of one draw
    mated = facts.found[Order.of(habits)].ranking.mated
    each = (facts.shots[mated] == 1).mean(axis=0) if facts.shots is not None and mated.any() else np.zeros(1)
    unknown = f" ({facts.unknown} items of unknown identity as one)" if facts.unknown else ""
    return (
        f"ranks against one item of each of {facts.identities} identities{unknown}, drawn {habits.draws} times per "
        f"query with seed {facts.seed} (rank-1 of one draw varies by {100 * float(each.std()):.2f}); AP on the whole "
        f"gallery"
    )


def _mateless(facts: Facts, habits: Habits) -> str:
    found = facts.found[Order.of(habits)]
    number, rows = found.ranking.without_mate, len(found.ranking)
    verb = {"wrong": "count as wrong", "left out": "leave the means"}.get(
        habits.mateless, "count as wrong in ranks and leave mAP"
    )
    if not number:
        return f"queries without a mate would {verb}"
    return f"{number} of {plural(rows, _unit(found))} have no mate and {verb}"


def _unit(found: Ranked) -> str:
    return "query in a view" if (found.offered != "").any() else "query"


def _by_view(facts: Facts, habits: Habits) -> str:
    if facts.views is None:
        return "mean within each view of queries, then over views"
    mated = facts.found[Order.of(habits)].ranking.mated
    every, some = (set(facts.views.tolist()), set(facts.views[mated].tolist()))
    without = f" (no query of view {min(every - some)!r} has a mate)" if every - some else ""
    return f"mean within each of the {len(every)} views of queries, then over views{without}"


def _decimals(facts: Facts, habits: Habits) -> str:
    return f"per cent of each view rounded to {habits.decimals} decimals before the mean"


_WORDS: Mapping[str, Callable[[Facts, Habits], str]] = {
    "distance": _distance,
    "junk": _junk,
    "later_first": _later,
    "ap": _ap,
    "draws": _draws,
    "mateless": _mateless,
    "by_view": _by_view,
    "decimals": _decimals,
}
