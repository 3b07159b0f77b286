"""Ties of labels: planted ones are found, natural ones and chance are not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association

from unbraid.probing.confounding import carrier, chi_square, confounded, cramers_v
from unbraid.world import WorldConfig
from unbraid.world.plan import labels, plan
from unbraid.world.store import outfit_of


def made(seed: int = 0, people: int = 30, outfits: int = 2, takes: int = 6) -> pd.DataFrame:
    """Everything by chance: colours belong to outfits, cameras and actions to items, sex to people."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), outfits * takes)
    worn = np.repeat(np.arange(people * outfits), takes)
    named = {
        "key": np.arange(len(who)),
        "identity": who,
        "clothes": worn,
        "camera": rng.integers(4, size=len(who)),
        "action": rng.integers(3, size=len(who)),
        "top_colour": rng.integers(5, size=people * outfits)[worn],
        "sex": rng.permutation(people)[who] % 2,
    }
    return pd.DataFrame({name: np.char.add(name[:2], values.astype(str)) for name, values in named.items()})


LABELS = ["identity", "clothes", "camera", "action", "top_colour", "sex"]


def tied(table: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(*(confounded(table, LABELS)[name] for name in ("with", "label")), strict=True))


def test_chi_square_and_v_equal_scipy_but_for_the_correction() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.integers(4, size=300), rng.integers(6, size=300)
    two[:100] = one[:100]
    counts = pd.crosstab(one, two)
    assert chi_square(one, two) == pytest.approx(chi2_contingency(counts, correction=False).statistic)
    n, r, k = 300, 4, 6
    phi = association(counts, method="cramer") ** 2 * (min(r, k) - 1)
    better = (phi - (r - 1) * (k - 1) / (n - 1)) / (min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1)
    assert cramers_v(one, two) == pytest.approx(np.sqrt(better))


def test_v_of_equal_and_of_unrelated_labels() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(3, size=100)
    assert cramers_v(values, (values + 1) % 3) == pytest.approx(1, abs=0.02)
    # without the correction these would be 0.28 on average
    assert np.mean([cramers_v(rng.integers(9, size=99), rng.integers(9, size=99)) for _ in range(50)]) < 0.08
    assert cramers_v(np.zeros(1, np.int64), np.zeros(1, np.int64)) == 0


def test_chance_is_not_a_tie_though_outfits_repeat_their_colours() -> None:
    """A person's two outfits are 12 items of two colours: item by item that would look like a tie."""
    assert [tied(made(seed)) for seed in range(5)].count(set()) >= 4
    table = made()
    assert chi2_contingency(pd.crosstab(table["identity"], table["top_colour"])).pvalue < 1e-9


@pytest.mark.parametrize(
    ("change", "pair"),
    [
        (lambda t: t.assign(camera=t["identity"].str[-1]), ("identity", "camera")),
        (lambda t: t.assign(camera=t["camera"].where(t.index % 2 == 0, t["identity"].str[-1])), ("identity", "camera")),
        (lambda t: t.assign(camera=t["clothes"].str[-1]), ("clothes", "camera")),
        (lambda t: t.assign(top_colour=t["identity"].str[-1]), ("identity", "top_colour")),
        (lambda t: t.assign(clothes=t["identity"]), ("identity", "clothes")),
        (lambda t: t.assign(action=t["camera"]), ("camera", "action")),
        (lambda t: t.assign(top_colour=t["sex"]), ("top_colour", "sex")),
        (lambda t: t.assign(camera=t["top_colour"].where(t.index % 3 > 0, t["camera"])), ("camera", "top_colour")),
    ],
)
def test_planted_ties_are_named(change: object, pair: tuple[str, str]) -> None:
    table = change(made(people=40))  # type: ignore[operator]
    assert pair in tied(table)
    row = confounded(table, LABELS).set_index(["with", "label"]).loc[pair]
    assert row["p"] == 0.001
    assert row["cramers_v"] > 0.3
    assert row["note"].startswith(f"{pair[0]} and {pair[1]} are tied in this data (Cramer's V ")


def test_what_belongs_together_by_nature_is_no_tie() -> None:
    """Outfits and their wearers and colours, people and their sex; but a situation that never changes is one."""
    table = made().assign(height=lambda t: t["identity"])
    assert confounded(table, [*LABELS, "height"]).empty
    assert ("identity", "camera") in tied(table.assign(camera=np.where(table["sex"] == "se0", "c0", "c1")))


def test_the_carrier_is_the_largest_thing_with_one_value() -> None:
    table = made()
    found = {name: carrier(table, name) for name in ("sex", "top_colour", "camera", "clothes")}
    assert found == {"sex": "identity", "top_colour": "clothes", "camera": "key", "clothes": "key"}
    assert carrier(table, "sex", beside="identity") == "clothes"
    assert carrier(table.assign(walk=table["camera"]), "camera") == "walk"


CONFIG = WorldConfig(train_identities=1, test_identities=40, test_outfits=3, tracklets=4, walking=0.6)


def world_labels(config: WorldConfig) -> pd.DataFrame:
    """The labels of a world's test people, without rendering it."""
    shots = [shot for shot in plan(config) if shot.split != "train"]
    rows = [
        {"key": str(n), "identity": shot.identity, "top_colour": outfit_of(config, shot).top_colour}
        | labels(config, shot)
        for n, shot in enumerate(shots)
    ]
    return pd.DataFrame(rows).drop(columns="other_clothes", errors="ignore")


def test_an_honest_world_has_no_tie_and_leaky_ones_have_theirs() -> None:
    honest = replace(CONFIG, seed=3)
    names = [name for name in world_labels(honest).columns if name not in ("key", "identity")]
    assert confounded(world_labels(honest), names).empty
    cameras = confounded(world_labels(replace(honest, camera_leak=0.5)), names)
    assert ("identity", "camera") in set(zip(cameras["with"], cameras["label"], strict=True))
    clothes = confounded(world_labels(replace(honest, clothes_leak=1.0)), names)
    assert ("identity", "top_colour") in set(zip(clothes["with"], clothes["label"], strict=True))
    assert "camera" not in set(clothes["label"])
