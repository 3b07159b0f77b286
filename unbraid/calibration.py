"""What a score means: logistic calibration to a log-likelihood ratio, and how far it can be trusted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
STEPS = 100
BINS = 10


@dataclass(frozen=True)
class Calibration:
    """A score's log-likelihood ratio: log of how much likelier the score is for one person than for two.

    It is slope * score + offset, in nats; 0 is undecided.
    """

    slope: float
    offset: float

    def llr(self, scores: ArrayLike) -> Floats:
        """Log-likelihood ratios of scores of any shape."""
        return np.asarray(self.slope * np.asarray(scores, np.float64) + self.offset, np.float64)

    def probability(self, scores: ArrayLike, prior: float = 0.5) -> Floats:
        """Probability that a pair is one person, given the share of such pairs among those compared, 0 < prior < 1.

        Raises ValueError for another prior.
        """
        if not 0 < prior < 1:
            raise ValueError(f"a prior lies between 0 and 1; got {prior}")
        return _sigmoid(self.llr(scores) + np.log(prior / (1 - prior)))


def calibrate(genuine: ArrayLike, impostor: ArrayLike, counts: ArrayLike | None = None) -> Calibration:
    """Logistic calibration of scores, genuine and impostor weighing the same in total.

    genuine: N scores. impostor: M scores; counts: M, how often each occurs, once when absent.
    Minimises the mean cross-entropy by Newton steps. The targets are (N + 1) / (N + 2) and 1 / (M + 2) rather than 1
    and 0, so that classes without overlap have a finite slope.
    Raises ValueError when a class is empty, a score is not finite, or genuine scores are not the higher ones.
    Source: J. Platt, "Probabilistic outputs for support vector machines", 1999, for the targets; equal weights of the
    classes make the log odds a log-likelihood ratio, as usual for forensic scores.

    Example:
        calibrate([0.8, 0.7, 0.4], [0.1, 0.5, 0.2]).probability(0.6)
    """
    one, two = np.asarray(genuine, np.float64), np.asarray(impostor, np.float64)
    often = np.ones(len(two)) if counts is None else np.asarray(counts, np.float64)
    if not len(one) or not often.sum() > 0:
        raise ValueError(f"calibration needs scores of both kinds; got {len(one)} genuine and {often.sum():g} impostor")
    scores = np.concatenate([one, two])
    if not np.isfinite(scores).all():
        raise ValueError(f"score number {int(np.argmin(np.isfinite(scores)))} is not finite; scores must be finite")
    weights = np.concatenate([np.full(len(one), 0.5 / len(one)), often * (0.5 / often.sum())])
    wanted = np.repeat([(len(one) + 1) / (len(one) + 2), 1 / (often.sum() + 2)], [len(one), len(two)])
    centre = weights @ scores
    spread = np.sqrt(weights @ (scores - centre) ** 2)
    if not spread > 0:
        raise ValueError(f"all scores are {centre:g}; there is nothing to calibrate")
    inputs = np.stack([(scores - centre) / spread, np.ones(len(scores))])
    values = np.zeros(2)
    loss = _entropy(values @ inputs, wanted, weights)
    for _ in range(STEPS):
        found = _sigmoid(values @ inputs)
        gradient = inputs @ (weights * (found - wanted))
        step = np.linalg.solve((inputs * (weights * found * (1 - found))) @ inputs.T + 1e-12 * np.eye(2), gradient)
        scale = 1.0
        while (trial := _entropy((values - scale * step) @ inputs, wanted, weights)) > loss and scale > 1e-6:
            scale /= 2
        values, change, loss = values - scale * step, loss - trial, trial
        if change < 1e-14:
            break
    if values[0] <= 0:
        raise ValueError("genuine scores are not higher than impostor scores; is a distance used as a similarity?")
    return Calibration(float(values[0] / spread), float(values[1] - values[0] * centre / spread))


def calibration_error(calibration: Calibration, genuine: ArrayLike, impostor: ArrayLike, counts: ArrayLike) -> float:
    """Mean distance of probability and truth in ten groups of like probability, at a prior of 1/2; 0 is perfect.

    Arguments as in `calibrate`. Source: the usual expected calibration error, groups of equal weight.
    """
    scores, weights, truth = _joined(genuine, impostor, counts)
    found = calibration.probability(scores)
    order = np.argsort(found, kind="stable")
    place = np.minimum((np.cumsum(weights[order]) * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(place, weights=(weights * (found - truth))[order], minlength=BINS)
    return float(np.abs(gaps).sum())


def log_cost(calibration: Calibration, genuine: ArrayLike, impostor: ArrayLike, counts: ArrayLike) -> float:
    """Cost of log-likelihood ratios in bits: 0 is perfect, 1 what a calibrated score without information costs.

    Arguments as in `calibrate`. Source: Cllr of Brümmer and du Preez, Computer Speech and Language 20, 2006.
    """
    scores, weights, truth = _joined(genuine, impostor, counts)
    return _entropy(calibration.llr(scores), truth, weights) / float(np.log(2))


def _joined(genuine: ArrayLike, impostor: ArrayLike, counts: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Scores, weights that give each kind one half, and 1.0 for genuine."""
    one, two, often = (np.asarray(part, np.float64) for part in (genuine, impostor, counts))
    weights = np.concatenate([np.full(len(one), 0.5 / len(one)), often * (0.5 / often.sum())])
    return np.concatenate([one, two]), weights, np.repeat([1.0, 0.0], [len(one), len(two)])


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)), np.float64)


def _entropy(logits: Floats, wanted: Floats, weights: Floats) -> float:
    return float(weights @ (np.logaddexp(0, logits) - wanted * logits))
