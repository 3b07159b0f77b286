"""Packing of test clips: whole tracklets of unequal lengths give what each gives alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.fifth import recipes as fifth
from tests.fifth.model import Fifth
from tests.walks import SIDE, row
from unbraid import extract as module
from unbraid.batch import Clip
from unbraid.checkpoint import build
from unbraid.data.sets.folder import read, save_index
from unbraid.extract import _in_batches, _padded, extract
from unbraid.spaces import Spaces
from unbraid.tracklet import Tracklet

LENGTHS = (3, 9, 1, 1, 4, 30)
WHOLE = replace(fifth.tiny().data, test="whole", height=SIDE, width=SIDE)


@pytest.fixture
def tracklets(tmp_path: Path) -> tuple[Tracklet, ...]:
    rows = [row(tmp_path, n, "silhouette", "a", frames) for n, frames in enumerate(LENGTHS)]
    save_index(tmp_path, rows, {})
    return read(tmp_path).train


@pytest.mark.parametrize(("clips", "frames"), [(1, 1000), (2, 1000), (6, 1000), (3, 18), (32, 9)])
def test_packing_changes_nothing(tracklets: tuple[Tracklet, ...], clips: int, frames: int) -> None:
    method = build(fifth.tiny(), {"identity": ("a", "b")})
    together = extract(method, tracklets, WHOLE, clips_per_batch=clips, frames_per_batch=frames, device="cpu")
    for number, tracklet in enumerate(tracklets):
        images = torch.stack([torch.zeros(3, SIDE, SIDE)] * len(tracklet))
        images[:, :, : SIDE // 2] = torch.arange(len(tracklet)).view(-1, 1, 1, 1) * 2 + 16 * number
        mean, std = (torch.tensor(value).view(3, 1, 1) for value in (WHOLE.mean, WHOLE.std))
        alone = method.encode(Clip.of(((images / 255 - mean) / std)[None]))["identity"][0]
        torch.testing.assert_close(together.spaces["identity"][number], alone, rtol=1e-4, atol=1e-5)


def test_bounds_on_what_is_computed_at_once() -> None:
    items = [(n, torch.full((1, length, 1, 1, 1), float(n))) for n, length in enumerate(LENGTHS)]

    def made(size: int, frames: int) -> list[list[int]]:
        return [rows.tolist() for rows, _ in _in_batches(iter(items), size, frames)]

    assert made(32, 1000) == [[0, 1, 2, 3, 4, 5]]
    assert made(2, 1000) == [[0, 1], [2, 3], [4, 5]]
    # 3 and 9 are padded to 18; one of 30 frames is alone, since nothing smaller can be computed
    assert made(32, 18) == [[0, 1], [2, 3, 4], [5]]
    assert made(32, 17) == [[0], [1], [2, 3, 4], [5]]
    assert [n for rows in made(32, 1) for n in rows] == list(range(6))
    # clips of one length are packed as many as fit
    even = [(n, torch.zeros(3, 4, 1, 1, 1)) for n in range(4)]
    assert [rows.tolist() for rows, _ in _in_batches(iter(even), 5, 1000)] == [[0, 0, 0, 1, 1], [1, 2, 2, 2, 3], [3, 3]]
    assert list(_in_batches(iter([]), 5, 5)) == []


def test_padding_is_not_valid() -> None:
    clip = _padded([torch.ones(2, 3, 4, 4), torch.ones(5, 3, 4, 4)])
    assert clip.frames.shape == (2, 5, 3, 4, 4)
    assert clip.valid.tolist() == [[True, True, False, False, False], [True] * 5]
    assert torch.equal(clip.frames.amax(dim=(2, 3, 4)), clip.valid.float())
    assert _padded([torch.ones(2, 3, 4, 4)] * 2).valid.all()


def test_modality_is_known_without_classes(tracklets: tuple[Tracklet, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number is that of the kind of sensor, in a run that saw another kind too."""
    seen: list[Tensor] = []
    honest = Fifth.encode

    def noted(self: Fifth, clip: Clip) -> Spaces:
        seen.append(clip.sensor["modality"])
        return honest(self, clip)

    monkeypatch.setattr(Fifth, "encode", noted)
    method = build(fifth.tiny(), {"identity": ("a", "b")})
    method.sensor = ("modality",)
    mixed = [tracklets[0], replace(tracklets[1], modality="depth"), replace(tracklets[2], modality="rgb")]
    for classes in (None, {"modality": ("depth", "silhouette")}):
        extract(method, mixed, WHOLE, device="cpu", classes=classes)
    assert [value.tolist() for value in seen] == [[2, 3, 1]] * 2
    assert module.device_of("cpu").type == "cpu"
