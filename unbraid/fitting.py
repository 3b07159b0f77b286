"""Probes fitted many at a time: what is common to several labels on the same features is done once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Single = NDArray[np.float32]
Integers = NDArray[np.int64]
Kind = Literal["linear", "mlp", "knn"]
KINDS: tuple[Kind, ...] = ("linear", "mlp", "knn")

# Inverse strengths of the quadratic penalty that the linear probe chooses from, on items held out for it.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
# Steps of the descent when choosing and at the end; an unfinished fit is still a fair probe.
STEPS = 60, 120
# A fit is finished when no score moves by more than this in a step.
STILL = 1e-4
# Directions with less than this share of the largest variance are rounding in float32.
FLAT = 1e-7
# Share that a class is given at first where it is not seen.
RARE = 1e-4
NEIGHBOURS = (1, 5, 25)
# Votes of all training items together, beside the neighbours': with many of them the probe says what is usual.
PRIORS = (0.3, 3.0, 30.0)
HIDDEN, EPOCHS, PATIENCE, BATCH, RATE, DECAY = 64, 60, 6, 64, 5e-3, 1.0


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


def fit(kind: Kind, features: Single, targets: Sequence[Target], rows: Rows, *, seed: int) -> list[Floats]:
    """What a probe of one kind says about the asked items, for each target.

    features: N D, not standardised. Returns for classes their log-probabilities (natural, asked K), for measures the
    expected values (asked). A class that nobody carries in training has the log-probability -inf.

    linear: multinomial logistic regression, or ridge regression for measures, on standardised features.
    mlp: one hidden layer of rectified units on standardised features, stopped early.
    knn: the k nearest by cosine vote, the r-th with 1 / r; a class with m of all v votes that has a share s of the
    training items has (m + a s) / (v + a).
    Penalty, number of steps, k and a are chosen on `rows.check`, for each target by itself.
    Source: not in the papers.
    """
    found = {"linear": _linear, "mlp": _mlp, "knn": _knn}[kind](features, targets, rows, seed)
    return [_without_absent(out, target, rows) for out, target in zip(found, targets, strict=True)]


def shares(target: Target, rows: Integers) -> Floats:
    """K; the share of each class among some items. Not a number where none of them has a value."""
    counts = np.bincount(target.values[rows][target.known[rows]].astype(np.int64), minlength=target.classes)
    return np.asarray(counts / max(counts.sum(), 1), np.float64)


def _without_absent(out: Floats, target: Target, rows: Rows) -> Floats:
    if not target.classes:
        return out
    out = np.where(shares(target, rows.train) > 0, out, -np.inf)
    return np.asarray(out - np.logaddexp.reduce(out, axis=1, keepdims=True), np.float64)


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


def _linear(features: Single, targets: Sequence[Target], rows: Rows, seed: int) -> list[Floats]:
    """Accelerated descent on all targets and strengths together, in the principal axes of the training items.

    There the curvature of every loss is at most diagonal: that of the log-likelihood of a softmax is at most half the
    squared singular values (Boehning 1992), so that one fixed step per axis never overshoots.
    """
    train, learn = rows.train, len(rows.learn)
    x = standard(features, train)
    axes, power = _axes(x[train])
    z = torch.from_numpy(x @ axes)
    known, asked = z[torch.from_numpy(train)], z[torch.from_numpy(rows.ask)]
    choosing = [_Block(t, 1 / c, train, learn) for t in targets for c in STRENGTHS]
    weights = _descend(known, power, choosing, STEPS[0])
    tried = _said(known[learn:], weights, choosing)
    chosen = []
    for number, target in enumerate(targets):
        some = tried[number * len(STRENGTHS) : (number + 1) * len(STRENGTHS)]
        best = int(np.argmin([losses(out, target, rows.check) for out in some]))
        chosen.append(_Block(target, 1 / STRENGTHS[best], train, len(train)))
    return _said(asked, _descend(known, power, chosen, STEPS[1]), chosen)


def _axes(x: Single) -> tuple[Single, torch.Tensor]:
    """Principal axes D R of centred items, and the squared singular values R; at least one, which may be 0."""
    wide = x.shape[1] > len(x)
    values, vectors = np.linalg.eigh((x @ x.T if wide else x.T @ x).astype(np.float64))
    keep = values > FLAT * max(values[-1], 1e-30)
    if not keep.any():
        return np.zeros((x.shape[1], 1), np.float32), torch.zeros(1)
    values, vectors = values[keep], vectors[:, keep]
    axes = x.T @ vectors / np.sqrt(values) if wide else vectors
    return axes.astype(np.float32), torch.from_numpy(values.astype(np.float32))


class _Block:
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


def _slices(blocks: Sequence[_Block]) -> list[slice]:
    ends = np.cumsum([0, *(block.width for block in blocks)]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def _said(z: torch.Tensor, weights: torch.Tensor, blocks: Sequence[_Block]) -> list[Floats]:
    scores = z @ weights[:-1] + weights[-1]
    return [block.said(scores[:, part]) for block, part in zip(blocks, _slices(blocks), strict=True)]


def _descend(z: torch.Tensor, power: torch.Tensor, blocks: Sequence[_Block], steps: int) -> torch.Tensor:
    """Weights (R + 1) columns, intercepts last, of the least loss with its penalty; intercepts are not penalised.

    Nesterov's acceleration, begun anew for a block whenever it goes uphill. z: training rows in principal axes.
    """
    parts = _slices(blocks)
    owner = torch.repeat_interleave(torch.arange(len(blocks)), torch.tensor([b.width for b in blocks]))
    penalty = torch.tensor([b.penalty for b in blocks])[owner]
    curve = torch.tensor([0.5 if b.classes else 1.0 for b in blocks])[owner]
    bound = torch.cat([power[:, None] * curve + penalty, (len(z) * curve)[None]])
    penalties = torch.cat([penalty.expand(len(power), -1), torch.zeros(1, len(penalty))])
    size = torch.cat([(power / len(z)).sqrt(), torch.ones(1)])[:, None]
    weights = torch.cat([torch.zeros(len(power), len(penalty)), torch.cat([b.start for b in blocks])[None]])
    ahead, age = weights.clone(), torch.ones(len(blocks))
    error = torch.empty(len(z), len(penalty))
    for _ in range(steps):
        scores = torch.addmm(ahead[-1], z, ahead[:-1])
        for block, part in zip(blocks, parts, strict=True):
            error[:, part] = block.error(scores[:, part])
        slope = torch.cat([z.T @ error, error.sum(0, keepdim=True)]) + penalties * ahead
        fresh = ahead - slope / bound
        move = fresh - weights
        uphill = torch.zeros(len(blocks)).index_add_(0, owner, (slope * move).sum(0)) > 0
        age = torch.where(uphill, 1.0, age)
        older = (age - 1) / (age + 2)
        ahead = fresh + older[owner] * move
        weights, age = fresh, age + 1
        if float((move * size).abs().max()) < STILL:
            break
    return weights


def _knn(features: Single, targets: Sequence[Target], rows: Rows, seed: int) -> list[Floats]:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = torch.from_numpy(features / np.where(length > 0, length, 1.0))
    checked, asked = _near(unit, rows.check, rows.learn), _near(unit, rows.ask, rows.train)
    settings = [(k, a) for k in NEIGHBOURS for a in PRIORS]
    found = []
    for target in targets:
        tried = [losses(_votes(target, checked[:, :k], rows.learn, a), target, rows.check) for k, a in settings]
        k, a = settings[int(np.argmin(tried))]
        found.append(_votes(target, asked[:, :k], rows.train, a))
    return found


def _near(unit: torch.Tensor, some: Integers, among: Integers) -> Integers:
    """Row numbers of the nearest items by cosine, nearest first: len(some) and at most the largest k."""
    others, parts = unit[torch.from_numpy(among)], []
    for start in range(0, len(some), 1024):
        alike = unit[torch.from_numpy(some[start : start + 1024])] @ others.T
        parts.append(among[alike.topk(min(max(NEIGHBOURS), len(among)), dim=1).indices.numpy()])
    return np.concatenate(parts) if parts else np.empty((0, 1), np.int64)


def _votes(target: Target, near: Integers, train: Integers, prior: float) -> Floats:
    """What neighbours say together: the r-th has 1 / r votes, all training items `prior` votes, unknown values none."""
    values, known = target.values[near], target.known[near]
    vote = known / np.arange(1, near.shape[1] + 1)
    number = vote.sum(axis=1)
    if not target.classes:
        usual = float(np.nanmean(target.values[train])) if target.known[train].any() else 0.0
        total = (np.where(known, values, 0.0) * vote).sum(axis=1)
        return np.asarray((total + prior * usual) / (number + prior), np.float64)
    flat = np.arange(len(near))[:, None] * target.classes + np.where(known, values, 0).astype(np.int64)
    votes = np.bincount(flat.ravel(), weights=vote.ravel(), minlength=len(near) * target.classes)
    said = (votes.reshape(len(near), -1) + prior * shares(target, train)) / (number + prior)[:, None]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(said), np.float64)


def _mlp(features: Single, targets: Sequence[Target], rows: Rows, seed: int) -> list[Floats]:
    x = torch.from_numpy(standard(features, rows.train))
    found: list[Floats] = [np.empty(0)] * len(targets)
    for classes in (True, False):
        some = [number for number, target in enumerate(targets) if bool(target.classes) == classes]
        if some:
            said = _train(x, [targets[number] for number in some], rows, classes, seed)
            for number, out in zip(some, said, strict=True):
                found[number] = out
    return found


def _train(x: torch.Tensor, targets: Sequence[Target], rows: Rows, classes: bool, seed: int) -> list[Floats]:
    """Networks side by side, one per target, each as if it were alone: they share nothing but the order of items."""
    blocks = [_Block(target, 0.0, rows.train, len(rows.learn)) for target in targets]
    network = _Networks(x.shape[1], targets, rows, classes, seed)
    wanted, there = network.wanted(targets, blocks)
    learn, check = torch.from_numpy(rows.learn), torch.from_numpy(rows.check)
    optimiser = torch.optim.AdamW(network.weights.values(), lr=RATE, weight_decay=DECAY)
    best = torch.full((len(targets),), float("inf"))
    kept, since = {name: w.detach().clone() for name, w in network.weights.items()}, 0
    order = torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(learn), generator=order).split(BATCH):
            few = learn[batch]
            optimiser.zero_grad()
            (network.loss(network.scores(x[few], network.weights), wanted[:, few]) * there[:, few]).sum().div(
                len(few)
            ).backward()
            optimiser.step()
        with torch.no_grad():
            missed = (network.loss(network.scores(x[check], network.weights), wanted[:, check]) * there[:, check]).sum(
                1
            )
            better = missed < best
            best, since = torch.minimum(best, missed), 0 if bool(better.any()) else since + 1
            for name, weights in network.weights.items():
                kept[name] = torch.where(network.of_target(better, name), weights, kept[name])
        if since == PATIENCE:
            break
    with torch.no_grad():
        scores = network.scores(x[torch.from_numpy(rows.ask)], kept)
    return [block.said(scores[n, :, : block.width]) for n, block in enumerate(blocks)]


class _Networks:
    """L networks of one hidden layer side by side, and their loss."""

    def __init__(self, inputs: int, targets: Sequence[Target], rows: Rows, classes: bool, seed: int) -> None:
        self.classes, self.number = classes, len(targets)
        width = max(target.classes or 1 for target in targets)
        generator = torch.Generator().manual_seed(seed)
        last = torch.zeros(self.number, 1, width)
        for n, target in enumerate(targets):
            # before it has learned anything a network says how common each class is
            share = shares(target, rows.train) if classes else np.ones(1)
            last[n, 0, : len(share)] = torch.from_numpy(np.log(np.maximum(share, RARE)))
            last[n, 0, len(share) :] = -1e9
        self.weights: dict[str, torch.Tensor] = {
            "in": torch.randn(inputs, self.number * HIDDEN, generator=generator) * (2 / inputs) ** 0.5,
            "hidden": torch.zeros(self.number * HIDDEN),
            "out": torch.randn(self.number, HIDDEN, width, generator=generator) * 0.01,
        }
        for weights in self.weights.values():
            weights.requires_grad_()
        self.last = last if classes else torch.zeros_like(last)

    def wanted(self, targets: Sequence[Target], blocks: Sequence[_Block]) -> tuple[torch.Tensor, torch.Tensor]:
        """L N: the class or the scaled measure, and 1 where it is known."""
        known = np.stack([target.known for target in targets])
        values = [(t.values - b.mean) / b.spread for t, b in zip(targets, blocks, strict=True)]
        return torch.from_numpy(np.where(known, np.stack(values), 0.0)).float(), torch.from_numpy(known).float()

    def scores(self, x: torch.Tensor, weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """L n K of n items."""
        hidden = torch.relu(torch.addmm(weights["hidden"], x, weights["in"]))
        return torch.baddbmm(self.last, hidden.view(len(x), self.number, HIDDEN).transpose(0, 1), weights["out"])

    def loss(self, scores: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """L n."""
        if not self.classes:
            return 0.5 * (scores[..., 0] - wanted).square()
        said = torch.log_softmax(scores, dim=2)
        return -said.gather(2, wanted.long()[..., None])[..., 0]

    def of_target(self, chosen: torch.Tensor, name: str) -> torch.Tensor:
        """A choice among L networks in the shape of their weights."""
        return chosen[:, None, None] if name == "out" else chosen.repeat_interleave(HIDDEN)
