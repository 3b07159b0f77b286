"""What an evaluation says, with counts, intervals and chance beside every score."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd

from unbraid.figures import Figure
from unbraid.intervals import Interval
from unbraid.ranking import AveragePrecision

# what a `protocol.Where` without labels says of itself
EVERYTHING = "everything"


class Told:
    """Numbers that travel: what every dataclass of results shares."""

    def as_dict(self) -> dict[str, Any]:
        """Every field but tables, in plain types; a NaN becomes None."""
        return {name: plain(value) for name, value in _fields(self) if not isinstance(value, pd.DataFrame)}

    def to_json(self) -> str:
        """`as_dict` as JSON text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False) + "\n"


@dataclass(frozen=True, eq=False)
class Result(Told):
    """One evaluation. Every score is in 0..1 and averages over the queries with a mate, within cells if any.

    protocol, hit, skip, ap_rule: the protocol's name, its two rules as text, its rule for AP.
    space: the embedding space that was compared, or those that the method's own similarity reads, joined by ' + '.
    cells: the label whose cells are averaged (see `Protocol`), or ''.
    queries, without_mate: all queries, and those of them that leave the means because no hit is possible.
    identities: different identities among the queries with a mate.
    gallery, distractors: all gallery items, and those of them whose identity is unknown.
    pairs: valid (query, gallery) pairs that are hits, of all draws together.
    *_interval: 95 % bootstrap interval over query identities, the gallery held fixed; that of the rule of 3 where the
        score is exactly 0 or 1, see `trials.guarded`; else NaN for one identity.
    *_chance: the expected value if every valid gallery were in random order.
    figures: TAR at 0.1 % FAR, rank-20 and FNIR at 1 % FPIR, each with counts and interval, or the reason why not.
    synthetic: True when the pixels were rendered; None when nobody said.
    origin: origins of the embeddings, 'query ...' and 'gallery ...'.
    table: one row per query: key, identity, ap, inp, first (rank of the first hit, 0 without a mate), hits, valid
        (gallery items not skipped), best (key at rank 1), share (of the row in every mean). With cells, one row per
        query and gallery value, and `cell`; with draws, one per query and `draw`.
    shots: how the gallery is drawn, see `protocol.Shots`, or ''; `gallery` then counts one draw, and draws their
        number, else 1.
    query_items, gallery_items: who takes part on each side, see `protocol.Where`, or 'everything'.
    zero_items: items of both sides whose features are zero everywhere: as alike to one item as to any other.
    """

    protocol: str
    hit: str
    skip: str
    ap_rule: AveragePrecision
    space: str
    cells: str
    queries: int
    without_mate: int
    identities: int
    gallery: int
    distractors: int
    pairs: int
    mean_ap: float
    mean_ap_interval: Interval
    mean_ap_chance: float
    rank_1: float
    rank_1_interval: Interval
    rank_1_chance: float
    rank_5: float
    rank_10: float
    rank_20: float
    mean_inp: float
    synthetic: bool | None
    origin: Mapping[str, str]
    table: pd.DataFrame
    figures: tuple[Figure, ...] = ()
    shots: str = ""
    draws: int = 1
    query_items: str = EVERYTHING
    gallery_items: str = EVERYTHING
    zero_items: int = 0

    def __str__(self) -> str:
        tail = f", {self.without_mate} without a mate left out" if self.without_mate else ""
        lines = [
            f"{self.protocol}: hit = {self.hit}; skip = {self.skip}; AP rule '{self.ap_rule}'; space '{self.space}'"
            + (f"; mean over cells of different {self.cells}" if self.cells else "")
            + (f"; gallery of {self.shots}" if self.shots else "")
            + taking_part(self.query_items, self.gallery_items),
            f"{self.queries} queries{tail}; {self.identities} identities; {self.gallery} gallery items, "
            f"{self.distractors} of unknown identity; {self.pairs} mated pairs"
            + (f" in {self.draws} draws" if self.shots else ""),
            "                      %     95 % interval     chance",
            _line("mAP", self.mean_ap, self.mean_ap_interval, self.mean_ap_chance),
            _line("rank-1", self.rank_1, self.rank_1_interval, self.rank_1_chance),
            _line("rank-5", self.rank_5),
            _line("rank-10", self.rank_10),
            *([] if self.figures else [_line("rank-20", self.rank_20)]),
            _line("mINP", self.mean_inp),
            *map(str, self.figures),
            *zero_warning(self.zero_items),
        ]
        return marked(self.synthetic, lines)


def marked(synthetic: bool | None, lines: Sequence[str]) -> str:
    """Lines as one text, under a mark where the pixels were rendered."""
    mark = ["SYNTHETIC data; says nothing about real people"] if synthetic else []
    return "\n".join([*mark, *lines])


def taking_part(query: str, gallery: str) -> str:
    """The end of a line about rules: which items of each side take part; '' for everything."""
    told = [f"; {name}: {items}" for name, items in (("queries", query), ("gallery", gallery)) if items != EVERYTHING]
    return "".join(told)


def zero_warning(items: int) -> list[str]:
    """A line about items whose features are all zero; none without them."""
    if not items:
        return []
    return [
        f"warning: the features of {items} item(s) are all zero: nothing tells them apart, and their scores are "
        f"worth nothing; look at how they were extracted"
    ]


def _fields(found: Any) -> list[tuple[str, Any]]:
    return [(field.name, getattr(found, field.name)) for field in fields(found)]


def plain(value: Any) -> Any:
    """A field of a result in the types of JSON: lists for tuples, mappings for dataclasses, None for NaN."""
    if is_dataclass(value):
        return {name: plain(one) for name, one in _fields(value)}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return dict(value)
    return None if isinstance(value, float) and np.isnan(value) else value


def _line(name: str, value: float, interval: Interval | None = None, chance: float | None = None) -> str:
    text = f"{name:<17}{100 * value:6.1f}"
    if interval is not None and chance is not None:
        text += f"     {100 * interval[0]:5.1f} to {100 * interval[1]:5.1f}     {100 * chance:6.2f}"
    return text
