"""Recipes of the outside method."""

from dataclasses import replace

from tests.fifth.model import FifthConfig
from unbraid.recipe import DataConfig, OptimConfig, Recipe


def tiny() -> Recipe[FifthConfig]:
    """Seconds on any machine."""
    return Recipe(
        method="tests.fifth",
        config=FifthConfig(),
        data=DataConfig(frames=2, height=32, width=16, identities=2, clips=2),
        optim=OptimConfig(lr=1e-2),
        epochs=2,
    )


def half() -> Recipe[FifthConfig]:
    """Half as long."""
    return replace(tiny(), epochs=1)


def once() -> Recipe[FifthConfig]:
    """At another rate."""
    return replace(tiny(), optim=OptimConfig(lr=1e-3))


def backwards() -> Recipe[FifthConfig]:
    """The least similar first."""
    return replace(tiny(), config=FifthConfig(backwards=True))
