"""The three figures of recognition programmes, beside ranking and from the same stream of blocks.

TAR at 0.1 % FAR (one to one), rank-20 (closed set) and FNIR(N, 20, T) at 1 % FPIR (open set).
Source: the three figures that the FarSight system (IARPA BRIAR programme) reports.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from unbraid.ranking import Block, Ranking
from unbraid.searches import NonMated, Searches, drawn_rates
from unbraid.trials import Floats, Interval, below, guarded, interval, percent, resampled, unsupported
from unbraid.verification import most

Single = NDArray[np.float32]
Integers = NDArray[np.int64]

# Items looked at together; the slow look for single scores happens only in a chunk that has one.
CHUNK = 64
FAR, RANK, FPIR = 1e-3, 20, 1e-2
TAR_NAME = f"TAR at FAR {percent(FAR)}"
RANK_NAME = f"rank-{RANK}"
FNIR_NAME = f"FNIR at FPIR {percent(FPIR)}"


@dataclass(frozen=True)
class Figure:
    """One rate with what it rests on, or the reason why it is not reported.

    measure: its name. value: in 0..1. interval: 95 %, bootstrap over query identities with thresholds set anew in each
    draw, the gallery held fixed. threshold: accept scores of at least this; None for a rank.
    trials: genuine pairs, or searches with a mate. identities: their people. against: impostor pairs, gallery items, or
    searches without a mate. words: these three in words. reason: why there is no value; empty when there is one.
    """

    measure: str
    value: float | None
    interval: Interval | None
    threshold: float | None
    trials: int
    identities: int
    against: int
    words: str
    reason: str = ""

    def __str__(self) -> str:
        if self.value is None or self.interval is None:
            return f"{self.measure:<17} not reported: {self.reason}"
        value, low, high = (100 * one for one in (self.value, *self.interval))
        return f"{self.measure:<17}{value:6.1f}     {low:5.1f} to {high:5.1f}     {self.words}"


def refused(reason: str, closed: Figure) -> tuple[Figure, Figure, Figure]:
    """The rank as given, and the other two figures with the reason why they are not reported."""
    one, many = (Figure(name, None, None, None, 0, 0, 0, "", reason) for name in (TAR_NAME, FNIR_NAME))
    return one, closed, many


def rank_figure(value: float, found: Interval, searches: int, people: int, gallery: int) -> Figure:
    """Share of searches with a mate that meet one among the first 20 items. found: its interval."""
    words = f"{searches} searches of {people} identities"
    return Figure(RANK_NAME, value, found, None, searches, people, gallery, words)


class Tally:
    """Watches the blocks of an evaluation and keeps what the figures need.

    people, others: Q and G numbers of identities, equal for one identity, see `trials.numbered`.
    memory: bytes; at most half of it is used, beside the genuine scores.
    """

    def __init__(self, people: Integers, others: Integers, memory: int) -> None:
        self._people, self._others = people, others
        # four times the errors allowed, so that thresholds of resampled people are among them
        self._keep = max(1, min(math.ceil(4 * FAR * len(people) * len(others)), memory // 48))
        self._tail, self._owner = np.empty(0, np.float32), np.empty(0, np.int32)
        self._held, self._cutoff = 0, np.float32(-np.inf)
        self._genuine: list[Single] = [np.empty(0, np.float32)]
        self._genuine_owner: list[Integers] = [np.empty(0, np.int64)]
        self._tops: list[Single] = [np.empty(0, np.float32)]
        self._pairs = _PairsOfPeople(people, others)

    def watch(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The same blocks; the tally is complete when they are used up."""
        done = 0
        for block in blocks:
            self._look(block, done)
            self._pairs.look(block, done)
            done += len(block.scores)
            yield block
            del block

    def _look(self, block: Block, done: int) -> None:
        scores = np.ascontiguousarray(np.asarray(block.scores), np.float32)
        hit, skip = np.ascontiguousarray(block.hit), np.ascontiguousarray(block.skip)
        room = self._keep + max(scores.shape[1], self._keep)
        needed = min(self._held + scores.size, room)
        if len(self._tail) < needed:
            more = min(max(needed, 2 * self._held), room) - self._held
            self._tail = np.concatenate([self._tail[: self._held], np.empty(more, np.float32)])
            self._owner = np.concatenate([self._owner[: self._held], np.empty(more, np.int32)])
        genuine = np.empty(16 * scores.shape[1], np.float32)
        rows = np.empty(len(genuine), np.int64)
        tops, at = np.full(len(scores), -np.inf, np.float32), 0
        while at < len(scores):
            at, self._held, found = _collect(
                scores, hit, skip, at, done, self._tail, self._owner, self._held, self._cutoff, tops, genuine, rows
            )
            self._genuine.append(genuine[:found].copy())
            self._genuine_owner.append(rows[:found].copy())
            if at < len(scores) and self._held > self._keep:
                self._cut()
        self._tops.append(tops)

    def _cut(self) -> None:
        """Keep the highest impostor scores only."""
        chosen = np.argpartition(self._tail[: self._held], self._held - self._keep)[self._held - self._keep :]
        self._tail[: self._keep], self._owner[: self._keep] = self._tail[chosen], self._owner[chosen]
        self._held, self._cutoff = self._keep, np.float32(self._tail[: self._keep].min())

    def figures(self, ranking: Ranking, *, seed: int) -> tuple[Figure, Figure, Figure]:
        """TAR at 0.1 % FAR, rank-20, FNIR at 1 % FPIR. ranking: of the blocks watched. seed: of the bootstrap.

        Non-mated searches are the queries without a mate; where those are too few, every query is searched once more
        without its mates. The words say which.
        """
        if self._held > self._keep:
            self._cut()
        order = np.argsort(-self._tail[: self._held], kind="stable")
        tail, owner = self._tail[order], self._owner[order]
        genuine, genuine_owner = np.concatenate(self._genuine), np.concatenate(self._genuine_owner)
        _, groups = np.unique(self._people, return_inverse=True)
        number = int(groups.max(initial=-1)) + 1
        mated, first = ranking.mated, ranking.first
        impostors = ranking.valid - ranking.hits
        people = len(np.unique(groups[mated]))
        searches, non_mated = self._searches(first, groups, genuine, genuine_owner)
        alone, strangers = len(searches.tops), len(np.unique(searches.tops_groups))
        total = int(impostors.sum())
        no_tar = unsupported(FAR, total, self._pairs.number, "impostor pairs", "pairs of people")
        if not no_tar and most(total, FAR) >= len(tail):
            no_tar = f"{most(total, FAR)} false matches do not fit into the memory given; raise it"
        no_fnir = unsupported(FPIR, alone, strangers, f"non-mated searches ({non_mated})", "people in them")
        grid = _grid(tail, genuine, total) if not no_tar else np.zeros(1, np.float32)
        held = np.bincount(groups[owner], minlength=number)[:, None]
        tables = (
            held - below(tail, groups[owner], grid, number),
            below(genuine, groups[genuine_owner], grid, number),
            np.bincount(groups, weights=impostors, minlength=number).astype(np.int64)[:, None],
            np.bincount(groups[genuine_owner], minlength=number)[:, None],
        )
        more = searches.tables([] if no_fnir else [FPIR], number)
        sums = resampled((*tables, *more), np.random.default_rng(seed))
        rates = drawn_rates(sums[4:])
        point = searches.point(FPIR, no_fnir, rates, people)
        lost = float((first[mated] > RANK).mean())
        low, high = guarded(lost, interval(rates[1][:, 0], people), people)
        words = f"{int(mated.sum())} searches, {alone} non-mated ({non_mated})"
        asked = int(mated.sum())
        return (
            _tar(no_tar, tail, genuine, total, grid, sums[:4], people),
            rank_figure(float((first[mated] <= RANK).mean()), (1 - high, 1 - low), asked, people, len(self._others)),
            Figure(FNIR_NAME, point.fnir, point.interval, point.threshold, asked, people, alone, words, no_fnir),
        )

    def _searches(
        self, first: Integers, groups: Integers, genuine: Single, owner: Integers
    ) -> tuple[Searches, NonMated]:
        mated, tops = first > 0, np.concatenate(self._tops)
        mate = np.full(len(first), -np.inf, np.float32)
        np.maximum.at(mate, owner, genuine)
        shown = np.where(first <= RANK, mate, np.float32(-np.inf))[mated]
        kind: NonMated = "without mate"
        alone = np.isfinite(tops) & ~mated
        if unsupported(FPIR, int(alone.sum()), len(np.unique(groups[alone])), "", ""):
            alone, kind = np.isfinite(tops), "mates removed"
        return Searches(shown, groups[mated], tops[alone], groups[alone]), kind


