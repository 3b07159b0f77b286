import numpy as np

from unbraid.world.sensors.raster import (
    bounds,
    cast_shadow,
    dim,
    expose,
    project,
    rasterise,
    shade,
    skin,
    to_pixels,
    vertex_normals,
)


def slow_cover(screen, faces, height, width):
    """Per pixel and face, nearest front face by barycentric coordinates, in double precision."""
    near, seen = np.zeros((height, width)), np.full((height, width), -1)
    for number, (a, b, c) in enumerate(faces):
        p, q, r = screen[[a, b, c], :2].astype(float)
        system = np.array([[*p, 1], [*q, 1], [*r, 1]]).T
        if np.linalg.det(system) >= 0:
            continue
        for y in range(height):
            for x in range(width):
                weights = np.linalg.solve(system, [x + 0.5, y + 0.5, 1])
                if (weights >= 0).all():
                    nearness = weights @ (1 / screen[[a, b, c], 2].astype(float))
                    if nearness > near[y, x]:
                        near[y, x], seen[y, x] = nearness, number
    return near, seen


def test_rasterise_agrees_with_a_slow_loop():
    random = np.random.default_rng(0)
    screen = np.column_stack([random.uniform(-4, 20, (60, 2)), random.uniform(1, 9, 60)]).astype(np.float32)
    faces = random.integers(0, 60, (40, 3)).astype(np.int32)
    faces = faces[[len(set(f)) == 3 for f in faces.tolist()]]
    nearness, seen = np.zeros((14, 16), np.float32), np.full((14, 16), -1, np.int32)
    rasterise(screen, faces, nearness, seen)
    near, expected = slow_cover(screen, faces, 14, 16)
    assert (seen != expected).mean() < 0.01
    assert np.abs(nearness - near)[seen == expected].max() < 1e-5
    assert (seen >= 0).mean() > 0.3


def sphere(rings=90, around=120, radius=0.5):
    polar, turn = np.meshgrid(np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, around, False), indexing="ij")
    points = radius * np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], -1)
    ring, step = (g.ravel() for g in np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij"))
    here, beside = ring * around + step, ring * around + (step + 1) % around
    faces = np.concatenate(
        [np.stack([here, here + around, beside], 1), np.stack([beside, here + around, beside + around], 1)]
    )
    return points.reshape(-1, 3).astype(np.float32), faces.astype(np.int32)


CAMERA = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)


def test_sphere_has_analytic_depth_normals_and_brightness():
    points, faces = sphere()
    normals = np.empty_like(points)
    vertex_normals(points, faces, normals)
    inner = np.abs(points[:, 2]) < 0.499
    assert np.abs(normals - points / 0.5)[inner].max() < 0.02

    eye = np.array([0, -3, 0], np.float32)
    projected, screen = np.empty_like(points), np.empty_like(points)
    project(points, CAMERA, eye, projected)
    to_pixels(projected, -0.25, -0.25, 200.0, 200.0, screen)
    nearness, seen = np.zeros((100, 100), np.float32), np.full((100, 100), -1, np.int32)
    rasterise(screen, faces, nearness, seen)
    across, down = np.meshgrid((np.arange(100) + 0.5) / 200 - 0.25, (np.arange(100) + 0.5) / 200 - 0.25)
    # |t d - (0, 0, 3)| = 0.5 with d = (across, down, 1): the smaller root is the depth.
    square, half = across**2 + down**2 + 1, 3.0
    root = half**2 - square * (9 - 0.25)
    depth = (half - np.sqrt(np.maximum(root, 0))) / square
    inside = root > 0.05
    assert (seen[inside] >= 0).all()
    assert (seen[root < -0.05] < 0).all()
    assert np.abs(1 / nearness[inside] - depth[inside]).max() < 0.003

    image = np.zeros((100, 100, 3), np.uint8)
    part, edge = np.zeros(len(points), np.uint8), np.zeros(len(points), np.float32)
    colours, light = np.full((1, 3), 200, np.float32), np.array([0, -1, 0], np.float32)
    shade(screen, faces, seen, normals, points, part, edge, colours, colours[0], 0, 2, 0.0, light, 0.0, image)
    normal = (np.stack([across * depth, depth - 3, -down * depth], -1) / 0.5)[inside]
    expected = 200 * np.maximum(0, (normal @ light + 0.3) / 1.3)
    assert np.abs(image[inside][:, 0] - expected).max() < 6


