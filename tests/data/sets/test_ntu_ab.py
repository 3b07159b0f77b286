"""NTU RGB-AB on a tree like the owners'."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.data.test_media import coded, write_video
from unbraid.data.benchmark import label_table
from unbraid.data.sets.ntu_ab import ABOUT, MUTUAL_ACTIONS, PROTOCOLS, TRAIN_PEOPLE, read
from unbraid.tracklet import Images, VideoSpan


def folder(root: Path, name: str, frames: int = 4) -> None:
    (root / name).mkdir(parents=True)
    for number in range(1, frames + 1):
        (root / name / f"frame{number:06d}.jpg").touch()


def test_the_lists_of_the_sheet() -> None:
    assert len(TRAIN_PEOPLE) == 53
    assert len(MUTUAL_ACTIONS) == 26
    assert {50, 52, 59, 103} <= TRAIN_PEOPLE
    assert not {51, 3, 60, 106} & TRAIN_PEOPLE
    assert ABOUT.counts["all actions"] == 120 - 26


def test_a_tree_with_odd_cases(tmp_path: Path) -> None:
    write_video(tmp_path / "S001C002P001R001A013_rgb.avi", map(coded, range(13)), "mpeg4")
    write_video(tmp_path / "S001C002P001R001A014_rgb.avi", map(coded, range(9)), "mpeg4")  # 3 frames at every third
    write_video(tmp_path / "S001C002P001R001A015_depth.avi", map(coded, range(13)), "mpeg4")  # another sensor
    write_video(tmp_path / "S001C001P003R001A001_rgb.avi", map(coded, range(12)), "mpeg4")
    frames = tmp_path / "frames"
    folder(frames, "S001C001P003R001A001", 5)  # stands before the video of the same name
    folder(frames, "S002C003P106R002A120", 5)  # an action of two people
    folder(frames, "S002C003P106R002A049", 11)
    folder(frames, "S002C003P106R002A048", 3)  # too short
    folder(frames, "S002C003P106R002A04", 5)  # no such name
    (frames / "readme.txt").touch()
    with pytest.warns(UserWarning, match="ntu-ab: 2 clips of fewer than 4 frames are left out"):
        benchmark = read(tmp_path)
    (only,) = benchmark.train
    assert (only.key, only.identity) == ("S001C002P001R001A013", "P001")
    assert only.labels == {"camera": "c2", "action": "A013", "setup": "S001", "repetition": "R001"}
    assert only.media == VideoSpan(tmp_path / "S001C002P001R001A013_rgb.avi", (0, 3, 6, 9, 12))
    test = {t.key: t for t in (*benchmark.query, *benchmark.gallery)}
    assert list(test) == ["S001C001P003R001A001", "S002C003P106R002A049"]
    media = test["S002C003P106R002A049"].media
    assert isinstance(media, Images)
    assert [p.name for p in media.paths] == [f"frame{n:06d}.jpg" for n in range(1, 12)]
    assert isinstance(test["S001C001P003R001A001"].media, Images)
    assert list(benchmark.protocols) == [
        "ntu-ab/same/view+@1",
        "ntu-ab/same/view-@1",
        "ntu-ab/cross/view+@1",
        "ntu-ab/cross/view-@1",
    ]


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is not a folder; expected videos SsssCcccPpppRrrrAaaa_rgb\.avi"):
        read(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="holds no clip; expected videos"):
        read(tmp_path)
    (tmp_path / "S001C002P001R001A013_rgb.avi").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"S001C002P001R001A013_rgb\.avi .* is not a readable video"):
        read(tmp_path)


def by_hand(name: str, asked: pd.Series, offered: pd.Series) -> tuple[bool, bool]:
    """(hit, skip) of a pair, from the words of the protocol."""
    same_person = asked["identity"] == offered["identity"]
    same_action = asked["action"] == offered["action"]
    same_camera = asked["camera"] == offered["camera"]
    skip = ("cross" in name and same_action) or (name.endswith("view-@1") and same_camera)
    return bool(same_person and not ("cross" in name and same_action)), bool(skip)


def test_the_protocols_against_their_words(tmp_path: Path) -> None:
    for person in (3, 6, 7):
        for camera in (1, 2):
            for action in (1, 2, 3, 4):
                folder(tmp_path, f"S001C{camera:03d}P{person:03d}R001A{action:03d}")
    benchmark = read(tmp_path)
    query, gallery = label_table(benchmark.query), label_table(benchmark.gallery)
    for protocol in PROTOCOLS:
        asked = query.iloc[protocol.query.rows(query, "query")].reset_index(drop=True)
        offered = gallery.iloc[protocol.gallery.rows(gallery, "gallery")].reset_index(drop=True)
        hit = protocol.hit.on(asked, offered)(slice(None))
        skip = protocol.skip.on(asked, offered)(slice(None))
        expected = np.array(
            [[by_hand(protocol.name, a, o) for _, o in offered.iterrows()] for _, a in asked.iterrows()]
        )
        np.testing.assert_array_equal(hit, expected[..., 0])
        np.testing.assert_array_equal(skip, expected[..., 1])
        part = "cross" if "cross" in protocol.name else "same"
        # 8 clips a person: 2 probes in the same activity; 1 of the 4 on the probes' side in cross activity
        assert (len(asked), len(offered)) == ((3, 12) if part == "cross" else (6, 18))
        assert not set(asked["key"]) & set(offered["key"])
