"""Searches with and without a mate in the gallery, and the thresholds between them: the arithmetic of open sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unbraid.trials import Floats, Interval, below, guarded, interval, percent, row
from unbraid.verification import most

NonMated = Literal["without mate", "mates removed"]
Single = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class SearchPoint:
    """FNIR at one FPIR. wanted: the FPIR asked for. threshold: show candidates that score at least this.

    fpir: reached, at most `wanted`. fnir: in 0..1. interval: 95 %, over query identities. reason: why the other fields
    are None; empty when they are not.
    """

    wanted: float
    threshold: float | None = None
    fpir: float | None = None
    fnir: float | None = None
    interval: Interval | None = None
    reason: str = ""

    def __str__(self) -> str:
        name = f"FNIR at FPIR {percent(self.wanted)}"
        if self.fnir is None or self.interval is None or self.threshold is None:
            return f"{name:<20} not reported: {self.reason}"
        return f"{name:<20}{row(self.fnir, self.interval)}     threshold {self.threshold:.6g}"


@dataclass(frozen=True, eq=False)
class Searches:
    """shown: best mate's score of each mated search, -inf beyond rank R. tops: best score of each non-mated search.

    shown_groups, tops_groups: numbers of the people who are searched for.
    """

    shown: Single
    shown_groups: Integers
    tops: Single
    tops_groups: Integers

    def threshold(self, fpir: float) -> float:
        """The smallest threshold whose FPIR is not above `fpir`."""
        return float(self.thresholds(np.array([most(len(self.tops), fpir)]))[0])

    def thresholds(self, errors: Integers) -> Single:
        """The smallest thresholds that so many non-mated searches, or fewer, reach."""
        descending = np.sort(self.tops)[::-1]
        found: Single = np.nextafter(descending[errors.clip(0, len(descending) - 1)], np.float32(np.inf))
        return found

    def tables(self, fpirs: Sequence[float], people: int) -> tuple[Integers, Integers, Integers, Integers]:
        """What each person adds at thresholds around the given FPIRs: false alarms people M, misses people M,
        non-mated searches people 1, mated searches people 1. The first threshold is below every score."""
        finite = np.concatenate([self.shown[np.isfinite(self.shown)], self.tops])
        ends = np.array([finite.min(), np.nextafter(finite.max(), np.float32(np.inf))]) if len(finite) else np.zeros(2)
        number = len(self.tops)
        errors = [e for f in fpirs for e in np.geomspace(max(1, number * f) / 4, 4 * number * f + 4, 64)]
        grid = np.unique(np.concatenate([ends, self.thresholds(np.array(errors, np.int64))] if errors else [ends]))
        grid = grid.astype(np.float32)
        missed = below(self.shown, self.shown_groups, grid, people)
        searches = np.bincount(self.tops_groups, minlength=people)[:, None]
        accepted = searches - below(self.tops, self.tops_groups, grid, people)
        return accepted, missed, searches, np.bincount(self.shown_groups, minlength=people)[:, None]

    def point(self, fpir: float, refused: str, rates: tuple[Floats, Floats], people: int) -> SearchPoint:
        """FNIR at an FPIR.

        refused: why it is not reported, or ''. rates: of `drawn_rates`. people: those in mated searches.
        """
        if refused:
            return SearchPoint(fpir, reason=refused)
        threshold = self.threshold(fpir)
        fnir = float((self.shown < np.float32(threshold)).mean())
        place = np.argmax(rates[0] <= fpir, axis=1)
        drawn = interval(np.take_along_axis(rates[1], place[:, None], 1)[:, 0], people)
        reached = float((self.tops >= np.float32(threshold)).mean())
        return SearchPoint(fpir, threshold, reached, fnir, guarded(fnir, drawn, people))


def drawn_rates(sums: Sequence[Floats]) -> tuple[Floats, Floats]:
    """FPIR and FNIR at each threshold in each draw with a mated search: draws M, twice. sums: of `Searches.tables`.

    Where there are non-mated searches, a draw without one is left out too.
    """
    accepted, missed, searches, mated = sums
    known = (mated > 0)[:, 0] & ((searches > 0)[:, 0] | ~(searches > 0).any())
    return accepted[known] / np.maximum(searches[known], 1), missed[known] / mated[known]
