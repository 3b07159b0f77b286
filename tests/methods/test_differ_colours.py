"""DIFFER's training clips without colours: which, how many, what is left of them, and none at test."""

from dataclasses import replace

import pytest
import torch

from tests.methods.test_differ import SMALL, batch_of, made
from unbraid.methods.differ.config import DifferConfig


def test_some_clips_lose_their_colours_in_training_and_none_at_test() -> None:
    config = replace(SMALL, channels=4, colour_dropout=0.3)
    method, seen = made(config).train(), []
    method.trunk.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    batch = batch_of(method, rows=200, frames=2)
    # no value of the batch is 0, so that what was taken away can be told
    before = batch.clip.frames.flatten(0, 1).clone()
    assert (before != 0).all()
    torch.manual_seed(0)
    method(batch)
    gone = (seen[0][:, :3] == 0).flatten(1)
    assert torch.equal(gone.all(1), gone.any(1))
    clips = gone.all(1).view(200, 2)
    assert torch.equal(clips[:, 0], clips[:, 1])
    # of 200, 60 are expected; 30 more or fewer are 4.6 standard deviations
    assert 30 < int(clips[:, 0].sum()) < 90
    expected = before.clone()
    expected[clips.flatten(), :3] = 0
    assert torch.equal(seen[0], expected)
    assert torch.equal(batch.clip.frames.flatten(0, 1), before)
    torch.manual_seed(0)
    method(batch)
    assert torch.equal(seen[1], seen[0])
    method.eval().encode(batch.clip)
    assert torch.equal(seen[2], before)


def test_colours_can_only_be_dropped_where_a_mask_is_left() -> None:
    for channels in (1, 3):
        with pytest.raises(ValueError, match=f"leaves nothing of frames of {channels} channels"):
            DifferConfig(trunk="small-4", channels=channels, colour_dropout=0.3)
    for value in (-0.1, 1.0):
        with pytest.raises(ValueError, match="expected 0 to below 1"):
            DifferConfig(trunk="small-4", channels=4, colour_dropout=value)
