"""Genuine and impostor scores from a stream of blocks: error rates of comparing one with one, in bounded memory.

A pair is accepted when its score is at least the threshold. Names are those of ISO/IEC 19795: the false match rate
(FMR, also FAR) is the share of impostor pairs accepted, the false non-match rate (FNMR, 1 - TAR) the share of genuine
pairs rejected. Scores are compared as float32.

What is exact: every genuine score; the largest impostor scores, so every rate at an FMR up to `exact_to`; the number
of impostors at or above each of about two million bin edges, so below that part too every rate printed is exact for
the threshold printed with it, but thresholds are edges: float32 numbers of 12 mantissa bits, at most 2^-12 of their
size apart. Mean and variance are exact to rounding.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

Single = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Low bits of an ordered float32 that a bin of the histogram forgets; 11 leave 12 mantissa bits and 16 MB of counts.
FORGOTTEN = 11
BINS = 1 << (32 - FORGOTTEN)


class Scored(Protocol):
    """Some queries against the whole gallery, such as `ranking.Block`: scores b G, hit and skip b G bool."""

    @property
    def scores(self) -> Single: ...
    @property
    def hit(self) -> NDArray[np.bool_]: ...
    @property
    def skip(self) -> NDArray[np.bool_]: ...


@dataclass(frozen=True)
class EqualError:
    """Where FMR and FNMR meet. rate: in 0..1, between neighbouring known points of the DET curve on a straight line.

    low, high: bounds of those points; they differ where scores tie, by the step of a single pair, or by a bin.
    """

    rate: float
    threshold: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Survey:
    """What a stream of blocks says about genuine and impostor scores.

    genuine: all genuine scores, ascending. owner: the query row of each. impostors: impostor pairs of each query row.
    tail: the largest impostor scores, descending. bins, counts: occupied bins of all impostor scores, ascending.
    mean, variance: of all impostor scores.
    """

    genuine: Single
    owner: Integers
    impostors: Integers
    tail: Single
    bins: Integers
    counts: Integers
    mean: float
    variance: float

    @property
    def total(self) -> int:
        """Number of impostor pairs."""
        return int(self.impostors.sum())

    @property
    def exact_to(self) -> float:
        """The FMR up to which thresholds are the smallest possible; 1.0 when all impostor scores were kept."""
        return 1.0 if len(self.tail) == self.total else (len(self.tail) - 1) / self.total

    @property
    def d_prime(self) -> float:
        """(mean genuine - mean impostor) / root of their mean variance; NaN when no score varies."""
        genuine = self.genuine.astype(np.float64)
        spread = math.sqrt((genuine.var() + self.variance) / 2)
        return float((genuine.mean() - self.mean) / spread) if spread > 0 else float("nan")

    def threshold(self, fmr: float) -> float:
        """The smallest threshold whose FMR is not above `fmr`; above `exact_to` the smallest such bin edge.

        Raises ValueError unless 0 < fmr < 1.
        """
        if not 0 < fmr < 1:
            raise ValueError(f"a false match rate to aim at lies between 0 and 1; got {fmr}")
        allowed = most(self.total, fmr)
        if allowed < len(self.tail):
            return float(np.nextafter(self.tail[allowed], np.float32(np.inf)))
        # counted from above: false matches at the lower edge of each bin
        above = np.cumsum(self.counts[::-1])[::-1]
        place = int(np.count_nonzero(above > allowed))
        return float(edges(self.bins[place - 1] + 1))

    def false_matches(self, thresholds: ArrayLike) -> Integers:
        """Impostor pairs accepted at each threshold: exact in the tail and at bin edges, elsewhere those of the bin
        edge below, so never too few."""
        asked = np.asarray(thresholds, np.float32)
        found = len(self.tail) - np.searchsorted(self.tail[::-1], asked, side="left")
        if len(self.tail) < self.total:
            sums = np.concatenate([[0], np.cumsum(self.counts)])
            coarse = self.total - sums[np.searchsorted(self.bins, keys(asked), side="left")]
            found = np.where(asked > self.tail[-1], found, coarse)
        return np.asarray(found, np.int64)

    def misses(self, thresholds: ArrayLike) -> Integers:
        """Genuine pairs rejected at each threshold."""
        return np.asarray(np.searchsorted(self.genuine, np.asarray(thresholds, np.float32), side="left"), np.int64)

    @cached_property
    def corners(self) -> Single:
        """Ascending thresholds between which the DET curve is a straight line, as far as it is known."""
        high = np.float32(np.inf)
        kept = self.tail if len(self.tail) == self.total else self.tail[self.tail > self.tail[-1]]
        ends = keys(self.genuine[[0, -1]]) + np.array([0, 1])
        parts = [kept, np.nextafter(self.tail, high), edges(ends)]
        if len(self.tail) < self.total:
            below = self.bins[self.bins <= keys(self.tail[-1:])[0]]
            parts += [edges(below), edges(below[:-1] + 1)]
        found: Single = np.unique(np.concatenate(parts))
        return found

    def equal_error(self) -> EqualError:
        """The equal error rate: where the straight lines between corners cross FMR = FNMR."""
        corners = self.corners

        def met(place: int) -> bool:
            return bool(
                self.misses(corners[place]) * self.total >= self.false_matches(corners[place]) * len(self.genuine)
            )

        # the two rates move apart along the corners, so halving finds the place
        after = bisect_left(range(len(corners)), True, key=met)
        ends = corners[[max(after - 1, 0), after]]
        fmr, fnmr = self.false_matches(ends) / self.total, self.misses(ends) / len(self.genuine)
        rate = float(crossing(fmr[None], fnmr[None])[0])
        return EqualError(rate, float(ends[1]), float(max(fnmr[0], fmr[1])), float(min(fmr[0], fnmr[1])))


def survey(blocks: Iterable[Scored], *, keep: int) -> Survey:
    """One pass over the blocks. Memory: one block, 8 to 16 bytes per kept score, 16 MB of bins, the genuine scores.

    keep: how many of the largest impostor scores to keep, at least 1.
    Genuine pairs are hit and not skip; impostor pairs are neither.
    Raises ValueError for scores that are not finite, and when there are no genuine or no impostor pairs.

    Example:
        scores = np.float32([[0.9, 0.5, 0.1]])
        hit = np.array([[True, False, False]])
        survey([Block(scores, hit, np.zeros_like(hit))], keep=2).equal_error().rate  # 0.0
    """
    if keep < 1:
        raise ValueError(f"keep is a number of scores, at least 1; got {keep}")
    genuine, owner, impostors = [np.empty(0, np.float32)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    histogram = np.zeros(BINS, np.int64)
    tail, held, cutoff = np.empty(0, np.float32), 0, np.float32(-np.inf)
    sums = np.zeros(3)  # deviations from the third entry, and their squares
    rows = 0
    for block in blocks:
        scores = np.ascontiguousarray(block.scores, np.float32)
        hit, skip = np.ascontiguousarray(block.hit), np.ascontiguousarray(block.skip)
        if _faults(scores):
            row, column = np.argwhere(~np.isfinite(scores))[0]
            raise ValueError(
                f"the score of query {rows + row} and gallery item {column} is {scores[row, column]}; "
                f"scores must be finite"
            )
        if rows == 0:
            sums[2] = scores.flat[0] if scores.size else 0.0
        # room for the whole block, or as much as makes the next cut worth its time
        full = keep + max(scores.shape[1], keep)
        if len(tail) < (needed := min(held + scores.size, full)):
            tail = np.concatenate([tail[:held], np.empty(min(max(needed, 2 * held), full) - held, np.float32)])
        where, which = np.nonzero(hit & ~skip)
        genuine.append(scores[where, which])
        owner.append(rows + where)
        numbers = np.zeros(len(scores), np.int64)
        bits, row = scores.view(np.int32), 0
        while row < len(scores):
            row, held = _impostors(scores, bits, hit, skip, row, tail, held, cutoff, histogram, numbers, sums)
            if row < len(scores):
                held, cutoff = keep, _cut(tail, held, keep)
        impostors.append(numbers)
        rows += len(scores)
        del block, scores, hit, skip, bits
    if held > keep:
        _cut(tail, held, keep)
        held = keep
    values, number = np.concatenate(genuine), np.concatenate(impostors)
    total = int(number.sum())
    if not len(values) or not total:
        raise ValueError(
            f"{rows} queries give {len(values)} genuine and {total} impostor pairs; verification needs both. "
            f"Compare the labels of query and gallery with the rules of the protocol"
        )
    order = np.argsort(values, kind="stable")
    bins = np.flatnonzero(histogram)
    mean = sums[0] / total
    return Survey(
        genuine=values[order],
        owner=np.concatenate(owner)[order],
        impostors=number,
        tail=np.sort(tail[:held])[::-1],
        bins=bins,
        counts=histogram[bins],
        mean=float(sums[2] + mean),
        variance=float(max(sums[1] / total - mean**2, 0.0)),
    )


def recount(blocks: Iterable[Scored], thresholds: ArrayLike, groups: Integers) -> Integers:
    """Impostor pairs accepted at each threshold, apart for each group (person) of queries.

    thresholds: M, ascending. groups: Q group numbers from 0, one per query row. Returns groups M.
    """
    limits = np.asarray(thresholds, np.float32)
    found = np.zeros((int(groups.max(initial=-1)) + 1, len(limits) + 1), np.int64)
    rows = 0
    for block in blocks:
        scores = np.ascontiguousarray(block.scores, np.float32)
        hit, skip = np.ascontiguousarray(block.hit), np.ascontiguousarray(block.skip)
        _recount(scores, hit, skip, limits, groups[rows : rows + len(scores)], found)
        rows += len(scores)
        del block, scores, hit, skip
    # column j holds the pairs that reach exactly the first j thresholds
    accepted: Integers = np.cumsum(found[:, ::-1], axis=1)[:, ::-1][:, 1:]
    return accepted


def crossing(fmr: Floats, fnmr: Floats) -> Floats:
    """The equal error rate of each row: where straight lines between the points cross. fmr falls from 1, fnmr rises."""
    rows = np.arange(len(fmr))
    after = np.argmax(fnmr >= fmr, axis=1)
    before = np.maximum(after - 1, 0)
    start, end = (fmr - fnmr)[rows, before], (fnmr - fmr)[rows, after]
    share = np.divide(start, start + end, out=np.zeros(len(fmr)), where=start + end > 0)
    found: Floats = fmr[rows, before] + share * (fmr[rows, after] - fmr[rows, before])
    return found


def most(trials: int, rate: float) -> int:
    """The largest number of errors among `trials` that is not above `rate`."""
    errors = math.floor(rate * trials) + 1  # the product may be rounded down past a whole number
    while errors / max(trials, 1) > rate:
        errors -= 1
    return errors


def keys(scores: Single) -> Integers:
    """The bin of each finite float32 score; a higher score never has a lower bin."""
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)) + (1 << 31) >> FORGOTTEN


def edges(bins: ArrayLike) -> Single:
    """The lowest float32 score of each bin."""
    ordered = (np.asarray(bins, np.int64) << FORGOTTEN) - (1 << 31)
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).astype(np.int32).view(np.float32)


def _cut(tail: Single, held: int, keep: int) -> np.float32:
    """Move the `keep` largest of the first `held` scores to the front; returns the smallest of them."""
    tail[:keep] = np.partition(tail[:held], held - keep)[held - keep :]
    return np.float32(tail[:keep].min())


def _faults_python(scores: Any) -> int:
    faults = 0
    for row in range(len(scores)):
        finite = np.int32(0)
        for j in range(scores.shape[1]):
            finite = np.int32(finite + np.int32(scores[row, j] - scores[row, j] == 0))
        faults += scores.shape[1] - int(finite)
    return faults


def _impostors_python(
    scores: Any, bits: Any, hit: Any, skip: Any, row: int, tail: Any, held: int, cutoff: Any,
    histogram: Any, numbers: Any, sums: Any,
) -> tuple[int, int]:  # fmt: skip
    """Take in the impostors of rows from `row` on, while the tail has room; returns the next row and the tail's end."""
    items = scores.shape[1]
    shift, first, second = sums[2], 0.0, 0.0
    while row < len(scores) and held + items <= len(tail):
        number = 0
        for j in range(items):
            if hit[row, j] or skip[row, j]:
                continue
            value = scores[row, j]
            number += 1
            away = np.float64(value) - shift
            first += away
            second += away * away
            pattern = np.int64(bits[row, j]) if value != 0 else np.int64(0)  # -0.0 is 0.0
            histogram[((pattern ^ ((pattern >> 31) & 0x7FFFFFFF)) + (1 << 31)) >> FORGOTTEN] += 1
            if value > cutoff:
                tail[held] = value
                held += 1
        numbers[row] = number
        row += 1
    sums[0] += first
    sums[1] += second
    return row, held


def _recount_python(scores: Any, hit: Any, skip: Any, limits: Any, groups: Any, found: Any) -> None:
    """Count each impostor under the number of limits it reaches."""
    for row in range(len(scores)):
        line = found[groups[row]]
        for j in range(scores.shape[1]):
            if hit[row, j] or skip[row, j]:
                continue
            low, high = 0, len(limits)
            if high > 1 and scores[row, j] < limits[1]:  # most impostors
                high = 1
            while low < high:
                middle = (low + high) // 2
                if scores[row, j] >= limits[middle]:
                    low = middle + 1
                else:
                    high = middle
            line[low] += 1


_faults = numba.njit(nogil=True, cache=True)(_faults_python)
_impostors = numba.njit(nogil=True, cache=True)(_impostors_python)
_recount = numba.njit(nogil=True, cache=True)(_recount_python)
