"""MARS on a mimicked tree: junk, distractors, empty rows, counting from 1 with inclusive ends."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io

from tests.data.sets.trees import facts, frames, on, write
from unbraid.data.sets.mars import PROTOCOLS, read
from unbraid.ranking import Block, rank

TRAIN = ["0001C1T0001F001.jpg", "0001C1T0001F002.jpg", "0003C2T0001F001.jpg"]
TEST = [
    "00-1C1T0001F001.jpg",
    "0000C3T0001F001.jpg",
    "0002C1T0001F001.jpg",
    "0002C1T0001F003.jpg",  # a number is missing
    "0002C4T0002F001.jpg",
    "0004C6T0001F001.jpg",
]
TRAIN_ROWS = [[1, 2, 1, 1], [3, 3, 3, 2]]
TEST_ROWS = [[1, 1, -1, 1], [2, 2, 0, 3], [3, 4, 2, 1], [5, 5, 2, 4], [6, 5, 4, 5], [6, 6, 4, 6]]


def make(root: Path, test_rows: list[list[int]] = TEST_ROWS, query: tuple[int, ...] = (6, 3)) -> Path:
    write(root / "info/train_name.txt", *TRAIN)
    write(root / "info/test_name.txt", *TEST)
    scipy.io.savemat(root / "info/tracks_train_info.mat", {"track_train_info": np.array(TRAIN_ROWS, np.int32)})
    scipy.io.savemat(root / "info/tracks_test_info.mat", {"track_test_info": np.array(test_rows, np.int32)})
    scipy.io.savemat(root / "info/query_IDX.mat", {"query_IDX": np.array([query], np.uint16)})
    return root


def test_splits(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="1 tracklets hold no frame and are left out, the first is row 5"):
        benchmark = read(make(tmp_path))
    assert facts(benchmark.train) == [
        ("train/00001-0001C1T0001", "0001", "c1"),
        ("train/00002-0003C2T0001", "0003", "c2"),
    ]
    assert facts(benchmark.query) == [
        ("test/00006-0004C6T0001", "0004", "c6"),
        ("test/00003-0002C1T0001", "0002", "c1"),
    ]
    # junk is gone, the distractor stays without an identity, queries stand in the gallery
    assert facts(benchmark.gallery) == [
        ("test/00002-0000C3T0001", None, "c3"),
        ("test/00003-0002C1T0001", "0002", "c1"),
        ("test/00004-0002C4T0002", "0002", "c4"),
        ("test/00006-0004C6T0001", "0004", "c6"),
    ]
    assert frames(benchmark.train[0], tmp_path) == [f"bbox_train/0001/{name}" for name in TRAIN[:2]]
    assert frames(benchmark.gallery[1], tmp_path) == [f"bbox_test/0002/{name}" for name in TEST[2:4]]
    assert list(benchmark.protocols) == ["mars@1", "mars/matlab@1"]


def test_a_probe_may_have_no_mate(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no frame"):
        benchmark = read(make(tmp_path))
    rule = PROTOCOLS[0]
    query = pd.DataFrame([{"identity": t.identity, **t.labels} for t in benchmark.query])
    gallery = pd.DataFrame([{"identity": t.identity, **t.labels} for t in benchmark.gallery])
    assert on(rule.hit & ~rule.skip, query, gallery) == [[0, 0, 0, 0], [0, 0, 1, 0]]


def test_ranking_of_the_worked_example() -> None:
    # Worked out by hand in the project's notes on DSANet (section 4.1), junk taken out, distractor kept.
    query = pd.DataFrame({"identity": ["1", "2", "3"], "camera": ["0", "1", "0"]})
    gallery = pd.DataFrame({"identity": ["1", "1", "2", None, "1", "2", "2", "3"], "camera": list("01012120")})
    distance = np.array(
        [
            [0.10, 0.30, 0.20, 0.05, 0.60, 0.50, 0.70, 0.80],
            [0.40, 0.15, 0.25, 0.35, 0.55, 0.02, 0.45, 0.65],
            [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
        ],
        np.float32,
    )
    expected = {"mars@1": [0.366667, 0.45], "mars/matlab@1": [0.245833, 0.2875]}
    for protocol in PROTOCOLS:
        part = slice(0, 3)
        blocks = [Block(-distance, protocol.hit.on(query, gallery)(part), protocol.skip.on(query, gallery)(part))]
        ranking = rank(iter(blocks), ap=protocol.ap)
        np.testing.assert_array_equal(ranking.mated, [True, True, False])
        np.testing.assert_allclose(ranking.ap[:2], expected[protocol.name], atol=1e-6)
        np.testing.assert_array_equal(ranking.first[:2], [3, 2])


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train_name.txt is missing; expected the MARS folder with bbox_train"):
        read(tmp_path)
    with pytest.raises(ValueError, match=r"tracks_test_info.mat, row 2: frames 6 to 7 are outside the 6 names"):
        read(make(tmp_path, [[1, 1, -1, 1], [6, 7, 4, 6]], (1,)))
    with pytest.raises(ValueError, match=r"row 1: frames 0 to 1 are outside .* counted from 1"):
        read(make(tmp_path, [[0, 1, -1, 1]], (1,)))
    with pytest.raises(
        ValueError, match=r"row 1: frames '0002C1T0001F003.jpg' to '0002C4T0002F001.jpg' are not of one"
    ):
        read(make(tmp_path, [[4, 5, 2, 1]], (1,)))
    with pytest.raises(ValueError, match=r"query_IDX.mat: row 7 does not exist; rows are counted from 1 to 6"):
        read(make(tmp_path, TEST_ROWS[:4] + TEST_ROWS[5:] * 2, (7,)))
    with pytest.raises(ValueError, match=r"has shape \(1, 3\)"):
        read(make(tmp_path, [[1, 1, 1]], (1,)))
    make(tmp_path)
    write(tmp_path / "info/train_name.txt", TRAIN[0], "../../0001C1T0001F002.jpg", TRAIN[2])
    with pytest.raises(ValueError, match=r"train_name.txt, line 2: '../../0001C1T0001F002.jpg' is not named like"):
        read(tmp_path)
