"""Error rates from blocks: against scikit-learn, loops over all pairs, and Gaussians whose rates are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_curve

from unbraid.ranking import Block
from unbraid.trials import below, guarded, interval, resampled, rule_of_three, unsupported
from unbraid.verification import crossing, edges, keys, most, recount, survey

Single = NDArray[np.float32]


def single(*values: float) -> Single:
    return np.array(values, np.float32)


def pairs(genuine: list[float], impostor: list[float], rows: int = 1) -> list[Block]:
    scores = single(*genuine, *impostor).reshape(rows, -1)
    hit = (np.arange(scores.size) < len(genuine)).reshape(rows, -1)
    return [Block(scores, hit, np.zeros_like(hit))]


def random_blocks(seed: int, rows: int = 40, items: int = 50, levels: int = 0) -> list[Block]:
    """Scores with or without ties, hits and skips at random, in blocks of unequal height."""
    rng = np.random.default_rng(seed)
    hit, skip = rng.random((rows, items)) < 0.1, rng.random((rows, items)) < 0.2
    scores = (rng.standard_normal((rows, items)) + hit).astype(np.float32)
    if levels:
        scores = np.round(scores * levels) / np.float32(levels)
    return [Block(scores[part], hit[part], skip[part]) for part in (slice(0, 7), slice(7, 8), slice(8, rows))]


def flat(blocks: list[Block]) -> tuple[Single, Single]:
    joined = {name: np.concatenate([getattr(b, name) for b in blocks]) for name in ("scores", "hit", "skip")}
    valid = ~joined["skip"]
    return joined["scores"][valid & joined["hit"]], joined["scores"][valid & ~joined["hit"]]


def polygon_eer(genuine: Single, impostor: Single) -> float:
    """Where scikit-learn's ROC polygon meets FPR = 1 - TPR."""
    truth = np.repeat([1, 0], [len(genuine), len(impostor)])
    fpr, tpr, _ = roc_curve(truth, np.concatenate([genuine, impostor]), drop_intermediate=False)
    gap = 1 - tpr - fpr
    after = int(np.argmax(gap <= 0))
    if gap[after] == 0:
        return float(fpr[after])
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(fpr[after - 1] + share * (fpr[after] - fpr[after - 1]))


def test_six_pairs_by_hand() -> None:
    found = survey(pairs([0.9, 0.5], [0.6, 0.4, 0.3, 0.1]), keep=10)
    assert found.genuine.tolist() == pytest.approx([0.5, 0.9])
    assert found.total == 4
    assert found.exact_to == 1.0
    # one impostor may pass: everything above the second impostor, 0.4, so both genuine pairs
    threshold = found.threshold(0.25)
    assert np.float32(threshold) == np.nextafter(np.float32(0.4), np.float32(1))
    assert [*map(int, (found.false_matches(threshold), found.misses(threshold)))] == [1, 0]
    # none may pass: above 0.6, so 0.5 is missed
    threshold = found.threshold(0.2)
    assert [*map(int, (found.false_matches(threshold), found.misses(threshold)))] == [0, 1]
    # FMR stays 1/4 while FNMR goes from 0 to 1/2 at 0.5
    assert found.equal_error().rate == pytest.approx(0.25)
    assert found.d_prime == pytest.approx((0.7 - 0.35) / np.sqrt((0.04 + 0.0325) / 2), rel=1e-6)


