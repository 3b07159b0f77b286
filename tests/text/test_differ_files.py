"""DIFFER's files: rows of images in the order of perspectives, nothing unpickled, nothing believed unchecked."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unbraid.text.bank import TextBank
from unbraid.text.captions import ASPECTS
from unbraid.text.differ_files import SUMMARIES, read_differ

KEYS = ["005_1_c3_0001", "005_2_c1_0002", "012_1_c3_0003"]
TOWER = "EVA02-CLIP-B-16"


def vectors(images: int = 3, width: int = 4) -> np.ndarray:
    """Row 6 j + k of image j and perspective k: (j + 1, k + 1, 0, ...)."""
    rows = np.zeros((images * 6, width), dtype=np.float32)
    rows[:, 0] = np.arange(images).repeat(6) + 1
    rows[:, 1] = np.tile(np.arange(6), images) + 1
    return rows


def write(folder: Path, *, data: Any = None, metadata: Any = None, name: str = "train") -> Path:
    (folder / TOWER).mkdir(parents=True, exist_ok=True)
    file = folder / TOWER / f"{name}.npz"
    np.savez(file, data=vectors() if data is None else data, metadata=np.array(KEYS) if metadata is None else metadata)
    return folder


def write_summaries(folder: Path, values: Any) -> None:
    (folder / SUMMARIES).write_text(json.dumps(values))


def summary(*numbers: float) -> dict[str, Any]:
    return {"text": "somebody", f"ft_{TOWER}": [list(numbers)]}


def test_rows_go_to_images_and_aspects(tmp_path: Path) -> None:
    bank = read_differ(write(tmp_path), TOWER)
    assert bank.aspects == ("biometric", "hair", "clothing", "pose", "interaction", "environment") == ASPECTS
    for j, key in enumerate(KEYS):
        for k, aspect in enumerate(ASPECTS):
            assert bank.text(aspect, [f"train/{key}"]).tokens.tolist() == [[[j + 1, k + 1, 0, 0]]]
    assert bank.encoder == f"differ:{TOWER}"
    again = TextBank.load(bank.save(tmp_path / "bank.safetensors"))
    assert again.rows == bank.rows


def test_keys_of_prcc_have_a_folder(tmp_path: Path) -> None:
    keys = np.array(["005/A_1", "005/C_1", "012/B_1"])
    assert not read_differ(write(tmp_path, metadata=keys), TOWER).missing("hair", ["rgb/train/005/A_1"])
    write(tmp_path, metadata=keys, name="val")
    assert not read_differ(tmp_path, TOWER, split="val").missing("hair", ["rgb/val/005/A_1"])
    assert not read_differ(tmp_path, TOWER, prefix="x-").missing("hair", ["x-005/A_1"])


def test_equal_vectors_have_equal_codes_and_zeros_are_missing(tmp_path: Path) -> None:
    data = vectors()
    data[6 + 2] = data[2]
    data[12 + 2] = 0
    bank = read_differ(write(tmp_path, data=data), TOWER, half=True)
    keys = [f"train/{key}" for key in KEYS]
    codes = bank.code("clothing", keys).tolist()
    assert codes[0] == codes[1] >= 0
    assert codes[2] == -1
    assert bank.origin["zero_vectors"] == "1"
    assert bank.vectors.dtype == torch.float16
    assert not bank.text("clothing", keys).mask[2].any()


def test_summaries_take_the_place_of_biometric_texts(tmp_path: Path) -> None:
    write_summaries(write(tmp_path), {"5": summary(1, 2, 3, 4), "12": summary(5, 6, 7, 8), "99": summary(0, 0, 0, 1)})
    bank = read_differ(tmp_path, TOWER, summaries=True)
    keys = [f"train/{key}" for key in KEYS]
    assert bank.text("biometric", keys).tokens[:, 0].tolist() == [[1, 2, 3, 4], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert bank.text("hair", keys).tokens[:, 0, 1].tolist() == [2, 2, 2]
    alone = read_differ(tmp_path, TOWER)
    assert alone.text("biometric", keys).tokens[:, 0, 0].tolist() == [1, 2, 3]


def test_summaries_by_rank_are_taken_with_a_warning(tmp_path: Path) -> None:
    write_summaries(write(tmp_path), {"0": summary(1, 2, 3, 4), "1": summary(5, 6, 7, 8)})
    with pytest.warns(UserWarning, match="taken for their ranks"):
        bank = read_differ(tmp_path, TOWER, summaries=True)
    assert bank.text("biometric", [f"train/{KEYS[2]}"]).tokens[0, 0].tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"5": summary(1, 2, 3, 4)}, "no summary of 1 of 2 people, such as '12'"),
        ({"5": summary(1, 2, 3, 4), "12": {"text": "x"}}, "'12' has no 'ft_EVA02-CLIP-B-16'"),
        ({"5": summary(1, 2, 3, 4), "12": summary(1, 2)}, "'12' is no vector of 4 finite"),
        ({"5": summary(1, 2, 3, 4), "12": {f"ft_{TOWER}": "x"}}, "not a list of numbers"),
        ([1], "expected an object"),
    ],
)
def test_unusable_summaries(tmp_path: Path, values: Any, message: str) -> None:
    write_summaries(write(tmp_path), values)
    with pytest.raises(ValueError, match=message):
        read_differ(tmp_path, TOWER, summaries=True)


def test_summaries_need_their_file_and_numbers_in_keys(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=SUMMARIES):
        read_differ(write(tmp_path), TOWER, summaries=True)
    write_summaries(tmp_path, {"5": summary(1, 2, 3, 4)})
    write(tmp_path, metadata=np.array(["a", "b", "c"]))
    with pytest.raises(ValueError, match="'a' does not begin with a person's number"):
        read_differ(tmp_path, TOWER, summaries=True)


class Trap:
    """Makes a folder when unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    write(tmp_path, metadata=np.array([Trap(trap)] * 3, dtype=object))
    with pytest.raises(ValueError, match="'metadata' is of type object, and Python objects are never loaded"):
        read_differ(tmp_path, TOWER)
    write(tmp_path, data=np.array([Trap(trap)] * 18, dtype=object))
    with pytest.raises(ValueError, match="'data' is of type object"):
        read_differ(tmp_path, TOWER)
    with zipfile.ZipFile(tmp_path / TOWER / "train.npz", "w") as archive:
        archive.writestr("data.npy", pickle.dumps(Trap(trap)))
        archive.writestr("metadata.npy", pickle.dumps(Trap(trap)))
    with pytest.raises(ValueError, match="'data' is not a readable array"):
        read_differ(tmp_path, TOWER)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("data", "metadata", "message"),
    [
        (vectors()[:-1], None, r"'data' has shape \(17, 4\) and 'metadata' 3 image keys; expected 6 rows per image"),
        (vectors().ravel(), None, "'data' has shape"),
        (None, np.array([KEYS[0], *KEYS[:2]]), "'005_1_c3_0001' stands twice"),
        (None, np.array([KEYS]), "'metadata' has shape"),
        (None, np.arange(3), "'metadata' is of type int64"),
        (vectors().astype(str), None, "'data' is of type <U32"),
        (np.where(np.arange(18)[:, None] == 8, np.nan, vectors()), None, "clothing of '005_2_c1_0002' is not finite"),
    ],
)
def test_unusable_arrays(tmp_path: Path, data: Any, metadata: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_differ(write(tmp_path, data=data, metadata=metadata), TOWER)


def test_sizes_are_not_believed(tmp_path: Path) -> None:
    (tmp_path / TOWER).mkdir()
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 10**6)})
    with zipfile.ZipFile(tmp_path / TOWER / "train.npz", "w") as archive:
        archive.writestr("data.npy", head.getvalue() + b"1234")
        archive.writestr("metadata.npy", head.getvalue())
    with pytest.raises(ValueError, match=r"declares shape \(1000000000000, 1000000\)"):
        read_differ(tmp_path, TOWER)
    with pytest.raises(ValueError, match="unpacks to more than 100 bytes"):
        read_differ(write(tmp_path), TOWER, limit=100)


