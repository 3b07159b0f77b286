"""Protocols as data: which pairs count as a hit, which are skipped.

A rule is a boolean matrix over (query, gallery) pairs written as an expression,
`same("identity") & ~same("clothes")`, and evaluated block by block on two label tables.
"""

from collections.abc import Callable
from dataclasses import dataclass
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


def same(label: str) -> Rule:
    """True where query and gallery carry the same known value; an unknown value is never the same."""

    def bind(query: pd.DataFrame, gallery: pd.DataFrame) -> Block:
        for side, table in (("query", query), ("gallery", gallery)):
            if label not in table.columns:
                raise KeyError(
                    f"the {side} table has no label {label!r}; it has {sorted(map(str, table.columns))}. "
                    f"Add the label to the data or choose a protocol that does not use it"
                )
        codes = pd.factorize(pd.concat([query[label], gallery[label]], ignore_index=True))[0]
        of_query, of_gallery = codes[: len(query)], codes[len(query) :]
        # factorize gives -1 to unknown values; another negative on one side keeps unknowns apart.
        of_query = np.where(of_query < 0, -2, of_query)
        return lambda rows: of_query[rows, None] == of_gallery[None, :]

    return Rule(f"same({label!r})", bind)


def never() -> Rule:
    """True nowhere: for protocols that skip nothing."""

    def bind(query: pd.DataFrame, gallery: pd.DataFrame) -> Block:
        return lambda rows: np.zeros((len(query.index[rows]), len(gallery)), dtype=bool)

    return Rule("never()", bind)


@dataclass(frozen=True)
class Protocol:
    """Turns labels into valid pairs: what is a hit and what is skipped.

    skip wins over hit; an unknown identity is never 'same'. Queries without a possible hit
    leave the mean; their number is reported.
    ap: 'step' averages precision at each hit (the usual rule); 'trapezoid' is the area rule of the
    original MARS and Oxford scripts, usually lower.
    """

    name: str
    hit: Rule
    skip: Rule
    ap: Literal["step", "trapezoid"] = "step"


PLAIN = Protocol("plain@1", hit=same("identity"), skip=same("key"))
CAMERA_CHANGE = Protocol("camera-change@1", hit=same("identity"), skip=same("identity") & same("camera"))
CLOTHES_CHANGE = Protocol(
    "clothes-change@1",
    hit=same("identity") & ~same("clothes"),
    skip=same("identity") & (same("camera") | same("clothes")),
)

NAMED = {p.name: p for p in (CAMERA_CHANGE, CLOTHES_CHANGE, PLAIN)}
