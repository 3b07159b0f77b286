"""Factor metrics: the cases and expected values of disentanglement_lib's own tests, closed forms, scikit-learn.

The expected values are those of google-research/disentanglement_lib, evaluation/metrics/{dci,mig,sap_score}_test.py:
ten factors with values 1 .. 10, and codes that are the factors, the factors twice, or unrelated to them.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard
from sklearn.metrics import mutual_info_score

from unbraid.probing.factors import _error, completeness, dci, disentanglement, factors, gap, mig, sap
from unbraid.spaces import Spaces

Floats = NDArray[np.float64]
FIVE = 5.0 * np.eye(5)
HALF_OF_TEN = 1 - np.log(2) / np.log(10)
# importance, disentanglement, completeness
MATRICES = {
    "diagonal": (FIVE, 1, 1),
    "an empty code": (np.eye(3)[:, :2], 1, 1),
    "nothing": (np.zeros((10, 10)), 0, 0),
    "every code twice": (np.vstack([FIVE, FIVE]), 1, HALF_OF_TEN),
    "missed factors": (FIVE[:2], 1, 1),
    "two factors in every code": (np.hstack([FIVE, FIVE]), HALF_OF_TEN, 1),
    "everything everywhere": (np.ones((4, 3)), 0, 0),
    # by hand: a code half on each of two factors says nothing, one on a single factor all; weights 2 and 1 of 3
    "half and half": (np.array([[1.0, 1.0], [0.0, 1.0]]), 1 / 3, 1 / 3),
}


def dealt(seed: int, items: int = 300) -> Floats:
    """Ten independent factors with values 1 .. 10."""
    return np.random.default_rng(seed).integers(1, 11, (items, 10)).astype(np.float64)


@pytest.mark.parametrize("name", MATRICES)
def test_scores_of_importance_matrices(name: str) -> None:
    importance, separate, complete = MATRICES[name]
    assert disentanglement(importance) == pytest.approx(separate, abs=1e-7)
    assert completeness(importance) == pytest.approx(complete, abs=1e-7)


def test_half_and_half_is_not_symmetric() -> None:
    """Rows (3, 1), (0, 4): H(1/4) in bits is 0.8113. Columns (3, 0), (1, 4): H(1/5) is 0.7219, weights 3 and 5 of 8."""
    importance = np.array([[3.0, 1.0], [0.0, 4.0]])
    assert disentanglement(importance) == pytest.approx(1 - 0.811278 / 2, abs=1e-6)
    assert completeness(importance) == pytest.approx(1 - 0.721928 * 5 / 8, abs=1e-6)


def test_dci_of_the_factors_themselves() -> None:
    known, held = dealt(0), dealt(1)
    found = dci(known, known, held, held)
    assert 0.9 < found.disentanglement <= 1
    assert 0.9 < found.completeness <= 1
    assert found.informativeness > 0.99
    assert found.importance.sum(axis=0) == pytest.approx(np.ones(10))


def test_dci_of_codes_that_say_nothing() -> None:
    known, held = dealt(0), dealt(1)
    found = dci(dealt(2), known, dealt(3), held)
    assert 0 <= found.disentanglement < 0.2
    assert 0 <= found.completeness < 0.2
    assert found.informativeness == pytest.approx(0.1, abs=0.05)


def test_dci_of_doubled_and_of_rotated_codes() -> None:
    known, held = dealt(0), dealt(1)
    twice = dci(np.hstack([known, known]), known, np.hstack([held, held]), held)
    assert 0.9 < twice.disentanglement <= 1
    assert twice.completeness == pytest.approx(HALF_OF_TEN, abs=0.1)
    known, held = known[:, :4], held[:, :4]
    # every new axis is half of each old one, up to sign
    turn = hadamard(4) / 2
    turned = dci(known @ turn, known, held @ turn, held)
    assert turned.disentanglement < 0.1
    assert turned.completeness < 0.1


def test_groups_of_dimensions_are_one_code() -> None:
    """Two dimensions of one factor in one group: complete as a group, not as single codes."""
    known, held = dealt(0)[:, :2], dealt(1)[:, :2]
    codes, held_codes = known[:, [0, 0, 1, 1]], held[:, [0, 0, 1, 1]]
    assert dci(codes, known, held_codes, held, groups=[0, 0, 1, 1]).completeness > 0.9
    assert dci(codes, known, held_codes, held).completeness == pytest.approx(0.5, abs=0.1)


def test_mig_of_the_cases() -> None:
    known = dealt(0, 3000)
    assert 0.9 < mig(known, known, bins=None) <= 1
    assert 0 <= mig(np.zeros_like(known), known, bins=None) < 0.2
    assert mig(np.hstack([known, known]), known, bins=None) == pytest.approx(0, abs=1e-12)


def test_mig_is_counted_by_scikit_learn_after_binning() -> None:
    rng = np.random.default_rng(0)
    factor = rng.integers(0, 3, (500, 1))
    codes = np.hstack([factor + 0.4 * rng.normal(size=(500, 1)), factor + rng.normal(size=(500, 1))])
    cut = [pd.cut(codes[:, place], 20, labels=False) for place in (0, 1)]
    best, second = (mutual_info_score(factor[:, 0], column) for column in cut)
    expected = (best - second) / mutual_info_score(factor[:, 0], factor[:, 0])
    assert mig(codes, factor) == pytest.approx(expected)
    assert expected > 0.1


def test_sap_of_the_cases() -> None:
    known = dealt(0, 3000)
    assert 0.9 < sap(known, known) <= 1
    assert sap(np.zeros_like(known), known) == 0
    assert sap(np.hstack([known, known]), known) == pytest.approx(0, abs=1e-9)


def test_sap_of_measures_is_a_difference_of_squared_correlations() -> None:
    rng = np.random.default_rng(0)
    codes, measures = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    squared = np.corrcoef(codes.T, measures.T)[:3, 3:] ** 2
    expected = np.mean([a[-1] - a[-2] for a in (np.sort(column) for column in squared.T)])
    assert sap(codes, measures) == pytest.approx(expected)


def test_sap_of_values_goes_by_held_out_accuracy() -> None:
    """Two values at -1 and 1: the dimension that is the value is always right, the other right half of the time."""
    rng = np.random.default_rng(0)
    value, held = rng.integers(0, 2, (400, 1)), rng.integers(0, 2, (400, 1))
    codes, held_codes = (np.hstack([2.0 * v - 1, rng.normal(size=(400, 1))]) for v in (value, held))
    assert sap(codes, value, (held_codes, held)) == pytest.approx(0.5, abs=0.08)


def test_gap_by_hand() -> None:
    assert gap(np.array([[0.9, 0.2], [0.4, 0.5], [0.1, 0.4]])) == pytest.approx((0.5 + 0.1) / 2)


# --- spaces as codes ---


def people(entangled: bool, seed: int = 0) -> tuple[Spaces, pd.DataFrame]:
    """60 people with 10 items each; three spaces of 30 dimensions with one factor each, or all factors in each."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(60), 10)
    codes = {"identity": who, "view": rng.integers(0, 4, 600), "action": rng.integers(0, 5, 600)}
    signals = {name: rng.normal(size=(60, 30))[code] for name, code in codes.items()}
    mixed = sum(signals.values())
    made = {
        space: torch.from_numpy((mixed if entangled else signal) + 0.7 * rng.normal(size=(600, 30)))
        for space, signal in zip(("identity", "camera", "motion"), signals.values(), strict=True)
    }
    table = pd.DataFrame({name: [f"{name}{n}" for n in code] for name, code in codes.items()})
    table["luck"] = rng.integers(0, 2, 600).astype(str)
    table["sensor"] = "rgb"
    return Spaces(made), table.assign(key=[str(n) for n in range(600)])


