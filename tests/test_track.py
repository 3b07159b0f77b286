"""From video to tracklets. Oracles: hand-worked boxes, painted people of known place, and annotated episodes."""

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tests.data.test_media import write_video
from tests.shared import shared
from unbraid.data.media import video_frames
from unbraid.data.sets import folder
from unbraid.data.sets.folder import INDEX
from unbraid.detect import Detection, detect_people, overlaps, read_boxes
from unbraid.track import BOXES, link, track
from unbraid.tracklet import Images

COLOURS = ((220, 40, 40), (40, 40, 220))


def street(number: int) -> NDArray[np.uint8]:
    """Two painted people 20 x 50 on grey: red walks right from 10, blue left from 290, on two heights."""
    picture = np.full((200, 320, 3), 128, np.uint8)
    picture[30:80, 10 + 4 * number : 30 + 4 * number] = COLOURS[0]
    picture[120:170, 290 - 4 * number : 310 - 4 * number] = COLOURS[1]
    return picture


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("street") / "street.mp4", map(street, range(60)))


def boxes_file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def colour_of(path: Path) -> int:
    """Which of the two people fills the middle of a crop."""
    picture = cv2.imread(str(path))[..., ::-1].astype(int)
    middle = picture[80:176, 48:80].mean(axis=(0, 1))
    return int(np.argmin([np.abs(middle - colour).sum() for colour in COLOURS]))


def test_overlaps_by_hand() -> None:
    a = np.array([[0.0, 0, 10, 10], [100, 100, 5, 5]])
    b = np.array([[5.0, 0, 10, 10], [0, 0, 10, 10], [2, 2, 5, 4]])
    np.testing.assert_allclose(overlaps(a, b), [[50 / 150, 1, 20 / 100], [0, 0, 0]])


def test_crossing_people_keep_their_numbers() -> None:
    """Boxes 20 wide with speeds 5 and -5 coincide in frame 10; afterwards only the speed says who is who."""
    detections = []
    for frame in range(21):
        pair = [Detection(frame, (5.0 * frame, 0, 20, 60)), Detection(frame, (100.0 - 5 * frame, 0, 20, 60))]
        detections += pair if frame % 2 else pair[::-1]
    lefts = sorted([box[0] for box in one.boxes] for one in link(detections))
    assert lefts == [[5.0 * f for f in range(21)], [100.0 - 5 * f for f in range(21)]]


def test_assignment_is_the_best_in_sum() -> None:
    """Greedy would give the first track its best box (0.9) and the second nothing above the gate."""
    before = [Detection(0, (0, 0, 10, 10)), Detection(0, (3, 0, 10, 10))]
    after = [Detection(1, (2, 0, 10, 10)), Detection(1, (-2, 0, 10, 10))]
    gain = overlaps(np.array([d.box for d in before]), np.array([d.box for d in after]))
    best = max(itertools.permutations(range(2)), key=lambda order: sum(gain[i, j] for i, j in enumerate(order)))
    linked = {t.boxes[0]: t.boxes[1] for t in link(before + after)}
    assert linked == {before[i].box: after[j].box for i, j in enumerate(best)}


def test_gaps_are_filled_linearly_up_to_the_limit() -> None:
    seen = [Detection(f, (2.0 * f, 1, 20, 40 + f)) for f in (0, 3, 6, 20)]
    (whole,) = link(seen, maximum_gap=14)
    assert whole.frames == tuple(range(21))
    np.testing.assert_allclose(whole.boxes, [(2.0 * f, 1, 20, 40 + f) for f in range(21)])
    assert whole.detected == 4
    first, second = link(seen, maximum_gap=13)
    assert (first.frames, second.frames) == (tuple(range(7)), (20,))
    assert (first.number, second.number) == (1, 2)


def test_a_box_below_the_gate_begins_a_person() -> None:
    far = [Detection(0, (0, 0, 10, 10)), Detection(1, (6, 0, 10, 10))]  # overlap 40 / 160
    assert len(link(far, minimum_overlap=0.26)) == 2
    assert len(link(far, minimum_overlap=0.25)) == 1


def test_numbers_of_a_tracker_are_kept() -> None:
    seen = [Detection(f, (float(f), 0, 9, 9), person=person) for person in (7, 3) for f in (0, 2, 40)]
    three, seven = sorted(link(seen, maximum_gap=5), key=lambda t: t.number)
    assert (three.number, seven.number) == (3, 7)
    assert three.frames == (0, 1, 2, 40)  # the long gap stays open
    with pytest.raises(ValueError, match="3 boxes have no id"):
        link([*seen[:2], *(Detection(f, (0, 0, 9, 9)) for f in range(3))])


def test_no_detections_no_tracks() -> None:
    assert link([]) == []


