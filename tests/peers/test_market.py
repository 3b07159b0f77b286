"""The re-identification libraries' rules on six rows by hand, and against loops on random label sets."""

import pytest

from tests.peers.hands import people, six
from tests.peers.naive import cosine_distance, euclidean_distance, means, retrieved, rows_of, same
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.peers import Comparison, compare_rules
from unbraid.peers.table import Row

COLUMNS = ("rank_1", "rank_5", "rank_10", "mean_ap", "mean_inp")


def rows(found: Comparison) -> dict[str, Row]:
    return {row.rule: row for row in found.rows}


@pytest.fixture(scope="module")
def hand() -> dict[str, Row]:
    return rows(compare_rules(*six(), protocols=[CAMERA_CHANGE], rates=False))


def test_fast_reid_by_hand(hand: dict[str, Row]) -> None:
    # g1 is skipped; order g0, g2, g3 (rank 3), g4, g5 (rank 5)
    found = hand["fast-reid"]
    assert (found.rank_1, found.rank_5) == (0, 1)
    assert found.mean_ap == pytest.approx((1 / 3 + 2 / 5) / 2)
    assert found.mean_inp == pytest.approx(2 / 5)
    assert (found.counted, found.queries) == (1, 2)


def test_torchreid_ranks_by_squared_euclidean_distance(hand: dict[str, Row]) -> None:
    # g2 is three times as long, so it comes last: g0, g3 (rank 2), g4, g5 (rank 4), g2
    found = hand["torchreid"]
    assert found.mean_ap == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert found.mean_inp is None
    assert any("lengths vary by" in reason and "mAP +13.33" in reason for reason in found.reasons)


def test_torchreid_single_shot_by_hand(hand: dict[str, Row]) -> None:
    # drawn from A: g3, at rank 2, or g5, at rank 3; AP is that of the whole gallery
    found = hand["torchreid single-shot"]
    assert (found.rank_1, found.rank_5) == (0, 1)
    assert found.mean_ap == pytest.approx(0.5)
    assert any("one item of each of 4 identities (1 items of unknown identity as one)" in r for r in found.reasons)


def test_layumi_by_hand(hand: dict[str, Row]) -> None:
    # without the junk g0: g2, g3 (rank 2), g4, g5 (rank 4); q1 has no mate and counts as wrong
    found = hand["layumi baseline"]
    area = ((0 / 1 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2
    assert found.mean_ap == pytest.approx(area / 2)
    assert (found.rank_1, found.rank_5) == (0, 0.5)
    assert (found.counted, found.in_map) == (2, 2)
    text = "\n".join(found.reasons)
    assert "skips the 1 junk items (identity -1) of the gallery" in text
    assert "1 of 2 queries have no mate and count as wrong: rank-1 +0.00, mAP -16.67" in text


def test_transreid_is_the_cosine_order(hand: dict[str, Row]) -> None:
    assert hand["TransReID"].mean_ap == pytest.approx(hand["ours"].mean_ap)
    assert hand["TransReID"].reasons[0].startswith("changes nothing here: squared Euclidean distance of normalised")


@pytest.mark.parametrize("seed", range(4))
def test_equal_loops(seed: int) -> None:
    query, gallery = people(seed, parts=1 + 2 * (seed % 2))
    found = rows(compare_rules(query, gallery, protocols=[CAMERA_CHANGE], rates=False))
    asked, offered = rows_of(query), rows_of(gallery)
    person, camera = same("identity"), same("camera")
    flat, parts = (cosine_distance(query, gallery, flat=one) for one in (True, False))

    def lists(distances: object, junk: bool = False) -> list[list[bool]]:
        return [
            retrieved(
                distances[i],  # type: ignore[index]
                q,
                offered,
                person,
                lambda a, b: (person(a, b) and camera(a, b)) or (junk and b["identity"] == "-1"),
            )
            for i, q in enumerate(asked)
        ]

    expected = {
        "ours": means(lists(parts)),
        "fast-reid": means(lists(flat)),
        "TransReID": means(lists(flat)),
        "Simple-CCReID general": means(lists(flat)),
        "torchreid": means(lists(euclidean_distance(query, gallery, flat=True))),
        "layumi baseline": means(lists(parts, junk=True), trapezoid=True, wrong=True),
    }
    for rule, wanted in expected.items():
        for column in COLUMNS:
            shown = getattr(found[rule], column)
            assert shown is None or shown == pytest.approx(wanted[column], abs=1e-9), (rule, column)
    assert found["torchreid single-shot"].mean_ap == pytest.approx(expected["torchreid"]["mean_ap"], abs=1e-9)


def test_last_of_equal_scores_first_is_layumis_order() -> None:
    query, gallery = six()
    # g2, a stranger, and g3, a mate, in one direction: the later one, the mate, comes first
    gallery.spaces["identity"][2] = gallery.spaces["identity"][3]
    found = rows(compare_rules(query, gallery, protocols=[CAMERA_CHANGE], rates=False))
    text = "\n".join(found["layumi baseline"].reasons)
    assert "of equal scores the later gallery item comes first: rank-1 +100.00" in text
    assert "1 query with a mate that ties with a stranger" in text
    assert "rank-1 0.00 to 50.00" in text
    assert found["layumi baseline"].rank_1 == 0.5
    assert found["ours"].rank_1 == 0
