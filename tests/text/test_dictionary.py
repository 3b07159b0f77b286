"""The library's dictionary keeps its rules and its hash; files of others are read, or refused with the place."""

import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.text.test_bank import Letters
from unbraid.text.dictionary import (
    Dictionary,
    dictionary_bank,
    gait_dictionary,
    is_dictionary,
    read_dictionary,
)
from unbraid.text.gait import MOST_ROUNDS, SENSORS, TELL, TEMPLATES, VERSION, VIEWS, opposite, wrong_with
from unbraid.text.small import small_encoder

# a hash and a version belong together: with another hash goes another version
SHA256 = {
    ("gait-1", 8): "4cf673d650bf8e606c430d67fed604e0da451a1ad374b881550654a498e1e57e",
    ("gait-1", 16): "9bbca909e7ea6308410cfc5b3d366797f951d6e260beac6afe5dc0aebab0a846",
}
EVERY = [(m, v, t) for m, views in gait_dictionary(MOST_ROUNDS).texts.items() for v in VIEWS for t in views[v]]


def mine(rounds: int = 2) -> dict[str, Any]:
    """A file of somebody's own, as JSON values."""
    texts = {m: {v: [f"{m} from {v}, way {n}" for n in range(rounds)] for v in VIEWS} for m in SENSORS}
    return {"version": "mine-1", "texts": texts}


def written(tmp_path: Path, values: Any) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def test_size_and_hash() -> None:
    made = gait_dictionary()
    assert made.modalities == ("silhouette", "depth")
    assert made.rounds == 8
    assert [len(views) for views in made.texts.values()] == [8, 8]
    assert sum(len(said) for views in made.texts.values() for said in views.values()) == 2 * 8 * 8
    assert made.version == VERSION
    for rounds in (8, MOST_ROUNDS):
        expected = SHA256[VERSION, rounds]
        assert gait_dictionary(rounds).sha256 == expected, "texts changed: raise VERSION in unbraid/text/gait.py"
    ordered = {m: {v: made.texts[m][v] for v in VIEWS} for m in ("depth", "silhouette")}
    assert hashlib.sha256(json.dumps(ordered).encode()).hexdigest() == made.sha256


def test_every_text_says_its_sensor_and_view_and_no_other() -> None:
    assert len(TEMPLATES["silhouette"]) == len(TEMPLATES["depth"]) == MOST_ROUNDS
    assert len({text.casefold() for _, _, text in EVERY}) == len(EVERY) == 2 * 8 * MOST_ROUNDS
    for modality, view, text in EVERY:
        assert wrong_with(text, modality, view) == "", text
        # by the letters, not by the rule that is under test
        assert ("lidar" in text.lower() or "laser" in text.lower()) == (modality == "depth"), text
        assert ("photo" in text or "camera" in text) == (modality == "silhouette"), text
        directions = {word for word in ("front", "back", "left", "right") if word in text}
        assert directions == set(view.split("-")), text
        assert "  " not in text
        assert "{" not in text
        assert not re.search(r"\ba [aeiou]", text), text


def test_a_round_differs_in_the_view_alone() -> None:
    for views in gait_dictionary(MOST_ROUNDS).texts.values():
        for number in range(MOST_ROUNDS):
            said = {views[view][number].replace(view.replace("-", " "), "VIEW") for view in VIEWS}
            assert len(said) == 1


def test_fewer_rounds_are_the_first_of_more() -> None:
    few, many = gait_dictionary(3), gait_dictionary(16)
    assert all(few.texts[m][v] == many.texts[m][v][:3] for m in SENSORS for v in VIEWS)
    for wrong in (0, MOST_ROUNDS + 1):
        with pytest.raises(ValueError, match=rf"rounds = {wrong}: the library has from 1 to {MOST_ROUNDS} "):
            gait_dictionary(wrong)


