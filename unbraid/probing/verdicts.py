"""What the numbers of a leakage run say, in plain sentences; and where they say nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

# A claim is this many standard errors above chance. A page compares up to two hundred numbers with chance, and of so
# many one in forty would be above its 95 % interval by luck; one in 700 is above three standard errors.
CLAIM = 3.0
# Standard errors from a mean to the end of its 95 % interval.
HALF = 1.96
READERS = {
    "linear": "a linear probe",
    "mlp": "a probe with one hidden layer",
    "knn": "the nearest neighbours",
    "nearest": "the nearest other item",
}

Row = Mapping[str, Any]


def is_claim(row: Row) -> bool:
    """Whether a score is so far above chance that it may be called leakage."""
    score, low, chance = float(row["score"]), float(row["low"]), float(row["chance"])
    return low > chance and score - CLAIM / HALF * (score - low) > chance


def verdicts(probes: pd.DataFrame, retrieval: pd.DataFrame, bias: pd.DataFrame, confounded: pd.DataFrame) -> list[str]:
    """One sentence per label and space, by its strongest probe, and one per label of the first matches.

    Nothing is said to be read where the interval holds chance, and nothing is said at all where there is no number.
    """
    said = []
    measured = probes[probes["score"].notna()]
    for (label, space), rows in measured.groupby(["label", "space"], sort=False):
        told: list[dict[Any, Any]] = rows.to_dict("records")
        found = retrieval[(retrieval["label"] == label) & (retrieval["space"] == space) & retrieval["rank_1"].notna()]
        of_all = _of_all(found.to_dict("records")) if label == "identity" else ""
        read = any(row["low"] > row["chance"] for row in told)
        others = tied(str(label), confounded.to_dict("records")) if read else []
        but = f"; but it is tied to {', '.join(others)} in this data, which may be what is read" if others else ""
        said.append(_of_space(str(label), str(space), told) + of_all + but)
    shares: list[dict[Any, Any]] = bias[bias["share"].notna()].to_dict("records")
    for row in shares:
        if is_claim({**row, "score": row["share"]}):
            said.append(
                f"{share(row['share'], row['low'], row['high'])} of the first matches by the identity space have the "
                f"query's {row['label']}, by chance {percent(row['chance'])} ({row['note']})"
            )
    return said


def _of_space(label: str, space: str, rows: Sequence[Row]) -> str:
    claims = [row for row in rows if is_claim(row)]
    hints = [row for row in rows if row["low"] > row["chance"]]
    if not hints:
        most = max(rows, key=lambda row: float(row["high"]))
        limit = f"at most {percent(most['high'])} {_chance(most)}"
        if most["metric"] == "r2":
            limit = f"an R2 of at most {max(0.0, most['high']):.2f}"
        return f"no sign of {label} in the {space} space: {limit}"
    best = max(claims or hints, key=lambda row: float(row["low"]))
    found = f"{share(best['score'], best['low'], best['high'])} {_chance(best)}"
    if best["metric"] == "r2":
        found = f"R2 {best['score']:.2f} ({best['low']:.2f} to {best['high']:.2f}), where 0 is nothing and 1 is all"
    where = f" ({best['note']})" if best["note"] else ""
    by = f"by {READERS[best['probe']]}{where}"
    if claims:
        return f"{label} can be read from the {space} space at {found}, {by}"
    return f"a weak sign of {label} in the {space} space, too close to chance for a claim: {found}, {by}"


def _chance(row: Row) -> str:
    return f"where chance is {percent(row['chance'])}"


def _of_all(found: Sequence[Mapping[Any, Any]]) -> str:
    """How often the nearest item is the same person whatever camera and clothes, which are easier to know."""
    row = found[0] if found else {}
    if not row or row["low"] <= row["chance"]:
        return ""
    return f"; with every other item left in, the nearest one is the same person at {_rank(row)}"


def _rank(row: Mapping[Any, Any]) -> str:
    return f"{share(row['rank_1'], row['low'], row['high'])} {_chance(row)}"


def tied(label: str, ties: Sequence[Mapping[Any, Any]]) -> list[str]:
    """What else a reader may have gone by; not who someone is, because all other probes meet strangers.

    ties: rows of `confounding.confounded`.
    """
    pairs = [(str(row["label"]), str(row["with"])) for row in ties]
    others = [other if one == label else one for one, other in pairs if label in (one, other)]
    return [name for name in others if name != "identity"]


def share(value: float, low: float, high: float) -> str:
    """'31.2 % (28.1 to 34.4)'."""
    return percent(value) if math.isnan(low) else f"{percent(value)} ({100 * low:.1f} to {100 * high:.1f})"


def percent(value: float) -> str:
    """A share in 0..1 in per cent, one decimal."""
    return f"{100 * value:.1f} %"
