"""Prepared folders: the same labels and pixels as the source, the same bytes every time, and resumable."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
import pytest

import unbraid.data.prepare as prepare_module
from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.media import read_frames
from unbraid.data.prepare import prepare
from unbraid.data.protocols import CAMERA_CHANGE, PLAIN
from unbraid.data.sets.folder import read
from unbraid.data.sets.table import read as read_own
from unbraid.tracklet import Arrays, Images, Media, Tracklet, VideoSpan

SIZE = (24, 12)


def smooth(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture without sharp edges, which JPEG keeps well."""
    small = np.random.default_rng(seed).integers(0, 255, (3, 2, 3), np.uint8)
    return np.asarray(cv2.resize(small, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def pictures(root: Path, *names: str) -> Images:
    root.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(root / name), smooth(number + len(str(root)), (24 + number, 12)))
    return Images(tuple(root / name for name in names))


def array(path: Path, frames: np.ndarray) -> Arrays:
    np.save(path, frames)
    return Arrays(path, len(frames))


def video(path: Path, frames: int) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 48, "yuvj420p"
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(smooth(number, (48, 32)), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Benchmark:
    """Every kind of media: picture files with masks, a video with boxes, arrays of silhouettes, coloured depth maps."""
    source = tmp_path / "source"
    (source / "train").mkdir(parents=True)
    generator = np.random.default_rng(0)
    masks = array(source / "mask.npy", generator.integers(0, 3, (2, 24, 12), np.uint8))
    film = video(source / "v.avi", 70)
    boxes = tuple((2.0, 3.0, 20.0, 30.0 + n % 2) for n in range(40))
    silhouettes = array(source / "s.npy", generator.random((5, 64, 44)) > 0.5)
    depth = array(source / "d.npy", generator.integers(0, 255, (3, 16, 8, 3), np.uint8))
    coloured = pictures(source / "own", "1.png", "2.JPG")
    even = Images(tuple(pictures(source / "even", f"{n}.jpg").paths[0] for n in range(2)))
    train = (
        Tracklet("a/1", even, identity="p1", labels={"camera": "c1", "clothes": "x"}, mask=masks),
        Tracklet("../b", VideoSpan(film, tuple(range(20, 60)), boxes), identity="p1", labels={"camera": "c2"}),
        Tracklet("c", coloured, identity=None),
    )
    gallery = (
        Tracklet("s", silhouettes, "silhouette", "q1", {"camera": "c1"}),
        Tracklet("d", depth, "depth", "q1", {"camera": "c2"}),
    )
    protocols = {p.name: p for p in (CAMERA_CHANGE, PLAIN)}
    return Benchmark("mixed", train, gallery[:1], gallery, protocols, synthetic=True)


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def pixels(media: Media | None) -> list[np.ndarray]:
    return [] if media is None else [np.asarray(f) for f in read_frames(media, range(len(media)))]


def test_everything_known_and_every_pixel_survives(mixed: Benchmark, tmp_path: Path) -> None:
    found = read(prepare(mixed, tmp_path / "out"))
    assert (found.name, list(found.protocols), found.synthetic) == ("mixed", ["camera-change@1", "plain@1"], True)
    for split in ("train", "query", "gallery"):
        was, now = (label_table(getattr(b, split)) for b in (mixed, found))
        columns = sorted(was.columns)
        pd.testing.assert_frame_equal(was[columns], now[columns], check_dtype=False)
        for old, new in zip(getattr(mixed, split), getattr(found, split), strict=True):
            for before, after in ((old.media, new.media), (old.mask, new.mask)):
                pairs = list(zip(pixels(before), pixels(after), strict=True))
                if isinstance(before, VideoSpan):
                    # the only ones that are coded anew
                    assert all(a.shape == b.shape for a, b in pairs)
                    assert np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs]) < 6
                else:
                    assert all(np.array_equal(a, b) for a, b in pairs)
    copies = [p.suffix for p in found.train[2].media.paths]  # type: ignore[union-attr]
    assert copies == [".png", ".jpg"]
    # the query that stands in the gallery is stored once
    assert found.query[0].media == found.gallery[0].media