class _PairsOfPeople:
    """Counts pairs of different people among the impostor pairs, A with B once, up to as many as the FAR needs."""

    def __init__(self, people: Integers, others: Integers) -> None:
        asked, offered = np.unique(people), np.unique(others)
        both = len(np.intersect1d(asked, offered))
        possible = len(asked) * len(offered) - both - both * (both - 1) // 2
        self._enough = min(possible, math.ceil(1 / FAR))
        self._people, self._others = people, others
        self._width = int(max(people.max(initial=0), others.max(initial=0))) + 1
        self._seen: set[int] = set()

    @property
    def number(self) -> int:
        """How many pairs were counted."""
        return len(self._seen)

    def look(self, block: Block, done: int) -> None:
        """Count the pairs of a block, whose first row is query `done`."""
        for place in range(len(block.scores)):
            if len(self._seen) >= self._enough:
                return
            one = int(self._people[done + place])
            there = np.zeros(self._width, bool)
            there[self._others[~(block.hit[place] | block.skip[place])]] = True
            there[one] = False
            two = np.flatnonzero(there)
            self._seen.update((np.minimum(one, two) * self._width + np.maximum(one, two)).tolist())


def _grid(tail: Single, genuine: Single, total: int) -> Single:
    """Thresholds around the FAR, as far down as impostor scores were kept; the last is above every score."""
    errors = np.array([most(total, rate) for rate in np.geomspace(FAR / 4, 4 * FAR, 64)] + [most(total, FAR)])
    over = np.float32(np.inf)
    highest = np.nextafter(max(tail[0], genuine.max(initial=tail[0])), over)
    grid: Single = np.unique(np.append(np.nextafter(tail[errors[errors < len(tail)]], over), highest))
    return grid.astype(np.float32)


