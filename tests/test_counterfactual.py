"""Planted features whose answers are known: what was changed moves them as far as was planted, and nothing else."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from unbraid.counterfactual import Counterfactual, _medians, counterfactual
from unbraid.spaces import Embeddings, Spaces

PEOPLE = 12


def planted(people=PEOPLE, modalities=("rgb",)):
    """A table of originals with three twins each, and per row the number of the person, clothes and camera shown."""
    rows, codes = [], []
    for modality in modalities:
        for number in range(people):
            key = f"{number}-{modality}"
            facts = {"modality": modality, "identity": f"p{number}"}
            rows.append({"key": key, **facts, "twin_of": None, "factor": None})
            codes.append((number, number, number % 3))
            for factor, code in (
                ("clothes", (number, people + number, number % 3)),
                ("nothing", codes[-1]),
                ("person", ((number + 1) % people, number, number % 3)),
                ("camera", (number, number, (number + 1) % 3)),
            ):
                identity = f"p{code[0]}"
                rows.append({"key": f"{key}-{factor}", **facts, "identity": identity})
                rows[-1] |= {"twin_of": key, "factor": factor}
                codes.append(code)
    return pd.DataFrame(rows), np.array(codes)


def one_hot(values):
    return torch.eye(int(values.max()) + 1)[torch.tensor(values)]


def moved(found, space="identity"):
    return {row.factor: row.moved for row in found.rows if row.space == space}


def test_a_space_of_identity_is_moved_by_the_person_alone():
    table, codes = planted()
    found = counterfactual(Embeddings(Spaces({"identity": one_hot(codes[:, 0])}), table, {"synthetic": "true"}))
    assert moved(found) == {"person": 1, "clothes": 0, "camera": 0, "nothing": 0}
    assert [row.factor for row in found.rows] == ["person", "clothes", "camera", "nothing"]
    assert all((row.low, row.high) == (row.moved, row.moved) for row in found.rows)
    assert {(row.pairs, row.identities) for row in found.rows} == {(PEOPLE, PEOPLE)}
    assert {row.factor: row.distance for row in found.rows}["person"] == pytest.approx(1)
    assert found.synthetic is True
    assert found.warnings == ()


def test_a_space_of_clothes_has_no_yardstick():
    table, codes = planted()
    spaces = Spaces({"identity": one_hot(codes[:, 0]), "appearance": one_hot(codes[:, 1])})
    found = counterfactual(Embeddings(spaces, table, {}))
    assert set(moved(found, "appearance").values()) == {None}
    distances = {row.factor: row.distance for row in found.rows if row.space == "appearance"}
    assert distances == pytest.approx({"person": 0, "clothes": 1, "camera": 0, "nothing": 0})
    assert found.warnings == ("appearance: another person does not move this space, so it has no yardstick",)
    assert found.synthetic is None


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.0])
def test_a_mixed_space_is_moved_as_its_weights_say(weight):
    """Of (person, w clothes, w / 2 camera) a change of one code leaves the others' squares in the cosine, so the
    distances are to one another as the squares of the weights."""
    table, codes = planted()
    parts = [one_hot(codes[:, 0]), weight * one_hot(codes[:, 1]), weight / 2 * one_hot(codes[:, 2])]
    found = counterfactual(Embeddings(Spaces({"identity": torch.cat(parts, 1)}), table, {}))
    expected = {"person": 1, "clothes": weight**2, "camera": weight**2 / 4, "nothing": 0}
    assert moved(found) == pytest.approx(expected, abs=1e-6)


def test_the_method_compares_identities_and_cosine_the_rest():
    table, codes = planted()
    features = torch.cat([3 * one_hot(codes[:, 0]), 2 * one_hot(codes[:, 1])], 1)
    spaces = Spaces({"identity": features, "motion": features})

    def nearness(query, gallery):
        return -torch.cdist(query["identity"].double(), gallery["identity"].double())

    found = counterfactual(Embeddings(spaces, table, {}), similarity=nearness)
    assert moved(found)["clothes"] == pytest.approx(2 / 3)
    assert found.rows[0].distance == pytest.approx(3 * 2**0.5)
    assert moved(found, "motion")["clothes"] == pytest.approx(4 / 9, abs=1e-6)


def test_parts_are_compared_one_by_one():
    table, codes = planted()
    alone, changed = one_hot(codes[:, 0]), one_hot(codes[:, 1])
    padded = torch.nn.functional.pad(alone, (0, changed.shape[1] - alone.shape[1]))
    # one part of three follows the clothes; the other two the person
    found = counterfactual(Embeddings(Spaces({"identity": torch.stack([padded, changed, padded], 1)}), table, {}))
    assert moved(found)["clothes"] == pytest.approx(0.5, abs=1e-6)


def test_each_modality_has_its_own_yardstick():
    """Clothes move silhouettes 0.2 and depth 0.6 times as far as the person; depth is moved less by everything."""
    table, codes = planted(modalities=("silhouette", "depth"))
    depth = torch.tensor((table["modality"] == "depth").to_numpy())[:, None]
    person = torch.where(depth, 0.1, 1.0)
    clothes = torch.where(depth, 0.6, 0.2) * person
    parts = [person.sqrt() * one_hot(codes[:, 0]), clothes.sqrt() * one_hot(codes[:, 1]), (9 - person - clothes).sqrt()]
    found = counterfactual(Embeddings(Spaces({"identity": torch.cat(parts, 1)}), table, {}))
    assert moved(found)["clothes"] == pytest.approx(0.4, abs=1e-5)
    assert found.rows[1].low == pytest.approx(0.4, abs=1e-5)
    assert {(row.pairs, row.identities) for row in found.rows} == {(2 * PEOPLE, PEOPLE)}
    # by one yardstick for both it would be the ratio of the medians
    flat = Embeddings(Spaces({"identity": torch.cat(parts, 1)}), table.assign(modality="one"), {})
    assert moved(counterfactual(flat))["clothes"] == pytest.approx((0.2 + 0.06) / (1 + 0.1), abs=1e-5)


def test_intervals_are_those_of_a_plain_loop_over_people():
    """People with several shots, drawn again with all of them: the loop repeats rows and takes numpy's medians."""
    random = np.random.default_rng(1)
    rows, points = [], []
    for number in range(15):
        for shot in range(3):
            key, steps = f"{number}-{shot}", {"person": random.gamma(4.0), "clothes": random.gamma(2.0) + 0.1 * number}
            rows.append({"key": key, "identity": f"p{number}", "twin_of": None, "factor": None})
            points.append((0.0, 0.0))
            for factor, step in steps.items():
                rows.append({"key": f"{key}-{factor}", "identity": "x", "twin_of": key, "factor": factor})
                points.append((step, 0.0))
    table, space = pd.DataFrame(rows), torch.tensor(points, dtype=torch.float64)

    def nearness(query, gallery):
        return -torch.cdist(query["identity"], gallery["identity"])

    row = counterfactual(Embeddings(Spaces({"identity": space}), table, {}), 3, similarity=nearness).rows[1]
    twins = table[table["factor"].notna()].assign(step=space[:, 0].numpy()[table["factor"].notna()])
    twins["who"] = [key.split("-")[0] for key in twins["key"]]
    away = {
        factor: {who: group["step"].to_numpy() for who, group in own.groupby("who")}
        for factor, own in twins.groupby("factor")
    }

    def ratio(people):
        return np.median(np.concatenate([away["clothes"][who] for who in people])) / np.median(
            np.concatenate([away["person"][who] for who in people])
        )

    names = sorted(away["person"])
    assert row.moved == pytest.approx(ratio(names))
    draws = [ratio(random.choice(names, len(names))) for _ in range(1500)]
    assert (row.low, row.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), rel=0.06)
    assert (row.pairs, row.identities) == (45, 15)


