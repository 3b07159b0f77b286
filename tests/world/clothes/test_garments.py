from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from unbraid.world.clothes.garments import Part, dress
from unbraid.world.clothes.props import cuboid
from unbraid.world.clothes.tailoring import owned
from unbraid.world.clothes.wardrobe import HAIRS, draw_outfit, uniform
from unbraid.world.config import WorldConfig
from unbraid.world.people.body import EYE, body_model, draw_shape
from unbraid.world.people.person import TRAIN, person
from unbraid.world.people.skeleton import INDEX

CONFIG = WorldConfig()
SKIN, HAIR = np.array([200.0, 150, 120]), np.array([40.0, 30, 20])
PLAIN = replace(
    draw_outfit(CONFIG, TRAIN, 0, 0), top="t-shirt", bottom="jeans", bag="none", hat="none", hair="short", hem=0.03
)
# Outfits that between them have every piece.
OUTFITS = {
    "backpack": replace(PLAIN, bag="backpack", hair="long"),
    "shoulder bag": replace(PLAIN, bag="shoulder bag", hair="medium"),
    "coat": replace(PLAIN, top="coat", hem=0.5, bag="shoulder bag", hair="bun"),
    "dress": replace(PLAIN, top="dress", hem=0.5, bag="backpack"),
    "hoodie": replace(PLAIN, top="hoodie", hat="knitted hat"),
    "cap": replace(PLAIN, hat="peaked cap"),
    "uniform": uniform(CONFIG),
}


@pytest.fixture(scope="module")
def shape():
    return draw_shape(np.random.default_rng(4), spread=1.0)


def pieces_of(costume):
    """The parts of the mesh that are not the body: (points, faces, part), corners that coincide made one."""
    count = body_model().vertex_count
    extra = costume.faces[(costume.faces >= count).all(1)]
    points, names = np.unique(costume.points[count:].round(6), axis=0, return_inverse=True)
    faces = names.reshape(-1)[extra - count]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[whole]
    part = costume.part[extra][whole, 0]
    links = coo_array(
        (np.ones(2 * len(faces)), (faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel())), shape=(len(points),) * 2
    )
    _, label = connected_components(links, directed=False)
    for number in np.unique(label[faces[:, 0]]):
        own = label[faces[:, 0]] == number
        yield points.astype(float), faces[own], Part(part[own][0])


