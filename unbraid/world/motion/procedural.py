"""The default source of motion: nine actions by formula."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unbraid.world.config import ACTIONS
from unbraid.world.motion.clip import Motion
from unbraid.world.motion.gestures import reach, squat, wave
from unbraid.world.motion.jump import jump
from unbraid.world.motion.legwork import kick, turn_around
from unbraid.world.motion.run import run
from unbraid.world.motion.style import Style
from unbraid.world.motion.walk import walk
from unbraid.world.people.skeleton import Floats


@dataclass(frozen=True)
class Procedural:
    """Motions by formula; sessions make no difference, every clip is a new draw."""

    name: str = "procedural"
    actions: tuple[str, ...] = ACTIONS

    def __call__(
        self, style: Style, times: Floats, random: np.random.Generator, *, action: str, session: int
    ) -> Motion:
        """See `MotionSource`. Raises ValueError for an unknown action."""
        if action not in DOING:
            raise ValueError(f"no procedural action {action!r}; known are {', '.join(DOING)}")
        return DOING[action](style, times, random)


def carry(style: Style, times: Floats, random: np.random.Generator) -> Motion:
    """Walk with a box in both hands."""
    # Here, because `holding` builds on motions.
    from unbraid.world.clothes.holding import hold

    return hold(walk(style, times, random), "box")


DOING: dict[str, Callable[[Style, Floats, np.random.Generator], Motion]] = {
    "walk": walk,
    "run": run,
    "jump": jump,
    "squat": squat,
    "wave": wave,
    "reach": reach,
    "kick": kick,
    "turn": turn_around,
    "carry": carry,
}
