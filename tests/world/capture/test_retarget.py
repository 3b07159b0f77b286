from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.world.capture.files import BVH_JOINTS, bvh, bvh_row, real, write
from unbraid.world.capture.bvh import read_bvh
from unbraid.world.capture.clip import Clip
from unbraid.world.capture.names import roles
from unbraid.world.capture.retarget import CLEARANCE, Recording, between_frames, retarget
from unbraid.world.people.skeleton import INDEX, PARENTS, SIDES, Floats, forward_kinematics

# What our limbs are called in the hand-made file, with the joint at their end.
LIMBS = {
    "thigh": ("UpLeg", "Leg"),
    "shank": ("Leg", "Foot"),
    "upper_arm": ("Arm", "ForeArm"),
    "forearm": ("ForeArm", "Hand"),
}
TIPS = {"thigh": "shank", "shank": "foot", "upper_arm": "forearm", "forearm": "hand"}
FILE_TO_OURS = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # x left, y up, z forward -> x left, y back, z up


def person(folder: Path, rows: list[list[float]]) -> Clip:
    return read_bvh(write(folder / "someone.bvh", bvh(rows)), action="walk", subject="a")


def shaken(folder: Path, seed: int = 0, spread: float = 40, frames: int = 3) -> Clip:
    """Random poses, heads up."""
    random = np.random.default_rng(seed)
    rows = [bvh_row(**{name: tuple(random.uniform(-spread, spread, 3)) for name in BVH_JOINTS}) for _ in range(frames)]
    return person(folder, rows)


def neutral_joints() -> Floats:
    """A body in the neutral pose: legs straight down, arms at the usual clearance."""
    joints = np.zeros((19, 3))
    for side, sign in SIDES:
        hang = np.array([sign * np.sin(CLEARANCE), 0, -np.cos(CLEARANCE)])
        for bone, place in (("thigh", (0.1, 0, 0)), ("shank", (0.1, 0, -0.4)), ("foot", (0.1, 0, -0.85))):
            joints[INDEX[f"{side}_{bone}"]] = place * np.array([sign, 1, 1])
        for bone, reach in (("upper_arm", 0.0), ("forearm", 0.3), ("hand", 0.55)):
            joints[INDEX[f"{side}_{bone}"]] = np.array([0.15 * sign, 0, 0.4]) + reach * hang
    return joints


def direction(values: Floats) -> Floats:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def test_limbs_point_where_the_recorded_ones_do(tmp_path: Path) -> None:
    clip = shaken(tmp_path)
    recording = retarget(clip)
    _, ours = forward_kinematics(recording.rotations, recording.translation, neutral_joints())
    theirs = clip.positions() @ FILE_TO_OURS.T
    for side, _ in SIDES:
        for bone, (start, end) in LIMBS.items():
            found = ours[:, INDEX[f"{side}_{TIPS[bone]}"]] - ours[:, INDEX[f"{side}_{bone}"]]
            first, last = (clip.joints.index(side.capitalize() + name) for name in (start, end))
            assert np.allclose(direction(found), direction(theirs[:, last] - theirs[:, first]), atol=1e-6)


def test_trunk_and_head_turn_as_recorded(tmp_path: Path) -> None:
    recording = retarget(person(tmp_path, [bvh_row(Hips=(0, 0, 90), Head=(0, 30, 0))] * 2))
    # 90 degrees about the file's upward axis: facing its +x, our +x; the head nods 30 degrees further.
    assert np.allclose(recording.rotations[0, 0] @ (0, -1, 0), (1, 0, 0), atol=1e-6)
    nod = Rotation.from_matrix(recording.rotations[0, INDEX["head"]]).as_rotvec(degrees=True)
    assert np.allclose(nod, (30, 0, 0), atol=1e-4)


