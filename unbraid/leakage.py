"""What each space knows: how well every label can be read from it, with chance level, control and interval."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from unbraid.evaluate import compare
from unbraid.intervals import bootstrap
from unbraid.progress import track
from unbraid.protocol import Protocol, need, same
from unbraid.result import Result
from unbraid.spaces import Embeddings
from unbraid.trials import guarded, numbered

# Inverse strengths of the quadratic penalty that the probe chooses from, on people it is not trained on.
STRENGTHS = (1e-4, 1e-2, 1.0)
STEPS = 300
COLUMNS = (
    *("space", "label", "probe", "accuracy", "low", "high", "balanced", "chance", "shuffled"),
    *("classes", "train", "test", "identities", "left_out", "note"),
)
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def leakage(embeddings: Embeddings, labels: Sequence[str], *, seed: int = 0) -> pd.DataFrame:
    """One row per space and label: the accuracy with which the label is read from the space.

    Every label but 'identity', probe 'linear': multinomial logistic regression on standardised features, trained on a
    random half of the identities and tested on the other half, so that knowing people does not help. The strength
    of the penalty is chosen on a fifth of the training identities.
    'identity', probe 'nearest': share of items whose nearest other item by cosine, taken from another camera where
    the table has more than one, is the same person; people seen only once leave the mean.

    Columns: space, label, probe; accuracy with low, high (95 % bootstrap interval over tested identities, that of the
    rule of 3 where the accuracy is 0 or 1);
    balanced (mean over classes of the accuracy in a class); chance ('linear': always the commonest class of the
    training half; 'nearest': a random neighbour); shuffled (accuracy after training, or naming people, with labels
    in random order: what the probe finds where there is nothing to find); classes; train, test: numbers of items;
    identities: tested; left_out: items without identity or label, or of a class that the training half lacks;
    note: why a row has no accuracy (NaN), else empty.

    seed: of the halves, the shuffling and the bootstrap.
    Raises KeyError for a label that the table lacks and ValueError when no label is given.

    Example:
        leakage(embeddings, ["identity", "clothes", "camera"])
    """
    if not labels:
        raise ValueError("leakage needs at least one label, such as 'identity' or 'camera'; got none")
    missing = [name for name in (*labels, "identity") if name not in embeddings.table.columns]
    if missing:
        raise KeyError(
            f"the label table has no {missing[0]!r}; it has {sorted(map(str, embeddings.table.columns))}. "
            f"Choose among these or add the label to the data"
        )
    table = embeddings.table.reset_index(drop=True)
    known = table["identity"].notna()
    rows = [_nearest(embeddings, space, seed) for space in embeddings.spaces if "identity" in labels]
    probes = [(space, label) for space in embeddings.spaces for label in labels if label != "identity"]
    for space, label in track(probes, "leakage"):
        use = np.flatnonzero(known & table[label].notna())
        features = embeddings.spaces[space].detach().cpu().flatten(1).double().numpy()[use]
        people, classes = (pd.factorize(table[name][use], sort=True)[0] for name in ("identity", label))
        row = _linear(features, people.astype(np.int64), classes.astype(np.int64), label, seed)
        rows.append({**row, "space": space, "left_out": row["left_out"] + len(table) - len(use)})
    order = {name: number for number, name in enumerate(labels)}
    found = pd.DataFrame(rows, columns=list(COLUMNS))
    return found.sort_values("label", key=lambda column: column.map(order), kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Bias:
    """How often the nearest gallery item looks like the query in one respect. share, low, high, chance in 0..1.

    queries, identities: those counted, an unknown identity as one of its own.
    """

    label: str
    share: float
    low: float
    high: float
    chance: float
    queries: int
    identities: int

    def __str__(self) -> str:
        return (
            f"bias: {100 * self.share:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f}) of the first matches have "
            f"the query's {self.label}, by chance {100 * self.chance:.1f} %; {self.queries} queries of "
            f"{self.identities} identities"
        )


def bias(
    result: Result,
    protocol: Protocol,
    query: pd.DataFrame,
    gallery: pd.DataFrame,
    label: str = "top_colour",
    *,
    seed: int = 0,
) -> Bias:
    """Share of the queries whose best gallery item, right or wrong, has the query's value of a label.

    Queries without a mate count too: their first match is made in the same way. Where the protocol asks for other
    clothes, a method that goes by clothes shows itself here: it finds the query's colour on other people.
    query, gallery: the label tables that `result` was made from, by `protocol`.
    chance: the same share for an item drawn at random from those that the protocol does not skip. low, high: 95 %
    bootstrap interval over identities, that of the rule of 3 where the share is 0 or 1.
    Raises KeyError when a table lacks the label and ValueError when no query has both a best item and the label, and
    for a protocol that averages cells or draws its gallery: there a query has many first matches, and no one chance.
    Source: not in the papers.
    """
    if protocol.cells or protocol.shots:
        many = (
            f"averages cells of different {protocol.cells}" if protocol.cells else "draws its gallery again and again"
        )
        raise ValueError(f"protocol {protocol.name!r} {many}, so a query has several first matches")
    for side, table in (("query", query), ("gallery", gallery)):
        need(table, side, label)
    of_query, of_gallery = (table.set_index("key")[label] for table in (query, gallery))
    rows = result.table[result.table["best"].notna()]
    asked = of_query.reindex(rows["key"]).to_numpy()
    found = of_gallery.reindex(rows["best"]).to_numpy()
    known = pd.notna(asked)
    if not known.any():
        raise ValueError(f"no query has a best gallery item and a {label!r}; there is nothing to count")
    same_value = (asked == found)[known].astype(float)
    people, _ = numbered(rows["identity"][known], rows["identity"][:0])
    share, number = float(same_value.mean()), len(np.unique(people))
    low, high = guarded(share, bootstrap(same_value, people, seed=seed), number)
    chance = _agreement(protocol, query, gallery, label).reindex(rows["key"][known]).mean()
    return Bias(label, share, low, high, float(chance), len(same_value), number)


def _agreement(protocol: Protocol, query: pd.DataFrame, gallery: pd.DataFrame, label: str) -> pd.Series:
    """By query key: the share of its valid gallery items that carry its value of a label."""
    query = query.iloc[protocol.query.rows(query, "query")]
    gallery = gallery.iloc[protocol.gallery.rows(gallery, "gallery")]
    skip, alike = protocol.skip.on(query, gallery), same(label).on(query, gallery)
    shares = []
    for row in range(len(query)):
        valid = ~skip(slice(row, row + 1))
        shares.append(float((alike(slice(row, row + 1)) & valid).sum() / max(1, int(valid.sum()))))
    return pd.Series(shares, index=query["key"].to_numpy())


def _linear(features: Floats, people: Integers, classes: Integers, label: str, seed: int) -> dict[str, Any]:
    """The row of a linear probe. features: N D. people, classes: N numbers."""
    rng = np.random.default_rng(seed)
    first = _half(people, rng, 0.5)
    shared = np.isin(classes, np.intersect1d(classes[first], classes[~first]))
    train, test = np.flatnonzero(first), np.flatnonzero(~first & shared)
    counts = {
        "label": label,
        "probe": "linear",
        "classes": len(np.unique(classes[train])),
        "train": len(train),
        "test": len(test),
        "identities": len(np.unique(people[test])),
        "left_out": int(np.count_nonzero(~first & ~shared)),
        "note": "",
    }
    if len(np.unique(classes[test])) < 2:
        note = f"fewer than 2 values of {label!r} occur in both halves of the identities"
        return {**counts, "note": note}
    inner = _half(people[train], rng, 0.8)
    strength = STRENGTHS[0]
    if len(np.unique(classes[train[inner]])) > 1 and not inner.all():
        trials = [_right(features, classes, train[inner], train[~inner], c).mean() for c in STRENGTHS]
        strength = STRENGTHS[int(np.argmax(trials))]
    right = _right(features, classes, train, test, strength)
    mixed = classes.copy()
    mixed[train] = rng.permutation(classes[train])
    commonest = np.bincount(classes[train]).argmax()
    return {
        **counts,
        **_scores(right, classes[test], people[test], seed),
        "chance": float((classes[test] == commonest).mean()),
        "shuffled": float(_right(features, mixed, train, test, strength).mean()),
    }


def _half(people: Integers, rng: np.random.Generator, share: float) -> NDArray[np.bool_]:
    """True for the items of a random share of the people, at least one."""
    names = rng.permutation(np.unique(people))
    return np.isin(people, names[: max(1, round(share * len(names)))])


def _right(features: Floats, classes: Integers, train: Integers, test: Integers, strength: float) -> Floats:
    """1.0 where a probe trained on some rows finds the class of others."""
    mean, spread = features[train].mean(axis=0), features[train].std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)  # a constant feature says nothing and stays at 0
    probe = LogisticRegression(C=strength, max_iter=STEPS)
    with warnings.catch_warnings():
        # an unfinished fit is still a fair probe: what counts is what it finds on other people
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit((features[train] - mean) / scale, classes[train])
    found: Floats = (probe.predict((features[test] - mean) / scale) == classes[test]).astype(float)
    return found


def _nearest(embeddings: Embeddings, space: str, seed: int) -> dict[str, Any]:
    """The row of label 'identity': every item is a query against all others."""
    table = embeddings.table.reset_index(drop=True)
    skip = same("key")
    if "camera" in table.columns and table["camera"].nunique() > 1:
        skip = skip | same("camera")
    protocol = Protocol("nearest", hit=same("identity"), skip=skip)
    ranking = compare(embeddings, embeddings, protocol, space=space)
    people = pd.factorize(table["identity"])[0].astype(np.int64)
    mated = ranking.mated
    row = {
        "space": space,
        "label": "identity",
        "probe": "nearest",
        "classes": len(np.unique(people[people >= 0])),
        "train": 0,
        "test": int(np.count_nonzero(mated)),
        "identities": len(np.unique(people[mated])),
        "left_out": ranking.without_mate,
        "note": "",
    }
    if not mated.any():
        return {**row, "note": "no identity has two items that may be compared"}
    known = np.flatnonzero(people >= 0)
    mixed = table.copy()
    mixed.loc[known, "identity"] = table["identity"].to_numpy()[np.random.default_rng(seed).permutation(known)]
    control = Embeddings(embeddings.spaces, mixed, embeddings.origin)
    shuffled = compare(control, control, protocol, space=space)
    return {
        **row,
        **_scores((ranking.first == 1)[mated].astype(float), people[mated], people[mated], seed),
        "chance": float((ranking.hits[mated] / ranking.valid[mated]).mean()),
        "shuffled": float(shuffled.cmc(1)[0]) if shuffled.mated.any() else float("nan"),
    }


def _scores(right: Floats, classes: Integers, people: Integers, seed: int) -> dict[str, float]:
    """Accuracy with interval and balanced accuracy. right: N, 1.0 where correct."""
    low, high = guarded(float(right.mean()), bootstrap(right, people, seed=seed), len(np.unique(people)))
    balanced = pd.Series(right).groupby(classes).mean().mean()
    return {"accuracy": float(right.mean()), "low": low, "high": high, "balanced": float(balanced)}
