"""`unbraid bank` as a stranger calls it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.text.test_bank import TEXTS, Letters, captions
from unbraid.cli import COMMANDS, main
from unbraid.text.bank import TextBank
from unbraid.text.captions import write_captions


@pytest.fixture(autouse=True)
def _letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder 'letters', which needs no weights."""
    from unbraid.text import encoders

    known = encoders.open_encoder

    def opened(name: str, *, device: str = "cpu") -> encoders.TextEncoder:
        return Letters() if name == "letters" else known(name, device=device)

    monkeypatch.setattr(encoders, "open_encoder", opened)
    monkeypatch.setitem(COMMANDS, "bank", "encode captions into the bank that training reads")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_captions(tmp_path / "captions.jsonl", captions(TEXTS))
    return tmp_path / "captions.jsonl"


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(["bank", *map(str, arguments)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bank", "--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "open_clip:EVA02-L-14/merged2b_s4b_b131k" in shown
    assert "DOWNLOADED" in shown


def test_a_bank_is_made_and_described(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bank.safetensors"
    capsys.readouterr()
    assert main(["bank", str(file), "--encoder", "letters", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Bank: {out}, 2 numbers per vector by letters"
    assert [line.split() for line in lines[1:]] == [
        ["aspect", "tracklets", "texts", "vectors", "cut", "cosine"],
        ["clothing", "3", "of", "3", "2", "6", "1", "1.00"],
        ["biometric", "2", "of", "3", "2", "3", "0", "0.99"],
    ]
    bank = TextBank.load(out)
    assert bank.missing("biometric", ["a", "b", "c"]) == ["c"]
    assert len(bank.origin["caption_file_sha256"]) == 64


def test_json(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    out = tmp_path / "bank.safetensors"
    arguments = ["bank", str(file), "--encoder", "letters", "--out", str(out), "--aspects", "biometric", "--half"]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    # tall (4, 1) and the mean of (3, 1) and (4, 2)
    cosine = (4 * 3.5 + 1.5) / (17**0.5 * 14.5**0.5)
    assert told["aspects"] == {
        "biometric": {
            "tracklets": 2,
            "of": 2,
            "texts": 2,
            "vectors": 3,
            "cut": 0,
            "cosine": pytest.approx(cosine, abs=1e-3),
        }
    }
    assert told["width"] == 2


def test_vectors_of_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "LTCC_ReID", tmp_path / "bank.safetensors"
    (folder / "tower").mkdir(parents=True)
    rows = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    np.savez(folder / "tower" / "train.npz", data=rows, metadata=np.array(["001_1_c1_1", "002_1_c1_1"]))
    arguments = ["bank", str(folder), "--differ", "--encoder", "tower", "--out", str(out)]
    assert main([*arguments, "--aspects", "clothing", "hair"]) == 0
    assert "clothing             2 of 2       2        2     -" in capsys.readouterr().out
    bank = TextBank.load(out)
    assert bank.aspects == ("clothing", "hair")
    np.testing.assert_array_equal(bank.text("hair", ["train/002_1_c1_1"]).tokens[0, 0], rows[7])


def test_mistakes_end_with_one_sentence(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bank.safetensors"
    assert "does not end in .safetensors" in refused(capsys, file, "--out", tmp_path / "bank.npz")
    assert "no text encoder 'leters'" in refused(capsys, file, "--out", out, "--encoder", "leters")
    known = "--encoder", "letters", "--out", out
    assert "unbraid caption" in refused(capsys, tmp_path / "none.jsonl", *known)
    assert "there are some about clothing, biometric" in refused(capsys, file, *known, "--aspects", "shoes")
    assert "--summaries belongs to --differ" in refused(capsys, file, *known, "--summaries")
    assert "batch = 0" in refused(capsys, file, *known, "--batch", "0")
    assert "cannot be used" in refused(capsys, file, "--out", out, "--device", "abacus")
    assert "no ENCODER/SPLIT.npz" in refused(capsys, tmp_path, "--differ", *known)
    file.write_text(file.read_text() + '{"key": \n')
    assert "line 6" in refused(capsys, file, *known)
    file.write_text("")
    assert "no captions" in refused(capsys, file, *known)
    assert not out.exists()
