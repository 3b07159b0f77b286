"""What a motion is, and what gives motions."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from unbraid.world.motion.style import Style
from unbraid.world.people.skeleton import Floats


@dataclass(frozen=True, eq=False)
class Motion:
    """A clip of T frames, about 60 a second, that fits every body.

    rotations (T, 19, 3, 3): local rotations away from the neutral pose (see `skeleton`). The person faces -y in the
    middle of the clip.
    translation (T, 3): root displacement in leg lengths (thigh + shank). Only its horizontal part counts, and only
    while no foot is on the ground: else the path follows from the feet (see `pose`).
    lift (T,): wanted height of the lowest sole above the ground in leg lengths, 0 for someone who stands. None: the
    clip keeps its own vertical motion and is shifted as a whole.
    """

    rotations: Floats
    translation: Floats
    lift: Floats | None = None


class MotionSource(Protocol):
    """Whatever gives motions: procedural ones or recorded ones.

    name identifies the source and its content; it goes into the origin of a world. actions: what it can do.
    """

    @property
    def name(self) -> str: ...

    @property
    def actions(self) -> tuple[str, ...]: ...

    def __call__(
        self, style: Style, times: Floats, random: np.random.Generator, *, action: str, session: int
    ) -> Motion:
        """The motion of a person with `style` who does `action`.

        times (T,): seconds, evenly spaced, about 60 per second, 0 in mid clip, where the person faces -y. random: all
        chance of the clip. session: 0 for query, 1 for gallery and training; recorded clips of the two never overlap.
        Raises ValueError for an action that the source does not know.
        """
        ...
