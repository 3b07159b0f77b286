"""What a report is made of, and every number of it in plain types: page and JSON are both written from these facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unbraid.intervals import Floats, bootstrap
from unbraid.result import Result
from unbraid.trials import guarded
from unbraid.verify import Verification
from unbraid.viz import Picture

FORMAT = "unbraid report 1"
WORST = 10
RANKS = 20
SPACE = "\N{NO-BREAK SPACE}"
LEAKAGE_COLUMNS = ("space", "label", "probe", "metric", "score", "low", "high", "chance")


@dataclass(frozen=True)
class Check:
    """A named number that can be judged without identities, such as tracklets per episode of a real video.

    value, expected: a number, or words. passed: None when the number is only reported.
    """

    name: str
    value: float | str
    expected: float | str = ""
    passed: bool | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything a report shows. What is empty leaves no trace on the page.

    title: heading of the page.
    results: name -> Result, in the order of the table; the first one makes the summary.
    synthetic: True when the pixels were rendered; the page then says so at its top. A synthetic result does the same.
    summary: one sentence; None writes it from the first result.
    notes: sentences for the top of the page, such as known limits of this run.
    origin: what made the numbers: weights hash, recipe, data, commit, seeds, versions.
    leakage: table made by `unbraid.leakage.probed`, or the probes of `unbraid.leakage.leakage`.
    pictures: strips, heat maps and scatters; the report draws CMC and DET curves and leakage bars itself.
    verifications: name -> Verification, for the DET curves.
    """

    title: str
    results: Mapping[str, Result] = field(default_factory=lambda: MappingProxyType({}))
    synthetic: bool = False
    summary: str | None = None
    notes: Sequence[str] = ()
    origin: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    leakage: pd.DataFrame | None = None
    checks: Sequence[Check] = ()
    pictures: Sequence[Picture] = ()
    verifications: Mapping[str, Verification] = field(default_factory=lambda: MappingProxyType({}))


def facts(evidence: Evidence) -> dict[str, Any]:
    """The evidence without its pixels, in types that JSON knows; NaN and infinities become None.

    Raises ValueError for a leakage table that lacks a column.
    """
    measured: list[Result | Verification] = [*evidence.results.values(), *evidence.verifications.values()]
    synthetic = evidence.synthetic or any(one.synthetic for one in measured)
    told = {
        "format": FORMAT,
        "title": evidence.title,
        "synthetic": synthetic,
        "summary": evidence.summary if evidence.summary is not None else summary(evidence),
        "notes": list(evidence.notes),
        "results": [
            {
                "name": name,
                **result.as_dict(),
                "cmc": cmc(result),
                "cmc_chance": cmc_chance(result),
                "worst": worst(result),
            }
            for name, result in evidence.results.items()
        ],
        "verification": [
            {"name": name, **v.as_dict(), "det": v.det[["threshold", "fmr", "fnmr"]].to_dict("list")}
            for name, v in evidence.verifications.items()
        ],
        "leakage": _leakage_rows(evidence.leakage),
        "checks": [
            {"name": c.name, "value": c.value, "expected": c.expected, "passed": c.passed} for c in evidence.checks
        ],
        "origin": dict(evidence.origin),
        "pictures": [
            {"section": p.section, "title": p.title, "caption": p.caption, "alt": p.alt} for p in evidence.pictures
        ],
    }
    plain: dict[str, Any] = _plain(told)
    return plain


def summary(evidence: Evidence) -> str:
    """One sentence about the first result, or about the checks when there is none."""
    if evidence.results:
        name, result = next(iter(evidence.results.items()))
        low, high = result.mean_ap_interval
        known = not np.isnan([low, high]).any()
        interval = f"95{SPACE}% interval {100 * low:.1f} to {100 * high:.1f}, " if known else ""
        return (
            f"{name} under {result.protocol}: mAP {_percent(result.mean_ap)} ({interval}chance "
            f"{_percent(result.mean_ap_chance)}) and rank-1 {_percent(result.rank_1)} (chance "
            f"{_percent(result.rank_1_chance)}), for {result.queries - result.without_mate} queries of "
            f"{result.identities} identities in a gallery of {result.gallery}."
        )
    judged = [check.passed for check in evidence.checks if check.passed is not None]
    if judged:
        return f"{sum(judged)} of {len(judged)} checks passed; nothing here measures recognition."
    return "No numbers: this page shows pictures only." if evidence.pictures else "This report is empty."


