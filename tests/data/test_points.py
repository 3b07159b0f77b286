"""Point files written by hand, byte by byte; what is wrong in one is named together with the file."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from unbraid.data.lzf import decompress
from unbraid.data.points import natural, read_cloud, read_clouds

POINTS = np.array([[1.5, -2.0, 0.25], [3.0, 4.0, -0.5], [10.0, 0.0, 1.0]], np.float32)
PCD = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS {fields}
SIZE {size}
TYPE {type}
COUNT {count}
WIDTH {width}
HEIGHT {height}
VIEWPOINT 0 0 0 1 0 0 0
POINTS {points}
DATA {data}
"""


def pcd(body: bytes, **changes: object) -> bytes:
    plain = {"fields": "x y z", "size": "4 4 4", "type": "F F F", "count": "1 1 1", "width": 3, "height": 1}
    return PCD.format(**{**plain, "points": 3, "data": "ascii", **changes}).encode() + body


def literal(data: bytes) -> bytes:
    """LZF that compresses nothing: runs of 32 plain bytes."""
    parts = [data[i : i + 32] for i in range(0, len(data), 32)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def ply(body: bytes, way: str, *lines: str) -> bytes:
    return "\n".join(["ply", f"format {way} 1.0", "comment by hand", *lines, "end_header", ""]).encode() + body


VERTEX = ("element vertex 3", "property float x", "property float y", "property float z")
ASCII = b"1.5 -2 0.25\n3 4 -5e-1\n10 0 1\n"
# intensity and a padded ring before the coordinates, doubles among them
MIXED = b"".join(struct.pack("<BddfH", 7, x, y, z, 9) for x, y, z in POINTS.tolist())
MIXED_PCD = {"fields": "intensity x y z _", "size": "1 8 8 4 2", "type": "U F F F U", "count": "1 1 1 1 1"}
FIELD_BY_FIELD = POINTS.T.tobytes()
BIG = b"".join(struct.pack(">fffB", *row, 200) for row in POINTS.tolist())

CASES: dict[str, bytes] = {
    "ascii.pcd": pcd(ASCII),
    "extra.pcd": pcd(
        b"0 1.5 -2 1 2 0.25\n0 3 4 1 2 -0.5\n0 10 0 1 2 1\n",
        fields="i x y n z",
        size="4 4 4 4 4",
        type="U F F F F",
        count="1 1 1 2 1",
    ),
    "old.pcd": pcd(ASCII).replace(b"COUNT 1 1 1\n", b"").replace(b"POINTS 3\n", b"").replace(b"0.7\n", b".5\n"),
    "organised.pcd": pcd(b"1.5 -2 .25 nan nan nan\n3 4 -.5 10 0 1", width=2, height=2, points=4),
    "binary.pcd": pcd(POINTS.tobytes(), data="binary"),
    "mixed.pcd": pcd(MIXED, **MIXED_PCD, data="binary"),
    "packed.pcd": pcd(struct.pack("<II", 38, 36) + literal(FIELD_BY_FIELD), data="binary_compressed"),
    "ascii.ply": ply(ASCII, "ascii", *VERTEX),
    "windows.ply": ply(ASCII, "ascii", *VERTEX).replace(b"\n", b"\r\n"),
    "little.ply": ply(POINTS.astype("<f4").tobytes() + b"faces", "binary_little_endian", *VERTEX),
    "big.ply": ply(
        bytes(6) + BIG,
        "binary_big_endian",
        "element camera 2",
        "property uchar a",
        "property int16 b",
        *VERTEX,
        "property uint8 red",
        "element face 1",
        "property list uchar int vertex_indices",
    ),
    "kitti.bin": np.c_[POINTS, [0.1, 0.2, 0.3]].astype("<f4").tobytes(),
    "nuscenes.pcd.bin": np.c_[POINTS, [0.1, 0.2, 0.3], [1, 2, 3]].astype("<f4").tobytes(),
}


@pytest.mark.parametrize("name", CASES)
def test_files_by_hand(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CASES[name])
    cloud = read_cloud(tmp_path / name)
    assert cloud.dtype == np.float32
    assert cloud.tolist() == POINTS.tolist()


def test_faces_before_vertices_of_a_text(tmp_path: Path) -> None:
    faces = ("element face 1", "property list uchar int vertex_indices")
    (tmp_path / "x.ply").write_bytes(ply(b"3 0 1 2\n" + ASCII, "ascii", *faces, *VERTEX))
    assert read_cloud(tmp_path / "x.ply").tolist() == POINTS.tolist()


def test_arrays(tmp_path: Path) -> None:
    wide = np.c_[POINTS, [0.1, 0.2, 0.3]].astype(np.float64)
    np.save(tmp_path / "a.npy", wide)
    np.savez(tmp_path / "a.npz", points=wide)
    for name in ("a.npy", "a.npz"):
        assert read_cloud(tmp_path / name).tolist() == POINTS.tolist()
    np.save(tmp_path / "whole.npy", np.full((4, 3), 1, np.int16))
    assert read_cloud(tmp_path / "whole.npy").tolist() == [[1.0, 1.0, 1.0]] * 4


def test_points_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1, 2, 3], [np.nan, 0, 0], [0, np.inf, 0], [4, 5, 6]], np.float32))
    assert read_cloud(tmp_path / "a.npy").tolist() == [[1, 2, 3], [4, 5, 6]]
    (tmp_path / "none.pcd").write_bytes(pcd(bytes(8), data="binary_compressed", width=0, points=0))
    assert read_cloud(tmp_path / "none.pcd").shape == (0, 3)


