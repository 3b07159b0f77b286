"""The built-in world: synthetic people who walk past cameras in changing clothes."""

from unbraid.world.config import WorldConfig
from unbraid.world.render import render

__all__ = ["WorldConfig", "render"]
