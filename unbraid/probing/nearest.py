"""What a search finds: the label of the nearest other item, with chance, control and interval."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from unbraid.intervals import bootstrap
from unbraid.probing.probes import LEAST_PEOPLE
from unbraid.probing.targets import Floats, Integers
from unbraid.protocol import Rule, same
from unbraid.trials import guarded

BLOCK = 512  # queries looked at together


@dataclass(frozen=True)
class Found:
    """How often the nearest item that may be compared has the query's value. Shares in 0..1, NaN without a number.

    low, high: 95 % bootstrap interval over people, that of the rule of 3 where all or none agree. chance: the same for
    an item drawn at random from those that may be compared. shuffled: after dealing the values anew to the items.
    queries: items of known value that may be compared with an item of that value. identities: people they are of.
    note: why there is no number.
    """

    share: float
    low: float
    high: float
    chance: float
    shuffled: float
    queries: int
    identities: int
    note: str = ""


class Neighbours:
    """Every item as a query against all others but those that a rule skips.

    table: the N items, with 'identity' and the labels of the rule.
    """

    def __init__(self, table: pd.DataFrame, skip: Rule) -> None:
        self.table, self._skip = table.reset_index(drop=True), skip.on(table, table)
        self.people = pd.factorize(self.table["identity"])[0].astype(np.int64)
        # items of unknown people stand for themselves
        unknown = self.people < 0
        self._agreeing: dict[tuple[str, bool], Floats] = {}
        self.people[unknown] = self.people.max(initial=-1) + 1 + np.arange(np.count_nonzero(unknown))

    def _parts(self) -> Iterator[slice]:
        return (slice(start, min(start + BLOCK, len(self.table))) for start in range(0, len(self.table), BLOCK))

    def first(self, vectors: Tensor) -> Integers:
        """N; the row of the most similar item by inner product, the earlier of equals; -1 where there is none.

        vectors: N E, from `directions`.
        """
        found = np.full(len(self.table), -1, np.int64)
        for part in self._parts():
            skipped = torch.from_numpy(self._skip(part))
            alike = (vectors[part] @ vectors.T).masked_fill(skipped, -torch.inf)
            best = alike.argmax(dim=1).numpy()
            found[part] = np.where(skipped.all(dim=1).numpy(), -1, best)
        return found

    def agreeing(self, label: str, *, within: bool = False) -> Floats:
        """N; share of the items that may be compared with a query with its value; within: of its person's items."""
        if (label, within) not in self._agreeing:
            alike, shares = same(label).on(self.table, self.table), np.zeros(len(self.table))
            for part in self._parts():
                valid = ~self._skip(part)
                if within:
                    valid &= self.people[part, None] == self.people
                shares[part] = (alike(part) & valid).sum(axis=1) / np.maximum(1, valid.sum(axis=1))
            self._agreeing[label, within] = shares
        return self._agreeing[label, within]

    def found(self, label: str, first: Integers, *, mated: bool = True, within: bool = False, seed: int = 0) -> Found:
        """What a search finds of a label. first: from `first`.

        mated: count only queries that have an item of their value to find; else all that have an item and a value.
        within: values belong to one person each, as outfits do. Whoever finds the right person then finds the value
        more often than among all: chance is that of any item of the person who is found, 0 for a wrong one, and the
        control deals the values of each person anew among that person.
        """
        chance = self.agreeing(label)
        values = pd.factorize(self.table[label])[0]
        counted = (first >= 0) & (values >= 0) & ((chance > 0) | (not mated))
        people = self.people[counted]
        number = len(np.unique(people))
        counts: dict[str, Any] = {"queries": int(counted.sum()), "identities": number}
        note = "" if number >= LEAST_PEOPLE else f"{number} people can be tested, and a claim needs {LEAST_PEOPLE}"
        if not number:
            note = "no two items may be compared"
        if len(np.unique(values[counted])) == 1:
            note = f"all items have the same {label}"
        if note:
            nan = float("nan")
            return Found(nan, nan, nan, nan, nan, **counts, note=note)
        right = (values[first] == values)[counted].astype(float)
        known = np.flatnonzero(values >= 0)
        group = self.people[known] if within else np.zeros(len(known))
        mixed, drawn = values.copy(), np.random.default_rng([seed, 4]).random(len(known))
        mixed[known[np.argsort(group, kind="stable")]] = values[known[np.lexsort((drawn, group))]]
        low, high = guarded(float(right.mean()), bootstrap(right, people, seed=seed), number)
        shuffled = float((mixed[first] == mixed)[counted].mean())
        if within:
            chance = np.where(self.people[first] == self.people, self.agreeing(label, within=True), 0.0)
        return Found(float(right.mean()), low, high, float(chance[counted].mean()), shuffled, **counts)


def directions(space: Tensor) -> Tensor:
    """N E; vectors whose inner product is the cosine of a space N D, or its mean over parts for N P D."""
    value = space.detach().cpu().float()
    value = value if value.ndim == 3 else value[:, None]
    unit: Tensor = F.normalize(value, dim=2) / value.shape[1] ** 0.5
    return unit.flatten(1)


def never_itself(table: pd.DataFrame) -> Rule:
    """Skips the query itself and other sensors' records of the same walk."""
    return same("key") | same("walk") if "walk" in table.columns else same("key")
