from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr

from unbraid.world.people.body import body_model
from unbraid.world.sensors.lidar import (
    AZIMUTH_SPACING,
    BEAM_SPACING,
    BEAMS,
    DARKEST,
    HEIGHTS,
    HIGHEST,
    LOWEST,
    PADDING,
    Scanner,
    _to_beams,
    depth_map,
    draw_scanner,
    facts,
    scan,
)
from unbraid.world.sensors.silhouette import normalised

PERFECT = Scanner(distance=10.0, height=1.5, beam_offset=0.3, azimuth_offset=0.7, noise=0.0, drop_out=0.0)


def sphere(radius, rings=60, around=80):
    polar, turn = np.meshgrid(np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, around, False), indexing="ij")
    points = radius * np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], -1)
    ring, step = (g.ravel() for g in np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij"))
    here, beside = ring * around + step, ring * around + (step + 1) % around
    faces = np.concatenate(
        [np.stack([here, here + around, beside], 1), np.stack([beside, here + around, beside + around], 1)]
    )
    return points.reshape(-1, 3).astype(np.float32), faces.astype(np.int32)


def box(low, high):
    """A box whose triangles are counter-clockwise seen from outside, by the sign of the normal."""
    points = np.array([[(low, high)[c >> axis & 1][axis] for axis in range(3)] for c in range(8)], np.float32)
    quads = [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]]
    faces = []
    for a, b, c, d in quads:
        for triangle in ([a, b, c], [a, c, d]):
            p = points[triangle]
            outward = np.cross(p[1] - p[0], p[2] - p[0]) @ (p.mean(0) - points.mean(0))
            faces.append(triangle if outward > 0 else triangle[::-1])
    return points, np.array(faces, np.int32)


def directions(scanner, columns):
    """Unit directions (64, len(columns), 3) of the beams in the sensor's axes."""
    azimuth = (columns + scanner.azimuth_offset) * AZIMUTH_SPACING
    elevation = (HIGHEST - (np.arange(BEAMS) + scanner.beam_offset) * BEAM_SPACING)[:, None]
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation) + 0 * azimuth], axis=-1)


def slow_scan(points, faces, eye, forward, scanner, columns, *, both_sides):
    """Ranges (64, len(columns)) by Möller and Trumbore's intersection of every beam with every triangle; inf: none."""
    axes = np.stack([forward, np.cross([0, 0, 1], forward), [0, 0, 1]])
    local = (points.astype(np.float64) - eye) @ axes.T
    rays = directions(scanner, columns).reshape(-1, 3)
    nearest = np.full(len(rays), np.inf)
    for start in range(0, len(faces), 200):
        a, b, c = (local[faces[start : start + 200, k]] for k in range(3))
        first, second = b - a, c - a
        across = np.cross(rays[:, None], second)
        determinant = np.einsum("rfk,fk->rf", across, first)
        determinant[determinant == 0] = np.nan
        u = np.einsum("rfk,fk->rf", across, -a) / determinant
        turned = np.cross(-a, first)
        v = rays @ turned.T / determinant
        t = np.einsum("fk,fk->f", second, turned) / determinant
        met = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (both_sides | (determinant > 0))
        nearest = np.minimum(nearest, np.where(met, t, np.inf).min(1))
    return nearest.reshape(BEAMS, -1)


def as_grid(cloud, scanner, columns):
    """The cloud as ranges (64, len(columns)), inf where no point is."""
    x, y, z = cloud.astype(np.float64).T
    column = np.arctan2(y, x) / AZIMUTH_SPACING - scanner.azimuth_offset
    row = (HIGHEST - np.arctan2(z, np.hypot(x, y))) / BEAM_SPACING - scanner.beam_offset
    assert np.abs(column - np.rint(column)).max(initial=0) < 1e-3, "points lie on beams"
    assert np.abs(row - np.rint(row)).max(initial=0) < 1e-3
    grid = np.full((BEAMS, len(columns)), np.inf)
    grid[np.rint(row).astype(int), np.rint(column).astype(int) - columns[0]] = np.linalg.norm(cloud, axis=1)
    return grid


def agree(points, faces, scanner, azimuth, columns, *, both_sides):
    """Compare with the slow scan; returns the number of hits."""
    eye, forward = scanner.stand(azimuth)
    found = as_grid(scan(points, faces, eye, forward, scanner, np.random.default_rng(0)).cloud, scanner, columns)
    expected = slow_scan(points, faces, eye, forward, scanner, columns, both_sides=both_sides)
    hit = np.isfinite(expected)
    assert np.array_equal(np.isfinite(found), hit)
    assert np.abs(found[hit] - expected[hit]).max() < 1e-3
    return hit.sum()


