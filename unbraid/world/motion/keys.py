"""Periodic curves through a few key values."""

import numpy as np
from scipy.interpolate import BPoly, PchipInterpolator

from unbraid.world.people.skeleton import Floats

Key = tuple[float, float]
Turn = tuple[float, float, float]


def keyed(phase: Floats, *keys: Key) -> Floats:
    """Values (T,) at `phase` (T,) in cycles of the smooth periodic curve through `keys`: (phase, value), rising.

    Equal neighbours hold still in between; nothing overshoots. Source: monotone piecewise cubic interpolation, Fritsch
    and Carlson, Monotone Piecewise Cubic Interpolation (1980); slopes are continuous.
    """
    at, value = np.array(keys, np.float64).T
    shifts = np.arange(-2, 3)[:, None]
    curve = PchipInterpolator((at + shifts).ravel(), np.tile(value, len(shifts)))
    return np.asarray(curve(phase % 1.0))


def driven(seconds: Floats, *turns: Turn) -> Floats:
    """Values (T,) at `seconds` (T,) of the curve through `turns`, (seconds, value, velocity), with velocity and, at the
    turns, zero acceleration; from the first turn to the last. Source: quintic Hermite interpolation."""
    table = np.array(turns, np.float64)
    given = np.column_stack([table[:, 1:], np.zeros(len(table))])
    return np.asarray(BPoly.from_derivatives(table[:, 0], given)(seconds))