@pytest.mark.parametrize("levels", [0, 2])
@pytest.mark.parametrize("keep", [1, 30, 10_000])
def test_rates_equal_scikit_learn(keep: int, levels: int) -> None:
    blocks = random_blocks(1, levels=levels)
    genuine, impostor = flat(blocks)
    found = survey(blocks, keep=keep)
    truth = np.repeat([1, 0], [len(genuine), len(impostor)])
    fpr, tpr, _ = roc_curve(truth, np.concatenate([genuine, impostor]), drop_intermediate=False)
    assert found.total == len(impostor)
    for fmr in (0.5, 0.3, 0.1, 0.01, 0.001):
        threshold = found.threshold(fmr)
        fnmr = found.misses(threshold) / len(genuine)
        assert found.false_matches(threshold) == np.count_nonzero(impostor >= np.float32(threshold))
        assert found.false_matches(threshold) / found.total <= fmr
        if fmr <= found.exact_to:
            assert fnmr == pytest.approx(1 - tpr[fpr <= fmr].max())
        else:  # the next lower edge accepts too many
            lower = edges(keys(single(threshold)) - 1)
            assert np.count_nonzero(impostor >= lower) > most(len(impostor), fmr)
    assert found.mean == pytest.approx(impostor.mean(dtype=np.float64))
    assert found.variance == pytest.approx(impostor.astype(np.float64).var())
    eer = found.equal_error()
    assert eer.rate == pytest.approx(polygon_eer(genuine, impostor), abs=1e-12 + (keep < 1000) * (eer.high - eer.low))
    assert eer.low - 1e-12 <= polygon_eer(genuine, impostor) <= eer.high + 1e-12


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-4, 4), min_size=1, max_size=12),
    st.lists(st.integers(-4, 4), min_size=1, max_size=30),
    st.integers(1, 40),
    st.floats(0.001, 0.999),
)
def test_any_scores_with_ties(one: list[int], two: list[int], keep: int, fmr: float) -> None:
    """Small whole numbers are bin edges, so bins are exact too."""
    found = survey(pairs([float(v) for v in one], [float(v) for v in two]), keep=keep)
    genuine, impostor = single(*one), single(*two)
    assert found.equal_error().rate == pytest.approx(polygon_eer(genuine, impostor), abs=1e-9)
    threshold = found.threshold(fmr)
    best = min(int((genuine <= t).sum()) for t in [*two, min(two) - 1] if (impostor > t).mean() <= fmr)
    assert found.misses(threshold) == best
    for value in {*one, *two}:
        assert found.misses(value) == (genuine < value).sum()
        assert found.false_matches(value) == (impostor >= value).sum()


@pytest.mark.parametrize("keep", [100, 10**6])
def test_gaussian_scores_have_their_known_rates(keep: int) -> None:
    """Equal variances and distance d': the EER is Phi(-d'/2), and FNMR = Phi(z_FMR - d')."""
    rng = np.random.default_rng(0)
    distance, rows = 2.0, 400
    hit = np.zeros((rows, 500), bool)
    hit[:, :100] = True
    scores = (rng.standard_normal(hit.shape) + distance * hit).astype(np.float32)
    found = survey([Block(scores, hit, np.zeros_like(hit))], keep=keep)
    assert found.d_prime == pytest.approx(distance, abs=0.02)
    assert found.equal_error().rate == pytest.approx(stats.norm.cdf(-distance / 2), abs=0.004)
    for fmr in (0.1, 0.01):
        expected = stats.norm.cdf(stats.norm.isf(fmr) - distance)
        assert found.misses(found.threshold(fmr)) / 40_000 == pytest.approx(expected, abs=0.01)


def test_tail_is_the_largest_scores_whatever_the_blocks() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((300, 40)).astype(np.float32)
    hit = np.zeros_like(scores, bool)
    hit[0, 0] = True
    for step in (1, 17, 300):
        parts = [slice(start, start + step) for start in range(0, 300, step)]
        found = survey((Block(scores[p], hit[p], np.zeros_like(hit[p])) for p in parts), keep=60)
        np.testing.assert_array_equal(found.tail, np.sort(scores.ravel()[1:])[::-1][:60])
        assert found.counts.sum() == found.total == 300 * 40 - 1
        assert found.exact_to == pytest.approx(59 / 11999)


def test_bins_keep_the_order_of_scores() -> None:
    values = single(-3e38, -2.0, -1.0, -1e-40, -0.0, 0.0, 1e-40, 0.1, 1.0, 1.0001, 1.001, 3e38)
    number = keys(values)
    assert (np.diff(number) >= 0).all()
    assert number[4] == number[5]
    assert (edges(number) <= values).all()
    assert (edges(number + 1)[:-1] > values[:-1]).all()
    wide = (edges(number + 1) - edges(number))[[1, 2, 7, 8]] / np.abs(values[[1, 2, 7, 8]])
    assert (wide <= 2.0**-12 * 1.01).all()


