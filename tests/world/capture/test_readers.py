from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.shared import shared
from tests.world.capture.files import BVH_JOINTS, amc, asf, bvh, bvh_row, write
from unbraid.world.capture.asf import read_amc
from unbraid.world.capture.bvh import read_bvh
from unbraid.world.capture.clip import Clip, long_enough, without_rest_frame
from unbraid.world.capture.packed import read_packed

UNIT = 0.0254 / 0.5


def acclaim(folder: Path, frames: list[dict[str, str]], skeleton: str | None = None, **head: str) -> Clip:
    write(folder / "07.asf", skeleton or asf())
    return read_amc(write(folder / "07_01.amc", amc(frames, **head)), action="walk", subject="07")


def at(clip: Clip, joint: str, frame: int = 0) -> np.ndarray:
    return clip.positions()[frame, clip.joints.index(joint)] / UNIT


def test_acclaim_positions_computed_by_hand(tmp_path: Path) -> None:
    frames = [
        {},
        {"root": "1 18 3 0 90 0"},  # turned left about the vertical: x goes to -z
        {"lfemur": "-90 0 0", "ltibia": "90"},  # thigh forwards (+z), shank down again
        {"lhumerus": "90 0"},  # rz ry: first channel 90 degrees about z raises the arm
        {"lhumerus": "90 90"},  # then about y, after z: an arm that points up stays there
    ]
    clip = acclaim(tmp_path, frames)
    assert clip.rate == 120
    assert np.allclose(at(clip, "root"), (0, 18, 0))
    assert np.allclose(at(clip, "ltibia"), (2, 10, 0))
    assert np.allclose(at(clip, "lfoot end"), (2, 2, 4))
    assert np.allclose(at(clip, "lradius end"), (11, 28, 0))
    assert np.allclose(at(clip, "lfoot end", 1), (1 + 4, 2, 3 - 2))
    assert np.allclose(at(clip, "ltibia", 2), (2, 18, 8))
    assert np.allclose(at(clip, "lfoot", 2), (2, 10, 8))
    for frame in (3, 4):
        assert np.allclose(at(clip, "lradius end", frame), (0, 28 + 11, 0))
    assert np.allclose(at(clip, "rfoot end", 4), (-2, 2, 4))


def test_acclaim_local_axes_turn_the_degrees_of_freedom(tmp_path: Path) -> None:
    # Axes turned by 90 degrees about z: the bone's own x is the world's y, a turn about the thigh's length.
    clip = acclaim(tmp_path, [{"lfemur": "-90 0 0"}], asf(axes="0 0 90 XYZ"))
    assert np.allclose(at(clip, "lfoot"), (2, 2, 0))
    assert np.allclose(at(clip, "lfoot end"), (2 - 4, 2, 0))


def test_acclaim_radians_and_frame_rate(tmp_path: Path) -> None:
    quarter = f"{-np.pi / 2:.9f} 0 0"
    clip = acclaim(tmp_path, [{"lfemur": quarter}], head=":RADIANS\n:SAMPLES-PER-SECOND 60")
    assert clip.rate == 60
    assert np.allclose(at(clip, "ltibia"), (2, 18, 8))
    other = acclaim(tmp_path / "b", [{"lfemur": quarter}], asf(angle="rad"), head=":FULLY-SPECIFIED")
    assert np.allclose(other.positions(), clip.positions())