def test_encoders_read_every_text_whole_and_tell_them_apart() -> None:
    open_clip = pytest.importorskip("open_clip")
    tokens = open_clip.get_tokenizer("ViT-B-16")([text for _, _, text in EVERY])
    # the last place is free, so nothing was cut
    assert tokens.shape == (len(EVERY), 77)
    assert not tokens[:, -1].any()
    small = small_encoder()
    assert small.truncated([text for _, _, text in EVERY]) == 0
    for modality in SENSORS:
        numbers, _ = small.words.numbers([text for m, _, text in EVERY if m == modality])
        assert len(numbers.unique(dim=0)) == 8 * MOST_ROUNDS


def test_views_go_around() -> None:
    pairs = {"front": "back", "front-left": "back-right", "left": "right", "back-left": "front-right"}
    assert {v: opposite(v) for v in VIEWS} == {**pairs, **{b: a for a, b in pairs.items()}}


@pytest.mark.parametrize(
    ("text", "modality", "view", "reason"),
    [
        ("a silhouette of a person walking, from the left", "silhouette", "left", ""),
        ("A Photo of a person walking, from the left-hand side", "silhouette", "left", ""),
        ("a LiDAR picture of a person, from behind", "depth", "back", ""),
        ("a person walking, from the left", "depth", "left", "it does not say what kind of picture it is"),
        ("a laser silhouette, from the left", "depth", "left", "'silhouette' belongs to the other sensor"),
        ("a silhouette at a distance, from the left", "silhouette", "left", "'distance' belongs to the other sensor"),
        ("a silhouette from the left", "silhouette", "front-left", "it does not say that the view is front-left"),
        ("a silhouette from the front left", "silhouette", "left", "'front' is another view than left"),
        ("a silhouette of a tall man, from the left", "silhouette", "left", "'tall' describes somebody;"),
        ("a silhouette in a red coat, from the left", "silhouette", "left", "'coat' describes somebody;"),
        ("a silhouette from the left" + " on and on" * 9, "silhouette", "left", "it has more than 30 words"),
        ("Sorry, I cannot draw a silhouette from the left", "silhouette", "left", "'Sorry' describes somebody;"),
    ],
)
def test_what_is_wrong_with_a_text(text: str, modality: str, view: str, reason: str) -> None:
    found = wrong_with(text, modality, view)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)
    assert set(TELL) == set(SENSORS)


def test_a_file_says_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "texts.json"
    made = gait_dictionary(3)
    made.save(path)
    again = read_dictionary(path)
    assert again.sha256 == made.sha256
    assert (again.version, again.source) == (made.version, made.source)
    before = path.read_bytes()
    made.save(path)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="is there already and holds something else"):
        gait_dictionary(4).save(path)
    assert path.read_bytes() == before


def test_edited_texts_need_a_version_of_their_own(tmp_path: Path) -> None:
    values = json.loads(gait_dictionary(2).to_json())
    assert read_dictionary(written(tmp_path, values)).rounds == 2
    only = {**values, "texts": {"depth": values["texts"]["depth"]}}
    assert read_dictionary(written(tmp_path, only)).modalities == ("depth",)
    values["texts"]["depth"]["back"][1] += "."
    with pytest.raises(ValueError, match="these are not the texts of 'gait-1'; give yours another 'version'"):
        read_dictionary(written(tmp_path, values))
    with pytest.raises(ValueError, match="these are not the texts of 'gait-1'"):
        read_dictionary(written(tmp_path, {**mine(20), "version": "gait-1"}))
    assert read_dictionary(written(tmp_path, {**values, "version": "mine-1"})).version == "mine-1"


def test_order_in_a_file_does_not_matter_for_the_hash(tmp_path: Path) -> None:
    values = mine()
    turned = {m: {v: values["texts"][m][v] for v in reversed(VIEWS)} for m in reversed(SENSORS)}
    one, other = Dictionary("a", values["texts"]), Dictionary("b", turned)
    assert one.sha256 == other.sha256
    assert [row.key for row in one.captions()][:4] == ["front/1", "front/2", "front-left/1", "front-left/2"]
    assert [row.key for row in other.captions()] == [row.key for row in one.captions()]
    changed = copy.deepcopy(values["texts"])
    changed["depth"]["back"].reverse()
    assert Dictionary("a", changed).sha256 != one.sha256
    assert read_dictionary(written(tmp_path, values)).texts == values["texts"]


