"""Exact CMC, AP and mINP from blocks of scores: no full matrix, no sort of the gallery.

The rank of a hit is one plus the number of valid gallery items above it, so counting is enough. An item is above
another when its score is higher, or equal and its gallery index lower: the order of a stable descending sort.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unbraid.counting import FEW_HITS, means_of, rank_rows

BoolMatrix = NDArray[np.bool_]
FloatMatrix = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
AveragePrecision = Literal["step", "trapezoid"]

# Items looked at together by the compiled loops of other verbs.
CHUNK = 256
# Bytes alive per pair whose masks are being made or ranked: hit, skip, and what the rules need on the way.
MASK_BYTES = 8
# Pairs ranked together: their masks stay in the second cache, and threads have enough to do.
PAIRS = 2**20


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
class TensorBlock:
    """A block whose scores, b G float on any torch device, are counted there. hit, skip: b G bool arrays as in `Block`.

    Raises ValueError when shapes or types differ from these.
    """

    scores: Tensor
    hit: BoolMatrix
    skip: BoolMatrix

    def __post_init__(self) -> None:
        if not self.scores.is_floating_point():
            raise ValueError(f"scores must be a floating type; got {self.scores.dtype}")
        Block(np.broadcast_to(np.float32(0), tuple(self.scores.shape)), self.hit, self.skip)


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


def rank(blocks: Iterable[Block | TensorBlock], *, ap: AveragePrecision = "step") -> Ranking:
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
        done = sum(map(len, parts))
        counted = _rank_block(block, ap, done) if isinstance(block, Block) else _rank_tensors(block, ap, done)
        parts.append(counted)
        del block  # or it would live on while the next one is made
    if not parts:
        raise ValueError("nothing to rank: there are no blocks, so no queries")
    return Ranking(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Ranking)))


@dataclass(frozen=True)
class Rows:
    """How many queries to score at once, and how many of these to rank at once."""

    scored: int
    ranked: int


def rows_per_block(gallery: int, memory: int) -> Rows:
    """Queries to handle at once against `gallery` items within about `memory` bytes; at least 1 of each.

    A matrix product is the faster the more rows it has, so most of the memory is for float32 scores; masks are made
    for a few of these rows at a time. Raises ValueError when memory is not positive.
    """
    if memory <= 0:
        raise ValueError(f"memory is a number of bytes above 0; got {memory}")
    items = max(gallery, 1)
    ranked = max(1, min(memory // (4 * MASK_BYTES * items), PAIRS // items))
    scored = max(1, (memory - MASK_BYTES * ranked * items) // (4 * items))
    return Rows(scored, min(ranked, scored))


def in_threads(function: Callable[[slice], int], rows: int) -> int:
    """Sum of `function` over slices that cover `rows` rows, one per thread; it should release the interpreter lock.

    There are as many threads as torch uses, so that one setting rules both.
    """
    # Plain threads, because a compiled parallel loop cannot be entered from two threads or after a fork.
    size = max(1, -(-rows // torch.get_num_threads()))
    slices = [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
    if len(slices) < 2:
        return sum(map(function, slices))
    with ThreadPoolExecutor(len(slices)) as pool:
        return sum(pool.map(function, slices))


def _rank_block(block: Block, ap: AveragePrecision, offset: int) -> Ranking:
    scores, hit, skip = (np.ascontiguousarray(part) for part in (block.scores, block.hit, block.skip))
    kind = np.int32 if scores.dtype == np.float32 else np.int64
    bits, limits = scores.view(kind), (scores.dtype.type(np.inf).view(kind), kind(np.iinfo(kind).max))
    counts, means = np.zeros((len(scores), 4), np.int64), np.full((len(scores), 2), np.nan)

    def count(part: slice) -> int:
        own = (bits[part], hit[part].view(np.uint8), skip[part].view(np.uint8))
        faults = int(rank_rows(*own, limits, ap == "step", counts[part], means[part]))
        for row in range(part.start, part.stop):
            if counts[row, 1] > FEW_HITS:
                ranks = np.sort(_sorted(scores[row], hit[row], skip[row]))
                counts[row, 0], means[row] = ranks[0], means_of(ranks, ap == "step")
        return faults

    if in_threads(count, len(scores)):
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise _not_finite(offset + row, column, scores[row, column])
    first, hits, valid, best = counts.T
    return Ranking(means[:, 0], means[:, 1], first, hits, valid, best)


def _rank_tensors(block: TensorBlock, ap: AveragePrecision, offset: int) -> Ranking:
    """The same by torch operations on the device of the scores; ranks come back, means are taken here."""
    finite = torch.isfinite(block.scores)
    if not finite.all():
        fault = [int(axis) for axis in torch.argwhere(~finite)[0]]
        raise _not_finite(offset + fault[0], fault[1], float(block.scores[fault[0], fault[1]]))
    device, (rows, items) = block.scores.device, block.scores.shape
    hit, valid = block.hit & ~block.skip, (~block.skip).sum(1)
    line = block.scores.masked_fill(torch.from_numpy(block.skip).to(device), -torch.inf)
    owner, place = np.nonzero(hit)
    hits = hit.sum(1)
    starts = np.cumsum(hits) - hits
    ranks = np.zeros(len(owner), np.int64)
    index = torch.arange(items, device=device)
    many = np.flatnonzero(hits > FEW_HITS)
    for number in range(int(hits[hits <= FEW_HITS].max(initial=0))):
        asked = np.flatnonzero((hits > number) & (hits <= FEW_HITS))
        which = starts[asked] + number
        # a view, not a copy, where every row is asked
        values = line if len(asked) == rows else line[torch.from_numpy(asked).to(device)]
        at = torch.from_numpy(place[which]).to(device)[:, None]
        own = values.gather(1, at)
        above = (values > own) | ((values == own) & (index < at))
        ranks[which] = above.sum(1).cpu().numpy() + 1
    for row in map(int, many):
        order = torch.argsort(line[row], descending=True, stable=True)
        position = torch.empty_like(order).scatter_(0, order, index).cpu().numpy()
        own_hits = slice(starts[row], starts[row] + hits[row])
        ranks[own_hits] = position[place[own_hits]] + 1
    # not argmax, which may return any of equal items
    top = line == line.max(dim=1, keepdim=True).values
    best = torch.where(top, index, items).min(dim=1).values.cpu().numpy() if items else np.zeros(rows, np.int64)
    first, means = np.zeros(rows, np.int64), np.full((rows, 2), np.nan)
    for row in map(int, np.flatnonzero(hits)):
        own_ranks = np.sort(ranks[starts[row] : starts[row] + hits[row]])
        first[row], means[row] = own_ranks[0], means_of(own_ranks, ap == "step")
    best = np.where(valid > 0, best, -1)
    return Ranking(means[:, 0], means[:, 1], first, hits.astype(np.int64), valid.astype(np.int64), best)


def _not_finite(query: int, item: int, value: float) -> ValueError:
    return ValueError(f"the score of query {query} and gallery item {item} is {value}; scores must be finite")


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
