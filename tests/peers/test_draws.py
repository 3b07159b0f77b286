"""Single-shot draws: their ranks by enumeration of all draws."""

import itertools

import numpy as np
import pandas as pd
import pytest

from unbraid.peers.draws import SingleShots
from unbraid.ranking import Block

IDENTITY = pd.Series(["A", "A", "B", "B", "B", None, None, "A", "C"])
SCORES = np.array([[0.9, 0.5, 0.5, 0.7, 0.1, 0.6, 0.2, 0.3, 0.4]], np.float32)
HIT = np.array([[True, True, False, False, False, False, False, True, False]])
SKIP = np.array([[True, False, False, False, False, False, False, False, False]])


def enumerated() -> np.ndarray:
    """Share of each rank over all galleries of one item per identity, for the query of the arrays above."""
    counts = np.zeros(5)
    for a, b, n, c in itertools.product([1, 7], [2, 3, 4], [5, 6], [8]):
        order = sorted((a, b, n, c), key=lambda j: (-SCORES[0, j], j))
        counts[order.index(a) + 1] += 1
    return counts / counts.sum()


def test_ranks_have_the_shares_of_all_draws() -> None:
    number = 40_000
    draws = SingleShots(IDENTITY, number, np.random.default_rng(0))
    assert draws.identities == 4
    found = np.bincount(draws.ranks(Block(SCORES, HIT, SKIP))[0], minlength=5) / number
    # four standard deviations of a share
    np.testing.assert_allclose(found, enumerated(), atol=4 * 0.5 / np.sqrt(number))


def test_blocks_of_any_size_draw_the_same() -> None:
    scores = np.random.default_rng(1).standard_normal((6, 9)).astype(np.float32)
    hit, skip = np.repeat(HIT, 6, axis=0), np.repeat(SKIP, 6, axis=0)
    hit[2] = False
    whole = SingleShots(IDENTITY, 5, np.random.default_rng(3)).ranks(Block(scores, hit, skip))
    one_by_one = SingleShots(IDENTITY, 5, np.random.default_rng(3))
    rows = [one_by_one.ranks(Block(*(part[i : i + 1] for part in (scores, hit, skip)))) for i in range(6)]
    np.testing.assert_array_equal(whole, np.concatenate(rows))
    assert (whole[2] == 0).all()
    assert (np.delete(whole, 2, axis=0) >= 1).all()


def test_single_items_leave_nothing_to_chance() -> None:
    hit = np.array([[False, True, False]])
    block = Block(np.array([[0.3, 0.2, 0.1]], np.float32), hit, np.zeros_like(hit))
    found = SingleShots(pd.Series(["B", "A", "C"]), 7, np.random.default_rng(5)).ranks(block)
    assert found.tolist() == [[2] * 7]
    assert pytest.approx(1) == np.mean(found == 2)
