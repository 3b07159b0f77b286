"""Labels that are tied together in a data set, so that what looks like reading one may be reading the other."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from unbraid.probing.targets import Floats, Integers

# Labels of the situation. One that is the same for all items of a person is tied to the person; any other label that
# never changes, such as sex, is taken for one of the person.
SCENE = ("camera", "view", "modality", "action", "condition", "light")
SITUATION = (*SCENE, "clothes", "top", "top_colour", "bottom", "bottom_colour")
# What carries labels as a whole, the largest first: everything about a person, an outfit, a walk before the sensors.
CARRIERS = ("identity", "clothes", "walk")
SHUFFLES = 999
# Reported when none of the shuffled tables is as far from independence, about one false alarm in a thousand pairs,
LEAST_P = 1 / (SHUFFLES + 1)
# and when the tie is more than a small one: with many items a tie of no consequence is significant as well.
LEAST_V = 0.1


def carrier(table: pd.DataFrame, label: str, *, beside: str = "") -> str:
    """The largest thing that has one value of a label each: a column of the table, or 'key' for the items themselves.

    beside: another label; what it decides does not count, because the two are then one and the same.
    """
    for name in CARRIERS:
        if name in (label, beside) or name not in table.columns or table[name].isna().any():
            continue
        if (
            belongs(table, name, label)
            and table[name].nunique() < len(table)
            and not (beside and belongs(table, beside, name))
        ):
            return name
    return "key"


def belongs(table: pd.DataFrame, part: str, whole: str) -> bool:
    """Whether each value of a label stands with one value of another only, as an outfit with its wearer."""
    return int(table.groupby(part)[whole].nunique(dropna=False).max()) <= 1


def confounded(table: pd.DataFrame, labels: Sequence[str], *, seed: int = 0) -> pd.DataFrame:
    """One row per pair of labels that are tied: label, with, cramers_v, p, note.

    table: with 'key' and 'identity'. Pairs that are tied by nature are left out: outfits and who wears them where
    people have several, what an outfit is like and the outfit, labels of the person and the person.
    cramers_v: 0 independent to 1 one decides the other, corrected for its bias in small tables.
    p: share of 1000 tables with a chi-square at least as large: the true one and 999 shuffled ones, of which none
    reaches it. Shuffled are whole outfits or people where a label is theirs, because their items repeat one another.
    Source: Bergsma, "A bias-correction for Cramer's V and Tschuprow's T" (2013); the rest is not in a paper.
    """
    rows = []
    known = table[table["identity"].notna()]
    for first, second in combinations(dict.fromkeys(["identity", *labels]), 2):
        row = _pair(known[known[first].notna() & known[second].notna()], first, second, seed)
        rows += [] if row is None else [row]
    return pd.DataFrame(rows, columns=["label", "with", "cramers_v", "p", "note"])


def _pair(table: pd.DataFrame, first: str, second: str, seed: int) -> dict[str, Any] | None:
    """The tie of two labels, None where there is none, it is one by nature or there is nothing to compare."""
    if min(table[first].nunique(), table[second].nunique()) < 2 or _natural(table, first, second):
        return None
    carriers = {first: carrier(table, first, beside=second), second: carrier(table, second, beside=first)}
    # people are asked about and never shuffled: what is shuffled is who carries the other label
    size = {name: 0 if name == "identity" else table[carriers[name]].nunique() for name in (first, second)}
    moved = min((second, first), key=lambda name: size[name] or len(table) + 1)
    unit, finest = carriers[moved], carriers[max((first, second), key=lambda name: size[name])]
    rows = table.drop_duplicates(finest)
    one = pd.factorize(rows[second if moved == first else first])[0].astype(np.int64)
    units, place = np.unique(rows[unit].astype(str), return_inverse=True)
    of_unit = np.empty(len(units), np.int64)
    of_unit[place] = pd.factorize(rows[moved])[0]
    v = cramers_v(one, of_unit[place])
    if v < LEAST_V:
        return None
    random = np.random.default_rng([seed, 3])
    statistic = chi_square(one, of_unit[place]) - 1e-9
    # one shuffled table that is as far from independence is enough to say nothing
    if any(chi_square(one, random.permutation(of_unit)[place]) >= statistic for _ in range(SHUFFLES)):
        return None
    note = f"{first} and {second} are tied in this data (Cramer's V {v:.2f}): what reads like one may be the other"
    return {"label": second, "with": first, "cramers_v": v, "p": LEAST_P, "note": note}


def _natural(table: pd.DataFrame, first: str, second: str) -> bool:
    """Whether two labels are tied by what they are."""
    if first == "identity":
        constant = belongs(table, first, second)
        return second not in SITUATION if constant else belongs(table, second, first)
    for outfit, other in ((first, second), (second, first)):
        if outfit == "clothes" and other not in SCENE and belongs(table, outfit, other):
            return True
    return False


def chi_square(first: Integers, second: Integers) -> float:
    """Pearson's chi-square of two columns of N class numbers, each from 0 and without gaps."""
    width = int(second.max()) + 1
    counts = np.bincount(first * width + second, minlength=(int(first.max()) + 1) * width).reshape(-1, width)
    rows, columns = counts.sum(axis=1, keepdims=True), counts.sum(axis=0)
    shares: Floats = np.square(counts.astype(np.float64)) / (rows * np.maximum(columns, 1))
    return float(len(first) * (shares.sum() - 1))


def cramers_v(first: Integers, second: Integers) -> float:
    """Bias-corrected Cramer's V of two columns of N class numbers, each from 0 and without gaps; 0..1."""
    n, k, r = len(first), int(first.max()) + 1, int(second.max()) + 1
    if n < 2:
        return 0.0
    phi = max(0.0, chi_square(first, second) / n - (k - 1) * (r - 1) / (n - 1))
    sides = k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1)
    smallest = min(sides) - 1
    return min(1.0, float(np.sqrt(phi / smallest))) if smallest > 0 else 0.0
