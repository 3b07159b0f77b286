"""Frame numbers of clips against examples written out by hand and counted frequencies."""

from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid.data.clips import all_frames, any_random, restricted_first, restricted_random, strided_random

Chunks = Literal["even", "stmn"]

# tracklet length, frames, rule -> the frames each slot may hold
CHUNKS: list[tuple[int, int, Chunks, list[list[int]]]] = [
    (7, 6, "even", [[0], [1], [2], [3], [4], [5, 6]]),
    (7, 6, "stmn", [[0, 1], [2, 3], [4, 5], [6], [6], [6]]),
    (12, 6, "even", [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]),
    (12, 6, "stmn", [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]),
    (10, 4, "even", [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]]),
    (3, 6, "even", [[0], [0], [1], [1], [2], [2]]),
    (3, 6, "stmn", [[0], [1], [2], [2], [2], [2]]),
    (4, 6, "even", [[0], [0], [1], [2], [2], [3]]),
    (1, 3, "even", [[0], [0], [0]]),
    (1, 3, "stmn", [[0], [0], [0]]),
    (5, 1, "even", [[0, 1, 2, 3, 4]]),
    (5, 1, "stmn", [[0, 1, 2, 3, 4]]),
]


@pytest.mark.parametrize(("length", "frames", "chunks", "expected"), CHUNKS)
def test_chunks_by_hand(length: int, frames: int, chunks: Chunks, expected: list[list[int]]) -> None:
    generator = np.random.default_rng(0)
    drawn = np.stack([restricted_random(length, frames, generator, chunks=chunks) for _ in range(200)])
    assert [sorted(set(column)) for column in drawn.T.tolist()] == expected
    assert restricted_first(length, frames, chunks=chunks).tolist() == [slot[0] for slot in expected]


@pytest.mark.parametrize("chunks", ["even", "stmn"])
def test_draws_inside_a_chunk_are_uniform(chunks: Chunks) -> None:
    generator = np.random.default_rng(0)
    drawn = np.stack([restricted_random(24, 4, generator, chunks=chunks) for _ in range(12_000)])
    for slot, column in enumerate(drawn.T):
        counts = np.bincount(column, minlength=24)
        assert counts.sum() == counts[6 * slot : 6 * slot + 6].sum()
        # 2000 expected each; 5 standard deviations of a binomial are 204
        assert np.abs(counts[6 * slot : 6 * slot + 6] - 2000).max() < 204


def test_slots_are_drawn_independently() -> None:
    generator = np.random.default_rng(0)
    drawn = np.stack([restricted_random(20, 2, generator) for _ in range(5000)])
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.05


def test_every_frame_is_shown_about_equally_often() -> None:
    # 7 frames in 6 slots: frames 5 and 6 share one slot; the padded rule shows frame 6 three times in every clip
    generator = np.random.default_rng(0)
    even = np.bincount(np.concatenate([restricted_random(7, 6, generator) for _ in range(2000)]), minlength=7)
    padded = np.bincount(
        np.concatenate([restricted_random(7, 6, generator, chunks="stmn") for _ in range(2000)]), minlength=7
    )
    assert even[:5].tolist() == [2000] * 5
    assert np.abs(even[5:] - 1000).max() < 120
    assert padded[6] == 6000


@settings(max_examples=200, deadline=None)
@given(length=st.integers(1, 300), frames=st.integers(1, 40), seed=st.integers(0, 1000))
def test_clips_are_in_time_order(length: int, frames: int, seed: int) -> None:
    for chunks in ("even", "stmn"):
        clip = restricted_random(length, frames, np.random.default_rng(seed), chunks=chunks)
        assert clip.shape == (frames,)
        assert clip.dtype == np.int64
        assert (np.diff(clip) >= 0).all()
        assert 0 <= clip[0] <= clip[-1] < length


