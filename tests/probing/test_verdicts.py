"""Sentences from numbers: claims, weak signs, none."""

import pandas as pd
import pytest

from unbraid.probing.verdicts import is_claim, percent, share, verdicts

ROW = {
    "label": "camera",
    "space": "motion",
    "probe": "linear",
    "metric": "balanced accuracy",
    "note": "",
    "score": 0.312,
    "low": 0.28,
    "high": 0.344,
    "chance": 0.02,
    "shuffled": 0.02,
}
NONE = pd.DataFrame(columns=["label", "with", "space", "share", "rank_1", "low", "high", "chance"])


def said(*rows: dict[str, object], retrieval: pd.DataFrame = NONE, ties: pd.DataFrame = NONE) -> list[str]:
    return verdicts(pd.DataFrame([{**ROW, **row} for row in rows]), retrieval, NONE, ties)


def test_a_claim_a_weak_sign_and_none() -> None:
    assert said({}) == [
        "camera can be read from the motion space at 31.2 % (28.0 to 34.4) where chance is 2.0 %, by a linear probe"
    ]
    assert said({"chance": 0.27}) == [
        "a weak sign of camera in the motion space, too close to chance for a claim: 31.2 % (28.0 to 34.4) where "
        "chance is 27.0 %, by a linear probe"
    ]
    assert said({"chance": 0.28}) == ["no sign of camera in the motion space: at most 34.4 % where chance is 28.0 %"]


def test_the_strongest_probe_is_quoted_and_the_largest_limit() -> None:
    weak = {"probe": "mlp", "score": 0.5, "low": 0.021, "high": 0.9}
    assert said({}, weak)[0].endswith("by a linear probe")
    assert said({"low": 0.01}, {**weak, "low": 0.015}) == [
        "no sign of camera in the motion space: at most 90.0 % where chance is 2.0 %"
    ]


def test_measures_speak_of_r2() -> None:
    measure = {"metric": "r2", "score": 0.3, "low": 0.2, "high": 0.4, "chance": 0.0, "label": "height"}
    assert said(measure) == [
        "height can be read from the motion space at R2 0.30 (0.20 to 0.40), where 0 is nothing and 1 is all, by a "
        "linear probe"
    ]
    nothing = {**measure, "score": -0.1, "low": -0.3, "high": -0.01}
    assert said(nothing) == ["no sign of height in the motion space: an R2 of at most 0.00"]


@pytest.mark.parametrize(
    ("score", "low", "chance", "claim"),
    [
        # standard errors of 1 point: 3 above chance, or not
        (0.5301, 0.5301 - 0.0196, 0.5, True),
        (0.5299, 0.5299 - 0.0196, 0.5, False),
        (1.0, 0.85, 0.5, True),
        (0.5, float("nan"), 0.1, False),
    ],
)
def test_a_claim_is_three_standard_errors_above_chance(score: float, low: float, chance: float, claim: bool) -> None:
    assert is_claim({"score": score, "low": low, "chance": chance}) is claim


def test_rows_without_a_number_say_nothing() -> None:
    assert said({"score": float("nan")}) == []


def test_conditions_ties_and_easier_searches_are_told() -> None:
    ties = pd.DataFrame([{"label": "camera", "with": "identity"}, {"label": "view", "with": "camera"}])
    found = {"label": "identity", "space": "motion", "rank_1": 0.9, "low": 0.8, "high": 1.0, "chance": 0.1}
    row = {"label": "identity", "note": "in another camera"}
    assert said(row, retrieval=pd.DataFrame([found]), ties=ties)[0].endswith(
        "by a linear probe (in another camera); with every other item left in, the nearest one is the "
        "same person at 90.0 % (80.0 to 100.0) where chance is 10.0 %; but it is tied to camera in this data, which "
        "may be what is read"
    )
    # a probe that has not seen a person cannot take the person for the camera
    assert said({}, ties=ties)[0].endswith("; but it is tied to view in this data, which may be what is read")
    assert "tied" not in said({"low": 0.01}, ties=ties)[0]


def test_first_matches_are_told_where_they_are_above_chance() -> None:
    row = {"share": 0.3, "low": 0.28, "high": 0.32, "note": "every other item included"}
    rows = [{**row, "label": "camera", "chance": 0.2}, {**row, "label": "view", "chance": 0.29}]
    probes = pd.DataFrame(columns=list(ROW))
    assert verdicts(probes, NONE, pd.DataFrame(rows), NONE) == [
        "30.0 % (28.0 to 32.0) of the first matches by the identity space have the query's camera, by chance 20.0 % "
        "(every other item included)"
    ]


def test_shares_in_per_cent() -> None:
    assert percent(0.31249) == "31.2 %"
    assert share(0.3, float("nan"), float("nan")) == "30.0 %"