def test_left_stays_left_and_knees_bend_backwards(tmp_path: Path) -> None:
    recording = retarget(person(tmp_path, [bvh_row(LeftUpLeg=(0, -50, 0), LeftLeg=(0, 70, 0))] * 2))
    vectors = Rotation.from_matrix(recording.rotations[0]).as_rotvec(degrees=True)
    assert np.allclose(vectors[INDEX["left_thigh"]], (-50, 0, 0), atol=1e-4)  # forwards
    assert np.allclose(vectors[INDEX["left_shank"]], (70, 0, 0), atol=1e-4)
    assert np.allclose(vectors[INDEX["right_thigh"]], 0, atol=1e-6)


def test_root_moves_in_leg_lengths_whatever_the_unit(tmp_path: Path) -> None:
    clip = person(tmp_path, [bvh_row((0, 90, 0)), bvh_row((8.5, 90, 170))])
    recording = retarget(clip)
    assert np.allclose(recording.translation[1] - recording.translation[0], (0.1, -2, 0))  # legs of 40 + 45
    inches = retarget(replace(clip, offsets=clip.offsets / 2.54, translation=clip.translation / 2.54))
    assert np.allclose(inches.translation, recording.translation)
    assert np.allclose(inches.rotations, recording.rotations)


def test_files_with_z_up_or_another_front_give_the_same(tmp_path: Path) -> None:
    clip = shaken(tmp_path)
    expected = retarget(clip)
    for axes in (np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])):
        turned = replace(
            clip,
            offsets=clip.offsets @ axes.T,
            rotations=axes @ clip.rotations @ axes.T,
            translation=clip.translation @ axes.T,
        )
        found = retarget(turned)
        assert np.allclose(found.rotations, expected.rotations)
        assert np.allclose(found.translation, expected.translation)


def test_zero_pose_may_have_hanging_arms_and_spread_legs(tmp_path: Path) -> None:
    """The same motion, written down relative to another zero pose."""
    clip = shaken(tmp_path)
    expected = retarget(clip)
    poses = {name: np.eye(3) for name in clip.joints}
    for side, sign in (("Left", 1), ("Right", -1)):
        for name in ("Arm", "ForeArm", "Hand", "Hand end"):
            poses[side + name] = Rotation.from_euler("z", -70 * sign, degrees=True).as_matrix()
        for name in ("UpLeg", "Leg", "Foot", "Foot end"):
            poses[side + name] = Rotation.from_euler("z", 20 * sign, degrees=True).as_matrix()
    pose = np.stack([poses[name] for name in clip.joints])
    turned = clip.turned() @ np.swapaxes(pose, -1, -2)
    local, offsets = turned.copy(), clip.offsets.copy()
    for joint, parent in enumerate(clip.parents):
        if parent >= 0:
            local[:, joint] = np.swapaxes(turned[:, parent], -1, -2) @ turned[:, joint]
            offsets[joint] = pose[parent] @ clip.offsets[joint]
    other = replace(clip, rotations=local, offsets=offsets)
    assert np.allclose(other.positions(), clip.positions())
    assert np.allclose(retarget(other).rotations, expected.rotations, atol=1e-6)


def test_jumps_fly_and_tilted_floors_do_not(tmp_path: Path) -> None:
    time = np.arange(180) / 60
    high = np.maximum(40 * (1 - ((time - 1.5) / 0.25) ** 2), 0)  # half a second in the air, 40 high
    jump = retarget(person(tmp_path, [bvh_row((0, 90 + value, 0)) for value in high]))
    assert np.allclose(jump.lift[high > 10], high[high > 10] / 85, atol=0.02)
    assert (jump.lift[high == 0] == 0).all()
    uphill = retarget(person(tmp_path, [bvh_row((0, 90 + 3 * second, 0)) for second in time]))
    assert uphill.lift.max() == 0


SCHEMES = {
    "mixamo": lambda name: "mixamorig:" + name,
    "blender": lambda name: {"UpLeg": "thigh", "Leg": "shin", "Foot": "foot", "Arm": "upper_arm"},
    "biped": lambda name: {"UpLeg": "Thigh", "Leg": "Calf", "Arm": "UpperArm", "ForeArm": "Forearm"},
    "poser": lambda name: {"UpLeg": "Hip", "Leg": "Knee", "Foot": "Ankle", "Arm": "Shoulder", "Shoulder": "Collar"},
    "xsens": lambda name: {"UpLeg": "UpperLeg", "Leg": "LowerLeg", "Arm": "UpperArm"},
}


