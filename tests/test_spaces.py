"""Spaces and embeddings: what they refuse, and what survives a file."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from unbraid.spaces import Embeddings, Spaces, is_synthetic


def make() -> Embeddings:
    spaces = Spaces({"identity": torch.arange(12.0).reshape(3, 2, 2), "motion": torch.ones(3, 5)})
    table = pd.DataFrame({"key": ["a", "b", "c"], "identity": ["1", None, "2"], "frames": [1, 2, 3]})
    return Embeddings(spaces, table, {"weights": "none"})


def test_spaces_are_a_mapping() -> None:
    spaces = make().spaces
    assert list(spaces) == ["identity", "motion"]
    assert len(spaces) == 2
    assert spaces.rows == 3
    assert "motion" in spaces
    with pytest.raises(KeyError, match=r"no space 'camera'; there are \['identity', 'motion'\]"):
        spaces["camera"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"motion": torch.zeros(2, 3)}, "need one called 'identity'"),
        ({"identity": torch.zeros(2)}, r"shape \(2,\); expected N D or N P D"),
        ({"identity": torch.zeros(2, 3), "motion": torch.zeros(3, 3)}, r"'motion' has shape \(3, 3\)"),
        ({"identity": torch.tensor([[0.0], [torch.nan]])}, "'identity'.*first in row 1"),
        ({"identity": torch.tensor([[torch.inf], [0.0]])}, "first in row 0"),
    ],
)
def test_malformed_spaces_are_refused(named: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Spaces(named)


def test_take() -> None:
    embeddings = make()
    for rows in (slice(1, 3), torch.tensor([1, 2]), torch.tensor([False, True, True])):
        torch.testing.assert_close(embeddings.spaces.take(rows)["identity"], embeddings.spaces["identity"][1:])
    two = embeddings.take([2, 0])
    assert two.table["key"].tolist() == ["c", "a"]
    torch.testing.assert_close(two.spaces["identity"][0], embeddings.spaces["identity"][2])


def test_table_and_spaces_must_agree() -> None:
    embeddings = make()
    with pytest.raises(ValueError, match="3 embeddings but 2 rows"):
        Embeddings(embeddings.spaces, embeddings.table[:2], {})
    with pytest.raises(ValueError, match="needs a column 'key'"):
        Embeddings(embeddings.spaces, embeddings.table.drop(columns="key"), {})
    with pytest.raises(ValueError, match="'a' stands twice"):
        Embeddings(embeddings.spaces, embeddings.table.assign(key=["a", "a", "b"]), {})


def test_round_trip(tmp_path: Path) -> None:
    embeddings = make()
    for _ in range(2):  # the second time replaces the first
        embeddings.save(tmp_path / "e")
    again = Embeddings.load(tmp_path / "e")
    for name in embeddings.spaces:
        torch.testing.assert_close(again.spaces[name], embeddings.spaces[name], rtol=0, atol=0)
    pd.testing.assert_frame_equal(again.table, embeddings.table, check_dtype=False)
    assert again.origin["weights"] == "none"
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_a_foreign_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "love.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no embeddings; choose another folder"):
        make().save(tmp_path / "letters")
    assert (tmp_path / "letters" / "love.txt").is_file()


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    folder = make().save(tmp_path / "e")
    make().table.assign(key=["a", "b", "x"]).to_parquet(folder / "table.parquet", index=False)
    with pytest.raises(ValueError, match=r"table\.parquet is not the table"):
        Embeddings.load(folder)
    make().save(folder)
    (folder / "spaces.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is damaged"):
        Embeddings.load(folder)
    make().save(folder)
    (folder / "origin.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"e is damaged \(no facts in origin\.json"):
        Embeddings.load(folder)
    (folder / "origin.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no origin\.json"):
        Embeddings.load(folder)


def test_what_is_wrong_with_the_numbers_of_a_folder_names_the_folder(tmp_path: Path) -> None:
    folder = make().save(tmp_path / "query")
    features = make().spaces["identity"].clone()
    features[1, 0, 0] = float("nan")
    save_file({"identity": features}, folder / "spaces.safetensors")
    with pytest.raises(ValueError, match=r"query: space 'identity', shape \(3, 2, 2\), is not finite, first in row 1"):
        Embeddings.load(folder)


def test_synthetic_is_read_whatever_wrote_it(tmp_path: Path) -> None:
    folder = make().save(tmp_path / "e")
    for written, meant in ((True, True), (False, False), ("True", True)):
        facts = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
        (folder / "origin.json").write_text(json.dumps({**facts, "synthetic": written}), encoding="utf-8")
        assert is_synthetic(Embeddings.load(folder).origin) is meant
    assert is_synthetic({}) is None
