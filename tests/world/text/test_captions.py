import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from unbraid.text.captions import Caption, read_captions, write_captions
from unbraid.text.words import violations
from unbraid.world import named_world
from unbraid.world.clothes.wardrobe import CONDITIONS, draw_outfit
from unbraid.world.config import ACTIONS, WorldConfig
from unbraid.world.people.person import TEST, TRAIN, person
from unbraid.world.people.person import words as body_words
from unbraid.world.plan import Shot, plan
from unbraid.world.text.captions import (
    ASPECTS,
    SHAPE_ASPECTS,
    aspects_of,
    captions,
    shared_texts,
)
from unbraid.world.text.templates import TEMPLATES, sentence
from unbraid.world.text.words import VOCABULARY, biometric_words, hair_words, mistaken, motion_words, named_view, said

CONFIG = WorldConfig(train_identities=30, test_identities=30, walking=0.4, night_rate=0.2, word_errors=0.2, views=8)
MODALITIES = ("rgb", "silhouette", "depth")
PLACES = ("street", "park", "hall", "yard")

# Words by what they are about, written down by hand.
COLOUR = (
    "black white grey navy blue light teal green olive yellow orange red burgundy pink purple brown beige blond dark"
)
GARMENT = (
    "shirt hoodie coat dress vest uniform trousers jeans shorts shoes cap hat stripes checks plain open wearing clothes"
)
BODY = "woman man female male young elderly aged adult tall stature height build slim heavy muscles proportions"
HAIR = "hair cropped bun tied"
VIEW = "front back left right"
CAMERA = "camera image blurred sharp photo picture silhouette depth laser LiDAR"
SCENE = "street park hall yard day night"
DOING = "walking running jumping squatting waving reaching kicking turning"
MANNER = "swing steps strides pace lean trunk"
POSTURE = "stepping crouching raising standing"
THING = "bag backpack box umbrella"
CATEGORIES = {
    name: set(words.split())
    for name, words in {
        "colour": COLOUR,
        "garment": GARMENT,
        "body": BODY,
        "hair": HAIR,
        "view": VIEW,
        "camera": CAMERA,
        "scene": SCENE,
        "doing": DOING,
        "manner": MANNER,
        "posture": POSTURE,
        "thing": THING,
    }.items()
}
# "body" as a word of its own is about nobody in particular, so it is not in BODY
MAY_TELL = {
    "biometric": {"body"},
    "motion": {"doing", "manner"},
    "clothing": {"colour", "garment"},
    "hair": {"colour", "hair"},
    "pose": {"view", "posture"},
    "interaction": {"colour", "thing"},
    "environment": {"scene", "camera"},
    "modality": {"view", "doing", "camera"},
}


def tokens(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z]+", text.replace("LiDAR", "lidar").lower().replace("lidar", "LiDAR")))


@cache
def known(group: int, number: int, share: float = 0.0):
    return person(WorldConfig(appearance_identity=share), group, number)


def said_about(config: WorldConfig, shot: Shot, modality: str, blur: float | None = 0.6) -> list[Caption]:
    outfit = draw_outfit(config, *shot.place[:2], shot.outfit, condition=shot.condition)
    return captions(config, shot, known(*shot.place[:2]), outfit, PLACES[shot.camera % 4], modality, blur=blur)


@pytest.fixture(scope="module")
def spoken() -> list[tuple[Shot, str, Caption]]:
    """All captions of every fifth shot, in everyday clothes and under all conditions."""
    gait = replace(CONFIG, conditions=CONDITIONS, walking=1.0, train_identities=6, test_identities=6)
    shots = [*plan(CONFIG)[::5], *plan(gait)[::5]]
    return [
        (shot, modality, row)
        for shot in shots
        for modality in MODALITIES
        for row in said_about(CONFIG if shot.condition == "any" else gait, shot, modality)
    ]


