"""Actions of someone who stands: squat, wave, reach.

Source: not in a paper; postures and tempo chosen by looking, within the ranges of healthy joints.
"""

import numpy as np

from unbraid.world.motion.clip import Motion
from unbraid.world.motion.figure import DEGREE, INWARD, TOE, Figure
from unbraid.world.motion.keys import keyed
from unbraid.world.motion.standing import HEIGHT, Stance, idle_arm, in_place
from unbraid.world.motion.style import Style, gain, stronger_arm, varied
from unbraid.world.people.skeleton import SIDES, Floats

SQUAT_SECONDS, WAVE_SECONDS, REACH_SECONDS = 2.0, 1.9, 1.9


def squat(style: Style, times: Floats, random: np.random.Generator) -> Motion:
    """Bend knees and trunk, pick something up from the ground with one hand or both, rise."""
    strong, both = stronger_arm(style), bool(random.random() < 0.5)
    style = varied(style, random)
    phase = random.uniform() + times * style.cadence / SQUAT_SECONDS
    depth = (0.5 + 0.5 * style.stride) * random.uniform(0.94, 1.02)
    down = keyed(phase, (0.0, 0.0), (0.06, 0.0), (0.42, 1.0), (0.54, 1.0), (0.92, 0.0))
    stance = Stance(
        style,
        phase,
        back=0.20 * depth * down,
        height=HEIGHT - 0.50 * depth * down,
        pitch=28 * DEGREE * down,
        bend=57 * DEGREE * down,
        twist=0.0 if both else -strong * 12 * DEGREE * style.trunk * down,
        tilt=0.0 if both else strong * 5 * DEGREE * style.trunk * down,
        nod=-5 * DEGREE * down,
    )
    figure, lift = stance.figure()
    # Elbows bend while the thing comes up.
    gathered = keyed(phase, (0.0, 0.0), (0.5, 0.0), (0.74, 1.0), (0.84, 1.0), (0.99, 0.0))
    for _, sign in SIDES:
        if not both and sign != strong:
            # The free hand rests on the thigh.
            _resting(figure, style, sign, down)
            continue
        side = gain(style.arm_asymmetry, sign)
        figure.arm(
            sign,
            flexion=DEGREE * ((8 + 4 * style.arm_swing * side) * down + 14 * style.arm_swing * side * gathered),
            abduction=style.abduction * (1 - 0.5 * down) + 0.02 - 0.08 * down,
            elbow=DEGREE * (9 - 4 * down + 36 * style.elbow_swing * gathered) + style.elbow * (1 - 0.8 * down),
            inward=INWARD + 10 * DEGREE * gathered,
            twist=stance.twist,
        )
    return in_place(figure, lift)


def _resting(figure: Figure, style: Style, sign: int, down: Floats) -> None:
    side = gain(style.arm_asymmetry, sign)
    figure.arm(
        sign,
        flexion=DEGREE * (20 + 5 * style.arm_swing * side) * down,
        abduction=style.abduction + 0.02 + 0.1 * down,
        elbow=DEGREE * (9 + (38 + 8 * style.elbow_swing) * down) + style.elbow * (1 - 0.5 * down),
        inward=INWARD + 10 * DEGREE * down,
    )


def wave(style: Style, times: Floats, random: np.random.Generator) -> Motion:
    """Raise the stronger arm and wave; it comes down for a moment once in a cycle."""
    strong = stronger_arm(style)
    style = varied(style, random)
    phase = random.uniform() + times * style.cadence / WAVE_SECONDS
    up = keyed(phase, (0.0, 0.0), (0.04, 0.0), (0.26, 1.0), (0.78, 1.0))
    beat = np.sin(2 * np.pi * 4 * phase + random.uniform(-0.5, 0.5)) * up
    side = gain(style.arm_asymmetry, strong)
    twist = -strong * 3 * DEGREE * style.trunk * up
    stance = Stance(
        style, phase, side=0.02 * style.stride * strong * up, tilt=-strong * 3 * DEGREE * style.trunk * up, twist=twist
    )
    figure, lift = stance.figure()
    figure.arm(
        strong,
        flexion=DEGREE * (28 * up + 4 * style.arm_swing * side * beat),
        abduction=style.abduction + 0.02 + DEGREE * (58 + 16 * style.arm_swing * side) * up,
        elbow=DEGREE * (9 + 82 * up + 18 * style.elbow_swing * beat) + style.elbow * (1 - 0.3 * up),
        inward=INWARD - 85 * DEGREE * up + 14 * DEGREE * style.elbow_swing * beat,
        shrug=10 * DEGREE * up,
        twist=twist,
    )
    idle_arm(figure, style, phase, -strong, twist=twist)
    return in_place(figure, lift)


def reach(style: Style, times: Floats, random: np.random.Generator) -> Motion:
    """Take something from a high shelf with the stronger arm, on the toes."""
    strong = stronger_arm(style)
    style = varied(style, random)
    phase = random.uniform() + times * style.cadence / REACH_SECONDS
    up = keyed(phase, (0.0, 0.0), (0.05, 0.0), (0.40, 1.0), (0.62, 1.0), (0.96, 0.0))
    side = gain(style.arm_asymmetry, strong)
    twist = -strong * 14 * DEGREE * style.trunk * up
    heels = -16 * DEGREE * style.stride * up
    stance = Stance(
        style,
        phase,
        back=-0.06 * up,
        height=HEIGHT - TOE[1] * np.sin(-heels) - 0.005 * up,
        heels=heels,
        bend=-2 * DEGREE * up,
        twist=twist,
        tilt=-strong * 5 * DEGREE * style.trunk * up,
        nod=-14 * DEGREE * up,
        side=0.02 * strong * up,
    )
    figure, lift = stance.figure()
    figure.arm(
        strong,
        flexion=DEGREE * (132 + 12 * style.arm_swing * side) * up,
        abduction=style.abduction * (1 - 0.7 * up) + 0.02 + 0.12 * up,
        elbow=DEGREE * (9 + 60 * style.elbow_swing * up * (1 - up) + 8 * up) + style.elbow * (1 - 0.4 * up),
        inward=INWARD - 5 * DEGREE * up,
        shrug=16 * DEGREE * up,
        twist=twist,
    )
    idle_arm(figure, style, phase, -strong, swing=-0.25 * up, twist=twist)
    return in_place(figure, lift)
