"""Means over queries as each code base takes them: who counts, what is averaged first, what is rounded."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unbraid.peers.habits import Habits
from unbraid.peers.ranked import Ranked

NAN = float("nan")


@dataclass(frozen=True)
class Scores:
    """rank-k, mAP and mINP in 0..1; NaN for a mean of nothing. counted, in_map: queries in the means of ranks, AP."""

    rank_1: float
    rank_5: float
    rank_10: float
    mean_ap: float
    mean_inp: float
    counted: int
    in_map: int


def scores(
    ranked: Ranked, habits: Habits, *, views: NDArray[np.str_] | None = None, shots: NDArray[np.int64] | None = None
) -> Scores:
    """The means of a ranking by some habits.

    views: the queries' own views, for cells and for `by_view`. shots: single-shot ranks, which `habits.draws` asks for.
    """
    ranking = ranked.ranking
    mated = ranking.mated
    everyone = np.ones(len(ranking), bool)
    for_ranks = mated if habits.mateless == "left out" else everyone
    for_ap = everyone if habits.mateless == "wrong" else mated
    in_cells = bool((ranked.offered != "").any())
    by_view = views is not None and (in_cells or habits.by_view)
    asked = views[ranked.query] if views is not None and by_view else np.full(len(ranking), "")
    frame = pd.DataFrame({"asked": asked, "offered": ranked.offered})

    def mean(values: NDArray[np.float64], use: NDArray[np.bool_]) -> float:
        if not use.any():
            return NAN
        if not by_view and habits.decimals is None:
            return float(values[use].mean())
        groups = frame[use].assign(value=values[use]).groupby(["asked", "offered"])["value"]
        # cells round 100 n / N, the others 100 times a mean: not always the same last digit
        percent = 100 * groups.sum() / groups.size() if in_cells else 100 * groups.mean()
        if habits.decimals is not None:
            percent = percent.round(habits.decimals)
        by_asked = percent.groupby(level="asked").mean()
        if habits.by_view:
            by_asked = by_asked.reindex(np.unique(asked))  # a view without a value is a NaN that spreads
        return float(by_asked.mean(skipna=False)) / 100

    def reached(rank: int) -> float:
        if habits.draws and shots is not None:
            return mean(((shots <= rank) & mated[:, None]).mean(axis=1), for_ranks)
        return mean(((ranking.first <= rank) & mated).astype(np.float64), for_ranks)

    return Scores(
        rank_1=reached(1),
        rank_5=reached(5),
        rank_10=reached(10),
        mean_ap=mean(np.where(mated, ranking.ap, 0.0), for_ap),
        mean_inp=mean(np.where(mated, ranking.inp, 0.0), for_ap),
        counted=len(np.unique(ranked.query[for_ranks])),
        in_map=len(np.unique(ranked.query[for_ap])),
    )
