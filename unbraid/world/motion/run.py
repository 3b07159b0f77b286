"""A run: the gait with flight between the steps."""

import numpy as np

from unbraid.world.motion.clip import Motion
from unbraid.world.motion.figure import DEGREE, Figure
from unbraid.world.motion.gait import Gait, steps, stride
from unbraid.world.motion.style import Style, gain, varied
from unbraid.world.people.skeleton import SIDES, Floats, turn

# 9.81 m/s2 in leg lengths of 0.8 m.
GRAVITY = 12.26
RUN = Gait(
    thigh=(32, 30, 25, 18, 10, 2, -6, -12, -14, -11, -3, 8, 20, 31, 39, 44, 45, 43, 39, 35),
    knee=(16, 28, 38, 43, 42, 36, 28, 22, 25, 40, 60, 80, 95, 100, 95, 82, 62, 40, 22, 14),
    ankle=(4, 10, 18, 24, 26, 20, 5, -14, -22, -16, -8, -2, 0, 2, 4, 5, 5, 5, 4, 3),
    stance=0.36,
    least_knee=10.0,
    rigid=0.55,
    clearance=0.06,
    width=0.045,
    ahead=0.0,
)
STRIDE_SECONDS = 0.74


def run(style: Style, times: Floats, random: np.random.Generator) -> Motion:
    """A level run with random starting phase: each foot stands for 36 % of its cycle, so both are in the air twice.

    Source: joint curves drawn after the running curves of Novacheck, The biomechanics of running (1998): knee flexion
    of about 40 degrees in stance and 100 in swing, hip flexion up to 45, stance of 36 to 39 %; values are our own
    reading, rounded. Arms and trunk are not from a paper; chosen by looking. The hips move freely under gravity in
    flight and along a half sine in stance.
    """
    style = varied(style, random)
    seconds = STRIDE_SECONDS / style.cadence
    phase = random.uniform() + times / seconds
    return run_at(style, phase, seconds)


def bounce(phase: Floats, seconds: float) -> Floats:
    """Height (T,) of the hips over their height at contact, in leg lengths; `seconds` per cycle."""
    stance, flight = RUN.stance * seconds, (0.5 - RUN.stance) * seconds
    speed = GRAVITY * flight / 2
    time = (phase % 0.5) * seconds
    air = np.maximum(time - stance, 0.0)
    ground = -speed * stance / np.pi * np.sin(np.pi * np.minimum(time, stance) / stance)
    return np.asarray(ground + speed * air - GRAVITY * air**2 / 2)


def run_at(style: Style, phase: Floats, seconds: float) -> Motion:
    """The run at `phase` (T,) in cycles from the left contact; `seconds` per cycle."""
    wave = np.cos(2 * np.pi * (phase - 0.05))
    figure = Figure(np.zeros_like(phase))
    twist = 8 * DEGREE * style.trunk * wave
    pelvis = turn("z", -5 * DEGREE * wave) @ turn("y", -2 * DEGREE * np.sin(2 * np.pi * (phase + 0.1)))
    figure.trunk(style, pelvis=pelvis, pitch=5 * DEGREE, bend=9 * DEGREE, twist=twist, nod=-4 * DEGREE)
    legs = steps(RUN, style, lambda at: bounce(at, seconds))
    sway = 0.008 * np.cos(2 * np.pi * (phase - RUN.stance / 2))
    lift = stride(figure, RUN, style, phase, legs=legs, sway=sway)
    for _, sign in SIDES:
        swing = 2 * np.pi * (phase if sign > 0 else phase + 0.5)
        side = gain(style.arm_asymmetry, sign)
        figure.arm(
            sign,
            flexion=DEGREE * (-10 - 10 * (1 + style.arm_swing * side) * np.cos(swing - 0.3)),
            abduction=0.12 + style.abduction,
            elbow=DEGREE * (80 - 10 * style.elbow_swing * side * np.cos(swing - 0.3)) + 0.8 * style.elbow,
            inward=28 * DEGREE,
            twist=twist,
        )
    still = np.zeros_like(phase)
    middle = phase.mean() if len(phase) else 0.0
    travel = np.stack([still, -legs[1].speed * (phase - middle), still], axis=1)
    return Motion(rotations=figure.local(), translation=travel, lift=lift)
