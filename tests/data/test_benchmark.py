"""The hash of the data: the same for the same files, another for other ones."""

from pathlib import Path

from unbraid.data.benchmark import data_hash
from unbraid.tracklet import Arrays, Tracklet


def test_the_hash_knows_the_name_the_size_and_the_length_of_an_array_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"1234")
    first = data_hash([Tracklet("k", Arrays(path, 2))])
    assert data_hash([Tracklet("k", Arrays(path, 2))]) == first
    assert data_hash([Tracklet("k", Arrays(path, 3))]) != first
    path.write_bytes(b"12345")
    assert data_hash([Tracklet("k", Arrays(path, 2))]) != first
    path.rename(tmp_path / "b.pkl")
    other = tmp_path / "b.pkl"
    other.write_bytes(b"1234")
    assert data_hash([Tracklet("k", Arrays(other, 2))]) != first
