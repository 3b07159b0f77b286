"""How synthetic people move: nine procedural actions in a personal style.

A *source of motion* (`MotionSource`) is anything that gives motions for a style, times and an action; recorded people
can take the place of `Procedural`.
"""

from unbraid.world.config import ACTIONS
from unbraid.world.motion.clip import Motion, MotionSource
from unbraid.world.motion.procedural import Procedural
from unbraid.world.motion.style import Style, draw_style

__all__ = ["ACTIONS", "Motion", "MotionSource", "Procedural", "Style", "draw_style"]
