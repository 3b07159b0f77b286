from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from unbraid.world.motion import ACTIONS, Procedural, Style, draw_style
from unbraid.world.motion.style import STYLE_RANGES, stronger_arm, stronger_leg, varied

TIMES = (np.arange(60) - 29.5) / 30
# The arms of someone who carries are given by what they hold.
HELD = {"arm_swing", "elbow_swing", "elbow", "abduction", "arm_asymmetry"}
CASES = [
    (action, name)
    for action in ACTIONS
    for name in STYLE_RANGES
    if name != "source" and not (action == "carry" and name in HELD)
]


def rotations(style, action):
    return Procedural()(style, TIMES, np.random.default_rng(1), action=action, session=0).rotations


@pytest.mark.parametrize("action", ACTIONS)
def test_every_field_of_the_style_acts_on_every_action(action):
    middle = draw_style(np.random.default_rng(0), gait_spread=0, posture_spread=0)
    middle = replace(middle, leg_asymmetry=1.02, arm_asymmetry=1.04)
    common = rotations(middle, action)
    for name in [field for kind, field in CASES if kind == action]:
        high = STYLE_RANGES[name][1]
        changed = rotations(replace(middle, **{name: high}), action)
        # Largest angle between the two rotations of a bone, degrees.
        cosine = (np.einsum("tbij,tbij->tb", common, changed) - 1) / 2
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1)).max()) > 1.0, name


def test_source_is_for_recordings_only():
    for action in ACTIONS:
        assert np.array_equal(rotations(Style(source=0.1), action), rotations(Style(source=0.9), action))


def test_draws_stay_in_range_and_no_spread_is_everyone_alike():
    for seed in range(50):
        style = asdict(draw_style(np.random.default_rng(seed)))
        assert all(low <= style[name] <= high for name, (low, high) in STYLE_RANGES.items())
    alike = [draw_style(np.random.default_rng(s), gait_spread=0, posture_spread=0) for s in (0, 1)]
    assert alike[0] == alike[1]
    wide = [draw_style(np.random.default_rng(s), gait_spread=3.0).source for s in range(30)]
    assert 0 <= min(wide) < 0.05
    assert 0.95 < max(wide) <= 1


def test_clips_vary_a_little_and_keep_the_source():
    style, other = Style(source=0.3), varied(Style(source=0.3), np.random.default_rng(0))
    assert other.source == 0.3
    changes = [abs(getattr(style, f.name) - getattr(other, f.name)) for f in fields(style) if f.name != "source"]
    assert 0 < min(changes) < max(changes) < 0.1


def test_stronger_sides_are_personal_and_half_of_all_people_each():
    styles = [draw_style(np.random.default_rng(s)) for s in range(400)]
    for choose in (stronger_arm, stronger_leg):
        share = np.mean([choose(style) == 1 for style in styles])
        assert 0.4 < share < 0.6
