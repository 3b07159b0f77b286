"""A level walk with normative joint curves."""

import numpy as np

from unbraid.world.motion.clip import Motion
from unbraid.world.motion.figure import DEGREE, Figure
from unbraid.world.motion.gait import Gait, steps, stride
from unbraid.world.motion.style import Style, gain, varied
from unbraid.world.people.skeleton import SIDES, Floats, turn

WALK = Gait(
    thigh=(20, 20, 18, 14, 10, 5, 0, -6, -11, -15, -19, -18, -11, 0, 10, 19, 24, 25, 24, 22),
    knee=(5, 12, 17, 17, 14, 10, 7, 5, 4, 5, 9, 19, 36, 53, 60, 57, 44, 27, 11, 4),
    ankle=(0, -5, -4, 0, 3, 5, 7, 8, 9, 10, 8, 0, -13, -15, -10, -5, -1, 1, 1, 0),
    stance=0.60,
    least_knee=4.0,
    # The body's feet do not bend at the toes, so they roll over the tips; the full heel rise would lift the body.
    rigid=0.62,
    clearance=0.05,
    width=0.075,
    ahead=0.05,
)
STRIDE_SECONDS = 1.06


def walk(style: Style, times: Floats, random: np.random.Generator) -> Motion:
    """A level walk with random starting phase and slight variation from clip to clip.

    Source: leg curves are the normative adult thigh, knee and ankle motion of Perry and Burnfield, Gait
    Analysis: Normal and Pathological Function (2010), at their eight phases, interpolated and rounded to whole
    degrees; shoulder (24 degrees extension at own heel strike, 8 flexion half a cycle later) and elbow follow
    Murray, Sepic and Bernard, Patterns of sagittal rotation of the upper limbs in walking (1967). Pelvis and
    trunk rotate by about 4 degrees against each other. The stride takes 1.06 s at cadence gain 1.
    """
    style = varied(style, random)
    phase = random.uniform() + times * style.cadence / STRIDE_SECONDS
    return walk_at(style, phase)


def walk_at(style: Style, phase: Floats) -> Motion:
    """The walk at `phase` (T,) in cycles from the left heel strike."""
    wave, sideways = np.cos(2 * np.pi * phase), np.sin(2 * np.pi * (phase + 0.08))
    figure = Figure(np.zeros_like(phase))
    twist = 4 * DEGREE * style.trunk * wave
    pelvis = turn("z", -4 * DEGREE * wave) @ turn("y", -3 * DEGREE * sideways)
    figure.trunk(style, pelvis=pelvis, twist=twist, tilt=1.5 * DEGREE * style.trunk * sideways)
    # Hips are lowest in double support and move over the standing foot.
    legs = steps(WALK, style, lambda at: -0.018 * style.stride * np.cos(4 * np.pi * (at - 0.05)))
    sway = 0.022 * np.cos(2 * np.pi * (phase - 0.3))
    lift = stride(figure, WALK, style, phase, legs=legs, sway=sway)
    for _, sign in SIDES:
        swing = 2 * np.pi * (phase if sign > 0 else phase + 0.5)
        side = gain(style.arm_asymmetry, sign)
        figure.arm(
            sign,
            flexion=DEGREE * (-8 - 16 * style.arm_swing * side * np.cos(swing)),
            abduction=style.abduction,
            elbow=DEGREE * (10 + 10 * style.elbow_swing * side * (1 - np.cos(swing - 0.08 * np.pi))) + style.elbow,
            twist=twist,
        )
    still = np.zeros_like(phase)
    middle = phase.mean() if len(phase) else 0.0
    travel = np.stack([still, -legs[1].speed * (phase - middle), still], axis=1)
    return Motion(rotations=figure.local(), translation=travel, lift=lift)