def test_skeleton_is_the_one_of_the_subject_or_the_only_one(tmp_path: Path) -> None:
    motion = write(tmp_path / "07_01.amc", amc([{}]))
    with pytest.raises(FileNotFoundError, match=r"expected 07\.asf"):
        read_amc(motion, action="walk", subject=None)
    write(tmp_path / "other.asf", asf())
    assert len(read_amc(motion, action="walk", subject=None).rotations) == 1
    write(tmp_path / "third.asf", asf())
    with pytest.raises(FileNotFoundError, match=r"third\.asf"):
        read_amc(motion, action="walk", subject=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace(":DEGREES", ":GRADIANS"), r"line 2: unknown keyword ':GRADIANS'"),
        (lambda text: text.replace("ltibia 0", "ltibia 0 0"), r"line 6: expected 1 numbers for bone 'ltibia'"),
        (lambda text: text.replace("ltibia 0", "ltibia nan"), "must be finite"),
        (lambda text: text.replace("ltibia 0", "ltibia x"), "expected numbers"),
        (lambda text: text.replace("ltibia 0", "tail 0"), "'tail' is not in the skeleton"),
        (lambda text: text.replace("ltibia 0", "rtibia 0"), "twice in one frame"),
        (lambda text: text.replace("rtibia 0\n", ""), "frame 1 ends without rtibia"),
        (lambda text: text.replace("\n2\n", "\n3\n"), "frame 3 follows frame 1"),
        (lambda text: text[: text.rindex("rtibia")], "frame 2 ends without rtibia"),
        (lambda _: "", "no frame"),
        (lambda text: text.replace("\n1\n", "\n"), "expected the number of the first frame"),
    ],
)
def test_damaged_amc(tmp_path: Path, change, message: str) -> None:
    write(tmp_path / "a.asf", asf())
    path = write(tmp_path / "a_1.amc", change(amc([{}, {}])))
    with pytest.raises(ValueError, match=message):
        read_amc(path, action="walk", subject=None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (":units", ":unit", "line 3: unknown section ':unit'"),
        ("angle deg", "angle turn", "'deg' or 'rad'"),
        ("order TX TY TZ RX RY RZ", "order TX TY TZ RX RY", "six channels"),
        ("dof rx ry rz", "dof rx rx", "degrees of freedom"),
        ("axis 0 0 0 XYZ", "axis 0 0 0 XXY", "order of axes"),
        ("length 8", "length inf", "finite"),
        ("direction 0 -1 0", "direction 0 0 0", "direction that is not zero"),
        ("    lhip lfemur\n", "", "without a place in the hierarchy: .*lfemur|before it has a parent"),
        ("root lhip rhip", "root lhip rhip rhip", "two parents"),
        ("  end\n:hierarchy", "\n:hierarchy", "unknown bone entry ':hierarchy'"),
    ],
)
def test_damaged_asf(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = asf()
    assert old in text
    with pytest.raises(ValueError, match=message):
        acclaim(tmp_path, [{}], text.replace(old, new))


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "YZX"])
def test_bvh_agrees_with_scipy(tmp_path: Path, order: str) -> None:
    random = np.random.default_rng(1)
    angles = {name: tuple(random.uniform(-80, 80, 3)) for name in BVH_JOINTS}
    channels = " ".join(f"{letter}rotation" for letter in order)
    path = write(tmp_path / "a.bvh", bvh([bvh_row((3, 90, -2), **angles)] * 2, order=channels))
    clip = read_bvh(path, action="walk", subject=None)
    assert clip.rate == pytest.approx(60)

    def turned(name: str) -> Rotation:
        return Rotation.from_euler(order, angles[name], degrees=True)  # capitals: one after the other, moving axes

    place, whole = np.array([3.0, 90, -2]), turned("Hips")
    for name, offset in (("LeftUpLeg", (10, 0, 0)), ("LeftLeg", (0, -40, 0)), ("LeftFoot", (0, -45, 0))):
        place = place + whole.apply(offset)
        assert np.allclose(clip.positions()[0, clip.joints.index(name)], place, atol=1e-4)
        whole = whole * turned(name)
    tip = place + whole.apply((0, -5, 15))
    assert np.allclose(clip.positions()[1, clip.joints.index("LeftFoot end")], tip, atol=1e-4)


