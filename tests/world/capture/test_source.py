import pickle
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.world.capture.files import amc, asf, bvh, bvh_row, real, write
from unbraid.world.capture import Capture, open_motion
from unbraid.world.capture.restyle import restyle
from unbraid.world.capture.takes import Part, Take, parts_of, places, pool
from unbraid.world.clothes.holding import hold
from unbraid.world.motion import Style
from unbraid.world.motion.style import STYLE_RANGES
from unbraid.world.people.skeleton import INDEX, Floats

MIDDLE = Style(**{name: (low + high) / 2 for name, (low, high) in STYLE_RANGES.items()})
TIMES = (np.arange(49) - 24) / 60


def walk_rows(frames: int, *, seed: int = 0, heading: float = 0.0, speed: float = 120.0) -> list[list[float]]:
    """Someone who strides along `heading` (degrees from the file's z axis) at 60 frames per second."""
    swing = 25 + seed
    rows = []
    for number in range(frames):
        wave = float(np.sin(2 * np.pi * number / 60 + seed))
        way = speed * number / 60
        position = (way * np.sin(np.radians(heading)), 90.0, way * np.cos(np.radians(heading)))
        legs = {"LeftUpLeg": (0, swing * wave, 0), "RightUpLeg": (0, -swing * wave, 0)}
        knees = {"LeftLeg": (0, 20 - 18 * wave, 0), "RightLeg": (0, 20 + 18 * wave, 0)}
        arms = {"LeftArm": (-70.0 - 5 * wave, 0, 10 * wave), "RightForeArm": (0, 0, 30 + 10 * wave)}
        rows.append(bvh_row(position, Hips=(0, 0, heading), **legs, **knees, **arms))
    return rows


def folder(root: Path, **frames: int) -> Path:
    """A folder walk/ of BVH files by name, each with another stride."""
    for seed, (name, count) in enumerate(frames.items()):
        write(root / "walking" / f"{name}.bvh", bvh(walk_rows(count, seed=seed, heading=50.0 * seed)))
    return root


def ask(source: Capture, seed: int = 0, style: Style = MIDDLE, times: Floats = TIMES, **what: object):
    call = {"action": "walk", "session": 0, **what}
    return source(style, times, np.random.default_rng(seed), **call)


def test_folders_name_actions_and_files_name_subjects(tmp_path: Path) -> None:
    source = open_motion(folder(tmp_path, a_1=90, a_2=90, b_1=90, b_2=90))
    assert source.actions == ("carry", "walk")
    assert [(t.file, t.action, t.subject, t.frames) for t in source.takes] == [
        (f"walking/{name}.bvh", "walk", name[0], 90) for name in ("a_1", "a_2", "b_1", "b_2")
    ]
    assert open_motion(tmp_path / "walking" / "a_1.bvh").takes[0].action == "walk"


def test_notes_say_more_than_names(tmp_path: Path) -> None:
    folder(tmp_path, a_1=90, a_2=90)
    notes = write(tmp_path / "walking" / "motion.csv", "file,action,subject\na_1.bvh,wash_window,\n")
    write(tmp_path / "other" / "c.bvh", bvh(walk_rows(200, seed=7)))
    source = open_motion(tmp_path)
    assert [(t.file, t.action, t.subject) for t in source.takes] == [
        ("other/c.bvh", "other", "c"),
        ("walking/a_1.bvh", "wash window", None),
        ("walking/a_2.bvh", "walk", "a"),
    ]
    for text, message in (
        ("file,action\na_1.bvh,x\n", "line 1: expected the columns file,action,subject"),
        ("file,action,subject\nb.bvh,x,y\n", "line 2: file 'b.bvh' is not there"),
        ("file,action,subject\na_1.bvh,,y\n", "needs an action"),
        ("file,action,subject\na_1.bvh,x,y\na_1.bvh,x,y\n", "line 3: file 'a_1.bvh' is named twice"),
        ("file,action,subject\na_1.bvh,x\n", "line 2: expected 3 values"),
    ):
        notes.write_text(text)
        with pytest.raises(ValueError, match=message):
            open_motion(tmp_path)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        open_motion(tmp_path / "nothing")
    with pytest.raises(ValueError, match="no motion file in the folder"):
        open_motion(tmp_path)
    with pytest.raises(ValueError, match="unknown kind of motion file"):
        open_motion(write(tmp_path / "a.fbx", ""))
    with pytest.raises(ValueError, match=r"the only clip of 'walk', walking/a_1\.bvh, is too short to be cut"):
        open_motion(folder(tmp_path, a_1=50))
    folder(tmp_path, a_1=50, a_2=20)
    with pytest.raises(ValueError, match=r"a_2\.bvh: a clip must last at least 0\.5 s"):
        open_motion(tmp_path)
    write(tmp_path / "walking" / "a_2.bvh", bvh(walk_rows(50)))
    with pytest.raises(ValueError, match="holds the same motion as"):
        open_motion(tmp_path)
    write(tmp_path / "walking" / "07_1.amc", amc([{}]))
    with pytest.raises(FileNotFoundError, match=r"expected 07\.asf"):
        open_motion(tmp_path)


