import errno
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from unbraid.data.benchmark import label_table
from unbraid.data.media import read_frames
from unbraid.data.sets.folder import read
from unbraid.world import WorldConfig, render, store
from unbraid.world.motion import Procedural
from unbraid.world.sensors.lidar import depth_map
from unbraid.world.text.captions import aspects_of

# The package's attribute of this name is the function.
rendering = importlib.import_module("unbraid.world.render")

CONFIG = WorldConfig(
    train_identities=2,
    test_identities=2,
    train_outfits=1,
    test_outfits=2,
    tracklets=2,
    queries=1,
    frames=3,
    cameras=2,
    height=64,
    width=32,
    occluder_rate=0.5,
    modalities=("rgb", "silhouette", "depth"),
    points=True,
)
LABELS = {
    *("clothes", "camera", "view", "action", "other_clothes", "walk"),
    *("top", "top_colour", "bottom_colour", "sex"),
}


def digest(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return render(CONFIG, tmp_path_factory.mktemp("world") / "one", workers=1)


def copied(world, tmp_path):
    return shutil.copytree(world, tmp_path / "copy")


def test_world_reads_as_a_benchmark(world):
    benchmark = read(world)
    assert benchmark.name == "world"
    assert benchmark.synthetic
    assert (len(benchmark.train), len(benchmark.query), len(benchmark.gallery)) == (12, 12, 12)
    assert {"clothes-change@1", "one-clothes-change@1"} <= set(benchmark.protocols)
    assert {t.identity for t in benchmark.train} == {"train0000", "train0001"}
    for tracklet in (*benchmark.train, *benchmark.query, *benchmark.gallery):
        assert LABELS - {"other_clothes"} <= tracklet.labels.keys() <= LABELS
        assert ("other_clothes" in tracklet.labels) == (tracklet in benchmark.query)
        size = (64, 32, 3) if tracklet.modality == "rgb" else (64, 64, 3)
        frames = read_frames(tracklet.media, range(3))
        assert all(frame.shape == size for frame in frames)
        if tracklet.modality == "rgb":
            masks = np.stack(read_frames(tracklet.mask, range(3)))
            assert masks.shape == (3, 64, 32, 3)
            assert set(np.unique(masks)) <= {0, 255}
    # one walk is what all sensors saw of the same instants
    for walk, seen in label_table(benchmark.query).groupby("walk"):
        assert sorted(seen.modality) == ["depth", "rgb", "silhouette"]
        assert set(seen.key) == {walk, f"{walk}-silhouette", f"{walk}-depth"}
    origin = json.loads((world / "origin.json").read_text())
    assert origin["config"]["body_spread"] == 1.8


def test_factors_stand_beside_the_index(world):
    people, outfits = pd.read_parquet(world / "identities.parquet"), pd.read_parquet(world / "outfits.parquet")
    assert set(people.identity) == {"train0000", "train0001", "test0000", "test0001"}
    assert people.height_metres.between(1.5, 1.98).all()
    table = pd.read_parquet(world / "tracklets.parquet")
    assert set(table.clothes) == set(outfits.clothes)
    joined = table.merge(outfits, on="clothes", suffixes=("", "_true"))
    assert (joined.top_colour == joined.top_colour_true).all()
    assert len(joined) == len(table)


def test_point_clouds_are_those_of_the_depth_maps(world):
    for folder in (world / "frames").iterdir():
        stored = load_file(folder / "points.safetensors")
        assert stored["counts"].sum() == len(stored["points"])
        ends = np.cumsum(stored["counts"])
        depth = cv2.imread(str(folder / "depth.png"), cv2.IMREAD_GRAYSCALE).reshape(3, 64, 64)
        for cloud, image in zip(np.split(stored["points"], ends[:-1]), depth, strict=True):
            assert np.array_equal(depth_map(cloud), image)


def test_what_chance_decided_is_written_down(world):
    shots = pd.read_parquet(world / "shots.parquet")
    assert len(shots) == 12
    assert shots["view_jitter_degrees"].abs().max() <= CONFIG.view_jitter
    assert shots["hidden_share"].between(0, 1).all()
    assert 0 < (shots["hidden_share"] > 0).mean() < 1
    assert shots["cut_share"].between(0, 1).all()
    assert shots["sensor_distance"].between(6, 25).all()
    for shot in shots.itertuples():
        counts = load_file(world / "frames" / shot.shot / "points.safetensors")["counts"]
        assert shot.points_mean == pytest.approx(counts.mean())


@pytest.mark.parametrize("name", ["captions.jsonl", "identities.parquet", "shots.parquet", "origin.json"])
def test_lost_tables_are_written_again(world, tmp_path, name):
    half = copied(world, tmp_path)
    (half / name).unlink()
    render(CONFIG, half, workers=1)
    assert digest(half) == digest(world)


def test_every_tracklet_has_every_caption(world):
    said = [json.loads(line) for line in (world / "captions.jsonl").read_text().splitlines()]
    table = pd.read_parquet(world / "tracklets.parquet")
    found = Counter((one["key"], one["aspect"]) for one in said)
    assert set(found.values()) == {1}
    assert set(found) == {(row.key, aspect) for row in table.itertuples() for aspect in aspects_of(row.modality)}


def test_two_workers_write_the_same_bytes(world, tmp_path):
    assert digest(render(CONFIG, tmp_path / "two", workers=2)) == digest(world)


def test_another_seed_gives_another_world(world, tmp_path):
    other = render(replace(CONFIG, seed=1, train_identities=1, test_identities=1), tmp_path / "other", workers=1)
    key = "frames/train0000-s0-t00/00000.jpg"
    assert digest(other)[key] != digest(world)[key]


def test_finished_world_is_not_rendered_again(world, monkeypatch):
    def never(*_):
        raise AssertionError("rendered again")

    monkeypatch.setattr(rendering, "_work", never)
    assert render(CONFIG, world) == world


def test_lost_tracklets_are_rendered_again(world, tmp_path):
    half = copied(world, tmp_path)
    for number, folder in enumerate(sorted((half / "frames").iterdir())):
        if number % 2:
            shutil.rmtree(folder)
    (half / "frames" / "test0000-s0-t00" / "00001.jpg").unlink()
    (half / "tracklets.parquet").unlink()
    kept = (half / "frames" / "test0001-s0-t00" / "00000.jpg").stat().st_mtime_ns
    render(CONFIG, half, workers=1)
    assert digest(half) == digest(world)
    assert (half / "frames" / "test0001-s0-t00" / "00000.jpg").stat().st_mtime_ns == kept


def test_full_disk_is_explained_and_nothing_finished_is_lost(world, tmp_path, monkeypatch):
    out, real, calls = tmp_path / "full", store.save_frames, []

    def failing(root, key, images, **options):
        calls.append(key)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(root, key, images, **options)

    monkeypatch.setattr(store, "save_frames", failing)
    with pytest.raises(OSError, match=r"No space left.*kept") as caught:
        render(CONFIG, out, workers=1)
    assert caught.value.errno == errno.ENOSPC
    assert len(list((out / "frames").iterdir())) == 2
    assert not (out / "tracklets.parquet").exists()
    monkeypatch.setattr(store, "save_frames", real)
    assert digest(render(CONFIG, out, workers=1)) == digest(world)


def test_folder_of_another_world_is_refused(world):
    with pytest.raises(ValueError, match=r"another world.*body_spread is 1.8 there, 1.0 asked"):
        render(replace(CONFIG, body_spread=1.0), world)

    with pytest.raises(ValueError, match="motion is 'procedural' there, 'floating' asked"):
        render(CONFIG, world, motion=Procedural(name="floating"))
    with pytest.raises(ValueError, match=r"knows walk, run.* but not swim"):
        render(replace(CONFIG, actions=("walk", "swim")), world)


def test_ctrl_c_twice_stops_the_workers_and_the_rest_is_rendered_later(world, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.world.test_render import CONFIG\n"
        "from unbraid.world import render\n"
        "if __name__ == '__main__':\n"
        "    render(CONFIG, Path(sys.argv[1]), workers=2)\n"
    )
    out = tmp_path / "stopped"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, str(script), str(out)], env=environment, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not (out / "frames").is_dir() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
    assert process.returncode != 0 or (out / "tracklets.parquet").is_file()
    assert digest(render(CONFIG, out, workers=1)) == digest(world)


def test_unusable_targets_are_explained(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file"):
        render(CONFIG, tmp_path / "file")
    with pytest.raises(OSError, match="choose a folder that can be written"):
        render(CONFIG, tmp_path / "file" / "below")
    with pytest.raises(ValueError, match="not empty"):
        render(CONFIG, tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "world.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        render(CONFIG, tmp_path / "broken")
    with pytest.raises(ValueError, match="workers = 0"):
        render(CONFIG, tmp_path / "new", workers=0)
