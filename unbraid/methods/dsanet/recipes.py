"""Recipes of DSANet: functions that return a complete run.

The paper's tables are on MARS, DukeMTMC-VideoReID and LS-VID; none of those was available here, so none of the
paper's numbers has been reproduced. Expected values are the paper's, all-frames test, rank-1 / mAP in per cent.
"""

from dataclasses import replace

from unbraid.methods.dsanet.model import DSANetConfig, DSANetWeights
from unbraid.recipe import DataConfig, OptimConfig, Recipe


def mars() -> Recipe[DSANetConfig]:
    """MARS as in Table 1: 91.1 / 86.6 (paper). 200 epochs of about 235 steps of 8 x 4 clips of 6 frames.

    Clip length, and what the method's README lists under "choices", are not the paper's.
    """
    return Recipe(method="dsanet", config=DSANetConfig(), epochs=200)


def duke_video() -> Recipe[DSANetConfig]:
    """DukeMTMC-VideoReID as in Table 1: 97.2 / 96.6 (paper). The set has been withdrawn by its authors."""
    return mars()


def ls_vid() -> Recipe[DSANetConfig]:
    """LS-VID as in Table 1: 85.1 / 75.5 (paper). Camera weight 0.5 (section 4.2), the rest as on MARS."""
    return replace(mars(), config=DSANetConfig(weights=DSANetWeights(camera=0.5)))


def baseline() -> Recipe[DSANetConfig]:
    """First row of Table 2 (LS-VID, one clip per tracklet): 73.3 / 62.1 (paper).

    Trunk, spatial maximum, temporal mean, identity cross-entropy and triplet.
    """
    return _plain(ls_vid())


def world() -> Recipe[DSANetConfig]:
    """The built-in synthetic world: a small trunk from scratch, minutes on two CPU cores.

    Not in the paper; results in this method's README. 64 x 32 frames give an 8 x 4 map. Three weights are not the
    paper's: classifying halves and frames counts five times as much, and the term within identities is off. They
    were chosen among six settings on one world (seed 100) that no reported number comes from.
    """
    recipe = world_paper_weights()
    weights = replace(recipe.config.weights, halves=0.5, frame=0.5, intra=0.0)
    return replace(recipe, config=replace(recipe.config, weights=weights))


def world_paper_weights() -> Recipe[DSANetConfig]:
    """The `world` recipe with the paper's weights of all terms."""
    return Recipe(
        method="dsanet",
        config=DSANetConfig(trunk="small-16", pretrained=False, disentangle_on="neck"),
        data=DataConfig(frames=4, height=64, width=32, identities=8, clips=4, erase=0.3),
        optim=OptimConfig(name="adamw", lr=2e-3, schedule="cosine", warmup=0.1, max_norm=5.0),
        epochs=20,
    )


def world_baseline() -> Recipe[DSANetConfig]:
    """The `world` recipe reduced to the first row of Table 2: the same trunk, data, schedule and pooling."""
    return _plain(world())


def world_no_camera() -> Recipe[DSANetConfig]:
    """The `world` recipe without the camera branch and what hangs on it."""
    return _changed(world(), camera=False, aggregate=False)


def world_no_switching() -> Recipe[DSANetConfig]:
    """The `world` recipe without switching camera features."""
    return _changed(world(), aggregate=False)


def world_no_localising() -> Recipe[DSANetConfig]:
    """The `world` recipe without target localisation."""
    return _changed(world(), localise=False)


def world_no_weighing() -> Recipe[DSANetConfig]:
    """The `world` recipe with frames in equal shares."""
    return _changed(world(), weigh=False)


def tiny() -> Recipe[DSANetConfig]:
    """Seconds on any machine; for tests."""
    return Recipe(
        method="dsanet",
        config=DSANetConfig(trunk="small-4", pretrained=False),
        data=DataConfig(frames=2, height=64, width=32, identities=2, clips=2),
        optim=OptimConfig(lr=1e-3, schedule="cosine"),
        epochs=2,
    )


def _changed(recipe: Recipe[DSANetConfig], **switches: bool) -> Recipe[DSANetConfig]:
    return replace(recipe, config=replace(recipe.config, **switches))  # type: ignore[arg-type]


def _plain(recipe: Recipe[DSANetConfig]) -> Recipe[DSANetConfig]:
    weights = replace(recipe.config.weights, intra=0.0)
    config = replace(recipe.config, camera=False, localise=False, weigh=False, aggregate=False, weights=weights)
    return replace(recipe, config=config)
