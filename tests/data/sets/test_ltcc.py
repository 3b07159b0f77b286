"""LTCC on a mimicked tree, and its two rules on six rows."""

from pathlib import Path

import pytest

from tests.data.sets.trees import facts, matrix, touch
from unbraid.data.sets.ltcc import read

GALLERY = (
    "094_1_c9_015833.png",  # the query's camera and clothes
    "094_1_c10_000001.png",  # its clothes
    "094_2_c9_000002.png",  # its camera
    "094_2_c3_000003.png",  # neither
    "095_1_c9_000004.png",
    "095_1_c3_000005.png",
)


def make(root: Path) -> Path:
    touch(root, "train/000_1_c9_015833.png", "query/094_1_c9_000007.png", "info/cloth-change_id_test.txt")
    touch(root, *(f"test/{name}" for name in GALLERY))
    return root


def test_splits_and_rules(tmp_path: Path) -> None:
    benchmark = read(make(tmp_path))
    assert facts(benchmark.train) == [("train/000_1_c9_015833", "000", "c9", "000-1")]
    assert facts(benchmark.query) == [("query/094_1_c9_000007", "094", "c9", "094-1")]
    assert [t.key for t in benchmark.gallery] == sorted(f"test/{name[:-4]}" for name in GALLERY)
    rows = sorted(range(6), key=lambda n: GALLERY[n])
    sides = benchmark.query, benchmark.gallery
    for name, hit, skip in [
        ("ltcc-cc@1", [0, 0, 0, 1, 0, 0], [1, 1, 1, 0, 0, 0]),
        ("ltcc-general@1", [0, 1, 0, 1, 0, 0], [1, 0, 1, 0, 0, 0]),
    ]:
        protocol = benchmark.protocols[name]
        assert matrix(protocol.hit & ~protocol.skip, *sides) == [[hit[n] for n in rows]]
        assert matrix(protocol.skip, *sides) == [[skip[n] for n in rows]]
    assert next(iter(benchmark.protocols)) == "ltcc-cc@1"


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    make(tmp_path / "LTCC_ReID")
    with pytest.raises(
        FileNotFoundError, match=r"train is missing; expected the LTCC_ReID folder.*Point to .*LTCC_ReID,"
    ):
        read(tmp_path)
    touch(tmp_path / "LTCC_ReID", "query/94.png")
    with pytest.raises(ValueError, match=r"query: '94.png' is not named like '000_1_c9_015833.png'"):
        read(tmp_path / "LTCC_ReID")
