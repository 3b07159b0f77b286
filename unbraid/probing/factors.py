"""Do spaces and known factors pair up one to one? DCI, the mutual information gap, separated attribute predictability.

A code is what is asked about: one dimension, or a whole space. A factor is a known label. All three scores are 1 where
every code speaks of one factor and every factor is in one code, and near 0 where everything is everywhere.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import xlogy
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.svm import LinearSVC

from unbraid.progress import track
from unbraid.spaces import Spaces

# Every space is represented by its leading principal components, so that none wins by its number of dimensions.
DIMENSIONS = 20
# People are drawn until there are this many items; more make the scores no other, only slower.
ITEMS = 2000
LEAST_ITEMS = 200
# A value of a factor that fewer training items have cannot be learned.
LEAST_OF_CLASS = 3
# Standard errors above chance from which a factor counts as read.
CLEARLY = 3.0
# Trees, and the smallest leaf: with small leaves, trees learn single items by heart, from whatever code, and codes
# that say nothing seem important.
TREES, LEAF = 50, 10
# Inverse strength of the penalty of the linear reader of a space.
STRENGTH, STEPS = 0.1, 200
# Bins of equal width that a dimension is cut into before its mutual information is counted.
BINS = 20
# A variance below this is rounding.
STILL = 1e-12
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dci:
    """disentanglement, completeness; informativeness: mean of `scores`, the held-out balanced accuracy of each factor.

    importance: C F, every column sums to 1.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: Floats
    scores: Floats


def disentanglement(importance: Floats) -> float:
    """Mean over codes, by their importance, of 1 - H(row) / log F: 1 where every code matters for one factor only.

    importance: C F, not negative; 0 everywhere gives 0. Raises ValueError for other shapes or fewer than two factors.
    Source: Eastwood and Williams, "A framework for the quantitative evaluation of disentangled representations"
    (ICLR 2018), section 2.

    Example:
        disentanglement(np.eye(3))  # 1.0
    """
    importance = np.asarray(importance, np.float64)
    if importance.ndim != 2 or importance.shape[1] < 2 or not (importance >= 0).all():
        raise ValueError(
            f"importance has shape {importance.shape}; expected codes x factors, at least two of the kinds that are "
            f"told apart, no entry below 0"
        )
    if not importance.sum() > 0:
        return 0.0
    totals = importance.sum(axis=1)
    rows = importance[totals > 0] / totals[totals > 0, None]
    sharp = 1 + xlogy(rows, rows).sum(axis=1) / np.log(importance.shape[1])
    return float(sharp @ totals[totals > 0] / totals.sum())


def completeness(importance: Floats) -> float:
    """Mean over factors, by their importance, of 1 - H(column) / log C: 1 where every factor is in one code only.

    importance, errors and source as for `disentanglement`, with at least two codes.
    """
    return disentanglement(np.asarray(importance, np.float64).T)


def gap(table: Floats) -> float:
    """Mean over factors (columns of C F) of the largest entry less the second: MIG of shares of entropy, SAP of scores.

    Raises ValueError for fewer than two codes.
    Source: MIG: Chen et al., "Isolating sources of disentanglement in VAEs" (NeurIPS 2018); SAP: Kumar et al.,
    "Variational inference of disentangled latent concepts from unlabeled observations" (ICLR 2018), section 3.
    """
    table = np.asarray(table, np.float64)
    if table.ndim != 2 or len(table) < 2 or not table.shape[1]:
        raise ValueError(f"a gap needs a table of two codes or more by factors; got shape {table.shape}")
    ordered = np.sort(table, axis=0)
    return float((ordered[-1] - ordered[-2]).mean())


