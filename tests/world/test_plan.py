from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, chi2_contingency, chisquare

from unbraid.data.protocols import NAMED
from unbraid.world import named_world
from unbraid.world.config import WorldConfig
from unbraid.world.plan import labels, plan, protocols


@pytest.mark.parametrize(("cameras", "tracklets", "queries"), [(2, 2, 1), (3, 5, 2), (6, 8, 2), (3, 8, 4), (5, 9, 4)])
def test_every_query_can_be_answered(cameras, tracklets, queries):
    config = WorldConfig(test_identities=6, test_outfits=2, cameras=cameras, tracklets=tracklets, queries=queries)
    shots = plan(config)
    assert len({s.key for s in shots}) == len(shots)
    train = {s.identity for s in shots if s.split == "train"}
    asked, gallery = ([s for s in shots if s.split == split] for split in ("query", "gallery"))
    assert not train & {s.identity for s in asked + gallery}
    assert len(asked) == 6 * 2 * queries
    for query in asked:
        same = [s for s in gallery if s.clothes == query.clothes and s.camera != query.camera]
        other = [s for s in gallery if s.identity == query.identity and s.clothes != query.clothes]
        assert same
        assert other


def test_cameras_and_views_say_nothing_about_the_person():
    config = WorldConfig(train_identities=150, test_identities=1)
    shots = [s for s in plan(config) if s.split == "train"]
    for factor, count in (("camera", 6), ("view", 4)):
        table = np.zeros((150, count))
        for shot in shots:
            table[shot.place[1], getattr(shot, factor)] += 1
        assert chi2_contingency(table).pvalue > 0.01
    together = np.zeros((6, 4))
    for shot in shots:
        together[shot.camera, shot.view] += 1
    assert chi2_contingency(together).pvalue > 1e-3


def test_larger_worlds_contain_smaller_ones():
    small, large = (WorldConfig(train_identities=n, test_identities=2) for n in (2, 5))
    assert set(plan(small)) <= set(plan(large))


def test_labels():
    config = WorldConfig(train_identities=1, test_identities=1)
    shot = plan(config)[-1]
    known = labels(config, shot)
    assert known.keys() == {"clothes", "camera", "view", "action", "other_clothes"}
    assert shot.key == "test0000-s3-t07"
    assert known["clothes"] == "test0000-o3"
    assert labels(replace(config, night_rate=1.0), plan(replace(config, night_rate=1.0))[0])["light"] == "night"
    assert labels(named_world("gait").config, plan(named_world("gait").config)[0])["condition"] == "normal"
    assert labels(config, plan(config)[0])["other_clothes"] is None


def mates(shots, query, clothes):
    return [s for s in shots if s.split == "gallery" and s.clothes == clothes and s.camera != query.camera]


def test_a_query_has_as_many_mates_in_its_own_clothes_as_in_one_other_outfit():
    config = WorldConfig(train_identities=1, test_identities=20)
    shots = plan(config)
    queries = [s for s in shots if s.split == "query"]
    assert len(queries) == 20 * 4 * 2
    for query in queries:
        other = labels(config, query)["other_clothes"]
        assert other != query.clothes
        assert other.startswith(query.identity)
        assert len(mates(shots, query, query.clothes)) == len(mates(shots, query, other)) == 5
    # on average equally many of them from the query's side: one in four of five
    own = [sum(m.view == q.view for m in mates(shots, q, q.clothes)) for q in queries]
    other = [sum(m.view == q.view for m in mates(shots, q, labels(config, q)["other_clothes"])) for q in queries]
    for near in (own, other):
        assert abs(np.mean(near) - 1.25) < 4 * np.std(near) / np.sqrt(len(near))
    # every other outfit has its turn
    steps = [(q.other_outfit - q.outfit) % 4 for q in queries]
    assert chisquare(np.bincount(steps, minlength=4)[1:]).pvalue > 0.01