def test_medians_count_values_as_often_as_they_are_drawn():
    random = np.random.default_rng(0)
    values, times = random.normal(size=(40, 7)), random.integers(0, 4, size=(40, 7))
    times[0] = 0
    expected = [np.median(np.repeat(v, t)) for v, t in zip(values[1:], times[1:], strict=True)]
    found = _medians(values, times)
    assert np.isnan(found[0])
    assert found[1:] == pytest.approx(expected)


def test_few_people_and_loud_noise_are_said():
    table, codes = planted(people=4)
    noise = torch.tensor((table["factor"] == "nothing").to_numpy())[:, None].float()
    for strength, warnings in ((1.0, ["only 4 people"]), (2.0, ["only 4 people", "identity"])):
        features = torch.cat([one_hot(codes[:, 0]), strength * noise], 1)
        found = counterfactual(Embeddings(Spaces({"identity": features}), table, {}))
        assert moved(found)["nothing"] == pytest.approx(1 - (1 + strength**2) ** -0.5, abs=1e-6)
        assert [warning.split(":")[0] for warning in found.warnings] == warnings
    assert "moves it 0.55 times as far" in found.warnings[1]


def test_json_and_text():
    table, codes = planted()
    spaces = Spaces({"identity": one_hot(codes[:, 0]), "appearance": one_hot(codes[:, 1])})
    found = counterfactual(Embeddings(spaces, table, {"synthetic": "true", "weights": "abc"}))
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert (told["version"], told["synthetic"], told["origin"]["weights"]) == (1, True, "abc")
    assert {"space", "factor", "moved", "low", "high", "pairs", "identities"} <= told["rows"][0].keys()
    assert [row["moved"] for row in told["rows"]] == [1, 0, 0, 0, None, None, None, None]
    lines = str(found).splitlines()
    assert "SYNTHETIC" in lines[0]
    assert lines[2].split() == ["changed", "identity", "appearance"]
    assert lines[3].split() == ["person", "1.00", "-"]
    assert lines[4].split()[:4] == ["clothes", "0.00", "(0.00", "to"]


