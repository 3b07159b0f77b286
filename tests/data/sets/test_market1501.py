"""Market-1501 on a mimicked tree: junk, distractors, other files."""

from pathlib import Path

import pytest

from tests.data.sets.trees import facts, matrix, touch
from unbraid.data.sets.market1501 import read

GALLERY = (
    "-1_c1s1_000401_03.jpg",
    "0000_c1s1_000151_01.jpg",
    "0001_c1s1_000151_01.jpg",
    "0001_c2s3_000151_02.jpg",
    "0002_c1s1_000151_01.jpg",
)


def test_splits_and_rule(tmp_path: Path) -> None:
    touch(tmp_path, "bounding_box_train/0007_c6s2_012345_02.jpg", "query/0001_c1s2_000001_00.jpg")
    touch(tmp_path, *(f"bounding_box_test/{name}" for name in GALLERY), "bounding_box_test/Thumbs.db")
    touch(tmp_path, "gt_bbox/whatever.jpg", "readme.txt")
    benchmark = read(tmp_path)
    # labels in order: camera, sequence
    assert facts(benchmark.train) == [("bounding_box_train/0007_c6s2_012345_02", "0007", "c6", "s2")]
    assert facts(benchmark.query) == [("query/0001_c1s2_000001_00", "0001", "c1", "s2")]
    assert facts(benchmark.gallery) == [
        ("bounding_box_test/0000_c1s1_000151_01", None, "c1", "s1"),
        ("bounding_box_test/0001_c1s1_000151_01", "0001", "c1", "s1"),
        ("bounding_box_test/0001_c2s3_000151_02", "0001", "c2", "s3"),
        ("bounding_box_test/0002_c1s1_000151_01", "0002", "c1", "s1"),
    ]
    protocol = benchmark.protocols["market1501@1"]
    assert matrix(protocol.skip, benchmark.query, benchmark.gallery) == [[0, 1, 0, 0]]
    assert matrix(protocol.hit, benchmark.query, benchmark.gallery) == [[0, 1, 1, 0]]
    assert (protocol.ap, benchmark.protocols["market1501/matlab@1"].ap) == ("step", "trapezoid")


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"bounding_box_train is missing; expected the Market-1501 folder"):
        read(tmp_path)
    touch(tmp_path, "bounding_box_train/1.jpg", "query/x", "bounding_box_test/x")
    with pytest.raises(ValueError, match=r"bounding_box_train: '1.jpg' is not named like '0001_c1s1_000151_01.jpg'"):
        read(tmp_path)
