"""How well feet stand on the ground: skating, slip, penetration, floating."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unbraid.world.people.skeleton import Floats

# A foot whose lowest point is nearer to the ground than this bears, metres.
CONTACT = 0.005


@dataclass(frozen=True)
class FootQuality:
    """What the feet of one clip do.

    skating, skating_95: speed of the lowest point of a bearing foot over the ground, metres per second, mean and
    95th percentile. slip: metres that this speed adds up to per stance, mean over stances. penetration: depth of the
    deepest point under the ground, metres, mean over frames, worst frame in penetration_worst. floating: height of
    the lowest point where a foot should stand, metres, mean over frames. bearing: share of frames with a foot on
    the ground.
    """

    skating: float
    skating_95: float
    slip: float
    penetration: float
    penetration_worst: float
    floating: float
    bearing: float


def feet(
    points: Floats, foot: NDArray[np.intp], rate: float, *, flying: NDArray[np.bool_] | None = None
) -> FootQuality:
    """The quality of one clip.

    points (T, S, 3): world positions of sole points, metres. foot (S,): 0 or 1, whose they are. rate: frames per
    second. flying (T,): frames in which nobody stands, left out of `floating`; none when absent.
    Raises ValueError for fewer than two frames or shapes that do not fit.
    """
    if points.ndim != 3 or points.shape[0] < 2 or points.shape[2] != 3 or foot.shape != points.shape[1:2]:
        raise ValueError(
            f"expected points (T, S, 3) with T at least 2 and foot (S,); got {points.shape} and {foot.shape}"
        )
    frames = len(points)
    speeds: list[Floats] = []
    slips: list[float] = []
    bearing = np.zeros(frames - 1, np.bool_)
    for number in np.unique(foot):
        mine = points[:, foot == number]
        middle = (mine[1:, :, 2] + mine[:-1, :, 2]) / 2
        lowest = middle.argmin(1)
        steps = np.arange(frames - 1)
        speed = rate * np.linalg.norm(mine[steps + 1, lowest, :2] - mine[steps, lowest, :2], axis=1)
        stands = middle.min(1) < CONTACT
        bearing |= stands
        speeds.append(speed[stands])
        slips.extend(float(speed[run].sum() / rate) for run in _runs(stands))
    speed = np.concatenate(speeds)
    low = points[..., 2].min(1)
    standing = np.ones(frames, np.bool_) if flying is None else ~flying
    return FootQuality(
        skating=float(speed.mean()) if len(speed) else 0.0,
        skating_95=float(np.percentile(speed, 95)) if len(speed) else 0.0,
        slip=float(np.mean(slips)) if slips else 0.0,
        penetration=float(np.maximum(-low, 0).mean()),
        penetration_worst=float(np.maximum(-low, 0).max()),
        floating=float(np.maximum(low[standing], 0).mean()) if standing.any() else 0.0,
        bearing=float(bearing.mean()),
    )


def _runs(flags: NDArray[np.bool_]) -> list[slice]:
    """Stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [slice(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
