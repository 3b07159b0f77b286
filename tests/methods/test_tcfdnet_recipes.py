"""Recipes of TCFDNet: the paper's settings in numbers, and what each variant changes."""

import numpy as np
import pytest

from unbraid.data.sampler import identity_batches, pair_batches
from unbraid.methods.tcfdnet import recipes
from unbraid.recipe import differences, find_recipe
from unbraid.train import learning_rate


@pytest.mark.parametrize(
    ("name", "people", "walks"), [("sustech1k", 250, 24), ("freegait", 500, 10), ("casia_b", 74, 110)]
)
def test_steps_are_the_papers(name: str, people: int, walks: int) -> None:
    recipe = find_recipe(f"tcfdnet:{name}")
    data = recipe.data
    sides = 2 if data.pairs else 1
    who = np.repeat(np.arange(people), walks * sides).tolist()
    sample = pair_batches if data.pairs else identity_batches
    batches = sample(
        who, per_batch=data.identities, clips=data.clips, epoch=data.epoch, generator=np.random.default_rng(0)
    )
    assert {len(batch) for batch in batches} == {128}
    steps = len(batches) * recipe.epochs
    assert steps == pytest.approx(25_000, abs=25)
    for at, rate in ((0, 3e-4), (9_950, 3e-4), (10_050, 3e-5), (19_900, 3e-5), (20_100, 3e-6), (24_900, 3e-6)):
        assert learning_rate(recipe.optim, recipe.epochs, at / len(batches)) == pytest.approx(rate)


def test_settings_of_the_paper() -> None:
    recipe = recipes.sustech1k()
    data, config, optim = recipe.data, recipe.config, recipe.optim
    assert (data.height, data.width, data.frames, data.identities, data.clips) == (64, 64, 10, 8, 8)
    assert (data.pairs, data.draw, data.test, data.flip, data.erase, data.shift) == ("walk", "random", "whole", 0, 0, 0)
    assert (data.mean, data.std) == ((0, 0, 0), (1, 1, 1))
    assert (optim.name, optim.lr, optim.decay, optim.warmup) == ("adam", 3e-4, 0.1, 0)
    assert (config.text_width, config.k_t, config.texts, config.map_size) == (512, 16, 64, (16, 16))
    assert recipe.text is not None
    assert recipe.text.encoder == config.clip


SWITCHES = {
    "no_gmtd": {"config.gmtd", "text"},
    "no_resnet": {"config.resnet"},
    "no_mf": {"config.mf"},
    "no_sw": {"config.sw"},
    "no_tfd": {"config.tfd", "text"},
    "no_fse": {"config.fse"},
    "no_exchange": {"config.patch_exchange"},
}
PLAIN = {f"config.{name}" for name in ("mf", "sw", "tfd", "fse", "patch_exchange", "separate_resnets")} | {"text"}


@pytest.mark.parametrize("root", ["sustech1k", "world"])
def test_variants_change_what_they_say(root: str) -> None:
    full = find_recipe(f"tcfdnet:{root}")
    for name, changed in SWITCHES.items():
        found = {".".join(d.split(".")[:2]) for d in differences(full, find_recipe(f"tcfdnet:{root}_{name}"))}
        assert {d.removesuffix(".encoder") for d in found} >= changed
        assert {d for d in found if not d.startswith("text")} == {d for d in changed if d != "text"}
    plain = recipes.baseline() if root == "sustech1k" else recipes.world_baseline()
    assert {d.split(".")[0] if d.startswith("text") else d for d in differences(full, plain)} == PLAIN
    assert not plain.config.uses_clip


def test_frames_of_recipes_fit_their_networks() -> None:
    for name in ("sustech1k", "freegait", "casia_b", "world", "tiny", "baseline"):
        recipe = find_recipe(f"tcfdnet:{name}")
        assert (recipe.data.height, recipe.data.width) == recipe.config.pixels
