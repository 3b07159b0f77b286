"""Mimicked benchmark folders for the tests of the readers: empty files in the owners' layout."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from unbraid.data.benchmark import label_table
from unbraid.protocol import Rule
from unbraid.tracklet import Images, Tracklet


def touch(root: Path, *names: str) -> None:
    """Empty files, with their folders."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path: Path, *rows: str) -> None:
    """A text file of lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))


def facts(tracklets: Iterable[Tracklet]) -> list[tuple[str | None, ...]]:
    """(key, identity, label values in the order of their names) of each."""
    return [(t.key, t.identity, *(t.labels[name] for name in sorted(t.labels))) for t in tracklets]


def frames(tracklet: Tracklet, root: Path) -> list[str]:
    """Paths of the frames relative to root."""
    assert isinstance(tracklet.media, Images)
    return [path.relative_to(root).as_posix() for path in tracklet.media.paths]


def matrix(rule: Rule, query: Iterable[Tracklet], gallery: Iterable[Tracklet]) -> list[list[int]]:
    """The rule on the label tables of both sides, as 0 and 1."""
    return on(rule, label_table(query), label_table(gallery))


def on(rule: Rule, query: pd.DataFrame, gallery: pd.DataFrame) -> list[list[int]]:
    """The rule on two tables, as 0 and 1."""
    found = rule.on(query, gallery)(slice(0, len(query)))
    return [[int(value) for value in row] for row in np.asarray(found)]
