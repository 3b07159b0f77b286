"""How many trials an error rate needs, and what they say about it: the guards of every rate that is reported."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unbraid.verification import most

Interval = tuple[float, float]
Floats = NDArray[np.float64]

DRAWS = 1000
# Fewer errors than this, on average, say too little: a count of 10 has a relative standard error of 32 %.
EXPECTED_ERRORS = 10


def rule_of_three(trials: int) -> float:
    """Upper 95 % bound of an error rate after no error in `trials` independent trials: 3 / trials, at most 1.

    Source: the "rule of 3" of ISO/IEC 19795-1; 1 - 0.05^(1/n) is below 3 / n because -ln 0.05 < 3.
    """
    return min(1.0, 3.0 / trials) if trials > 0 else 1.0


def unsupported(rate: float, trials: int, independent: int, what: str, who: str) -> str:
    """Why an error rate cannot be measured with these trials; empty when it can.

    trials: comparisons or searches. independent: those of different people. what, who: their names, for the text.
    Asked for are 10 expected errors among the trials and 1 among different people. Source: not in a paper; chosen
    because 10 errors have a relative standard error of 32 %, and many trials of few people repeat one another. The
    "rule of 30" common in biometrics (Doddington et al., Speech Communication 31, 2000) asks for 30 errors.
    """
    if most(trials, rate) < EXPECTED_ERRORS:
        needed = math.ceil(EXPECTED_ERRORS / rate - 1e-6)
        return f"{trials} {what} cannot support a rate of {percent(rate)}: {EXPECTED_ERRORS} errors need {needed}"
    if most(independent, rate) < 1:
        needed = math.ceil(1 / rate - 1e-6)
        return f"{independent} {who} cannot support a rate of {percent(rate)}: one error needs {needed}"
    return ""


def percent(rate: float) -> str:
    """A rate in per cent with as many digits as it needs: '0.01 %'."""
    return f"{100 * rate:.4g} %"


def below(
    scores: NDArray[np.float32], groups: NDArray[np.int64], thresholds: NDArray[np.float32], people: int
) -> NDArray[np.int64]:
    """How many scores of each person are below each threshold: people M.

    scores: N. groups: N numbers from 0 to below `people`. thresholds: M, ascending.
    """
    width = len(thresholds) + 1
    reached = np.searchsorted(thresholds, scores, side="right")
    counts = np.bincount(groups * width + reached, minlength=people * width).reshape(people, width)
    found: NDArray[np.int64] = np.cumsum(counts, axis=1)[:, :-1]
    return found


def resampled(
    tables: Sequence[NDArray[np.int64]], generator: np.random.Generator, *, draws: int = DRAWS
) -> tuple[Floats, ...]:
    """Sums over people drawn again with replacement, all tables by the same draws.

    tables: each people M, what every person contributes. Returns one draws M table each.
    Source: not in a paper; the bootstrap over clusters, as in `evaluate.bootstrap`.
    """
    people = len(tables[0])
    found = [np.empty((draws, table.shape[1])) for table in tables]
    for start in range(0, draws, 64):  # the weights of all draws at once could be larger than the tables
        part = slice(start, min(start + 64, draws))
        weights = generator.multinomial(people, np.full(people, 1 / people), size=part.stop - part.start)
        for table, sums in zip(tables, found, strict=True):
            sums[part] = weights.astype(np.float64) @ table
    return tuple(found)


def interval(rates: Floats, people: int) -> Interval:
    """The 2.5 % and 97.5 % quantiles of resampled rates, draws without a trial left out; NaN below two people."""
    known = rates[np.isfinite(rates)]
    if people < 2 or not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def guarded(rate: float, found: Interval, independent: int) -> Interval:
    """The interval, or that of the rule of 3 where there is no error, or nothing but errors, to draw from.

    independent: trials of different people.
    """
    if rate == 0:
        return 0.0, rule_of_three(independent)
    return (1 - rule_of_three(independent), 1.0) if rate == 1 else found
