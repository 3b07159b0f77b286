import numpy as np
import pytest

from tests.shared import shared
from unbraid.world.people.body import HEIGHTS, body_model, draw_shape
from unbraid.world.people.skeleton import BONES, INDEX


def test_weights_and_tables_fit_together():
    model = body_model()
    assert np.allclose(model.bone_weight.sum(1), 1, atol=1e-6)
    assert model.bone_index.max() < len(BONES)
    assert model.faces.max() == model.vertex_count - 1
    assert len(model.coefficients) == len(model.heights) == len(model.phenotypes)
    assert np.allclose(model.coefficients.std(0), 1, atol=0.02)


def test_stored_heights_are_those_of_the_decoded_meshes():
    model = body_model()
    for row in (0, 1, 50, 200):
        vertices, _ = model.shape(model.coefficients[row])
        assert abs(np.ptp(vertices[:, 2]) - model.heights[row]) < 0.004


def test_faces_point_outwards():
    model = body_model()
    vertices, _ = model.shape(np.zeros(len(model.basis)))
    a, b, c = (vertices[model.faces[:, k]] for k in range(3))
    # Divergence theorem; an average adult displaces 50 to 100 litres.
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    assert 0.05 < volume < 0.10


def test_joints_lie_inside_their_limbs_and_left_is_positive_x():
    model = body_model()
    vertices, joints = model.shape(np.zeros(len(model.basis)))
    assert joints[INDEX["left_hand"], 0] > 0.3 > -0.3 > joints[INDEX["right_hand"], 0]
    assert (
        vertices[:, 2].min() < joints[INDEX["left_foot"], 2] < joints[INDEX["left_shank"], 2] < joints[INDEX["root"], 2]
    )
    toes, heels = vertices[:, 1][vertices[:, 2] < vertices[:, 2].min() + 0.02].min(), joints[INDEX["left_foot"], 1]
    assert toes < heels, "people face towards -y"


def test_drawn_people_are_adults_and_spread_widens_build_only():
    def builds(spread):
        shapes = [draw_shape(np.random.default_rng(seed), spread=spread) for seed in range(60)]
        assert all(HEIGHTS[0] <= s.height <= HEIGHTS[1] for s in shapes)
        men = [s for s in shapes if s.sex == "male"]
        waist = [np.ptp(s.vertices[body_model().bone_index[:, 0] == INDEX["spine"], 0]) / s.height for s in men]
        return len(men), np.std(waist)

    (count, narrow), (_, wide) = builds(0.6), builds(1.8)
    assert 15 < count < 45
    assert wide > 2 * narrow


def test_bodies_are_mixtures_within_the_stored_adults():
    model = body_model()
    plain = [draw_shape(np.random.default_rng(seed), spread=1.0) for seed in range(100)]
    for name, column in zip(model.phenotype_names, model.phenotypes.T, strict=True):
        values = np.array([shape.phenotypes[name] for shape in plain])
        if name == "gender":
            assert ((values < 0.3) | (values > 0.7)).all(), "nobody between the sexes of the generator"
        # As evenly spread as points between two of the stored adults: a variance of 2/3 of theirs, within a sex.
        else:
            sexes = [shape.sex == "female" for shape in plain]
            rows = model.phenotypes[:, 0] > 0.5
            for sex in (True, False):
                share = values[np.array(sexes) == sex].std() / column[rows == sex].std()
                assert 0.5 < share < 1.1, name


def test_left_and_right_of_a_body_are_mirror_images():
    shape = draw_shape(np.random.default_rng(5), spread=1.8)
    for bone in ("clavicle", "upper_arm", "forearm", "hand", "thigh", "shank", "foot"):
        left, right = shape.joints[INDEX[f"left_{bone}"]], shape.joints[INDEX[f"right_{bone}"]]
        assert np.allclose(left * (-1, 1, 1), right, atol=0.003)


def test_earlier_body_model_is_described_to_a_millimetre():
    earlier = np.load(shared("data/body/makehuman_pca_body.npz"), allow_pickle=False)
    model = body_model()
    assert np.array_equal(model.faces, earlier["faces"])
    adult = (earlier["height_m"] > 1.42) & (earlier["height_m"] < 2.05) & (earlier["ph_age"] > 2 / 3)
    theirs = earlier["mean"] + np.tensordot(earlier["coef"][adult], earlier["basis"].astype(float), axes=1)
    flat, basis = (theirs - model.mean).reshape(adult.sum(), -1), model.basis.reshape(len(model.basis), -1)
    left = flat - np.linalg.lstsq(basis.T, flat.T, rcond=None)[0].T @ basis
    distance = np.linalg.norm(left.reshape(theirs.shape), axis=-1)
    assert distance.mean() < 0.001
    assert distance.max() < 0.02
    weights = np.zeros((model.vertex_count, len(BONES)))
    np.put_along_axis(weights, model.bone_index, model.bone_weight, axis=1)
    old = np.zeros_like(weights)
    np.put_along_axis(old, earlier["bone_idx"].astype(int), earlier["bone_w"].astype(float), axis=1)
    assert np.abs(weights - old).mean() < 0.01


def test_body_file_of_another_skeleton_is_refused(monkeypatch):
    monkeypatch.setattr("unbraid.world.people.body.BONES", ("root",))
    body_model.cache_clear()
    with pytest.raises(ValueError, match="another skeleton"):
        body_model()
    body_model.cache_clear()
