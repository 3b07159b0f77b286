from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from unbraid.data.protocols import CONDITIONS
from unbraid.world.clothes.wardrobe import (
    COLOURS,
    HAIR_COLOURS,
    HAIRS,
    HATS,
    LONG_TOPS,
    colour,
    draw_outfit,
    hair_word,
    held_of,
)
from unbraid.world.config import WorldConfig
from unbraid.world.people.person import TEST, TRAIN, person, words

CONFIG = WorldConfig()


@pytest.fixture(scope="module")
def described():
    return [words(person(CONFIG, TRAIN, n).shape) for n in range(400)]


def test_outfits_do_not_depend_on_who_wears_them(described):
    outfits = {(n, o): draw_outfit(CONFIG, TRAIN, n, o) for n in range(400) for o in range(2)}
    assert draw_outfit(replace(CONFIG, body_spread=0.5, posture_spread=0.0), TRAIN, 7, 1) == outfits[7, 1]
    for word in ("sex", "weight", "stature"):
        for factor in ("top", "bottom", "hair", "pattern", "bag", "hat"):
            rows = sorted({p[word] for p in described})
            columns = sorted({getattr(o, factor) for o in outfits.values()})
            table = np.zeros((len(rows), len(columns)))
            for (number, _), outfit in outfits.items():
                table[rows.index(described[number][word]), columns.index(getattr(outfit, factor))] += 1
            assert chi2_contingency(table).pvalue > 1e-3, (word, factor)


def test_rates_and_ranges_of_the_wardrobe():
    outfits = [draw_outfit(CONFIG, TRAIN, n, 0) for n in range(800)]
    # Three standard deviations of a share of 800 draws are at most 0.053.
    assert abs(np.mean([o.top in LONG_TOPS for o in outfits]) - CONFIG.long_garment_rate) < 0.04
    assert abs(np.mean([o.bag != "none" for o in outfits]) - CONFIG.bag_rate) < 0.053
    for name, share in HAIRS.items():
        assert abs(np.mean([o.hair == name for o in outfits]) - share) < 0.053
    assert {o.bag for o in outfits} == {"none", "backpack", "shoulder bag"}
    assert {o.hat for o in outfits} == set(HATS)
    assert all(0 < o.top_stand_off <= 0.026 for o in outfits)
    assert all(o.top_colour != o.second_colour for o in outfits)
    assert len({tuple(asdict(o).values()) for o in outfits}) == 800
    tight = replace(CONFIG, looseness=0.0)
    assert draw_outfit(tight, TRAIN, 0, 0).top_stand_off == 0


def test_conditions_change_what_they_name_and_nothing_else():
    for number in range(60):
        base = draw_outfit(CONFIG, TEST, number, 0, condition="normal")
        assert base.bag == "none"
        for condition in ("carrying", "umbrella", "occlusion", "night"):
            assert draw_outfit(CONFIG, TEST, number, 0, condition=condition) == base
        bag = draw_outfit(CONFIG, TEST, number, 0, condition="bag")
        assert bag.bag in ("backpack", "shoulder bag")
        assert replace(bag, bag="none") == base
        free = draw_outfit(CONFIG, TEST, number, 0)
        assert replace(free, bag="none") == base
        assert free.bag in ("none", bag.bag)
    other = [draw_outfit(CONFIG, TEST, n, 1, condition="clothing") for n in range(400)]
    assert all(o.bag == "none" for o in other)
    assert abs(np.mean([o.top in LONG_TOPS for o in other]) - 0.5) < 0.08
    assert {held_of(c) for c in CONDITIONS} == {"nothing", "box", "umbrella"}
    assert (held_of("any"), held_of("carrying"), held_of("umbrella")) == ("nothing", "box", "umbrella")


def test_the_uniform_is_the_same_for_everyone():
    worn = [draw_outfit(CONFIG, g, n, o, condition="uniform") for g in (TRAIN, TEST) for n in range(20) for o in (0, 1)]
    assert all(outfit == worn[0] for outfit in worn)
    assert worn[0].top == "uniform"
    assert worn[0].hat != "none"
    assert "uniform" not in {draw_outfit(CONFIG, TRAIN, n, 0).top for n in range(100)}


def test_a_shared_wardrobe_has_as_many_outfits_as_asked():
    shared = replace(CONFIG, wardrobe=10)
    rows = {n: [draw_outfit(shared, TRAIN, n, o) for o in range(4)] for n in range(150)}
    assert all(len({tuple(asdict(o).values()) for o in row}) == 4 for row in rows.values()), "different ones"
    everything = [tuple(asdict(o).values()) for row in rows.values() for o in row]
    found, counts = np.unique([hash(row) for row in everything], return_counts=True)
    assert len(found) == 10
    # Each outfit is worn by a person with chance 4 / 10: 60 of 150, standard deviation 6.
    assert (np.abs(counts - 60) < 24).all()
    tests = {tuple(asdict(draw_outfit(shared, TEST, n, o)).values()) for n in range(60) for o in range(4)}
    assert len(tests) == 10
    assert not tests & set(everything), "training and test people share nothing"
    with pytest.raises(ValueError, match="wardrobe of 10"):
        draw_outfit(shared, TRAIN, 0, 10)


def test_mistakes_are_named():
    with pytest.raises(KeyError, match="mauve"):
        colour(COLOURS, "mauve")
    with pytest.raises(ValueError, match="did you mean 'umbrella'"):
        draw_outfit(CONFIG, TRAIN, 0, 0, condition="umbrela")
    with pytest.raises(ValueError, match="known are"):
        held_of("sunshine")


def test_hair_words_name_the_nearest_tone():
    assert all(hair_word(colour(HAIR_COLOURS, name)) == name for name in HAIR_COLOURS)
    assert hair_word(np.array([185.0, 150, 90])) == "blond"