def test_mistakes_are_told():
    table, codes = planted()
    whole = Embeddings(Spaces({"identity": one_hot(codes[:, 0])}), table, {})
    with pytest.raises(KeyError, match="no 'twin_of', so these are no twins"):
        counterfactual(replace(whole, table=table.drop(columns="twin_of")))
    with pytest.raises(ValueError, match="original '0-rgb' is not among the 59 items"):
        counterfactual(whole.take(range(1, 60)))
    others = [number for number, factor in enumerate(table["factor"]) if factor != "person"]
    with pytest.raises(ValueError, match=r"no twin has the factor 'person', .* 36 twins have the factors .'camera'"):
        counterfactual(whole.take(others))
    with pytest.raises(ValueError, match="no twin has the factor 'person'"):
        counterfactual(whole.take([0, 5]))


def test_sensors_without_a_yardstick_are_named():
    table, codes = planted(modalities=("silhouette", "depth"))
    keep = [
        number
        for number, row in enumerate(table.itertuples())
        if not (row.modality == "depth" and row.factor == "person")
    ]
    whole = Embeddings(Spaces({"identity": one_hot(codes[:, 0])}), table, {})
    with pytest.raises(ValueError, match="no twin of modality 'depth' has the factor 'person'"):
        counterfactual(whole.take(keep))


def test_the_result_is_frozen_and_the_same_for_the_same_seed():
    table, codes = planted()
    features = one_hot(codes[:, 0]) + 0.3 * torch.rand(len(table), PEOPLE, generator=torch.Generator().manual_seed(0))
    whole = Embeddings(Spaces({"identity": features}), table, {})
    first = counterfactual(whole, 1)
    assert isinstance(first, Counterfactual)
    assert first == counterfactual(whole, 1)
    assert first != counterfactual(whole, 2)