def test_sphere_agrees_with_a_slow_ray_caster():
    points, faces = sphere(0.6, 24, 32)
    points[:, 2] += 1
    assert agree(points, faces, PERFECT, 1.2, np.arange(-25, 25), both_sides=True) > 250


@pytest.mark.parametrize(("distance", "azimuth"), [(25.0, 2.6), (12.0, -0.5)])
def test_body_agrees_with_a_slow_ray_caster(distance, azimuth):
    model = body_model()
    points = model.mean[: model.vertex_count].astype(np.float32)
    points[:, 2] -= points[:, 2].min()
    scanner = replace(PERFECT, distance=distance)
    reach = int(np.ceil(1.0 / distance / AZIMUTH_SPACING))
    used = np.arange(-reach, reach)
    # All triangles but only every second column of beams, to keep the slow way short.
    eye, forward = scanner.stand(azimuth)
    found = as_grid(scan(points, model.faces, eye, forward, scanner, np.random.default_rng(0)).cloud, scanner, used)
    rows = np.flatnonzero(np.isfinite(found).any(1))
    columns = used[np.isfinite(found).any(0)][::2]
    expected = np.full((BEAMS, len(columns)), np.inf)
    for number, column in enumerate(columns):
        close = _near_column(points, model.faces, eye, forward, (column + 0.7) * AZIMUTH_SPACING)
        one = slow_scan(points, close, eye, forward, scanner, np.array([column]), both_sides=True)
        expected[:, number] = one[:, 0]
    found = found[:, columns + reach]
    assert len(rows) == pytest.approx(1.65 / distance / BEAM_SPACING, abs=2)
    assert np.array_equal(np.isfinite(found), np.isfinite(expected))
    hit = np.isfinite(expected)
    assert hit.sum() > 10
    assert np.abs(found[hit] - expected[hit]).max() < 1e-3


def _near_column(points, faces, eye, forward, azimuth):
    """The faces that a vertical plane at this azimuth cuts: corners on both of its sides."""
    left = np.cross([0, 0, 1], forward)
    side = (points - eye) @ (np.cos(azimuth) * left - np.sin(azimuth) * forward)
    corners = side[faces]
    return faces[(corners.min(1) <= 0) & (corners.max(1) >= 0)]


def test_large_and_stray_triangles_agree_with_a_slow_ray_caster():
    random = np.random.default_rng(3)
    points = random.uniform([-4, -9, -3], [4, 6, 4], (150, 3)).astype(np.float32)
    faces = np.arange(150, dtype=np.int32).reshape(-1, 3)
    scanner = replace(PERFECT, distance=7.0)
    eye, forward = scanner.stand(0.0)
    # The scanner leaves out what reaches behind it or very near; the slow way gets the same triangles.
    ahead = ((points - eye) @ forward)[faces].min(1) > 0.5
    assert 10 < ahead.sum() < 50
    every = scan(points, faces, eye, forward, scanner, np.random.default_rng(0))
    some = scan(points, faces[ahead], eye, forward, scanner, np.random.default_rng(0))
    assert np.array_equal(every.cloud, some.cloud)
    assert agree(points, faces[ahead], scanner, 0.0, np.arange(-220, 220), both_sides=False) > 2000


def test_beam_numbers_are_accurate_enough():
    random = np.random.default_rng(4)
    points = random.uniform([0.6, -20, -20], [20, 20, 20], (20000, 3)).astype(np.float32)
    x, y, z = points.astype(np.float64).T
    points = points[(np.abs(y) < x) & (np.abs(z) < np.hypot(x, y))]
    x, y, z = points.astype(np.float64).T
    local, grid = np.empty_like(points), np.empty((len(points), 2), np.float32)
    _to_beams(points, np.array([0, 0, 0, 1, 0], np.float32), 0.25, 0.75, local, grid)
    assert np.abs(grid[:, 0] - (np.arctan2(y, x) / AZIMUTH_SPACING - 0.25)).max() < PADDING
    assert np.abs(grid[:, 1] - ((HIGHEST - np.arctan2(z, np.hypot(x, y))) / BEAM_SPACING - 0.75)).max() < PADDING


