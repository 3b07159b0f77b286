"""How each label of a table is asked for: as a name or a measure, on which people, under which conditions."""

import numpy as np
import pandas as pd

from unbraid.probing.confounding import belongs, carrier
from unbraid.probing.nearest import Neighbours, never_itself
from unbraid.probing.probes import MOST_CLASSES, Question
from unbraid.probing.targets import Integers
from unbraid.protocol import same

# Columns of a label table that say nothing that a space could know, or repeat another.
NO_LABEL = ("key", "frames", "split", "walk", "other_clothes", "same_activity", "cross_activity")
# Numbers that take more values than this, not all of them whole, are measures; others are names.
NAMES = 10


def default_labels(table: pd.DataFrame) -> list[str]:
    """Identity, then every other column with two or more values that is known for at least half of the items.

    Left out are keys, walks, frame counts, helpers of protocols, and columns with a value of its own for each item.
    """
    others = []
    for name in (str(column) for column in table.columns):
        known = table[name].dropna()
        if name in (*NO_LABEL, "identity") or len(known) < len(table) / 2:
            continue
        if 1 < known.nunique() < len(known) or (known.nunique() > 1 and is_measure(table[name])):
            others.append(name)
    return ["identity", *others]


def is_measure(column: pd.Series) -> bool:
    """Whether a label is a measure: numbers, or texts that all are, of more than 10 values and not all whole."""
    known = column.dropna()
    if known.nunique() <= NAMES or known.dtype == bool:
        return False
    numbers = pd.to_numeric(known, errors="coerce")
    return bool(np.isfinite(numbers).all() and (numbers % 1 != 0).any())


def several(table: pd.DataFrame, label: str, *, of: str = "identity") -> bool:
    """Whether at least half of the people with two items, or values of another label, have two values of a label."""
    if label not in table.columns:
        return False
    counts = table.groupby(of).agg(items=("key", "size"), values=(label, "nunique"))
    counts = counts[counts["items"] > 1]
    return bool(len(counts) and (counts["values"] > 1).mean() >= 0.5)


def own(table: pd.DataFrame, label: str) -> bool:
    """Whether each value belongs to one person, and people have several."""
    if label == "identity" or is_measure(table[label]):
        return False
    return belongs(table, label, "identity") and several(table, label)


def question(table: pd.DataFrame, label: str, seed: int) -> Question:
    """The question of a label for probes: across people, or for identity across cameras and clothes."""
    people = table["identity"]
    if label != "identity":
        place = carrier(table, label)
        units = None if place == "key" else table[place]
        return Question(label, table[label], people, measured=is_measure(table[label]), units=units)
    together = table["clothes"] if several(table, "clothes") else table["walk"] if "walk" in table.columns else None
    return Question(label, people, people, halves=halves(table, seed), together=together, note=conditions(table)[1])


def halves(table: pd.DataFrame, seed: int) -> Integers:
    """N; 0 or 1: the two sides on which every person is shown differently, -1 for items on neither.

    Where people are seen by several cameras, half of the cameras are on one side; where they have several clothes, half
    of each person's, so that with both an item counts if both put it on the same side. With neither, half of each
    person's walks or items. At most 200 people, drawn by seed, are asked about.
    """
    random = np.random.default_rng([seed, 6])
    people = pd.factorize(table["identity"])[0].astype(np.int64)
    sides = []
    if several(table, "camera"):
        codes = pd.factorize(table["camera"])[0]
        order = random.permutation(codes.max() + 1)
        sides.append(np.where(codes < 0, -1, np.argsort(order)[codes] % 2))
    if several(table, "clothes"):
        sides.append(_per_person(people, pd.factorize(table["clothes"])[0].astype(np.int64), random))
    if not sides:
        items = table["walk"] if "walk" in table.columns else table["key"]
        sides.append(_per_person(people, pd.factorize(items)[0].astype(np.int64), random))
    agree = np.all([side == sides[0] for side in sides], axis=0) & (people >= 0)
    asked = random.permutation(people.max() + 1)[:MOST_CLASSES]
    return np.where(agree & np.isin(people, asked), sides[0], -1).astype(np.int64)


def _per_person(people: Integers, codes: Integers, random: np.random.Generator) -> Integers:
    """N; half of the values of each person are 0, the others 1; unknown ones -1."""
    pairs, place = np.unique(np.stack([people, codes], axis=1), axis=0, return_inverse=True)
    order = np.lexsort((random.random(len(pairs)), pairs[:, 0]))
    side, start = np.empty(len(pairs), np.int64), np.flatnonzero(np.diff(pairs[:, 0], prepend=-2))
    # `pairs` stand by person, so the places of a person are the same before and after mixing
    side[order] = (np.arange(len(pairs)) - np.repeat(start, np.diff([*start, len(pairs)]))) % 2
    return np.where((people < 0) | (codes < 0), -1, side[place.ravel()])


def conditions(table: pd.DataFrame) -> tuple[Neighbours, str]:
    """Who may be the nearest item when identity is asked for: items of other cameras, and in other clothes, where
    people have several; and how to say so. `halves` keeps to the same."""
    skip = never_itself(table)
    words: list[str] = []
    for label, other in (("camera", "another camera"), ("clothes", "other clothes")):
        if several(table, label):
            skip, words = skip | same(label), [*words, other]
    return Neighbours(table, skip), f"in {' and '.join(words)}" if words else "in another item"


def own_items(table: pd.DataFrame, label: str) -> tuple[Neighbours, str]:
    """Who may be the nearest item when a person's own outfits are asked for: the same person's other items, of other
    cameras where most outfits have several."""
    skip = never_itself(table) | ~same("identity")
    if several(table, "camera", of=label):
        return Neighbours(table, skip | same("camera")), "among items of the same person in other cameras"
    return Neighbours(table, skip), "among other items of the same person"
