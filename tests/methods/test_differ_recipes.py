"""Recipes of DIFFER against the paper sheet's tables, and the map of released checkpoints."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from unbraid.data.loader import normalised
from unbraid.methods.differ import model, recipes
from unbraid.methods.differ.config import DifferConfig
from unbraid.methods.differ.model import Differ
from unbraid.methods.differ.released import load_released
from unbraid.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe, available_recipes
from unbraid.train import learning_rate

Make = Callable[[], Recipe[DifferConfig]]

# sheet 1.5, 2.2 and 4.1: base rate, images per identity, global batch, aspects, width, biometric summaries
TABLE: dict[str, tuple[float, int, int, tuple[str, ...], int, bool]] = {
    "ltcc": (2e-6, 2, 16, ("hair", "clothing"), 512, False),
    "prcc": (2e-6, 4, 32, ("hair",), 768, True),
    "celeb_light": (2e-5, 2, 16, ("clothing",), 1024, False),
    "ccvid": (2e-5, 2, 16, ("clothing",), 1024, False),
}


@pytest.mark.parametrize("name", TABLE)
def test_recipes_hold_the_values_of_the_sheet(name: str) -> None:
    rate, clips, size, aspects, width, summaries = TABLE[name]
    recipe = getattr(recipes, name)()
    config, data, optim = recipe.config, recipe.data, recipe.optim
    assert (optim.lr, data.clips, data.identities * data.clips) == (rate, clips, size)
    assert (config.aspects, config.text_width, recipe.text.averaged) == (
        aspects,
        width,
        ("biometric",) if summaries else (),
    )
    assert (optim.name, optim.weight_decay, optim.bias_rate, optim.max_norm) == ("sgd", 0.05, 2.0, None)
    assert (data.frames, data.height, data.width, data.epoch) == (1, 224, 224, "groups")
    assert (data.flip, data.zoom, data.erase, data.erase_fill) == (0.5, 0.5, 0.5, (0.4914, 0.4822, 0.4465))
    assert (data.mean, data.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert (config.scale, config.temperature, config.alpha, config.ramp, config.smoothing) == (1.0, "fixed", 1.0, 0, 0)
    assert (config.positives, config.direction, config.neck, config.projection) == ("index", "image", False, "linear")
    assert set(asdict(config.weights).values()) == {1.0}
    assert recipe.seed == 1234


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ltcc", {1: 8.42e-7, 19: 1.94e-6, 20: 1.55e-6, 40: 6.5e-7, 59: 2.01e-7, 60: 2e-7}),
        ("celeb_light", {1: 1.74e-6, 19: 1.90e-5, 20: 1.55e-5, 40: 6.5e-6, 59: 2.01e-6, 60: 2e-6}),
    ],
)
def test_rates_of_the_sheet(name: str, expected: dict[int, float]) -> None:
    recipe = getattr(recipes, name)()
    for epoch, rate in expected.items():
        # the rate of an epoch holds from its first step to its last
        for position in (epoch - 1, epoch - 0.01):
            assert learning_rate(recipe.optim, recipe.epochs, position) == pytest.approx(rate, rel=4e-3)


def test_every_recipe_can_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    # the large trunk is made once
    monkeypatch.setattr(model, "vision_tower", cache(model.vision_tower))
    classes = dict.fromkeys(("identity", "camera", "top", "top_colour", "bottom_colour"), 3)
    for name in available_recipes("differ"):
        recipe = getattr(recipes, name)()
        if recipe.config.trunk == "world-clip":
            recipe = replace(recipe, config=replace(recipe.config, pretrained=False))
        with torch.device("meta"):
            method = Differ(recipe.config, classes=classes)
        # a bank is asked for where there are texts to learn from, and nowhere else
        assert (recipe.text is not None) == bool(method.aspects), name
        assert {"rgb": 3, "rgb+mask": 4, "mask": 1}[recipe.data.channels] == recipe.config.channels


def test_figure_and_baselines() -> None:
    assert recipes.figure().config.aspects == ("clothing", "pose", "hair")
    pairs: list[tuple[Make, Make]] = [
        (recipes.baseline, recipes.ltcc),
        (recipes.world_baseline, recipes.world),
        (recipes.world_rgb_baseline, recipes.world_rgb),
    ]
    for bare, full in pairs:
        assert replace(bare(), config=full().config, text=full().text) == full()
        assert (bare().config.biometric, bare().config.aspects, bare().config.attributes) == (False, (), ())


def test_colours_of_the_world_are_as_strong_as_its_masks() -> None:
    # what the trunk gets is 1 wide in every channel; ImageNet's deviation would make colours 4.4 wide
    recipe = recipes.world()
    ends = np.stack([np.full((2, 2, 4), value, dtype=np.uint8) for value in (0, 255)])
    low, high = normalised(ends, recipe.data)
    torch.testing.assert_close(high - low, torch.ones(4, 2, 2))
    assert recipe.config.colour_dropout > 0
    for make in (recipes.world_baseline, recipes.world_biometric, recipes.world_clothing, recipes.world_attributes):
        # what helps without texts, every row of a comparison has
        assert (make().data, make().config.colour_dropout) == (recipe.data, recipe.config.colour_dropout)
    assert recipes.world_mask().config.colour_dropout == recipes.world_rgb().config.colour_dropout == 0


# --- released checkpoints ---

CLASSES = {"identity": 5, "camera": 3}
CONFIG = DifferConfig(trunk="test_vit", pretrained=False, text_width=16)


def network(seed: int, **fields: object) -> Differ:
    torch.manual_seed(seed)
    method = Differ(replace(CONFIG, **fields), classes=CLASSES)  # type: ignore[arg-type]
    for parameter in method.parameters():
        parameter.data.normal_()
    return method


def released(method: Differ) -> dict[str, Tensor]:
    """The weights of a method under the names that the released code writes."""
    made = {}
    for name, value in method.state_dict().items():
        name = name.replace("trunk.net.blocks.5.", "head_bio.").replace("trunk.net.norm.", "norm_bio.")
        name = name.replace("trunk.net.", "").replace("head.classify.", "head.")
        name = name.replace("toward.0.", "head_clip_bio.fc1.").replace("toward.2.", "head_clip_bio.fc2.")
        name = name.replace("toward.", "head_clip_bio.")
        for number, aspect in enumerate(method.detached):
            own = f"head_clip_bioReverse.{number}."
            name = name.replace(f"against.{aspect}.weight", own + "head_fc.weight")
            name = name.replace(f"against.{aspect}.0.", own + "fc1.").replace(f"against.{aspect}.2.", own + "fc2.")
        if name == "camera.weight":
            name, value = "camera_embed", value[1:, None]
        made[f"module.{name}"] = value.clone()
    return made


@pytest.mark.parametrize("projection", ["linear", "mlp"])
def test_released_checkpoint(projection: str, tmp_path: Path) -> None:
    theirs, ours = network(0, projection=projection), network(1, projection=projection)
    theirs.camera.weight.data[0] = 0
    torch.save(released(theirs), tmp_path / "best.pth")
    found = load_released(ours, tmp_path / "best.pth", cameras=(0, 1, 2))
    assert (found.dropped, found.kept) == ({}, ())
    assert all(torch.equal(v, theirs.state_dict()[n]) for n, v in ours.state_dict().items())


def test_cameras_in_another_order(tmp_path: Path) -> None:
    theirs, ours = network(0), network(1)
    save_file(released(theirs), tmp_path / "best.safetensors")
    load_released(ours, tmp_path / "best.safetensors", cameras=(0, 2, 1))
    assert (ours.camera.weight[0] == 0).all()
    assert torch.equal(ours.camera.weight[1:], theirs.camera.weight[[1, 3, 2]])
    with pytest.raises(ValueError, match="cameras names 0 rows; expected one for each of 3 cameras"):
        load_released(ours, tmp_path / "best.safetensors")
    with pytest.raises(ValueError, match=r"cameras = \(0, 1, 3\), but the released table has rows 0 to 2"):
        load_released(ours, tmp_path / "best.safetensors", cameras=(0, 1, 3))


def test_what_has_no_place_is_named(tmp_path: Path) -> None:
    theirs, ours = network(0), network(1, aspects=("hair",))
    state = released(theirs) | {"module.rope.freqs": torch.ones(2), "module.head.bias": torch.ones(9)}
    torch.save(state, tmp_path / "best.pth")
    before = ours.head.classify.bias.clone()
    found = load_released(ours, tmp_path / "best.pth", cameras=(0, 1, 2))
    assert found.dropped == {
        "module.rope.freqs": "no part of this network",
        "module.head.bias": "has shape (9,), head.classify.bias has (5,)",
        "module.head_clip_bioReverse.1.head_fc.weight": "no part of this network",
    }
    assert found.kept == ("head.classify.bias",)
    assert torch.equal(ours.head.classify.bias, before)
    assert torch.equal(ours.against["hair"].weight, theirs.against["hair"].weight)


def test_a_checkpoint_that_lacks_what_recognition_needs(tmp_path: Path) -> None:
    state = released(network(0))
    del state["module.norm_bio.weight"]
    torch.save(state, tmp_path / "best.pth")
    method = network(1)
    before = {n: v.clone() for n, v in method.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"1 parts that recognition needs are lacking, such as 'trunk.net.norm.weight'"
    ):
        load_released(method, tmp_path / "best.pth", cameras=(0, 1, 2))
    assert all(torch.equal(v, before[n]) for n, v in method.state_dict().items())
    with pytest.raises(ValueError, match="hold an image transformer, not 'small-4'"):
        load_released(network(1, trunk="small-4", side=False), tmp_path / "best.pth")
