"""Frames of videos and image files. Oracle of a frame: its number, painted before encoding."""

import pickle
import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.shared import shared
from unbraid.data import media
from unbraid.data.media import (
    background,
    chosen_frames,
    crop,
    declared_frames,
    read_frames,
    shrink,
    video_frames,
    video_info,
)
from unbraid.data.sets.folder import save_strip
from unbraid.tracklet import Arrays, Images, Strip, VideoSpan

FRAMES = 60
# name, encoder, options: reordered frames, short groups of pictures, containers with and without shown times
KINDS = {
    "reordered.mp4": ("libx264", {"bf": "3", "g": "12"}),
    "open.mp4": ("libx264", {"bf": "3", "g": "12", "flags": "-cgop", "x264-params": "open-gop=1"}),
    "one-key.mkv": ("libx264", {"bf": "2", "g": "250"}),
    "every-key.mp4": ("libx264", {"g": "1"}),
    "stream.ts": ("libx264", {"bf": "3", "g": "12"}),
    "raw.h264": ("libx264", {"bf": "3", "g": "12"}),
    "old.avi": ("mpeg4", {"g": "12"}),
    "untimed.avi": ("libx264", {"bf": "3", "g": "12"}),
}


def coded(number: int) -> NDArray[np.uint8]:
    """A picture that carries its number in six bars, 48 x 96."""
    bars = [220 if number >> bit & 1 else 30 for bit in range(6)]
    return np.repeat(np.broadcast_to(np.array(bars, np.uint8)[None, :, None], (48, 6, 3)), 16, axis=1)


def number_in(picture: NDArray[np.uint8]) -> int:
    """The number that `coded` painted, read from the middle of each bar."""
    assert picture.shape == (48, 96, 3)
    return sum(1 << bit for bit in range(6) if picture[:, 16 * bit + 4 : 16 * bit + 12].mean() > 125)


def write_video(
    path: Path, images: Iterable[NDArray[np.uint8]], codec: str = "libx264", options: dict[str, str] | None = None
) -> Path:
    """Encode RGB images of one even size at 25 frames per second."""
    with av.open(str(path), "w") as container:
        stream = None
        for image in images:
            if stream is None:
                stream = container.add_stream(codec, rate=25, options=options or {})
                stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        if stream is not None:
            for packet in stream.encode():
                container.mux(packet)
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for name, (codec, options) in KINDS.items():
        write_video(root / name, map(coded, range(FRAMES)), codec, options)
    return root


@pytest.mark.parametrize("name", KINDS)
def test_a_frame_number_is_one_picture_however_it_is_reached(videos: Path, name: str) -> None:
    path = videos / name
    in_order = dict(video_frames(path))
    assert list(in_order) == list(range(FRAMES))
    for number, picture in in_order.items():
        assert picture.dtype == np.uint8
        assert number_in(picture) == number
    for wanted in ([59], [31], [12, 11, 0], [5, 40, 58, 41], [*range(3, 50, 7)]):
        pictures = read_frames(VideoSpan(path, tuple(wanted)), range(len(wanted)))
        for number, picture in zip(wanted, pictures, strict=True):
            np.testing.assert_array_equal(picture, in_order[number])


@pytest.mark.parametrize("name", KINDS)
def test_info(videos: Path, name: str) -> None:
    info = video_info(videos / name)
    assert (info.frames, info.width, info.height) == (FRAMES, 96, 48)
    assert info.fps == pytest.approx(25)