def test_whole_walks(tmp_path: Path) -> None:
    frames = [POINTS[: n % 4] for n in range(12)]
    np.savez(tmp_path / "a.npz", **{f"frame{n}": frame for n, frame in enumerate(frames)})
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(frames))
    counts = torch.tensor([len(frame) for frame in frames], dtype=torch.int32)
    save_file({"points": torch.from_numpy(np.concatenate(frames)), "counts": counts}, tmp_path / "a.safetensors")
    for ending in (".npz", ".pkl", ".safetensors"):
        read = read_clouds(tmp_path / f"a{ending}")
        assert [frame.tolist() for frame in read] == [frame.tolist() for frame in frames], ending
    np.save(tmp_path / "a.npy", np.stack([POINTS, POINTS + 1]))
    assert [frame.tolist() for frame in read_clouds(tmp_path / "a.npy")] == [POINTS.tolist(), (POINTS + 1).tolist()]
    (tmp_path / "one.pkl").write_bytes(pickle.dumps([POINTS]))
    assert len(read_clouds(tmp_path / "one.pkl")) == 1
    assert sorted(["f10", "f2", "e3", "f1b"], key=natural) == ["e3", "f1b", "f2", "f10"]


@pytest.mark.parametrize(
    ("block", "plain"),
    [
        (b"\x02abc", b"abc"),
        (b"", b""),
        # 3 plain bytes; a copy of 3 from 3 back
        (b"\x02abc" + bytes([1 << 5, 2]), b"abcabc"),
        # a copy of 8 from 1 back repeats; length 6 + 2 fits into the instruction
        (b"\x00x" + bytes([6 << 5, 0]), b"x" * 9),
        # length 7 + 5 + 2, the length's byte before the distance's
        (b"\x01xy" + bytes([7 << 5, 5, 1]), b"xy" * 8),
        # 300 = 256 + 43 + 1 back
        (literal(bytes(range(256)) + bytes(range(64))) + bytes([(1 << 5) + 1, 43]), None),
        (literal(bytes(range(200))), bytes(range(200))),
    ],
)
def test_lzf_by_hand(block: bytes, plain: bytes | None) -> None:
    if plain is None:
        whole = bytes(range(256)) + bytes(range(64))
        plain = whole + whole[20:23]
    assert decompress(block, len(plain)) == plain


