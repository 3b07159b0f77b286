"""fast-reid's "TPR@FPR" and what it is: rates with both axes swapped, beside the true TAR@FAR.

It labels genuine pairs 0 and impostors 1 and gives distances as scores. A "positive" is then an impostor, "accepted"
when its distance is large: its FPR is the share of genuine pairs rejected (FNMR) and its TPR the share of impostors
rejected (1 - FMR). Of the corners of that curve it prints the one whose FNMR is nearest to the rate asked for.
Source: fastreid/evaluation/reid_evaluation.py and roc.py; corners as in scikit-learn's `roc_curve`, whose default drops
a point when the step to it equals the step after it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unbraid.ranking import Block
from unbraid.verification import recount

RATES = (1e-4, 1e-3, 1e-2)


@dataclass(frozen=True)
class Swapped:
    """What fast-reid prints as TPR@FPR=`wanted`. printed: share of impostor pairs rejected where a share `fnmr` of the
    genuine pairs is. genuine, impostors: numbers of pairs."""

    wanted: float
    printed: float
    fnmr: float
    genuine: int
    impostors: int


def swapped(blocks: Callable[[], Iterator[Block]], rates: Sequence[float] = RATES) -> tuple[Swapped, ...]:
    """fast-reid's numbers from two passes over blocks of -distance; only genuine scores are kept.

    Raises ValueError when there are no genuine or no impostor pairs.
    """
    genuine, total, rows = [], 0, 0
    for block in blocks():
        rows += len(block.scores)
        chosen = block.hit & ~block.skip
        genuine.append(block.scores[chosen])
        total += int(np.count_nonzero(~block.skip)) - len(genuine[-1])
        del block
    scores, counts = np.unique(np.concatenate(genuine).astype(np.float32), return_counts=True)
    if not len(scores) or not total:
        raise ValueError(f"there are {int(counts.sum())} genuine and {total} impostor pairs; TPR@FPR needs both")
    above = np.nextafter(scores, np.float32(np.inf))
    limits = np.unique(np.concatenate([scores, above]))
    reached = recount(blocks(), limits, np.zeros(rows, np.int64))[0]
    # an impostor is "accepted" when its score is at most the threshold
    level = total - reached[np.searchsorted(limits, above)]
    below = total - reached[np.searchsorted(limits, scores)]
    fprs, tprs = corners(counts, below, level, total)
    found = []
    for rate in rates:
        place = int(np.argmin(np.abs(fprs - rate)))
        found.append(Swapped(rate, float(tprs[place]), float(fprs[place]), int(counts.sum()), total))
    return tuple(found)


def corners(
    counts: NDArray[np.int64], below: NDArray[np.int64], level: NDArray[np.int64], total: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FNMR and share of impostors rejected at the first point of each FNMR that the curve keeps; begins with 0, 0.

    counts: genuine pairs at each of their distinct scores, ascending. below, level: impostors under, and at or under
    each. total: impostors.
    """
    tied = level - below
    # impostors between a genuine score and the one before it; after the last one, above it
    between = np.append(below, total) - np.append(0, level)
    after = between[1:] > 0
    same_step = np.append((counts[:-1] == counts[1:]) & (tied[:-1] == tied[1:]), False)
    keep = after | ~same_step
    keep[0] |= between[0] == 0  # the first point of the curve
    keep[-1] = True
    fnmr = np.cumsum(counts) / counts.sum()
    return np.append(0.0, fnmr[keep]), np.append(0.0, (level / total)[keep])
