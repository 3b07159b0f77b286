"""Recipes of the method that retrieves."""

from tests.retriever.model import RetrieverConfig
from unbraid.recipe import DataConfig, OptimConfig, Recipe, TextConfig


def tiny() -> Recipe[RetrieverConfig]:
    """Seconds on any machine."""
    return Recipe(
        method="tests.retriever",
        config=RetrieverConfig(),
        data=DataConfig(frames=2, height=32, width=16, identities=2, clips=2),
        optim=OptimConfig(lr=1e-2),
        text=TextConfig(encoder="world-clip"),
        epochs=2,
    )
