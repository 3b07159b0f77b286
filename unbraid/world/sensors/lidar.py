"""A 64-beam laser scanner beside the camera: point clouds of a posed mesh, and depth maps of point clouds.

Axes of the sensor: x forward, y left, z up, metres, sensor at the origin. Azimuth is counter-clockwise from x seen
from above, elevation is up from the horizontal. A depth map has the axes of a camera that stands at the same azimuth:
image x to the right, so the sensor's left (+y) is on the left of the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unbraid.world.people.skeleton import Floats
from unbraid.world.sensors.raster import Bytes, Single, Whole, compiled
from unbraid.world.sensors.silhouette import SIZE, centred

BEAMS = 64
LOWEST, HIGHEST = float(np.radians(-16.0)), float(np.radians(8.0))
BEAM_SPACING = (HIGHEST - LOWEST) / BEAMS
AZIMUTH_SPACING = float(np.radians(0.2))
# seen to the left and to the right of the forward direction
HALF_WINDOW = float(np.radians(44.0))
RANGE_NOISE = 0.02
DROP_OUT = 0.06
NEAR, FAR = 6.0, 25.0
HEIGHTS = (1.2, 2.2)
# A person this tall must be inside the beams when this much nearer than the drawn distance.
TALLEST, APPROACH = 2.1, 1.0
SHORTEST_RANGE = 0.5
FEWEST_POINTS = 8
# The farthest point of a person keeps this brightness, so that it differs from nothing.
DARKEST = 48
# metres: shallower than this is all equally near, and not a picture of rounding errors
FLAT = 1e-3
# Error of the quick arc tangent plus rounding, in beam spacings; triangles this near a beam are tested exactly.
PADDING = 0.006
# No hit: farther than anything.
NOTHING = 1e9


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """One scanner, fixed during a tracklet.

    distance to the person in mid-clip and height above the ground in metres. beam_offset, azimuth_offset: where the
    beam grid lies, in 0..1 spacings; beams are at elevations HIGHEST - (j + beam_offset) BEAM_SPACING, j = 0..63, and
    azimuths (k + azimuth_offset) AZIMUTH_SPACING. noise: standard deviation of the range in metres; drop_out: share
    of the returns that are lost.
    """

    distance: float
    height: float
    beam_offset: float
    azimuth_offset: float
    noise: float = RANGE_NOISE
    drop_out: float = DROP_OUT

    def stand(self, azimuth: float) -> tuple[Floats, Floats]:
        """Where the scanner is, eye (3,), and the horizontal unit vector towards the person (3,).

        azimuth: radians from the walking direction, counter-clockwise, as in `camera.stand`; the person is at the
        origin and walks towards -y.
        """
        outward = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
        return self.distance * outward + np.array([0.0, 0.0, self.height]), -outward


@dataclass(frozen=True, eq=False)
class Hits:
    """What one turn of the scanner returned: cloud (N, 3) in the sensor's axes and the same points in world axes
    (N, 3), both float32, row by row from the highest beam; noise and drop-out are in both."""

    cloud: Single
    world: Single


def draw_scanner(random: np.random.Generator, near: float = NEAR, far: float = FAR) -> Scanner:
    """A scanner for one tracklet, near..far metres away.

    The logarithm of the distance is uniform, so that the number of lines on a person varies by the ratio far / near
    evenly and does not tell stature. The height is uniform over the part of HEIGHTS from which a person of TALLEST
    metres is wholly inside the beams even APPROACH metres nearer. (Not in a paper; chosen because a fixed distance is
    a ruler, and because cut feet would be one too.)

    Raises ValueError when near is so small that no such height exists, or not below far.
    """
    least = APPROACH + TALLEST / (np.tan(HIGHEST) - np.tan(LOWEST))
    if not least <= near <= far:
        raise ValueError(
            f"near = {near} and far = {far} metres: expected {least:.2f} <= near <= far, or a person does not fit "
            f"between the lowest and the highest beam"
        )
    distance = float(np.exp(random.uniform(np.log(near), np.log(far))))
    low = max(HEIGHTS[0], TALLEST - (distance - APPROACH) * float(np.tan(HIGHEST)))
    high = min(HEIGHTS[1], -(distance - APPROACH) * float(np.tan(LOWEST)))
    return Scanner(
        distance=distance,
        height=float(random.uniform(low, max(low, high))),
        beam_offset=float(random.random()),
        azimuth_offset=float(random.random()),
    )


def scan(
    points: Single,
    faces: Whole,
    eye: Floats,
    forward: Floats,
    scanner: Scanner,
    random: np.random.Generator,
) -> Hits:
    """The nearest front-facing triangle along every beam, with range noise and drop-out.

    points (V, 3) float32, world metres; faces (F, 3) int32, counter-clockwise seen from outside; eye (3,): sensor;
    forward (3,): horizontal unit vector towards the person. Beams within HALF_WINDOW of forward are cast; triangles
    with a corner nearer than SHORTEST_RANGE in front of the sensor, or behind it, are left out.

    Which beams meet a triangle, and at what range, is computed in double precision on the triangle's plane; angles
    only choose the few beams to try. Things in front that are not in the mesh are the caller's: drop the rows of
    cloud whose world point they hide.

    Raises ValueError when a shape does not fit or forward is not a horizontal unit vector.
    """
    if points.ndim != 2 or points.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"expected points (V, 3) and faces (F, 3); got {points.shape} and {faces.shape}")
    if abs(float(np.hypot(forward[0], forward[1])) - 1) > 1e-4 or abs(forward[2]) > 1e-4:
        raise ValueError(f"forward = {np.asarray(forward).tolist()} must be a horizontal vector of length 1")
    local, grid = np.empty((len(points), 3), np.float32), np.empty((len(points), 2), np.float32)
    pose = np.array([*eye, forward[0], forward[1]], np.float32)
    _to_beams(points, pose, scanner.azimuth_offset, scanner.beam_offset, local, grid)
    edge = round(HALF_WINDOW / AZIMUTH_SPACING)
    first = max(-edge, int(np.floor(grid[:, 0].min(initial=edge))))
    last = min(edge, int(np.ceil(grid[:, 0].max(initial=-edge))))
    azimuth = (np.arange(first, max(first, last + 1)) + scanner.azimuth_offset) * AZIMUTH_SPACING
    elevation = HIGHEST - (np.arange(BEAMS) + scanner.beam_offset) * BEAM_SPACING
    across = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    level = np.full((BEAMS, len(azimuth)), NOTHING)
    _cast(local, grid, faces, first, across, np.tan(elevation), level)
    row, column = np.nonzero(level < NOTHING)
    kept = random.random(len(row)) >= scanner.drop_out
    row, column = row[kept], column[kept]
    steepness = np.cos(elevation)[row]
    distance = level[row, column] / steepness + scanner.noise * random.normal(size=len(row))
    ahead, aside = (distance * steepness * across[column, axis] for axis in range(2))
    cloud = np.stack([ahead, aside, distance * np.sin(elevation)[row]], axis=1)
    x = forward[0] * ahead - forward[1] * aside + eye[0]
    y = forward[1] * ahead + forward[0] * aside + eye[1]
    return Hits(cloud.astype(np.float32), np.stack([x, y, cloud[:, 2] + eye[2]], axis=1).astype(np.float32))


def depth_map(cloud: Single) -> Bytes:
    """A picture (64, 64) uint8 of one person's points (N, 3) in the sensor's axes, as `scan` returns them.

    The range image of the person (a cell per beam) is cut to the occupied lines, enlarged to 64 rows with whole cells,
    so that no black lines appear between beams, and centred on the median of its lit columns, like silhouettes. The
    nearest point has 255, the farthest DARKEST, by horizontal range; 0 is nothing. The absolute range is lost, and so
    is how deep the person is. Fewer than FEWEST_POINTS points give zeros.

    Raises ValueError when cloud is not (N, 3).

    Source: after the projection of LidarGait as its public data preparation does it (horizontal range, scaled per
    frame, height-normalised, centred); grey instead of a colour map.
    """
    if cloud.ndim != 2 or cloud.shape[1] != 3:
        raise ValueError(f"expected a cloud (N, 3), got {cloud.shape}")
    if len(cloud) < FEWEST_POINTS:
        return np.zeros((SIZE, SIZE), np.uint8)
    x, y, z = cloud.astype(np.float64).T
    level = np.hypot(x, y)
    azimuth, elevation = np.arctan2(y, x), np.arctan2(z, level)
    # Beams form a grid whatever its offset, so rounding finds each point's cell exactly.
    row = np.rint((elevation.max() - elevation) / BEAM_SPACING).astype(np.intp)
    column = np.rint((azimuth.max() - azimuth) / AZIMUTH_SPACING).astype(np.intp)
    tall = SIZE / (row.max() + 1)
    wide = tall * AZIMUTH_SPACING / BEAM_SPACING
    if wide < 1:
        # Very near: several columns share a pixel, and the nearest point is the one to see.
        column, wide = ((column + 0.5) * wide).astype(np.intp), 1.0
    cells = np.full((row.max() + 1, column.max() + 1), NOTHING)
    np.minimum.at(cells, (row, column), level)
    near, far = float(level.min()), float(level.max())
    share = (cells - near) / max(far - near, FLAT)
    shown = np.where(cells < NOTHING, np.rint(255 - (255 - DARKEST) * np.minimum(share, 1)), 0).astype(np.uint8)
    rows = ((np.arange(SIZE) + 0.5) / tall).astype(np.intp)
    columns = ((np.arange(max(1, round(wide * cells.shape[1]))) + 0.5) / wide).astype(np.intp)
    picture = shown[rows[:, None], np.minimum(columns, cells.shape[1] - 1)]
    return centred(picture, (picture > 0).sum(0))


def facts(scanner: Scanner, clouds: Sequence[Single]) -> dict[str, float]:
    """The numbers of a tracklet that tables and protocols need: sensor place and points per frame (mean and least)."""
    counts = [len(cloud) for cloud in clouds] or [0]
    return {
        "sensor_distance": scanner.distance,
        "sensor_height": scanner.height,
        "points_mean": float(np.mean(counts)),
        "points_least": float(min(counts)),
    }


@compiled
def _to_beams(
    points: Single,
    pose: Single,
    azimuth_offset: float,
    beam_offset: float,
    local: Single,
    grid: Single,
) -> None:
    """Sensor coordinates local (V, 3) and fractional beam numbers grid (V, 2): column (azimuth), row (elevation).

    pose (5,): x, y, z of the sensor and x, y of its forward direction, in the world. Directions more than 45 degrees
    off either axis are clamped. Source of the arc tangent: Abramowitz and Stegun, Handbook of Mathematical Functions,
    4.4.47, error at most 1e-5 radians.
    """
    one, least = np.float32(1.0), np.float32(SHORTEST_RANGE)
    a1, a3, a5 = np.float32(0.9998660), np.float32(-0.3302995), np.float32(0.1801410)
    a7, a9 = np.float32(-0.0851330), np.float32(0.0208351)
    across, down = np.float32(1 / AZIMUTH_SPACING), np.float32(1 / BEAM_SPACING)
    top = np.float32(HIGHEST / BEAM_SPACING - beam_offset)
    shift = np.float32(azimuth_offset)
    ex, ey, ez, fx, fy = pose[0], pose[1], pose[2], pose[3], pose[4]
    for v in range(points.shape[0]):
        dx, dy, z = points[v, 0] - ex, points[v, 1] - ey, points[v, 2] - ez
        x, y = fx * dx + fy * dy, fx * dy - fy * dx
        local[v, 0], local[v, 1], local[v, 2] = x, y, z
        u = min(max(y / max(x, least), -one), one)
        w = min(max(z / max(np.sqrt(x * x + y * y), least), -one), one)
        u2, w2 = u * u, w * w
        grid[v, 0] = across * u * (a1 + u2 * (a3 + u2 * (a5 + u2 * (a7 + u2 * a9)))) - shift
        grid[v, 1] = top - down * w * (a1 + w2 * (a3 + w2 * (a5 + w2 * (a7 + w2 * a9))))


@compiled
def _cast(local: Single, grid: Single, faces: Whole, first: int, across: Floats, rise: Floats, level: Floats) -> None:
    """Lower level (BEAMS, W) to the horizontal range of the nearest front-facing triangle of each beam.

    A beam's direction is (across[column], rise[row]) with a horizontal part of length 1. first: beam column of level's
    column 0. Source: a ray from the origin meets a triangle when its scalar triple products with the three edges have
    the sign of the corners' own (Plücker coordinates through the origin).
    """
    pad = np.float32(PADDING)
    # An edge is a great circle that bulges over the straight line between its ends by up to about span^2 / 8 (at 45
    # degrees elevation; less below); half as much again covers the widest window.
    bulge = np.float32(1.5 / 8 * AZIMUTH_SPACING**2 / BEAM_SPACING)
    height, width = level.shape
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        r0, r1, r2 = grid[i, 1], grid[j, 1], grid[k, 1]
        c0, c1, c2 = grid[i, 0], grid[j, 0], grid[k, 0]
        least, most = min(c0, c1, c2), max(c0, c1, c2)
        slack = pad + bulge * (most - least) * (most - least)
        up, low = np.floor(min(r0, r1, r2) - slack), np.floor(max(r0, r1, r2) + slack)
        left, right = np.floor(least - pad), np.floor(most + pad)
        # No whole number in between: the triangle slips through the beam grid, as most do.
        if up == low or left == right:
            continue
        x0, y0, z0 = np.float64(local[i, 0]), np.float64(local[i, 1]), np.float64(local[i, 2])
        x1, y1, z1 = np.float64(local[j, 0]), np.float64(local[j, 1]), np.float64(local[j, 2])
        x2, y2, z2 = np.float64(local[k, 0]), np.float64(local[k, 1]), np.float64(local[k, 2])
        ax, ay, az = y0 * z1 - z0 * y1, z0 * x1 - x0 * z1, x0 * y1 - y0 * x1
        bx, by, bz = y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2
        cx, cy, cz = y2 * z0 - z2 * y0, z2 * x0 - x2 * z0, x2 * y0 - y2 * x0
        volume = x0 * bx + y0 * by + z0 * bz
        if volume >= 0 or min(x0, x1, x2) < SHORTEST_RANGE:
            continue
        # The sum of the three cross products is the triangle's normal, twice its area long.
        nx, ny, nz = ax + bx + cx, ay + by + cy, az + bz + cz
        for row in range(max(int(up) + 1, 0), min(int(low), height - 1) + 1):
            dz = rise[row]
            for column in range(max(int(left) + 1 - first, 0), min(int(right) - first, width - 1) + 1):
                dx, dy = across[column, 0], across[column, 1]
                if ax * dx + ay * dy + az * dz > 0 or bx * dx + by * dy + bz * dz > 0:
                    continue
                if cx * dx + cy * dy + cz * dz > 0:
                    continue
                facing = nx * dx + ny * dy + nz * dz
                if facing < 0 and volume / facing < level[row, column]:
                    level[row, column] = volume / facing