def test_recount_equals_a_loop() -> None:
    blocks = random_blocks(3)
    groups = np.random.default_rng(0).integers(5, size=40)
    groups[:5] = np.arange(5)
    limits = single(-1, 0, 0.5, 2)
    joined = [np.concatenate([getattr(b, name) for b in blocks]) for name in ("scores", "hit", "skip")]
    expected = np.zeros((5, 4), int)
    for row, group in enumerate(groups):
        for score, hit, skip in zip(*(part[row] for part in joined), strict=True):
            if not hit and not skip:
                expected[group] += score >= limits
    np.testing.assert_array_equal(recount(blocks, limits, groups), expected)
    number = below(single(0, 1, 1, 3), np.array([0, 1, 1, 0]), single(0, 1, 2), 2)
    assert number.tolist() == [[0, 1, 1], [0, 0, 2]]


def test_degenerate_input_is_named() -> None:
    with pytest.raises(ValueError, match="0 genuine and 3 impostor pairs"):
        survey(pairs([], [0.1, 0.2, 0.3]), keep=5)
    with pytest.raises(ValueError, match="2 genuine and 0 impostor pairs"):
        survey(pairs([0.1, 0.2], []), keep=5)
    with pytest.raises(ValueError, match="0 queries give 0 genuine"):
        survey([], keep=5)
    with pytest.raises(ValueError, match="query 1 and gallery item 0 is nan"):
        survey(pairs([0.1, 0.2], [np.nan, 0.5], rows=2), keep=5)
    with pytest.raises(ValueError, match="keep is a number of scores"):
        survey([], keep=0)
    found = survey(pairs([0.5, 0.5], [0.5, 0.5]), keep=5)
    assert np.isnan(found.d_prime)
    assert found.equal_error().rate == 0.5
    with pytest.raises(ValueError, match="between 0 and 1; got 0"):
        found.threshold(0)
    apart = survey(pairs([2.0, 3.0], [0.0, 1.0]), keep=5).equal_error()
    assert apart.rate == 0
    wrong = survey(pairs([0.0, 1.0], [2.0, 3.0]), keep=5).equal_error()
    assert wrong.rate == 1


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_most_inverts_the_rate(trials: int, errors: int) -> None:
    errors = min(errors, trials)
    assert most(trials, errors / trials) == errors


@pytest.mark.parametrize("trials", [10, 100, 10_000])
def test_rule_of_three_covers_the_exact_bound(trials: int) -> None:
    exact = stats.beta.ppf(0.95, 1, trials)
    assert exact < rule_of_three(trials) < 1.2 * exact
    assert rule_of_three(2) == 1
    assert guarded(0.0, (0.0, 0.0), trials) == (0.0, 3 / trials)
    assert guarded(1.0, (1.0, 1.0), trials) == (1 - 3 / trials, 1.0)
    assert guarded(0.2, (0.1, 0.3), trials) == (0.1, 0.3)


def test_what_cannot_be_measured_is_refused() -> None:
    assert unsupported(1e-4, 100_000, 10_000, "pairs", "people") == ""
    assert unsupported(1e-4, 99_999, 10_000, "pairs", "people") == (
        "99999 pairs cannot support a rate of 0.01 %: 10 errors need 100000"
    )
    assert "9999 people cannot support a rate of 0.01 %: one error needs 10000" in unsupported(
        1e-4, 10**9, 9999, "pairs", "people"
    )


def test_resampling_has_the_spread_of_a_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 10, size=(200, 1))
    sums, counts = resampled((values, np.ones_like(values)), rng, draws=2000)
    low, high = interval((sums / counts)[:, 0], 200)
    half = 1.96 * values.std() / np.sqrt(200)
    assert low == pytest.approx(values.mean() - half, abs=0.06)
    assert high == pytest.approx(values.mean() + half, abs=0.06)
    assert np.isnan(interval(np.ones(5), 1)).all()
    assert np.isnan(interval(np.full(5, np.nan), 9)).all()


def test_crossing_of_lines() -> None:
    fmr = np.array([[1, 0.4, 0.0], [1, 0.2, 0.0]])
    fnmr = np.array([[0, 0.2, 1.0], [0, 0.2, 1.0]])
    assert crossing(fmr, fnmr) == pytest.approx([0.4 - 0.4 * 0.2 / 1.2, 0.2])