def is_closed(faces):
    """Every edge has exactly one other triangle, which runs along it the other way."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forth, back = ({tuple(e) for e in edges}, {tuple(e[::-1]) for e in edges})
    return len(forth) == len(edges) and forth == back


@pytest.mark.parametrize("held", ["nothing", "box", "umbrella"])
@pytest.mark.parametrize("name", OUTFITS)
def test_pieces_are_closed_or_tubes_and_face_outwards(shape, name, held):
    costume = dress(shape, OUTFITS[name], skin=SKIN, hair=HAIR, held=held)
    found = []
    for points, faces, part in pieces_of(costume):
        a, b, c = (points[faces[:, k]] for k in range(3))
        side = np.cross(b - a, c - a)
        found.append(part)
        assert len(faces) < 800
        if is_closed(faces):
            # Divergence theorem.
            assert np.einsum("ij,ij->", a, side) / 6 > 1e-6, (name, part)
        else:
            # Only what hangs around the legs or sits on the head is open, downwards.
            assert part in (Part.TOP, Part.HAT)
            away = (a + b + c)[:, :2] / 3 - points[np.unique(faces), :2].mean(0)
            level = np.linalg.norm(side[:, :2], axis=1) > np.abs(side[:, 2])
            assert ((side[:, :2] * away).sum(1) > 0)[level].all(), (name, part)
    expected = {"backpack": Part.BAG, "shoulder bag": Part.BAG, "coat": Part.TOP, "dress": Part.TOP}
    expected |= {"hoodie": Part.TOP, "cap": Part.HAT, "uniform": Part.BAND}
    assert expected[name] in found
    assert (held != "nothing") == (Part.HELD in found)


def test_shoes_hide_the_feet_and_carry_the_soles():
    for number in range(20):
        someone = person(CONFIG, TRAIN, number)
        costume = dress(someone.shape, PLAIN, skin=SKIN, hair=HAIR)
        drawn = np.unique(costume.faces)
        hidden = np.setdiff1d(np.arange(body_model().vertex_count), drawn)
        assert 1000 < len(hidden) <= 2134, "of two feet of 1067 vertices"
        shoes = [(p, f) for p, f, part in pieces_of(costume) if part == Part.SHOE]
        assert len(shoes) == 2
        for points, faces in shoes:
            a, b, c = (points[faces[:, k]] for k in range(3))
            feet = costume.points[hidden][np.sign(costume.points[hidden, 0]) == np.sign(a[:, 0].mean())]
            # The winding number of a closed surface is 1 inside (solid angles of Van Oosterom and Strackee).
            inside = [winding(a - foot, b - foot, c - foot) > 0.5 for foot in feet[::15]]
            assert np.mean(inside) > 0.97
        soles, bones = costume.points[costume.soles], costume.bone_index[costume.soles, 0]
        assert soles[:, 2].min() == pytest.approx(costume.points[drawn, 2].min())
        assert {INDEX["left_foot"], INDEX["right_foot"]} == set(bones.tolist())
        assert (np.sign(soles[:, 0]) == np.where(bones == INDEX["left_foot"], 1, -1)).all()


def winding(a, b, c):
    """How often the triangles with corners a, b, c (F, 3) go around the origin."""
    length = [np.linalg.norm(corner, axis=1) for corner in (a, b, c)]
    triple = np.einsum("ij,ij->i", a, np.cross(b, c))
    below = length[0] * length[1] * length[2] + sum(
        (one * two).sum(1) * size for one, two, size in ((a, b, length[2]), (b, c, length[0]), (c, a, length[1]))
    )
    return 2 * np.arctan2(triple, below).sum() / (4 * np.pi)


def test_a_cuboid_has_the_volume_and_the_sides_it_should_have():
    low, high = np.array([-0.1, 0.2, 1.0]), np.array([0.3, 0.5, 1.2])
    piece = cuboid(low, high, "chest")
    a, b, c = (piece.points[piece.faces[:, k]] for k in range(3))
    assert np.einsum("ij,ij->", a, np.cross(b, c)) / 6 == pytest.approx(0.4 * 0.3 * 0.2)
    away = (a + b + c) / 3 - (low + high) / 2
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), away) > 0).all()
    assert np.abs(np.cross(b - a, c - a)).sum() / 2 == pytest.approx(2 * (0.12 + 0.08 + 0.06))


def test_clothes_change_the_silhouette_but_not_the_head(shape):
    outfit = replace(PLAIN, top="hoodie", hair="cropped", pattern="plain")
    tight = dress(shape, replace(outfit, top_stand_off=0.0, bottom_stand_off=0.0), skin=SKIN, hair=HAIR)
    loose = dress(shape, replace(outfit, top_stand_off=0.04, bottom_stand_off=0.04), skin=SKIN, hair=HAIR)
    moved = np.linalg.norm(loose.points - tight.points, axis=1)
    top = loose.part == Part.TOP
    assert np.median(moved[: body_model().vertex_count][top[: body_model().vertex_count]]) > 0.03
    assert moved[loose.part == Part.EYE].max() == 0
    assert np.linalg.norm(loose.normals[np.unique(loose.faces)], axis=1) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("top", ["t-shirt", "shirt", "hoodie", "coat", "dress", "uniform"])
def test_every_garment_makes_a_complete_mesh(shape, top):
    outfit = replace(PLAIN, top=top, bag="backpack", hair="long", sleeve=0.5, hem=0.3, leg=0.95)
    costume = dress(shape, outfit, skin=SKIN, hair=HAIR)
    count = len(costume.points)
    assert costume.faces.min() == 0
    assert costume.faces.max() == count - 1
    for table in (costume.normals, costume.cloth, costume.part, costume.edge, costume.bone_index, costume.bone_weight):
        assert len(table) == count
    assert np.allclose(costume.bone_weight.sum(1), 1, atol=1e-5)
    wanted = {Part.SKIN, Part.HAIR, Part.TOP, Part.SHOE, Part.BAG, Part.EYE, Part.LIP}
    assert wanted <= {Part(p) for p in np.unique(costume.part)}
    assert costume.colours.shape == (len(Part), 3)
    assert np.isfinite(costume.points).all()
    # The rucksack lies behind the trunk, the hanging hair behind the face.
    back = costume.points[costume.part == Part.BAG, 1].max()
    assert back > shape.vertices[body_model().region == EYE, 1].max() + 0.15


def test_a_shoulder_bag_hangs_at_the_left_hip_on_a_strap_over_the_right_shoulder():
    for number in range(20):
        someone = person(CONFIG, TRAIN, number)
        for top, hem in (("t-shirt", 0.03), ("coat", 0.5)):
            outfit = replace(PLAIN, top=top, hem=hem, bag="shoulder bag")
            costume = dress(someone.shape, outfit, skin=SKIN, hair=HAIR)
            count = body_model().vertex_count
            bag = costume.points[count:][costume.part[count:] == Part.BAG]
            strap = costume.points[:count][costume.part[:count] == Part.BAG]
            hip = someone.shape.joints[13]
            assert bag[:, 0].mean() > hip[0], "left is positive x"
            assert abs(bag[:, 2].mean() - hip[2]) < 0.1
            trunk = costume.points[:count][owned("spine", "root", "left_thigh")]
            near = trunk[np.abs(trunk[:, 2] - bag[:, 2].mean()) < 0.05]
            assert -0.06 < bag[:, 0].min() - near[:, 0].max() < 0.05, "touches the hip, or the cloth around it"
            highest, lowest = strap[strap[:, 2].argmax()], strap[strap[:, 2].argmin()]
            assert highest[0] < 0 < lowest[0]
            assert strap[strap[:, 2] > lowest[2] + 0.15, 1].min() < 0 < strap[:, 1].max(), "in front and behind"


def test_hair_styles_and_hats_stay_out_of_the_face(shape):
    eyes = shape.vertices[body_model().region == EYE]
    for number, style in enumerate(HAIRS):
        for hat in ("none", "peaked cap", "knitted hat"):
            outfit = replace(PLAIN, hair=style, hat=hat, hair_volume=0.006 + 0.004 * number)
            costume = dress(shape, outfit, skin=SKIN, hair=HAIR)
            extra = costume.points[body_model().vertex_count :]
            level = np.abs(extra[:, 2] - eyes[:, 2].mean()) < 0.02
            if level.any():
                assert extra[level, 1].min() > eyes[:, 1].max() + 0.015, (style, hat)
            worn = costume.points[costume.part == Part.HAT]
            hair = costume.points[: body_model().vertex_count]
            if hat != "none":
                assert worn[:, 2].max() > hair[:, 2].max()
                assert worn[:, 2].min() > eyes[:, 2].max()
