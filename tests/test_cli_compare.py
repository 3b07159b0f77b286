"""`unbraid compare` as a stranger would call it."""

import json
from pathlib import Path

import pytest

from tests.peers.hands import people
from tests.test_cli import refused
from unbraid.cli import COMMANDS, main


@pytest.fixture(autouse=True)
def verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "compare", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("embeddings")
    for name, side in zip(("query", "gallery"), people(11), strict=True):
        side.save(home / name)
    return home


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main([str(a) for a in ("compare", *arguments)]) == 0
    return capsys.readouterr().out


def test_prints_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, folder)
    for part in ("SYNTHETIC", "camera-change@1", "fast-reid", "layumi baseline", "view-cells@1", "true TAR@FAR"):
        assert part in text


def test_prints_json_of_the_protocols_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(told(capsys, folder, "--protocols", "whole-gallery@1", "clothes-change@1", "--json"))
    assert list(found["headers"]) == ["whole-gallery@1", "clothes-change@1"]
    assert [row["rule"] for row in found["rows"]] == ["ours", "OpenGait Gait3D", "ours", "Simple-CCReID CC"]
    assert found["rates"] == []
    assert json.loads(told(capsys, folder, "--no-rates", "--json"))["rates"] == []


def test_mistakes_end_in_one_sentence(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'camera-change@1'" in refused(capsys, "compare", folder, "--protocols", "camera-chang@1")
    assert "no folder 'query'" in refused(capsys, "compare", tmp_path)
    assert "no space 'motion'" in refused(capsys, "compare", folder, "--space", "motion")
    assert "'action'" in refused(capsys, "compare", folder, "--protocols", "cross-activity/view+@1")
