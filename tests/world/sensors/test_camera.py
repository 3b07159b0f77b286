from dataclasses import replace

import numpy as np
import pytest

from unbraid.world.clothes.wardrobe import draw_outfit
from unbraid.world.config import WorldConfig, view_angle, view_name
from unbraid.world.motion import Motion
from unbraid.world.people.body import body_model
from unbraid.world.people.person import TRAIN, person
from unbraid.world.people.pose import bone_matrices
from unbraid.world.people.skeleton import INDEX, turn
from unbraid.world.plan import Shot
from unbraid.world.sensors.camera import camera, stand
from unbraid.world.sensors.frame import boxes, draw_occluder, draw_over, hidden
from unbraid.world.sensors.picture import _behind, _covered, _on_screen, _posed, actor, dense_times, record
from unbraid.world.sensors.raster import project

CONFIG = WorldConfig(height=128, width=64, frames=4, occluder_rate=0, truncation_rate=0, box_jitter=0)
CROP = np.array([-0.12, -0.15, 0.24, 0.30])


def test_view_names():
    assert [view_name(WorldConfig(views=4), k) for k in range(4)] == ["front", "left", "back", "right"]
    assert [view_name(WorldConfig(views=8), k) for k in (1, 3, 5, 7)] == [
        "front-left",
        "back-left",
        "back-right",
        "front-right",
    ]
    assert view_name(WorldConfig(views=3), 1) == "120deg"
    assert view_angle(WorldConfig(views=4), 1) == 90


@pytest.fixture(scope="module")
def standing():
    """A person with the left arm held out sideways, and the bone matrices of that pose."""
    someone = person(CONFIG, TRAIN, 0)
    who = actor(CONFIG, someone, replace(draw_outfit(CONFIG, TRAIN, 0, 0), bag="none", hat="none", top="t-shirt"))
    rotations = np.tile(np.eye(3), (1, 19, 1, 1))
    rotations[0, INDEX["left_upper_arm"]] = turn("y", -np.pi / 2)
    return who, bone_matrices(someone.shape, who.costume, Motion(rotations, np.zeros((1, 3))))


def seen_faces(who, matrices, view):
    """The face of the mesh that each of 256 x 256 pixels shows, -1 for none."""
    kind = replace(camera(CONFIG, 0), distance=8.0, elevation=0.05)
    seen_from = stand(kind, np.radians(view_angle(CONFIG, view)))
    points, _ = _posed(who.costume, matrices.astype(np.float32))
    projected = np.empty_like(points[0])
    project(points[0], seen_from.rows.astype(np.float32), seen_from.eye.astype(np.float32), projected)
    return _covered(who.costume, _on_screen(projected, CROP, 256, 256), 256, 256)


def left_hand_pixels(who, matrices, view):
    """Image columns (share of the width, 0 left) of the pixels that show the left hand."""
    seen = seen_faces(who, matrices, view)
    hand = np.flatnonzero(body_model().bone_index[:, 0] == INDEX["left_hand"])
    shown = (seen >= 0) & np.isin(who.costume.faces[np.maximum(seen, 0), 0], hand)
    return np.nonzero(shown)[1] / 256


def test_left_hand_is_where_each_view_says(standing):
    front, left, back, right = (left_hand_pixels(*standing, view) for view in range(4))
    assert front.size
    assert front.min() > 0.6, "seen from the front, the own left is on the right of the image"
    assert back.size
    assert back.max() < 0.4
    assert left.size
    assert abs(left.mean() - 0.5) < 0.15, "points at the viewer"
    assert right.size < 0.2 * left.size, "hidden behind the trunk"


def test_walking_direction_in_side_views(standing):
    who, matrices = standing
    for view, sign in ((1, -1), (3, 1)):
        seen = seen_faces(who, matrices, view)
        parts = np.where(seen < 0, 0, who.costume.part[who.costume.faces[np.maximum(seen, 0), 0]] + 1)
        hair, lips = (np.nonzero(np.isin(parts, wanted))[1] for wanted in ([2], [7, 8]))
        assert sign * (lips.mean() - hair.mean()) > 0, "faces to the left of the image when seen from its left"


