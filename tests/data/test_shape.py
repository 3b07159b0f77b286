"""Shape features against sums by hand."""

from pathlib import Path

import numpy as np
import pytest

from unbraid.data.sets.folder import save_frames, save_strip
from unbraid.data.shape import shape_embeddings
from unbraid.tracklet import Images, Strip, Tracklet


def silhouettes(tmp_path: Path, name: str, frames: list[np.ndarray]) -> Tracklet:
    return Tracklet(name, Strip(tmp_path / save_strip(tmp_path, f"{name}.png", frames), len(frames)), "silhouette", "p")


def test_mean_and_deviation_by_hand(tmp_path: Path) -> None:
    # half of the frames show the upper half, half of them nothing; 64 x 64 blocks of 2 x 2 equal pixels shrink exactly
    upper = np.zeros((64, 64), np.uint8)
    upper[:32] = 255
    tracklet = silhouettes(tmp_path, "a", [upper, upper * 0])
    mean = shape_embeddings([tracklet]).spaces["identity"].numpy().reshape(32, 32)
    np.testing.assert_allclose(mean, np.repeat([[0.5]] * 16 + [[0.0]] * 16, 32, axis=1))
    deviation = shape_embeddings([tracklet], kind="deviation").spaces["identity"].numpy().reshape(32, 32)
    np.testing.assert_allclose(deviation, mean)
    both = shape_embeddings([tracklet], kind="both").spaces["identity"].numpy()
    np.testing.assert_allclose(both[0], np.concatenate([mean.ravel(), deviation.ravel()]))


def test_rgb_counts_by_its_masks(tmp_path: Path) -> None:
    mask = np.zeros((64, 32), np.uint8)
    mask[8:40, 4:20] = 255
    names = save_frames(tmp_path, "a", [np.full((64, 32, 3), 90, np.uint8)])
    media = Images(tuple(tmp_path / name for name in names))
    seen = Tracklet("a", media, identity="p", mask=Strip(tmp_path / save_strip(tmp_path, "m.png", [mask]), 1))
    found = shape_embeddings([seen]).spaces["identity"].numpy().reshape(32, 32)
    np.testing.assert_allclose(found, (mask / 255).reshape(32, 2, 32).mean(1), atol=1e-6)
    with pytest.raises(ValueError, match="'b' has no mask"):
        shape_embeddings([Tracklet("b", media, identity="p")])
    with pytest.raises(ValueError, match="no tracklets"):
        shape_embeddings([])
