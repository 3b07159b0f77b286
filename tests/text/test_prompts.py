"""Questions, and the filter for what must not be in the answers."""

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.text.captions import ASPECTS, MOTION, Caption
from unbraid.text.prompts import PROMPT_VERSION, QUESTIONS, prompt, summary_prompt
from unbraid.text.words import LISTS, MAY_TELL, found_in, masked, violations, without_violations

ALL = (*ASPECTS, MOTION)


def said(aspect: str, text: str, key: str = "k") -> Caption:
    return Caption(key, aspect, text, {"model": "m"})


def findings(aspect: str, text: str) -> list[tuple[str, str]]:
    return [(one.word, one.category) for one in found_in(said(aspect, text))]


# what must be forbidden in each question, by the name of what another aspect tells
OTHERS = {
    "sex": "biometric",
    "age": "biometric",
    "hair": "hair",
    "clothing": "clothing",
    "posture": "pose",
    "carried": "interaction",
    "place": "environment",
}


@pytest.mark.parametrize("aspect", ALL)
def test_every_question_is_short_and_forbids_the_others(aspect):
    text = prompt(aspect, 4)
    asked, forbidden = re.fullmatch(r"(.*?)( Do not (?:mention|describe) .*)", text).groups()
    assert "30 words" in asked
    assert "one plain sentence" in asked
    assert "'The place'" in asked if aspect == "environment" else "'The person'" in asked
    for word, owner in OTHERS.items():
        same = owner == aspect or {owner, aspect} == {"pose", MOTION}
        assert (word in forbidden) or same, (word, forbidden)
        assert not (owner == aspect and word in forbidden)
    assert "names" in asked
    assert "{" not in text
    assert len({prompt(other, 4) for other in ALL}) == len(ALL)


def test_questions_about_one_and_many_pictures():
    assert prompt("hair").startswith("Look at the person in the middle of this picture.")
    assert prompt("hair", 4).startswith("These 4 pictures show the same person")
    with pytest.raises(ValueError, match="several frames"):
        prompt(MOTION)
    with pytest.raises(KeyError, match="no question about 'shoes'; there are questions about biometric, hair"):
        prompt("shoes")
    text = summary_prompt(["The person is tall {x}.", "The person is young."])
    assert "- The person is tall {x}.\n- The person is young.\n" in text


def test_a_changed_question_has_a_new_version():
    """Raise PROMPT_VERSION together with these: files of captions tell questions apart by it."""
    assert PROMPT_VERSION == 1
    texts = [prompt(aspect, 4) for aspect in ALL] + [prompt("hair"), summary_prompt(["x"])]
    assert hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16] == "26e4970ccea03625"


def test_the_docs_show_the_questions():
    page = (Path(__file__).parents[2] / "docs" / "captions.md").read_text(encoding="utf-8")
    for aspect, (ask, forbid) in QUESTIONS.items():
        assert f"| {aspect} | {ask} | {forbid} |" in page
    assert f"Version {PROMPT_VERSION}." in page


@pytest.mark.parametrize(
    ("aspect", "text"),
    [
        ("biometric", "The person looks male, is middle-aged, tall and of athletic build."),
        ("biometric", "The person is a young woman of average height and slim build."),
        ("hair", "The person has short curly brown hair tied in a bun, and a beard."),
        ("clothing", "The person wears a black T-shirt, slim-fit jeans and white running shoes."),
        ("clothing", "The person wears a floor-length sky-blue dress, tall boots and skin-tight red trousers."),
        ("pose", "The person is walking, seen from the left, with one arm raised."),
        ("pose", "The person stands with a slight bend in the knees. Arms hang down."),
        ("interaction", "The person carries a red backpack and holds a phone."),
        ("environment", "The place is a street with tall buildings, green trees and a staircase, in daylight."),
        (MOTION, "The person is walking slowly with long strides. The arms swing wide."),
        ("modality", "A 3D silhouette of Peter wearing a coat."),
    ],
)
def test_good_captions_have_no_findings(aspect, text):
    assert findings(aspect, text) == []