def test_noise_and_drop_out_have_their_statistics():
    wall, faces = box((-20, 9, -20), (20, 9.5, 20))
    eye, forward = np.zeros(3), np.array([0.0, 1.0, 0.0])
    perfect = scan(wall, faces, eye, forward, PERFECT, np.random.default_rng(0))
    assert np.abs(perfect.cloud[:, 0] - 9).max() < 1e-4
    assert np.abs(perfect.world[:, 1] - 9).max() < 1e-4
    total = len(perfect.cloud)
    assert total == BEAMS * 441, "44 degrees to both sides"
    real = scan(wall, faces, eye, forward, replace(PERFECT, noise=0.02, drop_out=0.06), np.random.default_rng(1))
    share = 1 - len(real.cloud) / total
    assert abs(share - 0.06) < 5 * np.sqrt(0.06 * 0.94 / total)
    # The exact range along each noisy point's own direction: 9 m over the cosine with the wall's normal.
    distance = np.linalg.norm(real.cloud.astype(np.float64), axis=1)
    error = distance - 9 / (real.cloud[:, 0] / distance)
    assert abs(error.mean()) < 5 * 0.02 / np.sqrt(total)
    assert error.std() == pytest.approx(0.02, rel=0.03)
    assert abs(np.corrcoef(error[:-1], error[1:])[0, 1]) < 0.03


def test_number_of_lines_on_a_sphere():
    points, faces = sphere(0.8)
    for distance, offset in ((6.0, 0.1), (12.0, 0.6), (25.0, 0.9)):
        scanner = replace(PERFECT, distance=distance, height=0.0, beam_offset=offset)
        eye, forward = scanner.stand(0.7)
        cloud = scan(points, faces, eye, forward, scanner, np.random.default_rng(0)).cloud.astype(np.float64)
        elevation = np.arctan2(cloud[:, 2], np.hypot(cloud[:, 0], cloud[:, 1]))
        lines = len(np.unique(np.rint(elevation / BEAM_SPACING * 1000)))
        half = np.arcsin(0.8 / distance)
        assert abs(lines - (min(half, HIGHEST) + min(half, -LOWEST)) / BEAM_SPACING) <= 1
        columns = len(np.unique(np.rint(np.arctan2(cloud[:, 1], cloud[:, 0]) / AZIMUTH_SPACING * 1000)))
        assert abs(columns - 2 * half / AZIMUTH_SPACING) <= 1
        assert np.linalg.norm(cloud, axis=1).min() == pytest.approx(distance - 0.8, abs=0.005)


def test_world_points_lie_on_the_thing():
    points, faces = sphere(0.7)
    points += np.array([2, -1, 1.2], np.float32)
    for azimuth in (0.0, 1.0, 2.5, 4.0):
        eye, forward = PERFECT.stand(azimuth)
        hits = scan(points, faces, eye, forward, PERFECT, np.random.default_rng(0))
        assert len(hits.world) == len(hits.cloud) > 100
        assert hits.cloud.dtype == hits.world.dtype == np.float32
        assert np.abs(np.linalg.norm(hits.world - (2, -1, 1.2), axis=1) - 0.7).max() < 0.003
        assert np.allclose(np.linalg.norm(hits.world - eye, axis=1), np.linalg.norm(hits.cloud, axis=1), atol=1e-4)


def test_nearer_things_hide_farther_ones():
    front, faces = box((-0.5, -2, 0.5), (0.5, -1.5, 1.5))
    back, _ = box((-0.5, 2, 0.5), (0.5, 2.5, 1.5))
    eye, forward = PERFECT.stand(0.0)
    both = scan(
        np.concatenate([back, front]),
        np.concatenate([faces, faces + 8]),
        eye,
        forward,
        PERFECT,
        np.random.default_rng(0),
    )
    alone = scan(front, faces, eye, forward, PERFECT, np.random.default_rng(0))
    assert len(alone.cloud) > 100
    assert np.array_equal(both.cloud, alone.cloud)


