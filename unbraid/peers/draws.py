"""The single-shot gallery of CUHK03: one item of each identity, drawn anew for every query and repetition."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unbraid.ranking import Block

Integers = NDArray[np.int64]


class SingleShots:
    """Ranks of the drawn mate among one drawn item of each identity.

    In each of `repeats` draws of a query, one item of each identity is drawn among those not skipped, all alike, and
    the rank is one plus the number of drawn items above the drawn mate (equal scores: the earlier gallery row first).
    All items of unknown identity together count as one identity, as where they share one number.
    Source: torchreid, metrics/rank.py, `eval_cuhk03`.

    identity: of the gallery. generator: draws in the order of the queries, so blocks of any size give the same.
    """

    def __init__(self, identity: pd.Series, repeats: int, generator: np.random.Generator) -> None:
        codes = pd.factorize(identity)[0].astype(np.int64)
        codes = np.where(codes < 0, codes.max(initial=-1) + 1, codes)
        self._codes, self._repeats, self._generator = codes, repeats, generator
        self._order = np.argsort(codes, kind="stable")
        self._counts = np.bincount(codes)
        self._starts = np.cumsum(self._counts) - self._counts

    @property
    def identities(self) -> int:
        """Identities of the gallery, the unknown ones as one."""
        return len(self._counts)

    def ranks(self, block: Block) -> Integers:
        """b repeats: rank from 1 of the drawn mate; 0 for a query without a mate, for which nothing is drawn.

        Skips and hits of a query must lie within one identity of the gallery.
        """
        found = np.zeros((len(block.scores), self._repeats), np.int64)
        for row, scores in enumerate(block.scores):
            mates = np.flatnonzero(block.hit[row] & ~block.skip[row])
            if not len(mates):
                continue
            chance = self._generator.random((self._repeats, len(self._counts)))
            drawn = self._order[self._starts + (chance * self._counts).astype(np.int64)]
            own = self._codes[mates[0]]
            mate = mates[(chance[:, own] * len(mates)).astype(np.int64)]
            drawn[:, own] = mate
            theirs, level = scores[drawn], scores[mate][:, None]
            above = (theirs > level) | ((theirs == level) & (drawn < mate[:, None]))
            found[row] = 1 + above.sum(axis=1)
        return found
