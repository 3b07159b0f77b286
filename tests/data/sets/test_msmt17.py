"""MSMT17 on a mimicked tree: both versions, the validation list, people counted from 0 twice."""

from pathlib import Path

import pytest

from tests.data.sets.trees import facts, frames, write
from unbraid.data.sets.msmt17 import read

LISTS = {
    "train": ["0000/0000_000_01_0303morning_0008_0.jpg 0"],
    "val": ["0000/0000_001_02_0303noon_0009_1.jpg 0"],
    "query": ["0000/0000_000_14_0302afternoon_0010_0.jpg 0"],
    "gallery": ["0000/0000_001_05_0302morning_0011_0.jpg 0", "0001/0001_000_14_0302morning_0011_2.jpg 1"],
}


def make(root: Path, version: str = "") -> Path:
    for part, rows in LISTS.items():
        write(root / f"list_{part}.txt", *rows)
    for folder in ("train", "test"):
        (root / (f"mask_{folder}_v2" if version else folder)).mkdir()
    return root


def test_splits(tmp_path: Path) -> None:
    benchmark = read(make(tmp_path))
    # labels in order: camera, session; person 0 of train is not person 0 of test
    assert facts(benchmark.train) == [
        ("train/0000/0000_000_01_0303morning_0008_0", "train-0000", "c1", "0303morning"),
        ("train/0000/0000_001_02_0303noon_0009_1", "train-0000", "c2", "0303noon"),
    ]
    assert facts(benchmark.query) == [
        ("test/0000/0000_000_14_0302afternoon_0010_0", "test-0000", "c14", "0302afternoon")
    ]
    assert [t.identity for t in benchmark.gallery] == ["test-0000", "test-0001"]
    assert [t.key for t in read(tmp_path, validation=False).train] == ["train/0000/0000_000_01_0303morning_0008_0"]
    assert list(benchmark.protocols) == ["msmt17@1"]


def test_version_2(tmp_path: Path) -> None:
    benchmark = read(make(tmp_path, "2"))
    assert frames(benchmark.train[0], tmp_path) == ["mask_train_v2/0000/0000_000_01_0303morning_0008_0.jpg"]
    assert frames(benchmark.query[0], tmp_path) == ["mask_test_v2/0000/0000_000_14_0302afternoon_0010_0.jpg"]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"list_train.txt is missing; expected the MSMT17 folder"):
        read(tmp_path)
    make(tmp_path)
    for line, message in [
        ("../0000_000_01_0303morning_0008_0.jpg 0", r"list_val.txt, line 1: '../0000.*' is not a path inside"),
        ("0000/0000_000_01_0303morning_0008_0.jpg", r"list_val.txt, line 1: .* is not named like"),
        ("0000/0000_000_01.jpg 0", r"list_val.txt, line 1: .* is not named like"),
    ]:
        write(tmp_path / "list_val.txt", line)
        with pytest.raises(ValueError, match=message):
            read(tmp_path)
