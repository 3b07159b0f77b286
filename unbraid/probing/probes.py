"""How well a label can be read from a space: probes on people they never saw, with chance, control and interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unbraid.probing.fitting import KINDS, Kind, fit
from unbraid.probing.targets import Floats, Integers, Rows, Single, Target, shares
from unbraid.trials import DRAWS, guarded, interval, resampled

Split = Literal["identity", "tracklet"]

# Fewer tested people say too little: where a person's items agree, the 95 % interval of a share of 50 % of 20 people is
# 44 points wide.
LEAST_PEOPLE = 20
# A class that fewer people carry cannot be told from these people, and its accuracy, which counts as much as that of
# any other class, is that of one or two of them in each half.
LEAST_CLASS_PEOPLE = 5
# With more classes there are too few items of each to learn from.
MOST_CLASSES = 200
# Share of the training people, or of each person's outfits, walks or items, that a probe chooses its settings on.
CHECKED = 0.25
COLUMNS = (
    *("label", "probe", "split", "metric", "score", "low", "high", "chance", "shuffled", "bits", "accuracy"),
    *("commonest", "classes", "train", "test", "identities", "left_out", "note"),
)


@dataclass(frozen=True, eq=False)
class Question:
    """One label of N items that probes are to read.

    values: N; numbers where `measured`, else names; missing where unknown.
    people: N; names; an item of an unknown person takes no part.
    units: N; what carries the label, such as the outfit for the colour of a top: the control deals values anew to whole
    units. Without them to items.
    halves: N; 0 or 1, or -1 for items that take no part: a 'tracklet' split, of which every person has items on both
    sides. Without them whole people are dealt into two halves at random: the 'identity' split.
    together: N; what a 'tracklet' split keeps together when it holds training items out. Without them items.
    note: what to know of the answers, such as the conditions of a tracklet split.
    """

    label: str
    values: pd.Series
    people: pd.Series
    measured: bool = False
    units: pd.Series | None = None
    halves: Integers | None = None
    together: pd.Series | None = None
    note: str = ""

    @property
    def split(self) -> Split:
        return "identity" if self.halves is None else "tracklet"


@dataclass(frozen=True, eq=False)
class _Ready:
    """A question in numbers: what is to be read, the same dealt anew, and why there is no answer ('' where there is).

    usable: N; items of known person and value that count.
    """

    question: Question
    target: Target
    control: Target
    people: Integers
    usable: NDArray[np.bool_]
    note: str


def probe(
    features: NDArray[Any], questions: Sequence[Question], *, kinds: Sequence[Kind] = KINDS, seed: int = 0
) -> pd.DataFrame:
    """One row per question and kind of probe: how well each label is read from the features of N items.

    features: N D. Every half of the items is once the training and once the tested one; with the 'identity' split
    all questions share halves of the people, so that everyone is tested by probes that never saw them.

    Columns, shares in 0..1:
    label; probe: 'linear', 'mlp' or 'knn' (see `unbraid.probing.fitting`); split;
    metric: 'balanced accuracy', the mean over classes of the share of their items that are read right, where the
    likeliest class relative to its share in training is what is read; or 'r2' of measures;
    score with low, high: 95 % bootstrap interval over tested people, as wide as for one half of them, or that of the
    rule of 3 where everything or nothing is right; chance: 1 / classes, or 0;
    shuffled: the score of values dealt anew, in training and in testing;
    bits: usable information per item, held-out: what a probe says with the features less what it says without them,
    log-likelihood to base 2; for measures 1/2 log2(variance / squared error). Below 0 where the probe misleads;
    accuracy, commonest: share of items whose likeliest class is right, and of those of the commonest training class;
    classes; train: items of a training half, mean of both; test: items; identities: tested people;
    left_out: items of unknown person or value, or of classes that too few people carry or that a half lacks;
    note: why there is no number (NaN), else that of the question.

    Raises ValueError when features and questions differ in length or features are not finite.
    Source: usable information is V-information, Xu et al., "A theory of usable information under computational
    constraints" (ICLR 2020); the rest is not in the papers.

    Example:
        probe(features, [Question("camera", table["camera"], table["identity"])])
    """
    single = np.ascontiguousarray(features, np.float32)
    if single.ndim != 2 or not np.isfinite(single).all():
        raise ValueError(f"features have shape {single.shape} and must be N D and finite")
    wrong = [q for q in questions if not len(q.values) == len(q.people) == len(single)]
    if wrong:
        raise ValueError(
            f"label {wrong[0].label!r} has {len(wrong[0].values)} values for {len(wrong[0].people)} people and "
            f"{len(single)} rows of features; all three must be equal"
        )
    ready = [_prepared(question, seed) for question in questions]
    together = [[r for r in ready if not r.note and r.question.split == "identity"]]
    together += [[r] for r in ready if not r.note and r.question.split == "tracklet"]
    rows = [{**_counts(r), "probe": kind} for r in ready if r.note for kind in kinds]
    for group in (group for group in together if group):
        halves = _halves(group[0], seed)
        for kind in kinds:
            rows += [{**row, "probe": kind} for row in _answers(kind, single, group, halves, seed)]
    place = {question.label: number for number, question in enumerate(questions)}
    rows.sort(key=lambda row: (place[row["label"]], list(kinds).index(row["probe"])))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _prepared(question: Question, seed: int) -> _Ready:
    label, note = question.label, ""
    people = pd.factorize(question.people)[0].astype(np.int64)
    usable = (people >= 0) & question.values.notna().to_numpy()
    if question.halves is not None:
        usable &= question.halves >= 0
    if question.measured:
        target = Target(np.where(usable, pd.to_numeric(question.values).astype(np.float64), np.nan), 0)
        if len(np.unique(target.values[usable])) < 2:
            note = f"{label!r} is the same for everyone"
    else:
        names = pd.Series(question.values.to_numpy(object)).where(usable)
        codes, kept = pd.factorize(names.where(names.isin(_carried(names, people, question.halves))), sort=True)
        target, usable = Target(codes.astype(np.int64), len(kept)), codes >= 0
        if len(kept) < 2 and question.split == "identity":
            note = f"fewer than 2 values of {label!r} are each carried by {LEAST_CLASS_PEOPLE} people or more"
        elif len(kept) > MOST_CLASSES:
            note = f"{label!r} has {len(kept)} values; a probe is given {MOST_CLASSES} at most"
    found = len(np.unique(people[usable]))
    if not note and found < LEAST_PEOPLE:
        note = f"{found} people can be tested, and a claim needs {LEAST_PEOPLE}"
    control = Target(_dealt(target.values, question.units, usable, seed), target.classes)
    return _Ready(question, target, control, people, usable, note)


def _carried(names: pd.Series, people: Integers, halves: Integers | None) -> "pd.Index[Any]":
    """The values that enough people carry, or that stand on both sides of a tracklet split."""
    carriers = pd.Series(people if halves is None else halves).groupby(names).nunique()
    return carriers.index[carriers >= (LEAST_CLASS_PEOPLE if halves is None else 2)]


def _dealt(
    values: Integers | Floats, units: pd.Series | None, usable: NDArray[np.bool_], seed: int
) -> Integers | Floats:
    """The values of the usable items in random order, whole units at a time where each has one value."""
    rows = np.flatnonzero(usable)
    codes, first = np.arange(len(rows)), np.arange(len(rows))
    if units is not None:
        _, of_unit, unit = np.unique(pd.factorize(units.to_numpy()[rows])[0], return_index=True, return_inverse=True)
        if np.array_equal(values[rows], values[rows][of_unit][unit]):
            codes, first = unit, of_unit
    dealt = values.copy()
    dealt[rows] = np.random.default_rng([seed, 1]).permutation(values[rows][first])[codes]
    return dealt


def _halves(ready: _Ready, seed: int) -> list[Rows]:
    """Both ways round: train on one half, with some of it held out to choose settings, and ask the other."""
    question, random = ready.question, np.random.default_rng([seed, 2])
    if question.halves is None:
        names = random.permutation(ready.people.max() + 1)
        side = np.where(ready.people < 0, -1, np.isin(ready.people, names[: len(names) // 2]))
        owner, group = np.zeros(len(side), np.int64), ready.people
    else:
        side, owner = np.where(ready.usable, question.halves, -1), ready.people
        group = np.arange(len(side)) if question.together is None else pd.factorize(question.together)[0]
    found = []
    for half in (0, 1):
        train = np.flatnonzero(side == half)
        held = _held(owner[train], group[train], random)
        if not held.any():
            held = _held(owner[train], train, random)
        found.append(Rows(train[~held], train[held], np.flatnonzero(side == 1 - half)))
    return found


def _held(owner: Integers, group: Integers, random: np.random.Generator) -> NDArray[np.bool_]:
    """N; whether an item is held out: a quarter of the groups of each owner on average, and never all of them."""
    pairs, place = np.unique(np.stack([owner, group], axis=1), axis=0, return_inverse=True)
    owners, number, counts = np.unique(pairs[:, 0], return_inverse=True, return_counts=True)
    wanted = np.minimum(counts - 1, np.floor(CHECKED * counts + random.random(len(owners))))
    order = np.lexsort((random.random(len(pairs)), pairs[:, 0]))
    rank = np.empty(len(pairs))
    rank[order] = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
    held: NDArray[np.bool_] = (rank < wanted[number])[place.ravel()]
    return held


def _answers(
    kind: Kind, features: Single, group: Sequence[_Ready], halves: Sequence[Rows], seed: int
) -> list[dict[str, Any]]:
    """The rows of one kind of probe for questions that share their halves."""
    targets = [target for ready in group for target in (ready.target, ready.control)]
    like = [2 * (number // 2) for number in range(len(targets))]  # a control takes over the settings of its label
    said = [fit(kind, features, targets, rows, seed=seed, like=like) for rows in halves]
    found = []
    for number, ready in enumerate(group):
        row = _counts(ready, halves)
        if row["identities"] < LEAST_PEOPLE or row["classes"] == 1:
            row["note"] = f"{row['identities']} people have values that both halves know; a claim needs {LEAST_PEOPLE}"
            found.append(row)
            continue
        scores = _measures if ready.question.measured else _classes
        own, mixed = ([out[2 * number + place] for out in said] for place in (0, 1))
        row |= scores(ready, ready.target, own, halves, seed)
        found.append({**row, "shuffled": scores(ready, ready.control, mixed, halves, seed)["score"]})
    return found


def _counts(ready: _Ready, halves: Sequence[Rows] = ()) -> dict[str, Any]:
    """What a row says whether or not there is a number."""
    asked = [_tested(ready, ready.target, rows) for rows in halves]
    tested = np.concatenate(asked) if asked else np.empty(0, np.int64)
    return {
        "label": ready.question.label,
        "split": ready.question.split,
        "metric": "r2" if ready.question.measured else "balanced accuracy",
        "classes": len(np.unique(ready.target.values[tested]))
        if asked and ready.target.classes
        else ready.target.classes,
        "train": round(float(np.mean([ready.usable[rows.train].sum() for rows in halves]))) if halves else 0,
        "test": len(tested),
        "identities": len(np.unique(ready.people[tested])),
        "left_out": len(ready.people) - len(tested),
        "note": ready.note or ready.question.note,
    }


def _tested(ready: _Ready, target: Target, rows: Rows) -> Integers:
    """The asked rows that have an answer: of a class that the training half has."""
    asked = rows.ask[ready.usable[rows.ask]]
    if not target.classes:
        return asked
    return asked[(shares(target, rows.train) > 0)[target.values[asked].astype(np.int64)]]


def _classes(
    ready: _Ready, target: Target, said: Sequence[Floats], halves: Sequence[Rows], seed: int
) -> dict[str, float]:
    """Scores of what probes that learned a target say about it in the other half."""
    true, read, likeliest, gain, usual, people = [], [], [], [], [], []
    for out, rows in zip(said, halves, strict=True):
        tested = _tested(ready, target, rows)
        out, share = out[np.searchsorted(rows.ask, tested)], shares(target, rows.train)
        values = target.values[tested].astype(np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(share > 0, out - np.log(share), -np.inf)
        true.append(values)
        gain.append(relative[np.arange(len(tested)), values] / np.log(2))
        read.append(relative.argmax(axis=1) == values)
        likeliest.append(out.argmax(axis=1) == values)
        usual.append(values == share.argmax())
        people.append(ready.people[tested])
    right, whose, classes = (np.concatenate(part) for part in (read, people, true))
    score, low, high = balanced(right, classes, whose, seed=seed, halves=2)
    return {
        "score": score,
        "low": low,
        "high": high,
        "chance": 1 / len(np.unique(classes)),
        "bits": float(np.concatenate(gain).mean()),
        "accuracy": float(np.concatenate(likeliest).mean()),
        "commonest": float(np.concatenate(usual).mean()),
    }


def _measures(
    ready: _Ready, target: Target, said: Sequence[Floats], halves: Sequence[Rows], seed: int
) -> dict[str, float]:
    """Scores of what probes that learned a measure say about it in the other half; of both halves together."""
    tested = [_tested(ready, target, rows) for rows in halves]
    expected = np.concatenate([out[np.searchsorted(r.ask, t)] for out, r, t in zip(said, halves, tested, strict=True)])
    rows = np.concatenate(tested)
    true = target.values[rows].astype(np.float64)
    missed, true = np.square(true - expected), true - true.mean()
    _, whose = np.unique(ready.people[rows], return_inverse=True)
    sums = np.stack(
        [np.bincount(whose, weights=w) for w in (np.ones(len(true)), true, np.square(true), missed)], axis=1
    )
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=DRAWS) @ sums
    n, total, squares, errors = drawn.T
    ratio = float(missed.sum() / np.square(true).sum())
    low, high = _of_one_half(1 - ratio, interval(1 - errors / (squares - np.square(total) / n), len(sums)))
    return {"score": 1 - ratio, "low": low, "high": high, "chance": 0.0, "bits": float(-0.5 * np.log2(ratio))}


def balanced(
    right: NDArray[np.bool_], classes: Integers, people: Integers, *, seed: int, halves: int = 1
) -> tuple[float, float, float]:
    """Mean over classes of the share of right items, and its 95 % bootstrap interval over people; 0..1.

    right, classes, people: N. Where everything or nothing is right the interval is that of the rule of 3.
    halves: 2 where the items of each half of the people were read by a probe that learned from the other; the interval
    is then that of one half (see `_of_one_half`).
    """
    _, kind = np.unique(classes, return_inverse=True)
    _, whose = np.unique(people, return_inverse=True)
    number, persons = int(kind.max()) + 1, int(whose.max()) + 1
    place = whose * number + kind
    hits, counts = (
        np.bincount(place, weights=w, minlength=persons * number).reshape(persons, number).astype(np.int64)
        for w in (right.astype(float), np.ones(len(right)))
    )
    score = float((hits.sum(axis=0) / counts.sum(axis=0)).mean())
    drawn = resampled([hits, counts], np.random.default_rng(seed))
    with np.errstate(invalid="ignore"):
        shares_of = drawn[0] / drawn[1]
    means = np.nansum(shares_of, axis=1) / np.maximum((drawn[1] > 0).sum(axis=1), 1)
    found = _of_one_half(score, interval(means, persons)) if halves == 2 else interval(means, persons)
    low, high = guarded(score, found, persons // halves)
    return score, max(0.0, low), min(1.0, high)


def _of_one_half(score: float, found: tuple[float, float]) -> tuple[float, float]:
    """An interval root 2 times as wide. Each half of the people taught the probe that the other half was asked by, so
    by chance both scores are high or low together, and in the worst case they are worth one of them."""
    low, high = found
    return score - np.sqrt(2) * (score - low), score + np.sqrt(2) * (high - score)