def test_every_tracklet_has_one_caption_per_aspect():
    config = WorldConfig(
        train_identities=2, test_identities=2, modalities=MODALITIES, conditions=("bag", "night"), walking=1.0, views=8
    )
    shots = plan(config)
    rows = [(r.key, r.aspect) for shot in shots for m in config.modalities for r in said_about(config, shot, m)]
    assert len(rows) == len(set(rows)) == len(shots) * (8 + 5 + 5)
    wanted = {(shot.key, aspect) for shot in shots for aspect in ASPECTS}
    for sensor in ("silhouette", "depth"):
        wanted |= {(f"{shot.key}-{sensor}", aspect) for shot in shots for aspect in SHAPE_ASPECTS}
    assert set(rows) == wanted


def test_aspects_do_not_tell_each_other(spoken):
    for _, modality, row in spoken:
        found = {name for name, words in CATEGORIES.items() if tokens(row.text) & words}
        allowed = MAY_TELL[row.aspect] - (set() if modality == "rgb" else {"colour"})
        assert found <= allowed, (row, found - allowed)
        assert found or row.aspect == "interaction", row


def test_word_filter_finds_nothing_in_them(spoken):
    found = violations(row for _, _, row in spoken)
    assert set(found) == set(ASPECTS) - {"modality"}
    for aspect, one in found.items():
        assert one.wrong == 0, (aspect, one.words, one.examples)


def test_sentences_read_well(spoken):
    texts = {row.text for _, _, row in spoken}
    assert len(texts) > 1000
    for text in texts:
        assert re.fullmatch(r"[A-Z][A-Za-z ,;:-]*[a-z]\.", text), text
        assert not re.search(r"  | [,.;:]|[,;:][^ ]|\b(\w+) \1\b", text), text
        assert len(text.split()) <= 30, text
        assert "none" not in tokens(text), text
        for article, following in re.findall(r"\b([Aa]n?) (\w+)", text):
            assert article.lower() == ("an" if following[0] in "aeiou" else "a"), text


def test_written_out_by_hand():
    worn = {"top": "shirt", "top_colour": "orange", "pattern": "horizontal stripes", "second_colour": "white"}
    worn |= {"bottom": "wide trousers", "bottom_colour": "navy", "shoe_colour": "red", "hat": "none"}
    wanted = "A person wearing an orange shirt with white horizontal stripes, navy wide trousers and red shoes."
    assert sentence("clothing", 0, worn, "rgb") == wanted
    body = {"sex": "female", "stature": "medium height", "weight": "heavy", "muscle": "muscular"}
    body["proportions"] = "ideal proportions"
    assert sentence("biometric", 1, body, "depth") == (
        "This woman is of medium height, with a heavy build, strong muscles and ideal proportions."
    )
    moved = {"action": "walk", "arm_swing": "little", "stride": "long", "cadence": "quick", "lean": "upright"}
    assert sentence("motion", 0, moved, "rgb") == (
        "A person walking with little arm swing, long steps, a quick pace and an upright trunk."
    )
    assert sentence("motion", 3, {"action": "squat", "cadence": "slow"}, "rgb") == (
        "The person is squatting down and shows a slow pace."
    )
    things = {"bag": "backpack", "held": "umbrella"}
    assert sentence("interaction", 0, things, "depth") == "A person carrying a backpack and an umbrella."
    coloured = things | {"bag_colour": "olive", "held_colour": "red"}
    assert sentence("interaction", 0, coloured, "rgb") == "A person carrying an olive backpack and a red umbrella."
    assert sentence("modality", 0, {"view": "back-left", "action": "run"}, "depth") == (
        "A LiDAR depth map of a person running, seen from the back left."
    )


