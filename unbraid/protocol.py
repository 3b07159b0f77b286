"""Protocols as data: which pairs count as a hit, which are skipped.

A rule is a boolean matrix over (query, gallery) pairs written as an expression,
`same("identity") & ~same("clothes")`, and evaluated block by block on two label tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BoolMatrix = NDArray[np.bool_]
Block = Callable[[slice], BoolMatrix]


@dataclass(frozen=True)
class Rule:
    """A boolean (query, gallery) matrix as an expression; combine with `&`, `|` and `~`."""

    text: str
    bind: Callable[[pd.DataFrame, pd.DataFrame], Block]

    def on(self, query: pd.DataFrame, gallery: pd.DataFrame) -> Block:
        """A function from a slice of query rows to the matrix of those rows against all gallery rows.

        Raises KeyError naming a label that a table lacks and those it has.
        """
        return self.bind(query, gallery)

    def __and__(self, other: "Rule") -> "Rule":
        return _combine(self, other, "&", np.logical_and)

    def __or__(self, other: "Rule") -> "Rule":
        return _combine(self, other, "|", np.logical_or)

    def __invert__(self) -> "Rule":
        def bind(query: pd.DataFrame, gallery: pd.DataFrame) -> Block:
            inner = self.on(query, gallery)
            return lambda rows: ~inner(rows)

        return Rule(f"~{self.text}", bind)

    def __str__(self) -> str:
        return self.text


def _combine(left: Rule, right: Rule, sign: str, operate: Callable[..., BoolMatrix]) -> Rule:
    def bind(query: pd.DataFrame, gallery: pd.DataFrame) -> Block:
        a, b = left.on(query, gallery), right.on(query, gallery)
        return lambda rows: operate(a(rows), b(rows))

    return Rule(f"({left.text} {sign} {right.text})", bind)


def same(label: str, of_gallery: str | None = None) -> Rule:
    """True where query and gallery carry the same known value; an unknown value is never the same.

    of_gallery: the gallery's label to compare with, when it has another name than the query's.
    """
    other = of_gallery or label

    def bind(query: pd.DataFrame, gallery: pd.DataFrame) -> Block:
        need(query, "query", label)
        need(gallery, "gallery", other)
        codes = pd.factorize(pd.concat([query[label], gallery[other]], ignore_index=True))[0]
        # narrow numbers: masks are compared for every pair
        codes = codes.astype(np.min_scalar_type(-max(int(codes.max(initial=0)) + 1, 2)))
        asked, offered = codes[: len(query)], codes[len(query) :]
        # factorize gives -1 to unknown values; another negative on one side keeps unknowns apart.
        asked = np.where(asked < 0, -2, asked)
        return lambda rows: asked[rows, None] == offered[None, :]

    return Rule(f"same({label!r})" if other == label else f"same({label!r}, {other!r})", bind)


def never() -> Rule:
    """True nowhere: for protocols that skip nothing."""

    def bind(query: pd.DataFrame, gallery: pd.DataFrame) -> Block:
        return lambda rows: np.zeros((len(query.index[rows]), len(gallery)), dtype=bool)

    return Rule("never()", bind)


@dataclass(frozen=True)
class Where:
    """Which items of one side take part: those whose labels all have one of the values named.

    Where({"condition": ("normal", "bag"), "modality": ("depth",)})
    """

    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def rows(self, table: pd.DataFrame, side: str) -> NDArray[np.int64]:
        """Row numbers. side: 'query' or 'gallery', for messages.

        Raises KeyError for a missing label, ValueError when no row is left.
        """
        chosen = np.ones(len(table), dtype=bool)
        for label, values in self.labels.items():
            need(table, side, label)
            chosen &= table[label].isin(values).to_numpy()
        if len(table) and not chosen.any():
            raise ValueError(f"no {side} item has {self}; choose another protocol or other data")
        return np.flatnonzero(chosen)

    def __str__(self) -> str:
        return " and ".join(f"{label} in {list(values)}" for label, values in self.labels.items()) or "everything"


EVERYTHING = Where()


@dataclass(frozen=True)
class Shots:
    """A gallery drawn at random: `items` of each combination of values of the labels `per`, or all where there are
    fewer, in each of `draws` draws. Items of unknown identity stay in every draw.

    A draw depends on the seed and the keys alone, not on the order of the rows.
    Raises ValueError for fewer than 1 item or draw, and for no label.
    """

    items: int = 1
    draws: int = 10
    per: tuple[str, ...] = ("identity",)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.items < 1 or self.draws < 1 or not self.per:
            raise ValueError(f"a shot rule has at least 1 item, 1 draw and 1 label; got {self}")

    def rows(self, gallery: pd.DataFrame) -> list[NDArray[np.int64]]:
        """Row numbers of each draw, ascending. Raises KeyError for a missing label."""
        for label in ("key", "identity", *self.per):
            need(gallery, "gallery", label)
        known = gallery["identity"].notna().to_numpy()
        by_key = np.argsort(gallery["key"].astype(str).to_numpy(), kind="stable")
        ordered = by_key[known[by_key]]
        number = gallery.iloc[ordered].groupby(list(self.per), dropna=False, sort=True).ngroup().to_numpy()
        generator, found = np.random.default_rng(self.seed), []
        for _ in range(self.draws):
            mixed = generator.permutation(len(ordered))
            mixed = mixed[np.argsort(number[mixed], kind="stable")]
            groups = number[mixed]
            place = np.arange(len(mixed)) - np.searchsorted(groups, groups)
            found.append(np.sort(np.concatenate([ordered[mixed[place < self.items]], np.flatnonzero(~known)])))
        return found

    def __str__(self) -> str:
        return f"{self.items} item(s) per {' and '.join(self.per)}, mean of {self.draws} draws (seed {self.seed})"


@dataclass(frozen=True)
class Protocol:
    """Turns labels into valid pairs: what is a hit and what is skipped.

    skip wins over hit; an unknown identity is never 'same'. Queries without a possible hit
    leave the mean; their number is reported.
    query, gallery: the items of each side that take part.
    cells: name of a label, usually 'view', or ''. If given, a query is ranked against the gallery of each value of
    the label apart, its own value left out; scores are averaged within each cell (query value, gallery value), over
    the gallery values of a query value, and then over query values.
    ap: 'step' averages precision at each hit (the usual rule); 'trapezoid' is the area rule of the
    original MARS and Oxford scripts, usually lower.
    shots: the gallery is drawn at random, such as one picture per person; scores are means over the draws.
    source: where the rules come from.
    """

    name: str
    hit: Rule
    skip: Rule
    ap: Literal["step", "trapezoid"] = "step"
    query: Where = EVERYTHING
    gallery: Where = EVERYTHING
    cells: str = ""
    shots: Shots | None = None
    source: str = ""


def need(table: pd.DataFrame, side: str, label: str) -> None:
    """Raise KeyError, naming the labels that there are, when a side lacks one."""
    if label not in table.columns:
        raise KeyError(
            f"the {side} table has no label {label!r}; it has {sorted(map(str, table.columns))}. "
            f"Add the label to the data or choose a protocol that does not use it"
        )
