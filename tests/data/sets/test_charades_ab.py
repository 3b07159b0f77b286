"""Charades-AB on a tree like the owners'."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unbraid.data.sets.charades_ab import PROTOCOLS, read, shares

HEAD = "id,subject,scene,actions,length\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for key in ("AAAA1", "AAAA2", "AAAA3", "BBBB1", "BBBB2", "SHORT", "XXXXX"):
        (tmp_path / "Charades_v1_rgb" / key).mkdir(parents=True)
        for number in range(1, 3 if key == "SHORT" else 6):
            (tmp_path / f"Charades_v1_rgb/{key}/{key}-{number:06d}.jpg").touch()
    (tmp_path / "Charades_v1_train.csv").write_text(
        HEAD + 'BBBB1,HR43,"Kitchen, small",c092 11.90 21.20;c001 0.00 12.60;c092 25 30,30.5\n'
        "SHORT,HR43,Hall,c001 0.00 1.00,1.0\nGONE1,HR44,Hall,c001 0.00 1.00,1.0\n"
    )
    (tmp_path / "Charades_v1_test.csv").write_text(
        HEAD + "AAAA1,ZZ1,Hall,c000 0.00 1.00,9\nAAAA2,ZZ1,Hall,c156 0.00 1.00,9\nAAAA3,ZZ1,Hall,,9\n"
    )
    return tmp_path


def test_a_tree_with_odd_cases(root: Path) -> None:
    with pytest.warns(UserWarning, match="charades-ab: 1 listed videos are absent and 1 have fewer than 4 frames"):
        benchmark = read(root)
    (only,) = benchmark.train
    assert (only.key, only.identity, len(only)) == ("BBBB1", "HR43", 5)
    assert only.labels == {"actions": "c001+c092", "action": "c001"}
    test = {t.key: t.labels for t in (*benchmark.query, *benchmark.gallery)}
    assert sorted(test) == ["AAAA1", "AAAA2", "AAAA3"]
    assert "actions" not in test["AAAA3"]
    assert [p.name for p in PROTOCOLS] == list(benchmark.protocols)
    # of three clips one is a probe in the same activity; of two activities one asks and the other answers
    assert sorted(labels["same_activity"] for labels in test.values()) == ["gallery", "gallery", "probe"]
    assert sorted(labels["cross_activity"] for labels in test.values()) == ["gallery", "left out", "probe"]


def test_the_cross_protocols_on_six_rows() -> None:
    asked = pd.DataFrame({"identity": ["p"], "action": ["c001"], "actions": ["c001+c092"]})
    offered = pd.DataFrame(
        {
            "identity": ["p", "p", "p", "p", "q", "p"],
            "action": ["c001", "c003", "c002", "c000", "c092", None],
            "actions": ["c001", "c003+c092", "c002", "c000+c001", "c092", None],
        }
    )
    first, any_shared = PROTOCOLS[1:]
    # the first activity alone: rows 1 and 3 share an activity and are compared all the same
    assert first.hit.on(asked, offered)(slice(None)).tolist() == [[False, True, True, True, False, True]]
    assert first.skip.on(asked, offered)(slice(None)).tolist() == [[True, False, False, False, False, False]]
    assert any_shared.hit.on(asked, offered)(slice(None)).tolist() == [[False, False, True, False, False, True]]
    assert any_shared.skip.on(asked, offered)(slice(None)).tolist() == [[True, True, False, True, True, False]]


def test_shares_against_a_loop() -> None:
    random = np.random.default_rng(0)
    names = [f"c{n}" for n in range(6)]
    tables = [
        pd.DataFrame(
            {"actions": ["+".join(random.choice(names, n, replace=False)) or None for n in counts]}, dtype=object
        )
        for counts in (random.integers(0, 4, 9), random.integers(0, 4, 14))
    ]
    found = shares("actions").on(*tables)
    expected = [
        [bool(set((a or "").split("+")) & set((b or "").split("+")) - {""}) for b in tables[1]["actions"]]
        for a in tables[0]["actions"]
    ]
    assert found(slice(2, 7)).tolist() == expected[2:7]
    nothing = pd.DataFrame({"actions": [None, None]})
    assert not shares("actions").on(nothing, nothing)(slice(None)).any()
    with pytest.raises(KeyError, match="the gallery table has no label 'actions'; it has"):
        shares("actions").on(tables[0], pd.DataFrame({"key": ["a"]}))
    assert str(~shares("actions")) == "~shares('actions')"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("../..,HR43,Hall,,9\n", r"id '\.\./\.\.'"),
        ("AAAA1,,Hall,,9\n", "subject ''"),
        ("AAAA1,HR43,Hall,c1 0 1,9\n", "actions 'c1 0 1'"),
    ],
)
def test_rows_that_cannot_be_read(root: Path, row: str, what: str) -> None:
    (root / "Charades_v1_test.csv").write_text(HEAD + "AAAA1,ZZ1,Hall,,9\n" + row)
    with pytest.raises(ValueError, match=rf"Charades_v1_test\.csv, row 3: .*{what}"):
        read(root)


def test_files_that_are_missing(root: Path) -> None:
    (root / "Charades_v1_test.csv").write_text("id,subject\n")
    with pytest.raises(ValueError, match=r"lacks the columns \['actions'\]"):
        read(root)
    (root / "Charades_v1_test.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no Charades_v1_test\.csv"):
        read(root)