def change(values: dict[str, Any], where: str, new: Any) -> dict[str, Any]:
    """Values with another entry at 'texts/depth/left/0'; None takes it out."""
    *path, last = where.split("/")
    place: Any = values
    for name in path:
        place = place[name]
    key = int(last) if isinstance(place, list) else last
    if new is None:
        del place[key]
    else:
        place[key] = new
    return values


@pytest.mark.parametrize(
    ("where", "new", "message"),
    [
        ("texts/depth/left", None, "'depth' has no texts for left; every modality needs all eight views"),
        ("texts/depth/left/1", None, "depth/left has 1 texts, but silhouette/front has 2; give both as many"),
        ("texts/depth/left/1", "Depth  from LEFT, way 0", "depth/left/2 says the same as depth/left/1"),
        ("texts/depth/left/1", "silhouette from back, way 1", "depth/left/2 says the same as silhouette/back/2"),
        ("texts/depth/left/0", " ", "depth/left/1 is ' '; expected a text with words"),
        ("texts/depth/left/0", 7, "depth/left/1 is 7; expected a text"),
        ("texts/depth/left", [], r"depth/left should be a list of at least one text; got \[\]"),
        ("texts/depth/left", "one text", "depth/left should be a list"),
        ("texts/depth/lefft", ["x"], r"depth names the view 'lefft'; did you mean 'left'\? There are front, "),
        ("texts/lidar", {}, "texts names the modality 'lidar'. There are rgb, silhouette, depth, points"),
        ("texts/depth", ["x"], "'depth' should be an object with the views front, front-left"),
        ("texts", {}, "'texts' should be an object with modalities"),
        ("version", "", "'version' is ''"),
        ("version", 1, "'version' is 1"),
        ("version", None, "is no dictionary: expected .* found"),
        ("source", {"by": [1]}, "expected an object of plain values"),
        ("text", "x", r"is no dictionary: .* found \['text', 'texts', 'version'\]"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(where: str, new: Any, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, change(mine(), where, new))
    with pytest.raises((ValueError, KeyError)) as error:
        read_dictionary(path)
    said = str(error.value.args[0])
    assert said.startswith(str(path))
    assert re.search(message, said), said


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="unbraid gait texts --out"):
        read_dictionary(tmp_path / "none.json")
    for wrong in (b"{", b"\xff", b"[]"):
        (tmp_path / "wrong.json").write_bytes(wrong)
        with pytest.raises(ValueError, match=r"wrong\.json is no"):
            read_dictionary(tmp_path / "wrong.json")


def test_captions_are_told_from_dictionaries(tmp_path: Path) -> None:
    path = written(tmp_path, mine())
    assert is_dictionary(path)
    path.write_text(json.dumps(mine(), indent=2))
    assert is_dictionary(path)
    path.write_text('{"version": "broken')
    assert is_dictionary(path)
    path.write_text('{"key": "a", "aspect": "hair", "text": "x", "source": {}}\n')
    assert not is_dictionary(path)
    lines = tmp_path / "captions.jsonl"
    lines.write_text("{")
    assert not is_dictionary(lines)
    assert not is_dictionary(tmp_path / "none.json")


def test_the_bank_has_a_row_per_text_and_says_where_it_is_from() -> None:
    made = gait_dictionary(2)
    encoder = Letters(pooled=True, limit=99)
    bank = dictionary_bank(made, encoder)
    assert bank.aspects == SENSORS
    assert list(bank.rows["depth"])[:3] == ["front/1", "front/2", "front-left/1"]
    assert bank.origin["dictionary_version"] == VERSION
    assert bank.origin["dictionary_sha256"] == made.sha256
    assert json.loads(bank.origin["truncated"]) == {"silhouette": 0, "depth": 0}
    assert "synthetic" not in bank.origin
    text = made.texts["depth"]["back-left"][1]
    assert bank.text("depth", ["back-left/2"]).tokens.tolist() == encoder([text]).tokens.tolist()
    # a tower that cuts says so
    cut = dictionary_bank(made, Letters(pooled=True, limit=4), modalities=["depth"])
    assert json.loads(cut.origin["truncated"]) == {"depth": 16}
