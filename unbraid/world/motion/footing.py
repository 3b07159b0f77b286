"""Feet on the ground: how high the root is, where it goes, and which feet must be lifted out of the floor.

Heights and paths are in metres, time in frames of dense motion (about 60 a second). Soles are points (T, S, 3) of both
feet relative to the root. Source: not in a paper; the no-slip condition of feet that roll or stand.
"""

import numpy as np
from numpy.typing import NDArray

from unbraid.world.motion.figure import two_bones
from unbraid.world.people.skeleton import Floats

SOFTNESS = 0.002
# Soles up to about this height above the lowest one bear the body.
BEARING = 0.004
# Of several low soles those bear that let the root move as the motion says, within about this much a frame; the others
# may be deeper than the ones that bear by up to DRAGGED, since their feet are lifted afterwards.
STRANGE = 0.008
NEAR, DRAGGED, CLEAR = 0.03, 0.015, 0.008
# Soles this far above the ground bear nothing.
AIRBORNE = 0.002
# Standard deviations of the smoothing of the root's horizontal velocity and of its height, frames.
SMOOTH_STEP, SMOOTH_HEIGHT = 1.0, 1.5
# How deep a sole may be before its foot is lifted, and how smoothly that begins.
SUNK, EASE = 0.001, 0.002


def strangeness(soles: Floats, travel: Floats) -> Floats:
    """How little (T, S) each sole looks like one that stands, 0 for the most plausible of the low ones, towards 1.

    travel (T, 2): horizontal root positions as the motion says; a sole that stands moves against them.
    """
    if len(soles) < 2:
        return np.zeros(soles.shape[:2])
    deviation = np.gradient(soles[..., :2], axis=0) + np.gradient(travel, axis=0)[:, None]
    strange = (deviation**2).sum(-1) / STRANGE**2
    height = soles[..., 2] - soles[..., 2].min(1, keepdims=True)
    best = np.where(height < NEAR, strange, np.inf).min(1, keepdims=True)
    return np.asarray(1 - np.exp(-np.maximum(strange - best, 0.0)))


def contact_path(soles: Floats, above: Floats, travel: Floats, strange: Floats | float = 0.0) -> Floats:
    """Horizontal root positions (T, 2) at which bearing soles do not slide; the origin in mid clip.

    above (T,): height of the bearing soles over the ground. travel (T, 2): positions whose velocity counts while
    nothing bears. strange (T, S): see `strangeness`.
    """
    frames = len(soles)
    if frames < 2:
        return np.zeros((frames, 2))
    height = soles[..., 2] + DRAGGED * strange
    height = height - height.min(1, keepdims=True)
    middle = (height[1:] + height[:-1]) / 2
    score = -((middle / BEARING) ** 2)
    weight = np.exp(score - score.max(1, keepdims=True))
    stand = -np.einsum("ts,tsc->tc", weight, np.diff(soles[..., :2], axis=0)) / weight.sum(1, keepdims=True)
    bears = np.exp(-(((above[1:] + above[:-1]) / 2 / AIRBORNE) ** 2))[:, None]
    step = smoothed(bears * stand + (1 - bears) * np.diff(travel, axis=0), SMOOTH_STEP)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(step, axis=0)])
    return np.asarray(path - (path[(frames - 1) // 2] + path[frames // 2]) / 2)


def flown(height: Floats, above: Floats) -> Floats:
    """Root heights (T,) with every flight replaced by the parabola nearest to it.

    The lowest point of a body in the air changes between points that nothing supports; a root that followed it
    would jerk. above (T,): wanted height of the lowest sole over the ground.
    """
    height = height.copy()
    aloft = above > AIRBORNE
    edges = np.flatnonzero(np.diff(np.concatenate([[False], aloft, [False]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        first, last = max(start - 1, 0), min(stop, len(height) - 1)
        frames = np.arange(first, last + 1)
        if len(frames) > 3:
            # Take-off and landing are fixed, the flight between them is not.
            weight = np.where(aloft[frames], 1.0, 1e3)
            parabola = np.polynomial.Polynomial.fit(frames, height[frames], 2, w=weight)
            height[frames] = parabola(frames)
    return height


def smoothed(values: Floats, spread: float) -> Floats:
    """values (T, C) after a Gaussian of `spread` frames along time; the ends are continued by their mirror images."""
    reach = min(int(np.ceil(3 * spread)), len(values) - 1)
    if reach < 1:
        return values
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / spread) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return np.asarray(windows @ (kernel / kernel.sum()))


def soft_minimum(heights: Floats) -> Floats:
    """A smooth stand-in for the minimum over the last axis, at most SOFTNESS x ln(count) below it.

    The supporting point changes from heel to toe to the other foot; this keeps the root's path without kinks.
    """
    least = heights.min(-1)
    return np.asarray(least - SOFTNESS * np.log(np.exp((least[..., None] - heights) / SOFTNESS).sum(-1)))


def sunk(heights: Floats, foot: NDArray[np.intp]) -> Floats:
    """How much (T, 2) the ankles of both feet must rise so that no sole is under the ground.

    heights (T, S): of the soles over the ground. foot (S,): 0 for the left, 1 for the right foot.
    """
    lowest = np.stack([heights[:, foot == side].min(1) for side in (0, 1)], axis=1)
    depth = -lowest - SUNK
    # A smooth positive part: nothing where a sole is clear of the ground.
    return np.asarray(np.where(depth >= EASE, depth, np.maximum(depth + EASE, 0.0) ** 2 / (4 * EASE)))


def lifted_leg(joints: Floats, forward: Floats, rise: Floats) -> tuple[Floats, Floats]:
    """Rotations (T, 3, 3) of thigh and shank in the world that lift the ankle by `rise` (T,) and bend the knee.

    joints (T, 3, 3): positions of hip, knee and ankle; forward (T, 3): where the knee points.
    """
    hip, knee, ankle = joints[:, 0], joints[:, 1], joints[:, 2]
    first, second = np.linalg.norm(knee - hip, axis=1), np.linalg.norm(ankle - knee, axis=1)
    before = two_bones(ankle - hip, forward, first=first, second=second, ease=False)
    higher = ankle - hip + rise[:, None] * (0.0, 0.0, 1.0)
    after = two_bones(higher, forward, first=first, second=second, ease=False)
    thigh, shank = (new @ np.swapaxes(old, -1, -2) for new, old in zip(after, before, strict=True))
    return thigh, shank
