"""Arrays of foreign files. Oracle of what is read: numpy and pickle themselves; of what is refused: the attack."""

import contextlib
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unbraid.data.arrays import count_frames, load_array, load_arrays

RANDOM = np.random.default_rng(0)
SILHOUETTES = RANDOM.integers(0, 256, (5, 64, 64), dtype=np.uint8)
ARRAYS: dict[str, NDArray[Any]] = {
    "silhouettes": SILHOUETTES,
    "depth": RANDOM.integers(0, 256, (300, 3, 4, 4), dtype=np.uint8),
    "columns first": np.asfortranarray(RANDOM.normal(size=(3, 4, 2))),
    "big endian": RANDOM.normal(size=(4, 3)).astype(">f4"),
    "bool": RANDOM.random((3, 5)) > 0.5,
    "flat": np.arange(7, dtype=np.int64),
    "empty": np.zeros((0, 64, 64), np.uint8),
    "many frames": np.zeros((70000, 1, 1), np.uint8),
}


def pickled(folder: Path, value: Any, protocol: int | None = None) -> Path:
    path = folder / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ARRAYS)
def test_pickled_arrays_are_read_as_pickle_reads_them(tmp_path: Path, name: str, protocol: int) -> None:
    array = ARRAYS[name]
    path = pickled(tmp_path, array, protocol)
    found = load_array(path)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype.newbyteorder("=")
    assert count_frames(path) == len(array)


