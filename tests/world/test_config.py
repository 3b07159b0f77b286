from dataclasses import FrozenInstanceError, replace

import pytest

from unbraid.world import WorldConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cameras": 1}, "cameras = 1 is outside 2"),
        ({"tracklets": 2.5}, "tracklets = 2.5 must be a whole number"),
        ({"train_identities": True}, "train_identities = True"),
        ({"body_spread": float("nan")}, "body_spread = nan must be a number"),
        ({"looseness": "wide"}, "looseness = 'wide' must be a number"),
        ({"occluder_rate": 1.5}, "occluder_rate = 1.5 is outside 0.0 to 1.0"),
        ({"queries": 5}, "queries <= tracklets / 2"),
        ({"views": 36}, "view_jitter"),
        ({"height": 8}, "height = 8 is outside"),
        ({"modalities": ("rgb", "radar")}, "modalities has 'radar'; allowed are rgb, silhouette, depth"),
        ({"modalities": ()}, "modalities is empty"),
        ({"conditions": ("fog",)}, "conditions has 'fog'"),
        ({"actions": "walk"}, "actions = 'walk' must be words"),
        ({"actions": ("run",)}, "need walking = 0, not 0.85"),
        ({"masks": 1}, "masks = 1 must be true or false"),
        ({"lidar_near": 20.0, "lidar_far": 10.0}, "lidar_near = 20 is beyond lidar_far = 10"),
        ({"wardrobe": 3}, "wardrobe = 3 outfits are fewer"),
        ({"points": True}, "needs 'depth' among the modalities"),
        ({"frames": 60}, "last 5.9 s, in which people could walk past the camera"),
        ({"conditions": ("umbrella",)}, "people with umbrellas and boxes cannot do all of"),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        WorldConfig(**changes)


def test_positional_arguments_and_changes_are_refused():
    with pytest.raises(TypeError):
        WorldConfig(10)
    with pytest.raises(FrozenInstanceError):
        WorldConfig().seed = 1


def test_total_frames():
    config = WorldConfig(train_identities=3, test_identities=2, train_outfits=2, test_outfits=4, tracklets=5, frames=7)
    assert config.total_frames == (3 * 2 + 2 * 4) * 5 * 7
    gait = WorldConfig(
        train_identities=3, test_identities=2, conditions=("normal", "bag"), walking=1, tracklets=8, frames=5
    )
    # a test person has eight gallery tracklets and two queries in each condition
    assert gait.total_frames == (3 * 3 * 8 + 2 * (8 + 2 * 2)) * 5


def test_recorded_motion_brings_its_actions_unless_the_config_names_some() -> None:
    config = WorldConfig()
    assert config.moved_by(("run", "walk")) == replace(config, actions=("run", "walk"))
    assert config.moved_by(("run",)) == replace(config, actions=("run",), walking=0.0)
    own = replace(config, actions=("walk", "jump"))
    assert own.moved_by(("run",)) == own
