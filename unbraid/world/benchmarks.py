"""The benchmarks of the built-in world by name: `world:clothes/small/dev`.

A name has three parts: what is asked, how large, and which of two worlds. `dev` is for choosing hyper-parameters,
`final` for reporting: other people, other clothes, other cameras. Nothing is ever tuned on `final`.

    reid      who is it, in single pictures; everyone keeps their clothes, six cameras
    video     the same in tracklets, with misaligned boxes, occluders and strong colour casts
    clothes   who is it, in other clothes; four outfits each
    activity  who is it, doing something else; nine actions
    gait      who walks there: silhouettes and LiDAR depth maps, eight views, eight conditions
"""

import difflib
from dataclasses import dataclass, replace

from unbraid.world.config import ACTIONS, WorldConfig

SIZES = ("tiny", "small", "full")
# `appearance_identity` is part of what a benchmark asks: how much of a person RGB shows beside the shape.
KINDS = {
    "reid": WorldConfig(
        train_outfits=1, test_outfits=1, tracklets=12, queries=4, frames=1, walking=1.0, appearance_identity=0.5
    ),
    "video": WorldConfig(
        train_outfits=1,
        test_outfits=1,
        walking=1.0,
        box_jitter=0.07,
        occluder_rate=0.5,
        truncation_rate=0.2,
        camera_cast=1.5,
        appearance_identity=0.5,
    ),
    "clothes": WorldConfig(frames=4, occluder_rate=0.1, truncation_rate=0.05, appearance_identity=0.5),
    "activity": WorldConfig(
        train_outfits=2, test_outfits=2, tracklets=18, queries=6, walking=1 / len(ACTIONS), appearance_identity=0.5
    ),
    "gait": WorldConfig(
        conditions=("normal", "bag", "clothing", "carrying", "umbrella", "uniform", "occlusion", "night"),
        modalities=("silhouette", "depth"),
        walking=1.0,
        views=8,
        tracklets=8,
        queries=8,
        frames=10,
        height=128,
        width=64,
        truncation_rate=0.0,
        mask_errors=0.5,
    ),
}
PEOPLE = {"tiny": (8, 6), "small": (120, 100), "full": (200, 200)}
# The worlds of one kind share no stream of chance.
SEEDS = {"dev": 1000, "final": 2000}
START = "world:"


@dataclass(frozen=True)
class NamedWorld:
    """One benchmark of the built-in world."""

    name: str
    config: WorldConfig


def named_world(name: str) -> NamedWorld:
    """The world of a name like 'clothes', 'world:clothes/full' or 'world:clothes/small/final'.

    Size is 'small' and world 'dev' where the name does not say. Raises ValueError with what there is.
    """
    kind, size, role, *more = [*name.removeprefix(START).split("/"), *("", "", "")][: max(3, name.count("/") + 1)]
    size, role = size or "small", role or "dev"
    for part, known in ((kind, tuple(KINDS)), (size, SIZES), (role, tuple(SEEDS))):
        if part not in known or more:
            near = difflib.get_close_matches(part, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near and not more else "."
            raise ValueError(
                f"there is no world {name!r}{hint} Names are KIND/SIZE/WORLD with KIND of {', '.join(KINDS)}, "
                f"SIZE of {', '.join(SIZES)} and WORLD of {', '.join(SEEDS)}, such as {START}clothes/small/dev"
            )
    train, test = PEOPLE[size]
    config = replace(
        KINDS[kind],
        train_identities=train,
        test_identities=test,
        seed=SEEDS[role] + list(KINDS).index(kind),
    )
    if size != "full" and kind != "gait":
        config = replace(config, height=128, width=64)
    if size == "small" and kind == "gait":
        # three of the eight views in each condition, drawn anew for everybody: less than half to extract
        config = replace(config, queries=3)
    return NamedWorld(f"{START}{kind}/{size}/{role}", config)
