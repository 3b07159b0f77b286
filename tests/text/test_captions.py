import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.text.captions import (
    ASPECTS,
    Caption,
    append_captions,
    coverage,
    mend,
    read_captions,
    write_captions,
)

GOOD = {"key": "a", "aspect": "hair", "text": "The hair is short.", "source": {"model": "hand"}}
ONE, TWO = (Caption(key, "hair", "The hair is short.", {"model": "m", "prompt": 1}) for key in "ab")

# anything a file can hold: no lone surrogates, and not only white space
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
FACTS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS
ROWS = st.lists(
    st.builds(Caption, WORDS, st.sampled_from(ASPECTS), WORDS, st.dictionaries(WORDS, FACTS, max_size=3)),
    unique_by=lambda row: (row.key, row.aspect),
)


@given(rows=ROWS, cut=st.integers(0, 4))
def test_written_rows_are_read_back(rows, cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "captions.jsonl"
    write_captions(path, rows[:cut])
    append_captions(path, rows[cut:])
    assert read_captions(path) == rows
    assert path.read_bytes().count(b"\n") == len(rows)


def test_the_format_by_hand(tmp_path):
    path = tmp_path / "captions.jsonl"
    write_captions(path, [Caption("a", "clothing", "a\u2028b “é”", {"model": "m", "frames": 1, "revision": None})])
    assert path.read_text(encoding="utf-8") == (
        '{"key": "a", "aspect": "clothing", "text": "a\u2028b “é”", '
        '"source": {"model": "m", "frames": 1, "revision": null}}\n'
    )
    # as an editor on Windows leaves it: byte order mark, carriage returns, blank lines, no end of the last line
    path.write_bytes(
        b"\xef\xbb\xbf\r\n" + json.dumps(GOOD).encode() + b"\r\n\r\n" + json.dumps(GOOD | {"key": "b"}).encode()
    )
    assert [row.key for row in read_captions(path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"key": "a", "asp', "not JSON"),
        ("[]", "expected an object with key, aspect, text, source and nothing else; found list"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "source"}), "nothing else; found"),
        (json.dumps(GOOD | {"colour": "red"}), "colour"),
        (json.dumps(GOOD | {"text": "  "}), "'text' is '  '"),
        (json.dumps(GOOD | {"key": 7}), "'key' is 7"),
        (json.dumps(GOOD | {"text": "\ud800"}), "half a character"),
        (json.dumps(GOOD | {"source": "hand"}), "'source' is 'hand'"),
        (json.dumps(GOOD | {"source": {"a": [1]}}), "'source' is"),
        (json.dumps(GOOD | {"text": "other"}), r"second text about the hair of 'a'; the first is in line 1"),
    ],
)
def test_wrong_lines_are_named(tmp_path, line, message):
    path = tmp_path / "captions.jsonl"
    path.write_text(json.dumps(GOOD) + "\n\n" + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"captions\.jsonl, line 3: ") as error:
        read_captions(path)
    assert error.match(message)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(FileNotFoundError, match="unbraid caption ROOT --out"):
        read_captions(tmp_path / "captions.jsonl")
    (tmp_path / "x").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_captions(tmp_path / "x")


def test_rows_that_cannot_be_read_back_are_not_written(tmp_path):
    path = tmp_path / "captions.jsonl"
    write_captions(path, [ONE])
    for bad in (Caption("", "hair", "x", {}), Caption("a", "hair", "", {}), Caption("a", "hair", "\udc00", {})):
        with pytest.raises(ValueError, match="caption of"):
            append_captions(path, [TWO, bad])
    with pytest.raises(ValueError, match="two captions of a about hair"):
        write_captions(path, [ONE, ONE])
    assert read_captions(path) == [ONE]
    assert [file.name for file in tmp_path.iterdir()] == ["captions.jsonl"]


def test_every_cut_is_mended(tmp_path):
    path = tmp_path / "captions.jsonl"
    write_captions(path, [ONE, Caption("é€", "hair", "é€", {"model": "m"})])
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        lost = mend(path)
        # a line is whole with or without its line feed
        lines = 2 if length >= len(whole) - 1 else 1 if length >= first - 1 else 0
        assert len(read_captions(path)) == lines, length
        assert path.read_bytes() == whole[: (0, first, len(whole))[lines]]
        assert lost == max(length - (0, first, len(whole))[lines], 0)
    assert mend(tmp_path / "none") == 0
    assert not os.path.exists(tmp_path / "none")


def test_readers_refuse_a_cut_line(tmp_path):
    path = tmp_path / "captions.jsonl"
    write_captions(path, [ONE, TWO])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="line 2: not JSON"):
        read_captions(path)


def test_coverage_by_hand():
    rows = [Caption(f"k{n}", "hair", "short" if n < 3 else "long", {}) for n in range(4)]
    rows += [Caption("k0", "clothing", "coat", {}), Caption("other", "hair", "bald", {})]
    found = coverage(rows, [f"k{n}" for n in range(10)] + ["k0"], ("hair", "clothing", "pose"))
    assert list(found) == ["hair", "clothing", "pose"]
    hair, clothing, pose = found.values()
    assert (hair.wanted, hair.present, hair.share) == (10, 4, 0.4)
    assert hair.missing == ("k4", "k5", "k6", "k7", "k8")
    assert (hair.texts, hair.commonest, hair.repeated) == (2, "short", 3)
    assert (clothing.present, clothing.texts, clothing.missing[0]) == (1, 1, "k1")
    assert (pose.present, pose.share, pose.texts, pose.commonest) == (0, 0.0, 0, "")
    assert coverage(rows, [], ["hair"])["hair"].share == 1.0
