"""Leakage on made-up spaces whose content is known, and on worlds that leak and that do not."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
import torch

from unbraid.data.colour import colour_embeddings
from unbraid.data.sets.folder import read
from unbraid.evaluate import evaluate
from unbraid.leakage import Leakage, bias, leakage, probed
from unbraid.probing.asking import conditions, default_labels, halves, is_measure
from unbraid.protocol import Protocol, same
from unbraid.spaces import Embeddings, Spaces
from unbraid.world import WorldConfig, render

PEOPLE, OUTFITS, TAKES = 30, 2, 6


def made(seed: int = 0, people: int = PEOPLE) -> Embeddings:
    """'identity' holds the person and the colour of the top, 'camera' the camera and how tall someone is, 'appearance'
    the outfit, 'noise' nothing."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), OUTFITS * TAKES)
    worn = np.repeat(np.arange(people * OUTFITS), TAKES)
    camera, colour = rng.integers(3, size=len(who)), rng.integers(4, size=people * OUTFITS)[worn]
    tall = rng.normal(1.7, 0.1, people)

    def code(values: np.ndarray, size: float) -> np.ndarray:
        return size * rng.standard_normal((values.max() + 1, 10))[values] + rng.standard_normal((len(values), 10))

    spaces = {
        "identity": np.hstack([code(who, 5.0), code(colour, 2.0)]),
        "camera": code(camera, 3.0),
        "appearance": code(worn, 3.0),
        "noise": rng.standard_normal((len(who), 10)),
    }
    spaces["camera"][:, 0] += 20 * (tall[who] - 1.7)
    named = {"identity": who, "clothes": worn, "camera": camera, "top_colour": colour, "sex": who % 2}
    table = pd.DataFrame({name: np.char.add(name[:2], values.astype(str)) for name, values in named.items()})
    table.insert(0, "key", np.arange(len(who)).astype(str))
    table["height"] = [f"{value:.3f}" for value in tall[who]]
    return Embeddings(
        Spaces({name: torch.from_numpy(value).float() for name, value in spaces.items()}), table, {"synthetic": "true"}
    )


def only(space: str, origin: Mapping[str, str] = MappingProxyType({}), **labels: object) -> Embeddings:
    """One space in the place of identity, so that nothing else takes time; and other labels."""
    embeddings = made()
    table = embeddings.table.assign(**labels)
    return Embeddings(Spaces({"identity": embeddings.spaces[space]}), table, origin)


@pytest.fixture(scope="module")
def found() -> Leakage:
    return leakage(made(), kinds=["linear"])


def row(found: Leakage, space: str, label: str, kind: str = "linear") -> pd.Series:
    return found.probes.set_index(["space", "label", "probe"]).loc[(space, label, kind)]


def test_every_space_knows_what_was_put_in_and_nothing_else(found: Leakage) -> None:
    assert row(found, "identity", "identity")["score"] > 0.3
    assert row(found, "identity", "identity", "nearest")["score"] > 0.9
    assert row(found, "identity", "top_colour")["score"] > 0.8
    assert row(found, "camera", "camera")["score"] > 0.9
    assert row(found, "camera", "height")["score"] > 0.5
    assert row(found, "appearance", "clothes", "nearest")["score"] > 0.95
    said = [verdict for verdict in found.verdicts if " can be read from the " in verdict]
    read = {tuple(verdict.split(" can be read from the ")[n].split(" space")[0] for n in (0, 1)) for verdict in said}
    wanted = {("identity", "identity"), ("top_colour", "identity"), ("camera", "camera"), ("height", "camera")}
    # who knows the colour of a top tells a person's outfits apart
    assert read == wanted | {("clothes", "appearance"), ("clothes", "identity")}


def test_verdicts_say_it_plainly(found: Leakage) -> None:
    best = row(found, "camera", "camera")
    values = tuple(100 * best[name] for name in ("score", "low", "high", "chance"))
    wanted = "camera can be read from the camera space at {:.1f} % ({:.1f} to {:.1f}) where chance is {:.1f} %, by"
    assert any(verdict.startswith(wanted.format(*values)) for verdict in found.verdicts)
    assert any(verdict.startswith("no sign of camera in the noise space: at most ") for verdict in found.verdicts)
    assert any(verdict.startswith("height can be read from the camera space at R2 0.") for verdict in found.verdicts)
    first = next(verdict for verdict in found.verdicts if verdict.startswith("identity can be read from the identity"))
    assert "in another camera and other clothes" in first
    assert "with every other item left in, the nearest one is the same person at " in first


