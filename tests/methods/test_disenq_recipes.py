"""Recipes of DisenQ against the fact sheet, and the published weights that they start from."""

import inspect
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Blip2QFormerConfig
from transformers.models.blip_2.modeling_blip_2 import Blip2QFormerModel

from tests.nn.test_blip_vision import SIZES, published, theirs
from unbraid.batch import Clip
from unbraid.methods.disenq import model, recipes
from unbraid.methods.disenq.config import DisenqConfig
from unbraid.methods.disenq.model import Disenq
from unbraid.methods.disenq.released import load_instructblip
from unbraid.nn.blip_vision import BlipTower
from unbraid.nn.pretrained import load_pretrained
from unbraid.recipe import Recipe, available_recipes

NAMES = available_recipes("disenq")
SMALL = DisenqConfig(width=24, layers=2, heads=4, inner=40, queries=4, dropout=0.0, text_width=12, positions=2)
READERS: tuple[Any, ...] = ("shared", "independent")
CLASSES = dict.fromkeys(("identity", "action", "actions", "camera"), 3)


def of(name: str) -> Recipe[DisenqConfig]:
    made: Recipe[DisenqConfig] = getattr(recipes, name)()
    return made


@pytest.mark.parametrize("name", ["ntu_ab", "pku_ab", "charades_ab", "mevid"])
def test_recipes_hold_what_is_stated(name: str) -> None:
    # sheet 1.1, 3 and 4: labels STATED and, behind them, the choices of section 8
    recipe = of(name)
    config, data, optim = recipe.config, recipe.data, recipe.optim
    assert (config.trunk, config.pretrained, config.reader) == ("instructblip", True, "shared")
    assert (optim.name, optim.lr, recipe.epochs) == ("adamw", 1e-4, 60)
    assert (data.identities, data.clips) == (8, 4)
    assert (config.margin, config.weights.identity) == (0.3, 0.01)
    assert config.compare == "adaptive"
    # filled in
    assert (config.width, config.layers, config.heads, config.inner, config.queries) == (768, 12, 12, 3072, 32)
    assert (data.frames, data.height, data.width, data.flip, data.erase) == (8, 224, 224, 0.5, 0.0)
    assert (config.tuned, config.neck, config.triplet_on, config.orthogonality) == (0, True, "raw", "cosine")
    assert (config.text_dropout, config.query_noise) == (0.0, 0.0)
    assert (optim.weight_decay, optim.max_norm, optim.schedule) == (0.05, 5.0, "cosine")
    assert recipe.text is not None
    assert (recipe.text.averaged, config.averaging) == (("biometric",), "offline")
    # their normalisation, not ImageNet's
    assert data.mean[0] == pytest.approx(0.4815, abs=1e-4)


def test_what_differs_between_the_data_sets() -> None:
    assert (of("charades_ab").config.several_actions, of("charades_ab").config.action) == (True, "actions")
    assert (of("mevid").config.weights.action, of("mevid").config.motion_texts) == (0.0, ())
    assert recipes.paper() == recipes.ntu_ab()
    assert replace(of("robust").config, text_dropout=0.0, query_noise=0.0) == of("ntu_ab").config
    assert of("robust").config.text_dropout == 0.5
    assert replace(of("world").config, text_dropout=0.0, query_noise=0.0) == of("world_paper").config
    for clear, plain in (("world_clear", "world"), ("world_paper_clear", "world_paper")):
        assert replace(of(clear), text=of(plain).text) == of(plain)
    assert of("world_clear").text == of("world_paper_clear").text == recipes.CLEAR


ABLATIONS: dict[str, dict[str, Any]] = {
    "vision": {"reader": "pooled", "groups": ("identity",), "identity_texts": (), "compare": "identity"},
    "text": {"reader": "pooled", "groups": ("identity",), "identity_texts": recipes.EVERY_TEXT, "compare": "identity"},
    "none": {
        "groups": ("identity",), "identity_texts": recipes.EVERY_TEXT, "action_on": "identity", "compare": "identity",
    },
    "appearance": {"groups": ("identity", "appearance"), "compare": "identity"},
    "motion": {"groups": ("identity", "motion")},
    "fixed": {"compare": "fixed"},
    "random_clothing": {"random_texts": ("clothing",)},
    "independent": {"reader": "independent"},
    "identity_alone": {"compare": "identity"},
    "motion_alone": {"compare": "motion"},
    "appearance_alone": {"compare": "appearance"},
}  # fmt: skip