def test_nothing_is_written_outside(mixed: Benchmark, tmp_path: Path) -> None:
    before = files(tmp_path / "source")
    prepare(mixed, tmp_path / "deep" / "out")
    assert {p.name for p in (tmp_path / "deep").iterdir()} == {"out"}
    assert files(tmp_path / "source") == before
    assert not list((tmp_path / "deep" / "out").glob("**/.unfinished"))


def test_the_same_input_gives_the_same_bytes(mixed: Benchmark, tmp_path: Path) -> None:
    one, two = (files(prepare(mixed, tmp_path / name, size=(32, 16))) for name in ("one", "two"))
    assert one == two


def test_lists_and_provenance(mixed: Benchmark, tmp_path: Path) -> None:
    out = prepare(mixed, tmp_path / "out", size=(8, 4))
    assert (out / "lists/train.txt").read_text() == "a/1\n../b\nc\n"
    assert (out / "lists/gallery.txt").read_text() == "s\nd\n"
    origin = json.loads((out / "origin.json").read_text())
    for split in ("train", "query", "gallery"):
        expected = hashlib.sha256((out / f"lists/{split}.txt").read_bytes()).hexdigest()
        assert origin["lists"][split] == {"tracklets": len(getattr(mixed, split)), "sha256": expected}
    told = origin["prepared"]
    assert (told["source"], told["height"], told["width"]) == ("mixed", 8, 4)
    assert str(tmp_path) not in (out / "origin.json").read_text()


def test_resized_masks_have_no_new_values(mixed: Benchmark, tmp_path: Path) -> None:
    found = read(prepare(mixed, tmp_path / "out", size=(50, 20)))
    every = [t for split in (found.train, found.gallery) for t in split]
    assert all(f.shape == (50, 20, 3) for t in every for f in pixels(t.media))
    masks = pixels(found.train[0].mask)
    assert {m.shape for m in masks} == {(50, 20, 3)}
    assert set(np.unique(masks)) <= {0, 1, 2}
    assert set(np.unique(pixels(found.gallery[0].media))) == {0, 255}


class Stopped(BaseException):
    """As a kill: nothing catches it."""


