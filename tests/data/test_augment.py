"""Augmentation: what may change, how often, and by how much."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from unbraid.data.augment import augment, erase
from unbraid.recipe import DataConfig

STILL = DataConfig(flip=0.0, erase=0.0, shift=0.0)
HEIGHT, WIDTH = 128, 64


def clip_of(frames: int = 4, height: int = 32, width: int = 16) -> Tensor:
    """A clip without any zero, every pixel of every frame different."""
    return torch.arange(1, frames * 3 * height * width + 1, dtype=torch.float32).view(frames, 3, height, width)


def box(frame: Tensor) -> tuple[int, int, int, int] | None:
    """Top, left, height and width of the zeros of a frame C H W; None without any."""
    zero = (frame == 0).all(0)
    if not zero.any():
        return None
    rows, columns = zero.any(1).nonzero().ravel(), zero.any(0).nonzero().ravel()
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
    # a filled rectangle, the same in all channels
    assert int(zero.sum()) == height * width
    assert int((frame == 0).sum()) == height * width * len(frame)
    return top, left, height, width


def test_nothing_asked_nothing_changed() -> None:
    clip = clip_of()
    assert torch.equal(augment(clip, STILL, np.random.default_rng(0)), clip)


@pytest.mark.parametrize("scope", ["frame", "clip"])
def test_the_argument_stays_as_it_was(scope: str) -> None:
    clip = clip_of()
    before = clip.clone()
    config = replace(STILL, flip=0.5, erase=1.0, shift=0.2, erase_scope=scope)
    for seed in range(10):
        augment(clip, config, np.random.default_rng(seed))
        augment(clip, replace(config, shift=0.0), np.random.default_rng(seed))
    assert torch.equal(clip, before)


def test_equal_generators_give_equal_clips() -> None:
    config = replace(STILL, flip=0.5, erase=0.5, shift=0.2)
    one, other, third = (augment(clip_of(), config, np.random.default_rng(s)) for s in (3, 3, 4))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_flip_is_shared_by_all_frames() -> None:
    clip, generator = clip_of(frames=3, height=2, width=4), np.random.default_rng(0)
    mirrored = clip[..., [3, 2, 1, 0]]
    flipped = 0
    for _ in range(1000):
        changed = augment(clip, replace(STILL, flip=0.3), generator)
        flipped += torch.equal(changed, mirrored)
        assert torch.equal(changed, mirrored) or torch.equal(changed, clip)
    assert abs(flipped - 300) < 75  # 5 standard deviations


def test_erasing_has_its_probability() -> None:
    generator = np.random.default_rng(0)
    hit = 0
    for _ in range(1000):
        clip = clip_of(frames=1)
        erase(clip, 0.4, generator)
        hit += box(clip[0]) is not None
    assert abs(hit - 400) < 80


def test_erased_boxes_have_the_usual_sizes() -> None:
    generator = np.random.default_rng(0)
    boxes = []
    for _ in range(600):
        clip = torch.ones(1, 1, HEIGHT, WIDTH)
        erase(clip, 1.0, generator)
        found = box(clip[0])
        assert found is not None
        boxes.append(found)
    top, left, height, width = np.array(boxes, dtype=float).T
    area, aspect = height * width / (HEIGHT * WIDTH), height / width
    # sides are rounded to pixels, the shortest ones are 7 pixels long
    assert 0.02 * 0.93 < area.min() < 0.03
    assert 0.3 < area.max() < 0.4 * 1.02
    assert 0.3 * 0.95 < aspect.min() < 0.5
    assert 2 < aspect.max() < 3.3 * 1.05
    # as often wide as tall: the aspect is uniform in its logarithm; small boxes always fit into the frame
    assert abs((aspect[area < 0.1] < 1).mean() - 0.5) < 0.15
    assert (left + width).max() <= WIDTH
    assert (top + height).max() <= HEIGHT
    assert top.min() < 10
    assert (top + height).max() > HEIGHT - 10


def test_frames_are_erased_on_their_own() -> None:
    config = replace(STILL, erase=0.5, erase_scope="frame")
    changed = augment(clip_of(frames=400), config, np.random.default_rng(0))
    boxes = [box(frame) for frame in changed]
    hit = [b for b in boxes if b is not None]
    assert abs(len(hit) - 200) < 50
    assert len(set(hit)) > 150


def test_one_box_for_the_clip() -> None:
    config = replace(STILL, erase=1.0, erase_scope="clip")
    changed = augment(clip_of(frames=6), config, np.random.default_rng(0))
    boxes = {box(frame) for frame in changed}
    assert len(boxes) == 1
    assert None not in boxes


def test_everything_else_keeps_its_value() -> None:
    clip = clip_of()
    changed = augment(clip, replace(STILL, erase=1.0), np.random.default_rng(0))
    assert torch.equal(changed[changed != 0], clip[changed != 0])


def test_shift_moves_the_clip_and_repeats_edges() -> None:
    clip, generator = clip_of(frames=2, height=10, width=20), np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        changed = augment(clip, replace(STILL, shift=0.2), generator)
        down, right = shift_of(changed, clip)
        seen.add((down, right))
        for y in (0, 4, 9):
            for x in (0, 9, 19):
                source = clip[:, :, min(max(y + down, 0), 9), min(max(x + right, 0), 19)]
                assert torch.equal(changed[:, :, y, x], source)
    assert {d for d, _ in seen} == set(range(-2, 3))
    assert {r for _, r in seen} == set(range(-4, 5))


def shift_of(changed: Tensor, clip: Tensor) -> tuple[int, int]:
    """Rows and columns between a middle pixel and the place it came from."""
    at = (clip[0, 0] == changed[0, 0, 5, 10]).nonzero()[0]
    return int(at[0]) - 5, int(at[1]) - 10


def test_zoom_shows_a_part_enlarged() -> None:
    """A picture that grows by one per column still does, eight ninths as fast, when it is enlarged by nine eighths."""
    ramp = torch.arange(16.0).expand(2, 3, 32, 16)
    zoomed = augment(ramp, replace(STILL, zoom=1.0), np.random.default_rng(0))
    assert zoomed.shape == ramp.shape
    steps = zoomed[0, 0, 0, 2:-2].diff()
    assert torch.allclose(steps, torch.full_like(steps, 8 / 9), atol=1e-4)
    assert torch.equal(augment(ramp, replace(STILL, zoom=0.0), np.random.default_rng(0)), ramp)


def test_erased_boxes_hold_the_fill_and_masks_nothing() -> None:
    clip = torch.full((1, 4, 32, 16), 9.0)
    erase(clip, 1.0, np.random.default_rng(0), (1.0, 2.0, 3.0))
    box = clip[0, :, (clip[0, 0] == 1)]
    assert box.shape[1] > 0
    assert torch.equal(box, torch.tensor([1.0, 2.0, 3.0, 0.0])[:, None].expand_as(box))
