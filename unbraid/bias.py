"""How often the nearest gallery item looks like the query in one respect."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from unbraid.intervals import bootstrap
from unbraid.protocol import Protocol, need, same
from unbraid.result import Result
from unbraid.trials import guarded, numbered


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