def test_actions_come_at_their_rate_and_say_nothing_about_the_person():
    config = WorldConfig(train_identities=200, test_identities=1)
    actions = [s.action for s in plan(config) if s.split == "train"]
    counts = pd.Series(actions).value_counts()
    assert set(counts.index) == set(config.actions)
    assert binomtest(int(counts["walk"]), len(actions), 0.85).pvalue > 0.01
    assert chisquare(counts.drop("walk")).pvalue > 0.01
    equal = [s.action for s in plan(named_world("activity").config) if s.split == "train"]
    assert chisquare(pd.Series(equal).value_counts()).pvalue > 0.01


def test_gait_sessions_hold_every_condition_from_every_side():
    config = named_world("gait/tiny").config
    shots = [s for s in plan(config) if s.identity == "test0002"]
    gallery, queries = ([s for s in shots if s.split == split] for split in ("gallery", "query"))
    assert {s.condition for s in gallery} == {"normal"}
    assert sorted(s.view for s in gallery) == list(range(8))
    for condition in config.conditions:
        some = [s for s in queries if s.condition == condition]
        assert sorted(s.view for s in some) == list(range(8))
        assert {s.night for s in some} == {condition == "night"}
        worn = {"clothing": "test0002-o1", "uniform": "uniform"}.get(condition, "test0002-o0")
        assert {s.clothes for s in some} == {worn}
    assert {s.condition for s in plan(config) if s.split == "train"} == set(config.conditions)


def test_a_small_gait_world_asks_from_some_sides():
    config = named_world("gait/small").config
    shots = plan(config)
    asked = pd.DataFrame([(s.identity, s.condition, s.view) for s in shots if s.split == "query"])
    assert (asked.groupby([0, 1]).size() == 3).all()
    assert (asked.groupby([0, 1])[2].nunique() == 3).all()
    # 800 sessions of three sides each, all sides alike
    assert chisquare(asked[2].value_counts()).pvalue > 0.01
    assert sum(s.split == "gallery" for s in shots) == 100 * 8
    assert config.total_frames == 10 * len(shots)
    more = plan(replace(config, queries=49, test_identities=1))
    assert sum(s.split == "query" for s in more) == 8 * 8


def test_a_leak_ties_the_camera_to_the_person():
    tied = [s for s in plan(WorldConfig(camera_leak=1.0)) if s.split == "train"]
    assert all(s.camera == s.place[1] % 6 for s in tied)
    half = [s for s in plan(WorldConfig(camera_leak=0.5)) if s.split == "train"]
    right = sum(s.camera == s.place[1] % 6 for s in half)
    assert binomtest(right, len(half), 0.5 + 0.5 / 6).pvalue > 0.01


def test_leaking_clothes_look_like_the_first_outfit():
    shots = plan(WorldConfig(clothes_leak=0.5, train_identities=1, test_identities=100))
    later = {s.clothes: s.worn for s in shots if s.outfit > 0 and s.split != "train"}
    leaked = sum(worn == 0 for worn in later.values())
    assert binomtest(leaked, len(later), 0.5).pvalue > 0.01
    assert all(s.worn == s.outfit for s in plan(WorldConfig()))


def test_protocols_are_those_that_a_world_can_answer():
    assert protocols(named_world("reid").config) == ["camera-change@1"]
    assert protocols(named_world("activity").config)[0] == "same-activity/view+@1"
    clothes = protocols(named_world("clothes").config)
    assert {"clothes-change@1", "same-clothes@1", "one-clothes-change@1", "camera-change@1"} <= set(clothes)
    gait = protocols(named_world("gait").config)
    assert len(gait) == 4 * 9
    only = protocols(replace(named_world("gait").config, modalities=("depth",)))
    assert only[0] == "gait/depth-in-depth/all@1"
    assert len(only) == 9
    assert set(NAMED) >= {*gait, *clothes}
    few = protocols(replace(named_world("gait").config, conditions=("bag",)))
    assert "gait/depth-in-depth/bag@1" in few
    assert "gait/depth-in-depth/normal@1" not in few
    assert protocols(replace(named_world("gait").config, modalities=("rgb",))) == ["camera-change@1"]
    assert not any("activity" in name for name in protocols(WorldConfig(actions=("walk", "run"), walking=0.0)))