def test_every_template_tells_every_word():
    """Within an aspect, no two choices of words give one text in any template."""
    examples = {
        "biometric": ("sex", "stature", "weight", "muscle", "proportions"),
        "motion": ("action", "arm_swing", "stride", "cadence", "lean"),
        "clothing": ("top", "top_colour", "pattern", "second_colour", "bottom", "bottom_colour", "shoe_colour", "hat"),
        "hair": ("hair", "hair_colour"),
        "pose": ("view", "posture"),
        "interaction": ("bag", "bag_colour", "held", "held_colour"),
        "environment": ("place", "light", "sharpness"),
        "modality": ("view", "action"),
    }
    assert set(examples) == set(ASPECTS) == set(TEMPLATES)
    for aspect, factors in examples.items():
        # the last words of the rows, where everything that can be there is there
        usual = {factor: VOCABULARY[factor][-1] for factor in factors} | {"hat_colour": "red"}
        assert len(set(TEMPLATES[aspect])) == len(TEMPLATES[aspect]) >= 6
        for template in range(len(TEMPLATES[aspect])):
            for factor in factors:
                texts = [sentence(aspect, template, said(usual | {factor: word}), "rgb") for word in VOCABULARY[factor]]
                assert len(set(texts)) == len(texts) > 1, (aspect, template, factor)


def test_test_people_have_templates_of_their_own(spoken):
    for aspect in ASPECTS:
        used = {
            group: Counter(
                row.source["template"] for s, _, row in spoken if row.aspect == aspect and s.place[0] == group
            )
            for group in (TRAIN, TEST)
        }
        assert set(used[TRAIN]) == {0, 1, 2, 3, 4, 5}
        assert set(used[TEST]) == {6, 7}
        for counts in used.values():
            assert chisquare(list(counts.values())).pvalue > 1e-4


STATURE = {"short": "short", "of medium height": "medium height", "medium stature": "medium height", "tall": "tall"}


def read_body(text: str) -> dict[str, str]:
    """The words of a biometric text, by other means than those that wrote it."""
    text = text.lower()
    one = lambda table: next(word for sign, word in table.items() if re.search(rf"\b{sign}\b", text))  # noqa: E731
    found = {"sex": one({"wom[ae]n|female": "female", "man|male": "male"}), "stature": one(STATURE)}
    levels = {
        "weight": ("slim", "average", "heavy"),
        "muscle": ("soft", "average", "strong"),
        "proportions": ("uncommon", "average", "ideal"),
    }
    nouns = {"weight": "build", "muscle": "muscles", "proportions": "proportions"}
    for factor, words in levels.items():
        noun = nouns[factor]
        signs = {f"{word} {noun}|{noun} (is |are )?{word}": number for number, word in enumerate(words)}
        found[factor] = VOCABULARY[factor][one(signs)]
    return found


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 1.0])
def test_share_of_wrong_words(rate):
    config = replace(CONFIG, word_errors=rate)
    wrong = told = counted = 0
    for shot in plan(config)[::3]:
        [row] = [r for r in said_about(config, shot, "depth") if r.aspect == "biometric"]
        true, read = known(*shot.place[:2]).shape, read_body(row.text)
        heights = ("short", "medium height", "tall")
        told += 5
        wrong += read["sex"] != true.sex
        wrong += read["stature"] != heights[(true.height >= 1.64) + (true.height >= 1.76)]
        borders = {"weight": (0.42, 0.62), "muscle": (0.45, 0.65), "proportions": (0.33, 0.67)}
        for name, (low, high) in borders.items():
            value = true.phenotypes[name]
            wrong += read[name] != VOCABULARY[name][(value >= low) + (value >= high)]
        counted += row.source["wrong_words"]
    assert wrong == counted
    assert told > 3000
    assert binomtest(wrong, told, rate).pvalue > 1e-3


