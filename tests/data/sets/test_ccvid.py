"""CCVID on a mimicked tree: sessions, walks, clothes, and its three rules on six rows."""

from pathlib import Path

import pytest

from tests.data.sets.trees import facts, frames, matrix, touch, write
from unbraid.data.sets.ccvid import read

QUERY = ["session1/080_01 080 u0_l0"]
GALLERY = [
    "session1/080_02\t080 u0_l0",  # other walk, same clothes
    "session1/080_03 080 u1_l0",  # other walk, other clothes
    "session3/080_01 080 u0_l0",  # the walk number of the query, but of session 3
    "session2/080_01 080 u1_l0",  # the walk of the query in other clothes
    "session1/081_02 081 u0_l0",  # other person, who wears outfit u0_l0 of his own
    "session2/081_09 081 u0_l0",  # no frame
]


def make(root: Path) -> Path:
    lists = {"train": ["session1/001_12 001 u0_l0"], "query": QUERY, "gallery": GALLERY}
    for split, rows in lists.items():
        write(root / f"{split}.txt", *rows)
        for row in rows:
            if row != GALLERY[-1]:
                touch(root, *(f"{row.split()[0]}/{n:05d}.jpg" for n in (2, 1)))
    return root


def test_splits_and_rules(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="1 tracklets hold no frame and are left out, the first is session2/081_09"):
        benchmark = read(make(tmp_path))
    # labels in order: camera, clothes, session
    assert facts(benchmark.train) == [("session1/001_12", "001", "c12", "001-u0_l0", "session1")]
    assert facts(benchmark.query) == [("session1/080_01", "080", "c1", "080-u0_l0", "session1")]
    assert facts(benchmark.gallery) == [
        ("session1/080_02", "080", "c2", "080-u0_l0", "session1"),
        ("session1/080_03", "080", "c3", "080-u1_l0", "session1"),
        ("session3/080_01", "080", "c13", "080-u0_l0", "session3"),
        ("session2/080_01", "080", "c1", "080-u1_l0", "session2"),
        ("session1/081_02", "081", "c2", "081-u0_l0", "session1"),
    ]
    assert frames(benchmark.query[0], tmp_path) == ["session1/080_01/00001.jpg", "session1/080_01/00002.jpg"]
    sides = benchmark.query, benchmark.gallery
    hits = {name: matrix(p.hit & ~p.skip, *sides)[0] for name, p in benchmark.protocols.items()}
    skips = {name: matrix(p.skip, *sides)[0] for name, p in benchmark.protocols.items()}
    assert hits == {"ccvid-general@1": [1, 1, 1, 0, 0], "ccvid-cc@1": [0, 1, 0, 0, 0], "ccvid-sc@1": [1, 0, 1, 0, 0]}
    assert skips == {"ccvid-general@1": [0, 0, 0, 1, 0], "ccvid-cc@1": [1, 0, 1, 1, 0], "ccvid-sc@1": [0, 1, 0, 1, 0]}


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train.txt is missing; expected the CCVID folder with train.txt"):
        read(tmp_path)
    make(tmp_path)
    for line, message in [
        ("../session1/001_12 001 u0", r"train.txt, line 1: '../session1/001_12' is not a path inside"),
        ("session1/001_12 001", r"train.txt, line 1: 'session1/001_12 001' is not named like 'session1/001_01 001"),
        ("walks/001_12 001 u0", r"line 1: 'walks/001_12 001 u0' is not named like"),
    ]:
        write(tmp_path / "train.txt", line)
        with pytest.raises(ValueError, match=message):
            read(tmp_path)
