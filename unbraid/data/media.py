"""Pixels of a tracklet: image files, arrays and exact frames of a video.

A frame number counts the frames of a video in the order they are shown, from 0. The table of all frames is read
from the packets, once per process and without decoding, so a number means the same picture however it is reached.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from unbraid.data.arrays import load_array
from unbraid.tracklet import Arrays, Box, Images, Media, Strip

Image = NDArray[np.uint8]

# Containers that store the time at which each frame is shown (ffmpeg's names).
TIMED = ("matroska", "mov", "mpegts", "flv")

# A seek empties the decoder's pipeline; decoding this many frames costs about the same.
SEEK_WORTH = 16

END: tuple[float, Any] = (float("inf"), None)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video is: frames, frames per second (mean, 0 when unknown), width and height as shown in pixels."""

    frames: int
    fps: float
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Table:
    """times: when each frame is shown, ascending, in the stream's unit. keys: frame numbers where decoding can begin.

    starts: for each key, when it is decoded. Without keys, times are plain counts and the file is read from its
    beginning each time.
    """

    times: tuple[int, ...]
    keys: tuple[int, ...]
    starts: tuple[int, ...]


def read_frames(media: Media, indices: Sequence[int]) -> list[Image]:
    """The chosen frames of one tracklet, in the order asked, each H W 3 uint8 RGB.

    A list, because crops and files of one tracklet may differ in size. An index asked twice gives the same array
    twice: copy before writing into it.

    media: image files, one strip or array file of frames, or frame numbers of a video with their boxes.
    indices: positions in the tracklet, 0 <= index < len(media).

    Raises FileNotFoundError for a missing file; ValueError for an index outside the tracklet, a file that does not
    decode, an array that holds no such frames (see `Arrays`), a frame number past the end of the video and a box that
    lies outside its frame.
    """
    wrong = [index for index in indices if not 0 <= index < len(media)]
    if wrong:
        raise ValueError(f"index {wrong[0]} of a tracklet of {len(media)} frames; use 0 to {len(media) - 1}")
    if isinstance(media, Images):
        images = {index: _read_image(Path(media.paths[index])) for index in dict.fromkeys(indices)}
        return [images[index] for index in indices]
    if isinstance(media, Strip):
        parts = _cut(media)
        return [parts[index] for index in indices]
    if isinstance(media, Arrays):
        return _slices(media, indices)
    path = Path(media.path)
    pictures = dict(chosen_frames(path, {media.frames[index] for index in indices}))
    if not media.boxes:
        return [pictures[media.frames[index]] for index in indices]
    crops = {}
    for index in dict.fromkeys(indices):
        number = media.frames[index]
        try:
            crops[index] = crop(pictures[number], media.boxes[index])
        except ValueError as error:
            raise ValueError(f"{path}, frame {number}: {error}") from error
    return [crops[index] for index in indices]


def crop(image: Image, box: Box) -> Image:
    """A copy of the part of an H W 3 image inside a box (left, top, width, height in pixels), clipped to the image.

    Raises ValueError when less than one pixel of the box lies inside.
    """
    left, top, width, height = box
    rows = slice(max(round(top), 0), max(min(round(top + height), image.shape[0]), 0))
    columns = slice(max(round(left), 0), max(min(round(left + width), image.shape[1]), 0))
    part = image[rows, columns]
    if part.size == 0:
        raise ValueError(
            f"the box left {left:g}, top {top:g}, width {width:g}, height {height:g} has no pixel inside the image of "
            f"{image.shape[1]} x {image.shape[0]}; correct or remove it"
        )
    return part.copy()


def video_frames(path: Path, start: int = 0, stop: int | None = None, *, step: int = 1) -> Iterator[tuple[int, Image]]:
    """Frame numbers start, start + step, ... below stop (None: the end) with their pictures, H W 3 uint8 RGB.

    Raises FileNotFoundError, or ValueError for a damaged video or a span that is empty or past its end.
    """
    path = Path(path)
    frames = len(_table(path).times)
    end = frames if stop is None else stop
    if not (0 <= start < end <= frames and step >= 1):
        raise ValueError(
            f"{path} has frames 0 to {frames - 1}; start {start}, stop {stop}, step {step} is no span of it "
            f"(expected 0 <= start < stop <= {frames} and step >= 1)"
        )
    return chosen_frames(path, range(start, end, step))