@settings(max_examples=200, deadline=None)
@given(length=st.integers(1, 300), frames=st.integers(1, 40))
def test_even_chunks_part_the_tracklet(length: int, frames: int) -> None:
    edges = [i * length // frames for i in range(frames + 1)]
    assert restricted_first(length, frames).tolist() == edges[:-1]
    if length >= frames:
        sizes = {b - a for a, b in pairwise(edges)}
        assert max(sizes) - min(sizes) <= 1


# clips of all frames written out
ALL: list[tuple[int, int, Literal["interleaved", "contiguous", "stmn"], list[list[int]]]] = [
    (7, 6, "interleaved", [[0, 2, 4, 6, 0, 2], [1, 3, 5, 1, 3, 5]]),
    (7, 6, "contiguous", [[0, 1, 2, 3, 4, 5], [6, 6, 6, 6, 6, 6]]),
    (7, 6, "stmn", [[0, 1, 2, 3, 4, 5]]),
    (6, 3, "interleaved", [[0, 2, 4], [1, 3, 5]]),
    (6, 3, "contiguous", [[0, 1, 2], [3, 4, 5]]),
    (8, 3, "stmn", [[0, 2, 4], [1, 3, 5]]),
    (2, 4, "interleaved", [[0, 1, 0, 1]]),
    (2, 4, "contiguous", [[0, 1, 0, 1]]),
    (2, 4, "stmn", [[0, 1, 1, 1]]),
    (1, 3, "interleaved", [[0, 0, 0]]),
    (3, 1, "interleaved", [[0], [1], [2]]),
    (3, 1, "stmn", [[0], [1], [2]]),
]


@pytest.mark.parametrize(("length", "frames", "order", "expected"), ALL)
def test_all_frames_by_hand(
    length: int, frames: int, order: Literal["interleaved", "contiguous", "stmn"], expected: list[list[int]]
) -> None:
    assert all_frames(length, frames, order=order).tolist() == expected


@settings(max_examples=300, deadline=None)
@given(length=st.integers(1, 500), frames=st.integers(1, 40))
def test_every_frame_is_covered(length: int, frames: int) -> None:
    for order in ("interleaved", "contiguous"):
        clips = all_frames(length, frames, order=order).tolist()
        assert len(clips) == -(-length // frames)
        firsts = []
        for clip in clips:
            period = len(set(clip))
            firsts += clip[:period]
            # what follows the clip's own frames is a loop over them
            assert clip == [clip[i % period] for i in range(frames)]
        assert sorted(firsts) == list(range(length))


@settings(max_examples=200, deadline=None)
@given(length=st.integers(1, 500), frames=st.integers(1, 40))
def test_stmn_order_drops_the_tail(length: int, frames: int) -> None:
    clips = all_frames(length, frames, order="stmn")
    assert clips.shape == (max(length // frames, 1), frames)
    kept = length // frames * frames if length >= frames else length
    assert sorted(set(clips.ravel().tolist())) == list(range(kept))


def test_whole_tracklets() -> None:
    assert all_frames(5, 2, order="whole").tolist() == [[0, 1, 2, 3, 4]]
    assert all_frames(1, 30, order="whole").tolist() == [[0]]
    assert all_frames(719, 2, order="whole").tolist() == [list(range(719))]
    for length in (720, 721, 5000):
        assert all_frames(length, 2, order="whole").tolist() == [list(range(720))]
    assert all_frames(9, 2, order="whole", longest=3).tolist() == [[0, 1, 2]]


def test_any_frames_in_any_order() -> None:
    generator = np.random.default_rng(0)
    drawn = np.stack([any_random(4, 3, generator) for _ in range(12_000)])
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    # 24 ordered choices of 3 of 4, 500 times each; 5 standard deviations of a binomial are 109
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 24
    assert np.abs(counts - 500).max() < 109


def test_every_fourth_frame_from_any_start() -> None:
    generator = np.random.default_rng(0)
    drawn = np.stack([strided_random(32, 8, generator) for _ in range(3000)])
    assert (np.diff(drawn) == 4).all()
    # 29 frames are spanned, so four starts, 750 times each; 5 standard deviations of a binomial are 119
    counts = np.bincount(drawn[:, 0])
    assert len(counts) == 4
    assert np.abs(counts - 750).max() < 119
    assert strided_random(29, 8, generator).tolist() == [0, 4, 8, 12, 16, 20, 24, 28]
    # 28 are too few: the first frames of eight parts of three and a half
    assert strided_random(28, 8, generator).tolist() == [0, 3, 7, 10, 14, 17, 21, 24]
    assert strided_random(5, 3, generator, stride=2).tolist() == [0, 2, 4]


def test_any_frames_of_a_short_tracklet_repeat() -> None:
    generator = np.random.default_rng(0)
    drawn = np.stack([any_random(2, 3, generator) for _ in range(4000)])
    # with replacement: all 8 outcomes alike, those of a single frame among them
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 8
    assert np.abs(counts - 500).max() < 105
    assert sorted(any_random(3, 3, generator).tolist()) == [0, 1, 2]


@pytest.mark.parametrize(("length", "frames"), [(0, 4), (4, 0), (-1, 2)])
def test_nothing_to_choose_from(length: int, frames: int) -> None:
    expected = f"a clip needs at least one frame; got a tracklet of {length} and clips of {frames}"
    for call in (
        lambda: restricted_random(length, frames, np.random.default_rng(0)),
        lambda: any_random(length, frames, np.random.default_rng(0)),
        lambda: restricted_first(length, frames),
        lambda: all_frames(length, frames, order="contiguous"),
    ):
        with pytest.raises(ValueError, match=expected):
            call()