def test_camera_axes_are_orthonormal_and_look_at_the_person():
    kind = camera(CONFIG, 1)
    for azimuth in np.linspace(0, 6, 7):
        view = stand(kind, azimuth)
        assert np.allclose(view.rows @ view.rows.T, np.eye(3))
        assert np.linalg.det(view.rows) == pytest.approx(1)
        assert np.allclose(view.eye + kind.distance * view.rows[2], (0, 0, 0.9))
        assert view.light[2] > 0.5


def test_cameras_differ_and_repeat():
    first, again, other = camera(CONFIG, 0), camera(CONFIG, 0), camera(CONFIG, 1)
    assert np.array_equal(first.scene, again.scene)
    assert np.array_equal(first.table, again.table)
    assert np.abs(first.scene.astype(int) - other.scene).mean() > 5
    neutral = camera(replace(CONFIG, camera_cast=0.0), 0)
    assert np.array_equal(neutral.table, np.arange(256)[:, None].repeat(3, axis=1))
    for number in range(6):
        # A grey of 128 through gains 0.9..1.1 and gamma exp(+-0.18).
        table = camera(CONFIG, number).table[128] / 255
        assert (table > (0.9 * 0.502) ** 1.2 - 0.01).all()
        assert (table < (1.1 * 0.502) ** 0.83 + 0.01).all()


def test_boxes_move_smoothly_and_truncation_cuts():
    random = np.random.default_rng(0)
    centre = np.array([0.0, 0.01]) + 0.01 * np.random.default_rng(1).normal(size=(8, 2))
    half = np.array([0.03, 0.1])
    extents = np.stack([centre - half, centre + half], axis=1)
    config = replace(CONFIG, frames=8, box_jitter=0.05)
    box = boxes(extents, config, random)
    # second differences of a bell-shaped mean over 4.5 frames are a small part of those of the detections
    detected = np.diff((extents[:, 0] + extents[:, 1]) / 2, 2, axis=0)
    assert np.abs(np.diff(box[:, :2] + box[:, 2:] / 2, 2, axis=0)).max() < 0.3 * np.abs(detected).max()
    assert np.allclose(box[:, 2] / box[:, 3], 0.5)
    whole = boxes(extents, CONFIG, np.random.default_rng(0))
    assert (whole[:, 1] < extents[:, 0, 1].mean()).all()
    assert ((whole[:, 1] + whole[:, 3]) > extents[:, 1, 1].mean()).all()
    wide = boxes(np.tile(np.stack([-half[::-1], half[::-1]]), (8, 1, 1)), CONFIG, np.random.default_rng(0))
    assert (wide[:, 2] > 0.2).all(), "who spreads the arms is not cut off"
    still = np.tile(np.stack([-half, half]), (8, 1, 1))
    cuts = [boxes(still, replace(CONFIG, truncation_rate=1.0), np.random.default_rng(s)) for s in range(20)]
    feet = [b[0, 1] + b[0, 3] < 0.1 for b in cuts]
    head = [b[0, 1] > -0.1 for b in cuts]
    aside = [abs(b[0, 0] + b[0, 2] / 2) > 0.01 for b in cuts]
    assert all(f + h + a == 1 for f, h, a in zip(feet, head, aside, strict=True))
    assert any(feet)
    assert any(head)
    assert any(aside)


def test_occluders_pass_through_a_part_of_the_frames():
    config = replace(CONFIG, frames=12, height=64, width=32)
    covered = []
    for seed in range(40):
        thing = draw_occluder(config, 1.0, np.random.default_rng(seed))
        shares = []
        for frame in range(12):
            image = np.zeros((64, 32, 3), np.uint8)
            draw_over(image, thing, frame)
            assert np.array_equal(hidden(thing, frame, 64, 32), image.max(2) > 0)
            shares.append((image.max(2) > 0).mean())
        covered.append(shares)
    covered = np.array(covered)
    assert (covered.max(1) > 0.08).mean() > 0.9
    assert ((covered == 0).any(1)).mean() > 0.7, "most tracklets have free frames too"
    assert draw_occluder(CONFIG, 0.0, np.random.default_rng(0)) is None
    assert not hidden(None, 0, 8, 8).any()