def test_clothes_are_asked_for_among_one_persons_items(found: Leakage) -> None:
    """Everyone has two outfits: chance is a little below a half, and knowing the person is of no use."""
    own = row(found, "appearance", "clothes", "nearest")
    assert own["split"] == "tracklet"
    assert own["chance"] == pytest.approx(0.45, abs=0.03)
    assert own["shuffled"] == pytest.approx(own["chance"], abs=0.1)
    assert own["note"] == "among items of the same person in other cameras"
    unknowing = row(found, "noise", "clothes", "nearest")
    assert unknowing["low"] < unknowing["chance"] < unknowing["high"]
    assert set(found.probes[found.probes["label"] == "clothes"]["probe"]) == {"nearest"}


def persons_own(of_outfit: float) -> Embeddings:
    """Identity alone, of people who are found each time; of_outfit: how much of their outfit is in it."""
    rng = np.random.default_rng(1)
    who, worn = np.repeat(np.arange(40), 24), np.repeat(np.arange(160), 6)
    space = 20 * rng.standard_normal((40, 16))[who] + of_outfit * rng.standard_normal((160, 16))[worn]
    space += rng.standard_normal((len(who), 16))
    table = pd.DataFrame({"key": np.arange(len(who)).astype(str), "identity": who, "clothes": worn}).astype(str)
    return Embeddings(Spaces({"identity": torch.from_numpy(space).float()}), table, {})


def test_to_find_the_right_person_is_no_leak_of_outfits() -> None:
    """Of the 23 other items of a person 5 show the query's outfit."""
    for of_outfit, leaks in ((0.0, False), (1.0, True)):
        found = leakage(persons_own(of_outfit), kinds=["linear"])
        for told in (found.bias.set_index("label").loc["clothes"], found.retrieval.set_index("label").loc["clothes"]):
            assert told["chance"] == pytest.approx(5 / 23)
            assert (told["low"] > told["chance"]) == leaks
            assert "chance: any of that person's" in told["note"]
        assert any("of the first matches" in verdict for verdict in found.verdicts) == leaks


def test_ties_are_told_to_whoever_asks_for_one_label_alone() -> None:
    who = made().table["identity"]
    tied = only("identity", camera=who.str[2:].astype(int) % 3)
    for labels in (["identity"], ["camera"], None):
        ties = leakage(tied, labels, kinds=["knn"]).confounded
        assert {"identity", "camera"} in [set(pair) for pair in ties[["label", "with"]].to_numpy()]
    assert leakage(tied, ["top_colour"], kinds=["knn"]).confounded.empty


def test_rows_and_counts(found: Leakage) -> None:
    assert list(dict.fromkeys(found.probes["label"])) == [
        *("identity", "clothes", "camera", "top_colour", "sex", "height"),
    ]
    assert (found.items, found.identities, found.synthetic) == (PEOPLE * OUTFITS * TAKES, PEOPLE, True)
    camera = row(found, "camera", "camera")
    assert (camera["metric"], camera["classes"], camera["identities"]) == ("balanced accuracy", 3, PEOPLE)
    assert (camera["train"], camera["test"]) == (found.items / 2, found.items)
    assert row(found, "camera", "height")["metric"] == "r2"
    assert len(found.dependence) == 6
    assert found.factors is not None
    assert found.confounded.empty
    assert found.warnings == ()


def test_retrieval_and_bias_are_those_of_searches(found: Leakage) -> None:
    embeddings = made()
    table, own = embeddings.table, same("identity") & same("clothes")
    plain = Protocol("plain", hit=same("identity"), skip=same("key"))
    result = evaluate(embeddings, embeddings, plain)
    retrieval = found.retrieval.set_index(["space", "label"])
    assert retrieval.loc[("identity", "identity"), "rank_1"] == pytest.approx(result.rank_1)
    assert retrieval.loc[("identity", "identity"), "chance"] == pytest.approx(result.rank_1_chance)
    strangers = Protocol("strangers", hit=same("camera"), skip=same("key") | same("identity"))
    others = evaluate(embeddings, embeddings, strangers, space="camera")
    assert retrieval.loc[("camera", "camera"), "rank_1"] == pytest.approx(others.rank_1)
    assert retrieval.loc[("camera", "camera"), "chance"] == pytest.approx(others.rank_1_chance)
    changing = Protocol("changing", hit=same("identity") & ~same("clothes"), skip=same("key") | own)
    oracle = bias(evaluate(embeddings, embeddings, changing), changing, table, table, "top_colour")
    told = found.bias.set_index("label").loc["top_colour"]
    assert (told["share"], told["chance"]) == pytest.approx((oracle.share, oracle.chance))
    assert (told["low"], told["high"]) == pytest.approx((oracle.low, oracle.high))
    assert "sex" not in set(found.bias["label"]), "the right person always has the query's"


