"""The loop that asks, with captioners of paper."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from unbraid.text.captioner import Question, alone, caption, tidy
from unbraid.text.captions import Caption, read_captions, write_captions
from unbraid.text.prompts import PROMPT_VERSION, prompt
from unbraid.text.summaries import summarise
from unbraid.tracklet import Images, Tracklet


class Paper:
    """Writes down what it is asked; fails at call `fail_at` after `before` answers."""

    def __init__(self, name: str = "paper", fail_at: int = -1, before: int = 0) -> None:
        self.name, self.settings = name, {"by": "hand"}
        self.asked: list[list[Question]] = []
        self.fail_at, self.before = fail_at, before

    def __call__(self, questions: list[Question]) -> Iterator[tuple[int, str]]:
        self.asked.append(list(questions))
        # the last first: answers may come in any order
        for number in reversed(range(len(questions))):
            if len(self.asked) - 1 == self.fail_at and len(questions) - 1 - number == self.before:
                raise ValueError("the pencil broke")
            brightness = [round(float(frame.mean())) for frame in questions[number].frames]
            yield number, f"seen: {brightness} {questions[number].text.split()[-1]}"


def test_every_tracklet_and_aspect_is_asked_once(tracklets, tmp_path):
    paper, out = Paper(), tmp_path / "new" / "captions.jsonl"
    done = caption(tracklets, ("hair", "pose", "hair"), paper, out, batch=3)
    assert (done.kept, done.written, done.unanswered, done.long) == (0, 10, 0, 0)
    assert [len(part) for part in paper.asked] == [3, 3, 3, 1]
    rows = {(row.key, row.aspect): row for row in read_captions(out)}
    assert set(rows) == {(f"k{n}", aspect) for n in range(5) for aspect in ("hair", "pose")}
    for (key, aspect), row in rows.items():
        # the middle one of four frames is the third
        assert row.text == f"seen: [{40 * int(key[1]) + 20}] {prompt(aspect).split()[-1]}"
        assert row.source == {"model": "paper", "prompt": PROMPT_VERSION, "frames": 1, "by": "hand"}
    again = Paper()
    done = caption(tracklets, ("hair", "pose"), again, out)
    assert (done.kept, done.written, again.asked) == (10, 0, [])
    assert [file.name for file in out.parent.iterdir()] == ["captions.jsonl"]


@pytest.mark.parametrize(
    ("frames", "shown"), [(1, [2]), (2, [1, 3]), (3, [0, 2, 3]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])]
)
def test_frames_are_evenly_spaced(tracklets, tmp_path, frames, shown):
    paper = Paper()
    caption(tracklets[:1], ("hair",), paper, tmp_path / "c", frames=frames)
    [[question]] = paper.asked
    assert [frame[0, 0, 0] for frame in question.frames] == [10 * t for t in shown]
    assert question.text == prompt("hair", len(shown))


@pytest.mark.parametrize("before", [0, 1, 2])
def test_answers_before_a_failure_are_kept(tracklets, tmp_path, before):
    out, first, second = tmp_path / "c", Paper(fail_at=1, before=before), Paper()
    with pytest.raises(ValueError, match="pencil"):
        caption(tracklets, ("hair", "pose"), first, out, batch=4)
    assert len(read_captions(out)) == 4 + before
    # a killed writer leaves half a line
    with out.open("a") as opened:
        opened.write('{"key": "k9", "te')
    done = caption(tracklets, ("hair", "pose"), second, out, batch=4)
    assert (done.kept, done.written) == (4 + before, 6 - before)
    assert sum(map(len, second.asked)) == 6 - before
    assert len(read_captions(out)) == 10


def test_empty_answers_are_left_out_and_asked_again(tracklets, tmp_path):
    class Silent(Paper):
        def __call__(self, questions):
            return ((n, " \n'...' " if n else "The person has hair.") for n in range(len(questions)))

    out = tmp_path / "c"
    done = caption(tracklets, ("hair",), Silent(), out)
    assert (done.written, done.unanswered) == (1, 4)
    assert caption(tracklets, ("hair",), Paper(name="paper"), out).written == 4


def test_another_model_does_not_go_on_unasked(tracklets, tmp_path):
    out = tmp_path / "c"
    caption(tracklets[:1], ("hair",), Paper(), out)
    for other, frames, said in (
        (Paper("pen"), 1, "model 'paper' instead of 'pen'"),
        (Paper(), 2, "frames 1 instead of 2"),
    ):
        with pytest.raises(ValueError, match=f"begun differently: .*{said}.*--mixed"):
            caption(tracklets, ("hair",), other, out, frames=frames)
        assert other.asked == []
    [row] = read_captions(out)
    write_captions(out, [replace(row, source={**row.source, "prompt": 0})])
    with pytest.raises(ValueError, match=f"prompt 0 instead of {PROMPT_VERSION}"):
        caption(tracklets, ("hair",), Paper(), out)
    assert caption(tracklets, ("hair",), Paper("pen"), out, mixed=True).written == 4
    assert [row.source["model"] for row in read_captions(out)] == ["paper", *["pen"] * 4]


def test_mistakes_are_named_before_anything_is_asked(tracklets, tmp_path):
    paper, out = Paper(), tmp_path / "c"
    single = Tracklet("one", Images(tracklets[0].media.paths[:1]))
    for given, aspects, options, message in (
        (tracklets, ("shoes",), {}, "no question about 'shoes'"),
        (tracklets, ("motion",), {}, "--frames"),
        ([single], ("motion",), {"frames": 2}, "'one' has a single frame"),
        ([single, replace(single, media=tracklets[1].media)], ("hair",), {}, "two tracklets have the key 'one'"),
        (tracklets, ("hair",), {"batch": 0}, "batch = 0"),
    ):
        with pytest.raises((ValueError, KeyError), match=message):
            caption(given, aspects, paper, out, **options)
    assert paper.asked == []
    tracklets[1].media.paths[2].unlink()
    with pytest.raises(ValueError, match=r"tracklet 'k1': .*1-2\.png"):
        caption(tracklets, ("hair",), paper, out, batch=1)
    assert [row.key for row in read_captions(out)] == ["k0"]


def test_only_rgb_is_shown_and_the_same_tracklet_twice_is_one(tracklets, tmp_path):
    mask = replace(tracklets[0], key="mask", modality="silhouette")
    done = caption([*tracklets, tracklets[0], mask], ("hair",), Paper(), tmp_path / "c")
    assert (done.written, done.passed_over) == (5, 1)


def test_two_processes_do_not_write_one_file(tracklets, tmp_path):
    with alone(tmp_path / "c"), pytest.raises(ValueError, match="written by another process"):
        caption(tracklets, ("hair",), Paper(), tmp_path / "c")
    assert caption(tracklets, ("hair",), Paper(), tmp_path / "c").written == 5


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ('"The person\n  is tall."\n', "The person is tall."),
        ("“The person.”", "The person."),
        ("The 'person'", "The 'person'"),
        ("...", ""),
        ("", ""),
        ("\ud800ab", "ab"),
    ],
)
def test_answers_become_one_line(answer, line):
    assert tidy(answer) == line


def bodies(count: int) -> list[Caption]:
    rows = [Caption(f"k{n}", "biometric", f"text {n}", {"model": "v"}) for n in range(count)]
    return [
        *rows,
        Caption("k0", "hair", "short", {"model": "v"}),
        Caption("stranger", "biometric", "x", {"model": "v"}),
    ]


def test_summaries_replace_the_texts_of_a_person(tmp_path):
    rows, people = bodies(9), {f"k{n}": f"p{n // 6}" for n in range(9)}
    paper, out = Paper(), tmp_path / "c"
    done = summarise(rows, people, paper, out, most=3)
    assert done.written == 9
    [questions] = paper.asked
    assert [[line for line in q.text.split("\n") if line.startswith("- ")] for q in questions] == [
        ["- text 0", "- text 2", "- text 5"],
        ["- text 6", "- text 7", "- text 8"],
    ]
    found = read_captions(out)
    assert [(row.key, row.aspect) for row in found] == [(row.key, row.aspect) for row in rows]
    assert found[9:] == rows[9:]
    assert len({row.text for row in found[:6]}) == len({row.text for row in found[6:9]}) == 1
    assert found[0].source == {"model": "paper", "prompt": PROMPT_VERSION, "by": "hand", "texts": 3}
    again = Paper()
    assert summarise(rows, people, again, out, most=3).kept == 9
    assert again.asked == []
    assert read_captions(out) == found
    assert [file.name for file in tmp_path.iterdir()] == ["c"]


def test_interrupted_summaries_go_on(tmp_path):
    rows, people, out = bodies(9), {f"k{n}": f"p{n // 3}" for n in range(9)}, tmp_path / "c"
    with pytest.raises(ValueError, match="pencil"):
        summarise(rows, people, Paper(fail_at=1), out, batch=1)
    journal = tmp_path / "c.asked"
    # killed in the middle of the first person's lines
    journal.write_bytes(journal.read_bytes()[:-40])
    second = Paper()
    summarise(rows, people, second, out, batch=1)
    assert len(second.asked) == 2
    assert len({row.text for row in read_captions(out)[:3]}) == 1
    with pytest.raises(ValueError, match="holds other captions"):
        summarise([replace(row, text="new") for row in rows], people, Paper(), out)
    with pytest.raises(ValueError, match="no biometric caption belongs to a known person"):
        summarise(rows, {"z": "p"}, Paper(), tmp_path / "d")


def test_readers_and_the_filter_import_nothing_heavy():
    probe = (
        "import sys, unbraid.text.words, unbraid.text.prompts; print({'torch', 'cv2', 'transformers'} & {*sys.modules})"
    )
    shown = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"
