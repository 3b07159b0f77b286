"""OpenGait's rankers by hand and against loops: view cells, rounding, probes without a mate."""

import numpy as np
import pytest

from tests.peers.hands import embeddings, people
from tests.peers.naive import euclidean_distance, means, precision, retrieved, rows_of, same
from tests.peers.test_market import COLUMNS, rows
from unbraid.data.protocols import OTHER_VIEWS, SAME_ACTIVITY, VIEW_CELLS, WHOLE_GALLERY
from unbraid.peers import compare_rules

ALL = [VIEW_CELLS, OTHER_VIEWS, WHOLE_GALLERY]


def two_views() -> tuple[object, object]:
    """On a line: one query in view 000, three in view 090, the last without a mate."""
    query = embeddings(
        np.array([[0.0], [10.0], [13.0], [20.0]]),
        {"identity": ["A", "B", "C", "Z"], "view": ["000", "090", "090", "090"]},
        "q",
    )
    gallery = embeddings(
        np.array([[1.0], [3.0], [9.0], [2.0], [11.0], [30.0]]),
        {"identity": ["A", "B", "C", "A", "B", "C"], "view": ["000", "000", "000", "090", "090", "090"]},
        "g",
    )
    return query, gallery


def test_cells_by_hand() -> None:
    found = rows(compare_rules(*two_views(), protocols=ALL, rates=False))  # type: ignore[arg-type]
    # (000 in 090): q0 at 0 meets A at 2 first: 100. (090 in 000): q1 at 10 meets C at 9 first, q2 at 13 meets C first:
    # right, q3 has no mate: wrong. 1 of 3 is 33.33 per cent
    row = found["OpenGait view cells"]
    assert row.rank_1 == pytest.approx((100 + 33.33) / 2 / 100, abs=1e-12)
    assert (row.rank_5, row.mean_ap, row.counted) == (None, None, 4)
    text = "\n".join(row.reasons)
    assert "1 of 4 queries in a view have no mate and count as wrong" in text
    assert "a view has 3 gallery items only" in text


def test_cross_view_by_hand() -> None:
    # own view of the own person is skipped. q0: A of view 090 at 2 first; 100, AP 1.
    # q1 at 10, without B of its view: distances C 1, B 7, A 8, A 9, C 20: rank 2, AP 1/2.
    # q2 at 13, without C of its view: B 2, C 4: rank 2, AP 1/2. q3: wrong, no AP.
    row = rows(compare_rules(*two_views(), protocols=ALL, rates=False))["OpenGait cross-view"]  # type: ignore[arg-type]
    assert row.rank_1 == pytest.approx((100 + 0) / 2 / 100)
    assert row.mean_ap == pytest.approx((100 + 50) / 2 / 100)
    assert (row.counted, row.in_map) == (4, 3)


@pytest.mark.parametrize("seed", range(4))
def test_equal_loops(seed: int) -> None:
    query, gallery = people(seed + 100, parts=1 + seed % 3)
    found = rows(compare_rules(query, gallery, protocols=ALL, rates=False))
    asked, offered = rows_of(query), rows_of(gallery)
    person, view = same("identity"), same("view")
    distances = euclidean_distance(query, gallery, flat=False)

    def lists(skip: object) -> list[list[bool]]:
        return [retrieved(distances[i], q, offered, person, skip) for i, q in enumerate(asked)]  # type: ignore[arg-type]

    apart = lists(lambda a, b: person(a, b) and view(a, b))
    for rule, wanted in (
        ("OpenGait CCPG", means(apart)),
        ("OpenGait Gait3D", means(lists(lambda a, b: False))),
    ):
        for column in COLUMNS:
            assert getattr(found[rule], column) == pytest.approx(wanted[column], abs=1e-9), (rule, column)

    views = sorted({str(row["view"]) for row in (*asked, *offered)})
    ranks, precisions, cells = [], [], {1: np.zeros((3, 3)), 5: np.zeros((3, 3))}
    for v, name in enumerate(views):
        own = [one for one, q in zip(apart, asked, strict=True) if q["view"] == name]
        ranks.append(np.round(np.mean([one[0] for one in own]) * 100, 2))
        precisions.append(np.round(np.mean([precision(one) for one in own if any(one)]) * 100, 2))
        for w, other in enumerate(views):
            kept = lists(lambda a, b, other=other: b["view"] != other)
            these = [one for one, q in zip(kept, asked, strict=True) if q["view"] == name]
            for k in cells:
                cells[k][v, w] = np.round(sum(any(one[:k]) for one in these) * 100 / len(these), 2)
    assert found["OpenGait cross-view"].rank_1 == pytest.approx(np.mean(ranks) / 100, abs=1e-12)
    assert found["OpenGait cross-view"].mean_ap == pytest.approx(np.mean(precisions) / 100, abs=1e-12)
    off = ~np.eye(3, dtype=bool)
    for k, column in ((1, "rank_1"), (5, "rank_5")):
        value = getattr(found["OpenGait view cells"], column)
        assert value == pytest.approx(cells[k][off].mean() / 100, abs=1e-12)


def test_an_empty_cell_is_said_instead_of_averaged() -> None:
    query, gallery = people(7)
    query.table.loc[query.table["view"] == "090", "view"] = "000"
    found = rows(compare_rules(query, gallery, protocols=ALL, rates=False))
    assert "prints NaN, because no query has the view '090'" in found["OpenGait view cells"].problem
    assert "prints NaN" in found["OpenGait cross-view"].problem
    assert not found["OpenGait CCPG"].problem
    query, gallery = people(7)
    gallery.table.loc[gallery.table["view"] == "090", "view"] = "000"
    found = rows(compare_rules(query, gallery, protocols=ALL, rates=False))
    assert "stops with an error, because no gallery item has the view '090'" in found["OpenGait view cells"].problem


def test_a_view_without_any_mate_makes_their_map_nan() -> None:
    query, gallery = people(8)
    query.table.loc[query.table["view"] == "090", "identity"] = "nobody"
    row = rows(compare_rules(query, gallery, protocols=ALL, rates=False))["OpenGait cross-view"]
    assert row.mean_ap is not None
    assert np.isnan(row.mean_ap)
    assert "(no query of view '090' has a mate): " in "\n".join(row.reasons)
    assert "mAP becomes NaN" in "\n".join(row.reasons)
    assert row.rank_1 is not None
    assert row.rank_1 >= 0


def test_a_protocol_of_ours_with_the_same_pairs_has_the_same_peers() -> None:
    found = rows(compare_rules(*people(9), protocols=[SAME_ACTIVITY], rates=False))
    assert list(found) == ["ours", "OpenGait Gait3D"]
