"""Rules of the person re-identification libraries: items of the query's person in the query's camera are skipped.

Source of every rule: the function named, read in the project's own code (projects and commits in docs/compare.md).
"""

from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.peers.habits import ALL, RANKS_AND_MAP, Habits, Peer

_CAMERA = ("identity", "camera")

# Its default distance is 'cosine'; the compiled and the Python ranker follow one rule.
FAST_REID = Peer("fast-reid", "eval_market1501", CAMERA_CHANGE, _CAMERA, Habits(distance="one minus cosine"), ALL)
# Defaults of its engine: dist_metric 'euclidean', normalize_feature False.
TORCHREID = Peer(
    "torchreid", "eval_market1501", CAMERA_CHANGE, _CAMERA, Habits(distance="squared Euclidean"), RANKS_AND_MAP
)
TORCHREID_SINGLE_SHOT = Peer(
    "torchreid single-shot",
    "eval_cuhk03",
    CAMERA_CHANGE,
    _CAMERA,
    Habits(distance="squared Euclidean", draws=10),
    RANKS_AND_MAP,
)
# Sums over the queries that have a mate are divided by the number of all queries.
LAYUMI = Peer(
    "layumi baseline",
    "evaluate_gpu.py",
    CAMERA_CHANGE,
    _CAMERA,
    Habits(junk=True, later_first=True, ap="trapezoid", mateless="wrong"),
    RANKS_AND_MAP,
)
TRANSREID = Peer(
    "TransReID", "eval_func", CAMERA_CHANGE, _CAMERA, Habits(distance="unit squared Euclidean"), RANKS_AND_MAP
)

PEERS = (FAST_REID, TORCHREID, TORCHREID_SINGLE_SHOT, LAYUMI, TRANSREID)