def chosen_frames(path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, Image]]:
    """Distinct frame numbers, ascending, with their pictures; one pass that skips ahead over unneeded parts.

    Raises as `video_frames`.
    """
    path = Path(path)
    table = _table(path)
    wanted = sorted(set(numbers))
    if wanted and not 0 <= wanted[0] <= wanted[-1] < len(table.times):
        wrong = wanted[0] if wanted[0] < 0 else wanted[-1]
        raise ValueError(
            f"{path} has frames 0 to {len(table.times) - 1}, but frame {wrong} is asked for; "
            f"the index or the boxes belong to another video, or the file is cut short"
        )
    return _decode(path, table, wanted)


def video_info(path: Path) -> VideoInfo:
    """Frames, rate and size of a video; decodes its first frame. Raises as `video_frames`."""
    path = Path(path)
    times = _table(path).times
    with _open(path) as (_, stream):
        rate = stream.average_rate or stream.guessed_rate
    _, picture = next(video_frames(path))
    return VideoInfo(len(times), float(rate or 0), picture.shape[1], picture.shape[0])


def declared_frames(path: Path) -> int:
    """How many frames the head of a video declares; counted where it declares none. Raises as `video_frames`."""
    with _open(Path(path)) as (_, stream):
        declared: int = stream.frames
    return declared or len(_table(Path(path)).times)


def background(path: Path, *, height: int = 576, samples: int = 51) -> Image:
    """What a fixed camera sees behind the people, H W 3 uint8 RGB, at most `height` tall (see `shrink`).

    The median of evenly spaced frames of the whole video; where at least a tenth of them show one and the same
    picture, of those alone: an empty scene repeats itself, people do not, and a place that is occupied most of the
    time would otherwise keep a ghost. Raises as `video_frames`.
    """
    numbers = np.linspace(0, len(_table(Path(path)).times) - 1, samples).round().astype(int)
    frames = np.stack([shrink(image, height) for _, image in chosen_frames(path, numbers.tolist())])
    # Averaging over 8 x 8 pixels leaves no noise; two pictures are one where 99.5 % of it differs by 12 levels at most.
    size = (max(frames.shape[2] // 8, 1), max(frames.shape[1] // 8, 1))
    thumbs = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]).astype(np.int16)
    alike = np.stack([(np.abs(thumbs - thumb).max(axis=3) > 12).mean(axis=(1, 2)) <= 0.005 for thumb in thumbs])
    best = alike[alike.sum(axis=1).argmax()]
    chosen = frames[best] if best.sum() >= max(0.1 * len(frames), 2) else frames
    middle: Image = np.median(chosen, axis=0).astype(np.uint8)
    return middle


def shrink(image: Image, height: int) -> Image:
    """The image at `height` rows with its aspect kept, itself when it is not taller."""
    if image.shape[0] <= height:
        return image
    size = (max(round(image.shape[1] * height / image.shape[0]), 1), height)
    small: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small


def _cut(strip: Strip) -> list[Image]:
    """The frames of a strip, top to bottom."""
    whole = _read_image(Path(strip.path))
    if len(whole) % strip.count:
        raise ValueError(
            f"{strip.path} is {len(whole)} pixels tall, which {strip.count} equally tall frames cannot be; the index "
            f"belongs to another file, or the file is cut short"
        )
    return list(whole.reshape(strip.count, -1, *whole.shape[1:]))


def _slices(media: Arrays, indices: Sequence[int]) -> list[Image]:
    """Chosen frames of an array file as pictures; a frame of one channel shows it three times."""
    whole = load_array(media.path)
    if len(whole.shape) not in (3, 4) or whole.dtype not in (np.bool_, np.uint8):
        raise ValueError(
            f"{media.path} holds an array of shape {whole.shape} and type {whole.dtype}; expected T H W, T H W 3 or "
            f"T 3 H W of bool or uint8. Convert it (numpy.save) and use the copy"
        )
    if len(whole) != media.count:
        raise ValueError(f"{media.path} holds {len(whole)} frames, but the index says {media.count}; read it again")
    if whole.ndim == 3:
        whole = whole[..., None]
    elif whole.shape[3] not in (1, 3):
        whole = whole.transpose(0, 2, 3, 1)
    if whole.shape[3] not in (1, 3):
        raise ValueError(f"{media.path}: no axis of a frame has 1 or 3 channels; expected H W, H W 3 or 3 H W")
    scale = 255 if whole.dtype == np.bool_ else 1
    shown = {i: np.broadcast_to(whole[i], (*whole.shape[1:3], 3)).astype(np.uint8) * np.uint8(scale) for i in indices}
    return [shown[index] for index in indices]


