"""Exact CMC, AP and mINP from blocks of scores: no full matrix, no sort of the gallery.

The rank of a hit is one plus the number of valid gallery items above it, so counting is enough. An item is above
another when its score is higher, or equal and its gallery index lower: the order of a stable descending sort.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, Literal

import numba
import numpy as np
from numpy.typing import NDArray

BoolMatrix = NDArray[np.bool_]
FloatMatrix = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
AveragePrecision = Literal["step", "trapezoid"]

# Up to here one comparison with the whole row per hit is faster than a sort of the row.
FEW_HITS = 96
# Items looked at together; the slow look for hits and for the best item happens only in a chunk that has one.
CHUNK = 256
# Bytes alive per (query, gallery) pair of a block: a float32 score, hit, skip, and what the rules need on the way.
PAIR_BYTES = 12


@dataclass(frozen=True, eq=False)
class Block:
    """Some queries against the whole gallery.

    scores: b G float32 or float64, finite, larger is more alike. hit, skip: b G bool; skip wins over hit.
    Raises ValueError when shapes or types differ from these.
    """

    scores: FloatMatrix
    hit: BoolMatrix
    skip: BoolMatrix

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in ("scores", "hit", "skip")}
        if self.scores.ndim != 2 or len(set(shapes.values())) != 1:
            raise ValueError(f"scores, hit and skip must all be (queries, gallery); got {shapes}")
        if self.scores.dtype not in (np.float32, np.float64):
            raise ValueError(f"scores must be float32 or float64; got {self.scores.dtype}")
        if self.hit.dtype != bool or self.skip.dtype != bool:
            raise ValueError(f"hit and skip must be bool; got {self.hit.dtype} and {self.skip.dtype}")


@dataclass(frozen=True, eq=False)
class Ranking:
    """What ranking says about each of Q queries; everything else is a mean of it.

    ap: average precision; NaN for a query without a mate (no valid hit).
    inp: number of hits / rank of the last one; NaN without a mate.
    first: rank of the first hit counted from 1; 0 without a mate.
    hits: valid gallery items that are hits. valid: gallery items that are not skipped.
    best: gallery row at rank 1; -1 when every item is skipped.
    """

    ap: Floats
    inp: Floats
    first: Integers
    hits: Integers
    valid: Integers
    best: Integers

    def __len__(self) -> int:
        return len(self.ap)

    @property
    def mated(self) -> BoolMatrix:
        """Q bool: the queries that have at least one valid hit; every mean below is over these."""
        return self.hits > 0

    @property
    def without_mate(self) -> int:
        """Number of queries that leave the means."""
        return int(np.count_nonzero(self.hits == 0))

    @property
    def mean_ap(self) -> float:
        """mAP in 0..1. Raises ValueError when no query has a mate."""
        return self._mean(self.ap)

    @property
    def mean_inp(self) -> float:
        """mINP in 0..1. Raises ValueError when no query has a mate."""
        return self._mean(self.inp)

    def cmc(self, ranks: int) -> Floats:
        """Share of mated queries whose first hit has rank <= 1, 2, ... `ranks`.

        Raises ValueError for ranks < 1 or when no query has a mate.
        """
        if ranks < 1:
            raise ValueError(f"a CMC curve needs at least 1 rank; got {ranks}")
        return np.array([self._mean(self.first <= rank) for rank in range(1, ranks + 1)])

    def _mean(self, values: NDArray[Any]) -> float:
        if not self.mated.any():
            raise ValueError(f"none of the {len(self)} queries has a valid hit, so there is nothing to average")
        return float(values[self.mated].mean())


def rank(blocks: Iterable[Block], *, ap: AveragePrecision = "step") -> Ranking:
    """The ranking of all queries, in the order of the blocks; memory is that of one block.

    ap: with r_k the rank of hit k of m, 'step' is the mean over hits of P(r_k) = k / r_k; 'trapezoid' is the area
        sum_n (R_n - R_{n-1}) (P_{n-1} + P_n) / 2 with R_0 = 0, P_0 = 1. Recall grows by 1/m at hits only, so it is
        the mean over hits of (P(r_k - 1) + k / r_k) / 2, where P(r_k - 1) = (k - 1) / (r_k - 1), or 1 for r_k = 1.

    Raises ValueError without blocks, for another rule, and for a score that is not finite.
    Source: DSANet sheet 4.1 (rules of the MARS, AP3D and torchreid evaluations).

    Example:
        scores = np.float32([[0.9, 0.5, 0.1]])
        hit = np.array([[False, True, False]])
        rank([Block(scores, hit, np.zeros_like(hit))]).mean_ap  # 0.5
    """
    if ap not in ("step", "trapezoid"):
        raise ValueError(f"no AP rule {ap!r}; use 'step' or 'trapezoid'")
    parts: list[Ranking] = []
    for block in blocks:
        parts.append(_rank_block(block, ap, sum(map(len, parts))))
        del block  # or it would live on while the next one is made
    if not parts:
        raise ValueError("nothing to rank: there are no blocks, so no queries")
    return Ranking(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Ranking)))


def rows_per_block(gallery: int, memory: int) -> int:
    """How many queries to rank at once against `gallery` items within about `memory` bytes; at least 1.

    Raises ValueError when memory is not positive.
    """
    if memory <= 0:
        raise ValueError(f"memory is a number of bytes above 0; got {memory}")
    return max(1, memory // (PAIR_BYTES * max(gallery, 1)))


def in_threads(function: Callable[[slice], int], rows: int) -> int:
    """Sum of `function` over slices that cover `rows` rows, one per thread; it should release the interpreter lock."""
    # Plain threads, because a compiled parallel loop cannot be entered from two threads or after a fork.
    size = max(1, -(-rows // (os.cpu_count() or 1)))
    slices = [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
    if len(slices) < 2:
        return sum(map(function, slices))
    with ThreadPoolExecutor(len(slices)) as pool:
        return sum(pool.map(function, slices))


def _rank_block(block: Block, ap: AveragePrecision, offset: int) -> Ranking:
    scores, hit, skip = (np.ascontiguousarray(part) for part in (block.scores, block.hit, block.skip))
    rows = len(scores)
    counts = np.zeros((rows, 3), np.int64)

    def scan(part: slice) -> int:
        return int(_scan(scores[part], hit[part], skip[part], counts[part]))

    if in_threads(scan, rows):
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise ValueError(
            f"the score of query {offset + row} and gallery item {column} is {scores[row, column]}; "
            f"scores must be finite"
        )
    hits, valid, best = counts.T
    ends = np.cumsum(hits)
    ranks = np.empty(hits.sum(), np.int64)

    def count(part: slice) -> int:
        _count(scores[part], hit[part], skip[part], (ends - hits)[part], hits[part], ranks)
        for row in range(part.start, part.stop):
            if hits[row] > FEW_HITS:
                ranks[ends[row] - hits[row] : ends[row]] = _sorted(scores[row], hit[row], skip[row])
        return 0

    in_threads(count, rows)
    owner = np.repeat(np.arange(rows), hits)
    ranks = ranks[np.lexsort((ranks, owner))]
    mated = hits > 0
    first, last = np.zeros(rows, np.int64), np.ones(rows, np.int64)
    first[mated], last[mated] = ranks[(ends - hits)[mated]], ranks[ends[mated] - 1]
    k = np.arange(1, len(ranks) + 1) - (ends - hits)[owner]
    precision = k / ranks
    if ap == "trapezoid":
        before = np.where(ranks > 1, (k - 1) / np.maximum(ranks - 1, 1), 1.0)
        precision = (precision + before) / 2
    sums = np.bincount(owner, weights=precision, minlength=rows)
    nothing = np.where(mated, 0.0, np.nan)
    return Ranking(sums / np.maximum(hits, 1) + nothing, hits / last + nothing, first, hits, valid, best)


def _sorted(scores: NDArray[Any], hit: BoolMatrix, skip: BoolMatrix) -> Integers:
    """Ranks of the hits of one query by sorting its row: for queries with very many hits."""
    values = scores[~skip]
    places = np.flatnonzero(hit[~skip])
    places = places[np.argsort(values[places])]  # neighbours are looked up together
    ascending, own = np.sort(values), values[places]
    not_above = np.searchsorted(ascending, own, side="right")
    ranks: Integers = len(values) - not_above + 1
    tied = np.flatnonzero(not_above - np.searchsorted(ascending, own, side="left") > 1)
    if len(tied) > FEW_HITS:
        # only a stable sort keeps equal scores in gallery order, at several times the cost
        by_rank: Integers = np.argsort(-values, kind="stable")
        return np.flatnonzero(hit[~skip][by_rank]) + 1
    for one in tied:
        ranks[one] += np.count_nonzero(values[: places[one]] == own[one])
    return ranks


def _scan_python(scores: Any, hit: Any, skip: Any, counts: Any) -> int:
    """Fill counts (hits, valid, best) of each row; returns how many scores are not finite."""
    lowest = scores.dtype.type(-np.inf)
    faults = 0
    for row in range(len(scores)):
        top, best, hits, valid = lowest, -1, 0, 0
        for start in range(0, scores.shape[1], CHUNK):
            values = scores[row, start : start + CHUNK]
            skipped = skip[row, start : start + CHUNK]
            hitting = hit[row, start : start + CHUNK]
            finite, kept, found, higher = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
            # Every sum is forced to stay int32: wider or branching loops do not become vector instructions.
            for j in range(len(values)):
                finite = np.int32(finite + np.int32(values[j] - values[j] == 0))
                kept = np.int32(kept + np.int32(~skipped[j]))
                found = np.int32(found + np.int32(hitting[j] & ~skipped[j]))
                higher = np.int32(higher + np.int32((values[j] > top) & ~skipped[j]))
            faults += len(values) - int(finite)
            valid += int(kept)
            hits += int(found)
            if higher > 0:
                for j in range(len(values)):
                    if values[j] > top and not skipped[j]:
                        top, best = values[j], start + j
        counts[row, 0], counts[row, 1], counts[row, 2] = hits, valid, best
    return faults


def _count_python(scores: Any, hit: Any, skip: Any, starts: Any, hits: Any, ranks: Any) -> None:
    """Fill ranks[starts[row] : starts[row] + hits[row]], unsorted, for the rows with few hits."""
    items = scores.shape[1]
    lowest = scores.dtype.type(-np.inf)
    line = np.empty(items, scores.dtype)
    places = np.empty(FEW_HITS, np.int64)
    for row in range(len(scores)):
        if hits[row] == 0 or hits[row] > FEW_HITS:
            continue
        found = 0
        for start in range(0, items, CHUNK):
            values, part = scores[row, start : start + CHUNK], line[start : start + CHUNK]
            skipped, hitting = skip[row, start : start + CHUNK], hit[row, start : start + CHUNK]
            here = np.int32(0)
            for j in range(len(values)):
                part[j] = lowest if skipped[j] else values[j]  # below every finite score
                here = np.int32(here + np.int32(hitting[j] & ~skipped[j]))
            if here > 0:
                for j in range(len(values)):
                    if hitting[j] and not skipped[j]:
                        places[found] = start + j
                        found += 1
        for k in range(found):
            own, above = line[places[k]], np.int32(0)
            # Ties go by gallery index: an equal score counts before the hit and not after it.
            earlier, later = line[: places[k]], line[places[k] + 1 :]
            for j in range(len(earlier)):
                above = np.int32(above + np.int32(earlier[j] >= own))
            for j in range(len(later)):
                above = np.int32(above + np.int32(later[j] > own))
            ranks[starts[row] + k] = above + 1


_scan = numba.njit(nogil=True, cache=True)(_scan_python)
_count = numba.njit(nogil=True, cache=True)(_count_python)