def test_separate_spaces_score_high_and_entangled_ones_low() -> None:
    names = ["identity", "view", "action", "luck", "sensor"]
    separate, entangled = (factors(*people(mixed), names, seed=1) for mixed in (False, True))
    assert separate is not None
    assert entangled is not None
    assert separate["dci"]["codes"] == ["identity", "camera", "motion"]
    assert separate["dci"]["factors"] == ["identity", "view", "action"]
    assert np.array(separate["dci"]["importance"]).argmax(axis=0).tolist() == [0, 1, 2]
    assert separate["dci"]["disentanglement"] > 0.7
    assert separate["dci"]["completeness"] > 0.7
    assert separate["mig"] > 0.5
    assert separate["sap"] > 0.5
    assert entangled["dci"]["disentanglement"] < 0.1
    assert entangled["mig"] < 0.1
    assert entangled["sap"] < 0.1
    assert separate["dci"]["chance"] == pytest.approx([1 / 60, 1 / 4, 1 / 5])
    notes = {row["factor"]: row["note"] for row in separate["left_out"]}
    assert notes.keys() == {"luck", "sensor"}
    assert "too close" in notes["luck"]
    assert "both halves" in notes["sensor"]


def test_error_is_that_of_drawing_people_again() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(80), 5)
    values, right = rng.integers(0, 3, 400), (rng.random(80)[people] + rng.random(400)) > 1
    drawn = []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(people == person) for person in rng.integers(0, 80, 80)])
        drawn.append(np.mean([right[rows][values[rows] == value].mean() for value in range(3)]))
    assert _error(right, values, people) == pytest.approx(np.std(drawn), rel=0.15)


def test_too_little_gives_none_and_unknown_people_take_no_part() -> None:
    spaces, table = people(False)
    assert factors(Spaces({"identity": spaces["identity"]}), table, ["view", "action"]) is None
    assert factors(spaces, table, ["view", "sensor"]) is None
    assert factors(spaces.take(slice(0, 100)), table[:100], ["view", "action"]) is None
    table["identity"] = table["identity"].where(table.index < 500)
    found = factors(spaces, table, ["view", "action"])
    assert found is not None
    assert (found["items"], found["identities"]) == (500, 50)


def test_bad_input_is_named() -> None:
    spaces, table = people(False)
    with pytest.raises(KeyError, match="no 'wheather'; it has"):
        factors(spaces, table, ["view", "wheather"])
    with pytest.raises(ValueError, match="9 rows of labels for 600"):
        factors(spaces, table[:9], ["view"])
    with pytest.raises(ValueError, match=r"\(3, 1\)"):
        disentanglement(np.ones((3, 1)))
    with pytest.raises(ValueError, match="no entry below 0"):
        completeness(-np.eye(2))
    with pytest.raises(ValueError, match="two codes or more"):
        gap(np.ones((1, 3)))
    with pytest.raises(ValueError, match="N D and N F"):
        mig(np.ones((3, 2)), np.ones((4, 2), int))
    with pytest.raises(ValueError, match="3 groups"):
        dci(np.ones((3, 2)), np.ones((3, 2), int), np.ones((3, 2)), np.ones((3, 2), int), groups=[0, 1, 2])