def renamed(scheme: str, joint: str) -> str:
    tip = joint.endswith(" end")
    name = joint.removesuffix(" end")
    side = next((side for side in ("Left", "Right") if name.startswith(side)), "")
    base = name.removeprefix(side)
    table = SCHEMES[scheme](base)
    if isinstance(table, str):
        return SCHEMES[scheme](name) + " end" * tip
    base = table.get(base, base)
    if scheme == "poser" and base == "ForeArm":
        base = "Elbow"
    whole = {
        "blender": f"{base.lower()}.{side[:1]}" if side else base,
        "biped": f"Bip01 {side[:1]} {base}" if side else f"Bip01 {base}",
    }.get(scheme, side + base)
    return whole + " end" * tip


@pytest.mark.parametrize("scheme", SCHEMES)
def test_joints_are_found_by_many_names(tmp_path: Path, scheme: str) -> None:
    clip = shaken(tmp_path)
    other = replace(clip, joints=tuple(renamed(scheme, name) for name in clip.joints))
    assert roles(other).joints == roles(clip).joints
    assert {name: clip.joints[number] for name, number in roles(clip).joints.items() if "left" not in name} == {
        "root": "Hips",
        "spine": "Spine",
        "chest": "Spine",
        "neck": "Neck",
        "head": "Head",
        "right_clavicle": "RightShoulder",
        "right_upper_arm": "RightArm",
        "right_forearm": "RightForeArm",
        "right_hand": "RightHand",
        "right_thigh": "RightUpLeg",
        "right_shank": "RightLeg",
        "right_foot": "RightFoot",
    }


def test_missing_joints_are_listed(tmp_path: Path) -> None:
    clip = shaken(tmp_path)
    odd = tuple("tail" if name == "LeftLeg" else "beak" if name == "Head" else name for name in clip.joints)
    with pytest.raises(ValueError, match=r"someone\.bvh: no joint for left shank, head; the joints are Hips, .*beak"):
        retarget(replace(clip, joints=odd))
    no_hands = tuple(name.replace("Hand", "Paw") for name in clip.joints)
    without = retarget(replace(clip, joints=no_hands))
    assert np.allclose(without.rotations[:, INDEX["left_hand"]], np.eye(3))


def test_zero_poses_and_motions_that_are_no_standing_person(tmp_path: Path) -> None:
    clip = person(tmp_path, [bvh_row()] * 3)
    with pytest.raises(ValueError, match="the person lies"):
        retarget(person(tmp_path, [bvh_row(Hips=(0, 100, 0))] * 3))
    offsets = clip.offsets.copy()
    offsets[clip.joints.index("LeftForeArm")] = (0, 30, 0)
    with pytest.raises(ValueError, match="'LeftArm' points straight up"):
        retarget(replace(clip, offsets=offsets))
    with pytest.raises(ValueError, match="shows no person who stands"):
        retarget(replace(clip, offsets=np.zeros_like(offsets)))


def test_curves_pass_through_frames_and_touch_no_others(tmp_path: Path) -> None:
    recording = retarget(shaken(tmp_path, frames=12, spread=25))
    found = between_frames(recording, np.arange(3.0, 9.0), 3, 9)
    assert np.allclose(found.rotations, recording.rotations[3:9])
    assert np.allclose(found.translation, recording.translation[3:9])
    spoiled = {name: getattr(recording, name).copy() for name in ("rotations", "translation", "lift")}
    for values in spoiled.values():
        values[:3], values[9:] = np.nan, np.nan
    places = np.linspace(3, 8, 77)
    safe = between_frames(replace(recording, **spoiled), places, 3, 9)
    assert np.isfinite(safe.rotations).all()
    assert np.allclose(np.swapaxes(safe.rotations, -1, -2) @ safe.rotations, np.eye(3))
    assert np.array_equal(safe.rotations, between_frames(recording, places, 3, 9).rotations)


