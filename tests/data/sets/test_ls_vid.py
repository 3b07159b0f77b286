"""LS-VID on a mimicked tree: prefixes that are prefixes of others, the HDF5 file, the converted packaging."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.data.sets.trees import facts, frames, touch, write
from unbraid.data.sets.ls_vid import read

TEST = [
    "tracklet_test/0005/0005_0001_02 5",
    "tracklet_test/0005/0005_0002_11 5",
    "tracklet_test/0006/0006_0001_1 6",  # also begins the name of the next
    "tracklet_test/0006/0006_0001_15 6",
    "tracklet_test/0007/0007_0001_03 7",  # no frame on the disk
]
KEYS = [line.split()[0] for line in TEST]


def make(root: Path, base: str = "") -> Path:
    write(root / f"{base}list_sequence/list_seq_train.txt", "tracklet_train/0001/0001_0001_03 1")
    write(root / f"{base}list_sequence/list_seq_test.txt", *TEST)
    touch(root, *(f"tracklet_train/0001/0001_0001_03_{n:04d}.jpg" for n in (2, 1)))
    touch(root, *(f"{key}_{n:04d}.jpg" for key in KEYS[:4] for n in (1, 2)))
    return root


def converted(root: Path, query: NDArray[Any], info: NDArray[Any] | None = None) -> Path:
    make(root)
    (root / "test").mkdir(exist_ok=True)
    np.save(root / "test/query.npy", query)
    if info is not None:
        np.save(root / "test/info_test.npy", info)
    return root


@pytest.mark.parametrize("base", ["", "info/"])
def test_splits_of_the_owners_packaging(tmp_path: Path, base: str) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed, so HDF5 files cannot be made for the test")
    make(tmp_path, base)
    data = tmp_path / ("info/data" if base else "test/data")
    data.mkdir(parents=True)
    with h5py.File(data / "info_test.mat", "w") as file:
        file["query"] = np.array([[1.0], [4.0]])
    with pytest.warns(UserWarning, match="1 tracklets hold no frame"):
        benchmark = read(tmp_path)
    assert facts(benchmark.query) == [(KEYS[0], "5", "c2"), (KEYS[3], "6", "c15")]
    assert facts(benchmark.gallery) == [(KEYS[1], "5", "c11"), (KEYS[2], "6", "c1")]


def test_splits_of_the_converted_packaging(tmp_path: Path) -> None:
    converted(tmp_path, np.array([[1], [4]]))
    with pytest.warns(UserWarning, match=f"1 tracklets hold no frame and are left out, the first is {KEYS[4]}"):
        benchmark = read(tmp_path)
    assert facts(benchmark.train) == [("tracklet_train/0001/0001_0001_03", "1", "c3")]
    assert frames(benchmark.train[0], tmp_path) == [f"tracklet_train/0001/0001_0001_03_000{n}.jpg" for n in (1, 2)]
    assert facts(benchmark.query) == [(KEYS[0], "5", "c2"), (KEYS[3], "6", "c15")]
    assert facts(benchmark.gallery) == [(KEYS[1], "5", "c11"), (KEYS[2], "6", "c1")]
    assert frames(benchmark.gallery[1], tmp_path) == [f"tracklet_test/0006/0006_0001_1_000{n}.jpg" for n in (1, 2)]
    assert list(benchmark.protocols) == ["ls-vid@1"]


@pytest.mark.filterwarnings("ignore:.*hold no frame")
def test_queries_may_stand_in_the_gallery_under_another_name(tmp_path: Path) -> None:
    benchmark = read(converted(tmp_path, np.array([1, 4])), queries_in_gallery=True)
    assert [t.key for t in benchmark.gallery] == KEYS[:4]
    assert list(benchmark.protocols) == ["ls-vid/queries-in-gallery@1"]


@pytest.mark.filterwarnings("ignore:.*hold no frame")
def test_the_converted_table_tells_cameras(tmp_path: Path) -> None:
    info = np.array([[0, 0, 5, 7], [0, 0, 5, 8], [0, 0, 6, 9], [0, 0, 6, 10], [0, 0, 7, 11]])
    benchmark = read(converted(tmp_path, np.array([2]), info))
    assert [t.labels["camera"] for t in (*benchmark.query, *benchmark.gallery)] == ["c8", "c7", "c9", "c10"]
    with pytest.raises(ValueError, match=r"has 5 lines, but info_test.npy has 4 rows"):
        read(converted(tmp_path, np.array([2]), info[:4]))
    with pytest.raises(ValueError, match=r"has shape \(5, 3\); expected rows of at least 4"):
        read(converted(tmp_path, np.array([2]), info[:, :3]))


@pytest.mark.filterwarnings("ignore:.*hold no frame")
def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"list_seq_train.txt is missing; expected the LS-VID folder"):
        read(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"test/data/info_test.mat is missing.* or test/query.npy would also do"
    ):
        read(make(tmp_path))
    with pytest.raises(ValueError, match=r"query.npy: row 0 does not exist; rows are counted from 1 to 5"):
        read(converted(tmp_path, np.array([0])))
    with pytest.raises(ValueError, match=r"query.npy is not a plain .npy array of numbers"):
        read(converted(tmp_path, np.array([1, None], dtype=object)))
    converted(tmp_path, np.array([1]))
    write(tmp_path / "list_sequence/list_seq_train.txt", "../elsewhere/0001_0001_03 1")
    with pytest.raises(
        ValueError, match=r"list_seq_train.txt, line 1: '../elsewhere/0001_0001_03' is not a path inside"
    ):
        read(tmp_path)
    write(tmp_path / "list_sequence/list_seq_train.txt", "tracklet_train/0001/0001_0001_03 x")
    with pytest.raises(ValueError, match=r"line 1: .* is not named like 'tracklet_test"):
        read(tmp_path)
