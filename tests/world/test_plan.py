import numpy as np
import pytest
from scipy.stats import chi2_contingency

from unbraid.world.config import WorldConfig
from unbraid.world.plan import labels, plan


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
    assert labels(config, shot).keys() == {"clothes", "camera", "view", "action"}
    assert shot.key == "test0000-o3-t07"
    assert labels(config, shot)["clothes"] == "test0000-o3"
