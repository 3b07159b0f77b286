import itertools

import pytest

from unbraid.world.benchmarks import KINDS, SEEDS, SIZES, named_world
from unbraid.world.plan import plan


def test_names_say_what_they_leave_out():
    assert named_world("clothes").name == "world:clothes/small/dev"
    assert named_world("world:gait/full").name == "world:gait/full/dev"
    assert named_world("world:reid/tiny/final").name == "world:reid/tiny/final"


@pytest.mark.parametrize(
    "name", ["cloths", "world:clothes/huge", "clothes/small/test", "clothes/small/dev/1", "", "world:"]
)
def test_unknown_names_are_explained(name):
    with pytest.raises(ValueError, match="Names are KIND/SIZE/WORLD"):
        named_world(name)
    with pytest.raises(ValueError, match="did you mean 'clothes'"):
        named_world("world:cloths/small")


def test_sizes():
    assert set(SIZES) == {"tiny", "small", "full"}
    for kind in KINDS:
        small, full = named_world(f"{kind}/small").config, named_world(f"{kind}/full").config
        assert (small.train_identities, small.test_identities) == (120, 100)
        assert min(full.train_identities, full.test_identities) >= 200
        assert len(plan(named_world(f"{kind}/tiny").config)) < 1500


def test_no_two_worlds_share_their_chance():
    names = [f"{kind}/small/{role}" for kind, role in itertools.product(KINDS, SEEDS)]
    seeds = [named_world(name).config.seed for name in names]
    assert len(set(seeds)) == len(names) == 10
