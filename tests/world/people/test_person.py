from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from unbraid.world.clothes.garments import hair_tone
from unbraid.world.clothes.wardrobe import HAIRS, draw_outfit
from unbraid.world.config import WorldConfig
from unbraid.world.people.body import EYE, LIP, body_model, draw_shape
from unbraid.world.people.face import Face, draw_face, with_face
from unbraid.world.people.person import BORDERS, TEST, TRAIN, WORDS, factors, own_hair, person, words
from unbraid.world.people.skeleton import INDEX

CONFIG = WorldConfig()
OWN = replace(CONFIG, appearance_identity=1.0)
EXTREMES = [Face(**dict.fromkeys(Face.__dataclass_fields__, sign)) for sign in (-1.0, 1.0)]


@pytest.fixture(scope="module")
def crowd():
    """Four hundred people of a default world, of both groups."""
    return [person(CONFIG, group, number) for group in (TRAIN, TEST) for number in range(200)]


def test_four_hundred_people_are_distinct_adults(crowd):
    heights = np.array([p.shape.height for p in crowd])
    assert 1.50 <= heights.min() < 1.56
    assert 1.90 < heights.max() <= 1.98
    points = np.array([p.shape.vertices[::60].ravel() for p in crowd])
    root_mean_square = pdist(points) / np.sqrt(points.shape[1] / 3)
    assert root_mean_square.min() > 0.002
    assert len({p.identity for p in crowd}) == 400
    assert len({p.style for p in crowd}) == 400


def test_words_divide_people_into_usable_groups(crowd):
    described = [words(p.shape) for p in crowd]
    assert set(described[0]) == {"sex", "stature", *BORDERS}
    for name in described[0]:
        found, shares = np.unique([p[name] for p in described], return_counts=True)
        assert len(found) == (2 if name == "sex" else 3)
        assert name not in WORDS or set(found) == set(WORDS[name])
        assert shares.min() > 0.08 * len(crowd), name


def test_appearance_identity_mixes_own_tones():
    plain, own = person(CONFIG, TRAIN, 0), person(OWN, TRAIN, 0)
    assert np.array_equal(plain.skin, person(CONFIG, TRAIN, 1).skin)
    assert not np.array_equal(own.skin, person(OWN, TRAIN, 1).skin)
    half = person(replace(CONFIG, appearance_identity=0.5), TRAIN, 0)
    assert np.allclose(half.skin, (plain.skin + own.skin) / 2)
    assert np.allclose(half.shape.vertices, (plain.shape.vertices + own.shape.vertices) / 2)
    outfit = draw_outfit(CONFIG, TRAIN, 0, 0)
    assert np.array_equal(hair_tone(outfit, own.hair, 1.0), own.hair)
    assert not np.array_equal(hair_tone(outfit, own.hair, 0.0), own.hair)


def test_appearance_identity_decides_how_often_hair_is_the_persons_own():
    people = [person(CONFIG, TRAIN, n) for n in range(300)]
    outfits = [draw_outfit(CONFIG, TRAIN, n, 0) for n in range(300)]
    assert all(own_hair(o, p, 0.0) == o for o, p in zip(outfits, people, strict=True))
    whole = [own_hair(o, p, 1.0) for o, p in zip(outfits, people, strict=True)]
    assert all((o.hair, o.hair_volume) == (p.hair_style, p.hair_volume) for o, p in zip(whole, people, strict=True))
    assert {p.hair_style for p in people} == set(HAIRS)
    differing = [(o, p) for o, p in zip(outfits, people, strict=True) if o.hair != p.hair_style]
    share = np.mean([own_hair(o, p, 0.3).hair == p.hair_style for o, p in differing])
    assert abs(share - 0.3) < 3 * np.sqrt(0.21 / len(differing))


