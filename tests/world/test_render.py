import errno
import hashlib
import importlib
import json
import shutil
from dataclasses import replace

import cv2
import pandas as pd
import pytest

from unbraid.data.sets.folder import read
from unbraid.world import WorldConfig, render
from unbraid.world.motion import walk

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
)


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
    assert (len(benchmark.train), len(benchmark.query), len(benchmark.gallery)) == (4, 4, 4)
    assert "clothes-change@1" in benchmark.protocols
    assert {t.identity for t in benchmark.train} == {"train0000", "train0001"}
    for tracklet in (*benchmark.train, *benchmark.query, *benchmark.gallery):
        assert tracklet.labels.keys() == {"clothes", "camera", "view", "action"}
        assert all(cv2.imread(str(path)).shape == (64, 32, 3) for path in tracklet.media.paths)
    origin = json.loads((world / "origin.json").read_text())
    assert origin["config"]["body_spread"] == 1.8


def test_factors_stand_beside_the_index(world):
    people, outfits = pd.read_parquet(world / "identities.parquet"), pd.read_parquet(world / "outfits.parquet")
    assert set(people.identity) == {"train0000", "train0001", "test0000", "test0001"}
    assert people.height_metres.between(1.5, 1.98).all()
    assert set(pd.read_parquet(world / "tracklets.parquet").clothes) == set(outfits.clothes)


def test_two_workers_write_the_same_bytes(world, tmp_path):
    assert digest(render(CONFIG, tmp_path / "two", workers=2)) == digest(world)


def test_another_seed_gives_another_world(world, tmp_path):
    other = render(replace(CONFIG, seed=1, train_identities=1, test_identities=1), tmp_path / "other", workers=1)
    key = "frames/train0000-o0-t00/00000.jpg"
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
    (half / "frames" / "test0000-o0-t00" / "00001.jpg").unlink()
    (half / "tracklets.parquet").unlink()
    kept = (half / "frames" / "test0001-o0-t00" / "00000.jpg").stat().st_mtime_ns
    render(CONFIG, half, workers=1)
    assert digest(half) == digest(world)
    assert (half / "frames" / "test0001-o0-t00" / "00000.jpg").stat().st_mtime_ns == kept


def test_full_disk_is_explained_and_nothing_finished_is_lost(world, tmp_path, monkeypatch):
    out, real, calls = tmp_path / "full", rendering.save_frames, []

    def failing(root, key, images, **options):
        calls.append(key)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(root, key, images, **options)

    monkeypatch.setattr(rendering, "save_frames", failing)
    with pytest.raises(OSError, match=r"No space left.*kept") as caught:
        render(CONFIG, out, workers=1)
    assert caught.value.errno == errno.ENOSPC
    assert len(list((out / "frames").iterdir())) == 2
    assert not (out / "tracklets.parquet").exists()
    monkeypatch.setattr(rendering, "save_frames", real)
    assert digest(render(CONFIG, out, workers=1)) == digest(world)


def test_folder_of_another_world_is_refused(world):
    with pytest.raises(ValueError, match=r"another world.*body_spread is 1.8 there, 1.0 asked"):
        render(replace(CONFIG, body_spread=1.0), world)

    def float_along(style, times, random):
        return walk(style, times, random)

    with pytest.raises(ValueError, match="motion"):
        render(CONFIG, world, motion=float_along)


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