SHOT = Shot((TRAIN, 0, 0, 0), "train", 0, 0, "normal", camera=0, view=1, action="walk", night=False)
EVERYTHING = replace(CONFIG, modalities=("rgb", "silhouette", "depth"), mask_errors=0.0)


@pytest.fixture(scope="module")
def recorded(standing):
    return record(EVERYTHING, standing[0], camera(CONFIG, 0), SHOT)


def test_every_sensor_gives_one_picture_per_instant(recorded):
    for frames, shape in (
        (recorded.rgb, (128, 64, 3)),
        (recorded.masks, (128, 64)),
        (recorded.silhouettes, (64, 64)),
        (recorded.depth, (64, 64)),
    ):
        assert len(frames) == 4
        assert all(f.shape == shape and f.dtype == np.uint8 for f in frames)
        assert all(np.abs(frames[0].astype(int) - f).mean() > 0.5 for f in frames[1:]), "the person moves"
    assert all(cloud.shape[1] == 3 and len(cloud) > 20 for cloud in recorded.clouds)


def test_one_sensor_does_not_change_another(standing, recorded):
    alone = record(replace(CONFIG, masks=False), standing[0], camera(CONFIG, 0), SHOT)
    assert all(np.array_equal(a, b) for a, b in zip(alone.rgb, recorded.rgb, strict=True))
    assert not alone.masks
    assert not alone.depth
    laser = record(replace(EVERYTHING, modalities=("depth",), masks=False), standing[0], camera(CONFIG, 0), SHOT)
    assert all(np.array_equal(a, b) for a, b in zip(laser.depth, recorded.depth, strict=True))
    assert not laser.rgb


def test_sensors_see_the_same_pose(recorded):
    for silhouette, depth in zip(recorded.silhouettes, recorded.depth, strict=True):
        lit, near = silhouette > 127, depth > 0
        assert (lit & near).sum() > 0.6 * near.sum()


def test_occluders_hide_from_every_sensor_and_night_from_the_camera_alone(standing, recorded):
    def take(condition):
        shot = replace(SHOT, condition=condition, night=condition == "night")
        return record(EVERYTHING, standing[0], camera(CONFIG, 0), shot)

    behind = take("occlusion")
    lost = [1 - a.mean() / b.mean() for a, b in zip(behind.masks, recorded.masks, strict=True)]
    fewer = [1 - len(a) / len(b) for a, b in zip(behind.clouds, recorded.clouds, strict=True)]
    assert max(lost) > 0.2
    assert np.corrcoef(lost, fewer)[0, 1] > 0.9
    dark = take("night")
    assert np.mean(dark.rgb) < 0.45 * np.mean(recorded.rgb)
    assert all(np.array_equal(a, b) for a, b in zip(dark.depth, recorded.depth, strict=True))


def test_points_behind_an_occluder_by_hand():
    kind = replace(camera(CONFIG, 0), distance=10.0, elevation=0.0)
    view = stand(kind, 0.0)
    crop = np.array([-0.1, -0.1, 0.2, 0.2])
    half = np.zeros((4, 4), bool)
    half[:, 2:] = True
    # seen from the front the own left, +x, is on the right of the image; the last point is outside the crop
    world = np.array([[0.5, 0, 0.9], [-0.5, 0, 0.9], [0.2, 0, 1.5], [5.0, 0, 0.9]], np.float32)
    assert _behind(world, view, crop, half).tolist() == [True, False, True, False]
    assert not _behind(world[:0], view, crop, half).size


def test_dense_times_hit_the_frames():
    every, times = dense_times(CONFIG)
    assert every == 6
    np.testing.assert_allclose(times[::every], (np.arange(4) - 1.5) / 10)
    assert np.ptp(np.diff(times)) < 1e-12
    assert dense_times(replace(CONFIG, frame_rate=100.0))[0] == 1
