"""What probes are asked to read from the features of some items, in numbers, and which items they learn from."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Single = NDArray[np.float32]
Integers = NDArray[np.int64]

# Share that a class is given at first where it is not seen.
RARE = 1e-4


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be read from the features of N items.

    values: N class numbers from 0 to below `classes`, -1 where unknown; or, with classes 0, N measures, NaN where
    unknown.
    """

    values: Integers | Floats
    classes: int

    @property
    def known(self) -> NDArray[np.bool_]:
        """N; whether an item has a value."""
        return self.values >= 0 if self.classes else ~np.isnan(self.values)


@dataclass(frozen=True, eq=False)
class Rows:
    """Which items a probe learns from, chooses its settings on, and is asked about; row numbers.

    learn and check are apart and together the training items; nobody of `ask` may be known from them.
    """

    learn: Integers
    check: Integers
    ask: Integers

    @property
    def train(self) -> Integers:
        """The training items, those to learn from first."""
        return np.concatenate([self.learn, self.check])


def shares(target: Target, rows: Integers) -> Floats:
    """K; the share of each class among some items. Not a number where none of them has a value."""
    counts = np.bincount(target.values[rows][target.known[rows]].astype(np.int64), minlength=target.classes)
    return np.asarray(counts / max(counts.sum(), 1), np.float64)


def standard(features: Single, rows: Integers) -> Single:
    """Features of mean 0 and deviation 1 over some rows; a constant one says nothing and is 0 there and elsewhere."""
    known = features[rows].astype(np.float64)
    mean, spread = known.mean(axis=0), known.std(axis=0)
    # a constant of float32 has a deviation of its rounding
    constant = spread <= 1e-6 * np.abs(mean) + 1e-30
    return np.where(constant, 0.0, (features - mean) / np.where(constant, 1.0, spread)).astype(np.float32)


def losses(out: Floats, target: Target, rows: Integers) -> float:
    """Mean loss of what is said about some rows: minus log-likelihood, or half the squared error; 0 without values."""
    known = target.known[rows]
    values = target.values[rows][known]
    if not len(values):
        return 0.0
    if target.classes:
        # a class that was not there to learn from is as unlikely under all settings
        return float(-np.maximum(out[known, values.astype(np.int64)], np.log(RARE)).mean())
    return float(0.5 * np.square(out[known] - values).mean())


class Block:
    """The columns of one target under one penalty: what is wanted of the first `use` training rows."""

    def __init__(self, target: Target, penalty: float, train: Integers, use: int) -> None:
        values, known = target.values[train], target.known[train]
        known[use:] = False
        self.classes, self.penalty = target.classes, penalty
        self.known = torch.from_numpy(known.astype(np.float32))[:, None]
        self.mean, self.spread = 0.0, 1.0
        if target.classes:
            self.wanted = torch.zeros(len(train), target.classes)
            self.wanted[torch.from_numpy(np.flatnonzero(known)), torch.from_numpy(values[known].astype(np.int64))] = 1
        else:
            if known.any():
                self.mean, self.spread = float(values[known].mean()), float(values[known].std()) or 1.0
            scaled = np.where(known, (values - self.mean) / self.spread, 0.0)
            self.wanted = torch.from_numpy(scaled.astype(np.float32))[:, None]

    @property
    def width(self) -> int:
        return self.classes or 1

    @property
    def start(self) -> torch.Tensor:
        """Scores that say how common each class is, or the mean of the measure."""
        share = (self.wanted.sum(0) / self.known.sum().clamp(min=1)).clamp(min=RARE)
        return share.log() if self.classes else torch.zeros(1)

    def error(self, scores: torch.Tensor) -> torch.Tensor:
        """Gradient of the loss by the scores of all training rows."""
        said = torch.softmax(scores, dim=1) if self.classes else scores
        return (said - self.wanted) * self.known

    def said(self, scores: torch.Tensor) -> Floats:
        """Scores as log-probabilities, or in the unit of the measure."""
        if self.classes:
            return np.asarray(torch.log_softmax(scores.double(), dim=1).numpy())
        return np.asarray(scores[:, 0].double().numpy() * self.spread + self.mean)