def test_same_chance_gives_the_same_cloud_and_nothing_gives_nothing():
    points, faces = sphere(0.7)
    eye, forward = PERFECT.stand(0.0)
    noisy = replace(PERFECT, noise=0.02, drop_out=0.06)
    first, again = (scan(points, faces, eye, forward, noisy, np.random.default_rng(5)) for _ in range(2))
    other = scan(points, faces, eye, forward, noisy, np.random.default_rng(6))
    assert np.array_equal(first.cloud, again.cloud)
    assert not np.array_equal(first.cloud, other.cloud)
    for mesh, triangles in (
        (points[:0], faces[:0]),
        (points, faces[:0]),
        (points + np.float32(1000), faces),
        ((points - (2 * eye).astype(np.float32)) * [1, -1, 1], faces),
    ):
        hits = scan(np.asarray(mesh, np.float32), triangles, eye, forward, noisy, np.random.default_rng(0))
        assert hits.cloud.shape == hits.world.shape == (0, 3)


def test_scan_refuses_what_does_not_fit():
    points, faces = sphere(0.7)
    eye, forward = PERFECT.stand(0.0)
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"points \(V, 3\)"):
        scan(points[:, :2], faces, eye, forward, PERFECT, random)
    with pytest.raises(ValueError, match="horizontal"):
        scan(points, faces, eye, np.array([0.0, 0.6, 0.8]), PERFECT, random)
    with pytest.raises(ValueError, match="horizontal"):
        scan(points, faces, eye, 2 * forward, PERFECT, random)


def test_drawn_scanners_see_whole_people():
    random = np.random.default_rng(0)
    scanners = [draw_scanner(random) for _ in range(2000)]
    distance, height = (np.array([getattr(s, name) for s in scanners]) for name in ("distance", "height"))
    assert distance.min() >= 6
    assert distance.max() <= 25
    # Uniform in the logarithm: the median is the geometric mean of the ends.
    assert np.median(distance) == pytest.approx(np.sqrt(6 * 25), rel=0.06)
    assert height.min() >= HEIGHTS[0]
    assert height.max() <= HEIGHTS[1]
    assert height[distance > 12].std() == pytest.approx((HEIGHTS[1] - HEIGHTS[0]) / np.sqrt(12), rel=0.1)
    assert (np.arctan2(2.1 - height, distance - 1) <= HIGHEST + 1e-9).all()
    assert (np.arctan2(-height, distance - 1) >= LOWEST - 1e-9).all()
    for name in ("beam_offset", "azimuth_offset"):
        offset = np.array([getattr(s, name) for s in scanners])
        assert offset.min() >= 0
        assert offset.max() < 1
        assert offset.mean() == pytest.approx(0.5, abs=0.03)
    assert draw_scanner(np.random.default_rng(1)) == draw_scanner(np.random.default_rng(1))
    for near, far in ((3.0, 25.0), (9.0, 8.0)):
        with pytest.raises(ValueError, match=r"near = .* and far = "):
            draw_scanner(random, near, far)


def test_number_of_lines_does_not_tell_stature():
    random = np.random.default_rng(0)
    stature = random.uniform(1.5, 1.98, 200)
    lines = {"drawn": [], "fixed": []}
    for height in stature:
        body, faces = box((-0.2, -0.15, 0), (0.2, 0.15, height))
        for name, scanner in (("drawn", draw_scanner(random)), ("fixed", replace(draw_scanner(random), distance=9.0))):
            eye, forward = scanner.stand(random.uniform(0, 6))
            cloud = scan(body, faces, eye, forward, scanner, random).cloud.astype(np.float64)
            elevation = np.arctan2(cloud[:, 2], np.hypot(cloud[:, 0], cloud[:, 1]))
            lines[name].append(np.ptp(elevation) / BEAM_SPACING + 1)
    assert abs(pearsonr(stature, lines["drawn"]).statistic) < 0.35
    assert pearsonr(stature, lines["fixed"]).statistic > 0.8, "a fixed distance is a ruler"


def cloud_of(cells):
    """Points of a range image: cells {(line from the top, column from the left): horizontal range}."""
    points = []
    for (row, column), level in cells.items():
        elevation, azimuth = 0.02 - row * BEAM_SPACING, 0.01 - column * AZIMUTH_SPACING
        points.append([level * np.cos(azimuth), level * np.sin(azimuth), level * np.tan(elevation)])
    return np.array(points, np.float32)


