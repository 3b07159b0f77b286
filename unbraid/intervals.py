"""How sure a mean over queries is, and what chance alone would give."""

import numpy as np
from numpy.typing import NDArray

from unbraid.ranking import AveragePrecision

DRAWS = 1000
Interval = tuple[float, float]
Floats = NDArray[np.float64]


def bootstrap(
    values: Floats, groups: NDArray[np.int64], *, seed: int, draws: int = DRAWS, weights: Floats | None = None
) -> Interval:
    """95 % interval of the mean of `values` when whole groups (people) are drawn again with replacement.

    values: N. groups: N group numbers; one person's values stay together, because they are not independent.
    weights: N, of the mean; equal when absent.
    Returns the 2.5 % and 97.5 % quantiles of `draws` means; NaN for fewer than two groups.
    Source: not in the papers; the percentile bootstrap over clusters.
    """
    _, codes = np.unique(groups, return_inverse=True)
    number = int(codes.max()) + 1 if len(codes) else 0
    if number < 2:
        return float("nan"), float("nan")
    weights = np.ones(len(codes)) if weights is None else weights
    sums, counts = np.bincount(codes, weights=weights * values), np.bincount(codes, weights=weights)
    generator = np.random.default_rng(seed)
    means = np.empty(draws)
    for start in range(0, draws, 64):  # the choices of all draws at once could be larger than the values
        part = slice(start, min(start + 64, draws))
        chosen = generator.integers(number, size=(part.stop - part.start, number))
        means[part] = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def expected_ap(hits: NDArray[np.int64], valid: NDArray[np.int64], ap: AveragePrecision) -> Floats:
    """Expected AP of m hits among N valid items in random order, elementwise over queries.

    Position n holds a hit with probability m / N; given that, each of the n - 1 items before it is one with
    probability (m - 1) / (N - 1). With H_N = 1 + 1/2 + ... + 1/N this sums to
    step: (H_N + (m - 1) / (N - 1) (N - H_N)) / N; trapezoid: the mean of that and m / N.
    hits, valid: m and N, 1 <= m <= N. Source: not in the papers; derived here.
    """
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(valid.max(initial=0)) + 1))])[valid]
    others = np.where(valid > 1, (hits - 1) / np.maximum(valid - 1, 1), 0.0)
    step: Floats = (harmonic + others * (valid - harmonic)) / valid
    return step if ap == "step" else (step + hits / valid) / 2
