"""Walks of one's own: which files make a walk, which frames belong together, and what becomes of them."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from unbraid.cli import main
from unbraid.data import gait
from unbraid.data.align import aligned
from unbraid.data.depth import Projection, depth_picture
from unbraid.data.gait import mask_of, prepare_gait
from unbraid.data.media import read_frames
from unbraid.data.pairs import paired
from unbraid.data.sets.folder import read
from unbraid.data.walks import Walk, find_walks, matched

FRAMES = 3


def cloud(seed: int, points: int = 60) -> NDArray[np.float32]:
    """A person behind the scanner, 8 metres away."""
    box = np.random.default_rng(seed).uniform(-0.5, 0.5, (points, 3)) * (0.4, 0.5, 1.7) - (8, 0, 0.5)
    return box.astype(np.float32)


def mask(number: int, side: int = 48) -> NDArray[np.uint8]:
    picture = np.zeros((side, side), np.uint8)
    picture[4 : side - 4, 10 : 20 + number] = 255
    return picture


def walk_of(place: Path, *, clouds: str = "npy", masks: bool = True, frames: int = FRAMES, first: int = 0) -> Path:
    place.mkdir(parents=True)
    for number in range(frames):
        if clouds == "npy":
            np.save(place / f"{first + number:04d}.npy", cloud(number))
        elif clouds == "bin":
            rows = np.c_[cloud(number), np.ones(60)].astype("<f4")
            (place / f"{first + number:04d}.bin").write_bytes(rows.tobytes())
        if masks:
            cv2.imwrite(str(place / f"{first + number:04d}.png"), mask(number))
    return place


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Four people with every layout, in splits."""
    root = tmp_path / "people"
    walk_of(root / "train/ann/morning")
    walk_of(root / "train/bob/01", clouds="bin")
    (root / "train/bob/01/notes.txt").write_text("windy")
    (root / "train/bob/01/.hidden.png").write_bytes(b"")
    walk_of(root / "train/bob/02/090")
    walk_of(root / "train/bob/02/180", clouds="")
    packed = walk_of(root / "test/eve/w10", clouds="")
    np.savez(packed.with_suffix(".npz"), **{f"{n}": cloud(n) for n in range(FRAMES)})
    walk_of(root / "test/eve/w9", masks=False)
    (root / "test/eve/empty").mkdir()
    (root / "calibration").mkdir()
    return root


def test_which_files_make_a_walk(tree: Path) -> None:
    walks = find_walks(tree)
    assert [(w.split, w.name, w.view, len(w.clouds), w.packed is not None, len(w.masks)) for w in walks] == [
        ("train", "ann/morning", None, 3, False, 3),
        ("train", "bob/01", None, 3, False, 3),
        ("train", "bob/02/090", "090", 3, False, 3),
        ("train", "bob/02/180", "180", 0, False, 3),
        ("test", "eve/w9", None, 3, False, 0),
        ("test", "eve/w10", None, 0, True, 3),
    ]
    assert [w.name for w in find_walks(tree / "train")] == ["ann/morning", "bob/01", "bob/02/090", "bob/02/180"]
    assert {w.split for w in find_walks(tree / "train")} == {"test"}


def test_walks_that_cannot_be_read(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone is no folder"):
        find_walks(tmp_path / "gone")
    (tmp_path / "empty/ann").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"holds no walk; expected PERSON/WALK/ with one cloud"):
        find_walks(tmp_path / "empty")
    (tree / "train/ann/morning/0000.ply").touch()
    with pytest.raises(ValueError, match=r"walk 'ann/morning' has clouds as \.npy, \.ply"):
        find_walks(tree)
    (tree / "train/ann/morning/0000.ply").unlink()
    (tree / "train/ann/morning.pkl").touch()
    with pytest.raises(ValueError, match="in 1 files of a walk and 3 of a frame; keep those of one kind"):
        find_walks(tree)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("val/kim/w1/0000.npy", "beside train, test only train, query, gallery, test are splits; move 'val'"),
        ("kim/w1/0000.png", "would not be read: beside"),
        ("Train/kim/w1/0000.npy", "Train is not a person; name the split 'train'"),
        ("train/kim/0000.ply", "0000.ply would not be read: 'kim' holds no walk"),
        ("train/kim/w1/090/left/0000.npy", "'kim' holds no walk"),
    ],
)
def test_no_cloud_is_passed_over_without_a_word(tree: Path, lost: str, message: str) -> None:
    (tree / lost).parent.mkdir(parents=True)
    (tree / lost).touch()
    with pytest.raises(ValueError, match=message):
        find_walks(tree)


def named(clouds: list[str], masks: list[str]) -> Walk:
    return Walk(
        "test", "a", "a/w", None, tuple(Path(f"{n}.pcd") for n in clouds), None, tuple(Path(f"{n}.png") for n in masks)
    )