def test_wrong_words_stay_in_their_factor_and_grow_with_the_rate():
    true = {factor: words[0] for factor, words in VOCABULARY.items()}
    few, many = ([mistaken(true, rate, np.random.default_rng(n)) for n in range(400)] for rate in (0.1, 0.4))
    for less, more in zip(few, many, strict=True):
        assert list(less) == list(more) == list(VOCABULARY)
        for factor, word in less.items():
            assert word in VOCABULARY[factor]
            assert word in (true[factor], more[factor])
    for rate, rows in ((0.1, few), (0.4, many)):
        wrong = sum(row[factor] != true[factor] for row in rows for factor in VOCABULARY)
        assert binomtest(wrong, 400 * len(VOCABULARY), rate).pvalue > 1e-3
    seen = Counter(row["shoe_colour"] for row in many if row["shoe_colour"] != "black")
    assert set(seen) == set(VOCABULARY["shoe_colour"]) - {"black"}
    assert chisquare(list(seen.values())).pvalue > 1e-3
    with pytest.raises(KeyError):
        mistaken({"colour of the eyes": "blue"}, 0.1, np.random.default_rng(0))


def test_chance_knows_the_place_and_not_the_person():
    shot = plan(CONFIG)[40]
    outfit = draw_outfit(CONFIG, 0, 0, 1)
    first, again, other = (captions(CONFIG, shot, known(TRAIN, n), outfit, "park", "rgb", blur=0.4) for n in (3, 3, 4))
    assert first == again
    assert [row.source["template"] for row in first] == [row.source["template"] for row in other]
    assert {a.aspect for a, b in zip(first, other, strict=True) if a.text != b.text} <= {"biometric", "motion"}
    assert first[0].source["wrong_words"] == other[0].source["wrong_words"]


def test_one_persons_body_is_always_told_alike():
    config = replace(CONFIG, word_errors=0.0)
    for number in range(4):
        shots = [s for s in plan(config) if s.place[:2] == (TEST, number)]
        bodies = [said_about(config, s, m)[0] for s in shots for m in MODALITIES]
        assert {tuple(sorted(read_body(row.text).items())) for row in bodies} == {
            tuple(sorted(read_body(bodies[0].text).items()))
        }
        assert {row.text for row in bodies} > {bodies[0].text}


@pytest.mark.parametrize("people", [100, 400])
def test_texts_are_no_identity_codes(people):
    crowd = [known(TRAIN, number) for number in range(people)]
    texts = Counter(sentence("biometric", 0, biometric_words(one), "rgb") for one in crowd)
    found = shared_texts(crowd)
    assert (found.people, found.texts, found.largest) == (people, len(texts), max(texts.values()))
    assert found.sharing == sum(n for n in texts.values() if n > 1)
    assert found.sharing > people / 4
    assert found.texts < 0.8 * people


@pytest.mark.parametrize("role", ["dev", "final"])
def test_texts_of_the_benchmarks_are_no_identity_codes(role):
    config = named_world(f"clothes/small/{role}").config
    found = shared_texts([person(config, TEST, number) for number in range(config.test_identities)])
    assert found.sharing > 0.35 * found.people


def test_shared_texts_of_nobody_and_of_unknown_aspects():
    crowd = [known(TRAIN, number) for number in range(100)]
    found = shared_texts(crowd)
    assert shared_texts(crowd, ("biometric", "motion")).texts > found.texts
    assert shared_texts([]).largest == 0
    with pytest.raises(ValueError, match="clothing"):
        shared_texts(crowd, ("clothing",))


def test_three_level_words_are_all_used():
    crowd = [known(TRAIN, number) for number in range(400)]
    for factor in ("stature", "weight", "muscle", "proportions"):
        counts = Counter(body_words(one.shape)[factor] for one in crowd)
        assert set(counts) == set(VOCABULARY[factor])
        assert min(counts.values()) > 40, counts
    manners = [motion_words(one, "walk", "nothing") for one in crowd]
    for factor in ("arm_swing", "stride", "cadence", "lean"):
        counts = Counter(words[factor] for words in manners)
        assert set(counts) == set(VOCABULARY[factor])
        assert min(counts.values()) > 80, counts


