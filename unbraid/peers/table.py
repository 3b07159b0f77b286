"""The same embeddings under the rules of several code bases, side by side: rows, rates, and how they are shown."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any

import pandas as pd

from unbraid.intervals import Interval
from unbraid.peers.habits import ALL

OURS = "ours"
WIDTH = 120


@dataclass(frozen=True)
class Row:
    """One rule's numbers, in 0..1; None where the code does not report the number or it is not known.

    rule, code: the project and its function; 'ours' and the protocol's name for our own. protocol: the one of ours that
    hits and skips the same pairs. counted, in_map: queries in the means of ranks and of AP; queries: all.
    intervals: 95 %, of our own numbers, as `evaluate` gives them.
    reasons: why the numbers differ from ours, one habit after the other, or that they cannot.
    problem: why there are no numbers; empty when there are.
    """

    rule: str
    code: str
    protocol: str
    rank_1: float | None = None
    rank_5: float | None = None
    rank_10: float | None = None
    mean_ap: float | None = None
    mean_inp: float | None = None
    counted: int = 0
    in_map: int = 0
    queries: int = 0
    intervals: Mapping[str, Interval] | None = None
    reasons: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Rate:
    """fast-reid's TPR@FPR beside the true TAR@FAR, on the same pairs.

    wanted: the rate asked for. printed: what fast-reid prints as TPR@FPR; it is the share of impostor pairs rejected
    where a share `fnmr` of the genuine pairs is rejected. tar: share of genuine pairs accepted where at most `wanted`
    of the impostor pairs are; interval: 95 %; reason: why there is none.
    """

    wanted: float
    printed: float
    fnmr: float
    tar: float | None
    interval: Interval | None
    reason: str
    genuine: int
    impostors: int


@dataclass(frozen=True)
class Comparison:
    """Rows by protocol, ours first in each. headers: what each protocol hits and skips, averages and chooses on each
    side. rates: of fast-reid, or empty.

    space: the embedding space compared. queries, gallery: items of each side. seed: of single-shot draws and intervals.
    synthetic: True when the pixels were rendered; None when nobody said. zero_items: as in `result.Result`.
    """

    rows: tuple[Row, ...]
    headers: Mapping[str, str]
    rates: tuple[Rate, ...]
    rates_reason: str
    space: str
    queries: int
    gallery: int
    seed: int
    synthetic: bool | None
    zero_items: int

    @property
    def frame(self) -> pd.DataFrame:
        """One line per rule, with all fields of `Row` but the intervals; reasons joined by line ends."""
        lines = [{**asdict(row), "reasons": "\n".join(row.reasons)} for row in self.rows]
        return pd.DataFrame(lines).drop(columns="intervals")

    def as_dict(self) -> dict[str, Any]:
        """Every field in plain types; a NaN becomes None."""
        found: dict[str, Any] = _plain(asdict(self))
        return found

    def to_json(self) -> str:
        """`as_dict` as JSON text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False) + "\n"

    def __str__(self) -> str:
        lines = ["SYNTHETIC data; says nothing about real people"] if self.synthetic else []
        lines.append(f"{self.queries} queries, {self.gallery} gallery items; space {self.space!r}; per cent")
        for protocol, header in self.headers.items():
            rows = [row for row in self.rows if row.protocol == protocol]
            scored = [row for row in rows if not row.problem]
            if scored:
                lines += ["", f"{protocol}: {header}", _HEAD]
                for row in scored:
                    lines += _shown(row)
            for row in (row for row in rows if row.problem and scored):
                lines.append(f"{row.rule} ({row.code}) not scored: {row.problem}")
            if not scored:
                lines += ["", f"{protocol} not scored ({', '.join(row.rule for row in rows)}): {rows[0].problem}"]
        lines += self._rates()
        if self.zero_items:
            lines += ["", f"warning: the features of {self.zero_items} item(s) are all zero: nothing tells them apart"]
        return "\n".join(lines)

    def _rates(self) -> list[str]:
        if not self.rates:
            return ["", f"TPR@FPR of fast-reid not scored: {self.rates_reason}"] if self.rates_reason else []
        first = self.rates[0]
        lines = [
            "",
            f"fast-reid's TPR@FPR has its axes swapped ({first.genuine} genuine, {first.impostors} impostor pairs):",
            f"{'at':>8} {'it prints':>10}   which is                                   true TAR@FAR (95 % interval)",
        ]
        for rate in self.rates:
            really = f"impostors rejected where FNMR is {100 * rate.fnmr:.3g} %"
            true = f"not reported: {rate.reason}"
            if rate.tar is not None and rate.interval is not None:
                low, high = rate.interval
                true = f"{100 * rate.tar:.2f} ({100 * low:.1f} to {100 * high:.1f})"
            lines.append(f"{rate.wanted:>8.0e} {100 * rate.printed:>10.2f}   {really:<42} {true}")
        return lines


_HEAD = f"{'':<24}{'rank-1':>8}{'rank-5':>8}{'rank-10':>8}{'mAP':>8}{'mINP':>8}   queries counted"


def _shown(row: Row) -> list[str]:
    counted = f"{row.counted} of {row.queries}"
    if row.mean_ap is not None and row.in_map != row.counted:
        counted += f" ({row.in_map} in mAP)"
    numbers = "".join(_number(getattr(row, column)) for column in ALL)
    lines = [f"{row.rule:<24}{numbers}   {counted}"]
    if row.intervals:
        told = ", ".join(f"{name} {100 * low:.1f} to {100 * high:.1f}" for name, (low, high) in row.intervals.items())
        lines.append(f"    95 % intervals: {told}")
    if row.rule != OURS:
        lines.append(f"    {row.code}")
    for reason in row.reasons:
        lines += wrap(reason, WIDTH, initial_indent="    - ", subsequent_indent="      ", break_long_words=False)
    return lines


def _number(value: float | None) -> str:
    if value is None:
        return f"{'-':>8}"
    return f"{'NaN':>8}" if math.isnan(value) else f"{100 * value:>8.2f}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
