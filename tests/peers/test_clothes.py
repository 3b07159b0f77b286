"""Simple-CCReID's rules on six rows by hand, and against loops."""

import pytest

from tests.peers.hands import people, six
from tests.peers.naive import cosine_distance, means, retrieved, rows_of, same
from tests.peers.test_market import rows
from unbraid.data.protocols import CLOTHES_CHANGE, SAME_CLOTHES
from unbraid.peers import compare_rules

BOTH = [CLOTHES_CHANGE, SAME_CLOTHES]


def test_by_hand() -> None:
    found = rows(compare_rules(*six(), protocols=BOTH, rates=False))
    # changed: g3 wears the query's clothes and is skipped; g0, g2, g4, g5 (rank 4)
    assert found["Simple-CCReID CC"].mean_ap == pytest.approx(1 / 4)
    # same: g5 wears others and is skipped; g0, g2, g3 (rank 3), g4
    assert found["Simple-CCReID SC"].mean_ap == pytest.approx(1 / 3)
    assert found["Simple-CCReID SC"].counted == 1
    assert found["Simple-CCReID CC"].reasons == ("the same rule as ours",)


@pytest.mark.parametrize("seed", range(4))
def test_equal_loops(seed: int) -> None:
    query, gallery = people(seed + 50, parts=1 + seed % 2)
    found = rows(compare_rules(query, gallery, protocols=BOTH, rates=False))
    asked, offered = rows_of(query), rows_of(gallery)
    person, camera, clothes = same("identity"), same("camera"), same("clothes")
    distances = cosine_distance(query, gallery, flat=True)
    for rule, changed in (("Simple-CCReID CC", True), ("Simple-CCReID SC", False)):
        lists = [
            retrieved(
                distances[i],
                q,
                offered,
                person,
                lambda a, b, changed=changed: person(a, b) and (camera(a, b) or clothes(a, b) == changed),
            )
            for i, q in enumerate(asked)
        ]
        for column, wanted in means(lists).items():
            shown = getattr(found[rule], column)
            assert shown is None or shown == pytest.approx(wanted, abs=1e-9), (rule, column)


def test_a_table_without_clothes_says_so() -> None:
    query, gallery = six()
    del query.table["clothes"]
    row = rows(compare_rules(query, gallery, rates=False))["Simple-CCReID CC"]
    assert row.mean_ap is None
    assert "'clothes'" in row.problem


def test_unknown_clothes_of_a_known_person_are_not_guessed() -> None:
    query, gallery = six()
    gallery.table.loc[5, "clothes"] = None
    found = compare_rules(query, gallery, protocols=[CLOTHES_CHANGE], rates=False)
    assert "1 gallery items of known identity have no 'clothes'" in rows(found)["Simple-CCReID CC"].problem
    assert rows(found)["ours"].mean_ap is not None
    assert "Simple-CCReID CC (evaluate_with_clothes, mode CC) not scored: 1 gallery items" in str(found)
