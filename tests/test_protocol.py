"""Rules on a six-row gallery, every expected matrix written out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid.data import protocols
from unbraid.data.protocols import CAMERA_CHANGE, CLOTHES_CHANGE, PLAIN
from unbraid.protocol import EVERYTHING, Rule, Where, never, same

QUERY = pd.DataFrame(
    {
        "key": ["a", "q"],
        "identity": ["1", None],
        "camera": ["c1", "c2"],
        "clothes": ["red", None],
        "other_clothes": ["blue", None],
        "action": ["walk", None],
    }
)
GALLERY = pd.DataFrame(
    {
        "key": ["a", "b", "c", "d", "e", "f"],
        "identity": ["1", "1", "1", "2", None, "1"],
        "camera": ["c1", "c2", "c2", "c1", "c2", None],
        "clothes": ["red", "red", "blue", "red", None, None],
        "action": ["walk", "run", "walk", "walk", "run", "run"],
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
    with pytest.raises(KeyError, match=r"the query table has no label 'view'; it has \['action'.*'other_clothes'\]"):
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


def test_same_clothes_and_one_other_outfit() -> None:
    assert matrix(protocols.SAME_CLOTHES.hit) == [[1, 1, 0, 0, 0, 0], NOTHING]
    assert matrix(protocols.SAME_CLOTHES.skip) == [[1, 0, 1, 0, 0, 1], NOTHING]
    assert matrix(protocols.ONE_CLOTHES_CHANGE.hit) == [[0, 0, 1, 0, 0, 0], NOTHING]
    assert matrix(protocols.ONE_CLOTHES_CHANGE.skip) == [[1, 1, 0, 0, 0, 1], NOTHING]
    assert matrix(protocols.OTHER_CAMERAS.hit) == [[0, 0, 1, 0, 0, 1], NOTHING]
    assert matrix(protocols.OTHER_CAMERAS.skip) == [[1, 1, 0, 1, 0, 0], [0, 1, 1, 0, 1, 0]]
    assert str(protocols.ONE_CLOTHES_CHANGE.hit) == "(same('identity') & same('other_clothes', 'clothes'))"


def test_activity() -> None:
    assert matrix(protocols.SAME_ACTIVITY.hit) == [[1, 1, 1, 0, 0, 1], NOTHING]
    assert matrix(protocols.SAME_ACTIVITY.skip) == [NOTHING, NOTHING]
    # whoever it shows: distractors in the query's camera are left out too
    assert matrix(protocols.SAME_ACTIVITY_OTHER_CAMERA.skip) == [[1, 0, 0, 1, 0, 0], [0, 1, 1, 0, 1, 0]]
    assert matrix(protocols.CROSS_ACTIVITY.hit) == [[0, 1, 0, 0, 0, 1], NOTHING]
    assert matrix(protocols.CROSS_ACTIVITY.skip) == [[1, 0, 1, 1, 0, 0], NOTHING]
    assert matrix(protocols.CROSS_ACTIVITY_OTHER_CAMERA.skip) == [[1, 0, 1, 1, 0, 0], [0, 1, 1, 0, 1, 0]]
    assert matrix(protocols.CROSS_ACTIVITY_AND_CLOTHES.hit) == [[0, 0, 0, 0, 0, 1], NOTHING]
    assert matrix(protocols.CROSS_ACTIVITY_AND_CLOTHES.skip) == [[1, 1, 1, 1, 0, 0], [0, 1, 1, 0, 1, 0]]


def test_names_are_unique_and_gait_names_both_sensors() -> None:
    assert all(name == protocol.name for name, protocol in protocols.NAMED.items())
    # 13 plain ones and PLAIN itself, then 4 pairs of sensors in 8 conditions, in all, and in walks of one's own
    assert len(protocols.NAMED) == 14 + 4 * 10
    chosen = protocols.named("gait/depth-in-silhouette/night@1")
    assert chosen.query.labels == {"modality": ("depth",), "condition": ("night",)}
    assert chosen.gallery.labels == {"modality": ("silhouette",), "condition": ("normal",)}
    with pytest.raises(KeyError, match=r"did you mean 'clothes-change@1'"):
        protocols.named("cloths-change@1")


def test_where_chooses_rows() -> None:
    assert EVERYTHING.rows(GALLERY, "gallery").tolist() == [0, 1, 2, 3, 4, 5]
    both = Where({"action": ("walk",), "camera": ("c1", "c3")})
    assert both.rows(GALLERY, "gallery").tolist() == [0, 3]
    assert str(both) == "action in ['walk'] and camera in ['c1', 'c3']"
    with pytest.raises(ValueError, match="no gallery item has action in \\['swim'\\]"):
        Where({"action": ("swim",)}).rows(GALLERY, "gallery")
    with pytest.raises(KeyError, match="the query table has no label 'weather'"):
        Where({"weather": ("rain",)}).rows(QUERY, "query")


@pytest.mark.parametrize("values", [1, 127, 128, 129, 300, 32_769])
def test_any_number_of_values(values: int) -> None:
    """Codes are kept in few bytes; the first and the last value stay apart from each other and from the unknown."""
    query = pd.DataFrame({"key": ["a", "b", "c"], "identity": ["0", str(values - 1), None]})
    names = [*map(str, range(values)), None]
    gallery = pd.DataFrame({"key": names, "identity": names})
    found = same("identity").on(query, gallery)(slice(0, 3))
    assert found.sum(axis=1).tolist() == [1, 1, 0]
    assert found[0, 0]
    assert found[1, values - 1]
