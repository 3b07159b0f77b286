"""Rules of Simple-CCReID (CAL), which the clothes-changing line of work builds on.

Source: tools/eval_metrics.py of the project, functions `evaluate` and `evaluate_with_clothes`; test.py takes the cosine
of normalised vectors.
"""

from unbraid.data.protocols import CAMERA_CHANGE, CLOTHES_CHANGE, SAME_CLOTHES
from unbraid.peers.habits import RANKS_AND_MAP, Habits, Peer

_CLOTHES = ("identity", "camera", "clothes")
_COSINE = Habits(distance="flat cosine")

GENERAL = Peer("Simple-CCReID general", "evaluate", CAMERA_CHANGE, ("identity", "camera"), _COSINE, RANKS_AND_MAP)
CHANGED = Peer("Simple-CCReID CC", "evaluate_with_clothes, mode CC", CLOTHES_CHANGE, _CLOTHES, _COSINE, RANKS_AND_MAP)
SAME = Peer("Simple-CCReID SC", "evaluate_with_clothes, mode SC", SAME_CLOTHES, _CLOTHES, _COSINE, RANKS_AND_MAP)

PEERS = (GENERAL, CHANGED, SAME)
