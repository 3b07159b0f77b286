"""The result of the leakage verb: tables, warnings and verdicts, as text and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unbraid.probing.verdicts import percent, share

VERSION = 1


@dataclass(frozen=True, eq=False)
class Leakage:
    """What the spaces of some embeddings give away. Shares in 0..1; NaN, with a reason as note, without a claim.

    probes: a row per space, label and probe (see `probing.probes.probe`), and per space those of the probe 'nearest'
    (see `leakage`). retrieval: a row per space and label: whether the nearest item has the query's value.
    bias: the same of a search for people by the identity space. confounded: labels that are tied.
    dependence: rows of `probing.dependence`. factors: of `probing.factors`, None where too few are known.
    items, identities: looked at. warnings: what to know before reading. verdicts: what the numbers say.
    """

    items: int
    identities: int
    synthetic: bool
    origin: Mapping[str, str]
    probes: pd.DataFrame
    retrieval: pd.DataFrame
    bias: pd.DataFrame
    confounded: pd.DataFrame
    dependence: Sequence[Mapping[str, Any]]
    factors: Mapping[str, Any] | None
    warnings: tuple[str, ...]
    verdicts: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows; NaN becomes None."""
        told: dict[str, Any] = {
            "version": VERSION,
            "synthetic": self.synthetic,
            "origin": dict(self.origin),
            "items": self.items,
            "identities": self.identities,
        }
        for name in ("probes", "retrieval", "bias"):
            told[name] = getattr(self, name).to_dict("records")
        told["dependence"] = list(self.dependence)
        told["factors"] = self.factors
        told["confounded"] = self.confounded.to_dict("records")
        told |= {"warnings": list(self.warnings), "verdicts": list(self.verdicts)}
        plain: dict[str, Any] = _plain(told)
        return plain

    def __str__(self) -> str:
        lines = ["SYNTHETIC people; says nothing about real ones"] if self.synthetic else []
        head = f"{'score':>12}   {'95 % interval':<15}{'chance':>8}{'shuffled':>10}{'bits':>8}"
        rows = [(row["label"], row["space"], row["probe"], _read(row)) for row in self.probes.to_dict("records")]
        lines += [f"{self.items} items of {self.identities} identities", ""]
        lines += _columns([("label", "space", "read by", head), *rows])
        for title, table in (("found by the nearest item", self.retrieval), ("first matches of a search", self.bias)):
            found = table.to_dict("records")
            told = [(row["label"], row.get("space", "identity"), _found(row)) for row in found]
            lines += ["", f"{title}, rank-1", *_columns(told)]
        if self.dependence:
            shared = [(f"{pair['first']}, {pair['second']}", _shared(pair)) for pair in self.dependence]
            lines += ["", *_columns([("what spaces share", "   CKA      HSIC       p   smallest angle"), *shared])]
        if self.factors:
            lines += ["", f"one space for each of {', '.join(self.factors['dci']['factors'])}", _factors(self.factors)]
        for title, sentences in (("warnings", self.warnings), ("verdicts", self.verdicts)):
            lines += ["", title, *(f"- {sentence}." for sentence in sentences)] if sentences else []
        return "\n".join(lines)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of words under each other, all but the last of a width."""
    widths = [max((len(row[place]) for row in rows), default=0) + 2 for place in range(len(rows[0]) - 1 if rows else 0)]
    return [
        "".join([*(f"{word:<{w}}" for word, w in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows
    ]


def _read(row: Mapping[Any, Any]) -> str:
    if np.isnan(row["score"]):
        return f"   no claim: {row['note']}"
    scale, unit, digits = (1, "R2", 2) if row["metric"] == "r2" else (100, "%", 1)
    score, low, high, chance, shuffled = (
        f"{scale * row[name]:.{digits}f}" for name in ("score", "low", "high", "chance", "shuffled")
    )
    bits = "" if np.isnan(row["bits"]) else f"{row['bits']:.2f}"
    return f"{score:>9} {unit:<3}  {low + ' to ' + high:<15}{chance:>8}{shuffled:>10}{bits:>8}"


def _found(row: Mapping[Any, Any]) -> str:
    value = float(row["rank_1" if "rank_1" in row else "share"])
    if np.isnan(value):
        return f"no claim: {row['note']}"
    return f"{share(value, row['low'], row['high'])}, chance {percent(row['chance'])}, {row['note']}"


def _shared(pair: Mapping[str, Any]) -> str:
    if pair["cka"] is None:
        return f"no number: {pair['note']}"
    angle = f"{pair['angles'][0]:.0f} degrees" if pair["angles"] else pair["note"]
    return f"{pair['cka']:>6.2f}{pair['hsic']:>10.4f}{pair['p']:>8.3f}   {angle}"


def _factors(told: Mapping[str, Any]) -> str:
    """DCI, MIG and SAP in a line."""
    dci = {name: told["dci"][name] for name in ("disentanglement", "completeness", "informativeness")}
    numbers = {**dci, "MIG": told["mig"], "SAP": told["sap"]}
    return ", ".join(f"{name} {value:.2f}" for name, value in numbers.items())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