def test_mot_file(tmp_path: Path) -> None:
    path = boxes_file(
        tmp_path / "det.txt",
        "1,-1,10.5,20,30,60,0.9,-1,-1,-1\n\n  \n2,-1,-5,-2,30,60,0.39,-1,-1,-1\n3, -1, 1, 2, 3, 4\n4,-1,1,2,3,4,-1\n",
    )
    assert read_boxes(path) == [
        Detection(0, (10.5, 20, 30, 60), 0.9),
        Detection(2, (1, 2, 3, 4), -1),
        Detection(3, (1, 2, 3, 4), -1),
    ]
    assert len(read_boxes(path, minimum_score=0.3)) == 4
    truth = boxes_file(tmp_path / "gt.txt", "\ufeff1,2,10,20,30,60,1,1,0.8\r\n1,3,10,20,30,60,0,7,0.8\r\n")
    assert read_boxes(truth) == [Detection(0, (10, 20, 30, 60), 1, 2)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("5,-1,1,2,3", "not enough values"),
        ("5;-1;1;2;3;4", "could not convert"),
        ("frame,id,left,top,width,height", "could not convert"),
        ("0,-1,1,2,3,4,1", "frame counts from 1"),
        ("1.5,-1,1,2,3,4,1", "whole numbers"),
        ("1,-1,1,2,0,4,1", "width and height exceed 0"),
        ("1,-1,nan,2,3,4,1", "not finite"),
        ("inf,-1,1,2,3,4,1", "whole numbers"),
        ("1,-1,1,2,3,4,nan", "not finite"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, line: str, reason: str) -> None:
    path = boxes_file(tmp_path / "det.txt", f"1,-1,1,2,3,4,1\n\n{line}\n")
    with pytest.raises(ValueError, match=rf"det\.txt, line 3: .*{reason}"):
        read_boxes(path)


def test_an_id_twice_in_a_frame(tmp_path: Path) -> None:
    path = boxes_file(tmp_path / "gt.txt", "1,4,1,2,3,4,1\n2,4,1,2,3,4,1\n2,4,9,2,3,4,1\n")
    with pytest.raises(ValueError, match=r"line 3: id 4 is in frame 2 twice \(first in line 2\)"):
        read_boxes(path)
    with pytest.raises(FileNotFoundError, match="expected boxes in MOT format"):
        read_boxes(tmp_path / "gone.txt")


def test_painted_people_become_two_tracklets(video: Path, tmp_path: Path) -> None:
    out = track(video, tmp_path / "out", camera="north", every=2)
    assert sorted(path.name for path in out.iterdir()) == sorted([BOXES, INDEX, "origin.json", "frames"])
    gallery = folder.read(out).gallery
    assert [t.key for t in gallery] == ["street-0001", "street-0002"]
    assert not folder.read(out).synthetic
    for tracklet in gallery:
        assert isinstance(tracklet.media, Images)
        assert tracklet.identity is None
        assert dict(tracklet.labels) == {"camera": "north", "video": "street.mp4", "start": "0", "stop": "59"}
        assert len(tracklet) == 59
        assert len({colour_of(path) for path in tracklet.media.paths}) == 1
        assert cv2.imread(str(tracklet.media.paths[0])).shape == (256, 128, 3)
    rows = np.loadtxt(out / BOXES, delimiter=",")
    assert len(rows) == 2 * 59
    for frame, number, left, top, width, height in rows[:, :6]:
        red = top < 100
        centre = (20 if red else 300) + (1 if red else -1) * 4 * (frame - 1)
        assert abs(left + width / 2 - min(max(centre, width / 2), 320 - width / 2)) <= 4
        assert abs(top - (30 if red else 120)) <= 4
        assert abs(height - 50) <= 6
        assert number in (1, 2)


def test_the_boxes_written_give_the_same_tracklets_again(video: Path, tmp_path: Path) -> None:
    first = track(video, tmp_path / "first", start=10, stop=40)
    second = track(video, tmp_path / "second", boxes=first / BOXES)
    a, b = (pd.read_parquet(out / INDEX) for out in (first, second))
    pd.testing.assert_frame_equal(a, b)
    assert set(a["start"]) == {"10"}
    assert (first / BOXES).read_text() == (second / BOXES).read_text()
    assert all((first / f).read_bytes() == (second / f).read_bytes() for f in itertools.chain(*a["frames"]))


def test_boxes_outside_are_clipped_and_long_tracks_thinned(video: Path, tmp_path: Path) -> None:
    lines = [f"{f + 1},5,{-30 + f},-10,20,60,1\n" for f in range(60)]  # enters from the left at frame 12
    out = track(video, tmp_path / "out", boxes=boxes_file(tmp_path / "b.txt", "".join(lines)), maximum_frames=7)
    (row,) = pd.read_parquet(out / INDEX).to_dict("records")
    assert (row["key"], row["start"], row["stop"], len(row["frames"])) == ("street-0005", "12", "60", 7)
    assert (out / BOXES).read_text().splitlines()[0] == "13,5,0.00,0.00,2.00,50.00,1,-1,-1,-1"


def test_sizes_of_crops(video: Path, tmp_path: Path) -> None:
    out = track(video, tmp_path / "out", height=64, width=48, stop=30)
    path = folder.read(out).gallery[0].media
    assert isinstance(path, Images)
    assert cv2.imread(str(path.paths[0])).shape == (64, 48, 3)


def test_nobody_is_an_error_with_advice(tmp_path: Path) -> None:
    empty = write_video(tmp_path / "empty.mp4", [np.full((160, 160, 3), 90, np.uint8)] * 20)
    for detector in ("motion", "hog"):
        with pytest.raises(ValueError, match=r"nobody found in .*empty\.mp4, frames 0 to 19; lower minimum_score"):
            track(empty, tmp_path / "out", detector=detector)
    with pytest.raises(ValueError, match="check minimum_score"):
        track(empty, tmp_path / "out", boxes=boxes_file(tmp_path / "b.txt", "1,-1,1,2,30,40,0.1\n"))
    with pytest.raises(ValueError, match=r"1 boxes in .* form 1 tracks, the longest of 1 boxes, .*minimum_length is 8"):
        track(empty, tmp_path / "out", boxes=boxes_file(tmp_path / "b.txt", "1,-1,1,2,30,40,1\n"))
    with pytest.raises(ValueError, match=r"box in frame 21 .* has 20 frames"):
        track(empty, tmp_path / "out", boxes=boxes_file(tmp_path / "b.txt", "21,-1,1,2,30,40,1\n"))
    assert not (tmp_path / "out").exists()


def test_wrong_arguments(video: Path, tmp_path: Path) -> None:
    for wrong, message in (
        ({"detector": "yolo"}, "expected 'motion' or 'hog'"),
        ({"upscale": 0.0}, "more than 0"),
        ({"every": 0}, "step >= 1"),
        ({"every": 16}, "maximum_gap=15"),
        ({"start": 50, "stop": 50}, "is no span"),
        ({"stop": 61}, "frames 0 to 59"),
        ({"minimum_length": 0}, "at least 1"),
        ({"width": 0}, "at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            track(video, tmp_path / "out", **wrong)
    with pytest.raises(FileNotFoundError, match="expected a video"):
        track(tmp_path / "gone.mp4", tmp_path / "out")


def test_a_folder_in_use_is_left_alone(video: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an empty folder"):
        track(video, tmp_path)
    with pytest.raises(ValueError, match="not an empty folder"):
        track(video, tmp_path / "note.txt")
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / INDEX).touch()
    with pytest.raises(ValueError, match="already holds a finished tracklet folder"):
        track(video, tmp_path / "done")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_nothing_behind(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    def stop(*_: object) -> None:
        raise interruption("no more")

    with monkeypatch.context() as patch:
        patch.setattr("unbraid.track.save_index", stop)
        with pytest.raises(interruption, match="no more"):
            track(video, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert len(folder.read(track(video, tmp_path / "out")).gallery) == 2


def test_real_people_one_by_one(tmp_path: Path) -> None:
    """The first person of the annotated video, from before entering: one tracklet, nothing else."""
    path = shared("data/video/one-by-one-person-detection.mp4")
    episode = json.loads(path.with_suffix(".episodes.json").read_text())[0]
    out = track(path, tmp_path / "out", start=40, stop=120)
    (row,) = pd.read_parquet(out / INDEX).to_dict("records")
    assert episode["start"] <= int(row["start"]) <= episode["start"] + 10
    assert int(row["stop"]) >= 115


def test_real_street() -> None:
    path = shared("data/video/vtest.avi")
    found = detect_people(path, start=450, stop=480)
    people = [t for t in link(found) if t.detected >= 5]
    assert 3 <= len(people) <= 5  # four are in view
    heights = np.array([box[3] for t in people for box in t.boxes])
    assert np.percentile(heights, 5) > 35
    assert np.percentile(heights, 95) < 140
    for left, top, width, height in itertools.chain(*(t.boxes for t in people)):
        assert left + width > 0
        assert top + height > 0
        assert height > width


def test_hog_finds_a_real_person() -> None:
    """Frame 420 of the street shows three people; two of them stand free and tall enough."""
    path = shared("data/video/vtest.avi")
    found = detect_people(path, detector="hog", start=420, stop=421)
    assert len(found) >= 2
    _, image = next(video_frames(path, 420, 421))
    for detection in found:
        assert detection.score >= 0.4
        assert detection.box[3] == pytest.approx(2 * detection.box[2], rel=0.02)
        assert detection.box[0] >= 0
        assert detection.box[1] + detection.box[3] <= image.shape[0]