@pytest.mark.parametrize("base", ["ntu_ab", "world"])
def test_ablations_change_what_they_say_and_nothing_else(base: str) -> None:
    named = {n.removeprefix(f"{base}_") for n in NAMES if n.startswith(f"{base}_")}
    assert named - {"paper", "clear", "paper_clear"} == set(ABLATIONS)
    for name, changes in ABLATIONS.items():
        recipe = of(f"{base}_{name}")
        assert recipe.config == replace(of(base).config, **changes), name
        assert replace(recipe, config=of(base).config, text=of(base).text) == of(base), name


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_can_be_built(name: str) -> None:
    recipe = of(name)
    assert Recipe.from_json(recipe.to_json()) == recipe
    config = recipe.config
    if config.trunk == "world-clip":
        config = replace(config, pretrained=False)
    if config.trunk == "instructblip":
        config = replace(config, trunk="test_vit")
    # sizes are the same everywhere; a test of its own builds them
    method = Disenq(replace(config, layers=1, width=24, heads=4, inner=8), classes=CLASSES)
    # a bank is asked for where there are texts to learn from, and nowhere else
    assert (recipe.text is not None) == bool(method.aspects)
    assert set(method.aspects) <= {"biometric", "motion", "clothing"}
    assert recipe.data.frames <= config.positions


def test_the_whole_full_size_method_is_as_large_as_the_sheet_says() -> None:
    with torch.device("meta"):
        method = Disenq(of("ntu_ab").config, classes=CLASSES)
    assert method.tower.width == 1408
    assert layers_of(method) == 105_137_664


def test_three_q_formers_have_three_times_the_weights() -> None:
    one, three = (
        Disenq(replace(SMALL, trunk="test_vit", pretrained=False, reader=r), classes=CLASSES) for r in READERS
    )
    assert layers_of(three) == 3 * layers_of(one)


def layers_of(method: Disenq) -> int:
    """Numbers in the layers of the Q-Formers, without queries and what is for texts."""
    named = method.reader.named_parameters()
    return sum(p.numel() for n, p in named if "queries" not in n and ".text_" not in n)


def test_every_field_says_what_it_is() -> None:
    source = inspect.getsource(DisenqConfig)
    for one in fields(DisenqConfig):
        after = source.split(f"\n    {one.name}: ", 1)[1].split("\n", 2)[1]
        assert after.lstrip().startswith('"""') or one.name == "weights", one.name


# --- the weights of InstructBLIP ---


def whole() -> tuple[dict[str, Tensor], Any, Any]:
    """A small InstructBLIP as it is saved, its vision tower and its Q-Former."""
    vision = theirs()
    torch.manual_seed(1)
    net = Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40, encoder_hidden_size=32
        )
    ).eval()
    for name, parameter in net.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("norm" in name.lower() and name.endswith("weight")), std=0.2)
    state = published(vision) | {f"qformer.{n}": v.clone() for n, v in net.state_dict().items()}
    state |= {"query_tokens": torch.randn(1, 4, 24), "language_model.model.norm.weight": torch.ones(2)}
    return {n: v.contiguous() for n, v in state.items()}, vision, net


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Disenq:
    monkeypatch.setattr(model, "BlipTower", partial(BlipTower, **SIZES))
    return Disenq(SMALL, classes=CLASSES)


def check(method: Disenq, state: dict[str, Tensor], vision: Any, net: Any) -> None:
    """Our features of a single frame are those of their tower and their Q-Former with the same queries."""
    frames = torch.randn(3, 1, 3, 28, 28)
    with torch.no_grad():
        seen = vision(pixel_values=frames[:, 0])[0]
        want = net(query_embeds=state["query_tokens"].expand(3, -1, -1), encoder_hidden_states=seen)[0].mean(1)
        found = method.eval().encode(Clip.of(frames))
    for group in ("motion", "appearance"):
        torch.testing.assert_close(found[group], want, rtol=0, atol=1e-5)
    torch.testing.assert_close(found["identity"], want / (1 + 1e-5) ** 0.5, rtol=0, atol=1e-5)


def test_training_starts_from_one_file(small: Disenq, tmp_path: Path) -> None:
    state, vision, net = whole()
    save_file(state, tmp_path / "model.safetensors")
    load_pretrained(small, tmp_path / "model.safetensors")
    check(small, state, vision, net)


@pytest.mark.parametrize("reader", ["shared", "independent"])
def test_a_model_in_several_files(reader: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model, "BlipTower", partial(BlipTower, **SIZES))
    method = Disenq(replace(SMALL, reader=reader), classes=CLASSES)
    state, vision, net = whole()
    names = sorted(state)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, own in shards.items():
        save_file({n: state[n] for n in own}, tmp_path / file)
    index = {n: file for file, own in shards.items() for n in own}
    (tmp_path / "model.safetensors.index.json").write_text(str({"weight_map": index}).replace("'", '"'))
    tower, read = load_instructblip(method, tmp_path)
    check(method, state, vision, net)
    assert tower.dropped["language_model.model.norm.weight"] == "language model"
    assert "vision_model.post_layernorm.bias" in read.dropped
    # nothing of the file is lost between the two
    assert set(tower.dropped) & set(read.dropped) == {"language_model.model.norm.weight"}


def test_instructblip_with_another_trunk(tmp_path: Path) -> None:
    other = Disenq(replace(SMALL, trunk="test_vit", pretrained=False), classes=CLASSES)
    with pytest.raises(ValueError, match="fit trunk 'instructblip' with a Q-Former, not trunk 'test_vit'"):
        load_instructblip(other, tmp_path)
