"""The loop that asks, with captioners of paper; an endpoint against a real server; a local model on random weights."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.text.captioners import Chat, chat_server, tiny_llava
from unbraid.data.media import read_frames
from unbraid.data.sets.folder import read
from unbraid.text.captioner import Question, alone, caption, tidy
from unbraid.text.captions import Caption, read_captions, write_captions
from unbraid.text.endpoint import Endpoint
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


@pytest.fixture
def tracklets(tmp_path) -> list[Tracklet]:
    """Five tracklets of four one-coloured frames: tracklet n, frame t has brightness 40 n + 10 t."""
    found = []
    for n in range(5):
        paths = tuple(tmp_path / f"{n}-{t}.png" for t in range(4))
        for t, path in enumerate(paths):
            cv2.imwrite(str(path), np.full((8, 4, 3), 40 * n + 10 * t, np.uint8))
        found.append(Tracklet(f"k{n}", Images(paths), identity=f"p{n // 2}"))
    return found


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


@pytest.fixture
def chat(monkeypatch) -> Iterator[Chat]:
    monkeypatch.delenv("UNBRAID_API_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with chat_server() as server:
        yield server


def test_endpoint_speaks_the_protocol(chat, tracklets, tmp_path, monkeypatch):
    monkeypatch.setenv("UNBRAID_API_KEY", "secret-7\n")
    ask = Endpoint(chat.url, "eyes-1", most_tokens=50)
    done = caption(tracklets, ("hair", "motion"), ask, tmp_path / "c", frames=2, batch=4)
    assert done.written == 10
    assert {request["path"] for request in chat.asked} == {"/v1/chat/completions"}
    assert {headers["Authorization"] for headers in chat.headers} == {"Bearer secret-7"}
    wanted = {(40 * n + 10, 40 * n + 30) for n in range(5)}
    assert {tuple(int(p.mean().round()) for p in chat.pictures(number)) for number in range(10)} == wanted
    for request in chat.asked:
        assert (request["model"], request["temperature"], request["max_tokens"]) == ("eyes-1", 0, 50)
        [message] = request["messages"]
        assert message["role"] == "user"
        assert [part["type"] for part in message["content"]] == ["image_url", "image_url", "text"]
    text = (tmp_path / "c").read_text()
    assert "secret" not in text
    row = read_captions(tmp_path / "c")[0]
    assert row.text == f"The person is number {len(prompt(row.aspect, 2))} of many words."
    assert (row.source["model"], row.source["by"]) == ("eyes-1", "endpoint")


def test_colours_arrive_as_they_are(chat):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 0] = 255
    list(Endpoint(chat.url, "m")([Question("x", (picture,))]))
    assert np.abs(chat.pictures(0)[0].mean((0, 1)) - [255, 0, 0]).max() < 3
    list(Endpoint(chat.url + "/chat/completions", "m")([Question("only text")]))
    assert chat.asked[1]["messages"][0]["content"] == "only text"
    assert chat.asked[1]["path"] == "/v1/chat/completions"


def test_busy_servers_are_asked_again(chat):
    bad = [
        (429, {"Retry-After": "0"}, b"slow down"),
        (500, {}, b"oops"),
        (200, {}, b"{not json"),
        (200, {}, b'{"choices": []}'),
        (503, {"Retry-After": "Wed, 21 Oct 2065 07:28:00 GMT"}, b""),
    ]
    chat.script = lambda number: bad[number] if number < len(bad) else None
    assert [text for _, text in Endpoint(chat.url, "m", pause=0.001)([Question("abc")])] == [
        "The person is number 3 of many words."
    ]
    assert len(chat.asked) == 6


def test_waiting_follows_the_server_and_doubles(chat, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(threading.Event, "wait", _counting(threading.Event.wait, waits))
    chat.script = lambda number: (429, {"Retry-After": "7"} if number == 1 else {}, b"") if number < 4 else None
    list(Endpoint(chat.url, "m", pause=100 / 64)([Question("abc")]))
    assert waits == [100 / 64, 7, 100 / 16, 100 / 8]


def _counting(real, waits):
    def wait(self, timeout=None):
        if timeout is not None and timeout > 1:
            waits.append(timeout)
            return False
        return real(self, timeout)

    return wait


@pytest.mark.parametrize(
    ("planned", "message", "requests"),
    [
        ((401, {}, b'{"error": "bad key"}'), 'HTTP 401 .*"bad key".*Set UNBRAID_API_KEY', 1),
        ((404, {}, b"no such model"), "HTTP 404 .*no such model. Is the address complete", 1),
        ((400, {}, b"max_tokens is not supported"), "refuses: HTTP 400 .*max_tokens is not supported", 1),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "HTTP 302 .*Redirects are not followed", 1),
        ((500, {}, b"broken"), "failed 3 times, last with: HTTP 500 .*broken.*the same command goes on", 3),
        ((200, {}, b'{"choices": [{"message": {"content": [1]}}]}'), "no text", 3),
    ],
)
def test_what_does_not_pass_is_told(chat, planned, message, requests):
    chat.script = lambda number: planned
    with pytest.raises(ValueError, match=message):
        list(Endpoint(chat.url, "m", pause=0.001, tries=3)([Question("abc")]))
    assert len(chat.asked) == requests


def test_lost_connections_and_slow_servers(chat):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(ValueError, match=r"failed 2 times, last with: .*[Rr]efused"):
        list(Endpoint(f"http://127.0.0.1:{port}", "m", tries=2, pause=0.001)([Question("x")]))
    chat.reply = lambda text: time.sleep(0.5) or text
    with pytest.raises(ValueError, match="timed out"):
        list(Endpoint(chat.url, "m", tries=1, timeout=0.05)([Question("x")]))


def test_one_failure_keeps_the_answers_of_the_others(chat, tracklets, tmp_path):
    def script(number):
        time.sleep(0.02)
        text = json.dumps(chat.asked[number])
        return (400, {}, b"never") if "beard" in text and len(chat.answered) < 99 else None

    chat.script = script
    with pytest.raises(ValueError, match="never"):
        caption(tracklets[:2], ("hair", "pose"), Endpoint(chat.url, "m"), tmp_path / "c", batch=4)
    assert {(row.key, row.aspect) for row in read_captions(tmp_path / "c")} == {("k0", "pose"), ("k1", "pose")}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8000/v1", "no web address"),
        ("file:///etc/passwd", "no web address"),
        ("http://me:pass@localhost/v1", "key belongs in UNBRAID_API_KEY"),
        ("http://example.org/v1", "unencrypted to example.org"),
    ],
)
def test_wrong_addresses(url, message, monkeypatch):
    monkeypatch.setenv("UNBRAID_API_KEY", "secret")
    with pytest.raises(ValueError, match=message) as error:
        Endpoint(url, "m")
    assert "pass@" not in str(error.value)


@pytest.fixture(scope="module")
def llava(tmp_path_factory) -> Path:
    pytest.importorskip("transformers")
    return tiny_llava(tmp_path_factory.mktemp("models") / "tiny-llava")


def test_local_answers_are_the_models_own_whatever_their_neighbours(llava, people):
    """Greedy decoding by hand, a token at a time and without padding, as oracle."""
    import torch
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    from unbraid.text.local_model import LocalModel

    tracklets = read(people).train[:3]
    pictures = [read_frames(t.media, [0])[0] for t in tracklets]
    pictures[1] = pictures[1][:40]
    words = ["the person wears", "red blue jacket on the street , nothing", "tall"]
    questions = [Question(w, (p,)) for w, p in zip(words, pictures, strict=True)]
    questions += [Question("short hair", (pictures[0], pictures[2])), Question("nothing .")]
    ask = LocalModel(str(llava), device="cpu", most_tokens=6)
    together = dict(ask(questions))
    assert sorted(together) == [0, 1, 2, 3, 4]
    assert ask.name == "tiny-llava"
    assert ask.settings["precision"] == "float32"

    processor = AutoProcessor.from_pretrained(llava)
    model = LlavaForConditionalGeneration.from_pretrained(llava).eval()
    for number, question in enumerate(questions):
        text = f"USER: {'<image> ' * len(question.frames)}{question.text} ASSISTANT:"
        inputs = processor(text=text, images=list(question.frames) or None, return_tensors="pt")
        with torch.no_grad():
            for _ in range(6):
                best = model(**{**inputs, "use_cache": False}).logits[:, -1].argmax(-1, keepdim=True)
                inputs["input_ids"] = torch.cat([inputs["input_ids"], best], 1)
                inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        wanted = processor.decode(inputs["input_ids"][0, -6:])
        assert together[number] == wanted == dict(ask([question]))[0]
    assert len(set(together.values())) >= 3


def test_models_without_a_chat_template(llava, tmp_path):
    from unbraid.text.local_model import LocalModel

    plain = tiny_llava(tmp_path / "plain", template=False)
    picture = np.random.default_rng(1).integers(0, 256, (40, 20, 3)).astype(np.uint8)
    question = Question("the person wears", (picture,))
    # the form used then is that of the template
    assert list(LocalModel(str(plain), device="cpu")([question])) == list(
        LocalModel(str(llava), device="cpu")([question])
    )


def test_wrong_models_are_explained(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    from unbraid.text.local_model import LocalModel, downloads

    with pytest.raises(ValueError, match="holds no image-text-to-text model"):
        LocalModel(str(tmp_path), device="cpu")
    for name in (str(tmp_path / "nothing"), "./nothing", "nothing"):
        with pytest.raises(FileNotFoundError, match="no folder"):
            LocalModel(name, device="cpu")
    with pytest.raises(ValueError, match="device 'abacus' cannot be used"):
        LocalModel(str(tmp_path), device="abacus")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert downloads("a/b")
    assert not downloads(str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not downloads("a/b")


def test_without_transformers_the_extra_is_named(monkeypatch):
    from unbraid.text.local_model import LocalModel

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'unbraid\[text\]'"):
        LocalModel("a/b")


def test_readers_and_the_filter_import_nothing_heavy():
    probe = (
        "import sys, unbraid.text.words, unbraid.text.prompts; print({'torch', 'cv2', 'transformers'} & {*sys.modules})"
    )
    shown = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"