def test_parts_of_one_triangle_are_divided_by_the_edge_field():
    screen = np.array([[-20, -20, 1], [-20, 60, 1], [60, -20, 1]], np.float32)
    faces, seen = np.array([[0, 1, 2]], np.int32), np.full((8, 8), -1, np.int32)
    rasterise(screen, faces, np.zeros((8, 8), np.float32), seen)
    image, normals = np.zeros((8, 8, 3), np.uint8), np.tile(np.array([0, 0, 1], np.float32), (3, 1))
    edge = (screen[:, 1] - 4).astype(np.float32)
    colours = np.array([[50, 0, 0], [250, 0, 0]], np.float32)
    part, light = np.array([0, 1, 0], np.uint8), np.array([0, 0, 1], np.float32)
    shade(screen, faces, seen, normals, screen, part, edge, colours, colours[0], 0, 9, 0.0, light, 0.0, image)
    assert (image[:4, :, 0] == 50).all()
    assert (image[4:, :, 0] == 250).all()


def test_skin_agrees_with_numpy():
    random = np.random.default_rng(1)
    points, normals = random.normal(size=(2, 50, 3)).astype(np.float32)
    index, weight = (
        random.integers(0, 19, (50, 4)).astype(np.int32),
        random.dirichlet(np.ones(4), 50).astype(np.float32),
    )
    bones = random.normal(size=(19, 3, 4)).astype(np.float32)
    out, turned = np.empty_like(points), np.empty_like(points)
    skin(points, normals, index, weight, bones, out, turned)
    blend = np.einsum("vk,vkij->vij", weight, bones[index])
    assert np.allclose(out, np.einsum("vij,vj->vi", blend[..., :3], points) + blend[..., 3], atol=1e-4)
    assert np.allclose(turned, np.einsum("vij,vj->vi", blend[..., :3], normals), atol=1e-4)


def test_exposure_noise_has_the_asked_strength_and_table_is_applied():
    random = np.random.default_rng(2)
    image, out = np.full((128, 128, 3), 100, np.uint8), np.zeros((128, 128, 3), np.uint8)
    table = np.stack([np.arange(256), np.arange(256) // 2, 255 - np.arange(256)], 1).astype(np.uint8)
    noise = random.integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    expose(image, table, noise, 3.0, out)
    assert np.abs(out.mean((0, 1)) - (100, 50, 155)).max() < 0.1
    assert np.abs(out.astype(float).std((0, 1)) - 3).max() < 0.1
    expose(image, table, noise, 0.0, out)
    assert (out == (100, 50, 155)).all()


def test_small_kernels():
    points = np.random.default_rng(3).normal(size=(40, 3)).astype(np.float32)
    found = np.empty((2, 2), np.float32)
    bounds(points, found)
    assert np.array_equal(found, [points[:, :2].min(0), points[:, :2].max(0)])

    image = np.full((2, 2, 3), 200, np.uint8)
    dim(image, np.array([[1, 0.5], [0.25, 1]], np.float32))
    assert image[..., 0].tolist() == [[200, 100], [50, 200]]

    # A point one metre up under a sun at 45 degrees from +x throws its shadow one metre towards -x.
    point, light = np.array([[0, 0, 1]], np.float32), np.array([1, 0, 1], np.float32) / np.float32(2**0.5)
    ground, eye = np.zeros((40, 40), np.float32), np.array([0, -5, 1], np.float32)
    cast_shadow(point, light, CAMERA, eye, np.array([-0.5, -0.5, 40, 40], np.float32), ground)
    # Seen from 5 m away and 1 m above: x / depth = -1 / 5, y / depth = 1 / 5.
    assert np.argwhere(ground).tolist() == [[28, 12]] or np.argwhere(ground).tolist() == [[28, 11]]
