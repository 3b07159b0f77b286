"""Tables and folders of one's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.data.test_media import coded, write_video
from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.sets.table import read
from unbraid.evaluate import evaluate
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Arrays, Images, VideoSpan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a/1.jpg", "a/2.jpg", "a/10.jpg", "b/x.png", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    write_video(tmp_path / "walk.mp4", map(coded, range(7)))
    np.save(tmp_path / "c.npy", np.zeros((4, 2, 2), np.uint8))
    return tmp_path


def write(root: Path, text: str) -> Path:
    path = root / "people.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


MIXED = """path, frames, identity, split, modality, camera, key
a,,p1,train,,c1,whole folder
,a/1*.jpg,p1,query,,c1,pattern
walk.mp4,,p2,gallery,,c2,
c.npy,,,test,silhouette,c3,
b/x.png,,p1,,,c2,
"""


def test_every_kind_of_row(root: Path) -> None:
    benchmark = read(write(root, MIXED.replace(", ", ",")), step=3)
    assert benchmark.name == "people"
    (train,) = benchmark.train
    assert train.media == Images(tuple(root / f"a/{n}.jpg" for n in (1, 2, 10)))
    assert [t.key for t in benchmark.query] == ["pattern", "c.npy", "b/x.png"]
    assert [t.key for t in benchmark.gallery] == ["walk.mp4", "c.npy", "b/x.png"]
    pattern, array, image = benchmark.query
    assert pattern.media == Images((root / "a/1.jpg", root / "a/10.jpg"))
    assert (array.media, array.identity, array.modality) == (Arrays(root / "c.npy", 4), None, "silhouette")
    assert (image.media, image.identity, image.modality) == (Images((root / "b/x.png",)), "p1", "rgb")
    assert benchmark.gallery[0].media == VideoSpan(root / "walk.mp4", (0, 3, 6))
    assert image.labels == {"camera": "c2"}
    assert list(benchmark.protocols) == ["camera-change@1", "plain@1"]


def test_parquet_is_read_alike(root: Path) -> None:
    table = pd.read_csv(write(root, MIXED.replace(", ", ",")))
    table["camera"] = [1, 1, 2, 3, 2]
    table.to_parquet(root / "people.parquet")
    benchmark = read(root / "people.parquet")
    assert [t.labels["camera"] for t in benchmark.query] == ["1", "3", "2"]
    assert benchmark.query[1].identity is None


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, []),
        ({"room": "xy"}, []),
        ({"camera": "xy"}, ["camera-change@1"]),
        ({"clothes": "xy"}, []),
        ({"camera": "xy", "clothes": "uv"}, ["camera-change@1", "clothes-change@1", "same-clothes@1"]),
        ({"action": "xy"}, ["cross-activity/view+@1"]),
        (
            {"camera": "xy", "action": "xy"},
            ["camera-change@1", "cross-activity/view+@1", "cross-activity/view-@1"],
        ),
    ],
)
def test_labels_decide_on_protocols(root: Path, columns: dict[str, str], expected: list[str]) -> None:
    rows: dict[str, Any] = {"path": ["b/x.png", "a/1.jpg"], "identity": ["p", "p"]}
    pd.DataFrame({**rows, **{name: list(values) for name, values in columns.items()}}).to_csv(root / "t.csv")
    assert list(read(root / "t.csv").protocols) == [*expected, "plain@1"]


def test_a_camera_known_of_some(root: Path) -> None:
    path = write(root, "path,identity,camera\nb/x.png,p,c1\na/1.jpg,p,\na,p,c2\n")
    with pytest.warns(
        UserWarning, match="camera is known of 2 of 3 test items only, so there is no protocol by camera"
    ):
        benchmark = read(path)
    assert list(benchmark.protocols) == ["plain@1"]
    assert "camera" not in benchmark.query[1].labels


def test_paths_stay_inside(root: Path, tmp_path: Path) -> None:
    inner = root / "tables"
    inner.mkdir()
    path = write(inner, "path,identity\na/1.jpg,p\n")
    assert read(path, root=root).query[0].media == Images((root / "a/1.jpg",))
    write(inner, f"path,identity\n{root}/a/1.jpg,p\n")
    assert read(path, root=root).query[0].media == Images((root / "a/1.jpg",))
    with pytest.raises(ValueError, match=r"row 2: .*lies outside .*tables; name the folder of the files with `root`"):
        read(path)
    for row in ("../a/1.jpg,", ",../a/*.jpg"):
        write(inner, f"path,frames,identity\n{row},p\n")
        with pytest.raises(ValueError, match=r"people\.csv, row 2: '\.\./a.* is not a path inside"):
            read(path)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ValueError, "is not a readable table"),
        ("path,identity\n", ValueError, "holds no tracklet"),
        ("path,name\na,p\n", ValueError, r"has the columns \['path', 'name'\]; expected identity, and path or frames"),
        ("path,frames,identity\na,a/*.jpg,p\n", ValueError, "row 2: expected a value for path or for frames, and not"),
        ("path,identity\na,p\n,p\n", ValueError, "row 3: expected a value for path or for frames"),
        ("path,identity\na,p\na,q\n", ValueError, "row 3: key 'a' stands in row 2 already"),
        ("path,identity,split\na,p,probe\n", ValueError, "row 2: split is 'probe'; expected one of train, query"),
        ("path,identity,modality\na,p,lidar\n", ValueError, "row 2: modality is 'lidar'; expected one of rgb"),
        ("path,identity\nz.jpg,p\n", FileNotFoundError, r"row 2: .*z\.jpg does not exist"),
        ("frames,identity\nb/*.jpg,p\n", FileNotFoundError, r"row 2: no image matches 'b/\*\.jpg'"),
        ("path,identity, path\na,p,a\n", ValueError, "has two columns 'path'"),
    ],
)
def test_tables_that_are_refused(root: Path, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read(write(root, text))


def test_other_sources(root: Path) -> None:
    for name in ("gone.csv", "walk.mp4"):
        with pytest.raises(FileNotFoundError, match=r"is neither a \.csv or \.parquet file nor a folder of people"):
            read(root / name)
    (root / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no tracklet"):
        read(root / "empty")
    (root / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"bad\.parquet is not a readable table"):
        read(root / "bad.parquet")


def keys(benchmark: Benchmark) -> dict[str, list[str]]:
    return {part: [t.key for t in getattr(benchmark, part)] for part in ("train", "query", "gallery")}


def test_a_folder_of_people(root: Path) -> None:
    everyone = ["a/1.jpg", "a/10.jpg", "a/2.jpg", "b/x.png"]
    benchmark = read(root)  # files beside the folders of people belong to nobody
    assert keys(benchmark) == {"train": [], "query": everyone, "gallery": everyone}
    assert {t.identity for t in benchmark.query} == {"a", "b"}
    assert list(benchmark.protocols) == ["plain@1"]


def test_a_folder_of_splits(tmp_path: Path) -> None:
    for name in ("train/p1/walk/1.jpg", "train/p1/walk/2.jpg", "query/p2/.hidden.jpg", "query/p2/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "gallery/p2/empty").mkdir(parents=True)
    np.save(tmp_path / "gallery/p2/b.npy", np.zeros((2, 4, 4), np.uint8))
    benchmark = read(tmp_path, name="ours", modality="silhouette")
    assert keys(benchmark) == {"train": ["train/p1/walk"], "query": ["query/p2/a.jpg"], "gallery": ["gallery/p2/b.npy"]}
    assert len(benchmark.train[0]) == 2
    assert {t.modality for t in (*benchmark.train, *benchmark.query)} == {"silhouette"}
    assert benchmark.name == "ours"


def test_nobody_is_compared_with_themselves(root: Path) -> None:
    # three of a, one of b, all with the same embedding: the one of b has no mate
    benchmark = read(root)
    side = Embeddings(Spaces({"identity": torch.ones(4, 3)}), label_table(benchmark.query), {})
    result = evaluate(side, side, benchmark.protocols["plain@1"])
    assert (result.queries, result.without_mate, result.pairs) == (4, 1, 6)
