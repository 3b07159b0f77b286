import shutil
from pathlib import Path

import pytest
import torch

import unbraid
from unbraid.batch import Clip
from unbraid.checkpoint import load_method, open_run, packaged, weights_hash
from unbraid.cli import main
from unbraid.zoo import entries, load

ENTRIES = entries()
LIMIT = 10_000_000


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_checkpoint_loads_and_is_small_and_told_about(entry: unbraid.zoo.Entry) -> None:
    method = unbraid.load(entry.name)
    data = open_run(Path(entry.name)).recipe.data
    channels = {"rgb": 3, "rgb+mask": 4, "mask": 1}[data.channels]
    clip = Clip.of(torch.rand(2, data.frames, channels, data.height, data.width))
    with torch.inference_mode():
        spaces = method.encode(clip)
    assert set(spaces) == set(method.spaces)
    assert entry.bytes < LIMIT
    assert weights_hash(entry.folder) == entry.sha256
    for said in (
        entry.sha256,
        "Synthetic",
        "Intended use",
        "Licence",
        "What its spaces tell",
        open_run(entry.folder).recipe.method,
    ):
        assert said in entry.card


def test_there_is_one_for_every_method_that_has_results() -> None:
    assert ENTRIES
    assert {entry.name for entry in ENTRIES} <= {f"{name}/world" for name in unbraid.method.available()}


def test_names_outside_the_zoo_lead_nowhere(tmp_path: Path) -> None:
    for name in ("../nn", "/etc", "dsanet", "dsanet/nothing", ".."):
        assert packaged(name) is None
    with pytest.raises(FileNotFoundError, match=f"no checkpoint .dsanet/nothing.; packaged are .*{ENTRIES[0].name}"):
        load("dsanet/nothing")
    with pytest.raises(FileNotFoundError, match="`unbraid zoo` lists"):
        load_method(tmp_path)


def test_a_folder_is_loaded_too(tmp_path: Path) -> None:
    copy = shutil.copytree(ENTRIES[0].folder, tmp_path / "copy")
    own, packed = load(copy).state_dict(), load(ENTRIES[0].name).state_dict()
    assert all(torch.equal(own[name], packed[name]) for name in packed)


def test_weights_of_another_hash_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(ENTRIES[0].folder, tmp_path / ENTRIES[0].name)
    numbers = copy / "numbers.json"
    numbers.write_text(numbers.read_text().replace(ENTRIES[0].sha256, "0" * 64))
    monkeypatch.setattr("unbraid.checkpoint.ZOO", tmp_path)
    monkeypatch.setattr("unbraid.zoo.HOME", tmp_path)
    with pytest.raises(ValueError, match="not those that were packaged"):
        load(ENTRIES[0].name)


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo"]) == 0
    told = capsys.readouterr().out
    assert all(entry.name in told for entry in ENTRIES)
    assert "SYNTHETIC" in told
    assert main(["zoo", ENTRIES[0].name]) == 0
    assert capsys.readouterr().out.strip() == ENTRIES[0].card.strip()
    assert main(["zoo", "dsanet/nothing"]) == 2
    assert "no checkpoint" in capsys.readouterr().err
