"""Paths, lists and MATLAB files that readers must not take at their word."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from tests.data.sets.trees import touch, write
from unbraid.data.sets.files import images_in, inside, lines, need, read_mat, row_numbers, whole


@pytest.mark.parametrize("path", ["../x.jpg", "a/../../x", "/etc/passwd", "C:/x", "a\\..\\x", ""])
def test_a_path_that_leaves_the_root_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"list.txt, line 3: .* is not a path inside"):
        inside(Path("set"), path, "list.txt, line 3")
    assert inside(Path("set"), "a/b.jpg", "") == Path("set/a/b.jpg")


def test_a_missing_file_is_named_with_the_layout_and_where_it_may_be(tmp_path: Path) -> None:
    touch(tmp_path, "inner/a.txt", "inner/b.txt")
    with pytest.raises(
        FileNotFoundError, match=re.escape(f"{tmp_path / 'a.txt'} is missing; expected two files. Point")
    ):
        need(tmp_path, ["a.txt", "b.txt"], "two files")
    with pytest.raises(FileNotFoundError, match=re.escape(f"Point to {tmp_path / 'inner'}, which has it")):
        need(tmp_path, ["a.txt"], "two files")
    with pytest.raises(FileNotFoundError, match=r"c.txt is missing; expected two files$"):
        need(tmp_path / "inner", ["a.txt", "c.txt"], "two files")
    assert need(tmp_path / "inner", ["a.txt", "b.txt"], "") == tmp_path / "inner"


def test_lines_are_numbered_and_a_hole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfa b\r\n c\n\n\n")
    assert list(lines(path)) == [(f"{path}, line 1", "a b"), (f"{path}, line 2", "c")]
    write(path, "a", "", "b")
    with pytest.raises(ValueError, match="line 2 is blank"):
        list(lines(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a text file"):
        list(lines(path))


def test_listings_are_sorted_and_pass_over_what_is_no_image(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.PNG", "Thumbs.db", "._c.jpg", ".d.png")
    assert images_in(tmp_path) == ["a.PNG", "b.jpg"]


def test_row_numbers_are_whole_in_range_and_once() -> None:
    assert row_numbers(np.array([[3, 1]], np.uint16), 3, "f", first=1) == [2, 0]
    assert row_numbers(np.array([0.0, 2.0]), 3, "f", first=0) == [0, 2]
    for values, first, message in [
        ([0, 1], 1, r"f: row 0 does not exist; rows are counted from 1 to 3"),
        ([3], 0, r"row 3 does not exist; rows are counted from 0 to 2"),
        ([1, 1], 0, "stands there twice"),
        ([1.5], 0, "whole numbers"),
        ([float("nan")], 0, "whole numbers"),
    ]:
        with pytest.raises(ValueError, match=message):
            row_numbers(np.array(values), 3, "f", first=first)
    with pytest.raises(ValueError, match="whole numbers"):
        whole(np.array(["a"]), "f")


def test_matlab_files(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"rows": np.array([[1, 2], [3, 4]])})
    assert read_mat(path, "rows").tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match=r"has no variable 'row'; it has \['rows'\]"):
        read_mat(path, "row")
    path.write_bytes(b"MATLAB 5.0 but not really" * 20)
    with pytest.raises(ValueError, match="not a readable MATLAB file"):
        read_mat(path, "rows")
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="not a readable MATLAB file"):
        read_mat(path, "rows")


def test_matlab_7_files_need_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"which needs h5py: pip install 'unbraid\[matlab\]'"):
        read_mat(path, "rows")


def test_matlab_7_files(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed, so HDF5 files cannot be made for the test")
    path = tmp_path / "a.mat"
    with h5py.File(path, "w") as file:
        file["query"] = np.array([[1.0], [3.0]])
    assert read_mat(path, "query").tolist() == [[1, 3]]
    with pytest.raises(ValueError, match=r"has no variable 'rows'; it has \['query'\]"):
        read_mat(path, "rows")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="not a readable HDF5 file"):
        read_mat(path, "query")
