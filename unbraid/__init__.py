"""Recognise people by disentangled features, and measure how well they are disentangled.

The nouns are here, and `load`, which opens a trained method; the other verbs are imported from their modules:
`from unbraid.train import train`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbraid.batch import Batch as Batch
    from unbraid.batch import Clip as Clip
    from unbraid.data.benchmark import Benchmark as Benchmark
    from unbraid.method import Method as Method
    from unbraid.protocol import Protocol as Protocol
    from unbraid.protocol import Rule as Rule
    from unbraid.recipe import Recipe as Recipe
    from unbraid.spaces import Embeddings as Embeddings
    from unbraid.spaces import Spaces as Spaces
    from unbraid.tracklet import Tracklet as Tracklet
    from unbraid.zoo import load as load

__version__ = "0.1.0"

# in the order a reader meets them; looked up when asked for, because torch takes seconds to import
_HOMES = {
    "Tracklet": "unbraid.tracklet",
    "Benchmark": "unbraid.data.benchmark",
    "Clip": "unbraid.batch",
    "Batch": "unbraid.batch",
    "Spaces": "unbraid.spaces",
    "Embeddings": "unbraid.spaces",
    "Method": "unbraid.method",
    "Rule": "unbraid.protocol",
    "Protocol": "unbraid.protocol",
    "Recipe": "unbraid.recipe",
    "load": "unbraid.zoo",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"unbraid has no {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(_HOMES[name]), name)
