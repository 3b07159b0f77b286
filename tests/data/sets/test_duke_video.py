"""DukeMTMC-VideoReID on a mimicked tree, in both packagings."""

from pathlib import Path

import pytest

from tests.data.sets.trees import facts, frames, matrix, touch
from unbraid.data.sets.duke_video import read

NEW = ("0001_C6_F0010_X30823.jpg", "0001_C6_F0002_X30751.jpg", "0001_C6_F0004_X30763.jpg")
OLD = ("0001C2F0001X10.jpg", "0001C2F0003X34.jpg")


def make(root: Path) -> Path:
    touch(root, *(f"train/0007/0003/0007_C1_F000{n}_X{n}.jpg" for n in (1, 2)))
    touch(root, *(f"query/0001/0001/{name}" for name in NEW), *(f"gallery/0001/0001/{name}" for name in NEW))
    touch(root, *(f"gallery/0001/0002/{name}" for name in OLD), "gallery/0009/0001/0009_C3_F0001_D77.jpg")
    touch(root, "gallery/0009/0001/Thumbs.db", "gallery/.DS_Store")
    (root / "gallery/0009/0002").mkdir()
    return root


def test_splits(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="1 tracklets hold no frame and are left out, the first is gallery/0009/0002"):
        benchmark = read(make(tmp_path))
    assert facts(benchmark.train) == [("train/0007/0003", "0007", "c1")]
    assert facts(benchmark.query) == [("query/0001/0001", "0001", "c6")]
    assert facts(benchmark.gallery) == [
        ("gallery/0001/0001", "0001", "c6"),  # the query itself; its camera skips it
        ("gallery/0001/0002", "0001", "c2"),
        ("gallery/0009/0001", "0009", "c3"),
    ]
    assert frames(benchmark.query[0], tmp_path) == [f"query/0001/0001/{NEW[n]}" for n in (1, 2, 0)]
    assert frames(benchmark.gallery[1], tmp_path) == [f"gallery/0001/0002/{name}" for name in OLD]
    (protocol,) = benchmark.protocols.values()
    assert protocol.name == "duke-video@1"
    assert matrix(protocol.skip, benchmark.query, benchmark.gallery) == [[1, 0, 0]]
    assert matrix(protocol.hit, benchmark.query, benchmark.gallery) == [[1, 1, 0]]


def test_frames_of_ten_thousand_are_sorted_by_number(tmp_path: Path) -> None:
    names = [f"0001_C6_F{n}_X{n}.jpg" for n in (9999, 10000)]
    touch(tmp_path, *(f"{split}/0001/0001/{name}" for split in ("train", "query", "gallery") for name in names))
    assert frames(read(tmp_path).train[0], tmp_path) == [f"train/0001/0001/{name}" for name in names]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train is missing; expected the DukeMTMC-VideoReID folder with train"):
        read(tmp_path)
    touch(tmp_path, "train/0001/0001/frame1.jpg", "query/a/b/c", "gallery/a/b/c")
    with pytest.raises(ValueError, match=r"0001: 'frame1.jpg' is not named like '0001_C6_F0099_X30823.jpg'"):
        read(tmp_path)
    (tmp_path / "train/0001/0001/frame1.jpg").unlink()
    touch(tmp_path, *(f"train/0001/0001/0001_C{camera}_F0001_X1.jpg" for camera in (2, 3)))
    with pytest.raises(ValueError, match=r"frames of cameras \[2, 3\]; expected one camera per tracklet"):
        read(tmp_path)
