"""PRID2011 on a mimicked tree: frames listed without order, people out of the splits."""

import json
from pathlib import Path

import pytest

from tests.data.sets.trees import facts, frames, touch
from unbraid.data.sets.prid2011 import FRAMES, SPLITS, read

PEOPLE = ["person_0001", "person_0002", "person_0003", "person_0004"]


def make(root: Path, splits: object) -> Path:
    for camera in ("cam_a", "cam_b"):
        touch(root, *(f"{FRAMES}/{camera}/{p}/{n:04d}.png" for p in PEOPLE for n in (2, 10, 1)))
    touch(root, f"{FRAMES}/cam_b/person_0700/0001.png")  # seen by one camera, in no split
    (root / SPLITS).write_text(json.dumps(splits))
    return root


GOOD = [{"train": PEOPLE[2:], "test": PEOPLE[1::-1]}, {"train": PEOPLE[:2], "test": PEOPLE[2:]}]


def test_splits(tmp_path: Path) -> None:
    benchmark = read(make(tmp_path, GOOD))
    assert facts(benchmark.query) == [
        ("cam_a/person_0001", "person_0001", "c1"),
        ("cam_a/person_0002", "person_0002", "c1"),
    ]
    assert [t.key for t in benchmark.gallery] == ["cam_b/person_0001", "cam_b/person_0002"]
    assert [t.key for t in benchmark.train] == [f"{c}/{p}" for c in ("cam_a", "cam_b") for p in PEOPLE[2:]]
    assert frames(benchmark.query[0], tmp_path) == [f"{FRAMES}/cam_a/person_0001/{n:04d}.png" for n in (1, 2, 10)]
    assert [t.key for t in read(tmp_path, split=1).query] == ["cam_a/person_0003", "cam_a/person_0004"]


def test_a_missing_person_is_left_out(tmp_path: Path) -> None:
    make(tmp_path, [{"train": PEOPLE[:2], "test": [*PEOPLE[2:], "person_0099"]}])
    with (
        pytest.warns(UserWarning, match="the first is cam_a/person_0099"),
        pytest.warns(UserWarning, match="the first is cam_b/person_0099"),
    ):
        assert len(read(tmp_path).query) == 2


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"cam_a is missing; expected a folder with prid_2011/multi_shot"):
        read(tmp_path)
    for splits, message in [
        (GOOD, r"has no split 2; it holds a list of 2"),
        ({}, r"has no split 2; it holds dict"),
        ([{}, {}, {"train": []}], r"split 2 has no list of names 'test'"),
        ([{}, {}, {"train": [1], "test": []}], r"no list of names 'train'"),
        ([{}, {}, {"train": ["a"], "test": ["a"]}], r"has 'a' in 'train' and in 'test'"),
        ([{}, {}, {"train": ["../../a"], "test": ["b"]}], r"'../../a' is not a path inside"),
    ]:
        with pytest.raises(ValueError, match=message):
            read(make(tmp_path, splits), split=2)
    (tmp_path / SPLITS).write_text("[")
    with pytest.raises(ValueError, match="not valid JSON"):
        read(tmp_path)