def test_json_is_plain_and_complete(found: Leakage) -> None:
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert list(told) == [
        *("version", "synthetic", "origin", "items", "identities", "probes", "retrieval", "bias"),
        *("dependence", "factors", "confounded", "warnings", "verdicts"),
    ]
    first = told["probes"][0]
    wanted = {"space", "label", "probe", "split", "metric", "score", "low", "high", "chance", "shuffled", "bits"}
    assert wanted | {"classes", "train", "test", "identities", "left_out", "note"} <= set(first)
    nearest = next(one for one in told["probes"] if one["probe"] == "nearest")
    assert nearest["bits"] is None
    assert set(told["retrieval"][0]) == {
        *("space", "label", "rank_1", "low", "high", "chance", "queries", "identities", "note"),
    }
    assert set(told["bias"][0]) == {"label", "share", "low", "high", "chance", "queries", "identities", "note"}


def test_the_text_has_every_number(found: Leakage) -> None:
    text = str(found)
    assert text.startswith("SYNTHETIC people; says nothing about real ones\n360 items of 30 identities\n")
    assert f"{100 * row(found, 'camera', 'camera')['score']:.1f} %" in text
    assert all(verdict in text for verdict in found.verdicts)
    assert max(len(line) for line in text.splitlines() if not line.startswith("- ")) < 120


FEW = ["identity", "camera", "clothes", "height"]


def test_too_few_people_get_no_number() -> None:
    few = leakage(only("identity").take(range(12 * OUTFITS * TAKES)), FEW, kinds=["linear"])
    assert few.probes["score"].isna().all()
    assert few.retrieval["rank_1"].isna().all()
    assert few.bias["share"].isna().all()
    assert few.verdicts == ()
    assert "no claim about camera: 12 people can be tested, and a claim needs 20" in few.warnings
    assert "no claim: 12 people can be tested, and a claim needs 20" in str(few)


def test_ties_are_warned_of_and_named_in_the_verdict() -> None:
    number = made().table["identity"].str[2:].astype(int)
    embeddings = only("identity", camera=np.char.add("c", (number % 3).astype(str)))
    tied = leakage(embeddings, ["identity", "camera"], kinds=["knn"])
    assert any(warning.startswith("identity and camera are tied in this data") for warning in tied.warnings)
    verdict = next(one for one in tied.verdicts if one.startswith("identity can be read from the identity space"))
    assert verdict.endswith("; but it is tied to camera in this data, which may be what is read")
    assert "another camera" not in verdict, "where people keep to a camera nobody is seen by another"


def test_more_items_than_asked_for_are_whole_people() -> None:
    embeddings = only("camera")
    drawn = leakage(embeddings, ["sex"], kinds=["knn"], items=310)
    assert (drawn.items, drawn.identities) == (300, 25)
    assert drawn.warnings[0] == "300 of 360 items are looked at, of 25 of 30 people drawn by seed"
    other = probed(embeddings, ["sex"], kinds=["knn"], items=310, seed=1)
    assert other["score"].tolist() != drawn.probes["score"].tolist()


