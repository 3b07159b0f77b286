"""PRCC on a mimicked tree: outfits by camera, one or all gallery pictures, chosen queries."""

from pathlib import Path

import pytest

from tests.data.sets.trees import facts, matrix, touch
from unbraid.data.benchmark import label_table
from unbraid.data.sets.prcc import PROTOCOLS, read


def make(root: Path) -> Path:
    touch(root, *(f"rgb/train/004/{c}_cropped_rgb001.jpg" for c in "ABC"), "rgb/val/004/C_cropped_rgb009.jpg")
    touch(root, *(f"rgb/test/A/{p}/cropped_rgb{n:03d}.jpg" for p in ("005", "006") for n in (1, 2, 3)))
    touch(root, "rgb/test/B/005/cropped_rgb001.jpg", "rgb/test/C/006/cropped_rgb001.jpg")
    return root


def test_splits(tmp_path: Path) -> None:
    benchmark = read(make(tmp_path))
    # labels in order: camera, clothes; A and B are one outfit
    assert facts(benchmark.train) == [
        ("rgb/train/004/A_cropped_rgb001", "004", "c1", "004-1"),
        ("rgb/train/004/B_cropped_rgb001", "004", "c2", "004-1"),
        ("rgb/train/004/C_cropped_rgb001", "004", "c3", "004-2"),
    ]
    assert facts(benchmark.query) == [
        ("rgb/test/B/005/cropped_rgb001", "005", "c2", "005-1"),
        ("rgb/test/C/006/cropped_rgb001", "006", "c3", "006-2"),
    ]
    assert len(benchmark.gallery) == 6
    assert facts(benchmark.gallery)[3] == ("rgb/test/A/006/cropped_rgb001", "006", "c1", "006-1")
    assert [t.key for t in read(tmp_path, validation=True).train][3:] == ["rgb/val/004/C_cropped_rgb009"]


def test_rules(tmp_path: Path) -> None:
    benchmark = read(make(tmp_path))
    table = label_table(benchmark.query)
    assert list(benchmark.protocols) == ["prcc-cc/multi@1", "prcc-sc/multi@1", "prcc-cc/single@1", "prcc-sc/single@1"]
    for name, row, hit in [("prcc-cc/multi@1", 1, [0, 0, 0, 1, 1, 1]), ("prcc-sc/multi@1", 0, [1, 1, 1, 0, 0, 0])]:
        protocol = benchmark.protocols[name]
        assert protocol.query.rows(table, "query").tolist() == [row]
        assert matrix(protocol.hit, [benchmark.query[row]], benchmark.gallery) == [hit]
        assert matrix(protocol.skip, [benchmark.query[row]], benchmark.gallery) == [[0] * 6]
    assert len(PROTOCOLS) == 4


def test_single_shot_draws_one_picture_of_each_person(tmp_path: Path) -> None:
    gallery = label_table(read(make(tmp_path)).gallery)
    for protocol in PROTOCOLS[2:]:
        assert protocol.shots is not None
        draws = [gallery.iloc[rows] for rows in protocol.shots.rows(gallery)]
        assert len(draws) == 10
        assert all(drawn["identity"].tolist() == ["005", "006"] for drawn in draws)
    assert PROTOCOLS[0].shots is None


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"rgb/train is missing; expected the prcc folder with rgb/train"):
        read(tmp_path)
    touch(make(tmp_path), "rgb/train/004/cropped_rgb001.jpg")
    with pytest.raises(ValueError, match=r"004: 'cropped_rgb001.jpg' is not named like 'A_cropped_rgb001.jpg'"):
        read(tmp_path)
