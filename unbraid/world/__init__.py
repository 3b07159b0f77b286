"""The built-in world: synthetic people with every factor known, seen by cameras and a LiDAR."""

from unbraid.world.benchmarks import NamedWorld, named_world
from unbraid.world.config import WorldConfig
from unbraid.world.render import render

__all__ = ["NamedWorld", "WorldConfig", "named_world", "render"]
