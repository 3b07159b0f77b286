"""Rules of OpenGait, whose rankers differ among themselves: in who is skipped, who leaves the mean, and rounding.

Source: opengait/evaluation/metric.py and evaluator.py of the project; its configurations choose the Euclidean distance.
"""

from collections.abc import Mapping

import pandas as pd

from unbraid.peers.habits import ALL, Habits, Peer
from unbraid.protocol import Protocol, never, same

_SOURCE = "evaluation code of OpenGait"
VIEW = "view"

OTHER_VIEWS = Protocol(
    "other-views@1", hit=same("identity"), skip=same("identity") & same(VIEW), source=f"{_SOURCE}: evaluate_many"
)
WHOLE_GALLERY = Protocol(
    "whole-gallery@1", hit=same("identity"), skip=never(), source=f"{_SOURCE}: evaluate_rank (Gait3D, FreeGait)"
)
VIEW_CELLS = Protocol(
    "view-cells@1",
    hit=same("identity"),
    skip=never(),
    cells=VIEW,
    source=f"{_SOURCE}: single_view_gallery_evaluation (CASIA-B, OUMVLP, SUSTech1K)",
)

CELLS = Peer(
    "OpenGait view cells",
    "single_view_gallery_evaluation",
    VIEW_CELLS,
    ("identity", VIEW),
    Habits(distance="part Euclidean", mateless="wrong", decimals=2),
    ("rank_1", "rank_5"),
)
CROSS_VIEW = Peer(
    "OpenGait cross-view",
    "compute_ACC_mAP in cross_view_gallery_evaluation",
    OTHER_VIEWS,
    ("identity", VIEW),
    Habits(distance="part Euclidean", mateless="wrong in ranks", by_view=True, decimals=2),
    ("rank_1", "mean_ap"),
)
MANY = Peer("OpenGait CCPG", "evaluate_many", OTHER_VIEWS, ("identity", VIEW), Habits(distance="part Euclidean"), ALL)
RANK = Peer("OpenGait Gait3D", "evaluate_rank", WHOLE_GALLERY, ("identity",), Habits(distance="part Euclidean"), ALL)

PEERS = (CELLS, CROSS_VIEW, MANY, RANK)
PROTOCOLS: Mapping[str, Protocol] = {p.name: p for p in (OTHER_VIEWS, VIEW_CELLS, WHOLE_GALLERY)}


def gap(peer: Peer, query: pd.DataFrame, gallery: pd.DataFrame) -> str:
    """Why the function itself would print NaN or stop on these views; empty when it would not."""
    if not (peer.habits.by_view or peer.ours.cells):
        return ""
    asked, offered = (set(table[VIEW].dropna().astype(str)) for table in (query, gallery))
    if idle := sorted(offered - asked):
        return f"it prints NaN, because no query has the view {idle[0]!r}, which the gallery has"
    if peer.ours.cells and (alone := sorted(asked - offered)):
        return f"it stops with an error, because no gallery item has the view {alone[0]!r}, which the queries have"
    if peer.ours.cells and len(asked) < 2:
        return "it divides by zero, because there is one view only"
    return ""


def smallest_cell(gallery: pd.DataFrame) -> int:
    """Items of the view that has the fewest: its ranks end there."""
    return int(gallery[VIEW].value_counts().min())
