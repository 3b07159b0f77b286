"""The rules by which other projects score embeddings, written anew, and how their numbers differ from ours."""

from unbraid.peers.compare import compare_rules as compare_rules
from unbraid.peers.table import Comparison as Comparison
