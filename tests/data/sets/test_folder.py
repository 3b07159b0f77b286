"""The tracklet folder: what is written is read, and what is wrong is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unbraid.data.benchmark import data_hash
from unbraid.data.media import read_frames
from unbraid.data.sets.folder import read, save_frames, save_index, save_strip
from unbraid.tracklet import Images, Strip

FRAMES = [np.full((8, 4, 3), 40 * n, np.uint8) for n in range(3)]
MASKS = [np.eye(8, 4, n, dtype=np.uint8) * 255 for n in range(3)]


def write(root: Path, **origin: Any) -> Path:
    rows = [
        {
            "key": "a",
            "split": "query",
            "modality": "rgb",
            "identity": "p1",
            "frames": save_frames(root, "a", FRAMES),
            "strip": None,
            "mask": save_strip(root, "frames/a/mask.png", MASKS),
            "camera": "c1",
        },
        {
            "key": "b",
            "split": "gallery",
            "modality": "silhouette",
            "identity": None,
            "frames": [save_strip(root, "frames/b/silhouette.png", MASKS)],
            "strip": 3,
            "mask": None,
            "camera": None,
        },
    ]
    save_index(root, rows, {"name": "made up", "synthetic": True, **origin})
    return root


def test_frames_strips_and_masks_are_read_as_written(tmp_path: Path) -> None:
    benchmark = read(write(tmp_path))
    (asked,), (offered,) = benchmark.query, benchmark.gallery
    assert isinstance(asked.media, Images)
    assert isinstance(asked.mask, Strip)
    np.testing.assert_array_equal(read_frames(asked.mask, [2])[0][..., 0], MASKS[2])
    assert offered.media == Strip(tmp_path / "frames/b/silhouette.png", 3)
    assert (offered.mask, offered.identity, offered.modality, len(offered)) == (None, None, "silhouette", 3)
    np.testing.assert_array_equal(read_frames(offered.media, [1])[0][..., 2], MASKS[1])
    assert asked.labels == {"camera": "c1"}
    assert list(benchmark.protocols) == ["camera-change@1"]


def test_the_folder_may_name_its_protocols(tmp_path: Path) -> None:
    assert list(read(write(tmp_path, protocols=["plain@1", "camera-change@1"])).protocols) == [
        "plain@1",
        "camera-change@1",
    ]
    with pytest.raises(ValueError, match=r"origin.json: no protocol 'plane@1'; did you mean 'plain@1'"):
        read(write(tmp_path, protocols=["plane@1"]))


def test_the_hash_of_the_data_knows_the_masks(tmp_path: Path) -> None:
    before = data_hash(read(write(tmp_path)).query)
    save_strip(tmp_path, "frames/a/mask.png", [np.random.default_rng(0).integers(0, 255, (8, 4), np.uint8)] * 3)
    assert data_hash(read(tmp_path).query) != before


def test_wrong_indexes_are_explained(tmp_path: Path) -> None:
    index = write(tmp_path) / "tracklets.parquet"
    table = pd.read_parquet(index)
    with pytest.raises(FileNotFoundError, match=r"holds no tracklets.parquet"):
        read(tmp_path / "frames")
    table.drop(columns="split").to_parquet(index)
    with pytest.raises(ValueError, match=r"lacks the columns \['split'\]"):
        read(tmp_path)
    table.assign(split="probe").to_parquet(index)
    with pytest.raises(ValueError, match=r"'a' has split 'probe'; expected one of"):
        read(tmp_path)
    index.write_bytes(b"not a table")
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        read(tmp_path)
    table.to_parquet(index)
    (tmp_path / "origin.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        read(tmp_path)
    (tmp_path / "origin.json").write_text(json.dumps({"name": "x"}))
    assert read(tmp_path).synthetic is False