def _percent(share: float) -> str:
    return f"{100 * share:.1f}{SPACE}%"


def cmc(result: Result, ranks: int = RANKS) -> list[float]:
    """Share of mated queries whose first hit has rank <= 1 .. ranks, averaged as the protocol says."""
    first, share = _firsts(result)
    # shares may add up to a little more than 1
    return [min(1.0, float(share @ (first <= rank))) for rank in range(1, ranks + 1)]


def cmc_band(result: Result, ranks: int = RANKS, *, seed: int = 0) -> tuple[Floats, Floats]:
    """95 % intervals of `cmc`: bootstrap over query identities, the gallery held fixed, or the rule of 3 where all
    queries or none have a hit so far; lower and upper ends."""
    first, share = _firsts(result)
    known = result.table["identity"][result.table["first"] > 0]
    # queries have an identity where they have a mate, but for rules that go by another label
    people = known.where(known.notna(), [f"unknown {row}" for row in known.index])
    codes = pd.factorize(people)[0].astype(np.int64)
    number, ends = len(np.unique(codes)), []
    for rank in range(1, ranks + 1):
        found = (first <= rank).astype(np.float64)
        # shares may add up to a little more or less than 1; the plain mean is 0 or 1 exactly when all or none are
        ends.append(guarded(float(found.mean()), bootstrap(found, codes, seed=seed, weights=share), number))
    low, high = np.array(ends).T
    return np.nan_to_num(low, nan=0.0).clip(0, 1), np.nan_to_num(high, nan=1.0).clip(0, 1)


def cmc_chance(result: Result, ranks: int = RANKS) -> list[float]:
    """The same for galleries in random order: mean over queries of 1 - C(N - m, k) / C(N, k), m hits among N items."""
    table = result.table[result.table["first"] > 0]
    share = _firsts(result)[1]
    hits, valid = (table[name].to_numpy(dtype=np.float64) for name in ("hits", "valid"))
    miss: Floats = np.ones(len(table))
    shares = []
    for drawn in range(ranks):
        miss = miss * np.clip(valid - hits - drawn, 0, None) / np.maximum(valid - drawn, 1)
        shares.append(max(0.0, float(1 - share @ miss)))
    return shares


def _firsts(result: Result) -> tuple[NDArray[np.int64], Floats]:
    """Rank of the first hit of each row with a mate, and the row's share in every mean."""
    table = result.table[result.table["first"] > 0]
    share = table["share"].to_numpy(np.float64) if "share" in table else np.full(len(table), 1 / max(len(table), 1))
    return table["first"].to_numpy(np.int64), share


def worst(result: Result, number: int = WORST) -> list[dict[str, Any]]:
    """The queries with the lowest AP, lowest first; those without a mate have no AP and are not among them."""
    table = result.table[result.table["first"] > 0].sort_values(["ap", "inp"], kind="stable").head(number)
    columns = ["key", "identity", "ap", "first", "hits", "valid", "best"]
    rows: list[dict[str, Any]] = [
        dict(zip(columns, row, strict=True)) for row in table[columns].itertuples(index=False)
    ]
    return rows


def _leakage_rows(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    if table is None or table.empty:
        return []
    missing = [name for name in LEAKAGE_COLUMNS if name not in table.columns]
    if missing:
        raise ValueError(
            f"the leakage table has no column {missing}; it has {list(map(str, table.columns))}. "
            f"Expected the table that `unbraid.leakage.probed` returns"
        )
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, (bool, int, str)) else str(value)