def _read_image(path: Path) -> Image:
    data = path.read_bytes() if path.is_file() else None
    if data is None:
        raise FileNotFoundError(f"{path} is missing; restore the file or remove its tracklet from the index")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise ValueError(
            f"{path} ({len(data)} bytes) does not decode as an image; expected a whole JPEG, PNG, BMP, TIFF or WebP "
            f"file. Replace it or remove its tracklet from the index"
        )
    picture: Image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return picture


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, Any]]:
    """A container and its video stream; every failure inside becomes an error that names the file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a video")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path} holds no video stream; expected a video file")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = 0
            yield container, stream
    except av.error.FFmpegError as error:
        raise ValueError(
            f"{path} ({path.stat().st_size} bytes) is not a readable video: {error.strerror}. "
            f"If a player shows it, convert it (ffmpeg -i IN -c:v libx264 OUT.mp4) and use the copy"
        ) from error


def _table(path: Path) -> _Table:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a video")
    status = path.stat()
    return _table_of(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _table_of(path: Path, _changed: int, _size: int) -> _Table:
    with _open(path) as (container, stream):
        timed = not stream.codec_context.has_b_frames or container.format.name.startswith(TIMED)
        packets = [
            (packet.pts, packet.pts if packet.dts is None else packet.dts, packet.is_keyframe)
            for packet in container.demux(stream)
            if packet.size and not packet.is_discard
        ]
    times = {pts for pts, _, _ in packets}
    if not timed or None in times or len(times) < len(packets):
        # AVI, MPEG-1 and raw streams do not say when reordered frames are shown: count what the decoder gives.
        with _open(path) as (container, stream):
            table = _Table(tuple(range(sum(1 for _ in container.decode(stream)))), (), ())
    else:
        packets.sort()
        keyed = [(number, start) for number, (_, start, is_key) in enumerate(packets) if is_key]
        table = _Table(tuple(p[0] for p in packets), tuple(n for n, _ in keyed), tuple(start for _, start in keyed))
    if not table.times:
        raise ValueError(f"{path} holds no video frames; expected a video with at least one")
    return table


def _decode(path: Path, table: _Table, wanted: Sequence[int]) -> Iterator[tuple[int, Image]]:
    with _open(path) as (container, stream):
        for run in _runs(table, wanted):
            yield from _decode_run(container, stream, path, table, run)


def _key_before(table: _Table, number: int) -> int:
    """Position in `table.keys` of the last frame from which `number` can be decoded, -1 without one."""
    return bisect_right(table.keys, number) - 1


def _runs(table: _Table, wanted: Sequence[int]) -> Iterator[list[int]]:
    """Ascending frame numbers cut where jumping to a key frame is cheaper than decoding on."""
    run: list[int] = []
    for number in wanted:
        key = _key_before(table, number)
        if run and key >= 0 and table.keys[key] - run[-1] > SEEK_WORTH:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _decode_run(
    container: Any, stream: Any, path: Path, table: _Table, run: Sequence[int]
) -> Iterator[tuple[int, Image]]:
    key = _key_before(table, run[0])
    # Containers are searched by the time of showing or of decoding, and some have a wrong index: what leads too far
    # is tried again, in the end from the beginning of the file.
    for start in (table.times[table.keys[key]], table.starts[key], table.starts[0]) if key >= 0 else (None,):
        if start is not None:
            container.seek(start, stream=stream)
        frames = _timed(container.decode(stream), table)
        time, frame = next(frames, END)
        if time <= table.times[run[0]]:
            break
    for number in run:
        while time < table.times[number]:
            time, frame = next(frames, END)
        if time > table.times[number]:
            raise ValueError(
                f"{path}: frame {number} does not decode, the file is damaged there; convert it "
                f"(ffmpeg -i IN -c:v libx264 OUT.mp4) and use the copy, or leave that part out"
            )
        picture = frame.to_ndarray(format="rgb24")
        if frame.rotation:
            picture = np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
        yield number, picture


def _timed(frames: Iterable[Any], table: _Table) -> Iterator[tuple[float, Any]]:
    """Decoded frames with their time in the unit of `table.times`."""
    if not table.keys:
        return enumerate(frames)
    return ((frame.pts, frame) for frame in frames if frame.pts is not None)
