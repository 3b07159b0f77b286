"""How many trials an error rate needs, and what they say about it: the guards of every rate that is reported."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
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
    joined = np.concatenate(tables, axis=1).astype(np.float64)
    for start in range(0, draws, 64):  # the weights of all draws at once could be larger than the tables
        part = slice(start, min(start + 64, draws))
        number = part.stop - part.start
        chosen = generator.integers(people, size=(number, people)) + people * np.arange(number)[:, None]
        weights = np.bincount(chosen.ravel(), minlength=number * people).reshape(number, people)
        sums = weights.astype(np.float64) @ joined
        for table, own in zip(np.split(sums, np.cumsum([t.shape[1] for t in tables])[:-1], axis=1), found, strict=True):
            own[part] = table
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


def row(rate: float, found: Interval) -> str:
    """A rate and its interval in per cent."""
    return f"{100 * rate:8.2f}     {100 * found[0]:5.2f} to {100 * found[1]:5.2f}"


def numbered(query: pd.Series, gallery: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers from 0 of the identities of both sides; each unknown one has a number of its own, after the known."""
    codes = pd.factorize(pd.concat([query, gallery], ignore_index=True))[0].astype(np.int64)
    unknown = codes < 0
    codes[unknown] = codes.max(initial=-1) + 1 + np.arange(np.count_nonzero(unknown))
    return codes[: len(query)], codes[len(query) :]
