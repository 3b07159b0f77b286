"""SUSTech1K on a tree like the owners', and its view cells against a slow loop."""

import itertools
import json
import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from unbraid.data.benchmark import label_table
from unbraid.data.media import read_frames
from unbraid.data.sets.sustech1k import CONDITIONS, PROTOCOLS, protocol, read
from unbraid.evaluate import evaluate
from unbraid.peers import compare_rules
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Arrays, Modality, Tracklet


def sequence(view: Path, frames: int = 3, *, depth_frames: int | None = None, names: str = "{:02d}-sync-x.pkl") -> None:
    view.mkdir(parents=True)
    for number in range(16):
        length = depth_frames if number == 9 and depth_frames is not None else frames
        shape = (length, 3, 4, 4) if number == 9 else (length, 4, 4)
        (view / names.format(number)).write_bytes(pickle.dumps(np.full(shape, number, np.uint8)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place in ("0001/00-nm/000", "0001/01-bg-nt/045", "0002/00-nm/000", "0002/01-nm/000", "0002/02-bg-cl/045"):
        sequence(tmp_path / place)
    sequence(tmp_path / "0002/00-nm/045", names="{:02d}.pkl")
    sequence(tmp_path / "0002/03-ub/000", names="x{:02d}.pkl")  # no numbers: sixteen files by their order
    sequence(tmp_path / "0002/05-cr/000")  # neither probe nor enrolled
    sequence(tmp_path / "0002/04-oc/000", depth_frames=2)
    sequence(tmp_path / "0002/04-oc/045", frames=0)
    sequence(tmp_path / "0002/04-oc/090")
    next((tmp_path / "0002/04-oc/090").glob("14-*")).unlink()
    sequence(tmp_path / "0099/00-nm/000")  # not in the partition
    lists = {"TRAIN_SET": ["0001", "0003"], "TEST_SET": ["0002"]}
    (tmp_path / "SUSTech1K.json").write_text(json.dumps(lists))
    return tmp_path


def test_a_tree_with_odd_cases(root: Path) -> None:
    with pytest.warns(UserWarning, match="2 sequences lack an array or hold no frames, and 1 have unequal numbers"):
        benchmark = read(root)
    walks = {
        part: [t.key for t in getattr(benchmark, part) if t.modality == "depth"]
        for part in ("train", "query", "gallery")
    }
    assert walks == {
        "train": ["0001/00-nm/000/depth", "0001/01-bg-nt/045/depth"],
        "query": ["0002/01-nm/000/depth", "0002/02-bg-cl/045/depth", "0002/03-ub/000/depth"],
        "gallery": ["0002/00-nm/000/depth", "0002/00-nm/045/depth"],
    }
    depth, silhouette = benchmark.query[2:4]
    assert (depth.modality, silhouette.modality) == ("depth", "silhouette")
    assert depth.labels == silhouette.labels
    assert depth.media == Arrays(root / "0002/02-bg-cl/045/09-sync-x.pkl", 3)
    assert read_frames(depth.media, [2])[0].tolist() == np.full((4, 4, 3), 9).tolist()
    assert read_frames(silhouette.media, [2])[0].tolist() == np.full((4, 4, 3), 14).tolist()
    by_order = {t.modality: t.media for t in benchmark.query[4:]}
    assert by_order["depth"] == Arrays(root / "0002/03-ub/000/x09.pkl", 3)
    # a sequence counts under every condition that its type names
    labels = depth.labels
    assert {name for name in CONDITIONS if labels[name] == "yes"} == {"bag", "clothing"}
    assert (labels["view"], labels["type"], labels["walk"]) == ("045", "02-bg-cl", "0002/02-bg-cl/045")
    assert [t.labels["normal"] for t in benchmark.gallery] == ["yes"] * 4
    assert len(benchmark.protocols) == len(PROTOCOLS) == 4 * 9


@pytest.mark.filterwarnings("ignore:sustech1k")
def test_one_sensor_alone(root: Path) -> None:
    benchmark = read(root, depth=None)
    assert {t.modality for t in (*benchmark.train, *benchmark.query, *benchmark.gallery)} == {"silhouette"}
    assert set(benchmark.protocols) == {
        f"sustech1k/silhouette-in-silhouette/{condition}@1" for condition in ("all", *CONDITIONS)
    }
    # sequences whose depth maps are short or absent are whole now
    assert "0002/04-oc/000/silhouette" in {t.key for t in benchmark.query}
    with pytest.raises(ValueError, match="depth and silhouette are both None"):
        read(root, depth=None, silhouette=None)


def test_a_hostile_file_stops_the_reading(root: Path) -> None:
    (root / "0002/00-nm/000/09-sync-x.pkl").write_bytes(b"cos\nsystem\n(S'touch zz'\ntR.")
    with pytest.raises(ValueError, match=r"09-sync-x\.pkl is refused: it asks for os\.system"):
        read(root)
    assert not Path("zz").exists()


def test_partitions_that_cannot_be_used(root: Path, tmp_path: Path) -> None:
    path = root / "SUSTech1K.json"
    for text, message in (
        ("{", "is not valid JSON"),
        ("[1]", "holds a list; expected the lists TRAIN_SET, TEST_SET by name"),
        ('{"TRAIN_SET": ["0001"]}', "has no list of names 'TEST_SET'"),
        ('{"TRAIN_SET": [1], "TEST_SET": []}', "has no list of names 'TRAIN_SET'"),
        ('{"TRAIN_SET": ["0001"], "TEST_SET": ["0001"]}', "'0001' and 0 others are in TRAIN_SET and in TEST_SET"),
        ('{"TRAIN_SET": ["../0001"], "TEST_SET": []}', r"'\.\./0001' in 'TRAIN_SET' is no plain name"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read(root)
    path.write_text('{"TRAIN_SET": ["8"], "TEST_SET": ["9"]}')
    with pytest.raises(FileNotFoundError, match=r"holds no folder of the people in SUSTech1K\.json \(such as '8'\)"):
        read(root)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"SUSTech1K\.json is missing; expected the partition"):
        read(root)
    with pytest.raises(FileNotFoundError, match=r"other\.json is missing"):
        read(root, partition=tmp_path / "other.json")


def embedded(tracklets: list[Tracklet], random: np.random.Generator) -> Embeddings:
    values = torch.from_numpy(random.normal(size=(len(tracklets), 5)).astype(np.float32))
    return Embeddings(Spaces({"identity": values}), label_table(tracklets), {})


def walks(types: tuple[str, ...]) -> list[Tracklet]:
    """Both sensors of four people from three views."""
    return [
        Tracklet(
            f"{person}/{kind}/{view}/{modality}",
            Arrays(Path("x.pkl"), 1),
            modality,
            person,
            {"view": view, **{name: "yes" if text in kind else "no" for name, text in CONDITIONS.items()}},
        )
        for person, kind, view in itertools.product("abcd", types, ("000", "045", "090"))
        for modality in ("depth", "silhouette")
    ]


def unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))


@pytest.mark.parametrize("condition", ["", "bag", "clothing", "night"])
def test_rank_1_by_view_cells_against_a_loop(condition: str) -> None:
    random = np.random.default_rng(3)
    query = embedded(walks(("01-nm", "02-bg", "03-bg-cl", "04-nt")), random)
    gallery = embedded(walks(("00-nm",)), random)
    cells: dict[tuple[str, str], list[bool]] = defaultdict(list)
    similarity = unit(query.spaces["identity"].numpy()) @ unit(gallery.spaces["identity"].numpy()).T
    for row, asked in query.table.iterrows():
        if asked["modality"] != "depth" or (condition and CONDITIONS[condition] not in str(asked["key"])):
            continue
        for view in ("000", "045", "090"):
            offered = (gallery.table["modality"] == "silhouette") & (gallery.table["view"] == view)
            numbers = np.flatnonzero(offered)
            best = numbers[similarity[row, numbers].argmax()]  # type: ignore[index]
            if view != asked["view"]:
                cells[str(asked["view"]), view].append(gallery.table["identity"][best] == asked["identity"])
    by_view = [
        np.mean([np.mean(hits) for (own, _), hits in cells.items() if own == view]) for view in ("000", "045", "090")
    ]
    result = evaluate(query, gallery, protocol("depth", "silhouette", condition))
    assert result.rank_1 == pytest.approx(float(np.mean(by_view)))
    assert result.queries == {"": 48, "bag": 24, "clothing": 12, "night": 12}[condition]
    assert result.gallery == 12


@pytest.mark.parametrize(("asked", "offered"), [("depth", "silhouette"), ("silhouette", "depth")])
def test_the_rules_of_opengait_stand_beside_ours(asked: Modality, offered: Modality) -> None:
    """Euclidean distance per part, each cell in per cent and rounded to two decimals before they are averaged."""
    random = np.random.default_rng(4)
    sides = []
    for types in (("01-nm", "02-bg", "03-bg-cl"), ("00-nm",)):
        tracklets = walks(types)
        values = torch.from_numpy(random.normal(size=(len(tracklets), 2, 5)).astype(np.float32))
        sides.append(Embeddings(Spaces({"identity": values}), label_table(tracklets), {}))
    query, gallery = sides
    first, second = (side.spaces["identity"].numpy() for side in sides)
    cells = []
    for view, other in itertools.permutations(("000", "045", "090"), 2):
        rows = np.flatnonzero(
            (query.table["modality"] == asked) & (query.table["view"] == view) & query.table["key"].str.contains("bg")
        )
        columns = np.flatnonzero((gallery.table["modality"] == offered) & (gallery.table["view"] == other))
        distance = np.linalg.norm(first[rows, None] - second[columns], axis=3).mean(2)
        best = columns[distance.argmin(1)]
        right = gallery.table["identity"].to_numpy()[best] == query.table["identity"].to_numpy()[rows]
        cells.append(np.round(100 * right.mean(), 2))
    found = compare_rules(query, gallery, protocols=[protocol(asked, offered, "bag")], rates=False)
    row = next(row for row in found.rows if row.rule == "OpenGait view cells")
    assert not row.problem
    assert row.rank_1 == pytest.approx(np.mean(cells) / 100, abs=1e-12)
