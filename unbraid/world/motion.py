"""How synthetic people move: a walk with normative joint curves and a personal style.

A *motion source* is any callable with the signature of `MotionSource`; real motion capture can take the place of
`walk` by giving the same two arrays.
"""

from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np

from unbraid.world.skeleton import BONES, INDEX, PARENTS, SIDES, Floats, turn

# Sagittal angles in degrees at 0, 5, ..., 95 % of the cycle, which starts with the foot's own heel strike.
THIGH = (20, 20, 18, 14, 10, 5, 0, -6, -11, -15, -19, -18, -11, 0, 10, 19, 24, 25, 24, 22)
KNEE = (5, 12, 17, 17, 14, 10, 7, 5, 4, 5, 9, 19, 36, 53, 60, 57, 44, 27, 11, 4)
ANKLE = (0, -5, -4, 0, 3, 5, 7, 8, 9, 10, 8, 0, -13, -15, -10, -5, -1, 1, 1, 0)
HARMONICS = 5
STRIDE_SECONDS = 1.06
SPEED_WINDOW = (0.20, 0.45)
# The body's feet do not bend at the toes, so they roll over the tips; the full heel rise would lift the body.
RIGID_FOOT = 0.62
DEGREE = np.pi / 180

POSTURE = ("lean", "head", "elbow", "abduction", "toe_out")


