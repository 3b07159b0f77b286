"""Leakage on made-up spaces whose content is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from unbraid.evaluate import evaluate
from unbraid.leakage import Bias, bias, leakage
from unbraid.protocol import Protocol, Shots, same
from unbraid.spaces import Embeddings, Spaces

PEOPLE, TAKES = 24, 12


def make(seed: int = 0) -> Embeddings:
    """'identity' holds the person and nothing of the camera, 'camera' the reverse, 'appearance' only noise."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(PEOPLE), TAKES)
    camera = rng.integers(3, size=len(person))
    who, where = rng.standard_normal((PEOPLE, 16)) * 3, rng.standard_normal((3, 16)) * 3

    def noise() -> np.ndarray:
        return rng.standard_normal((len(person), 16))

    spaces = {"identity": who[person] + noise(), "camera": where[camera] + noise(), "appearance": noise()}
    table = pd.DataFrame(
        {
            "key": np.arange(len(person)).astype(str),
            "identity": np.char.add("p", person.astype(str)),
            "camera": np.char.add("c", camera.astype(str)),
            "outfit": np.char.add("o", person.astype(str)),
        }
    )
    return Embeddings(Spaces({k: torch.from_numpy(v).float() for k, v in spaces.items()}), table, {})


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return leakage(make(), ["identity", "camera", "outfit"]).set_index(["space", "label"])


def test_one_row_per_space_and_label(found: pd.DataFrame) -> None:
    assert len(found) == 9
    assert [label for _, label in found.index] == ["identity"] * 3 + ["camera"] * 3 + ["outfit"] * 3


def test_every_space_knows_what_was_put_in(found: pd.DataFrame) -> None:
    assert found.loc[("identity", "identity"), "accuracy"] > 0.95
    assert found.loc[("camera", "camera"), "accuracy"] > 0.95
    for row in (("camera", "identity"), ("appearance", "identity")):
        assert found.loc[row, "accuracy"] < 0.15
    for row in (("identity", "camera"), ("appearance", "camera")):
        assert found.loc[row, "low"] < 0.45
        assert found.loc[row, "accuracy"] < 0.5


def test_a_space_without_an_error_has_the_interval_of_the_rule_of_three() -> None:
    embeddings = make()
    codes = pd.factorize(embeddings.table["camera"])[0]
    known = Embeddings(Spaces({"identity": torch.eye(3)[codes] + 0.01}), embeddings.table, {})
    row = leakage(known, ["camera"]).iloc[0]
    assert (row["accuracy"], row["high"]) == (1, 1)
    assert row["low"] == pytest.approx(1 - 3 / row["identities"])


def test_controls_stay_near_chance(found: pd.DataFrame) -> None:
    camera = found.xs("camera", level="label")
    assert (np.abs(camera["shuffled"] - 1 / 3) < 0.12).all()
    assert (np.abs(camera["chance"] - 1 / 3) < 0.1).all()
    identity = found.xs("identity", level="label")
    assert (np.abs(identity["shuffled"] - 1 / PEOPLE) < 0.06).all()
    assert (np.abs(identity["chance"] - 1 / PEOPLE) < 0.02).all()


def test_intervals_and_counts(found: pd.DataFrame) -> None:
    measured = found[found["note"] == ""]
    assert (measured["low"] <= measured["accuracy"]).all()
    assert (measured["accuracy"] <= measured["high"]).all()
    row = found.loc[("camera", "camera")]
    assert row["classes"] == 3
    assert row["train"] == row["test"] == PEOPLE * TAKES / 2
    assert row["identities"] == PEOPLE / 2
    assert row["left_out"] == 0


def test_a_label_that_no_two_people_share_has_no_number(found: pd.DataFrame) -> None:
    row = found.loc[("identity", "outfit")]
    assert np.isnan(row["accuracy"])
    assert "fewer than 2 values of 'outfit'" in row["note"]