def test_amc_beside_its_skeleton(tmp_path: Path) -> None:
    write(tmp_path / "kick" / "07.asf", asf())
    frames = [{"root": f"0 18 0 0 {number / 10} 0", "ltibia": f"{number / 5}"} for number in range(300)]
    write(tmp_path / "kick" / "07_01.amc", amc(frames))
    source = open_motion(tmp_path)
    before = source.name
    assert [(t.action, t.subject, t.rate) for t in source.takes] == [("kick", "07", 120.0)]
    assert np.isfinite(ask(source, action="kick").rotations).all()
    write(tmp_path / "kick" / "07.asf", asf(length="0.45"))
    assert open_motion(tmp_path).name != before


def test_name_follows_from_names_and_contents(tmp_path: Path) -> None:
    one = open_motion(folder(tmp_path / "one", a_1=90, a_2=90)).name
    assert one == open_motion(folder(tmp_path / "two", a_1=90, a_2=90)).name
    assert one.startswith("capture:")
    assert len({one, *(open_motion(folder(tmp_path / str(n), a_1=n, a_2=90)).name for n in (91, 92))}) == 3
    write(tmp_path / "two" / "walking" / "motion.csv", "file,action,subject\n")
    assert open_motion(tmp_path / "two").name != one


def test_pickle_carries_the_list_and_gives_the_same_motion(tmp_path: Path) -> None:
    source = open_motion(folder(tmp_path, a_1=90, a_2=90, b_1=90, b_2=90))
    first = ask(source)
    packed = pickle.dumps(source)
    assert len(packed) < 3000
    again = pickle.loads(packed)  # our own bytes
    assert (again.name, again.actions) == (source.name, source.actions)
    assert np.array_equal(ask(again).rotations, first.rotations)
    assert not np.array_equal(ask(again, seed=1).rotations, first.rotations)
    write(tmp_path / "walking" / "a_1.bvh", bvh(walk_rows(80)))
    with pytest.raises(ValueError, match="changed since it was opened"):
        pickle.loads(packed).recording(source.takes[0])


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_sessions_share_no_frame(count: int) -> None:
    for frames in (70, 101, 2000):
        takes = [Take(f"{n}.bvh", 0, "walk", None, frames, 60.0) for n in range(count)]
        used = [
            {(part.take.file, frame) for part in parts_of(takes, session) for frame in range(part.first, part.last)}
            for session in (0, 1)
        ]
        assert used[0]
        assert used[1]
        assert not used[0] & used[1]
        if count == 1:  # and not even neighbours
            last, first = max(frame for _, frame in used[0]), min(frame for _, frame in used[1])
            assert first - last > min(60, frames // 6)


def test_motion_of_a_session_comes_from_its_frames_only(tmp_path: Path) -> None:
    """All frames of the other session are spoiled; the motion stays what it was."""
    source = open_motion(folder(tmp_path, a_1=200))
    (take,) = source.takes
    whole = source.recording(take)
    for session in (0, 1):
        (part,) = parts_of([take], session)
        spoiled = {name: getattr(whole, name).copy() for name in ("rotations", "translation", "lift")}
        for values in spoiled.values():
            values[: part.first], values[part.last :] = np.nan, np.nan
        for seed in range(5):
            source._recordings[take] = whole
            expected = ask(source, seed, session=session, style=replace(MIDDLE, arm_swing=1.6, knee=0.9))
            source._recordings[take] = replace(whole, **spoiled)
            found = ask(source, seed, session=session, style=replace(MIDDLE, arm_swing=1.6, knee=0.9))
            assert np.array_equal(found.rotations, expected.rotations)
            assert np.array_equal(found.translation, expected.translation)


def test_a_person_is_always_the_same_subject_and_few_clips_are_shared() -> None:
    takes = tuple(Take(f"{subject}{n}", 0, "walk", subject, 200, 60.0) for subject in ("a", "b", "c") for n in range(3))
    for source, subject in ((0.0, "a"), (0.3, "a"), (0.34, "b"), (0.99, "c"), (1.0, "c")):
        assert {take.subject for take in pool(takes, "walk", source)} == {subject}
    unknown = tuple(replace(take, subject=None) for take in takes)
    assert pool(unknown, "walk", 0.9) == list(unknown)
    assert {t.subject for t in pool(takes[:3] + unknown[3:], "walk", 0.9)} == {"a", None}
    short = tuple(replace(take, frames=40) for take in takes[::3])  # one clip each, too short to be cut
    assert pool(short, "walk", 0.9) == list(short)


def test_time_runs_evenly_and_short_parts_are_mirrored_smoothly() -> None:
    take = Take("a", 0, "walk", None, 121, 60.0)
    part = Part(take, 20, 81)
    found, middle = places(part, TIMES, 1.1, 0.25)
    assert np.allclose(np.diff(found), 1.1)
    assert middle[0] == pytest.approx(found[24])
    assert found[0] == pytest.approx(20 + 0.25 * (60 - 48 * 1.1))
    long = np.arange(-300, 301) / 60
    for start in (0.0, 0.37, 0.99):
        found, _ = places(part, long, 1.0, start)
        assert found.min() >= 20
        assert found.max() <= 80
        assert found.max() - found.min() > 59
        assert np.abs(np.diff(found)).max() < 1.05
        assert np.abs(np.diff(found, n=2)).max() < 0.3  # a plain reflection would jump by 2


@pytest.mark.parametrize("name", ["walking", "packed"])
def test_people_face_minus_y_in_mid_clip(tmp_path: Path, name: str) -> None:
    if name == "walking":
        source = open_motion(folder(tmp_path, a_1=90, a_2=90, b_1=90, b_2=90))  # headings 0, 50, 100, 150 degrees
    else:
        source = real("cmu_expmap_60hz.npz")
    for action in source.actions:
        for seed in range(6):
            style = replace(MIDDLE, source=seed / 5)
            motion = ask(source, seed, style, action=action, session=seed % 2)
            assert np.isfinite(motion.rotations).all()
            assert np.allclose(motion.translation[24, :2], 0, atol=1e-9)
            front = -motion.rotations[24, 0, :2, 1]
            # Where someone runs is not quite where the pelvis points, and soccer players cross their legs.
            assert front[1] < -0.85 * np.linalg.norm(front)
            if action in ("walk", "run", "carry"):
                path = motion.translation[-1] - motion.translation[0]
                assert path[1] < -0.3
                assert abs(path[0]) < 0.2 * abs(path[1])


def test_style_in_the_middle_of_its_ranges_changes_nothing(tmp_path: Path) -> None:
    source = open_motion(folder(tmp_path, a_1=90, a_2=90))
    rotations = source.recording(source.takes[0]).rotations
    assert np.allclose(restyle(rotations, rotations, MIDDLE), rotations, atol=1e-9)


def swing(rotations: Floats, bone: str) -> float:
    """Range of the rotation of a bone about our x axis, degrees."""
    return float(np.ptp(Rotation.from_matrix(rotations[:, INDEX[bone]]).as_rotvec(degrees=True)[:, 0]))


def test_every_field_of_the_style_acts_and_gains_act_as_gains(tmp_path: Path) -> None:
    source = open_motion(folder(tmp_path, a_1=90, a_2=90, b_1=90, b_2=90))
    plain = ask(source)
    for field in fields(Style):
        lowest = STYLE_RANGES[field.name][0]
        changed = ask(source, style=Style(**{**asdict(MIDDLE), field.name: lowest}))
        moves = np.abs(changed.rotations - plain.rotations).max()
        if field.name == "trunk":  # this walk has a stiff trunk
            assert moves < 1e-9
        else:
            assert moves > 1e-3, field.name
    style = replace(MIDDLE, stride=1.1, knee=0.9)
    rotations = source.recording(source.takes[0]).rotations
    styled = restyle(rotations, rotations, style)
    plain_thigh, styled_thigh = (swing(r, "left_thigh") for r in (rotations, styled))
    assert 1.05 < styled_thigh / plain_thigh < 1.1  # less than the gain: it fades with the size of the movement
    assert swing(styled, "left_shank") == pytest.approx(0.9 * swing(rotations, "left_shank"), rel=0.1)
    leaning = restyle(rotations, rotations, replace(MIDDLE, lean=MIDDLE.lean + 0.1))
    tilt = Rotation.from_matrix(leaning[0, INDEX["spine"]] @ leaning[0, INDEX["chest"]])
    plain_tilt = Rotation.from_matrix(rotations[0, INDEX["spine"]] @ rotations[0, INDEX["chest"]])
    assert (tilt * plain_tilt.inv()).as_rotvec() == pytest.approx([0.1, 0, 0], abs=1e-9)
    # Arms hang as before when the trunk leans: clavicles are still here, so spine, chest and arm make the whole turn.
    chain = [INDEX[bone] for bone in ("spine", "chest", "left_upper_arm")]
    hanging, before = (r[:, chain[0]] @ r[:, chain[1]] @ r[:, chain[2]] for r in (leaning, rotations))
    assert np.allclose(hanging, before)


def test_tempo_is_the_recorded_one_times_the_cadence(tmp_path: Path) -> None:
    source = open_motion(folder(tmp_path, a_1=200, a_2=200))
    slow, fast = (ask(source, style=replace(MIDDLE, cadence=gain * MIDDLE.cadence)) for gain in (1.0, 1.1))
    speeds = [-float(np.diff(motion.translation[:, 1]).mean() * 60) for motion in (slow, fast)]
    assert speeds[0] == pytest.approx(120 / 85, rel=1e-3)  # leg lengths per second
    assert speeds[1] == pytest.approx(1.1 * speeds[0], rel=1e-3)
    far = ask(source, style=replace(MIDDLE, stride=1.1)).translation
    assert np.allclose(far[:, :2], 1.1 * slow.translation[:, :2])  # longer strides lead further


def test_carrying_is_walking_with_a_box(tmp_path: Path) -> None:
    source = open_motion(folder(tmp_path, a_1=90, a_2=90))
    walking, carrying = ask(source, action="walk"), ask(source, action="carry")
    assert np.array_equal(carrying.rotations, hold(walking, "box").rotations)
    assert not np.array_equal(carrying.rotations, walking.rotations)


def test_wrong_questions(tmp_path: Path) -> None:
    source = open_motion(folder(tmp_path, a_1=90, a_2=90))
    with pytest.raises(ValueError, match=r"no clip shows 'fly'; .* show carry, walk"):
        ask(source, action="fly")
    with pytest.raises(ValueError, match="session must be 0"):
        ask(source, session=2)
    for times in (np.zeros(0), np.array([0.0, 0.0]), np.array([np.nan]), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="times must be finite, rising"):
            ask(source, times=times)
    assert ask(source, times=np.zeros(1)).rotations.shape == (1, 19, 3, 3)


def test_packed_clips_as_a_source() -> None:
    source = real("cmu_expmap_60hz.npz")
    assert {"walk", "run", "jump", "soccer", "basketball signal", "carry"} <= set(source.actions)
    assert len(source.takes) == 96
    subjects = [{take.subject for take in pool(source.takes, "walk", share)} for share in (0, 0.3, 0.5, 0.7, 0.9)]
    assert subjects == [{"A_cmu_subject_35"}, {"B"}, {"C"}, {"D"}, {"E"}]
    assert len(pool(source.takes, "run", 0.1)) == 6
