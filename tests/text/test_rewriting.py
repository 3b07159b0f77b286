"""A dictionary written by a model: checked, asked again, never asked twice."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from unbraid.text.captioner import Question
from unbraid.text.captions import Fact
from unbraid.text.dictionary import read_dictionary
from unbraid.text.gait import SENSORS, VIEWS, gait_texts
from unbraid.text.rewriting import Rewritten, question, rewrite

ROUNDS = 3


class Writer:
    """Somebody who answers with the library's texts of later rounds, or by a script of their own."""

    name = "writer-1"
    settings: Mapping[str, Fact] = {"by": "test"}

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails_at: int | None = None

    def __call__(self, questions: Sequence[Question]) -> Iterator[tuple[int, str]]:
        for number, one in enumerate(questions):
            assert one.frames == ()
            self.asked.append(one.text)
            if len(self.asked) == self.fails_at:
                raise ValueError("the server is gone")
            yield number, self.answer(one.text)

    def answer(self, text: str) -> str:
        modality, view = asked_about(text)
        return "\n".join(gait_texts(8)[modality][view][4 : 4 + ROUNDS])


def asked_about(text: str) -> tuple[str, str]:
    """Modality and view of a question."""
    found = [(m, v) for m in SENSORS for v in VIEWS if question(m, v, ROUNDS).split("\n")[0] in text]
    assert len(found) == 1
    return found[0]


def test_the_question_has_three_parts() -> None:
    formulation, protocol, examples = question("depth", "front-left", 5).split("\n\n")
    assert "depth map" in formulation
    assert "this view: front left." in formulation
    assert "5 times" in protocol
    assert "'front left'" in protocol
    assert "30 words" in protocol
    base, other, *shown = examples.split("\n")
    assert base == f"Base caption: {gait_texts(1)['depth']['front-left'][0]}"
    assert "back right" in other
    assert shown == list(gait_texts(3)["depth"]["back-right"])


def test_every_view_is_asked_about_once(tmp_path: Path) -> None:
    writer, out = Writer(), tmp_path / "texts.json"
    done = rewrite(writer, out, rounds=ROUNDS)
    assert (done.kept, done.written, done.refused) == (0, 16, 0)
    assert sorted(asked_about(text) for text in writer.asked) == sorted((m, v) for m in SENSORS for v in VIEWS)
    made = read_dictionary(out)
    assert made.texts["depth"]["back"] == list(gait_texts(8)["depth"]["back"][4:7])
    assert (made.version, made.rounds) == ("writer-1/1", 3)
    assert made.source == {"model": "writer-1", "prompt": 1, "rounds": 3, "by": "test"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["texts.json"]
    again = rewrite(writer, out, rounds=ROUNDS)
    assert again == Rewritten(made, 16, 0, 0)
    assert len(writer.asked) == 16
    with pytest.raises(ValueError, match="is there already and was made otherwise"):
        rewrite(writer, out, rounds=ROUNDS + 1)


def test_it_goes_on_after_an_interruption(tmp_path: Path) -> None:
    writer, out = Writer(), tmp_path / "texts.json"
    writer.fails_at = 7
    with pytest.raises(ValueError, match="the server is gone"):
        rewrite(writer, out, rounds=ROUNDS, batch=4)
    assert not out.exists()
    done = rewrite(writer, out, rounds=ROUNDS, batch=4)
    assert (done.kept, done.written) == (6, 10)
    # the one that failed is asked about again, and no other
    assert len(writer.asked) == 17
    straight = rewrite(Writer(), tmp_path / "straight.json", rounds=ROUNDS)
    assert straight.dictionary.sha256 == done.dictionary.sha256


def test_what_was_begun_is_continued_only_as_before(tmp_path: Path) -> None:
    writer, out = Writer(), tmp_path / "texts.json"
    writer.fails_at = 3
    with pytest.raises(ValueError, match="the server is gone"):
        rewrite(writer, out, rounds=ROUNDS)
    with pytest.raises(ValueError, match=r"texts.json.begun was begun with rounds 3 instead of 2"):
        rewrite(writer, out, rounds=2)
    (tmp_path / "texts.json.begun").write_text("{")
    with pytest.raises(ValueError, match=r"is damaged .*; delete it to begin anew"):
        rewrite(writer, out, rounds=ROUNDS)


def test_refused_texts_are_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    class Careless(Writer):
        def answer(self, text: str) -> str:
            modality, view = asked_about(text)
            good = gait_texts(8)[modality][view]
            if "refused" not in text:
                return f"1. {good[4]}\n- a drawing from the {view.replace('-', ' ')}\n\n* {good[4].upper()}"
            assert good[4] in text.split("otherwise:")[1].split("refused")[0]
            assert "(it does not say what kind of picture it is)" in text
            assert "(it stands there already)" in text
            assert "2 times" in text
            return "\n".join(f'"{line}"' for line in good[5:8])

    done = rewrite(Careless(), tmp_path / "texts.json", rounds=ROUNDS)
    assert done.refused == 32
    assert done.dictionary.texts["silhouette"]["left"] == list(gait_texts(8)["silhouette"]["left"][4:7])


def test_a_model_that_cannot_is_not_asked_for_ever(tmp_path: Path) -> None:
    class Stubborn(Writer):
        def answer(self, text: str) -> str:
            modality, view = asked_about(text)
            if (modality, view) == ("depth", "back-left"):
                return "a depth map from the left side\n" + gait_texts(8)[modality][view][5]
            return super().answer(text)

    writer = Stubborn()
    with pytest.raises(ValueError) as error:
        rewrite(writer, tmp_path / "texts.json", rounds=ROUNDS, batch=1)
    assert str(error.value).startswith(
        "writer-1 gave 1 of 3 captions for 'depth' from the back left in 5 turns; refused last: "
        "'a depth map from the left side', because it does not say that the view is back-left. "
    )
    assert len(writer.asked) == 8 + 3 + 5
    kept = json.loads((tmp_path / "texts.json.begun").read_text())["texts"]
    assert [len(kept[m]) for m in SENSORS] == [8, 3]


def test_impossible_settings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rounds = 0 and batch = 4"):
        rewrite(Writer(), tmp_path / "texts.json", rounds=0)
