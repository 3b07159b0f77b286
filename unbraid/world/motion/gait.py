"""Legs that walk or run: joint curves, corrected so that the standing foot rolls on the ground without sliding."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from unbraid.world.motion.figure import DEGREE, SHANK, THIGH, Figure, foot_at, lowest
from unbraid.world.motion.style import Style, gain
from unbraid.world.people.skeleton import SIDES, Floats

HARMONICS = 5
GRID = 96
# Pitches below about this angle count as a flat foot, so that a foot changes from heel to toes without a kink.
FLAT = 5 * DEGREE
# Part of the swing in which a foot must be clear of the ground.
SWING = (0.25, 0.8)
# Share of the swing in which the feet go over from the ground to the joint curves and back.
BLEND = 0.6
# Share of the leg's length that no standing leg exceeds.
STRETCHED = 0.99


@dataclass(frozen=True)
class Gait:
    """A way of going. Angles are at evenly spaced times of the cycle, which starts with the foot's own contact.

    thigh: flexion from the vertical, knee: flexion, ankle: dorsiflexion, degrees. stance: share of the cycle on the
    ground. least_knee: smallest flexion in degrees, which gains do not change. rigid: share of the heel rise that a
    foot without toe joints makes. clearance: least height of the swinging foot in mid swing, width: half the distance
    between the two tracks, both in leg lengths. ahead: how much further ahead than the curves say the feet land, leg
    lengths: rigid feet leave the ground earlier.
    """

    thigh: tuple[int, ...]
    knee: tuple[int, ...]
    ankle: tuple[int, ...]
    stance: float
    least_knee: float
    rigid: float
    clearance: float
    width: float
    ahead: float


def curves(tables: tuple[tuple[int, ...], ...], phase: Floats) -> Floats:
    """Radians (N, T) at `phase` (T,), in cycles, of the N curves through `tables`, cut to their first harmonics."""
    angle = 2 * np.pi * phase * np.arange(HARMONICS + 1)[:, None]
    return np.asarray(_coefficients(tables) @ np.concatenate([np.cos(angle), np.sin(angle)]))


@cache
def _coefficients(tables: tuple[tuple[int, ...], ...]) -> Floats:
    """Factors (N, 2 x harmonics) of cosines and sines, radians. Source: discrete Fourier transform."""
    found = np.fft.rfft(np.array(tables, np.float64))[:, : HARMONICS + 1] / len(tables[0])
    found[:, 1:] *= 2
    return np.concatenate([found.real, -found.imag], axis=1) * DEGREE


def leg_angles(gait: Gait, style: Style, phase: Floats, sign: int) -> tuple[Floats, Floats, Floats]:
    """Thigh flexion from the vertical, knee flexion and foot pitch (toes up), radians, at the leg's own phase.

    The knee swings above its smallest flexion and never bends forwards; the foot keeps its normative pitch, so
    that a longer stride does not tilt a standing foot.
    """
    side = gain(style.leg_asymmetry, sign)
    thigh, knee, ankle = curves((gait.thigh, gait.knee, gait.ankle), phase)
    foot = thigh - knee + ankle
    swing = np.clip((phase % 1.0 - gait.stance) / (1 - gait.stance), 0, 1)
    foot = np.where(foot < 0, (gait.rigid + (1 - gait.rigid) * np.sin(np.pi * swing) ** 2) * foot, foot)
    foot = foot**3 / (foot**2 + FLAT**2)
    middle, least = sum(gait.thigh) / len(gait.thigh) * DEGREE, gait.least_knee * DEGREE
    return middle + style.stride * side * (thigh - middle), least + style.knee * side * (knee - least), foot


def chain(gait: Gait, style: Style, phase: Floats, sign: int) -> tuple[Floats, Floats]:
    """By the joint angles alone: ankle relative to the hip (T, 2), back and up in leg lengths, and foot pitch (T,)."""
    thigh, knee, pitch = leg_angles(gait, style, phase, sign)
    back = -THIGH * np.sin(thigh) - SHANK * np.sin(thigh - knee)
    return np.stack([back, -THIGH * np.cos(thigh) - SHANK * np.cos(thigh - knee)], axis=1), pitch


@dataclass(frozen=True, eq=False)
class Step:
    """One leg of a gait, in leg lengths. sign: +1 left, -1 right. speed: backwards per cycle of the standing foot seen
    from the hips. contact: how far behind the hips (+y) the flat foot would be at first contact. hips: their height
    over the ankle of a flat foot at the leg's own phase. rise: additional height in mid swing.
    """

    gait: Gait
    style: Style
    sign: int
    speed: float
    contact: float
    hips: Callable[[Floats], Floats]
    rise: float = 0.0

    def ankle(self, phase: Floats) -> tuple[Floats, Floats]:
        """Ankle relative to the point of the ground under the hips, (T, 2) back and up, and foot pitch (T,).

        In stance the foot rolls on the ground. In swing the joint curves rule; what separates them from the rolling
        foot at its start and end is led to nothing by cubics with matching slopes.
        """
        start, end = self.gait.stance, 1.0
        phase = phase % 1.0
        share = np.clip((phase - start) / (end - start), 0, 1)[:, None]
        value, slope = self._gap
        slope = slope * (end - start) * BLEND
        leaving, coming = np.minimum(share / BLEND, 1), np.minimum((1 - share) / BLEND, 1)
        blend = (
            (1 + 2 * leaving) * (1 - leaving) ** 2 * value[0]
            + leaving * (1 - leaving) ** 2 * slope[0]
            + (1 + 2 * coming) * (1 - coming) ** 2 * value[1]
            - coming * (1 - coming) ** 2 * slope[1]
        )
        curved, pitch = chain(self.gait, self.style, phase, self.sign)
        swinging = curved + blend
        swinging[:, 1] += self.hips(phase) + self.rise * np.sin(np.pi * share[:, 0]) ** 2
        return np.where(share > 0, swinging, self.rolling(phase, pitch)), pitch

    def rolling(self, phase: Floats, pitch: Floats) -> Floats:
        """Ankle (T, 2), back and up, of a foot that does not slide."""
        still = np.zeros_like(phase)
        spot = np.stack([still, self.contact + self.speed * phase], axis=1)
        ankle, _ = foot_at(spot, still + self.style.toe_out, pitch)
        return np.asarray(ankle[:, 1:])

    @cached_property
    def _gap(self) -> tuple[Floats, Floats]:
        """Rolling foot minus joint curves (2, 2), and its slope, at the end of stance and at the next contact."""
        around = (np.array([[self.gait.stance], [1.0]]) + np.array((-1e-4, 0, 1e-4))).ravel()
        curved, pitch = chain(self.gait, self.style, around, self.sign)
        landed = around - np.repeat([0.0, 1.0], 3)
        gap = self.rolling(landed, pitch) - curved
        gap[:, 1] -= self.hips(around)
        values = gap.reshape(2, 3, 2)
        return values[:, 1], (values[:, 2] - values[:, 0]) / 2e-4


def steps(gait: Gait, style: Style, bounce: Callable[[Floats], Floats]) -> dict[int, Step]:
    """Both legs by sign, at one speed and height that fit the joint curves in stance best.

    bounce: movement of the hips up and down at phases of the cycle (leg lengths), the same for both halves of it.
    """
    phase = np.linspace(0, gait.stance, GRID)
    quarter = slice(GRID // 4, -GRID // 4)
    middle = phase[quarter] - phase[quarter].mean()
    moved = {sign: chain(gait, style, phase, sign) for _, sign in SIDES}
    # Slope of the least-squares line through the middle of stance.
    speed = sum(float(middle @ path[quarter, 0] / (middle @ middle)) for path, _ in moved.values()) / len(moved)
    contact, heights = {}, []
    gaps = 0.0
    for sign, (path, pitch) in moved.items():
        rolled = Step(gait, style, sign, speed, 0.0, bounce).rolling(phase, pitch)
        contact[sign] = float((path[:, 0] - rolled[:, 0]).mean()) - gait.ahead
        back, up = rolled[:, 0] + contact[sign], rolled[:, 1] - bounce(phase)
        gaps += float((up - path[:, 1]).mean()) / len(moved)
        heights.append(float((up + np.sqrt(STRETCHED**2 - np.minimum(np.abs(back), 0.6) ** 2)).min()))
    height = min(gaps, *heights)
    return {
        sign: _cleared(Step(gait, style, sign, speed, contact[sign], lambda phase: height + bounce(phase)))
        for _, sign in SIDES
    }


def _cleared(step: Step) -> Step:
    """The step with as much additional height in swing as its foot needs to clear the ground."""
    share = np.linspace(*SWING, GRID // 4)
    phase = step.gait.stance + share * (1 - step.gait.stance)
    path, pitch = step.ankle(phase)
    still = np.zeros_like(phase)
    _, foot = foot_at(np.zeros((len(phase), 2)), still, pitch)
    low = lowest((np.column_stack([still, path]),), (foot,))
    missing = (step.gait.clearance - low) / np.sin(np.pi * share) ** 2
    return replace(step, rise=float(np.maximum(missing, 0).max()))


def stride(figure: Figure, gait: Gait, style: Style, phase: Floats, *, legs: dict[int, Step], sway: Floats) -> Floats:
    """Put both legs on the figure, whose pelvis is there. phase (T,): cycles from the left contact; sway (T,): of the
    hips to the left. Returns the height (T,) of the lowest sole."""
    ankles, feet = [], []
    still = np.zeros_like(phase)
    hips = np.stack([sway, still, legs[1].hips(phase)], axis=1)
    for _, sign in SIDES:
        own = phase if sign > 0 else phase + 0.5
        path, pitch = legs[sign].ankle(own)
        rolled, foot = foot_at(np.zeros((len(phase), 2)), still + sign * style.toe_out, pitch)
        ankle = np.stack([rolled[:, 0] + sign * gait.width, path[:, 0], path[:, 1]], axis=1)
        figure.stand_on(sign, style, hips, ankle, foot)
        ankles.append(ankle)
        feet.append(foot)
    return np.asarray(np.maximum(lowest(tuple(ankles), tuple(feet)), 0.0))