def test_only_what_can_be_seen_is_told():
    someone = known(TRAIN, 0)
    told = {action: set(motion_words(someone, action, "nothing")) for action in ACTIONS}
    assert told["walk"] == told["run"] == {"action", "arm_swing", "stride", "cadence", "lean"}
    assert told["carry"] == set(motion_words(someone, "walk", "umbrella")) == {"action", "stride", "cadence", "lean"}
    assert told["wave"] == told["kick"] == {"action", "cadence", "lean"}
    assert told["squat"] == {"action", "cadence"}
    shot = plan(CONFIG)[0]
    sharp, silent = (said_about(CONFIG, shot, "rgb", blur=blur)[6].text for blur in (0.4, None))
    assert "image" in sharp
    assert "image" not in silent
    gait = replace(CONFIG, conditions=CONDITIONS, word_errors=0.0, walking=1.0)
    texts = {shot.condition: said_about(gait, shot, "silhouette")[3].text for shot in plan(gait)[: 9 * 8]}
    assert {condition for condition, text in texts.items() if "nothing" not in text.lower()} == {
        "bag",
        "carrying",
        "umbrella",
    }
    assert " box" in texts["carrying"]
    assert " umbrella" in texts["umbrella"]


def test_hair_is_the_one_that_is_seen():
    someone, outfit = known(TRAIN, 5, 1.0), draw_outfit(CONFIG, TRAIN, 5, 0)
    other = replace(someone, hair_style="bun" if outfit.hair != "bun" else "long", hair=10.0 + 0 * someone.hair)
    assert hair_words(replace(CONFIG, appearance_identity=1.0), other, outfit) == {
        "hair": other.hair_style,
        "hair_colour": "black",
    }
    seen = hair_words(replace(CONFIG, appearance_identity=0.0), other, outfit)
    assert seen == {"hair": outfit.hair, "hair_colour": outfit.hair_colour}


def test_any_number_of_views_has_eight_words():
    assert [named_view(WorldConfig(views=4), view) for view in range(4)] == ["front", "left", "back", "right"]
    config = WorldConfig(views=36, view_jitter=0.0)
    assert [named_view(config, view) for view in (0, 2, 3, 33, 34)] == [
        "front",
        "front",
        "front-left",
        "front-right",
        "front",
    ]


def test_actions_of_other_sources_have_texts():
    shot = replace(plan(CONFIG)[0], action="cartwheel")
    texts = [row.text for row in said_about(replace(CONFIG, word_errors=0.0), shot, "rgb")]
    assert sum("performing cartwheel" in text for text in texts) == 2


def test_captions_are_written_as_lines(tmp_path):
    rows = said_about(CONFIG, plan(CONFIG)[0], "rgb") + said_about(CONFIG, plan(CONFIG)[0], "depth")
    write_captions(tmp_path / "captions.jsonl", rows)
    lines = (tmp_path / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"key": row.key, "aspect": row.aspect, "text": row.text, "source": row.source} for row in rows
    ]
    assert set(rows[0].source) == {"model", "version", "template", "wrong_words"}
    assert read_captions(tmp_path / "captions.jsonl") == rows
    with pytest.raises(ValueError, match=f"two captions of {rows[0].key} about biometric"):
        write_captions(tmp_path / "captions.jsonl", [rows[0], rows[0]])
    assert [file.name for file in tmp_path.iterdir()] == ["captions.jsonl"]


def test_mistakes_are_named():
    shot = plan(CONFIG)[0]
    with pytest.raises(ValueError, match="sonar"):
        aspects_of("sonar")
    outfit = draw_outfit(CONFIG, 0, 0, 0)
    with pytest.raises(ValueError, match=r"no place 'moon'; known are street, park, hall, yard"):
        captions(CONFIG, shot, known(0, 0), outfit, "moon", "rgb")