def test_depth_map_of_a_known_cloud():
    # Four lines, so 16 rows a line; a column is 16 x 0.2 / 0.375 = 8.53 pixels wide: borders at 8.53 and 17.07.
    cells = {(row, column): 10.0 for row in range(4) for column in range(3) if (row, column) != (1, 1)}
    cells[0, 0], cells[3, 2] = 9.0, 11.0
    picture = depth_map(cloud_of(cells))
    assert picture.shape == (64, 64)
    assert picture.dtype == np.uint8
    lit = np.flatnonzero(picture.any(0))
    # 26 columns; lit 64 high in 18 of them and 48 high in 8; half of the mass is reached in the 13th, which becomes 32.
    assert lit.tolist() == list(range(20, 46))
    borders, middle = (0, 9, 17, 26), round((255 + DARKEST) / 2)
    for row in range(4):
        for column in range(3):
            cell = picture[16 * row : 16 * row + 16, 20 + borders[column] : 20 + borders[column + 1]]
            expected = {(1, 1): 0, (0, 0): 255, (3, 2): DARKEST}.get((row, column), middle)
            assert np.abs(cell.astype(int) - expected).max() <= 1, (row, column)


def test_depth_map_loses_absolute_range_and_few_points():
    cells = {(row, column): 8 + 0.1 * ((row * column) % 5) for row in range(6) for column in range(5)}
    far = {place: level + 7 for place, level in cells.items()}
    assert np.abs(depth_map(cloud_of(cells)).astype(int) - depth_map(cloud_of(far))).max() <= 1
    cloud = cloud_of(cells)
    assert not depth_map(cloud[:7]).any()
    assert depth_map(cloud[:8]).any()
    assert not depth_map(np.zeros((0, 3), np.float32)).any()
    flat = depth_map(cloud_of(dict.fromkeys(cells, 9.0)))
    assert set(np.unique(flat)) <= {0, *range(253, 256)}
    with pytest.raises(ValueError, match=r"cloud \(N, 3\)"):
        depth_map(cloud[:, :2])


@pytest.mark.parametrize("azimuth", [0.0, 0.9, np.pi / 2, np.pi, 4.5])
def test_depth_map_has_the_axes_of_the_camera_and_no_grid_lines(azimuth):
    # A trunk with an arm up to the person's left (+x) and forwards (-y).
    parts = [
        ((-0.2, -0.15, 0), (0.2, 0.15, 1.7)),
        ((0.2, -0.1, 1.2), (0.8, 0.1, 1.4)),
        ((-0.1, -0.8, 1), (0.1, -0.15, 1.1)),
    ]
    meshes = [box(*part) for part in parts]
    points = np.concatenate([mesh for mesh, _ in meshes])
    faces = np.concatenate([triangles + 8 * number for number, (_, triangles) in enumerate(meshes)])
    for distance in (6.0, 12.0, 25.0):
        scanner = replace(PERFECT, distance=distance)
        eye, forward = scanner.stand(azimuth)
        picture = depth_map(scan(points, faces, eye, forward, scanner, np.random.default_rng(0)).cloud)
        # What a camera at the same place sees: image x along forward x up, by projecting many points of the parts.
        right = np.cross(forward, [0, 0, 1])
        inside = np.random.default_rng(0).uniform(size=(4000, 3))
        spots = np.concatenate([np.array(low) + inside * (np.array(high) - low) for low, high in parts])
        depth = (spots - eye) @ forward
        column = 500 + np.rint(2000 * ((spots - eye) @ right) / depth).astype(int)
        row = 500 - np.rint(2000 * (spots[:, 2] - scanner.height) / depth).astype(int)
        mask = np.zeros((1200, 1000), bool)
        mask[np.maximum(row, 0), np.clip(column, 0, 999)] = True
        step = 8
        mask = mask.reshape(150, step, 125, step).any((1, 3))
        seen = normalised(mask) > 127
        lit = picture > 0
        overlap = (seen & lit).sum() / (seen | lit).sum()
        mirrored = (seen & lit[:, ::-1]).sum() / (seen | lit[:, ::-1]).sum()
        assert overlap > 0.55
        if distance == 6:
            assert overlap > mirrored + 0.1
        rows, columns = lit.any(1), lit.any(0)
        assert rows.all(), "every row is lit: no black lines between beams"
        assert columns[np.argmax(columns) : 64 - np.argmax(columns[::-1])].all()


def test_facts_of_a_tracklet():
    clouds = [np.zeros((count, 3), np.float32) for count in (10, 30, 20)]
    assert facts(PERFECT, clouds) == {
        "sensor_distance": 10.0,
        "sensor_height": 1.5,
        "points_mean": 20.0,
        "points_least": 10.0,
    }
    assert facts(PERFECT, [])["points_mean"] == 0