def test_linear_probe_equals_scikit_learn_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unbraid.leakage.STRENGTHS", (0.1,))
    embeddings = make(1)
    row = leakage(embeddings, ["camera"], seed=5).set_index("space").loc["camera"]
    people, camera = embeddings.table["identity"], embeddings.table["camera"]
    names = np.random.default_rng(5).permutation(np.unique(pd.factorize(people, sort=True)[0]))
    train = np.isin(pd.factorize(people, sort=True)[0], names[: PEOPLE // 2])
    features = embeddings.spaces["camera"].double().numpy()
    scaler = StandardScaler().fit(features[train])
    probe = LogisticRegression(C=0.1, max_iter=1000).fit(scaler.transform(features[train]), camera[train])
    guess = probe.predict(scaler.transform(features[~train]))
    assert row["accuracy"] == pytest.approx((guess == camera[~train]).mean())
    assert row["balanced"] == pytest.approx(balanced_accuracy_score(camera[~train], guess))
    assert row["chance"] == pytest.approx((camera[~train] == camera[train].mode()[0]).mean())


def test_nearest_equals_a_loop() -> None:
    embeddings = make(2)
    row = leakage(embeddings, ["identity"]).set_index("space").loc["identity"]
    unit = torch.nn.functional.normalize(embeddings.spaces["identity"].double(), dim=1).numpy()
    person, camera = embeddings.table["identity"].to_numpy(), embeddings.table["camera"].to_numpy()
    right = []
    for i in range(len(unit)):
        others = np.flatnonzero(camera != camera[i])
        if (person[others] == person[i]).any():
            right.append(person[others[np.argmax(unit[others] @ unit[i])]] == person[i])
    assert row["accuracy"] == pytest.approx(np.mean(right))
    assert row["test"] == len(right)


def test_same_seed_same_table() -> None:
    one, two = (leakage(make(), ["camera"], seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_missing_facts_are_left_out() -> None:
    embeddings = make()
    table = embeddings.table.copy()
    table.loc[:9, "camera"] = None
    table.loc[20:24, "identity"] = None
    found = leakage(Embeddings(embeddings.spaces, table, {}), ["camera", "identity"]).set_index(["space", "label"])
    assert found.loc[("camera", "camera"), "left_out"] == 15
    assert found.loc[("identity", "identity"), "left_out"] == 5


def test_people_seen_once_have_no_number() -> None:
    embeddings = make().take(range(0, PEOPLE * TAKES, TAKES))
    row = leakage(embeddings, ["identity"]).iloc[0]
    assert np.isnan(row["accuracy"])
    assert row["note"] == "no identity has two items that may be compared"


def test_parts_are_accepted() -> None:
    embeddings = make()
    parts = Spaces({"identity": embeddings.spaces["camera"].reshape(-1, 4, 4)})
    flat = Spaces({"identity": embeddings.spaces["camera"]})
    one, two = (leakage(Embeddings(s, embeddings.table, {}), ["camera"]) for s in (parts, flat))
    assert one["accuracy"].tolist() == two["accuracy"].tolist()


def test_wrong_input_is_named() -> None:
    with pytest.raises(KeyError, match=r"no 'view'; it has \['camera'"):
        leakage(make(), ["camera", "view"])
    with pytest.raises(ValueError, match="at least one label"):
        leakage(make(), [])


def test_bias_by_hand() -> None:
    """Two people, four queries: three first matches, two of them in the query's colour."""
    query = pd.DataFrame(
        {"key": ["q0", "q1", "q2", "q3"], "identity": ["a", "a", "b", "b"], "top_colour": ["red", "red", "blue", None]}
    )
    gallery = pd.DataFrame(
        {"key": ["g0", "g1", "g2", "g3"], "identity": ["b", "b", "a", "a"], "top_colour": ["red", "blue", "red", "red"]}
    )
    features = {"q": [[1, 0.1], [0.1, 1], [0, 1], [1, 0]], "g": [[1, 0], [0, 1], [-1, 0], [-1, -1]]}
    sides = [
        Embeddings(Spaces({"identity": torch.tensor(values, dtype=torch.float32)}), table, {})
        for values, table in ((features["q"], query), (features["g"], gallery))
    ]
    result = evaluate(*sides, Protocol("plain", hit=same("identity"), skip=same("key")))
    assert result.table["best"].tolist() == ["g0", "g1", "g1", "g0"]
    plain = Protocol("plain", hit=same("identity"), skip=same("key"))
    found = bias(result, plain, query, gallery)
    assert found.share == pytest.approx(2 / 3)
    # colours of the gallery are red three times of four; queries with a known colour: red, red, blue
    assert found.chance == pytest.approx((0.75 + 0.75 + 0.25) / 3)
    assert found.low <= found.share <= found.high
    assert "66.7 %" in str(found)
    assert (found.queries, found.identities) == (3, 2)
    everyone = [table.assign(top_colour="red") for table in (query, gallery)]
    # nothing but agreement: 3 / 2 people, so the lower end is 0
    assert bias(result, plain, *everyone) == Bias("top_colour", 1.0, 0.0, 1.0, 1.0, 4, 2)
    for change in ({"cells": "view"}, {"shots": Shots(draws=2)}):
        with pytest.raises(ValueError, match="a query has several first matches"):
            bias(result, replace(plain, **change), query, gallery)
    # without the own person q0 and q1 see one red and one blue, q2 sees two red
    strangers = Protocol("strangers", hit=same("identity"), skip=same("identity"))
    assert bias(result, strangers, query, gallery).chance == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    with pytest.raises(KeyError, match="the gallery table has no label 'top_colour'"):
        bias(result, plain, query, gallery.drop(columns="top_colour"))
    with pytest.raises(ValueError, match="nothing to count"):
        bias(result, plain, query.assign(top_colour=None), gallery)