def _tar(
    reason: str, tail: Single, genuine: Single, total: int, grid: Single, sums: tuple[Floats, ...], people: int
) -> Figure:
    words = f"{len(genuine)} genuine and {total} impostor pairs"
    if reason:
        return Figure(TAR_NAME, None, None, None, len(genuine), people, total, words, reason)
    threshold = np.nextafter(tail[most(total, FAR)], np.float32(np.inf))
    fnmr = float((genuine < threshold).mean())
    accepted, missed, impostors, trials = sums
    known = (impostors > 0)[:, 0] & (trials > 0)[:, 0]
    place = np.argmax(accepted[known] <= FAR * impostors[known], axis=1)
    drawn = np.take_along_axis(missed[known] / trials[known], place[:, None], 1)[:, 0]
    low, high = guarded(fnmr, interval(drawn, people), people)
    found = (1 - high, 1 - low)
    return Figure(TAR_NAME, 1 - fnmr, found, float(threshold), len(genuine), people, total, words)


def _collect_python(
    scores: Any, hit: Any, skip: Any, row: int, done: int, tail: Any, owner: Any, held: int, cutoff: Any, tops: Any,
    genuine: Any, rows: Any,
) -> tuple[int, int, int]:  # fmt: skip
    """Take in rows from `row` on, while there is room: impostor scores above the cutoff to the tail, the best of each
    row to `tops`, genuine scores to `genuine`.

    Returns the next row and the ends of tail and genuine.
    """
    items, found = scores.shape[1], 0
    while row < len(scores) and held + items <= len(tail) and found + items <= len(genuine):
        top = tops[row]
        for start in range(0, items, CHUNK):
            values = scores[row, start : start + CHUNK]
            skipped, hitting = skip[row, start : start + CHUNK], hit[row, start : start + CHUNK]
            bound, here = min(top, cutoff), np.int32(0)
            # int32 sums without branches become vector instructions; the slow look follows where it pays
            for j in range(len(values)):
                here = np.int32(here + np.int32(((values[j] > bound) | hitting[j]) & ~skipped[j]))
            if here > 0:
                for j in range(len(values)):
                    if skipped[j]:
                        continue
                    if hitting[j]:
                        genuine[found], rows[found] = values[j], done + row
                        found += 1
                    elif values[j] > bound:
                        top = max(top, values[j])
                        if values[j] > cutoff:
                            tail[held], owner[held] = values[j], done + row
                            held += 1
        tops[row] = top
        row += 1
    return row, held, found


_collect = numba.njit(nogil=True, cache=True)(_collect_python)
