"""CUHK03 on a mimicked tree: rows counted from 1, and pictures that lie inside an HDF5 file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from tests.data.sets.trees import facts, touch
from unbraid.data.media import read_frames
from unbraid.data.sets.cuhk03 import RELEASE, read, unpack
from unbraid.tracklet import Images

NAMES = ["1_001_1_01.png", "1_001_2_06.png", "3_002_1_02.png", "3_002_2_07.png"]


def make(root: Path, boxes: str = "labeled", **change: Any) -> Path:
    files = np.empty((len(NAMES), 1), dtype=object)
    files[:, 0] = [np.array([name]) for name in NAMES]
    content = {
        "filelist": files,
        "labels": np.array([[1], [1], [602], [602]], np.uint16),
        "train_idx": np.array([[1], [2]], np.uint16),
        "query_idx": np.array([[3]], np.uint16),
        "gallery_idx": np.array([[4]], np.uint16),
    }
    scipy.io.savemat(root / f"cuhk03_new_protocol_config_{boxes}.mat", {**content, **change})
    touch(root, f"images_{boxes}/{NAMES[0]}")
    return root


@pytest.mark.parametrize("boxes", ["labeled", "detected"])
def test_splits(tmp_path: Path, boxes: Any) -> None:
    benchmark = read(make(tmp_path, boxes), boxes=boxes)
    # labels in order: camera, pair
    assert facts(benchmark.train) == [
        (f"images_{boxes}/1_001_1_01", "0001", "c1", "p1"),
        (f"images_{boxes}/1_001_2_06", "0001", "c2", "p1"),
    ]
    assert facts(benchmark.query) == [(f"images_{boxes}/3_002_1_02", "0602", "c1", "p3")]
    assert facts(benchmark.gallery) == [(f"images_{boxes}/3_002_2_07", "0602", "c2", "p3")]
    assert list(benchmark.protocols) == ["cuhk03-new@1"]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config_labeled.mat is missing; expected a folder with"):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"boxes='drawn'; expected 'labeled' or 'detected'"):
        read(tmp_path, boxes="drawn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"query_idx: row 5 does not exist; rows are counted from 1 to 4"):
        read(make(tmp_path, query_idx=np.array([[5]])))
    with pytest.raises(ValueError, match=r"has 4 file names but 1 labels"):
        read(make(tmp_path, labels=np.array([[5]])))
    (tmp_path / f"images_labeled/{NAMES[0]}").unlink()
    (tmp_path / "images_labeled").rmdir()
    with pytest.raises(FileNotFoundError, match=r"images_labeled is missing; expected a folder"):
        read(tmp_path)
    touch(tmp_path, RELEASE)
    with pytest.raises(FileNotFoundError, match=r"unpack the pictures of .*cuhk03.unpack\(Path\("):
        read(tmp_path)


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    files = np.empty((4, 1), dtype=object)
    files[:, 0] = [np.array(["../../1_001_1_01.png"])] * 4
    with pytest.raises(ValueError, match=r"train_idx: '../../1_001_1_01.png' is not a path inside"):
        read(make(tmp_path, filelist=files))


def test_pictures_are_unpacked_upright_and_in_colour(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed, so HDF5 files cannot be made for the test")
    red = np.zeros((6, 4, 3), np.uint8)
    red[:3, :, 0] = 255  # the upper half is red
    release = tmp_path / RELEASE
    release.parent.mkdir()
    with h5py.File(release, "w") as file:
        # as MATLAB writes cells and pictures: transposed, an empty cell as two numbers
        picture, empty = file.create_dataset("p", data=red.T), file.create_dataset("e", data=np.zeros(2, np.uint64))
        cells = np.array([[picture.ref] + [empty.ref] * 5 + [picture.ref] + [empty.ref] * 3], dtype=h5py.ref_dtype)
        people = file.create_dataset("c", data=cells.T)
        file["labeled"] = np.array([[people.ref]], dtype=h5py.ref_dtype)
    assert unpack(tmp_path) == 2
    assert unpack(tmp_path) == 2  # again changes nothing
    assert sorted(p.name for p in (tmp_path / "images_labeled").iterdir()) == ["1_001_1_01.png", "1_001_2_07.png"]
    (written,) = read_frames(Images((tmp_path / "images_labeled/1_001_1_01.png",)), [0])
    np.testing.assert_array_equal(written, red)
    with pytest.raises(ValueError, match=r"has no variable 'detected'"):
        unpack(tmp_path, boxes="detected")
