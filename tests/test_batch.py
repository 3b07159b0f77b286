"""Clip and Batch: what they hold, and what they refuse."""

from dataclasses import FrozenInstanceError
from typing import get_args

import jaxtyping
import pytest
import torch

from unbraid.batch import MODALITIES, Batch, Clip, Text
from unbraid.tracklet import Modality


def test_numbers_of_modalities() -> None:
    assert get_args(Modality) == MODALITIES


def test_clip_of_frames() -> None:
    frames = torch.randn(2, 3, 3, 8, 4)
    clip = Clip.of(frames)
    assert clip.frames is frames
    assert clip.valid.shape == (2, 3)
    assert clip.valid.dtype == torch.bool
    assert clip.valid.all()
    assert clip.sensor == {}


def test_a_clip_has_no_place_for_labels_or_text() -> None:
    assert set(Clip.__dataclass_fields__) == {"frames", "valid", "sensor"}
    with pytest.raises(TypeError):
        Clip(torch.zeros(1, 1, 3, 2, 2), torch.ones(1, 1, dtype=torch.bool), labels={})  # type: ignore[call-arg]


def test_shapes_are_checked_in_tests() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        Clip(torch.zeros(2, 3, 3, 2, 2), torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(jaxtyping.TypeCheckError):
        Clip(torch.zeros(2, 3, 3, 2, 2), torch.ones(2, 3))


def test_frozen() -> None:
    clip = Clip.of(torch.zeros(1, 1, 3, 2, 2))
    with pytest.raises(FrozenInstanceError):
        clip.frames = torch.ones(1, 1, 3, 2, 2)  # type: ignore[misc]


def test_to_moves_every_tensor() -> None:
    # 'meta' is a second device that every machine has
    text = Text(torch.zeros(2, 5, 4), torch.ones(2, 5, dtype=torch.bool))
    clip = Clip(
        torch.zeros(2, 1, 3, 2, 2), torch.ones(2, 1, dtype=torch.bool), {"camera": torch.zeros(2, dtype=torch.long)}
    )
    batch = Batch(clip, {"identity": torch.tensor([0, 1])}, ["a", "b"], {"appearance": text})
    moved = batch.to("meta")
    assert len(moved) == 2
    assert moved.keys == ["a", "b"]
    tensors = [moved.clip.frames, moved.clip.valid, moved.clip.sensor["camera"], moved.labels["identity"]]
    tensors += [moved.text["appearance"].tokens, moved.text["appearance"].mask]
    assert {t.device.type for t in tensors} == {"meta"}
    assert batch.clip.frames.device.type == "cpu"
