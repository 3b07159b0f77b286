from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from unbraid.world.body import body_model, draw_shape
from unbraid.world.config import WorldConfig
from unbraid.world.garments import Part, dress, hair_tone
from unbraid.world.people import TRAIN, factors, person, words
from unbraid.world.wardrobe import COLOURS, LONG_TOPS, colour, draw_outfit

CONFIG = WorldConfig()
SKIN, HAIR = np.array([200.0, 150, 120]), np.array([40.0, 30, 20])


@pytest.fixture(scope="module")
def shape():
    return draw_shape(np.random.default_rng(4), spread=1.0)


@pytest.fixture(scope="module")
def described():
    return [words(person(CONFIG, TRAIN, n).shape) for n in range(200)]


def test_outfits_do_not_depend_on_who_wears_them(described):
    outfits = {(n, o): draw_outfit(CONFIG, TRAIN, n, o) for n in range(200) for o in range(4)}
    assert draw_outfit(replace(CONFIG, body_spread=0.5, posture_spread=0.0), TRAIN, 7, 2) == outfits[7, 2]
    for word in ("sex", "weight", "stature"):
        for factor in ("bottom", "hair", "pattern"):
            rows = sorted({p[word] for p in described})
            columns = sorted({getattr(o, factor) for o in outfits.values()})
            table = np.zeros((len(rows), len(columns)))
            for (number, _), outfit in outfits.items():
                table[rows.index(described[number][word]), columns.index(getattr(outfit, factor))] += 1
            assert chi2_contingency(table).pvalue > 1e-3, (word, factor)


def test_rates_and_ranges_of_the_wardrobe():
    outfits = [draw_outfit(CONFIG, TRAIN, n, 0) for n in range(800)]
    assert abs(np.mean([o.top in LONG_TOPS for o in outfits]) - CONFIG.long_garment_rate) < 0.04
    assert abs(np.mean([o.bag for o in outfits]) - CONFIG.bag_rate) < 0.06
    assert all(0 < o.top_stand_off <= 0.026 for o in outfits)
    assert all(o.top_colour != o.second_colour for o in outfits)
    tight = replace(CONFIG, looseness=0.0)
    assert draw_outfit(tight, TRAIN, 0, 0).top_stand_off == 0


def test_words_divide_people_into_usable_groups(described):
    for name in described[0]:
        shares = np.unique([p[name] for p in described], return_counts=True)[1] / 200
        assert len(shares) == (2 if name == "sex" else 3)
        assert shares.min() > 0.08, name


def test_clothes_change_the_silhouette_but_not_the_head(shape):
    outfit = replace(draw_outfit(CONFIG, TRAIN, 0, 0), top="hoodie", bag=False, hair="cap", pattern="plain")
    tight = dress(shape, replace(outfit, top_stand_off=0.0, bottom_stand_off=0.0), skin=SKIN, hair=HAIR)
    loose = dress(shape, replace(outfit, top_stand_off=0.04, bottom_stand_off=0.04), skin=SKIN, hair=HAIR)
    moved = np.linalg.norm(loose.points - tight.points, axis=1)
    top = loose.part == Part.TOP
    assert np.median(moved[: body_model().vertex_count][top[: body_model().vertex_count]]) > 0.03
    assert moved[loose.part == Part.EYE].max() == 0
    assert np.linalg.norm(loose.normals, axis=1) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("top", ["t-shirt", "shirt", "hoodie", "coat", "dress"])
def test_every_garment_makes_a_complete_mesh(shape, top):
    outfit = replace(draw_outfit(CONFIG, TRAIN, 1, 0), top=top, bag=True, hair="long", sleeve=0.5, hem=0.3, leg=0.95)
    costume = dress(shape, outfit, skin=SKIN, hair=HAIR)
    count = len(costume.points)
    assert costume.faces.min() == 0
    assert costume.faces.max() == count - 1
    for table in (costume.normals, costume.cloth, costume.part, costume.edge, costume.bone_index, costume.bone_weight):
        assert len(table) == count
    assert np.allclose(costume.bone_weight.sum(1), 1, atol=1e-5)
    wanted = {Part.SKIN, Part.HAIR, Part.TOP, Part.SHOE, Part.BAG, Part.EYE, Part.LIP}
    assert wanted <= {Part(p) for p in np.unique(costume.part)}
    assert np.isfinite(costume.points).all()
    # The rucksack lies behind the trunk, the hanging hair behind the face.
    back = costume.points[costume.part == Part.BAG, 1].max()
    assert back > shape.vertices[body_model().region == 1, 1].max() + 0.15


def test_appearance_identity_mixes_own_tones():
    plain, own = person(CONFIG, TRAIN, 0), person(replace(CONFIG, appearance_identity=1.0), TRAIN, 0)
    assert np.array_equal(plain.skin, person(CONFIG, TRAIN, 1).skin)
    assert not np.array_equal(own.skin, person(replace(CONFIG, appearance_identity=1.0), TRAIN, 1).skin)
    assert np.array_equal(plain.shape.vertices, own.shape.vertices)
    outfit = draw_outfit(CONFIG, TRAIN, 0, 0)
    assert np.array_equal(hair_tone(outfit, own.hair, 1.0), own.hair)
    assert not np.array_equal(hair_tone(outfit, own.hair, 0.0), own.hair)


def test_factor_table_row_is_flat_and_complete():
    row = factors(person(CONFIG, TRAIN, 3))
    assert row["identity"] == "train0003"
    assert {"height_metres", "word_sex", "word_weight", "phenotype_age", "style_lean", "skin_r"} <= row.keys()


def test_unknown_colours_are_named():
    with pytest.raises(KeyError, match="mauve"):
        colour(COLOURS, "mauve")
