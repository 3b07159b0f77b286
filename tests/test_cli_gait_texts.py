"""`unbraid gait texts` as a stranger calls it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.text.captioners import Chat, chat_server
from tests.text.test_rewriting import ROUNDS, Writer
from unbraid.cli import main
from unbraid.text.bank import TextBank
from unbraid.text.dictionary import gait_dictionary, read_dictionary


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    monkeypatch.delenv("UNBRAID_API_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with chat_server() as server:
        yield server


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(["gait", "texts", *map(str, arguments)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["gait", "texts", "--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "usage: unbraid gait texts" in shown
    assert "--encoder open_clip:ViT-B-16/openai --out gait.safetensors" in shown
    assert "no picture is sent" in shown


def test_texts_are_written_shown_and_encoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, bank = tmp_path / "gait-texts.json", tmp_path / "gait.safetensors"
    capsys.readouterr()
    assert main(["gait", "texts", "--out", str(out), "--rounds", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Texts: {out}, 32 silhouette, 32 depth (8 views, 4 of each)"
    assert lines[1].startswith("Version gait-1, sha256 ")
    assert lines[-1] == f"Encode them: unbraid bank {out} --encoder ENCODER --out gait.safetensors"
    assert read_dictionary(out).texts["depth"]["left"] == list(gait_dictionary().texts["depth"]["left"][:4])
    # again is nothing new, other rounds are
    assert main(["gait", "texts", "--out", str(out), "--rounds", "4"]) == 0
    assert "choose another --out" in refused(capsys, "--out", out)
    assert main(["bank", str(out), "--out", str(bank), "--aspects", "depth", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["aspects"]["depth"]["texts"] == 32
    assert told["origin"]["dictionary_version"] == "gait-1"
    assert TextBank.load(bank).aspects == ("depth",)


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["gait", "texts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "out": "gait-texts.json",
        "version": "gait-1",
        "sha256": gait_dictionary().sha256,
        "rounds": 8,
        "texts": {"silhouette": 64, "depth": 64},
    }
    assert read_dictionary(tmp_path / "gait-texts.json").sha256 == gait_dictionary().sha256


def test_a_server_writes_them(chat: Chat, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat.reply = Writer().answer
    out = tmp_path / "texts.json"
    arguments = [
        "gait",
        "texts",
        "--endpoint",
        chat.url,
        "--model",
        "writer",
        "--rounds",
        str(ROUNDS),
        "--out",
        str(out),
    ]
    assert main(arguments) == 0
    assert "16 views written, 0 there before, 0 texts refused" in capsys.readouterr().out
    assert len(chat.asked) == 16
    assert {request["max_tokens"] for request in chat.asked} == {1000}
    source = read_dictionary(out).source
    assert (source["model"], source["by"], source["most_tokens"]) == ("writer", "endpoint", 1000)
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 16
    assert len(chat.asked) == 16


def test_mistakes_end_with_one_sentence(chat: Chat, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "texts.json"
    assert "from 1 to 16 texts per view" in refused(capsys, "--rounds", "17", "--out", out)
    assert "Name it with --model" in refused(capsys, "--endpoint", chat.url, "--out", out)
    assert "Name its server with --endpoint" in refused(capsys, "--model", "m", "--out", out)
    assert "is no web address" in refused(capsys, "--endpoint", "there", "--model", "m", "--out", out)
    chat.reply = lambda text: "I would rather not."
    asked = "--endpoint", chat.url, "--model", "m", "--out", out, "--rounds", 2
    assert "m gave 0 of 2 captions for 'silhouette' from the front in 5 turns" in refused(capsys, *asked)
    out.write_text('{"version": "x", "texts": {"depth": {"front": ["a"]}}}')
    bank = tmp_path / "b.safetensors"
    capsys.readouterr()
    assert main(["bank", str(out), "--out", str(bank)]) == 2
    assert "'depth' has no texts for front-left, left, back-left" in capsys.readouterr().err
    assert not bank.exists()