def test_curves_of_a_slow_recording_are_smooth() -> None:
    """A turn at constant speed about one axis, recorded at 12 frames per second, against the exact turn."""
    angles = 2.0 * np.arange(25) / 12
    rotations = np.tile(np.eye(3), (25, 19, 1, 1))
    rotations[:, 0] = Rotation.from_euler("z", angles[:, None]).as_matrix()
    recording = Recording(rotations, np.stack([angles] * 3, axis=1), np.zeros(25), 12.0, "made up")
    places = np.linspace(1, 23, 200)
    found = between_frames(recording, places, 0, 25)
    exact = Rotation.from_euler("z", 2.0 * places[:, None] / 12)
    assert (Rotation.from_matrix(found.rotations[:, 0]).inv() * exact).magnitude().max() < 1e-3
    assert np.allclose(found.translation[:, 1], 2.0 * places / 12)


def flexion(recording: Recording, bone: str) -> Floats:
    """Degrees between a limb and the one above it, from our forward kinematics."""
    _, placed = forward_kinematics(recording.rotations, recording.translation, neutral_joints())
    below = {"shank": "foot", "forearm": "hand"}[bone.split("_")[1]]
    side = bone.split("_")[0]
    own = direction(placed[:, INDEX[f"{side}_{below}"]] - placed[:, INDEX[bone]])
    parent = direction(placed[:, INDEX[bone]] - placed[:, PARENTS[INDEX[bone]]])
    return np.degrees(np.arccos(np.clip((own * parent).sum(-1), -1, 1)))


@pytest.mark.parametrize("name", ["cmu_expmap_60hz.npz", "cmu_asf_amc/35_01.amc", "reactidle_bvh/007_genuine.bvh"])
def test_real_people_have_sane_limbs(name: str) -> None:
    source = real(name)
    for take in source.takes:
        recording = source.recording(take)
        few = slice(None, None, 3)
        recording = replace(recording, rotations=recording.rotations[few], translation=recording.translation[few])
        assert np.isfinite(recording.rotations).all(), take
        assert np.isfinite(recording.translation).all(), take
        vectors = Rotation.from_matrix(recording.rotations.reshape(-1, 3, 3)).as_rotvec().reshape(-1, 19, 3)
        for side in ("left", "right"):
            knee = np.degrees(vectors[:, INDEX[f"{side}_shank"]])
            assert knee[:, 0].min() > -20, take  # no knee bends forwards
            assert knee[:, 0].max() < 165, take
            assert np.abs(knee[:, 1:]).max() < 30, take
            assert flexion(recording, f"{side}_forearm").max() < 170, take
        if take.action in ("walk", "run"):
            assert 40 < flexion(recording, "left_shank").max() < 150, take
            _, placed = forward_kinematics(recording.rotations, np.zeros((recording.frames, 3)), neutral_joints())
            own_left = recording.rotations[:, 0] @ (1.0, 0, 0)
            feet = placed[:, INDEX["left_foot"]] - placed[:, INDEX["right_foot"]]
            assert np.median((feet * own_left).sum(-1)) > 0, take  # the left foot is on the left


def test_reader_of_asf_and_packed_agree_after_retargeting() -> None:
    """Thigh angles of the same walk through two file formats and two skeletons."""
    packed, acclaim = real("cmu_expmap_60hz.npz"), real("cmu_asf_amc/35_01.amc")
    one = packed.recording(next(take for take in packed.takes if take.number == 4))
    other = acclaim.recording(next(take for take in acclaim.takes if take.file == "35_01.amc"))
    for bone in ("left_shank", "right_shank", "left_forearm"):
        assert np.abs(flexion(one, bone) - flexion(other, bone)[::2]).max() < 0.1
    assert np.abs(one.translation - one.translation[0] - other.translation[::2] + other.translation[0]).max() < 0.1
