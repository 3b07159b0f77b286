"""The whole table: equal to evaluate, the same in any memory, honest about what cannot be scored."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.peers.hands import people, six
from tests.peers.test_market import rows
from unbraid.data.protocols import CAMERA_CHANGE, CROSS_ACTIVITY, PLAIN, VIEW_CELLS
from unbraid.evaluate import evaluate
from unbraid.peers import compare_rules
from unbraid.peers.compare import PEERS, defaults
from unbraid.peers.distances import SIMILARITIES
from unbraid.peers.habits import Habits
from unbraid.peers.reasons import chain
from unbraid.protocol import Shots, Where
from unbraid.spaces import Embeddings, Spaces
from unbraid.verify import verify

SIDES = people(3, parts=2)


def test_ours_is_evaluate_and_reasons_add_up() -> None:
    found = compare_rules(*SIDES, rates=False)
    for protocol in defaults():
        ours = next(row for row in found.rows if row.protocol == protocol.name)
        result = evaluate(*SIDES, protocol)
        assert (ours.rank_1, ours.mean_ap, ours.mean_inp) == (result.rank_1, result.mean_ap, result.mean_inp)
        for row in (row for row in found.rows if row.protocol == protocol.name and row.mean_ap is not None):
            points = sum(
                float(part.split("mAP ")[1].split(" ")[0].rstrip(")"))
                for part in row.reasons
                if "mAP +" in part or "mAP -" in part
            )
            assert ours.mean_ap is not None
            assert row.mean_ap == pytest.approx(ours.mean_ap + points / 100, abs=4e-4), row


def test_memory_does_not_change_the_numbers() -> None:
    chosen = [CAMERA_CHANGE, VIEW_CELLS]
    small, large = (compare_rules(*SIDES, protocols=chosen, memory=m).as_dict() for m in (20_000, 2**28))
    for one, two in zip(small["rows"], large["rows"], strict=True):
        for name in ("rank_1", "rank_5", "rank_10", "mean_ap", "mean_inp", "counted"):
            assert one[name] == (None if two[name] is None else pytest.approx(two[name])), (one["rule"], name)
    assert small["rates"] == large["rates"]


def test_headers_say_who_takes_part_and_what_is_drawn() -> None:
    chosen = replace(CAMERA_CHANGE, name="some@1", query=Where({"camera": ("c0",)}), gallery=Where({"view": ("000",)}))
    drawn = replace(PLAIN, name="drawn@1", shots=Shots(draws=3))
    found = compare_rules(*SIDES, protocols=[chosen, drawn], rates=False)
    assert found.headers["some@1"].endswith("; queries: camera in ['c0']; gallery: view in ['000']")
    assert found.headers["drawn@1"].endswith("; gallery of 1 item(s) per identity, mean of 3 draws (seed 0)")
    assert found.headers["some@1"] in str(found)
    assert found.as_dict()["headers"]["drawn@1"] == found.headers["drawn@1"]


def test_perfect_scores_have_an_interval_and_zero_features_a_warning() -> None:
    query, gallery = people(3)
    names = sorted({*query.table["identity"].dropna(), *gallery.table["identity"].dropna()})
    sides = []
    for side in (query, gallery):
        where = [names.index(one) if isinstance(one, str) else -1 for one in side.table["identity"]]
        features = torch.cat([torch.eye(len(names)), torch.zeros(1, len(names))])[where]
        sides.append(Embeddings(Spaces({"identity": features}), side.table, {}))
    found = compare_rules(*sides, protocols=[CAMERA_CHANGE], rates=False)
    result = evaluate(*sides, CAMERA_CHANGE)
    assert found.rows[0].rank_1 == 1
    assert found.rows[0].intervals["rank-1"] == pytest.approx((1 - 3 / result.identities, 1))
    assert found.zero_items == gallery.table["identity"].isna().sum() > 0
    assert str(found).endswith("nothing tells them apart")


def test_an_empty_side_is_said_once() -> None:
    with pytest.raises(ValueError) as caught:
        compare_rules(SIDES[0].take([]), SIDES[1])
    assert str(caught.value).count("the query side is empty") == 1


def test_the_seed_decides_the_draws() -> None:
    first, again, other = (
        rows(compare_rules(*SIDES, protocols=[CAMERA_CHANGE], rates=False, seed=seed))["torchreid single-shot"]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first.rank_1 != other.rank_1
    assert first.mean_ap == other.mean_ap


def test_rates_stand_beside_those_of_verify() -> None:
    query, gallery = people(4)
    found = compare_rules(query, gallery, protocols=[CAMERA_CHANGE])
    true = verify(query, gallery, CAMERA_CHANGE, similarity=SIMILARITIES["one minus cosine"], fmrs=(1e-4, 1e-3, 1e-2))
    assert [rate.wanted for rate in found.rates] == [1e-4, 1e-3, 1e-2]
    for rate, point in zip(found.rates, true.points, strict=True):
        assert rate.tar == (None if point.fnmr is None else 1 - point.fnmr)
        assert bool(rate.reason) == (rate.tar is None)
    assert "TPR@FPR has its axes swapped" in str(found)
    assert not compare_rules(query, gallery, protocols=[PLAIN]).rates


def test_text_and_json() -> None:
    found = compare_rules(*six())
    text = str(found)
    assert text.startswith("SYNTHETIC data")
    assert all(peer.name in text for peer in PEERS)
    again = json.loads(found.to_json())
    assert {row["rule"] for row in again["rows"]} == {"ours", *(peer.name for peer in PEERS)}
    assert len(found.frame) == len(found.rows)
    # one query identity has no interval
    ours = again["rows"][0]
    assert ours["intervals"]["mAP"] == [None, None]


def test_a_protocol_without_peers_stands_alone() -> None:
    query, gallery = SIDES
    for side in (query, gallery):
        side.table["action"] = np.where(np.arange(len(side)) % 2, "walk", "run")
    found = compare_rules(query, gallery, protocols=[CROSS_ACTIVITY])
    assert [row.rule for row in found.rows] == ["ours"]
    assert found.rows[0].reasons == ("no peer here has a rule for these pairs",)
    assert not found.rates


def test_the_trapezoid_protocol_leaves_layumi_no_difference_in_ap() -> None:
    found = rows(compare_rules(*SIDES, protocols=[replace(CAMERA_CHANGE, name="area", ap="trapezoid")], rates=False))
    assert "AP is" not in "\n".join(found["layumi baseline"].reasons)
    assert "AP is the mean precision at the mates (step)" in "\n".join(found["fast-reid"].reasons)


def test_nothing_to_score_is_an_error_that_says_why() -> None:
    query, gallery = people(5, views=False)
    for side in (query, gallery):
        del side.table["camera"]
    with pytest.raises(ValueError, match=r"no rule can be scored .* 'camera'.*camera-change@1"):
        compare_rules(query, gallery, protocols=[CAMERA_CHANGE])
    found = compare_rules(query, gallery)
    assert not rows(found)["OpenGait Gait3D"].problem
    assert "camera-change@1 not scored (ours, fast-reid" in str(found)
    query.table["identity"] = "nobody"
    with pytest.raises(ValueError, match="none of the"):
        compare_rules(query, gallery)


def test_mistakes_in_what_is_asked() -> None:
    with pytest.raises(KeyError, match="no space 'gait'"):
        compare_rules(*SIDES, space="gait")
    with pytest.raises(ValueError, match="name at least one protocol"):
        compare_rules(*SIDES, protocols=[])
    with pytest.raises(ValueError, match="memory is a number of bytes above 0"):
        compare_rules(*SIDES, memory=0)


def test_every_habit_is_a_step_once() -> None:
    goal = Habits("squared Euclidean", True, True, "trapezoid", 10, "wrong", True, 2)
    names = [name for name, _ in chain(Habits(), goal)]
    assert names == ["distance", "junk", "later_first", "ap", "draws", "mateless", "by_view", "decimals"]
    assert list(chain(Habits(), goal))[-1][1] == goal
    assert not list(chain(goal, goal))


def test_distances_against_formulas() -> None:
    query, gallery = (side.spaces for side in people(6, parts=3))
    one, two = (side["identity"].double() for side in (query, gallery))
    difference = one[:, None] - two[None]
    for name, wanted in (
        ("squared Euclidean", -difference.flatten(2).square().sum(2)),
        ("part Euclidean", -difference.norm(dim=3).mean(2)),
        ("flat cosine", torch.cosine_similarity(one.flatten(1)[:, None], two.flatten(1)[None], dim=2)),
    ):
        torch.testing.assert_close(SIMILARITIES[name](query, gallery).double(), wanted, atol=2e-5, rtol=1e-5)  # type: ignore[index]
    cosine = SIMILARITIES["flat cosine"](query, gallery)
    torch.testing.assert_close(SIMILARITIES["one minus cosine"](query, gallery), cosine - 1)
    torch.testing.assert_close(
        SIMILARITIES["unit squared Euclidean"](query, gallery), 2 * cosine - 2, atol=1e-5, rtol=0
    )
    assert not math.isnan(float(cosine.sum()))
