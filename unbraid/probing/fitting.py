"""Probes fitted many at a time: what is common to several labels on the same features is done once."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch

from unbraid.probing.networks import train_networks
from unbraid.probing.targets import Block, Floats, Integers, Rows, Single, Target, losses, shares, standard

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
NEIGHBOURS = (1, 5, 25)
# Votes of all training items together, beside the neighbours': with many of them the probe says what is usual.
PRIORS = (0.3, 3.0, 30.0)


def fit(
    kind: Kind,
    features: Single,
    targets: Sequence[Target],
    rows: Rows,
    *,
    seed: int,
    like: Sequence[int] | None = None,
) -> list[Floats]:
    """What a probe of one kind says about the asked items, for each target.

    features: N D, not standardised. Returns for classes their log-probabilities (natural, asked K), for measures the
    expected values (asked). A class that nobody carries in training has the log-probability -inf.

    linear: multinomial logistic regression, or ridge regression for measures, on standardised features.
    mlp: one hidden layer of rectified units on standardised features, stopped early.
    knn: the k nearest by cosine vote, the r-th with 1 / r; a class with m of all v votes that has a share s of the
    training items has (m + a s) / (v + a).
    Penalty, number of steps, k and a are chosen on `rows.check`. like: for each target the number of the one whose
    penalty, k and a it takes over; its own when absent.
    Source: not in the papers.
    """
    same = list(range(len(targets))) if like is None else list(like)
    found = {"linear": _linear, "mlp": _mlp, "knn": _knn}[kind](features, targets, rows, seed, same)
    return [_without_absent(out, target, rows) for out, target in zip(found, targets, strict=True)]


def _without_absent(out: Floats, target: Target, rows: Rows) -> Floats:
    if not target.classes:
        return out
    out = np.where(shares(target, rows.train) > 0, out, -np.inf)
    return np.asarray(out - np.logaddexp.reduce(out, axis=1, keepdims=True), np.float64)


def _linear(features: Single, targets: Sequence[Target], rows: Rows, seed: int, like: Sequence[int]) -> list[Floats]:
    """Accelerated descent on all targets and strengths together, in the principal axes of the training items.

    There the curvature of every loss is at most diagonal: that of the log-likelihood of a softmax is at most half the
    squared singular values (Boehning 1992), so that one fixed step per axis never overshoots.
    """
    train, learn = rows.train, len(rows.learn)
    x = standard(features, train)
    axes, power = _axes(x[train])
    z = torch.from_numpy(x @ axes)
    known, asked = z[torch.from_numpy(train)], z[torch.from_numpy(rows.ask)]
    leading = sorted(set(like))
    tried = {n: [Block(targets[n], 1 / c, train, learn) for c in STRENGTHS] for n in leading}
    choosing = [block for blocks in tried.values() for block in blocks]
    said = iter(_said(known[learn:], _descend(known, power, choosing, STEPS[0]), choosing))
    best = {}
    for n in leading:
        lost = [losses(next(said), targets[n], rows.check) for _ in STRENGTHS]
        # without items to choose on the middle strength is taken
        best[n] = STRENGTHS[int(np.argmin(lost)) if max(lost) > 0 else len(STRENGTHS) // 2]
    chosen = [Block(target, 1 / best[n], train, len(train)) for target, n in zip(targets, like, strict=True)]
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


def _slices(blocks: Sequence[Block]) -> list[slice]:
    ends = np.cumsum([0, *(block.width for block in blocks)]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def _said(z: torch.Tensor, weights: torch.Tensor, blocks: Sequence[Block]) -> list[Floats]:
    scores = z @ weights[:-1] + weights[-1]
    return [block.said(scores[:, part]) for block, part in zip(blocks, _slices(blocks), strict=True)]


def _descend(z: torch.Tensor, power: torch.Tensor, blocks: Sequence[Block], steps: int) -> torch.Tensor:
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


def _knn(features: Single, targets: Sequence[Target], rows: Rows, seed: int, like: Sequence[int]) -> list[Floats]:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = torch.from_numpy(features / np.where(length > 0, length, 1.0))
    checked, asked = _near(unit, rows.check, rows.learn), _near(unit, rows.ask, rows.train)
    settings = [(k, a) for k in NEIGHBOURS for a in PRIORS]
    best = {}
    for n in set(like):
        said = (_votes(targets[n], checked[:, :k], rows.learn, a) for k, a in settings)
        best[n] = settings[int(np.argmin([losses(out, targets[n], rows.check) for out in said]))]
    return [_votes(t, asked[:, : best[n][0]], rows.train, best[n][1]) for t, n in zip(targets, like, strict=True)]


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


def _mlp(features: Single, targets: Sequence[Target], rows: Rows, seed: int, like: Sequence[int]) -> list[Floats]:
    x = torch.from_numpy(standard(features, rows.train))
    found: list[Floats] = [np.empty(0)] * len(targets)
    for classes in (True, False):
        some = [number for number, target in enumerate(targets) if bool(target.classes) == classes]
        if some:
            said = train_networks(x, [targets[number] for number in some], rows, classes, seed)
            for number, out in zip(some, said, strict=True):
                found[number] = out
    return found
