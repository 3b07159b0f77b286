"""Faces are found and blurred, heads where none is found, and nothing else changes."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from unbraid.data import faces
from unbraid.data.faces import blur_faces, blur_folder, find_faces, person_box
from unbraid.data.media import read_frames
from unbraid.data.sets.folder import read, save_frames, save_index, save_strip

Image = NDArray[np.uint8]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Several threads of several test processes wait for one another."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture(scope="module")
def portrait() -> Image:
    """A face from the front that comes with matplotlib, about 95 x 95 pixels around (100, 80)."""
    file = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    image = cv2.imread(str(file))
    assert image is not None
    return np.ascontiguousarray(cv2.resize(image, (192, 225), interpolation=cv2.INTER_AREA)[..., ::-1])


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def detail(image: Image) -> float:
    return float(np.abs(np.diff(image.astype(float), axis=0)).mean())


def test_a_face_is_found_and_blurred(portrait: Image) -> None:
    (box,) = find_faces(portrait)
    left, top, width, height = box
    assert left < 95 < left + width
    assert top < 80 < top + height
    before = portrait.copy()
    result, how = blur_faces(portrait)
    assert how == "face"
    assert np.array_equal(portrait, before)
    inner = (slice(round(top), round(top + height)), slice(round(left), round(left + width)))
    assert detail(result[inner]) < 0.2 * detail(portrait[inner])
    outer = np.ones(portrait.shape[:2], bool)
    outer[
        round(top - 0.21 * height) : round(top + 1.21 * height), round(left - 0.21 * width) : round(left + 1.21 * width)
    ] = 0
    assert np.array_equal(result[outer], portrait[outer])
    assert not find_faces(result)


def test_the_head_of_the_person_where_no_face_is_found() -> None:
    image = noise(100, 60)
    result, how = blur_faces(image)
    assert how == "head"
    assert detail(result[:22]) < 0.3 * detail(image[:22])
    assert np.array_equal(result[22:], image[22:])
    result, how = blur_faces(image, (10, 50, 20, 50))
    assert how == "head"
    changed = (result != image).any(2)
    # 22 % of 50 rows, of the person's columns alone
    assert changed[50:61, 10:30].mean() > 0.9
    changed[50:61, 10:30] = False
    assert not changed.any()


def test_a_face_of_somebody_else_is_not_that_of_the_person(portrait: Image) -> None:
    assert blur_faces(portrait, (0, 150, 192, 75))[1] == "head"
    assert blur_faces(portrait, (25, 20, 150, 205))[1] == "face"


def test_without_a_detector_heads_stand_in(portrait: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "_cascade", lambda name: None)
    assert blur_faces(portrait)[1] == "head"


def test_the_box_of_a_mask() -> None:
    mask = np.zeros((20, 10, 3), np.uint8)
    assert person_box(mask) is None
    mask[4:15, 2:8] = 255
    assert person_box(mask) == (2, 4, 6, 11)


def write(root: Path, portrait: Image) -> Path:
    rows = []
    for number, (split, modality) in enumerate((("train", "rgb"), ("query", "rgb"), ("gallery", "silhouette"))):
        key = f"k{number}"
        row = {"key": key, "split": split, "modality": modality, "identity": f"p{number}", "camera": "c0"}
        grey = [noise(100, 60)[..., 0] for _ in range(2)]
        if modality == "rgb":
            images = [portrait, portrait[:, ::-1]] if number == 0 else [noise(100, 60)] * 2
            row |= {"frames": save_frames(root, key, images)}
            if number == 1:
                mask = np.zeros((100, 60), np.uint8)
                mask[40:90, 20:40] = 255
                row |= {"mask": save_strip(root, f"masks/{key}.png", [mask, mask])}
        else:
            row |= {"frames": [save_strip(root, f"frames/{key}.png", grey)], "strip": 2}
        rows.append({"strip": None, "mask": None, **row})
    save_index(root, rows, {"name": "portraits", "synthetic": False})
    return root


def test_a_folder(portrait: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out = write(tmp_path / "in", portrait), tmp_path / "out"
    one_by_one, blur = [], blur_faces

    def stop(image: Image, person: faces.Box | None = None) -> tuple[Image, faces.How]:
        one_by_one.append(person)
        if len(one_by_one) == 4:
            raise RuntimeError("power cut")
        return blur(image, person)

    monkeypatch.setattr(faces, "blur_faces", stop)
    with pytest.raises(RuntimeError, match="power cut"):
        blur_folder(root, out)
    with pytest.raises(FileNotFoundError, match=r"holds no tracklets.parquet"):
        read(out)
    found = blur_folder(root, out)
    # the first tracklet was finished before and is not done again
    assert len(one_by_one) == 4 + 2
    assert (found.frames, found.found, found.heads) == (4, 2, 2)
    before, after = read(root), read(out)
    assert [t.key for t in after.train + after.query + after.gallery] == ["k0", "k1", "k2"]
    frame = read_frames(after.query[0].media, [0])[0]
    same = read_frames(before.query[0].media, [0])[0]
    # masks say where the person is: rows 40 to 51 of columns 20 to 40
    difference = np.abs(frame.astype(int) - same.astype(int)).mean(2)
    assert difference[42:50, 22:38].mean() > 5 * difference[60:].mean()
    assert not find_faces(read_frames(after.train[0].media, [1])[0])
    for place in ("frames/k2.png", "masks/k1.png"):
        assert (out / place).read_bytes() == (root / place).read_bytes()
    origin = json.loads((out / "origin.json").read_text())
    assert origin["faces"] == {"blurred": True, "frames": 4, "found": 2, "heads": 2}
    assert not (out / ".treated").exists()
    assert blur_folder(root, out) == found
    assert len(one_by_one) == 6


def test_frames_of_other_data_are_not_mixed(portrait: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out = write(tmp_path / "in", portrait), tmp_path / "out"
    other = write(tmp_path / "other", portrait)
    table = pd.read_parquet(other / "tracklets.parquet")
    table.assign(identity="someone").to_parquet(other / "tracklets.parquet", index=False)
    found = blur_folder(root, out)
    with pytest.raises(ValueError, match="holds frames of other data"):
        blur_folder(other, out)
    # one that is not finished goes on with the same detector only; a finished one is left alone
    monkeypatch.setattr(faces.cv2, "__version__", "0")
    assert blur_folder(root, out) == found
    (out / "tracklets.parquet").unlink()
    with pytest.raises(ValueError, match=r"another OpenCV \(.*, now 0\)"):
        blur_folder(root, out)


def test_folders_that_cannot_be(portrait: Image, tmp_path: Path) -> None:
    root = write(tmp_path / "in", portrait)
    with pytest.raises(ValueError, match="lie in each other"):
        blur_folder(root, root / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").touch()
    with pytest.raises(ValueError, match="was not made by blurring faces"):
        blur_folder(root, tmp_path / "other")
    with pytest.raises(FileNotFoundError, match=r"holds no tracklets.parquet"):
        blur_folder(tmp_path / "other", tmp_path / "out")
