"""What a code base does beside choosing hits and skips: the differences between two evaluations, one field each."""

from dataclasses import dataclass
from typing import Literal

from unbraid.protocol import Protocol
from unbraid.ranking import AveragePrecision

Distance = Literal[
    "cosine", "flat cosine", "one minus cosine", "squared Euclidean", "unit squared Euclidean", "part Euclidean"
]
Column = Literal["rank_1", "rank_5", "rank_10", "mean_ap", "mean_inp"]

RANKS: tuple[Column, ...] = ("rank_1", "rank_5", "rank_10")
RANKS_AND_MAP: tuple[Column, ...] = (*RANKS, "mean_ap")
ALL: tuple[Column, ...] = (*RANKS_AND_MAP, "mean_inp")
# The identity that Market-1501 gives to boxes that show nobody well.
JUNK = "-1"


@dataclass(frozen=True)
class Habits:
    """How scores become numbers. The defaults are ours; the order of the fields is the order of explanations.

    distance: see `distances.SIMILARITIES`.
    junk: gallery items of identity -1 are skipped; else they are strangers like others.
    later_first: of equal scores the later gallery item comes first, as in a reversed ascending sort.
    ap: see `ranking.rank`.
    draws: 0 for the whole gallery; else the ranks are means over so many galleries of one item per identity.
    mateless: a query without a mate is 'left out' of all means, counts as 'wrong' (AP 0), or is 'wrong in ranks' and
        left out of mAP.
    by_view: means within each view of the queries first, then over views.
    decimals: per cent of each view, or cell of views, are rounded to so many decimals before they are averaged.
    """

    distance: Distance = "cosine"
    junk: bool = False
    later_first: bool = False
    ap: AveragePrecision = "step"
    draws: int = 0
    mateless: Literal["left out", "wrong", "wrong in ranks"] = "left out"
    by_view: bool = False
    decimals: int | None = None


@dataclass(frozen=True)
class Peer:
    """One evaluation function of another project, as a rule over distances and labels.

    name: the project. code: its function. ours: our protocol with the same hits and skips.
    labels: what it needs to know of every item. prints: the columns it reports.
    """

    name: str
    code: str
    ours: Protocol
    labels: tuple[str, ...]
    habits: Habits
    prints: tuple[Column, ...]

    def same_pairs(self, protocol: Protocol) -> bool:
        """Whether a protocol of ours hits and skips the same pairs, in the same cells, without a shot rule."""
        mine, other = ((str(p.hit), str(p.skip), p.cells) for p in (self.ours, protocol))
        return mine == other and protocol.shots is None