@pytest.mark.parametrize("after", range(9))
def test_a_killed_preparation_goes_on(
    mixed: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    whole = files(prepare(mixed, tmp_path / "whole"))
    left = [after]

    def dying(function: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Stopped
            return function(*given, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("save_strip", "save_frames", "save_index", "_move"):
            patch.setattr(prepare_module, name, dying(getattr(prepare_module, name)))
        with pytest.raises(Stopped):
            prepare(mixed, tmp_path / "part")
    assert not (tmp_path / "part" / "tracklets.parquet").exists()
    there = {p: p.stat().st_mtime_ns for p in (tmp_path / "part").glob("*/*/**/*") if p.is_file()}
    prepare(mixed, tmp_path / "part")
    assert files(tmp_path / "part") == whole
    kept = [p for p, t in there.items() if ".unfinished" not in str(p) and "masks" not in p.parts]
    assert all(p.stat().st_mtime_ns == there[p] for p in kept)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["gone", "empty"])
def test_half_a_tracklet_is_done_again(mixed: Benchmark, tmp_path: Path, harm: Callable[[Path], Any]) -> None:
    out = prepare(mixed, tmp_path / "out")
    whole = files(out)
    for part in ("frames/train/000001-*/00007.jpg", "masks/*/*.png", "frames/gallery/*.png", "tracklets.parquet"):
        harm(next(out.glob(part)))
    assert files(prepare(mixed, out)) == whole


def test_a_folder_with_something_else_is_left_alone(mixed: Benchmark, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="not empty"):
        prepare(mixed, tmp_path / "mine")
    with pytest.raises(ValueError, match="is a file"):
        prepare(mixed, tmp_path / "mine" / "letter.txt")
    assert files(tmp_path / "mine") == {"letter.txt": b"dear"}
    out = prepare(mixed, tmp_path / "out")
    with pytest.raises(ValueError, match="height was None and is 8;"):
        prepare(mixed, out, size=(8, 4))
    with pytest.raises(ValueError, match="source was 'mixed' and is 'other'"):
        prepare(replace(mixed, name="other"), out)
    (out / "prepare.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        prepare(mixed, out)
    (out / "prepare.json").write_text("[]")
    with pytest.raises(ValueError, match="other data"):
        prepare(mixed, out)


def test_captions_travel_along(mixed: Benchmark, tmp_path: Path) -> None:
    (tmp_path / "texts").write_text('{"key": "c", "aspect": "hair", "text": "x"}\n')
    out = prepare(mixed, tmp_path / "out", captions=tmp_path / "texts")
    assert (out / "captions.jsonl").read_bytes() == (tmp_path / "texts").read_bytes()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        prepare(mixed, tmp_path / "other", captions=tmp_path / "none")


def test_what_cannot_be_prepared(mixed: Benchmark, tmp_path: Path) -> None:
    one = mixed.train[0]
    own = replace(CAMERA_CHANGE, name="mine@1")
    wrong: Mapping[str, Benchmark] = {
        "holds no tracklet": replace(mixed, train=(), query=(), gallery=()),
        "no protocol 'mine@1'": replace(mixed, protocols={"mine@1": own}),
        "not the known one": replace(mixed, protocols={"plain@1": CAMERA_CHANGE}),
        "point cloud": replace(mixed, train=(replace(one, modality="points"),)),
        "line break": replace(mixed, train=(replace(one, key="a\nb"),)),
        "label 'split'": replace(mixed, train=(replace(one, labels={"split": "x"}),)),
    }
    for message, benchmark in wrong.items():
        with pytest.raises(ValueError, match=message):
            prepare(benchmark, tmp_path / "out")
    with pytest.raises(ValueError, match="at least 1 pixel"):
        prepare(mixed, tmp_path / "out", size=(0, 4))
    assert not (tmp_path / "out").exists()


def test_a_bad_picture_is_named_and_can_be_mended(tmp_path: Path) -> None:
    for name in ("ann/1.jpg", "ann/2.jpg", "bob/1.jpg"):
        pictures(tmp_path / "own" / name.split("/")[0], name.split("/")[1])
    cut = tmp_path / "own/bob/1.jpg"
    good = cut.read_bytes()
    cut.write_bytes(good[: len(good) // 2] + bytes(len(good) - len(good) // 2))
    cut.write_bytes(good[:100].ljust(len(good), b"\0"))
    with pytest.raises(ValueError, match=r"tracklet 'bob/1.jpg': .*does not decode"):
        prepare(read_own(tmp_path / "own"), tmp_path / "out")
    cut.write_bytes(good)
    found = read(prepare(read_own(tmp_path / "own"), tmp_path / "out"))
    assert [t.key for t in found.gallery] == ["ann/1.jpg", "ann/2.jpg", "bob/1.jpg"]
    (tmp_path / "own/ann/1.jpg").unlink()
    benchmark = replace(found, gallery=(replace(found.gallery[0], media=Images((tmp_path / "own/ann/1.jpg",))),))
    with pytest.raises(FileNotFoundError, match=r"tracklet 'ann/1\.jpg'"):
        prepare(benchmark, tmp_path / "new")


def test_silhouettes_of_several_sizes_are_single_pictures(mixed: Benchmark, tmp_path: Path) -> None:
    uneven = replace(mixed.gallery[0], media=pictures(tmp_path / "uneven", "1.png", "2.png"), key="u")
    found = read(prepare(replace(mixed, gallery=(uneven,), query=()), tmp_path / "out"))
    assert [p.suffix for p in found.gallery[0].media.paths] == [".png", ".png"]  # type: ignore[union-attr]
    assert all(np.array_equal(a, b) for a, b in zip(pixels(uneven.media), pixels(found.gallery[0].media), strict=True))
    masked = replace(mixed.train[0], mask=pictures(tmp_path / "masks", "1.png", "2.png"))
    with pytest.raises(ValueError, match="give --height and --width"):
        prepare(replace(mixed, train=(masked,)), tmp_path / "other")


def test_paths_of_an_index_stay_in_its_folder(people: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(people / "tracklets.parquet")
    for name in ("../../secret.jpg", "/etc/hostname", "a\\b.jpg", ""):
        frames: Any = [[name], *table["frames"][1:]]
        changed = table.assign(frames=frames)
        changed.to_parquet(tmp_path / "tracklets.parquet")
        with pytest.raises(ValueError, match="not a path inside"):
            read(tmp_path)
    table["strip"] = pd.array([5] * len(table), dtype="Int64")
    table.to_parquet(tmp_path / "tracklets.parquet")
    with pytest.raises(ValueError, match="a strip of 5 files"):
        read(tmp_path)