@pytest.mark.parametrize("old", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_both_homes_of_numpy_and_python_2(tmp_path: Path, old: str) -> None:
    path = tmp_path / "a.pkl"
    # written out by hand: what Python 2 stores for numpy.array([1, 2, 3], 'uint8') with protocol 2
    path.write_bytes(
        b"\x80\x02c"
        + old.encode()
        + b"\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85U\x01b\x87Rq\x02(K\x01K\x03\x85"
        b"cnumpy\ndtype\nq\x03U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x03\x01\x02\x03tb."
    )
    assert load_array(path).tolist() == [1, 2, 3]
    assert count_frames(path) == 3


def test_the_number_of_frames_comes_from_the_head(tmp_path: Path) -> None:
    for protocol in (2, 3, 4):
        path = pickled(tmp_path, np.zeros((37, 64, 64), np.uint8), protocol)
        path.write_bytes(path.read_bytes()[:4096])
        assert count_frames(path) == 37
        with pytest.raises(ValueError, match=r"a\.pkl is refused"):
            load_array(path)


def test_lists_of_arrays(tmp_path: Path) -> None:
    clouds = [RANDOM.normal(size=(n, 3)) for n in (4, 6)]
    for value in (clouds, tuple(clouds)):
        found = load_arrays(pickled(tmp_path, value))
        for one, other in zip(found, clouds, strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"a\.pkl holds 2 arrays of shapes \[\(4, 3\), \(6, 3\)\]; expected one"):
        load_array(pickled(tmp_path, clouds))
    frames = pickled(tmp_path, list(SILHOUETTES))
    np.testing.assert_array_equal(load_array(frames), SILHOUETTES)
    assert count_frames(frames) == 5
    np.testing.assert_array_equal(load_array(pickled(tmp_path, [SILHOUETTES])), SILHOUETTES[None])
    assert [float(a) for a in load_arrays(pickled(tmp_path, [np.float32(1.5), np.float64(2.5)]))] == [1.5, 2.5]


class Runs:
    """Pickles as a call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


class Sub(np.ndarray):
    pass


HOSTILE = {
    "os.system": (Runs(os.system, "touch {}"), r"\w+\.system"),
    "eval": (Runs(eval, "open('{}', 'w')"), r"\w+\.eval"),
    "exec in a list": ([SILHOUETTES, Runs(exec, "open('{}', 'w')")], r"\w+\.exec"),
    "getattr": (Runs(getattr, "a", "load"), r"\w+\.getattr"),
    "open": (Runs(open, "{}", "w"), r"\w+\.open"),
    "numpy's own eval": (Runs(np.load, "{}"), r"numpy\S*\.load"),
    "subclass": (np.zeros(3).view(Sub), r"test_arrays\.Sub"),
    "path": (Path("{}"), r"asks for pathlib"),
    "objects": (np.array([{"a": 1}, None], dtype=object), "array of type 'O8'"),
    "objects inside": (np.array([Runs(os.system, "touch {}")], dtype=object), "O8|system"),
    "records": (np.zeros(2, [("a", "u1"), ("b", "f4")]), "array of type 'V5'"),
    "text": (np.array(["a"]), "array of type 'U1'"),
    "dates": (np.zeros(1, "M8[s]"), "array of type 'M8'"),
    "dictionary": ({"a": SILHOUETTES}, "instruction EMPTY_DICT"),
    "nested": ([[SILHOUETTES]], "a list that holds other things"),
    "number": (3, "a value of type 'int'"),
    "float": (3.5, "instruction BINFLOAT"),
    "string": ("a", "a value of type 'str'"),
    "nothing": (None, "a value of type 'NoneType'"),
    "empty list": ([], "an empty list"),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_and_not_run(tmp_path: Path, name: str, protocol: int) -> None:
    value, reason = HOSTILE[name]
    trace = tmp_path / "was run"
    path = tmp_path / "a.pkl"
    made = pickle.dumps(value, protocol)
    if b"{}" in made:  # the same length, so that the pickle stays well formed
        path.write_bytes(made.replace(b"{}", b"zz"))
        trace = Path("zz")
    else:
        path.write_bytes(made)
    for read in (load_array, load_arrays, count_frames):
        with pytest.raises(ValueError, match=rf"a\.pkl is refused: .*{reason}.*nothing in the file was run"):
            read(path)
    assert not trace.exists()


HEAD = b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
KIND = (
    b"cnumpy\ndtype\nX\x02\x00\x00\x00u1K\x00K\x01\x87R(K\x03X\x01\x00\x00\x00|NNN"
    b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
HUGE = b"\x8a\x08" + struct.pack("<q", 1 << 60)
BY_HAND = {
    "huge shape": (
        HEAD + b"(K\x01" + HUGE + b"\x85" + KIND + b"\x89C\x03abctb.",
        "declares shape .* but holds 3 bytes",
    ),
    "negative shape": (HEAD + b"(K\x01J\xff\xff\xff\xff\x85" + KIND + b"\x89C\x03abctb.", "shape"),
    "true as shape": (HEAD + b"(K\x01\x88\x85" + KIND + b"\x89C\x01atb.", "shape"),
    "huge bytes": (HEAD + b"(K\x01K\x03\x85" + KIND + b"\x89\x8e" + struct.pack("<Q", 1 << 60) + b"abctb.", "bytes"),
    "huge memo": (b"\x80\x04Nr\xff\xff\xff\x7f.", "NoneType"),
    "huge number": (b"\x80\x04\x8b\xff\xff\xff\x7f.", "not enough data"),
    "no contents": (HEAD + b".", "an array without contents"),
    "list of itself": (b"\x80\x04]\x94h\x00a.", "a list that holds other things"),
    "builds a list": (b"\x80\x04]K\x01\x85b.", "sets attributes of something that is no array"),
    "builds a name": (b"\x80\x04cnumpy\nndarray\nK\x01\x85b.", "sets attributes"),
    "calls a class": (b"\x80\x04cnumpy\nndarray\nK\x01\x85R.", "calls ndarray"),
    "calls a call": (HEAD + b")R.", "calls _Array in a way"),
    "new object": (b"\x80\x04cnumpy\nndarray\n)\x81.", "instruction NEWOBJ"),
    "persistent": (b"\x80\x04Pwhatever\n.", "instruction PERSID"),
    "registered": (b"\x80\x04\x82\x01.", "instruction EXT1"),
    "other coding": (b"\x80\x04c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.", "calls encode"),
    "dotted name": (b"\x80\x04X\x05\x00\x00\x00numpyX\x0d\x00\x00\x00dtype.__new__\x93.", "numpy.dtype.__new__"),
    "empty stack": (b"\x80\x04.", "malformed"),
    "no mark": (b"\x80\x04t.", "malformed"),
    "unknown memo": (b"\x80\x04h\x07.", "malformed"),
    "no instruction": (b"\xff\xff", "unknown"),
    "empty": (b"", "exhausted"),
    "text": (b"hello world", "malformed"),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_malformed_pickles(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(BY_HAND[name][0])
    with pytest.raises(ValueError, match=rf"a\.pkl is refused: .*{BY_HAND[name][1]}"):
        load_arrays(path)


# a tuple that holds itself doubled a hundred times: to show or to hash it would never end
PAIRS = b"".join(b"\x94h" + bytes([n]) + b"\x86" for n in range(100))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04)" + PAIRS + b"K\x01\x93.",
        b"\x80\x04cnumpy\ndtype\n)" + PAIRS + b"\x85R.",
        HEAD + b"(K\x01)" + PAIRS + KIND + b"\x89C\x01atb.",
        b"\x80\x04)" + PAIRS + b".",
        b"\x80\x04)" + PAIRS + b"R.",
    ],
)
def test_tuples_in_tuples_do_not_hang(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    for read in (load_arrays, count_frames):
        with pytest.raises(ValueError, match=r"a\.pkl is refused"):
            read(path)


def test_the_pickle_written_by_hand_is_right_but_for_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(HEAD + b"(K\x01K\x03\x85" + KIND + b"\x89C\x03abctb.")
    assert load_array(path).tolist() == [97, 98, 99]


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_cut_anywhere_is_refused(tmp_path: Path, protocol: int) -> None:
    whole = pickle.dumps([np.arange(6, dtype=np.uint8).reshape(2, 3)] * 2, protocol)
    path = tmp_path / "a.pkl"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"a\.pkl is refused"):
            load_array(path)


def test_bytes_changed_at_random_never_do_more_than_raise(tmp_path: Path) -> None:
    whole = pickle.dumps(np.arange(6, dtype=np.uint8), 4)
    path = tmp_path / "a.pkl"
    for _ in range(200):
        data = bytearray(whole)
        for place in RANDOM.integers(0, len(data), 2):
            data[place] = RANDOM.integers(256)
        path.write_bytes(data)
        with contextlib.suppress(ValueError):
            assert load_array(path).nbytes <= 6


def test_an_array_named_many_times_counts_each_time(tmp_path: Path) -> None:
    path = pickled(tmp_path, [SILHOUETTES] * 100)
    assert path.stat().st_size < 30_000
    with pytest.raises(ValueError, match=r"a\.pkl unpacks to more bytes than the limit of 100000"):
        load_array(path, limit=100_000)


def test_npy_and_npz(tmp_path: Path) -> None:
    for name, array in ARRAYS.items():
        np.save(tmp_path / f"{name}.npy", array)
        np.savez_compressed(tmp_path / f"{name}.npz", array)
        for ending in ("npy", "npz"):
            np.testing.assert_array_equal(load_array(tmp_path / f"{name}.{ending}"), array)
            assert count_frames(tmp_path / f"{name}.{ending}") == len(array)
    np.savez(tmp_path / "two.npz", first=np.zeros(2), second=np.ones(2))
    assert [a.tolist() for a in load_arrays(tmp_path / "two.npz")] == [[0, 0], [1, 1]]
    with pytest.raises(ValueError, match=r"two\.npz holds 2 arrays"):
        load_array(tmp_path / "two.npz")
    np.save(tmp_path / "one.npy", np.float32(3))
    with pytest.raises(ValueError, match=r"one\.npy holds a single number"):
        count_frames(tmp_path / "one.npy")


def test_endings_in_capitals(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", SILHOUETTES)
    np.savez(tmp_path / "b.npz", SILHOUETTES)
    (tmp_path / "c.PKL").write_bytes(pickle.dumps(SILHOUETTES))
    for name in ("a.npy", "b.npz"):
        (tmp_path / name).rename(tmp_path / name.upper())
    for name in ("A.NPY", "B.NPZ", "c.PKL"):
        assert np.array_equal(load_array(tmp_path / name), SILHOUETTES)
        assert count_frames(tmp_path / name) == len(SILHOUETTES)


def test_npy_and_npz_that_are_refused(tmp_path: Path) -> None:
    objects = np.array([Runs(os.system, "touch zz")], dtype=object)
    np.save(tmp_path / "objects.npy", objects)
    np.savez(tmp_path / "objects.npz", objects)
    np.save(tmp_path / "records.npy", np.zeros(2, [("a", "u1")]))
    np.save(tmp_path / "good.npy", SILHOUETTES)
    whole = (tmp_path / "good.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-1])
    (tmp_path / "cut head.npy").write_bytes(whole[:20])
    (tmp_path / "huge.npy").write_bytes(whole.replace(b"(5, 64, 64), }        ", b"(50000000, 64, 64), } "))
    (tmp_path / "garbled head.npy").write_bytes(whole.replace(b"{'descr'", b"{garbage"))
    np.savez_compressed(tmp_path / "garbled.npz", SILHOUETTES)
    packed = bytearray((tmp_path / "garbled.npz").read_bytes())
    packed[60:80] = bytes(20)
    (tmp_path / "garbled.npz").write_bytes(packed)
    (tmp_path / "text.npy").write_bytes(b"hello")
    (tmp_path / "text.npz").write_bytes(b"hello")
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("a.npy", (tmp_path / "huge.npy").read_bytes())
    reasons = {
        "objects.npy": "objects are never loaded",
        "objects.npz": "objects are never loaded",
        "records.npy": "expected numbers",
        "cut.npy": "declares shape",
        "cut head.npy": "not a readable .npy",
        "garbled head.npy": "not a readable .npy",
        "garbled.npz": "not a whole .npz",
        "huge.npy": "declares shape",
        "huge.npz": "declares shape",
        "text.npy": "not a readable .npy",
        "text.npz": "not a whole .npz",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=rf"{name}.*{reason}"):
            load_array(tmp_path / name)
    assert not Path("zz").exists()
    np.savez_compressed(tmp_path / "bomb.npz", np.zeros(1_000_000, np.uint8))
    assert (tmp_path / "bomb.npz").stat().st_size < 10_000
    with pytest.raises(ValueError, match=r"bomb\.npz unpacks to 1000128 bytes, more than the limit of 10000"):
        load_array(tmp_path / "bomb.npz", limit=10_000)
    with pytest.raises(ValueError, match=r"good\.npy has \d+ bytes, more than the limit"):
        load_array(tmp_path / "good.npy", limit=10_000)


def test_files_that_are_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.pkl is missing"):
        load_array(tmp_path / "gone.pkl")
    (tmp_path / "a.mat").touch()
    with pytest.raises(ValueError, match=r"a\.mat does not end in \.npy, \.npz, \.pkl"):
        load_array(tmp_path / "a.mat")
