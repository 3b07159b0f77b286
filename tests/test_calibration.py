"""Calibration and advice: against scikit-learn and Gaussians whose likelihood ratio is known."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.test_verify import gaussian_people, whole
from unbraid.advise import advise
from unbraid.calibration import Calibration, calibrate, calibration_error, log_cost
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import evaluate
from unbraid.spaces import Embeddings


def test_gaussian_scores_have_their_likelihood_ratio() -> None:
    """N(2, 1) against N(0, 1): log ratio 2 s - 2."""
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal(20_000) + 2, rng.standard_normal(60_000)
    found = calibrate(one, two)
    assert found.slope == pytest.approx(2, abs=0.05)
    assert found.offset == pytest.approx(-2, abs=0.05)
    counts = np.ones(len(two))
    assert calibration_error(found, one, two, counts) < 0.01
    perfect = log_cost(Calibration(2, -2), one, two, counts)
    assert perfect == pytest.approx(log_cost(found, one, two, counts), abs=1e-3)
    # twice the ratio is over-confident: worse by both measures
    assert log_cost(Calibration(4, -4), one, two, counts) > perfect + 0.02
    assert calibration_error(Calibration(4, -4), one, two, counts) > 0.03
    assert log_cost(Calibration(0, 0), one, two, counts) == pytest.approx(1)


def test_equals_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    one, two = 0.1 * rng.standard_normal(3000) + 0.6, 0.2 * rng.standard_normal(5000) + 0.3
    truth = np.repeat([1, 0], [3000, 5000])
    weights = np.repeat([1 / 3000, 1 / 5000], [3000, 5000]) * 8000
    model = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000)
    model.fit(np.concatenate([one, two])[:, None], truth, sample_weight=weights)
    found = calibrate(one, two)
    # Platt's targets pull the ratio in by about 1 in N
    assert found.slope == pytest.approx(float(model.coef_[0, 0]), rel=0.01)
    assert found.offset == pytest.approx(float(model.intercept_[0]), rel=0.01)
    probabilities = model.predict_proba(np.array([[0.2], [0.5], [0.8]]))[:, 1]
    assert found.probability([0.2, 0.5, 0.8]) == pytest.approx(probabilities, abs=0.002)
    np.testing.assert_allclose(found.probability(0.5, prior=0.2), 1 / (1 + 4 * np.exp(-found.llr(0.5))))


def test_counts_stand_for_repeated_scores() -> None:
    one, two = [0.4, 0.9, 0.8], [0.1, 0.5, 0.3]
    repeated = calibrate(one, np.repeat(two, [3, 1, 2]))
    counted = calibrate(one, two, [3, 1, 2])
    assert counted.slope == pytest.approx(repeated.slope)
    assert counted.offset == pytest.approx(repeated.offset)


def test_classes_without_overlap_have_a_finite_slope() -> None:
    found = calibrate([2.0, 3.0], [0.0, 1.0])
    assert np.isfinite(found.slope)
    assert found.probability(3) == pytest.approx(0.75, abs=0.1)  # (2 + 1) / (2 + 2) is the target


def test_wrong_scores_are_named() -> None:
    with pytest.raises(ValueError, match="got 0 genuine and 1 impostor"):
        calibrate([], [1])
    with pytest.raises(ValueError, match="got 1 genuine and 0 impostor"):
        calibrate([1], [])
    with pytest.raises(ValueError, match="score number 1 is not finite"):
        calibrate([1, np.nan], [0])
    with pytest.raises(ValueError, match="all scores are 1; there is nothing"):
        calibrate([1, 1], [1])
    with pytest.raises(ValueError, match="is a distance used as a similarity"):
        calibrate([0, 1, 2], [2, 3, 4])
    with pytest.raises(ValueError, match="a prior lies between 0 and 1; got 1"):
        Calibration(1, 0).probability(0, prior=1)


def test_advice_keeps_its_promise_on_other_people() -> None:
    query, gallery = gaussian_people(240)
    advice = advise(query, gallery, CAMERA_CHANGE, fmr=0.01)
    assert advice.fmr_interval[0] < 0.01 < advice.fmr_interval[1]
    assert advice.fnmr_interval[0] <= advice.fnmr <= advice.fnmr_interval[1]
    assert advice.llr == pytest.approx(advice.calibration.llr(advice.threshold))
    assert advice.learned_identities + advice.identities <= 240
    assert advice.calibration_error < 0.1
    assert 0 < advice.log_cost < 0.9
    text = str(advice)
    for part in ("camera-change@1", "wanted FMR of 1 %", f"{advice.impostors} impostor pairs", "Calibration error"):
        assert part in text
    assert json.loads(advice.to_json()) == advice.as_dict()
    assert advise(query, gallery, CAMERA_CHANGE, fmr=0.01).threshold == advice.threshold
    assert advise(query, gallery, CAMERA_CHANGE, fmr=0.01, seed=1).threshold != advice.threshold


def test_halves_share_nobody() -> None:
    """With the other half's pairs removed, both halves together have all pairs within a half and no more."""
    query, gallery = gaussian_people(40)
    advice = advise(query, gallery, CAMERA_CHANGE, fmr=0.2, similarity=whole)
    pairs = evaluate(query, gallery, CAMERA_CHANGE).pairs
    assert advice.genuine + advice.learned_genuine == pairs
    known = query.table["identity"].nunique()
    assert abs(advice.identities - known / 2) <= 2


def test_advice_is_refused_where_pairs_are_few() -> None:
    query, gallery = gaussian_people(40)
    with pytest.raises(ValueError, match=r"no advice for protocol 'camera-change@1': in one half .* cannot support"):
        advise(query, gallery, CAMERA_CHANGE, fmr=1e-5)
    with pytest.raises(ValueError, match="lies between 0 and 1; got 0"):
        advise(query, gallery, CAMERA_CHANGE, fmr=0)
    alone = Embeddings(query.spaces, query.table.assign(identity="p1"), {})
    with pytest.raises(ValueError, match="two halves need at least 2"):
        advise(alone, Embeddings(gallery.spaces, gallery.table.assign(identity="p1"), {}), CAMERA_CHANGE)
    with pytest.raises(KeyError, match="the query table has no label 'identity'"):
        advise(Embeddings(query.spaces, query.table.drop(columns="identity"), {}), gallery, CAMERA_CHANGE)
