"""What the doctor of data says: findings, and the tracklets they are about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unbraid.data.benchmark import Benchmark
from unbraid.tracklet import Media, Tracklet

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
SPLITS = ("train", "query", "gallery")
EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One thing found. check: its name. count: how many cases. examples: at most five. advice: what to do."""

    check: str
    severity: Severity
    count: int
    message: str
    examples: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True, eq=False)
class Item:
    """A tracklet with the splits that it stands in."""

    tracklet: Tracklet
    splits: set[str]


def finding(check: str, severity: Severity, cases: Sequence[object], message: str, advice: str = "") -> Finding:
    """A finding that counts its cases and shows the first of them."""
    return Finding(check, severity, len(cases), message, tuple(str(case) for case in cases[:EXAMPLES]), advice)


def items_of(benchmark: Benchmark) -> list[Item]:
    """Every tracklet once: where splits share a key and its files, one item stands in several splits."""
    found: dict[tuple[str, Media], Item] = {}
    for split in SPLITS:
        for tracklet in getattr(benchmark, split):
            found.setdefault((tracklet.key, tracklet.media), Item(tracklet, set())).splits.add(split)
    return list(found.values())