@pytest.mark.parametrize(
    ("block", "size", "message"),
    [
        (b"\x05abc", 6, "ends within a run"),
        (b"\x00a\x20", 4, "ends within a copy"),
        (b"\x00a" + bytes([7 << 5, 5]), 20, "ends within a copy"),
        (b"\x00a" + bytes([1 << 5, 1]), 4, "before its beginning"),
        (b"\x02abc", 2, "more than the 2 bytes"),
        (b"\x02abc", 4, "holds 3 bytes, but 4"),
    ],
)
def test_damaged_lzf(block: bytes, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decompress(block, size)


WRONG: dict[str, tuple[str, bytes, str]] = {
    "no header": ("a.pcd", b"\x00" * 100, "no header line DATA"),
    "no z": ("a.pcd", pcd(ASCII, fields="x y q"), r"fields are \['x', 'y', 'q'\].*expected x, y and z"),
    "two x": ("a.pcd", pcd(ASCII, fields="x x z"), "expected x, y and z of one number"),
    "types": ("a.pcd", pcd(ASCII, type="F F"), "one type for each field"),
    "kind": ("a.pcd", pcd(ASCII, size="4 4 3"), "type F and 3 bytes"),
    "count": ("a.pcd", pcd(ASCII, count="1 1"), r"header line COUNT is '1 1'; expected 3 whole numbers"),
    "minus": ("a.pcd", pcd(ASCII, width=-3), "header line WIDTH is '-3'"),
    "sums": ("a.pcd", pcd(ASCII, points=4), "POINTS 4, but WIDTH 3 and HEIGHT 1"),
    "words": ("a.pcd", pcd(b"1 2 three 4 5 6 7 8 9"), "one of its coordinates is no number .*three"),
    "short text": ("a.pcd", pcd(ASCII[:-7]), "holds 6 numbers, but 3 points of 3"),
    "short": ("a.pcd", pcd(POINTS.tobytes()[:-1], data="binary"), "holds 35 bytes of points, but 3 points take 36"),
    "record": (
        "a.pcd",
        pcd(b"", data="binary", fields="x y z q", size="4 4 4 4", type="F F F F", count="1 1 1 99999999999"),
        "expected 4096 at most",
    ),
    "bomb": (
        "a.pcd",
        pcd(bytes(8), data="binary_compressed", width=10**9, points=10**9),
        "unpack to 12000000000 bytes",
    ),
    "packed short": ("a.pcd", pcd(struct.pack("<II", 99, 36), data="binary_compressed"), "declares 99 bytes for 36"),
    "packed size": ("a.pcd", pcd(struct.pack("<II", 0, 35), data="binary_compressed"), "3 points take 36"),
    "no block": ("a.pcd", pcd(b"abc", data="binary_compressed"), "before the sizes"),
    "way": ("a.pcd", pcd(b"", data="zipped"), "DATA is 'zipped'; expected ascii, binary"),
    "not ply": ("a.ply", b"plyy\nend_header\n", "does not begin with the line ply"),
    "endless": ("a.ply", b"ply\ncomment\n", "ends in end_header"),
    "no format": ("a.ply", b"ply\nelement vertex 1\nend_header\n", "no line format"),
    "line": ("a.ply", ply(b"", "ascii", "element vertex many"), "'element vertex many' is not understood"),
    "no vertex": ("a.ply", ply(b"", "ascii", "element face 0"), r"elements are \['face'\]; expected one named vertex"),
    "lists": (
        "a.ply",
        ply(b"", "binary_little_endian", "element face 1", "property list uchar int i", *VERTEX),
        "lists stand before its vertices",
    ),
    "list in it": ("a.ply", ply(ASCII, "ascii", *VERTEX, "property list uchar int i"), "and no lists"),
    "no y": ("a.ply", ply(ASCII, "ascii", *VERTEX[:2], "property float z"), r"properties \['x', 'z'\]"),
    "short ply": ("a.ply", ply(BIG, "binary_big_endian", *VERTEX[:1], *(f"property double {a}" for a in "xyz")), "cut"),
    "short lines": ("a.ply", ply(ASCII[:-8], "ascii", *VERTEX), "holds 2 vertices, but 3 were declared"),
    "row": ("a.ply", ply(b"1 2 3\n1 2\n1 2 3\n", "ascii", *VERTEX), "vertex 1 has 2 numbers; expected 3"),
    "kitti": ("a.bin", bytes(30), "has 30 bytes; expected 16 a point"),
    "other layout": ("a.bin", np.full((2, 4), 1e20, "<f4").tobytes(), "coordinate of 1e.20; expected metres"),
    "nuscenes": ("a.pcd.bin", bytes(16), "expected 20 a point"),
    "npy": ("a.npy", b"not numpy", "not a readable .npy"),
    "ending": ("a.las", b"", "does not end in .pcd, .ply, .bin, .npy, .npz"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_named(tmp_path: Path, case: str) -> None:
    name, data, message = WRONG[case]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        read_cloud(path)
    assert str(path) in str(error.value)
    assert str(error.value).count(str(path)) == 1


def test_wrong_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.zeros((5, 2)))
    np.save(tmp_path / "words.npy", np.array(["a"]))
    np.savez(tmp_path / "two.npz", a=POINTS, b=POINTS)
    np.save(tmp_path / "one.npy", POINTS)
    np.save(tmp_path / "over.npy", np.zeros((3, 60)))
    for name, message in (
        ("flat.npy", r"array of shape \(5, 2\) and type float64; expected N x 3"),
        ("words.npy", "expected numbers, objects are never loaded"),
        ("two.npz", "holds 2 arrays"),
        ("over.npy", "expected a row for each point: turn it over"),
    ):
        with pytest.raises(ValueError, match=message):
            read_cloud(tmp_path / name)
    with pytest.raises(ValueError, match=r"one array of shape \(3, 3\); expected T x N x 3 for a walk"):
        read_clouds(tmp_path / "one.npy")
    (tmp_path / "bad.pkl").write_bytes(b"cos\nsystem\n(S'touch zz'\ntR.")
    with pytest.raises(ValueError, match=r"is refused: it asks for os\.system"):
        read_clouds(tmp_path / "bad.pkl")
    save_file({"points": torch.zeros(3, 3), "counts": torch.tensor([1, 1])}, tmp_path / "odd.safetensors")
    with pytest.raises(ValueError, match="counts add up to 2, but it holds 3 points"):
        read_clouds(tmp_path / "odd.safetensors")
    save_file({"points": torch.zeros(3, 3), "counts": torch.tensor([3.0])}, tmp_path / "real.safetensors")
    with pytest.raises(ValueError, match=r"counts are of type torch\.float32; expected whole numbers"):
        read_clouds(tmp_path / "real.safetensors")
    save_file({"points": torch.ones(3, 3).bfloat16(), "counts": torch.tensor([3])}, tmp_path / "half.safetensors")
    assert np.array_equal(read_clouds(tmp_path / "half.safetensors")[0], np.ones((3, 3), np.float32))
    save_file({"points": torch.zeros(3, 3)}, tmp_path / "no.safetensors")
    with pytest.raises(ValueError, match=r"holds \['points'\]; expected points"):
        read_clouds(tmp_path / "no.safetensors")


def test_limits(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(64))
    with pytest.raises(ValueError, match="has 64 bytes, more than the limit of 63"):
        read_cloud(tmp_path / "a.bin", limit=63)
    with pytest.raises(FileNotFoundError, match=r"b\.bin is missing"):
        read_cloud(tmp_path / "b.bin")