def test_which_frames_belong_together() -> None:
    numbers = [f"{n:02d}" for n in range(10)]
    assert matched(named(numbers, numbers), 10) == (list(range(10)), list(range(10)))
    # two masks are missing
    assert matched(named(numbers, [*numbers[:3], *numbers[5:]]), 10) == ([0, 1, 2, 5, 6, 7, 8, 9], list(range(8)))
    # names of their own, as many of both
    assert matched(named(numbers, [f"x{n}" for n in numbers]), 10) == (list(range(10)), list(range(10)))
    assert matched(Walk("test", "a", "a/w", None, (), Path("w.npz"), (Path("7.png"), Path("8.png"))), 2) == (
        [0, 1],
        [0, 1],
    )
    assert matched(named(numbers, []), 10) == (list(range(10)), [])
    assert matched(named([], numbers), 0) == ([], list(range(10)))
    # a camera of three times the rate, numbered from 0 as well: equal numbers are not equal moments
    with pytest.raises(ValueError, match="has 10 clouds and 30 masks, and 10 names agree, so that it is not known"):
        matched(named(numbers, [f"{n:02d}" for n in range(30)]), 10)


def test_prepared_walks(tree: Path, tmp_path: Path) -> None:
    done = prepare_gait(tree, tmp_path / "out")
    assert (done.people, done.walks, done.tracklets) == (3, 6, {"depth": 5, "silhouette": 5})
    assert (done.frames, done.frames_left_out, done.walks_left_out) == ({"depth": 15, "silhouette": 15}, 0, 0)
    benchmark = read(tmp_path / "out")
    assert benchmark.name == "people"
    assert not benchmark.synthetic
    assert [t.key for t in benchmark.train] == [
        *("ann/morning/depth", "ann/morning/silhouette", "bob/01/depth", "bob/01/silhouette"),
        *("bob/02/090/depth", "bob/02/090/silhouette", "bob/02/180/silhouette"),
    ]
    assert [t.key for t in benchmark.query] == [t.key for t in benchmark.gallery]
    assert [t.key for t in benchmark.query] == ["eve/w9/depth", "eve/w10/depth", "eve/w10/silhouette"]
    first, second = benchmark.train[4:6]
    assert first.identity == second.identity == "bob"
    assert first.labels == second.labels == {"walk": "bob/02/090", "view": "090"}
    assert benchmark.train[0].labels == {"walk": "ann/morning"}
    projection = Projection()
    for number in range(FRAMES):
        picture = read_frames(first.media, [number])[0]
        assert np.array_equal(picture, aligned(depth_picture(cloud(number), projection)))
        picture = read_frames(second.media, [number])[0]
        assert np.array_equal(picture[..., 0], aligned(mask(number)))
    assert list(benchmark.protocols) == [
        "walks/silhouette-in-depth@1",
        "walks/depth-in-silhouette@1",
        "walks/silhouette-in-silhouette@1",
        "walks/depth-in-depth@1",
        "plain@1",
    ]
    assert done.protocols == tuple(benchmark.protocols)
    with pytest.warns(UserWarning, match="1 training walks were seen by one sensor only"):
        assert len(paired(benchmark, "walk").train) == 6


def test_frames_in_which_one_sensor_shows_nobody(tree: Path, tmp_path: Path) -> None:
    place = tree / "train/ann/morning"
    cv2.imwrite(str(place / "0000.png"), np.zeros((48, 48), np.uint8))
    np.save(place / "0001.npy", cloud(1, points=7))
    np.save(tree / "test/eve/w9/0000.npy", np.zeros((0, 3), np.float32))
    for path in (tree / "train/bob/02/180").iterdir():
        cv2.imwrite(str(path), np.zeros((9, 9), np.uint8))
    done = prepare_gait(tree, tmp_path / "out")
    assert (done.frames_left_out, done.walks, done.walks_left_out) == (2 + 1 + 3, 5, 1)
    assert done.remarks[0].startswith("1 walks show nobody in any frame and are left out, such as 'bob/02/180'")
    lengths = {t.key: len(t) for t in (*read(tmp_path / "out").train, *read(tmp_path / "out").query)}
    assert lengths["ann/morning/depth"] == lengths["ann/morning/silhouette"] == 1
    assert lengths["eve/w9/depth"] == 2
    kept = next(t for t in read(tmp_path / "out").train if t.key == "ann/morning/silhouette")
    assert np.array_equal(read_frames(kept.media, [0])[0][..., 0], aligned(mask(2)))
    shutil.rmtree(tree / "test")
    shutil.rmtree(tree / "train")
    (tree / "ann/w").mkdir(parents=True)
    np.save(tree / "ann/w/0.npy", cloud(0, points=3))
    with pytest.raises(ValueError, match="no frame shows anybody"):
        prepare_gait(tree, tmp_path / "none")


