"""`unbraid caption` as a stranger would call it, with a random model, a real server, kills and mistakes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.text.captioners import Chat, chat_server, tiny_llava
from unbraid.cli import main
from unbraid.data.sets.folder import read
from unbraid.text.captions import ASPECTS, Caption, read_captions, write_captions
from unbraid.text.prompts import PROMPT_VERSION


@pytest.fixture
def chat(monkeypatch) -> Iterator[Chat]:
    monkeypatch.delenv("UNBRAID_API_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with chat_server() as server:
        yield server


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit code, what was printed and what was complained about."""
    capsys.readouterr()
    try:
        code = main(["caption", *map(str, arguments)])
    except SystemExit as stop:
        code = int(stop.code or 0)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out, shown.err


def test_a_model_on_this_machine(people, tmp_path, capsys):
    pytest.importorskip("transformers")
    llava, out = tiny_llava(tmp_path / "tiny-llava"), tmp_path / "captions.jsonl"
    options = ("--model", llava, "--device", "cpu", "--tokens", 5, "--frames", 2, "--out", out, "--json")
    code, shown, complaints = run(capsys, people, *options, "--aspects", "biometric", "motion")
    facts = json.loads(shown)
    train = {t.key for t in read(people).train}
    assert code == 0
    assert "download" not in complaints
    assert (facts["written"] + facts["unanswered"], facts["kept"]) == (2 * len(train), 0)
    assert facts["coverage"]["motion"]["wanted"] == len(train) == 16
    first = read_captions(out)
    assert {row.key for row in first} <= train
    assert first[0].source == {
        "model": "tiny-llava",
        "prompt": PROMPT_VERSION,
        "frames": 2,
        "by": "transformers",
        "revision": None,
        "precision": "float32",
        "most_tokens": 5,
    }
    # as a kill leaves it, inside the last line; the same command then finishes the same file
    whole = out.read_bytes()
    out.write_bytes(whole[: len(whole) * 2 // 3])
    assert run(capsys, people, *options, "--aspects", "biometric", "motion")[0] == 0
    assert out.read_bytes() == whole


def test_an_endpoint_by_its_address(people, tmp_path, capsys, chat):
    out = tmp_path / "captions.jsonl"
    chat.script = lambda number: (429, {"Retry-After": "0"}, b"") if number in (2, 3) else None
    chat.reply = lambda text: "The man wears a coat." if "clothes alone" in text else "The person is here."
    options = ("--endpoint", chat.url, "--model", "eyes", "--out", out)
    code, shown, _ = run(capsys, people, *options, "--splits", "query")
    assert code == 0
    assert "36 written, 0 there before" in shown
    assert "clothing tells what it should not: man (body) 6x" in shown
    assert "[man] The man wears a coat." in shown
    assert len(chat.asked) == 36 + 2
    rows = read_captions(out)
    assert {(row.key, row.aspect) for row in rows} == {(t.key, a) for t in read(people).query for a in ASPECTS}

    facts = json.loads(run(capsys, people, *options, "--splits", "query", "--json")[1])
    assert (facts["kept"], facts["written"]) == (36, 0)
    assert facts["coverage"]["clothing"] == {
        "wanted": 6,
        "present": 6,
        "missing": [],
        "texts": 1,
        "commonest": "The man wears a coat.",
        "repeated": 6,
        "share": 1.0,
    }
    assert facts["violations"]["clothing"]["words"] == [["man", "body", 6]]
    assert len(chat.asked) == 36 + 2
    code, _, complaints = run(capsys, people, "--endpoint", chat.url, "--model", "other", "--out", out)
    assert code == 2
    assert "model 'eyes' instead of 'other'" in complaints


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_half_way_and_resumed(people, tmp_path, capsys, chat):
    """Killed while a question is under way: no answer that was given is asked for a second time."""
    out, killed = tmp_path / "captions.jsonl", threading.Event()
    reached = threading.Event()

    def script(number: int) -> None:
        if number == 21:
            reached.set()
            killed.wait(30)

    chat.script = script
    options = ["--endpoint", chat.url, "--model", "eyes", "--batch", "1", "--out", str(out)]
    command = [sys.executable, "-m", "unbraid", "caption", str(people), *options]
    with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE) as process:
        assert reached.wait(60), process.stderr
        process.send_signal(signal.SIGKILL)
    chat.script = lambda number: None
    killed.set()
    time.sleep(0.05)
    assert len(out.read_bytes().split(b"\n")) == 21 + 1
    given = chat.answered[:21]
    code, shown, _ = run(capsys, people, *options, "--json")
    assert code == 0
    assert (json.loads(shown)["kept"], json.loads(shown)["written"]) == (21, 16 * 6 - 21)
    assert len(chat.asked) == 16 * 6 + 1
    again = Counter((a, b) for a, b in given) & Counter((a, b) for a, b in chat.answered[22:])
    assert not again
    assert len(read_captions(out)) == 16 * 6


def test_check_finds_drops_and_masks(people, tmp_path, capsys):
    file, clean, plain = tmp_path / "c.jsonl", tmp_path / "clean.jsonl", tmp_path / "plain.jsonl"
    keys = [t.key for t in read(people).train]
    rows = [Caption(key, "hair", "The person has short brown hair.", {"model": "m"}) for key in keys[:9]]
    rows += [Caption(keys[9], "hair", "She has long hair and 2 bags.", {"model": "m"})]
    write_captions(file, rows)
    before = file.read_bytes()
    options = ("--root", people, "--drop-violations", clean, "--mask-violations", plain)
    code, shown, _ = run(capsys, "check", file, *options)
    assert code == 0
    assert file.read_bytes() == before
    assert "hair tells what it should not: she (body) 1x, 2 (name) 1x, bags (thing) 1x" in shown
    assert f"hair: missing for {', '.join(keys[10:15])}, ..." in shown
    assert read_captions(clean) == rows[:9]
    assert read_captions(plain)[:9] == rows[:9]
    assert read_captions(plain)[9].text == "The person has long hair and."
    facts = json.loads(run(capsys, "check", file, "--json")[1])
    assert facts["files"] == {}
    assert (facts["coverage"]["hair"]["present"], facts["violations"]["hair"]["wrong"]) == (10, 1)


def test_summaries_by_an_endpoint(people, tmp_path, capsys, chat):
    file, out = tmp_path / "c.jsonl", tmp_path / "summaries.jsonl"
    train = read(people).train
    write_captions(
        file, [Caption(t.key, "biometric", f"The person is {n}.", {"model": "m"}) for n, t in enumerate(train)]
    )
    chat.reply = lambda text: f"The person is somebody of {text.count('- The person')} pictures, {len(chat.asked)}."
    options = ("--root", people, "--endpoint", chat.url, "--model", "writer", "--out", out, "--batch", 1)
    code, shown, _ = run(capsys, "summarise", file, *options, "--json")
    assert code == 0
    assert json.loads(shown)["written"] == 16
    told = {row.key: row.text for row in read_captions(out)}
    by_person = {t.identity: {told[one.key] for one in train if one.identity == t.identity} for t in train}
    assert sorted(len(texts) for texts in by_person.values()) == [1, 1, 1, 1]
    assert len(set(told.values())) == len(chat.asked) == 4
    assert all("of 4 pictures" in text for text in told.values())


def test_mistakes_end_with_one_sentence(people, tmp_path, capsys):
    out = tmp_path / "c.jsonl"
    cut = tmp_path / "cut.jsonl"
    cut.write_text('{"key": "a"')
    for arguments, message in (
        ((tmp_path / "nowhere", "--out", out, "--model", tmp_path), "holds no tracklets.parquet"),
        ((people, "--out", out, "--aspects", "motion", "--model", tmp_path), "motion cannot be seen in one picture"),
        ((people, "--out", out, "--aspects", "shoes"), "shoes"),
        ((people, "--out", out, "--endpoint", "http://localhost:1/v1"), "Name it with --model"),
        ((people, "--out", out, "--endpoint", "localhost", "--model", "m"), "no web address"),
        ((people, "--out", out, "--model", tmp_path / "nothing"), "no folder"),
        (("check", cut), "cut.jsonl, line 1: not JSON"),
        (("check", tmp_path / "none.jsonl"), "is missing"),
        (("check", cut, "--drop-violations", cut), "your only original"),
        (("summarise", cut, "--root", people, "--out", cut), "your only original"),
    ):
        code, _, complaints = run(capsys, *arguments)
        assert code == 2, arguments
        assert message in " ".join(complaints.replace("│", " ").split()), complaints
    assert not out.exists()


@pytest.mark.parametrize("command", [(), ("check",), ("summarise",)])
def test_help_says_what_is_downloaded(command, capsys):
    code, shown, _ = run(capsys, *command, "--help")
    assert code == 0
    text = " ".join(shown.replace("│", " ").split())
    assert "usage: unbraid caption" in text
    assert command == ("check",) or "DOWNLOAD" in text
