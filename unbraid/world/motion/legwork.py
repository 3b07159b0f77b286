"""Actions of the legs on the spot: kick and turn.

Source: not in a paper; postures and tempo chosen by looking, within the ranges of healthy joints.
"""

import numpy as np

from unbraid.world.motion.clip import Motion
from unbraid.world.motion.figure import DEGREE, foot_at
from unbraid.world.motion.keys import keyed
from unbraid.world.motion.standing import HEIGHT, WIDTH, Stance, idle_arm, in_place
from unbraid.world.motion.style import Style, gain, stronger_leg, varied
from unbraid.world.people.skeleton import SIDES, Floats

KICK_SECONDS, TURN_SECONDS = 1.7, 1.0
TURN_PER_CYCLE = 65 * DEGREE


def kick(style: Style, times: Floats, random: np.random.Generator) -> Motion:
    """Swing the stronger leg back and kick forwards; the other leg stands, the arms balance."""
    strong = stronger_leg(style)
    style = varied(style, random)
    phase = random.uniform() + times * style.cadence / KICK_SECONDS
    size = style.stride * gain(style.leg_asymmetry, strong) * random.uniform(0.94, 1.06)
    onto = keyed(phase, (0.0, 0.0), (0.16, 1.0), (0.80, 1.0), (0.97, 0.0))
    back = keyed(phase, (0.0, 0.0), (0.12, 0.0), (0.34, 0.40), (0.47, -0.05), (0.57, -0.68), (0.74, -0.12), (0.86, 0.0))
    up = keyed(phase, (0.0, 0.0), (0.10, 0.0), (0.34, 0.36), (0.46, 0.16), (0.57, 0.42), (0.74, 0.13), (0.88, 0.0))
    pitch = keyed(phase, (0.0, 0.0), (0.10, 0.0), (0.34, -62.0), (0.46, -22.0), (0.57, 22.0), (0.74, -5.0), (0.88, 0.0))
    tip = keyed(phase, (0.0, 0.0), (0.08, 0.0), (0.34, 1.0), (0.57, -1.0), (0.86, 0.0))
    twist = strong * 16 * DEGREE * style.trunk * tip
    stance = Stance(
        style,
        phase,
        side=-strong * 0.085 * onto,
        back=-0.03 * onto + 0.03 * tip,
        height=HEIGHT - 0.03 * style.knee * onto,
        pitch=6 * DEGREE * tip,
        bend=DEGREE * (4 + 9 * tip) * onto,
        twist=-twist,
        tilt=-strong * 4 * DEGREE * style.trunk * onto,
        roll=strong * 3 * DEGREE * onto,
    )
    ankle, foot = stance.foot(strong)
    still = np.zeros_like(phase)
    turned, foot = foot_at(np.zeros((len(phase), 2)), strong * (0.08 + style.toe_out) + still, pitch * DEGREE)
    knee = 0.5 + 0.5 * style.knee
    ankle = ankle + np.stack([-strong * 0.05 * np.abs(tip), size * back, size * knee * up], axis=1)
    # Close to the ground the foot pivots on its toes, higher up about the ankle.
    near = np.exp(-((size * up / 0.08) ** 2))
    ankle += turned * near[:, None]
    figure, lift = stance.figure({strong: (ankle, foot), -strong: stance.foot(-strong)})
    for _, sign in SIDES:
        side = gain(style.arm_asymmetry, sign)
        # The arm of the standing leg goes forwards with the kick.
        swing = -28.0 * tip if sign != strong else 24.0 * tip
        figure.arm(
            sign,
            flexion=DEGREE * (2 + swing * (0.4 + 0.6 * style.arm_swing * side)),
            abduction=style.abduction + 0.04 + (0.32 if sign != strong else 0.2) * onto,
            elbow=DEGREE * (10 + 16 * style.elbow_swing * onto) + style.elbow,
            twist=-twist,
        )
    return in_place(figure, lift)


def turn_around(style: Style, times: Floats, random: np.random.Generator) -> Motion:
    """Turn on the spot with small steps, one foot standing while the other is put down anew."""
    style, way = varied(style, random), 1 if random.random() < 0.5 else -1
    start, rate = random.uniform(), style.cadence / TURN_SECONDS
    phase = start + times * rate
    angle = TURN_PER_CYCLE * style.stride
    heading = way * angle * (phase - start)
    feet = {}
    for _, sign in SIDES:
        own = phase - start if sign == way else phase - start - 0.5
        shifted = own + start
        cycle = np.floor(shifted)
        share = np.clip((shifted - cycle - 0.58) / 0.42, 0, 1)
        moved = share**3 * (10 - 15 * share + 6 * share**2)
        # In mid stance a foot points where the person does.
        planted = way * angle * (cycle + 0.29 + moved - start + (0.0 if sign == way else 0.5))
        height = 0.085 * gain(style.leg_asymmetry, sign) * style.knee * (64 * (share * (1 - share)) ** 3)
        spot = WIDTH * style.stride * sign * np.stack([np.cos(planted), np.sin(planted)], axis=1)
        pitch = -14 * DEGREE * np.sin(np.pi * share) ** 2 * (1 - share)
        ankle, foot = foot_at(spot, planted + sign * (0.08 + style.toe_out), pitch, rise=height)
        feet[sign] = (ankle, foot)
    # Weight is on the foot that stands: the left one when the leading foot is the right one, and so on.
    weight = np.cos(2 * np.pi * (phase - 0.29)) * way
    stance = Stance(
        style,
        phase,
        heading=heading,
        side=0.06 * weight,
        height=HEIGHT - 0.025 * style.knee,
        twist=way * 7 * DEGREE * style.trunk,
        roll=-2.5 * DEGREE * weight,
    )
    figure, lift = stance.figure(feet)
    for _, sign in SIDES:
        idle_arm(figure, style, phase, sign, swing=0.12 * weight * sign, twist=stance.twist)
    return in_place(figure, lift)