def files_of(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_going_on_after_a_kill(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    prepare_gait(tree, straight)
    honest, done = gait.save_strip, []

    def killed(root: Path, name: str, frames: object) -> str:
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(name)
        return honest(root, name, frames)  # type: ignore[arg-type]

    monkeypatch.setattr(gait, "save_strip", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare_gait(tree, broken)
    assert not (broken / "tracklets.parquet").exists()
    monkeypatch.setattr(gait, "save_strip", lambda root, name, frames: done.append(name) or honest(root, name, frames))
    prepare_gait(tree, broken)
    # of ten strips five were written; the fifth was in a walk that was not finished
    assert len(done) == 5 + 6
    assert files_of(broken) == files_of(straight)
    before = len(done)
    prepare_gait(tree, broken)
    assert len(done) == before
    next(broken.rglob("depth.png")).unlink()
    prepare_gait(tree, broken)
    assert files_of(broken) == files_of(straight)


def test_folders_that_cannot_be_written_into(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare_gait(tree, out)
    with pytest.raises(ValueError, match=r"projection was .* choose another folder"):
        prepare_gait(tree, out, Projection(up=0.4))
    np.save(tree / "train/ann/morning/0002.npy", cloud(3))  # as large as before
    with pytest.raises(ValueError, match="files_sha256 was"):
        prepare_gait(tree, out)
    with pytest.raises(ValueError, match="is not empty and was not prepared"):
        prepare_gait(tree, tmp_path)
    with pytest.raises(ValueError, match="lies inside the walks"):
        prepare_gait(tree, tree / "out")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        prepare_gait(tree, tmp_path / "file")


def test_clouds_that_are_not_of_one_person(tmp_path: Path) -> None:
    place = tmp_path / "in/ann/w"
    place.mkdir(parents=True)
    scene = np.random.default_rng(0).uniform(-30, 30, (500, 3)) * (1, 1, 0.05)
    for points, message in (
        (scene, r"0\.npy spans 59.* metres, and .* are 2\.5 metres or more .* Cut the person out first"),
        (cloud(0)[:, [0, 2, 1]] * 0.1, r"100 % of its points lie outside -25 to 15 degrees .* z up and the scanner"),
    ):
        turned = points if len(points) == 500 else np.stack([points[:, 1], points[:, 2], points[:, 0]], axis=1)
        np.save(place / "0.npy", turned)
        with pytest.raises(ValueError, match=message):
            prepare_gait(tmp_path / "in", tmp_path / "out")
        shutil.rmtree(tmp_path / "out")
    # a few stray points are left alone, and those above the scanner's view are not drawn
    stray = np.concatenate([cloud(0), [[-8, 0, 60], [-8, 9, 0]]])
    np.save(place / "0.npy", stray)
    prepare_gait(tmp_path / "in", tmp_path / "out")
    frame = read_frames(read(tmp_path / "out").query[0].media, [0])[0]
    assert np.array_equal(frame, aligned(depth_picture(stray[[*range(60), 61]], Projection())))


def test_lines_between_beams_are_noticed(tmp_path: Path) -> None:
    place = tmp_path / "in/ann/w"
    place.mkdir(parents=True)
    elevations, azimuths = np.radians(np.arange(-7.85, 4, 0.5)), np.radians(np.linspace(179, 181, 9))
    grid = np.array([[8 * np.cos(a), 8 * np.sin(a), 8 * np.tan(e)] for e in elevations for a in azimuths])
    np.save(place / "0.npy", grid)
    done = prepare_gait(tmp_path / "in", tmp_path / "fine", Projection(up=0.2))
    assert "black lines: only 41 % of the rows" in done.remarks[0]
    assert not prepare_gait(tmp_path / "in", tmp_path / "right", Projection(up=0.5)).remarks


def test_masks_of_two_kinds() -> None:
    soft = np.stack([np.array([[0, 127, 128, 255]], np.uint8)] * 3, axis=2)
    assert mask_of(soft).tolist() == [[0, 0, 255, 255]]
    assert mask_of(np.ones((2, 2, 3), np.uint8)).tolist() == [[255, 255]] * 2
    assert mask_of(np.zeros((2, 2, 3), np.uint8)).tolist() == [[0, 0]] * 2
    with pytest.raises(ValueError, match="a picture in colour; expected a mask"):
        mask_of(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))


def test_from_the_command_line(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["gait", "prepare", str(tree), "--out", str(out), "--colour", "grey", "--synthetic", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tracklets"] == {"depth": 5, "silhouette": 5}
    assert read(out).synthetic
    frame = read_frames(read(out).train[0].media, [0])[0]
    assert np.array_equal(frame[..., 0], frame[..., 2])
    assert main(["gait", "prepare", str(tree), "--out", str(tmp_path / "b"), "--span", "2", "30"]) == 0
    assert "5 depth and 5 silhouette tracklets of 6 walks, 3 people" in capsys.readouterr().out
    for arguments, message in (
        (["gait", "prepar"], "did you mean 'prepare'?"),
        (["gait", "prepare", str(tmp_path / "gone"), "--out", str(out)], "is no folder"),
        (["gait", "prepare", str(tree), "--out", str(out), "--up", "0"], "expected degrees from 0.01"),
        (["gait", "prepare", str(tree), "--out", str(out), "--span", "9", "2"], "nearest < farthest"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    assert main(["gait"]) == 0
    assert "prepare" in capsys.readouterr().out
