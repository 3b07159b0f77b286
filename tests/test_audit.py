"""An honest world passes, and each kind of dishonesty is caught."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unbraid.audit import SLACK, Expected, _chi_square, as_text, audit, failures
from unbraid.world import WorldConfig, named_world, render
from unbraid.world.plan import labels, plan

CONFIG = WorldConfig(
    train_identities=40,
    test_identities=40,
    train_outfits=2,
    test_outfits=2,
    cameras=3,
    tracklets=4,
    queries=1,
    frames=2,
    height=128,
    width=64,
    walking=1.0,
    mask_errors=0.0,
    views=2,
    seed=7,
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return audit(render(CONFIG, tmp_path_factory.mktemp("audit") / "honest", workers=1))


def rank_1(table: pd.DataFrame, feature: str, protocol: str) -> float:
    return float(table.set_index(["feature", "protocol"]).loc[(feature, protocol), "rank_1"])


def test_the_world_is_honest(honest: pd.DataFrame) -> None:
    assert failures(honest) == []
    expected = honest[honest["expected"] != ""]
    assert expected["met"].all()
    assert {"colour", "background", "shuffled", "factors", "camera and identity"} <= set(expected["feature"])
    assert (honest["identities"] == 40).all()


def test_people_are_found_by_what_they_are(honest: pd.DataFrame) -> None:
    """The identity is in the shape, clothes are of no use in other clothes, and the ceiling is the true factors."""
    shapes = honest[(honest["feature"] == "silhouette") & (honest["protocol"] == "one-clothes-change@1")].iloc[0]
    assert shapes["low"] > shapes["chance"]
    assert rank_1(honest, "colour", "same-clothes@1") > 5 * rank_1(honest, "colour", "one-clothes-change@1")
    assert rank_1(honest, "factors", "one-clothes-change@1") == 1.0
    rows = honest[honest["protocol"].isin(["same-clothes@1", "one-clothes-change@1"]) & (honest["feature"] == "colour")]
    assert rows["chance"].nunique() == 1, "equally many mates"


def test_one_body_and_one_style_are_at_chance_in_other_clothes(tmp_path: Path) -> None:
    same = replace(CONFIG, same_body=True, same_style=True)
    table = audit(render(same, tmp_path / "same", workers=1)).set_index(["feature", "protocol"])
    for feature in ("silhouette", "silhouette, trained"):
        row = table.loc[(feature, "one-clothes-change@1")]
        assert row["low"] <= SLACK * row["chance"]
    assert table.loc[("factors", "one-clothes-change@1"), "rank_1"] < 0.2, "the ceiling falls where there is nothing"


def test_clothes_that_do_not_change_are_caught(tmp_path: Path) -> None:
    table = audit(render(replace(CONFIG, clothes_leak=1.0), tmp_path / "worn", workers=1))
    assert any(line.startswith("colour under one-clothes-change@1: expected at chance") for line in failures(table))


def test_worlds_that_answer_little_are_audited_too(tmp_path: Path) -> None:
    few = replace(CONFIG, train_identities=1, test_identities=2, modalities=("depth",), frames=1)
    table = audit(render(few, tmp_path / "few", workers=1))
    assert failures(table) == []
    assert "depth" in set(table["feature"])
    assert "depth, trained" not in set(table["feature"]), "one person cannot be discriminated"
    assert "background" not in set(table["feature"])


def test_independence_counts_every_shot_once(tmp_path: Path) -> None:
    several = replace(
        CONFIG, modalities=("silhouette", "depth"), masks=False, walking=0.5, frames=1, train_identities=1
    )
    table = audit(render(several, tmp_path / "several", workers=1)).set_index("feature")
    assert table.loc["action and identity", "met"]
    assert table.loc["action and identity", "queries"] == 40 * 2 * 4


def test_a_camera_that_knows_the_person_is_caught(tmp_path: Path) -> None:
    table = audit(render(replace(CONFIG, camera_leak=0.9, cameras=10), tmp_path / "leaky", workers=1))
    caught = failures(table)
    assert any(line.startswith("background under plain@1: expected at chance") for line in caught)
    assert any(line.startswith("camera and identity under chi-square: expected independent") for line in caught)
    assert "NO" in as_text(table)


@pytest.mark.parametrize(
    ("word", "score", "low", "chance", "met"),
    [
        ("at chance", 0.03, 0.0149, 0.01, True),
        ("at chance", 0.03, 0.0151, 0.01, False),
        ("at chance", 0.03, float("nan"), 0.01, None),
        ("well above chance", 0.5, 0.03, 0.01, True),
        ("well above chance", 0.5, 0.029, 0.01, False),
        ("all", 1.0, 1.0, 0.01, True),
        ("all", 0.999, 0.99, 0.01, False),
        ("", 0.5, 0.4, 0.01, None),
    ],
)
def test_expectations_by_hand(word: str, score: float, low: float, chance: float, met: bool | None) -> None:
    assert Expected(word).met(score, low, chance) is met


def test_other_folders_are_refused(people: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no identities.parquet; the audit needs a world"):
        audit(people)


def test_small_leaks_of_the_camera_stand_out() -> None:
    """Five in a hundred tracklets: plans are compared, nothing is rendered."""
    config = replace(named_world("clothes/small/final").config, train_identities=1)

    def statistic(world: WorldConfig) -> float:
        return _chi_square([(s.identity, labels(world, s)["camera"]) for s in plan(world) if s.split != "train"])

    fair = [statistic(replace(config, seed=config.seed + 1 + n)) for n in range(8)]
    leaky = statistic(replace(config, seed=5, camera_leak=0.05))
    assert leaky > np.mean(fair) + 6 * np.std(fair)
