"""fast-reid's TPR@FPR against scikit-learn's curve of the swapped labels, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from unbraid.peers.swapped import swapped
from unbraid.ranking import Block

RATES = (1e-4, 1e-3, 1e-2, 0.1, 0.25, 0.5)


def oracle(distances: np.ndarray, hit: np.ndarray, skip: np.ndarray, rate: float) -> tuple[float, float]:
    labels = np.concatenate([np.zeros((hit & ~skip).sum()), np.ones((~hit & ~skip).sum())])
    fpr, tpr, _ = roc_curve(labels, np.concatenate([distances[hit & ~skip], distances[~hit & ~skip]]))
    place = np.argmin(np.abs(fpr - rate))
    return float(tpr[place]), float(fpr[place])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.sampled_from([2, 5, 30, 100_000]))
def test_equals_scikit_learn_on_swapped_labels(seed: int, rows: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (rows, int(rng.integers(2, 30)))
    hit, skip = rng.random(shape) < 0.3, rng.random(shape) < 0.2
    hit[0, :2], skip[0, :2] = (True, False), False
    distances = (rng.integers(values, size=shape) / values + ~hit * 0.2).astype(np.float32)
    parts = [slice(0, rows // 2), slice(rows // 2, rows)]
    found = swapped(lambda: (Block(-distances[p], hit[p], skip[p]) for p in parts if p.stop > p.start), RATES)
    for one in found:
        assert (one.printed, one.fnmr) == pytest.approx(oracle(distances, hit, skip, one.wanted))


def test_by_hand() -> None:
    # genuine distances 1, 2, 3, 6; impostors 4, 5, 7, 8. Rejecting 1 of 4 genuine (above 5) rejects 7 and 8 of 4
    distances = np.array([[1, 2, 3, 6, 4, 5, 7, 8]], np.float32)
    hit = np.array([[True] * 4 + [False] * 4])
    (found,) = swapped(lambda: iter([Block(-distances, hit, np.zeros_like(hit))]), [0.25])
    assert (found.printed, found.fnmr, found.genuine, found.impostors) == (0.5, 0.25, 4, 4)
    # near 0 it finds the curve's first point, whatever the scores are
    (found,) = swapped(lambda: iter([Block(-distances, hit, np.zeros_like(hit))]), [1e-4])
    assert (found.printed, found.fnmr) == (0, 0)


def test_needs_both_kinds_of_pairs() -> None:
    hit = np.ones((1, 3), bool)
    with pytest.raises(ValueError, match="3 genuine and 0 impostor pairs"):
        swapped(lambda: iter([Block(np.zeros((1, 3), np.float32), hit, np.zeros_like(hit))]))
