"""Standing on both feet, the ground of every action in place."""

from dataclasses import dataclass

import numpy as np

from unbraid.world.motion.clip import Motion
from unbraid.world.motion.figure import DEGREE, Figure, foot_at, lowest
from unbraid.world.motion.style import Style, gain
from unbraid.world.people.skeleton import SIDES, Floats, turn

# Hips over ankles and half the distance of the ankles of someone who stands, leg lengths; the latter times stride.
HEIGHT = 0.99
WIDTH = 0.125


@dataclass(eq=False)
class Stance:
    """Where hips and feet of someone are who acts in place; every number may change with time, (T,).

    phase (T,): cycles. back, side, height: of the hips over the middle of the feet, leg lengths. pitch, bend, twist,
    tilt, nod: see `Figure.trunk`. roll: of the pelvis sideways. heels: pitch of both feet. heading: of the person.
    Angles in radians.
    """

    style: Style
    phase: Floats
    back: Floats | float = 0.0
    side: Floats | float = 0.0
    height: Floats | float = HEIGHT
    pitch: Floats | float = 0.0
    bend: Floats | float = 0.0
    twist: Floats | float = 0.0
    tilt: Floats | float = 0.0
    nod: Floats | float = 0.0
    heels: Floats | float = 0.0
    roll: Floats | float = 0.0
    heading: Floats | float = 0.0

    def figure(self, feet: dict[int, tuple[Floats, Floats]] | None = None) -> tuple[Figure, Floats]:
        """The figure without arms, and the height (T,) of its lowest sole.

        feet: ankle (T, 3) and orientation (T, 3, 3) by side (+1 left), for feet that do not both stand.
        """
        still = np.zeros_like(self.phase)
        figure = Figure(still + self.heading)
        idle = np.sin(2 * np.pi * self.phase)
        figure.trunk(
            self.style,
            pelvis=turn("y", still + self.roll) @ turn("z", 0.3 * (self.twist + still)),
            pitch=self.pitch,
            bend=still + self.bend + 0.01 * np.cos(2 * np.pi * self.phase),
            twist=self.twist + 0.015 * self.style.trunk * idle,
            tilt=self.tilt,
            nod=self.nod,
        )
        # Nobody stands still: weight moves from foot to foot, more on one of them.
        side = self.side + self.style.stride * 0.008 * idle + 0.25 * (self.style.leg_asymmetry - 1)
        height = still + self.height - 0.012 * (self.style.knee - 1)
        hips = np.einsum("tij,tj->ti", figure.facing, np.stack([still + side, still + self.back, height], axis=1))
        feet = feet or {sign: self.foot(sign) for _, sign in SIDES}
        for sign, (ankle, foot) in feet.items():
            figure.stand_on(sign, self.style, hips, ankle, foot)
        low = lowest(tuple(ankle for ankle, _ in feet.values()), tuple(foot for _, foot in feet.values()))
        return figure, np.maximum(low, 0.0)

    def foot(self, sign: int) -> tuple[Floats, Floats]:
        """Ankle (T, 3) and orientation (T, 3, 3) of a foot that stands."""
        still = np.zeros_like(self.phase)
        spot = np.stack([still + sign * WIDTH * self.style.stride, still], axis=1)
        return foot_at(spot, still + sign * (0.08 + self.style.toe_out), still + self.heels)


def idle_arm(
    figure: Figure, style: Style, phase: Floats, sign: int, *, swing: Floats | float = 0.0, twist: Floats | float = 0.0
) -> None:
    """A hanging arm; swing (T,) in radians forwards is added to the little that every arm moves."""
    side, wave = gain(style.arm_asymmetry, sign), np.sin(2 * np.pi * phase + sign)
    figure.arm(
        sign,
        flexion=DEGREE * (-2 + 3 * style.arm_swing * side * wave) + style.arm_swing * side * swing,
        abduction=0.02 + style.abduction,
        elbow=DEGREE * (9 + 4 * style.elbow_swing * side * (1 + wave)) + style.elbow,
        twist=twist,
    )


def in_place(figure: Figure, lift: Floats) -> Motion:
    """The motion of someone who stays where they are."""
    return Motion(rotations=figure.local(), translation=np.zeros((len(lift), 3)), lift=lift)
