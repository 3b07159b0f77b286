"""iLIDS-VID on a mimicked tree: positions in the sorted list, counted from 1."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from tests.data.sets.trees import facts, frames, touch
from unbraid.data.sets.ilids_vid import FRAMES, SPLITS, read

PEOPLE = ["person319", "person001", "person014", "person002"]  # not in order
SETS = [[4, 1, 2, 3], [2, 3, 4, 1]]


def make(root: Path) -> Path:
    for camera in ("cam1", "cam2"):
        touch(root, *(f"{FRAMES}/{camera}/{p}/{camera}_{p}_{n:05d}.png" for p in PEOPLE for n in (317, 318)))
    (root / SPLITS).parent.mkdir()
    scipy.io.savemat(root / SPLITS, {"ls_set": np.array(SETS, np.uint16)})
    return root


def test_splits(tmp_path: Path) -> None:
    benchmark = read(make(tmp_path))
    # sorted: 001, 002, 014, 319; split 0 tests 4 and 1
    assert facts(benchmark.query) == [("cam1/person001", "person001", "c1"), ("cam1/person319", "person319", "c1")]
    assert facts(benchmark.gallery) == [("cam2/person001", "person001", "c2"), ("cam2/person319", "person319", "c2")]
    assert [t.key for t in benchmark.train] == ["cam1/person002", "cam1/person014", "cam2/person002", "cam2/person014"]
    assert [t.key for t in read(tmp_path, split=1).query] == ["cam1/person002", "cam1/person014"]
    assert frames(benchmark.query[0], tmp_path)[1] == f"{FRAMES}/cam1/person001/cam1_person001_00318.png"


def test_an_empty_tracklet_is_left_out(tmp_path: Path) -> None:
    make(tmp_path)
    for path in (tmp_path / FRAMES / "cam2/person001").iterdir():
        path.unlink()
    with pytest.warns(UserWarning, match="the first is cam2/person001"):
        benchmark = read(tmp_path)
    assert [t.key for t in benchmark.gallery] == ["cam2/person319"]  # the first query has no mate now


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"cam1 is missing; expected a folder with i-LIDS-VID/sequences"):
        read(tmp_path)
    make(tmp_path)
    with pytest.raises(ValueError, match=r"has no split 2; it has shape \(2, 4\)"):
        read(tmp_path, split=2)
    touch(tmp_path, f"{FRAMES}/cam1/person500/a.png")
    with pytest.raises(ValueError, match=r"must be the same 4.*cam1 has 5"):
        read(tmp_path)
