"""Rules of OpenGait, whose rankers differ among themselves: in who is skipped, who leaves the mean, and rounding.

Source: opengait/evaluation/metric.py and evaluator.py of the project; its configurations choose the Euclidean distance.
"""

import pandas as pd

from unbraid.data.protocols import OTHER_VIEWS, VIEW_CELLS, WHOLE_GALLERY
from unbraid.peers.habits import ALL, Habits, Peer

VIEW = "view"

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