def test_files_that_are_not_there_or_cut(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no ENCODER/SPLIT\.npz"):
        read_differ(tmp_path, TOWER)
    write(tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"has {TOWER}/train\.npz"):
        read_differ(tmp_path, "EVA02-CLIP-L-14")
    file = tmp_path / TOWER / "train.npz"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"not a whole \.npz archive"):
        read_differ(tmp_path, TOWER)
    np.savez(file, data=vectors())
    with pytest.raises(ValueError, match="has no array 'metadata'; it has data"):
        read_differ(tmp_path, TOWER)


def test_other_numbers_of_perspectives_are_named(tmp_path: Path) -> None:
    write(tmp_path, data=vectors()[:6])
    bank = read_differ(tmp_path, TOWER, aspects=("biometric", "clothing"))
    assert bank.text("clothing", [f"train/{KEYS[1]}"]).tokens[0, 0].tolist() == [1, 4, 0, 0]


def test_arrays_stored_by_column_and_as_bytes(tmp_path: Path) -> None:
    write(tmp_path, data=np.asfortranarray(vectors()), metadata=np.array(KEYS, dtype="S"))
    bank = read_differ(tmp_path, TOWER)
    assert bank.text("hair", [f"train/{KEYS[1]}"]).tokens[0, 0].tolist() == [2, 2, 0, 0]
