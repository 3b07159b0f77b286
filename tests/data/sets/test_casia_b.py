"""CASIA-B on a tree like the owners', and its view cells against a slow loop."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid.data.benchmark import label_table
from unbraid.data.sets.casia_b import PROTOCOLS, read
from unbraid.evaluate import evaluate
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Arrays, Images

TYPES = (*(f"nm-0{n}" for n in range(1, 7)), "bg-01", "bg-02", "cl-01", "cl-02")


def sequence(root: Path, person: str, kind: str, view: str, frames: int = 1) -> None:
    place = root / person / kind / view
    place.mkdir(parents=True)
    for number in range(1, frames + 1):
        (place / f"{person}-{kind}-{view}-{number:03d}.png").touch()


def test_a_tree_with_odd_cases(tmp_path: Path) -> None:
    sequence(tmp_path, "074", "nm-01", "000", 12)
    sequence(tmp_path, "074", "cl-02", "018")
    sequence(tmp_path, "075", "nm-04", "000")
    sequence(tmp_path, "075", "nm-05", "000")
    sequence(tmp_path, "075", "bg-02", "180")
    sequence(tmp_path, "075", "bg-01", "180", 0)  # holds no silhouettes
    sequence(tmp_path, "124", "cl-01", "090", 0)
    (tmp_path / "124/cl-01/090/090.pkl").write_bytes(pickle.dumps(np.zeros((7, 64, 64), np.uint8)))
    sequence(tmp_path, "124", "background", "090")
    sequence(tmp_path, "sample", "nm-01", "090")
    (tmp_path / "075.tar.gz").touch()
    with (
        pytest.warns(UserWarning, match="casia-b: 1 sequences hold no silhouettes"),
        pytest.warns(UserWarning, match="casia-b: 5 sequences are pictures in which people move"),
    ):
        benchmark = read(tmp_path)
    assert [t.key for t in benchmark.train] == ["074-cl-02-018", "074-nm-01-000"]
    assert [t.key for t in benchmark.query] == ["075-bg-02-180", "075-nm-05-000", "124-cl-01-090"]
    assert [t.key for t in benchmark.gallery] == ["075-nm-04-000"]
    long = benchmark.train[1].media
    assert isinstance(long, Images)
    assert [p.name[-7:] for p in long.paths] == [f"{n:03d}.png" for n in range(1, 13)]
    last = benchmark.query[2]
    assert last.media == Arrays(tmp_path / "124/cl-01/090/090.pkl", 7)
    assert (last.identity, last.modality) == ("124", "silhouette")
    assert last.labels == {"view": "090", "sequence": "cl-01", "condition": "clothing"}
    with pytest.warns(UserWarning, match="hold no silhouettes"), pytest.warns(UserWarning, match="are pictures"):
        assert [t.key for t in read(tmp_path, train_people=24).gallery] == ["074-nm-01-000", "075-nm-04-000"]


def test_an_empty_root(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "gone"):
        with pytest.raises(FileNotFoundError, match=r"holds no sequence of CASIA-B; expected root/001/nm-01/090"):
            read(root)


@pytest.mark.parametrize("kind", ["nm", "bg", "cl"])
def test_rank_1_by_view_cells_against_a_loop(tmp_path: Path, kind: str) -> None:
    views = ("000", "090", "180")
    for person in ("080", "081", "082"):
        for name in TYPES:
            for view in views:
                sequence(tmp_path, person, name, view)
    with pytest.warns(UserWarning, match="casia-b: 90 sequences are pictures"):
        benchmark = read(tmp_path)
    random = np.random.default_rng(1)
    sides = []
    for tracklets in (benchmark.query, benchmark.gallery):
        values = random.normal(size=(len(tracklets), 4)).astype(np.float32)
        unit = torch.from_numpy(values / np.linalg.norm(values, axis=1, keepdims=True))
        sides.append(Embeddings(Spaces({"identity": unit}), label_table(tracklets), {}))
    query, gallery = sides
    similarity = (query.spaces["identity"] @ gallery.spaces["identity"].T).numpy()
    table = np.full((3, 3), np.nan)
    for i, asked in enumerate(views):
        for j, offered in enumerate(views):
            if i == j:
                continue
            rows = [n for n, t in enumerate(benchmark.query) if t.key[4:6] == kind and t.labels["view"] == asked]
            columns = [n for n, t in enumerate(benchmark.gallery) if t.labels["view"] == offered]
            best = [columns[int(similarity[row, columns].argmax())] for row in rows]
            hits = [
                benchmark.query[r].identity == benchmark.gallery[b].identity for r, b in zip(rows, best, strict=True)
            ]
            assert (len(rows), len(columns)) == (6, 12)
            table[i, j] = np.mean(hits)
    result = evaluate(query, gallery, next(p for p in PROTOCOLS if p.name == f"casia-b/{kind}@1"))
    assert result.rank_1 == pytest.approx(np.nanmean(np.nanmean(table, axis=1)))
    assert (result.queries, result.gallery, result.without_mate) == (18, 36, 0)