def dci(
    codes: Floats,
    factors: NDArray[Any],
    held_codes: Floats,
    held_factors: NDArray[Any],
    *,
    groups: Sequence[int] | None = None,
    seed: int = 0,
) -> Dci:
    """DCI of codes N D about factors N F (numbers of values), scored on held-out items M D, M F.

    groups: D; the code, 0 .. C - 1, that each dimension belongs to; each is its own without them. C is at least two.
    importance: by how much splits on a dimension purify the leaves of extremely randomised trees, summed over the
    dimensions of a code. The paper takes lasso or a random forest, common code gradient boosting; these trees are as
    good on discrete factors, handle many classes in one set of trees and take a fraction of the time. All dimensions
    may compete for every split, so that a dimension that says nothing is hardly ever used.
    Raises ValueError when shapes do not fit or there are fewer than two codes or factors.
    Source: as `disentanglement`.
    """
    codes, held_codes = (np.asarray(side, np.float64) for side in (codes, held_codes))
    factors, held_factors = (np.asarray(side) for side in (factors, held_factors))
    _check(codes, factors)
    _check(held_codes, held_factors)
    members = np.arange(codes.shape[1]) if groups is None else np.asarray(groups)
    if members.shape != (codes.shape[1],) or held_codes.shape[1:] != codes.shape[1:]:
        raise ValueError(f"{len(members)} groups and {held_codes.shape[1]} held-out for {codes.shape[1]} dimensions")
    columns, scores = [], []
    for factor, held in zip(factors.T, held_factors.T, strict=True):
        weights, found = _trees(codes, factor, held_codes, members, seed)
        columns.append(weights)
        scores.append(balanced_accuracy_score(held, found))
    importance = np.stack(columns, axis=1)
    return Dci(
        disentanglement(importance), completeness(importance), float(np.mean(scores)), importance, np.array(scores)
    )


def mig(codes: Floats, factors: NDArray[Any], *, bins: int | None = BINS) -> float:
    """Mutual information gap of single dimensions N D about factors N F (numbers of values).

    I(dimension; factor) / H(factor) from counts, each dimension cut into bins of equal width; None: values are as they
    are, for dimensions that are discrete. Counts are biased upwards where values x bins is not small beside N.
    Raises ValueError when shapes do not fit, for fewer than two dimensions, or for a constant factor.
    Source: as `gap`; 20 bins: the settings of disentanglement_lib.
    """
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors)
    _check(codes, factors)
    still = [place for place, column in enumerate(factors.T) if len(np.unique(column)) < 2]
    if still:
        raise ValueError(f"factor {still[0]} is constant, so nothing can be said about it; leave it out")
    cut = [_cut(column, bins) for column in codes.T]
    values = [_cut(column, None) for column in factors.T]
    shares = [[_information(v, c) / _information(v, v) for v in values] for c in cut]
    return gap(np.array(shares))


def sap(codes: Floats, factors: NDArray[Any], held: tuple[Floats, NDArray[Any]] | None = None) -> float:
    """Separated attribute predictability of single dimensions N D about factors N F.

    Without `held`: factors are measures, and a dimension predicts one by their squared correlation. With held-out codes
    M D and factors M F: factors are numbers of values, and a dimension predicts one by the held-out accuracy of a
    linear support vector machine on it alone.
    Raises ValueError when shapes do not fit and for fewer than two dimensions.
    Source: as `gap`; penalty and class weights: the settings of disentanglement_lib.
    """
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors)
    _check(codes, factors)
    if held is None:
        left, right = codes - codes.mean(axis=0), factors - factors.mean(axis=0)
        spreads = np.outer((left**2).sum(axis=0), (right**2).sum(axis=0))
        squared = (left.T @ right) ** 2
        return gap(np.divide(squared, spreads, out=np.zeros_like(squared), where=spreads > STILL * len(codes) ** 2))
    held_codes, held_factors = np.asarray(held[0], np.float64), np.asarray(held[1])
    _check(held_codes, held_factors)
    table = np.zeros((codes.shape[1], factors.shape[1]))
    for i, j in np.ndindex(table.shape):
        machine = LinearSVC(C=0.01, class_weight="balanced").fit(codes[:, [i]], factors[:, j])
        table[i, j] = machine.score(held_codes[:, [i]], held_factors[:, j])
    return gap(table)


