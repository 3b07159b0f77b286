"""FreeGait on a tree like the owners', with both traps of its lists."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid.data.benchmark import label_table
from unbraid.data.pairs import paired
from unbraid.data.sets.freegait import PROTOCOLS, protocol, read
from unbraid.evaluate import evaluate
from unbraid.peers import compare_rules
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Arrays, Tracklet


def sequence(root: Path, name: str, *, deep: bool = False, files: tuple[str, ...] = ("image", "range_pkl")) -> None:
    place = root.joinpath(*name.split("-"))
    place.mkdir(parents=True)
    for file in (*files, "lidar"):
        path = place / file / f"{file}.pkl" if deep else place / f"{file}.pkl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(np.zeros((2, 4, 4), np.uint8)))


LISTS = {
    "TRAIN_SET": ["0001"],
    "TEST_SET": ["0002", "0003", "0004"],
    "PROBE_SET": ["0002-0-00", "0003-1-00", "0003-1-07"],
    "GALLERY_SET": ["0002-0-01", "0004-2-00"],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    sequence(tmp_path, "0001-0-00")
    sequence(tmp_path, "0002-0-00", deep=True)
    sequence(tmp_path, "0002-0-01")
    sequence(tmp_path, "0002-2-05")  # in no list: gallery of OpenGait only
    sequence(tmp_path, "0003-1-00")  # a probe whose person has no gallery sequence
    sequence(tmp_path, "0004-2-00")
    sequence(tmp_path, "0004-2-01", files=("image",))  # in no list, and without depth
    sequence(tmp_path, "0009-0-00")  # in no split
    (tmp_path / "FreeGait.json").write_text(json.dumps(LISTS))
    return tmp_path


def keys(tracklets: tuple[Tracklet, ...]) -> list[str]:
    return [t.key for t in tracklets if t.modality == "depth"]


def test_the_listed_gallery(root: Path) -> None:
    with pytest.warns(UserWarning, match="freegait: 1 listed sequences are absent and 0 lack an array"):
        benchmark = read(root)
    assert keys(benchmark.train) == ["0001-0-00/depth"]
    assert keys(benchmark.query) == ["0002-0-00/depth", "0003-1-00/depth"]
    assert keys(benchmark.gallery) == ["0002-0-01/depth", "0004-2-00/depth"]
    depth, silhouette = benchmark.query[:2]
    assert depth.media == Arrays(root / "0002/0/00/range_pkl/range_pkl.pkl", 2)
    assert silhouette.media == Arrays(root / "0002/0/00/image/image.pkl", 2)
    assert silhouette.labels == {"device": "0", "sequence": "00", "walk": "0002-0-00"}
    assert benchmark.gallery[1].media == Arrays(root / "0002/0/01/image.pkl", 2)
    assert list(benchmark.protocols) == [p.name for p in PROTOCOLS]


def test_the_gallery_of_opengait(root: Path) -> None:
    with pytest.warns(UserWarning, match="1 listed sequences are absent and 1 lack an array"):
        benchmark = read(root, gallery="all but probes")
    assert keys(benchmark.gallery) == ["0002-0-01/depth", "0002-2-05/depth", "0004-2-00/depth"]
    with pytest.raises(ValueError, match="gallery is 'both'; expected 'listed' or 'all but probes'"):
        read(root, gallery="both")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:freegait")
def test_probes_without_a_gallery_sequence_leave_the_mean(root: Path) -> None:
    benchmark = read(root)

    def embedded(tracklets: tuple[Tracklet, ...]) -> Embeddings:
        values = torch.eye(4)[[int(str(t.identity)) - 1 for t in tracklets]]
        return Embeddings(Spaces({"identity": values}), label_table(tracklets), {})

    result = evaluate(embedded(benchmark.query), embedded(benchmark.gallery), protocol("silhouette", "depth"))
    assert (result.queries, result.without_mate, result.gallery, result.rank_1) == (2, 1, 2, 1.0)


def test_training_sequences_with_unequal_frames(root: Path) -> None:
    """They cannot be paired; tests need no pairs."""
    for name in ("0001/0/00/image.pkl", "0002/0/01/image.pkl"):
        (root / name).write_bytes(pickle.dumps(np.zeros((3, 4, 4), np.uint8)))
    sequence(root, "0001-0-01")
    with pytest.warns(UserWarning, match="and 1 training sequences have unequal numbers of frames"):
        benchmark = read(root)
    assert keys(benchmark.train) == ["0001-0-01/depth"]
    assert [t.modality for t in paired(benchmark, "walk").train] == ["silhouette", "depth"]
    assert "0002-0-01/silhouette" in {t.key for t in benchmark.gallery}


@pytest.mark.filterwarnings("ignore:freegait")
def test_the_rules_of_opengait_stand_beside_ours(root: Path) -> None:
    """Under its gallery: everybody but probes; means over probes that have a mate."""
    benchmark = read(root, gallery="all but probes")
    random = np.random.default_rng(0)
    sides = []
    for tracklets in (benchmark.query, benchmark.gallery):
        values = torch.from_numpy(random.normal(size=(len(tracklets), 2, 3)).astype(np.float32))
        sides.append(Embeddings(Spaces({"identity": values}), label_table(tracklets), {"synthetic": "false"}))
    asked, offered = (
        [n for n, t in enumerate(tracklets) if t.modality == kind]
        for tracklets, kind in ((benchmark.query, "silhouette"), (benchmark.gallery, "depth"))
    )
    features = [side.spaces["identity"].numpy() for side in sides]
    found = compare_rules(*sides, protocols=[protocol("silhouette", "depth")], rates=False)
    theirs = next(row for row in found.rows if row.rule == "OpenGait Gait3D")
    right = []
    for row in asked:
        person = benchmark.query[row].identity
        if person not in {benchmark.gallery[n].identity for n in offered}:
            continue
        distances = [np.linalg.norm(features[0][row] - features[1][n], axis=1).mean() for n in offered]
        right.append(benchmark.gallery[offered[int(np.argmin(distances))]].identity == person)
    assert (theirs.problem, theirs.counted, len(right)) == ("", 1, 1)
    assert theirs.rank_1 == np.mean(right)


def test_a_sequence_in_two_lists(root: Path) -> None:
    (root / "FreeGait.json").write_text(json.dumps({**LISTS, "GALLERY_SET": LISTS["PROBE_SET"]}))
    with pytest.raises(ValueError, match="sequence '0002-0-00' is in PROBE_SET and in GALLERY_SET"):
        read(root)
    (root / "FreeGait.json").write_text(json.dumps({k: v for k, v in LISTS.items() if k != "PROBE_SET"}))
    with pytest.raises(ValueError, match="has no list of names 'PROBE_SET'"):
        read(root)
