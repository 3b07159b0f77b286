"""MEVID on a mimicked tree: counting from 0 with inclusive ends, decimals, empty rows, raw camera numbers."""

from pathlib import Path

import pytest

from tests.data.sets.trees import facts, frames, matrix, write
from unbraid.data.sets.mevid import read

TRAIN = ["0103O020C424T000F00000.jpg", "0103O020C424T000F00001.jpg"]
TEST = [
    "0201O003C330T000F00000.jpg",
    "0201O003C330T000F00001.jpg",
    "0201O004C331T000F00000.jpg",
    "0201O003C332T000F00000.jpg",
    "0205O001C330T000F00000.jpg",
]
ROWS = ["0 1 201 3 330", "2 2 201 4 331", "3 3 201 3 332", "4 3 205 1 331", "4 4 205 1 330"]


def decimals(row: str) -> str:
    return " ".join(f"{int(field):.18e}" for field in row.split())


def make(root: Path, rows: list[str] = ROWS, query: tuple[str, ...] = ("0",)) -> Path:
    write(root / "train_name.txt", *TRAIN)
    write(root / "test_name.txt", *TEST)
    write(root / "track_train_info.txt", decimals("0 1 103 20 424"))
    write(root / "track_test_info.txt", *map(decimals, rows))
    write(root / "query_IDX.txt", *query)
    return root


def test_splits(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="1 tracklets hold no frame and are left out, the first is row 3"):
        benchmark = read(make(tmp_path))
    # labels in order: camera, clothes
    assert facts(benchmark.train) == [("train/00000-0103O020C424T000", "0103", "c424", "0103-020")]
    assert facts(benchmark.query) == [("test/00000-0201O003C330T000", "0201", "c330", "0201-003")]
    assert facts(benchmark.gallery) == [
        ("test/00001-0201O004C331T000", "0201", "c331", "0201-004"),
        ("test/00002-0201O003C332T000", "0201", "c332", "0201-003"),
        ("test/00004-0205O001C330T000", "0205", "c330", "0205-001"),
    ]
    assert frames(benchmark.query[0], tmp_path) == [f"bbox_test/0201/{name}" for name in TEST[:2]]
    hits = {
        name: matrix(p.hit & ~p.skip, benchmark.query, benchmark.gallery) for name, p in benchmark.protocols.items()
    }
    assert hits == {"mevid@1": [[1, 1, 0]], "mevid-cc@1": [[1, 0, 0]], "mevid-sc@1": [[0, 1, 0]]}


def test_rows_past_the_list_are_cut_as_the_owners_do(tmp_path: Path) -> None:
    with (
        pytest.warns(UserWarning, match="1 tracklets end past the list of names and are cut short, the first is row 1"),
        pytest.warns(UserWarning, match="1 tracklets hold no frame and are left out, the first is row 2"),
    ):
        benchmark = read(make(tmp_path, ["0 1 201 3 330", "4 9 205 1 330", "7 9 205 1 331"]))
    assert [len(t) for t in benchmark.gallery] == [1]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train_name.txt is missing; expected the MEVID folder"):
        read(tmp_path)
    for rows, query, message in [
        (["0 1 201 3"], ("0",), r"track_test_info.txt, line 1: 4 numbers; expected 5"),
        (["0 1 201 3 330"], ("1",), r"query_IDX.txt: row 1 does not exist; rows are counted from 0 to 0"),
        (["-1 1 201 3 330"], ("0",), r"row 0: frame -1 does not exist"),
        (["3 4 201 3 332"], ("0",), r"row 0: the frames are of several people"),
        (["0 1 201 3 330"], ("zero",), r"query_IDX.txt, line 1: 'zero' is not made of numbers"),
        (["0 1 201 3 330"], ("0.5",), r"query_IDX.txt holds something else than whole numbers"),
    ]:
        with pytest.raises(ValueError, match=message):
            read(make(tmp_path, rows, query))
    make(tmp_path)
    write(tmp_path / "test_name.txt", "../../secret.jpg")
    with pytest.raises(ValueError, match=r"test_name.txt, line 1: '../../secret.jpg' is not named like"):
        read(tmp_path)