def factors(spaces: Spaces, table: pd.DataFrame, names: Sequence[str], *, seed: int = 0) -> dict[str, Any] | None:
    """DCI, MIG and SAP of whole spaces as codes about labels as factors; None where too little is known for them.

    table: label columns of the N items, with 'identity'. names: of the labels; those that cannot be used are left out:
    constant, of values that occur in one half only, or not read from all spaces together clearly better than by chance
    (3 standard errors over tested people), where importance would be that of noise. Labels that imply one another, such
    as identity and an outfit of one person, cannot be told apart; give one of them.
    Spaces are represented by their 20 leading principal components. Readers are trained on one half of the people and
    scored on the other; for 'identity' on one half of each person's items.

    dci: disentanglement, completeness, informativeness; importance (codes x factors), codes, factors; scores and chance
    (1 / values): of each factor, held-out balanced accuracy of trees on all spaces together;
    mig: the information of a space about a factor is what a linear reader of the space saves, as a share of the entropy
    (usable information, held-out, 0 where it misleads), because counts cannot fill bins of 20 dimensions;
    sap: by the held-out balanced accuracy of the same readers; items, identities: used; left_out: factor and note.
    None: fewer than 2 spaces that vary, 2 usable factors or 200 items of known people.
    Raises KeyError for a name or an 'identity' that the table lacks, ValueError when table and spaces differ in length.

    Example:
        factors(embeddings.spaces, embeddings.table, ["identity", "camera", "action"])
    """
    missing = [name for name in (*names, "identity") if name not in table.columns]
    if missing:
        raise KeyError(f"the label table has no {missing[0]!r}; it has {sorted(map(str, table.columns))}")
    if len(table) != spaces.rows:
        raise ValueError(f"{len(table)} rows of labels for {spaces.rows} embeddings; they must be equal")
    generator = np.random.default_rng(seed)
    used = _drawn(table["identity"], generator)
    rows = table.iloc[used].reset_index(drop=True)
    components = {name: _components(spaces[name].detach().cpu().flatten(1).double().numpy()[used]) for name in spaces}
    components = {name: value for name, value in components.items() if value.shape[1]}
    if len(used) < LEAST_ITEMS or len(components) < 2:
        return None
    people = pd.factorize(rows["identity"])[0].astype(np.int64)
    everything = np.hstack(list(components.values()))
    members = np.repeat(np.arange(len(components)), [value.shape[1] for value in components.values()])
    first, within = _halves(people, generator)
    kept, columns, scores, chances, left_out = [], [], [], [], []
    shares, rights = [], []
    for name in track(list(dict.fromkeys(names)), "factors"):
        values, train, test = _split(rows[name], within if name == "identity" else first)
        note = "" if len(train) and len(test) else "fewer than 2 values occur in both halves"
        if not note:
            weights, found = _trees(everything[train], values[train], everything[test], members, seed)
            score = float(balanced_accuracy_score(values[test], found))
            chance, tested = 1 / len(np.unique(values[train])), len(np.unique(people[test]))
            if score < chance + CLEARLY * _error(found == values[test], values[test], people[test]):
                note = f"read at {100 * score:.1f} %, by chance {100 * chance:.1f} %: too close for {tested} people"
        if note:
            left_out.append({"factor": name, "note": note})
            continue
        kept.append(name)
        columns.append(weights)
        scores.append(score)
        chances.append(chance)
        read = [_read(part[train], values[train], part[test], values[test]) for part in components.values()]
        shares.append([share for share, _ in read])
        rights.append([right for _, right in read])
    if len(kept) < 2:
        return None
    importance = np.stack(columns, axis=1)
    return {
        "dci": {
            "disentanglement": disentanglement(importance),
            "completeness": completeness(importance),
            "informativeness": float(np.mean(scores)),
            "importance": importance.tolist(),
            "codes": list(components),
            "factors": kept,
            "scores": scores,
            "chance": chances,
        },
        "mig": gap(np.array(shares).T),
        "sap": gap(np.array(rights).T),
        "items": len(used),
        "identities": len(np.unique(people)),
        "left_out": left_out,
    }


def _check(codes: NDArray[Any], factors: NDArray[Any]) -> None:
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or not np.isfinite(codes).all():
        raise ValueError(f"codes {codes.shape} and factors {factors.shape} must be N D and N F, and codes finite")


def _cut(column: Floats, bins: int | None) -> Integers:
    if bins is None:
        return np.unique(column, return_inverse=True)[1].astype(np.int64)
    edges = np.linspace(column.min(), column.max(), bins + 1)[1:-1]
    return np.digitize(column, edges).astype(np.int64)


