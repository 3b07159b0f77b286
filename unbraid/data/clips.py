"""Which frames of a tracklet make a clip. Everything here is arithmetic on frame numbers."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def restricted_random(
    length: int, frames: int, generator: np.random.Generator, *, chunks: Literal["even", "stmn"] = "even"
) -> Indices:
    """T frame numbers, one drawn from each of T equal chunks in time order; repeats evenly when length < frames.

    'even': chunk i is [floor(iF/T), floor((i+1)F/T)); unbiased, uses every frame.
    'stmn': chunk i is [ik, (i+1)k) with k = ceil(F/T), the last frame standing in beyond the end.
    Source: DSANet section 4.2 names the scheme; the edges are not in the paper.
    """
    start, stop = _chunks(length, frames, chunks)
    return np.minimum(generator.integers(start, stop), length - 1)


def restricted_first(length: int, frames: int, *, chunks: Literal["even", "stmn"] = "even") -> Indices:
    """The first frame of each chunk of `restricted_random`: the one-clip test of the ablations."""
    start, _ = _chunks(length, frames, chunks)
    return np.minimum(start, length - 1)


def any_random(length: int, frames: int, generator: np.random.Generator) -> Indices:
    """T frame numbers drawn without replacement, in no order; with replacement when the tracklet has fewer than T.

    Source: the fixed, unordered sampling of OpenGait's configurations, as TCFDNet trains with it.
    """
    _check(length, frames)
    return generator.choice(length, frames, replace=length < frames)


def strided_random(length: int, frames: int, generator: np.random.Generator, *, stride: int = 4) -> Indices:
    """T frame numbers, every `stride`-th from a random start; the first frames of T equal chunks when the tracklet is
    too short for that.

    Source: ABNet, by the authors of DisenQ, for 8 frames and stride 4; what they do with short clips is not known.
    """
    _check(length, frames)
    last = length - (frames - 1) * stride
    if last < 1:
        return restricted_first(length, frames)
    start = int(generator.integers(last))
    return start + stride * np.arange(frames)


def all_frames(
    length: int, frames: int, *, order: Literal["interleaved", "contiguous", "stmn", "whole"], longest: int = 720
) -> Indices:
    """Frame numbers of the clips that cover a tracklet, shape clips T.

    'interleaved': ceil(F/T) clips, clip i takes i, i+n, i+2n, ...; none is dropped, short ones loop their own frames.
    'contiguous': ceil(F/T) runs of T frames, the last one looping its own frames.
    'stmn': floor(F/T) interleaved clips, at least one, the tail dropped, as in that code base but without its flips.
    'whole': one clip of the first `longest` frames at most, T being as many as there are.
    Source: DSANet section 4.2 says "all frames"; how they form clips is not in the paper. 'whole': OpenGait's tests.
    """
    _check(length, frames)
    if order == "whole":
        return np.arange(min(length, longest))[None]
    if order == "contiguous":
        runs = [np.arange(s, min(s + frames, length)) for s in range(0, length, frames)]
    elif order == "interleaved":
        number = -(-length // frames)
        runs = [np.arange(i, length, number) for i in range(number)]
    else:
        number = max(length // frames, 1)
        runs = [np.minimum(np.arange(frames) * number + i, length - 1) for i in range(number)]
    return np.stack([np.resize(run, frames) for run in runs])


def _chunks(length: int, frames: int, chunks: str) -> tuple[Indices, Indices]:
    _check(length, frames)
    if chunks == "stmn":
        size = -(-length // frames)
        start = np.minimum(np.arange(frames) * size, length - 1)
        return start, start + size
    edges = np.arange(frames + 1) * length // frames
    return edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)


def _check(length: int, frames: int) -> None:
    if length < 1 or frames < 1:
        raise ValueError(f"a clip needs at least one frame; got a tracklet of {length} and clips of {frames}")