def test_same_seed_same_numbers_and_parts_are_accepted() -> None:
    embeddings = only("camera")
    one, two = (probed(embeddings, ["camera", "identity"], seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert one["label"].tolist() == ["camera", "identity", "identity"]
    parts = Spaces({"identity": embeddings.spaces["identity"].reshape(-1, 2, 5)})
    told = probed(Embeddings(parts, embeddings.table, {}), ["camera"], seed=7)
    assert told["score"].iloc[0] == one["score"].iloc[0]


def test_unknown_facts_are_left_out() -> None:
    table = made().table
    known = table["camera"].where(table.index > 9), table["identity"].where(~table.index.isin(range(20, 25)))
    told = probed(only("camera", camera=known[0], identity=known[1]), ["camera"]).iloc[0]
    assert told["left_out"] == 15
    assert told["score"] > 0.9


def test_a_space_of_zeros_is_warned_of() -> None:
    embeddings = only("camera")
    spaces = Spaces({"identity": embeddings.spaces["identity"], "noise": torch.zeros(len(embeddings), 4)})
    told = leakage(Embeddings(spaces, embeddings.table, {}), ["camera"], kinds=["linear"])
    assert "the noise space is zero for 360 of 360 items, which says nothing about them" in told.warnings
    assert told.probes.set_index("space").loc["noise", "bits"] == pytest.approx(0, abs=0.02)
    assert any(verdict.startswith("no sign of camera in the noise space") for verdict in told.verdicts)


def test_what_kind_of_label_it_is() -> None:
    table = made().table
    assert default_labels(table) == ["identity", "clothes", "camera", "top_colour", "sex", "height"]
    extra = table.assign(
        frames=np.arange(len(table)) % 7,
        other_clothes="x",
        name=table["key"],
        rare=table["camera"].where(table.index < 100),
        place="here",
        number=np.arange(len(table)) % 50,
    )
    assert default_labels(extra) == [*default_labels(table), "number"]
    assert is_measure(table["height"])
    assert not is_measure(extra["number"]), "whole numbers are names"
    assert not is_measure(table["camera"])
    assert not is_measure(pd.Series(["1.5", "2.5"] * 20)), "few values are names"
    assert not is_measure(pd.Series([f"{n}.5" for n in range(20)] + ["tall"]))


def test_the_halves_of_people_share_no_camera_and_no_outfit() -> None:
    table = made().table
    sides = halves(table, 0)
    assert set(sides) == {-1, 0, 1}
    for label in ("camera", "clothes"):
        assert not set(table[label][sides == 0]) & set(table[label][sides == 1])
    both = [set(table["identity"][sides == side]) for side in (0, 1)]
    assert len(both[0] & both[1]) > 0.7 * PEOPLE
    plain = halves(table.drop(columns=["camera", "clothes"]), 0)
    assert (pd.Series(plain).groupby(table["identity"]).mean() == 0.5).all()
    walks = table.assign(walk=table.index // 2).drop(columns=["camera", "clothes"])
    assert (pd.Series(halves(walks, 0)).groupby(walks["walk"]).nunique() == 1).all()
    assert conditions(table)[1] == "in another camera and other clothes"
    assert conditions(walks)[1] == "in another item"
    unknown = table.assign(identity=table["identity"].where(table.index >= 12))
    assert (halves(unknown, 0)[:12] == -1).all()


def test_wrong_input_is_named() -> None:
    with pytest.raises(KeyError, match=r"no 'view'; it has \['camera'"):
        leakage(made(), ["camera", "view"])
    with pytest.raises(ValueError, match="at least one label"):
        leakage(made(), [])
    with pytest.raises(ValueError, match="at least 1; got 0"):
        leakage(made(), ["camera"], items=0)
    embeddings = made()
    nobody = Embeddings(embeddings.spaces, embeddings.table.assign(identity=None), {})
    with pytest.raises(ValueError, match="none of the 360 items has a known identity"):
        leakage(nobody, ["camera"])


CONFIG = WorldConfig(
    train_identities=1,
    test_identities=22,
    train_outfits=1,
    test_outfits=2,
    cameras=4,
    tracklets=2,
    queries=1,
    frames=1,
    height=64,
    width=32,
    walking=1.0,
    mask_errors=0.0,
    views=2,
    seed=7,
)


def of_background(config: WorldConfig, root: Path) -> Leakage:
    """What the pixels around people know."""
    world = read(render(config, root, workers=1))
    pixels = colour_embeddings([*world.query, *world.gallery], region="background", synthetic=True)
    return leakage(pixels, ["identity", "camera", "top_colour"], kinds=["knn"])


def test_a_clean_world_passes(tmp_path: Path) -> None:
    """The background knows the camera, and neither who is before it nor what they wear."""
    clean = of_background(CONFIG, tmp_path)
    claimed = [verdict for verdict in clean.verdicts if " can be read from " in verdict]
    assert [verdict.split(" can be")[0] for verdict in claimed] == ["camera"]
    assert clean.confounded.empty
    retrieval = clean.retrieval.set_index("label").loc["identity"]
    assert retrieval["low"] <= retrieval["chance"]


def test_a_world_whose_cameras_know_people_is_caught(tmp_path: Path) -> None:
    leaky = of_background(replace(CONFIG, camera_leak=1.0), tmp_path)
    assert ("identity", "camera") in set(zip(leaky.confounded["with"], leaky.confounded["label"], strict=True))
    assert any(warning.startswith("identity and camera are tied in this data") for warning in leaky.warnings)
    retrieval = leaky.retrieval.set_index("label").loc["identity"]
    assert retrieval["low"] > retrieval["chance"]