def test_frames_with_uneven_times(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "uneven.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "6", "bf": "2"})
        stream.height, stream.width, stream.pix_fmt = 48, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(coded(number), format="rgb24")
            frame.pts, frame.time_base = 1000 + 40 * number + 2 * (number % 5) ** 2, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for number in (0, 13, 29):
        assert number_in(read_frames(VideoSpan(tmp_path / "uneven.mkv", (number,)), [0])[0]) == number


def test_a_far_frame_is_reached_without_decoding_all_before(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    timed = media._timed

    def counted(frames: Iterable[Any], table: Any) -> Iterator[tuple[float, Any]]:
        for time, frame in timed(frames, table):
            decoded.append(time)
            yield time, frame

    monkeypatch.setattr(media, "_timed", counted)
    assert [number for number, _ in chosen_frames(videos / "reordered.mp4", [2, 50])] == [2, 50]
    # key frames are 0, 12, 24, 36, 48
    assert len(decoded) == len([0, 1, 2, 48, 49, 50])


def test_a_misleading_file_index_is_survived(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = videos / "reordered.mp4"
    right = media._table(path)
    # both times of its key frame lead past frame 30, so the file is read from its beginning
    wrong = media._Table(right.times, (0, 36), (right.starts[0], right.starts[4]))
    monkeypatch.setattr(media, "_key_before", lambda table, number: 1)
    monkeypatch.setattr(media, "_table", lambda _: wrong)
    assert number_in(next(chosen_frames(path, [30]))[1]) == 30


def test_span_and_step(videos: Path) -> None:
    assert [number for number, _ in video_frames(videos / "old.avi", 7, 30, step=5)] == [7, 12, 17, 22, 27]
    for start, stop, step in ((5, 5, 1), (-1, 3, 1), (0, 61, 1), (60, None, 1), (0, 9, 0)):
        with pytest.raises(ValueError, match=r"old\.avi has frames 0 to 59"):
            video_frames(videos / "old.avi", start, stop, step=step)


def test_a_video_held_on_its_side_is_turned(tmp_path: Path) -> None:
    """The matrix (0 1; -1 0) of a QuickTime track header sends right to down: shown turned clockwise."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :16] = 200  # a bright left edge, shown at the top
    path = write_video(tmp_path / "turned.mp4", [picture] * 3)
    data = path.read_bytes()
    one = 1 << 16
    upright = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    at = data.index(upright, data.index(b"tkhd"))
    path.write_bytes(data[:at] + struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30) + data[at + len(upright) :])
    shown = next(video_frames(path))[1]
    assert shown.shape == (64, 48, 3)
    assert shown[:12].mean() > 180
    assert shown[20:].mean() < 20
    assert (video_info(path).width, video_info(path).height) == (48, 64)


def test_videos_that_cannot_be_read(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4 is not a file"):
        video_info(tmp_path / "gone.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ValueError, match=r"empty\.mp4 \(0 bytes\) is not a readable video"):
        video_info(tmp_path / "empty.mp4")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(ValueError, match=r"noise\.mp4 \(5000 bytes\) is not a readable video"):
        next(video_frames(tmp_path / "noise.mp4"))
    half = (videos / "reordered.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(half[: len(half) // 2])
    with pytest.raises(ValueError, match=r"half\.mp4 .* is not a readable video"):
        video_info(tmp_path / "half.mp4")


def test_a_video_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(ValueError, match=r"sound\.wav holds no video stream"):
        video_info(path)


def test_a_damaged_frame_is_an_error_not_another_frame(videos: Path, tmp_path: Path) -> None:
    good = videos / "every-key.mp4"
    with av.open(str(good)) as container:
        packets = [(p.pos, p.size) for p in container.demux(container.streams.video[0]) if p.size]
    data = bytearray(good.read_bytes())
    position, size = packets[30]
    data[position : position + size] = bytes(size)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    assert next(chosen_frames(path, [3]))[0] == 3
    with pytest.raises(ValueError, match=r"damaged\.mp4"):
        list(chosen_frames(path, [30]))


def test_frames_past_the_end_and_wrong_indices(videos: Path) -> None:
    with pytest.raises(ValueError, match=r"old\.avi has frames 0 to 59, but frame 60 is asked for"):
        read_frames(VideoSpan(videos / "old.avi", (3, 60)), [0, 1])
    with pytest.raises(ValueError, match="frame -2 is asked for"):
        read_frames(VideoSpan(videos / "old.avi", (-2,)), [0])
    for index in (2, -1):
        with pytest.raises(ValueError, match=f"index {index} of a tracklet of 2 frames; use 0 to 1"):
            read_frames(VideoSpan(videos / "old.avi", (3, 4)), [index])


def test_boxes_cut_and_clip(videos: Path) -> None:
    path = videos / "old.avi"
    whole = dict(video_frames(path))
    boxes = ((-10.0, 4.0, 20.0, 8.0), (80.4, 40.0, 30.0, 30.0))
    first, second, again = read_frames(VideoSpan(path, (9, 9), boxes), [0, 1, 0])
    np.testing.assert_array_equal(first, whole[9][4:12, :10])
    np.testing.assert_array_equal(second, whole[9][40:, 80:])
    np.testing.assert_array_equal(first, again)
    with pytest.raises(ValueError, match=r"old\.avi, frame 5: the box left 96, .* has no pixel inside"):
        read_frames(VideoSpan(path, (5,), ((96.0, 0.0, 10.0, 10.0),)), [0])


def test_crop_is_a_copy() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    crop(image, (0, 0, 2, 2))[:] = 9
    assert image.max() == 0


def test_image_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sizes = ((6, 4), (9, 5))
    pictures = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    paths = tuple(tmp_path / f"é {number}.png" for number in range(2))  # names that OpenCV alone cannot open everywhere
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    for index, got in zip((1, 0, 1), read_frames(Images(paths), [1, 0, 1]), strict=True):
        np.testing.assert_array_equal(got, pictures[index])
    grey = tmp_path / "grey.png"
    grey.write_bytes(cv2.imencode(".png", pictures[0][..., 0])[1].tobytes())
    np.testing.assert_array_equal(read_frames(Images((grey,)), [0])[0], np.repeat(pictures[0][..., :1], 3, axis=2))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_image_files_that_do_not_decode(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.png \({len(content)} bytes\) does not decode as an image"):
        read_frames(Images((path,)), [0])


def test_missing_image_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg is missing"):
        read_frames(Images((tmp_path / "gone.jpg",)), [0])


def test_shrink_keeps_the_aspect() -> None:
    assert shrink(np.zeros((100, 60, 3), np.uint8), 50).shape == (50, 30, 3)
    assert shrink(np.zeros((40, 60, 3), np.uint8), 50).shape == (40, 60, 3)


def scene(number: int, occupied: bool) -> NDArray[np.uint8]:
    """Grey 100; when occupied a bright block stands on one place, each visit in another colour."""
    picture = np.full((96, 128, 3), 100, np.uint8)
    if occupied:
        picture[20:80, 40 + number % 7 : 70 + number % 7] = (0, 20 + 2 * number, 255)
    return picture


def test_background_of_a_place_that_is_mostly_occupied(tmp_path: Path) -> None:
    # free in 3 of every 12 frames: the median alone would show the visitor
    images = [scene(number, occupied=number % 12 >= 3) for number in range(96)]
    assert np.median(np.stack(images), axis=0)[50, 55, 2] == 255
    behind = background(write_video(tmp_path / "busy.mp4", images))
    assert np.abs(behind.astype(int) - 100).max() < 8


def test_background_without_any_free_frame(tmp_path: Path) -> None:
    images = []
    for number in range(60):
        picture = np.full((96, 128, 3), 100, np.uint8)
        picture[30:80, 2 * number : 2 * number + 16] = 230
        images.append(picture)
    behind = background(write_video(tmp_path / "walk.mp4", images))
    assert np.abs(behind.astype(int) - 100).max() < 12


def test_real_videos() -> None:
    path = shared("data/video/one-by-one-person-detection.mp4")
    info = video_info(path)
    assert (info.frames, info.fps, info.width, info.height) == (1394, 10, 768, 432)
    in_order = dict(video_frames(path, 115, 126))
    for number in (115, 120, 125):
        np.testing.assert_array_equal(read_frames(VideoSpan(path, (number,)), [0])[0], in_order[number])
    path = shared("data/video/vtest.avi")
    info = video_info(path)
    assert (info.frames, info.fps, info.width, info.height) == (795, 10, 768, 576)
    span = VideoSpan(path, (300, 260), ((0.0, 0.0, 40.0, 80.0),) * 2)
    assert [image.shape for image in read_frames(span, [0, 1])] == [(80, 40, 3)] * 2


def test_a_strip_is_cut_into_its_frames(tmp_path: Path) -> None:
    frames = [np.random.default_rng(n).integers(0, 256, (6, 5, 3), dtype=np.uint8) for n in range(4)]
    name = save_strip(tmp_path, "below/strip.png", frames)
    strip = Strip(tmp_path / name, 4)
    found = read_frames(strip, [2, 0, 2])
    for image, number in zip(found, (2, 0, 2), strict=True):
        np.testing.assert_array_equal(image, frames[number])
    grey = Strip(tmp_path / save_strip(tmp_path, "grey.png", [frame[..., 0] for frame in frames]), 4)
    np.testing.assert_array_equal(read_frames(grey, [3])[0], np.repeat(frames[3][..., :1], 3, axis=2))
    with pytest.raises(ValueError, match="24 pixels tall, which 5 equally tall frames cannot be"):
        read_frames(Strip(tmp_path / name, 5), [0])
    with pytest.raises(FileNotFoundError):
        read_frames(Strip(tmp_path / "gone.png", 5), [0])


@pytest.mark.parametrize("name", KINDS)
def test_declared_frames(videos: Path, name: str) -> None:
    assert declared_frames(videos / name) == FRAMES


@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 3), (4, 3, 6, 5), (4, 6, 5, 1), (4, 1, 6, 5), (4, 3, 6, 3)])
def test_arrays_show_their_frames(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(values))
    found = read_frames(Arrays(tmp_path / "a.pkl", 4), [2, 0, 2])
    for image, number in zip(found, (2, 0, 2), strict=True):
        frame = values[number]
        if frame.ndim == 3 and frame.shape[2] not in (1, 3):
            frame = np.moveaxis(frame, 0, 2)
        assert image.shape == (*frame.shape[:2], 3)  # where both ends could be channels, the last axis is
        assert image.dtype == np.uint8
        for channel in range(3):
            plane = frame if frame.ndim == 2 else frame[..., min(channel, frame.shape[2] - 1)]
            np.testing.assert_array_equal(image[..., channel], plane)


def test_arrays_of_truth_values_are_black_and_white(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((2, 4, 3)) > 0.5
    np.save(tmp_path / "a.npy", values)
    found = read_frames(Arrays(tmp_path / "a.npy", 2), [1])[0]
    np.testing.assert_array_equal(found[..., 0], np.where(values[1], 255, 0))


def test_arrays_that_hold_no_frames(tmp_path: Path) -> None:
    good = Arrays(tmp_path / "a.npy", 2)
    with pytest.raises(FileNotFoundError, match=r"a\.npy is missing"):
        read_frames(good, [0])
    for values, reason in (
        (np.zeros((2, 4, 3), np.float32), "type float32; expected"),
        (np.zeros((2, 4), np.uint8), r"shape \(2, 4\)"),
        (np.zeros((3, 4, 4), np.uint8), "holds 3 frames, but the index says 2"),
        (np.zeros((2, 4, 4, 4), np.uint8), "no axis of a frame has 1 or 3 channels"),
    ):
        np.save(good.path, values)
        with pytest.raises(ValueError, match=rf"a\.npy.*{reason}"):
            read_frames(good, [0])
    with pytest.raises(ValueError, match="index 2 of a tracklet of 2 frames"):
        read_frames(good, [2])
