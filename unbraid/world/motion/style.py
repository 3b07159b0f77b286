"""How one person moves: gains on the movement of everyone, and a posture of their own."""

from dataclasses import dataclass, fields, replace

import numpy as np

POSTURE = ("lean", "head", "elbow", "abduction", "toe_out")


@dataclass(frozen=True, kw_only=True)
class Style:
    """How one person moves, in every action. Gains multiply the common movement, angles in radians are added to it.

    stride: gain of the legs (step length, depth of a squat, height of a kick ...). cadence: gain of the tempo. knee:
    gain of knee flexion. arm_swing, elbow_swing: gains of the movement of shoulders and elbows. trunk: gain of the
    rotation of the trunk. leg_asymmetry, arm_asymmetry: gain of the left side, the right side has two minus it; the
    stronger side is the one that kicks, waves and reaches. lean, head: forward. elbow: flexion. abduction: arms away
    from the trunk. toe_out: feet turned outwards. source: share 0..1 in the list of recorded people, for sources of
    motion that have such a list.
    """

    stride: float = 1.0
    cadence: float = 1.0
    knee: float = 1.0
    arm_swing: float = 1.0
    elbow_swing: float = 1.0
    trunk: float = 1.0
    leg_asymmetry: float = 1.0
    arm_asymmetry: float = 1.0
    lean: float = 0.04
    head: float = 0.05
    elbow: float = 0.1
    abduction: float = 0.03
    toe_out: float = 0.1
    source: float = 0.5


STYLE_RANGES = {
    "stride": (0.82, 1.18),
    "cadence": (0.86, 1.16),
    "knee": (0.88, 1.12),
    "arm_swing": (0.35, 1.7),
    "elbow_swing": (0.6, 1.6),
    "trunk": (0.5, 2.0),
    "leg_asymmetry": (0.9, 1.1),
    "arm_asymmetry": (0.8, 1.2),
    "lean": (-0.12, 0.22),
    "head": (-0.20, 0.30),
    "elbow": (-0.05, 0.55),
    "abduction": (-0.08, 0.24),
    "toe_out": (-0.05, 0.30),
    "source": (0.0, 1.0),
}


def draw_style(random: np.random.Generator, *, gait_spread: float = 1.0, posture_spread: float = 1.0) -> Style:
    """A personal style; the spreads scale STYLE_RANGES about their centres (0: everyone alike)."""
    values = {}
    for name, (low, high) in STYLE_RANGES.items():
        spread = posture_spread if name in POSTURE else gait_spread
        values[name] = (low + high) / 2 + spread * (random.uniform(low, high) - (low + high) / 2)
    values["source"] = min(max(values["source"], 0.0), 1.0)
    return Style(**values)


def varied(style: Style, random: np.random.Generator) -> Style:
    """The style of one clip: gains vary by 2 %, angles by about half a degree; the source stays."""
    changes = {}
    for field in fields(style):
        value, wobble = getattr(style, field.name), random.normal()
        if field.name != "source":
            changes[field.name] = value + 0.01 * wobble if field.name in POSTURE else value * (1 + 0.02 * wobble)
    return replace(style, **changes)


def stronger_arm(style: Style) -> int:
    """+1 for someone who waves and reaches with the left arm, -1 for the right; half of all people each."""
    return 1 if style.arm_asymmetry > 1 else -1


def stronger_leg(style: Style) -> int:
    """+1 for someone who kicks with the left leg, -1 for the right; half of all people each."""
    return 1 if style.leg_asymmetry > 1 else -1


def gain(asymmetry: float, sign: int) -> float:
    """The gain of the left (sign +1) or right (-1) side."""
    return 1 + sign * (asymmetry - 1)