def test_faces_leave_everything_but_the_head_as_it_is():
    shape = draw_shape(np.random.default_rng(2), spread=1.0)
    model = body_model()
    follows = (np.where(model.bone_index == INDEX["head"], model.bone_weight, 0)).sum(1)
    eyes = float(shape.vertices[model.region == EYE, 2].mean())
    for face in EXTREMES:
        other = with_face(shape, face, strength=1.0)
        moved = np.linalg.norm(other.vertices - shape.vertices, axis=1)
        assert moved[follows == 0].max() == 0
        assert 0.004 < moved[follows > 0.9].max() < 0.03
        assert np.array_equal(other.joints, shape.joints)
        assert np.ptp(other.vertices[:, 2]) == pytest.approx(shape.height, abs=1e-9)
        head = other.vertices[follows > 0.9]
        assert (head.min(0) < shape.joints[INDEX["head"]]).all()
        assert (head.max(0) > shape.joints[INDEX["head"]]).all()
        # The order of the features down the middle of the face stays.
        new_eyes, lips = (float(other.vertices[model.region == region, 2].mean()) for region in (EYE, LIP))
        assert new_eyes - lips > 0.035
        assert abs(new_eyes - eyes) < 0.01
    assert with_face(shape, EXTREMES[0], strength=0.0) is shape
    assert with_face(shape, Face(), strength=1.0) is shape


@pytest.mark.parametrize(("name", "axis", "wanted"), [("head_width", 0, 0.08), ("head_depth", 1, 0.07)])
def test_a_proportion_scales_the_skull_as_said(name, axis, wanted):
    shape = draw_shape(np.random.default_rng(3), spread=1.0)
    model = body_model()
    follows = (np.where(model.bone_index == INDEX["head"], model.bone_weight, 0)).sum(1)
    skull = (follows > 0.999) & (shape.vertices[:, 2] > shape.vertices[model.region == EYE, 2].max())
    wide = with_face(shape, replace(Face(), **{name: 1.0}), strength=1.0)
    ratio = np.ptp(wide.vertices[skull, axis]) / np.ptp(shape.vertices[skull, axis])
    assert ratio == pytest.approx(1 + wanted, abs=0.003)


def test_faces_keep_the_mesh_whole():
    # No triangle of the head may turn over or collapse.
    model = body_model()
    for seed in range(5):
        shape = draw_shape(np.random.default_rng(seed), spread=1.8)
        other = with_face(shape, draw_face(np.random.default_rng(seed)), strength=1.0)
        sides = []
        for points in (shape.vertices, other.vertices):
            a, b, c = (points[model.faces[:, k]] for k in range(3))
            sides.append(np.cross(b - a, c - a))
        cosine = (sides[0] * sides[1]).sum(1) / np.linalg.norm(sides[0], axis=1) / np.linalg.norm(sides[1], axis=1)
        ratio = np.linalg.norm(sides[1], axis=1) / np.linalg.norm(sides[0], axis=1)
        assert cosine.min() > 0.7
        assert ratio.min() > 0.6
        assert ratio.max() < 1.6


def test_controls_give_everyone_one_body_or_one_style():
    first, second = (person(replace(CONFIG, same_body=True), TEST, n) for n in (3, 4))
    assert np.array_equal(first.shape.vertices, second.shape.vertices)
    assert first.style != second.style
    assert first.style == person(CONFIG, TEST, 3).style
    first, second = (person(replace(CONFIG, same_style=True), TEST, n) for n in (3, 4))
    assert first.style == second.style
    assert not np.array_equal(first.shape.vertices, second.shape.vertices)
    assert np.array_equal(first.shape.vertices, person(CONFIG, TEST, 3).shape.vertices)
    control = replace(OWN, same_body=True)
    assert np.array_equal(person(control, TRAIN, 0).shape.vertices, person(control, TEST, 9).shape.vertices)


def test_factor_table_row_is_flat_and_complete():
    row = factors(person(CONFIG, TRAIN, 3))
    assert row["identity"] == "train0003"
    wanted = {"height_metres", "word_sex", "word_weight", "phenotype_age", "style_lean", "skin_r", "face_jaw_width"}
    assert wanted | {"hair_style", "hair_volume"} <= row.keys()
    assert all(isinstance(value, (str, float)) for value in row.values())