def test_bvh_position_channels_below_the_root_are_left_out(tmp_path: Path) -> None:
    text = (
        "HIERARCHY\nROOT a\n{\nOFFSET 1 2 3\nCHANNELS 3 Zposition Yrotation Xposition\nJOINT b\n{\nOFFSET 0 1 0\n"
        "CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n}\n"
        "MOTION\nFrames: 1\nFrame Time: 0.0833\n5 90 7  9 9 9 90 0 0\n"
    )
    clip = read_bvh(write(tmp_path / "a.bvh", text), action="a", subject=None)
    assert clip.joints == ("a", "b", "b end")
    assert np.allclose(clip.positions()[0], [(8, 2, 8), (8, 3, 8), (8 + 1, 3, 8)])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERARCHIE", "line 1: .*HIERARCHY"),
        ("CHANNELS 3 Zrot", "CHANNELS 2 Zrot", "announces 2 channels and names 3"),
        ("Xrotation", "Wrotation", "channels must be among"),
        ("Frames: 2", "Frames: 3", "ends where frame 3 of 3 was expected; it is cut off"),
        ("Frames: 2", "Frames: 1", "more lines than the 1 frames"),
        ("Frames: 2", "Frames: zero", "Frames: N"),
        ("Frame Time: 0.0", "Frame Time: -0.0", "frame time must lie"),
        ("90.000000", "nan", "must be finite"),
        ("90.000000 ", "", "expected 57 numbers for the channels of frame 1, found 56"),
        ("OFFSET 0 20 0", "OFFSET 0 20", "expected 3 numbers"),
        ("}\nMOTION", "MOTION", "before all joints are closed"),
        ("JOINT Neck", "JOINT Spine", "a name of its own"),
        ("JOINT Neck", "BONE Neck", "unexpected 'BONE'"),
        ("MOTION", "", "expected MOTION|unexpected|was expected"),
    ],
)
def test_damaged_bvh(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = bvh([bvh_row(), bvh_row()])
    assert old in text
    with pytest.raises(ValueError, match=message) as caught:
        read_bvh(write(tmp_path / "a.bvh", text.replace(old, new)), action="a", subject=None)
    assert "a.bvh" in str(caught.value)


def test_binary_file(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_bytes(b"HIERARCHY\n\xff\xfe")
    with pytest.raises(ValueError, match="not a text file"):
        read_bvh(tmp_path / "a.bvh", action="a", subject=None)


def test_rest_frame_is_dropped_and_only_a_rest_frame(tmp_path: Path) -> None:
    def moved(start: float) -> dict[str, tuple[float, float, float]]:
        angles = start + np.arange(3.0)
        return {name: tuple(angles) for name in BVH_JOINTS}

    rows = [bvh_row(**moved(20 + 2 * step)) for step in range(40)]
    with_rest = read_bvh(write(tmp_path / "a.bvh", bvh([bvh_row(), *rows])), action="a", subject=None)
    without = read_bvh(write(tmp_path / "b.bvh", bvh(rows)), action="a", subject=None)
    cleaned = without_rest_frame(with_rest)
    assert len(cleaned.rotations) == 40
    assert np.array_equal(cleaned.rotations, without.rotations)
    assert without_rest_frame(without) is without
    still = replace(without, rotations=without.rotations[:1].repeat(40, 0))
    assert without_rest_frame(still) is still
    with pytest.raises(ValueError, match=r"b\.bvh: a clip must last at least 0\.5 s"):
        long_enough(replace(without, rotations=without.rotations[:20], translation=without.translation[:20]))


def test_real_files_start_without_rest_frame_or_lose_it() -> None:
    packed = read_packed(shared("data/mocap/cmu_expmap_60hz.npz"))
    for number in (0, 4, 52, 71):  # clips that begin in full motion
        clip = packed.clip(number, action="a", subject=None)
        assert without_rest_frame(clip) is clip
    flat = packed.clip(4, action="a", subject=None)
    pose = np.broadcast_to(np.eye(3), flat.rotations[:1].shape)
    started = replace(
        flat,
        rotations=np.concatenate([pose, flat.rotations]),
        translation=flat.translation[[0, *range(len(flat.translation))]],
    )
    assert np.array_equal(without_rest_frame(started).rotations, flat.rotations)


def test_packed_walk_is_the_same_as_its_asf_amc() -> None:
    """Source: data of clip test/walking_1 are those of CMU 35_01, every second frame."""
    packed = read_packed(shared("data/mocap/cmu_expmap_60hz.npz"))
    number = next(n for n, row in enumerate(packed.clips) if row["source"].endswith("test/walking/walking_1.txt"))
    ours = packed.clip(number, action="walk", subject="35")
    theirs = read_amc(shared("data/mocap/cmu_asf_amc/35_01.amc"), action="walk", subject="35")
    assert np.abs(theirs.translation[::2] - ours.translation).max() < 1e-4
    turned, oracle = ours.turned(), theirs.turned()[::2]
    for joint in ("root", "lfemur", "ltibia", "rfoot", "thorax", "head", "lhumerus", "rradius", "lhand"):
        difference = np.swapaxes(turned[:, ours.joints.index(joint)], -1, -2) @ oracle[:, theirs.joints.index(joint)]
        assert Rotation.from_matrix(difference).magnitude().max() < 1e-4
    legs = [
        sum(float(np.linalg.norm(clip.offsets[clip.joints.index(j)])) for j in ("ltibia", "lfoot", "rtibia", "rfoot"))
        for clip in (ours, theirs)
    ]
    assert legs[0] == pytest.approx(legs[1], rel=0.02)  # sized by its feet only


def test_people_of_the_packed_clips_stay_upright_and_walk_where_they_look() -> None:
    packed = read_packed(shared("data/mocap/cmu_expmap_60hz.npz"))
    for number, row in enumerate(packed.clips):
        clip = packed.clip(number, action="a", subject=None)
        root = clip.rotations[:, 0]
        steps = Rotation.from_matrix(np.swapaxes(root[:-1], -1, -2) @ root[1:]).magnitude()
        assert root[:, 1, 1].min() > 0.6, row["source"]
        assert steps.max() < 0.2, row["source"]
        if row["activity"] in ("walking", "running"):
            speed = np.gradient(clip.translation[:, [0, 2]], axis=0) * clip.rate
            smooth = np.stack([np.convolve(speed[:, c], np.ones(31) / 31, "same") for c in (0, 1)], axis=1)
            fast = np.linalg.norm(smooth, axis=1) > 0.6
            cosine = (smooth * root[:, [0, 2], 2]).sum(1) / np.linalg.norm(smooth, axis=1)
            assert cosine[fast].min() > 0.6, row["source"]


def test_damaged_packed_files(tmp_path: Path) -> None:
    good = {
        "data": np.zeros((40, 2), np.float32),
        "base": np.zeros(117, np.float32),
        "keep": np.array([0, 5]),
    }
    head = '{"fps": 60, "clips": [{"source": "s", "activity": "a", "gait_group": null, "start": 0, "length": 40}]}'
    table, listing = tmp_path / "a.npz", write(tmp_path / "a.json", head)
    with pytest.raises(FileNotFoundError, match=r"a\.npz is missing"):
        read_packed(listing)
    for change, message in (
        ({"keep": np.array([0, 117])}, "column numbers"),
        ({"base": np.zeros(9)}, "column numbers"),
        ({"data": np.full((40, 2), np.nan)}, "NaN or infinity in row 0"),
    ):
        np.savez(table, **{**good, **change})
        with pytest.raises(ValueError, match=message):
            read_packed(table)
    np.savez(table, data=good["data"])
    with pytest.raises(ValueError, match="missing"):
        read_packed(table)
    np.savez(table, **good)
    assert len(read_packed(table).clips) == 1
    for text, message in (
        ("{", "expected an object"),
        (head.replace('"fps": 60, ', ""), "fps"),
        (head.replace("40}", "41}"), "41 of 40 rows"),
        (head.replace('"a", ', "3, "), "activity"),
    ):
        listing.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_packed(table)
