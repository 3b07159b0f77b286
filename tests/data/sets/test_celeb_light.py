"""Celeb-reID-light on a mimicked tree: no camera, nothing is skipped."""

from pathlib import Path

import pytest

from tests.data.sets.trees import facts, matrix, touch
from unbraid.data.sets.celeb_light import read

GALLERY = ("91_1_0.jpg", "91_2_0.jpg", "91_3_0.jpg", "92_1_0.jpg", "92_2_0.jpg", "93_1_0.jpg")


def test_splits_and_rule(tmp_path: Path) -> None:
    touch(tmp_path, "train/1_1_0.jpg", "query/91_10_0.jpg", "query/94_1_0.jpg", *(f"gallery/{n}" for n in GALLERY))
    benchmark = read(tmp_path)
    assert facts(benchmark.train) == [("train/1_1_0", "1", "1-1")]
    assert facts(benchmark.query) == [("query/91_10_0", "91", "91-10"), ("query/94_1_0", "94", "94-1")]
    assert facts(benchmark.gallery)[-1] == ("gallery/93_1_0", "93", "93-1")
    protocol = benchmark.protocols["celeb-light@1"]
    # the second query has no mate
    assert matrix(protocol.hit, benchmark.query, benchmark.gallery) == [[1, 1, 1, 0, 0, 0], [0] * 6]
    assert matrix(protocol.skip, benchmark.query, benchmark.gallery) == [[0] * 6, [0] * 6]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train is missing; expected the Celeb-reID-light folder"):
        read(tmp_path)
    touch(tmp_path, "train/1_1.jpg", "query/x", "gallery/x")
    with pytest.raises(ValueError, match=r"'1_1.jpg' is not named like '1_1_0.jpg'"):
        read(tmp_path)