@dataclass(frozen=True, kw_only=True)
class Style:
    """How one person walks. Gains multiply the normative curves, angles in radians are added to them.

    stride, cadence, knee, arm_swing, elbow_swing, trunk: gains. leg_asymmetry, arm_asymmetry: gain of the left
    side, the right side has two minus it. lean, head: forward. elbow: flexion. abduction: arms away from the
    trunk. toe_out: feet turned outwards.
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
}


@dataclass(frozen=True, eq=False)
class Motion:
    """A clip of T frames that fits every body.

    rotations (T, 19, 3, 3): local rotations away from the neutral pose (see `skeleton`).
    translation (T, 3): root displacement in leg lengths (thigh + shank), walking towards -y.
    grounded: True when a foot touches the ground in every frame; the height of the root then follows the
    feet. False: the clip keeps its own vertical motion and is shifted as a whole.
    """

    rotations: Floats
    translation: Floats
    grounded: bool = True


class MotionSource(Protocol):
    """Gives the motion of a person with `style` at `times` (T,) in seconds; all chance comes from `random`."""

    def __call__(self, style: Style, times: Floats, random: np.random.Generator) -> Motion: ...


def draw_style(random: np.random.Generator, *, gait_spread: float = 1.0, posture_spread: float = 1.0) -> Style:
    """A personal style; the spreads scale STYLE_RANGES about their centres (0: everyone alike)."""
    values = {}
    for name, (low, high) in STYLE_RANGES.items():
        spread = posture_spread if name in POSTURE else gait_spread
        values[name] = (low + high) / 2 + spread * (random.uniform(low, high) - (low + high) / 2)
    return Style(**values)


def curve(table: tuple[int, ...], phase: Floats) -> Floats:
    """Radians at `phase` (cycles) of the curve through `table`, cut to its first Fourier harmonics."""
    coefficients = np.fft.rfft(np.asarray(table, np.float64))[: HARMONICS + 1] / len(table)
    order = np.arange(HARMONICS + 1)
    waves = np.exp(2j * np.pi * phase[..., None] * order)
    return np.asarray(DEGREE * (waves @ (coefficients * np.where(order == 0, 1, 2))).real)


def walk(style: Style, times: Floats, random: np.random.Generator) -> Motion:
    """A level walk with random starting phase and slight variation from clip to clip.

    Source: leg curves are the normative adult thigh, knee and ankle motion of Perry and Burnfield, Gait
    Analysis: Normal and Pathological Function (2010), at their eight phases, interpolated and rounded to whole
    degrees; shoulder (24 degrees extension at own heel strike, 8 flexion half a cycle later) and elbow follow
    Murray, Sepic and Bernard, Patterns of sagittal rotation of the upper limbs in walking (1967). Pelvis and
    trunk rotate by about 4 degrees against each other. The stride takes 1.06 s at cadence gain 1.
    """
    style = _varied(style, random)
    phase = random.uniform() + times * style.cadence / STRIDE_SECONDS
    return Motion(rotations=pose_at(style, phase), translation=_travel(style, phase))


def pose_at(style: Style, phase: Floats) -> Floats:
    """Local rotations (T, 19, 3, 3) at `phase` (T,) in cycles from the left heel strike."""
    wave, sideways = np.cos(2 * np.pi * phase), np.sin(2 * np.pi * (phase + 0.08))
    still = np.zeros_like(phase)
    placed = np.tile(np.eye(3), (len(phase), len(BONES), 1, 1))
    placed[:, INDEX["root"]] = turn("z", -4 * DEGREE * wave) @ turn("y", -3 * DEGREE * sideways)
    thorax = turn("z", 4 * DEGREE * style.trunk * wave) @ turn("y", 1.5 * DEGREE * style.trunk * sideways)
    placed[:, INDEX["spine"]] = turn("x", still + style.lean / 2)
    placed[:, INDEX["chest"]] = thorax @ turn("x", still + style.lean)
    placed[:, INDEX["neck"]] = turn("x", still + (style.lean + style.head) / 2)
    placed[:, INDEX["head"]] = turn("x", still + 0.3 * style.lean + style.head)
    for side, sign in SIDES:
        own = phase if sign > 0 else phase + 0.5
        placed[:, INDEX[f"{side}_clavicle"]] = placed[:, INDEX["chest"]]
        for bone, rotation in (*_leg(style, own, sign), *_arm(style, own, sign, thorax)):
            placed[:, INDEX[f"{side}_{bone}"]] = rotation
    local = placed.copy()
    for number, parent in enumerate(PARENTS):
        if parent >= 0:
            local[:, number] = np.swapaxes(placed[:, parent], -1, -2) @ placed[:, number]
    return local


def leg_angles(style: Style, phase: Floats, sign: int) -> tuple[Floats, Floats, Floats]:
    """Thigh flexion from the vertical, knee flexion and foot pitch (toes up), radians, at the leg's own phase.

    The knee swings above its smallest flexion and never bends forwards; the foot keeps its normative pitch, so
    that a longer stride does not tilt a standing foot.
    """
    gain = 1 + sign * (style.leg_asymmetry - 1)
    thigh, knee, ankle = (curve(table, phase) for table in (THIGH, KNEE, ANKLE))
    foot = thigh - knee + ankle
    foot = np.where(foot < 0, RIGID_FOOT * foot, foot)
    middle, least = np.mean(THIGH) * DEGREE, 4 * DEGREE
    return middle + style.stride * gain * (thigh - middle), least + style.knee * gain * (knee - least), foot


def _leg(style: Style, phase: Floats, sign: int) -> tuple[tuple[str, Floats], ...]:
    thigh, knee, foot = leg_angles(style, phase, sign)
    # Hips are wider apart than footprints, so the legs lean a little inwards.
    out = turn("z", np.full_like(phase, sign * style.toe_out / 2)) @ turn("y", np.full_like(phase, sign * 0.045))
    return (
        ("thigh", out @ turn("x", -thigh)),
        ("shank", out @ turn("x", knee - thigh)),
        ("foot", turn("z", np.full_like(phase, sign * style.toe_out)) @ turn("x", -foot)),
    )


def _arm(style: Style, phase: Floats, sign: int, thorax: Floats) -> tuple[tuple[str, Floats], ...]:
    gain = 1 + sign * (style.arm_asymmetry - 1)
    shoulder = DEGREE * (-8 - 16 * style.arm_swing * gain * np.cos(2 * np.pi * phase))
    bend = DEGREE * (10 + 10 * style.elbow_swing * gain * (1 - np.cos(2 * np.pi * (phase - 0.04)))) + style.elbow
    # Forearms of hanging arms point forwards and a little inwards.
    inward = turn("z", np.full_like(phase, -sign * 15 * DEGREE))
    upper = thorax @ turn("y", np.full_like(phase, -sign * style.abduction)) @ turn("x", -shoulder) @ inward
    forearm = upper @ turn("x", -np.maximum(bend, 0.03))
    return ("upper_arm", upper), ("forearm", forearm), ("hand", forearm)


def _travel(style: Style, phase: Floats) -> Floats:
    """Root displacement (T, 3) in leg lengths; the speed is that of a standing foot seen from the hip."""
    window = np.array(SPEED_WINDOW)
    speed = 0.0
    for _, sign in SIDES:
        thigh, knee, _ = leg_angles(style, window, sign)
        ankle = 0.5 * np.sin(thigh) + 0.5 * np.sin(thigh - knee)
        speed += float(ankle[0] - ankle[1]) / (window[1] - window[0]) / 2
    middle = phase.mean() if len(phase) else 0.0
    sway = 0.02 * np.sin(2 * np.pi * phase)
    return np.stack([sway, -speed * (phase - middle), np.zeros_like(phase)], axis=1)


def _varied(style: Style, random: np.random.Generator) -> Style:
    """The style of one clip: gains vary by 2 %, angles by about half a degree."""
    changes = {}
    for field in fields(style):
        value, wobble = getattr(style, field.name), random.normal()
        changes[field.name] = value + 0.01 * wobble if field.name in POSTURE else value * (1 + 0.02 * wobble)
    return replace(style, **changes)