def _information(first: Integers, second: Integers) -> float:
    """Mutual information from counts of pairs of values 0, 1, .., in nats."""
    width = int(second.max()) + 1
    joint = np.bincount(first * width + second, minlength=(int(first.max()) + 1) * width).reshape(-1, width)
    shares = joint / joint.sum()
    alone = np.outer(shares.sum(axis=1), shares.sum(axis=0))
    return float(xlogy(shares, shares).sum() - xlogy(shares, alone).sum())


def _trees(codes: Floats, factor: Integers, held: Floats, members: Integers, seed: int) -> tuple[Floats, Integers]:
    """Importance of each code for a factor, and what all codes together say of held-out items."""
    trees = ExtraTreesClassifier(
        TREES, max_features=None, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed
    ).fit(codes, factor)
    weights = np.bincount(members, trees.feature_importances_).astype(np.float64)
    return weights, np.asarray(trees.predict(held))


def _error(right: NDArray[np.bool_], values: Integers, people: Integers) -> float:
    """Standard error of a balanced accuracy when people, with all their items, are drawn again."""
    _, classes, counts = np.unique(values, return_inverse=True, return_counts=True)
    weights = 1 / (len(counts) * counts[classes])
    parts = np.bincount(np.unique(people, return_inverse=True)[1], weights * (right - weights @ right))
    return float(np.sqrt((parts**2).sum() * len(parts) / max(1, len(parts) - 1)))


def _read(codes: Floats, factor: Integers, held: Floats, held_factor: Integers) -> tuple[float, float]:
    """What a linear reader finds on held-out items: saved share of the entropy, and balanced accuracy."""
    with warnings.catch_warnings():
        # an unfinished fit is still a fair reader: what counts is what it finds on held-out items
        warnings.simplefilter("ignore", ConvergenceWarning)
        reader = LogisticRegression(C=STRENGTH, max_iter=STEPS).fit(codes, factor)
    classes, counts = np.unique(factor, return_counts=True)
    blind = log_loss(held_factor, np.tile(counts / counts.sum(), (len(held), 1)), labels=classes)
    found = reader.predict_proba(held)
    saved = 1 - log_loss(held_factor, found, labels=classes) / blind
    # relative to its share in training, so that rare values are found too
    likeliest = classes[(found / counts).argmax(axis=1)]
    return max(0.0, float(saved)), float(balanced_accuracy_score(held_factor, likeliest))


def _components(features: Floats) -> Floats:
    """Leading principal components with variance 1, N up to 20; none of constant features."""
    centred = features - features.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / max(1, len(centred)))
    kept = np.argsort(-values)[:DIMENSIONS]
    kept = kept[values[kept] > max(STILL, STILL * values.max(initial=0))]
    scores: Floats = centred @ vectors[:, kept] / np.sqrt(values[kept])
    return scores


def _drawn(identity: pd.Series, generator: np.random.Generator) -> Integers:
    """All rows of people drawn at random until there are enough; ascending."""
    people = pd.factorize(identity)[0]
    counts = np.bincount(people[people >= 0])
    order = generator.permutation(len(counts))
    enough = order[: int(np.searchsorted(np.cumsum(counts[order]), ITEMS)) + 1]
    return np.flatnonzero(np.isin(people, enough)).astype(np.int64)


def _halves(people: Integers, generator: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """True for the items of one half of the people, and for one half of each person's items."""
    chosen = generator.permutation(int(people.max()) + 1)[: (int(people.max()) + 1) // 2]
    order = generator.permutation(len(people))
    place = np.empty(len(people), np.int64)
    place[order] = pd.Series(people[order]).groupby(people[order]).cumcount().to_numpy()
    return np.isin(people, chosen), place % 2 == 0


def _split(labels: pd.Series, first: NDArray[np.bool_]) -> tuple[Integers, Integers, Integers]:
    """Numbers of the values, and training and held-out rows of the values that both halves have; none for fewer
    than two."""
    values = pd.factorize(labels, sort=True)[0].astype(np.int64)
    counts = np.bincount(values[first & (values >= 0)], minlength=values.max(initial=0) + 1)
    enough = np.flatnonzero(counts >= LEAST_OF_CLASS)
    usable = np.isin(values, np.intersect1d(enough, values[~first]))
    if len(np.unique(values[usable])) < 2:
        usable[:] = False
    return values, np.flatnonzero(usable & first), np.flatnonzero(usable & ~first)
