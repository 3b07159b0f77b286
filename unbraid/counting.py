"""Compiled counting: the ranks of the hits in rows of scores, without a sort of the row."""

from typing import Any

import numba
import numpy as np

# Up to here one comparison with the whole row per hit is faster than a sort of the row.
FEW_HITS = 96
# Items looked at together, few enough to be counted in a byte; only a chunk that has something is looked at slowly.
CHUNK = 128
# Items compared with all hits of a query before the next ones: they stay in the first cache.
NEAR = 4096
# Hits compared with an item at once: as many counts as stay in registers.
TOGETHER = 4


def rank_rows_python(bits: Any, hit: Any, skip: Any, limits: Any, step: bool, counts: Any, means: Any) -> int:
    """Fill counts (first, hits, valid, best) and means (AP, INP) of each row; returns how many scores are not finite.

    bits: the scores, read as the integers of their bits: whole numbers compare and add up in one vector width.
    limits: infinity as such an integer, and the highest integer of this size.
    first and the means are left alone in rows without hits and in those with more than FEW_HITS.
    """
    items = bits.shape[1]
    line, places = np.empty(items, bits.dtype), np.empty(FEW_HITS, np.int64)
    faults = 0
    for row in range(len(bits)):
        faults += _keys(bits[row], skip[row], limits, line)
        hits, valid = _find(hit[row], skip[row], places)
        counts[row, 1], counts[row, 2] = hits, valid
        counts[row, 3] = _first_of_highest(line) if valid > 0 else -1
        if 0 < hits <= FEW_HITS:
            ranks = _ranks(line, places[:hits], limits[1])
            counts[row, 0] = ranks[0]
            means[row, 0], means[row, 1] = means_of(ranks, step)
    return faults


# In the loops below every sum is forced to stay as narrow as its data, and none branches: others do not become vector
# instructions.


def _keys_python(bits: Any, skip: Any, limits: Any, line: Any) -> int:
    """Fill line with integers in the order of the scores, lower than all where skipped; returns the faults."""
    infinite, most = limits
    lowest = ~most
    faults = np.int32(0)
    for j in range(len(bits)):
        value = bits[j]
        faults = np.int32(faults + np.int32((value & infinite) == infinite))
        # the sign is a bit of its own; this way both zeros are equal
        key = value if value >= 0 else -(value & most)
        line[j] = lowest if skip[j] else key
    return int(faults)


def _find_python(hit: Any, skip: Any, places: Any) -> tuple[int, int]:
    """Fill places with the first valid hits, as far as they go; returns how many hits and how many items are valid."""
    found, valid = 0, len(hit)
    for start in range(0, len(hit), CHUNK):
        hitting, skipped = hit[start : start + CHUNK], skip[start : start + CHUNK]
        here, left_out = np.uint8(0), np.uint8(0)
        for j in range(len(hitting)):
            here = np.uint8(here | (hitting[j] & ~skipped[j]))
        for j in range(len(hitting)):
            left_out = np.uint8(left_out + skipped[j])
        valid -= int(left_out)
        if here > 0:
            for j in range(len(hitting)):
                if hitting[j] & ~skipped[j]:
                    if found < len(places):
                        places[found] = start + j
                    found += 1
    return found, valid


def _first_of_highest_python(line: Any) -> int:
    top, best = line[0], 0
    for start in range(0, len(line), CHUNK):
        part = line[start : start + CHUNK]
        highest = part[0]
        for j in range(len(part)):
            highest = max(highest, part[j])
        if highest > top:
            top, best = highest, start
    while line[best] != top:
        best += 1
    return best


def _ranks_python(line: Any, places: Any, most: Any) -> Any:
    """Ranks of the items at these places, ascending."""
    hits = len(places)
    above = np.zeros(hits + TOGETHER, np.int64)
    floors = np.full(hits + TOGETHER, most, line.dtype)  # nothing is above where there is no hit
    for start in range(0, len(line), NEAR):
        part = line[start : start + NEAR]
        stop = start + len(part)
        for k in range(hits):
            # Ties go by gallery index: an equal score counts before the hit and not after it.
            floors[k] = line[places[k]] - line.dtype.type(stop <= places[k])
        for k in range(0, hits, TOGETHER):
            _count(part, floors[k : k + TOGETHER], above[k : k + TOGETHER])
        for k in range(hits):
            if start <= places[k] < stop:
                own, before, equal = line[places[k]], line[start : places[k]], np.int32(0)
                for j in range(len(before)):
                    equal = np.int32(equal + np.int32(before[j] == own))
                above[k] += equal
    return np.sort(above[:hits]) + 1


def _count_python(part: Any, floors: Any, above: Any) -> None:
    """Add to above how many items are above each of TOGETHER floors."""
    floor, second, third, fourth = floors[0], floors[1], floors[2], floors[3]
    a, b, c, d = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    for j in range(len(part)):
        value = part[j]
        a = np.int32(a + np.int32(value > floor))
        b = np.int32(b + np.int32(value > second))
        c = np.int32(c + np.int32(value > third))
        d = np.int32(d + np.int32(value > fourth))
    above[0] += a
    above[1] += b
    above[2] += c
    above[3] += d


def means_of_python(ranks: Any, step: bool) -> tuple[float, float]:
    """AP and INP of a query from the ascending ranks of its hits; the formulas are those of `rank`."""
    total = 0.0
    for k in range(len(ranks)):
        precision = (k + 1) / ranks[k]
        if step:
            total += precision
        else:
            before = k / (ranks[k] - 1) if ranks[k] > 1 else 1.0
            total += (before + precision) / 2
    return total / len(ranks), len(ranks) / ranks[-1]


_keys = numba.njit(nogil=True, cache=True)(_keys_python)
_find = numba.njit(nogil=True, cache=True)(_find_python)
_first_of_highest = numba.njit(nogil=True, cache=True)(_first_of_highest_python)
_count = numba.njit(nogil=True, cache=True)(_count_python)
_ranks = numba.njit(nogil=True, cache=True)(_ranks_python)
means_of = numba.njit(nogil=True, cache=True)(means_of_python)
rank_rows = numba.njit(nogil=True, cache=True)(rank_rows_python)
