"""Rules on a six-row gallery, every expected matrix written out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.protocol import CAMERA_CHANGE, CLOTHES_CHANGE, PLAIN, Rule, never, same

QUERY = pd.DataFrame(
    {
        "key": ["a", "q"],
        "identity": ["1", None],
        "camera": ["c1", "c2"],
        "clothes": ["red", None],
    }
)
GALLERY = pd.DataFrame(
    {
        "key": ["a", "b", "c", "d", "e", "f"],
        "identity": ["1", "1", "1", "2", None, "1"],
        "camera": ["c1", "c2", "c2", "c1", "c2", None],
        "clothes": ["red", "red", "blue", "red", None, None],
    }
)
NOTHING = [0, 0, 0, 0, 0, 0]


def matrix(rule: Rule) -> list[list[int]]:
    return rule.on(QUERY, GALLERY)(slice(0, 2)).astype(int).tolist()


def test_plain() -> None:
    assert matrix(PLAIN.hit) == [[1, 1, 1, 0, 0, 1], NOTHING]
    assert matrix(PLAIN.skip) == [[1, 0, 0, 0, 0, 0], NOTHING]


def test_camera_change() -> None:
    assert matrix(CAMERA_CHANGE.hit) == [[1, 1, 1, 0, 0, 1], NOTHING]
    assert matrix(CAMERA_CHANGE.skip) == [[1, 0, 0, 0, 0, 0], NOTHING]


def test_clothes_change() -> None:
    # unknown clothes are not the same clothes, so row 'f' stays a hit
    assert matrix(CLOTHES_CHANGE.hit) == [[0, 0, 1, 0, 0, 1], NOTHING]
    assert matrix(CLOTHES_CHANGE.skip) == [[1, 1, 0, 0, 0, 0], NOTHING]


def test_unknown_is_never_the_same() -> None:
    assert matrix(same("identity"))[1] == NOTHING
    assert matrix(same("camera")) == [[1, 0, 0, 1, 0, 0], [0, 1, 1, 0, 1, 0]]
    numbers = pd.DataFrame({"key": ["a", "b"], "identity": [np.nan, 2.0]})
    assert same("identity").on(numbers, numbers)(slice(0, 2)).tolist() == [[False, False], [False, True]]


def test_never() -> None:
    assert matrix(never()) == [NOTHING, NOTHING]
    assert matrix(~never()) == [[1] * 6, [1] * 6]
    assert never().on(QUERY, GALLERY)(slice(1, 2)).shape == (1, 6)


def test_missing_label_is_named() -> None:
    with pytest.raises(KeyError, match=r"the query table has no label 'view'; it has \['camera'.*'key'\]"):
        same("view").on(QUERY, GALLERY)
    with pytest.raises(KeyError, match="the gallery table has no label 'camera'"):
        (same("identity") & ~same("camera")).on(QUERY, GALLERY.drop(columns="camera"))


def test_text_reads_like_the_rule() -> None:
    assert str(CLOTHES_CHANGE.hit) == "(same('identity') & ~same('clothes'))"
    assert str(CLOTHES_CHANGE.skip) == "(same('identity') & (same('camera') | same('clothes')))"


@given(st.sampled_from(["identity", "camera", "clothes"]), st.sampled_from(["identity", "camera", "clothes"]))
def test_de_morgan(one: str, other: str) -> None:
    assert matrix(~(same(one) & same(other))) == matrix(~same(one) | ~same(other))


def test_blocks_of_rows_make_the_whole() -> None:
    block = CLOTHES_CHANGE.skip.on(QUERY, GALLERY)
    parts = np.concatenate([block(slice(0, 1)), block(slice(1, 2))])
    np.testing.assert_array_equal(parts, block(slice(0, 2)))