@pytest.mark.parametrize(
    ("aspect", "text", "wanted"),
    [
        ("clothing", "A young man wears a coat.", [("young", "body"), ("man", "body")]),
        ("clothing", "She wears her coat and carries a bag.", "body body handling thing"),
        ("clothing", "Men's jacket on a person with dark-haired head.", [("Men", "body"), ("haired", "hair")]),
        ("clothing", "The person wears a Nike shirt with the number 23 and NYPD on it.", "name name name"),
        ("biometric", "The person is in the 30s, Caucasian, with blond hair and glasses.", "name origin hair hair"),
        ("biometric", "A tall person in a red jacket walking in a park.", "colour garment posture scene"),
        ("biometric", "The person, called Anna, is 1.75m tall.", [("Anna", "name"), ("1.75m", "name")]),
        ("hair", "Sorry, I can't see the hair under the hat.", "refusal refusal garment"),
        ("hair", "Sorry, I can\u2019t see it.", "refusal refusal"),
        ("pose", "The person walks briskly holding an umbrella.", "manner handling thing"),
        ("interaction", "The person, standing in a shop, carries two boxes.", "posture scene thing"),
        ("environment", "The place is a hall where a person is wearing scarves.", "garment garment"),
        (MOTION, "The person walks quickly along a street with a heavy bag.", "scene thing"),
    ],
)
def test_wrong_words_are_found(aspect, text, wanted):
    found = findings(aspect, text)
    if isinstance(wanted, str):
        wanted = [category for category in wanted.split() if category not in MAY_TELL[aspect]]
        found = [category for _, category in found]
    assert found == wanted


def test_words_inside_words_are_not_found():
    harmless = "manual shipment hatch capable parking-free shoeshine gown brand reboot hallmark skyline treetop boxy"
    for aspect in ALL:
        assert findings(aspect, f"The person {harmless}") == []


PLAIN = sorted(
    {word for listed in LISTS.values() for word in re.sub(r"/[^/]+/", " ", listed).split() if word[-1] != "*"}
)


@given(
    aspect=st.sampled_from(ALL),
    words=st.lists(st.sampled_from([*PLAIN, "person", "He", "Anna", "7", "NATO", "and", ",", ".", "tall", "fit"])),
)
def test_masking_leaves_nothing_to_find(aspect, words):
    caption = said(aspect, "The person is here " + " ".join(words))
    clean = masked(caption)
    if any(category == "refusal" for _, category in findings(aspect, caption.text)):
        assert clean is None
    elif clean is not None:
        assert found_in(clean) == []
        assert masked(clean) == clean
        assert (clean == caption) == (found_in(caption) == [])
        assert len(re.findall(r"\w+", clean.text)) >= 3 or clean == caption


@pytest.mark.parametrize("aspect", ALL)
def test_each_listed_word_is_found_where_it_is_foreign(aspect):
    for category, listed in LISTS.items():
        for word in re.sub(r"/[^/]+/", " ", listed).replace("*", "").split():
            own = any(word in LISTS[name].replace("*", "").split() for name in MAY_TELL[aspect])
            for form in (word, word.upper(), word + ("" if word.endswith("s") else "s")):
                found = [kind for _, kind in findings(aspect, f"the person, {form}, and so on")]
                assert own or category in found or found == ["name"], (form, category, found)


def test_masking_by_hand():
    clean = masked(said("clothing", "A young man with brown hair wears his red coat, carrying a bag."))
    assert clean is not None
    assert clean.text == "A person with brown wears the person's red coat, a."
    assert clean.source == {"model": "m", "masked": 6}
    assert masked(said("clothing", "A tall man.")) is None
    assert masked(said("clothing", "Sorry, the coat is not seen well.")) is None


def test_report_by_hand():
    rows = [said("hair", "The hair is short.", f"k{n}") for n in range(3)]
    rows += [said("hair", "He has short hair under a Cap and a cap.", f"h{n}") for n in range(7)]
    rows += [said("modality", "A man.")]
    found = violations(rows)
    assert list(found) == ["hair"]
    assert (found["hair"].captions, found["hair"].wrong) == (10, 7)
    assert found["hair"].words == (("cap", "garment", 14), ("he", "body", 7))
    assert [key for key, _, _ in found["hair"].examples] == ["h0", "h1", "h2", "h3", "h4"]
    assert found["hair"].examples[0][1] == "He"
    assert [row.key for row in without_violations(rows)] == ["k0", "k1", "k2", "k"]
    assert violations([]) == {}
