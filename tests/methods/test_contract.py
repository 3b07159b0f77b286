"""What every method promises, checked on its tiny recipe: those of the library and one from outside."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from unbraid.batch import Batch, Clip, Text
from unbraid.checkpoint import Progress, build, load_checkpoint, save_checkpoint
from unbraid.method import Method, available
from unbraid.recipe import Recipe, find_recipe
from unbraid.spaces import Spaces

CHANNELS = {"rgb": 3, "rgb+mask": 4, "mask": 1}
CLASSES = {"identity": ("a", "b", "c"), "camera": ("0", "1")}
METHODS = [*available(), "tests.fifth"]
# rows 2i and 2i + 1 of a batch are one walk, seen by two sensors: silhouette and depth
MODALITY = torch.tensor([2, 3, 2, 3])


@pytest.fixture(params=METHODS)
def recipe(request: pytest.FixtureRequest) -> Recipe[Any]:
    return find_recipe(f"{request.param}:tiny")


@pytest.fixture
def method(recipe: Recipe[Any]) -> Method:
    made = build(recipe, CLASSES)
    if made.dictionary:
        generator = torch.Generator().manual_seed(11)
        size = (8 * recipe.config.rounds, recipe.config.text_width)
        made.set_dictionary({name: torch.randn(size, generator=generator) for name in made.dictionary})
    return made


def clip_of(recipe: Recipe[Any], rows: int, seed: int = 0) -> Clip:
    data = recipe.data
    size = (rows, data.frames, CHANNELS[data.channels], data.height, data.width)
    return Clip.of(torch.randn(size, generator=torch.Generator().manual_seed(seed)))


def batch_of(recipe: Recipe[Any], method: Method) -> Batch:
    labels = {"identity": torch.tensor([0, 0, 2, 2]), "camera": torch.tensor([0, 1, 0, 1])}
    clip = clip_of(recipe, 4)
    facts = {name: value + 1 for name, value in labels.items()} | {"modality": MODALITY}
    sensor = {name: facts[name] for name in method.sensor if name in facts}
    return Batch(replace(clip, sensor=sensor), labels, [f"k{i}" for i in range(4)], texts_of(recipe, method))


def texts_of(recipe: Recipe[Any], method: Method) -> dict[str, Text]:
    """A text vector per clip and aspect, as wide as the config says."""
    generator = torch.Generator().manual_seed(7)
    return {
        aspect: Text(
            torch.randn(4, 1, recipe.config.text_width, generator=generator), torch.ones(4, 1, dtype=torch.bool)
        )
        for aspect in method.aspects
    }


def test_spaces_are_as_declared(recipe: Recipe[Any], method: Method) -> None:
    spaces = method.eval().encode(clip_of(recipe, 3))
    assert set(spaces) == set(method.spaces)
    assert spaces.rows == 3


def test_some_spaces_are_the_same_without_the_others(recipe: Recipe[Any], method: Method) -> None:
    clip = clip_of(recipe, 3)
    whole = method.eval().encode(clip)
    for name in method.spaces:
        found = method.encode_only(clip, [name])
        assert list(found) == list(dict.fromkeys(("identity", name)))
        for one in found:
            torch.testing.assert_close(found[one], whole[one], rtol=0, atol=1e-6)
    with pytest.raises(KeyError, match="no space 'mood'"):
        method.encode_only(clip, ["mood"])
    # what the trunk saw, of whoever shows it; the fifth method does not
    if recipe.method == "tests.fifth":
        with pytest.raises(KeyError, match="no space 'trunk'; Fifth has identity"):
            method.encode_only(clip, ["trunk"])
    else:
        trunk = method.encode_only(clip, ["trunk"])["trunk"]
        assert trunk.shape[0] == 3
        assert trunk.ndim == 2
        assert trunk.std(0).max() > 0
        alone = method.encode_only(Clip.of(clip.frames[1:2]), ["trunk"])["trunk"]
        torch.testing.assert_close(alone, trunk[1:2], rtol=0, atol=1e-5)
    # comparing reads nothing but what the method says
    assert set(method.matched) <= set(method.spaces)
    few = Spaces({name: whole[name] for name in dict.fromkeys(("identity", *method.matched))})
    assert torch.equal(method.similarity(few, few), method.similarity(whole, whole))


def test_encode_does_not_see_its_neighbours(recipe: Recipe[Any], method: Method) -> None:
    method.eval()
    clip = clip_of(recipe, 4)
    together = method.encode(clip)
    for row in range(4):
        alone = method.encode(Clip.of(clip.frames[row : row + 1]))
        for name in together:
            torch.testing.assert_close(alone[name][0], together[name][row], rtol=1e-4, atol=1e-5)


def test_encode_does_not_see_padding(recipe: Recipe[Any], method: Method) -> None:
    method.eval()
    clip = clip_of(recipe, 2)
    padded = torch.cat([clip.frames, 9 * torch.ones_like(clip.frames[:, :1])], dim=1)
    valid = torch.cat([clip.valid, torch.zeros(2, 1, dtype=torch.bool)], dim=1)
    names = method.spaces if recipe.method == "tests.fifth" else (*method.spaces, "trunk")
    bare, with_padding = (method.encode_only(one, names) for one in (clip, Clip(padded, valid)))
    for name in bare:
        torch.testing.assert_close(with_padding[name], bare[name], rtol=1e-4, atol=1e-5)


def test_loss_names_are_weight_names(recipe: Recipe[Any], method: Method) -> None:
    batch = batch_of(recipe, method)
    losses = method.losses(method.train()(batch), batch)
    assert set(losses) == {f.name for f in fields(recipe.config.weights)}
    for name, value in losses.items():
        assert value.shape == (), name
        assert torch.isfinite(value), name


def test_terms_are_finite_where_no_clip_has_a_text(recipe: Recipe[Any], method: Method) -> None:
    # a term may leave rows without a text out, but must not fail when nobody has one
    batch = batch_of(recipe, method)
    mute = {name: Text(torch.zeros_like(t.tokens), torch.zeros_like(t.mask)) for name, t in batch.text.items()}
    losses = method.losses(method.train()(replace(batch, text=mute)), replace(batch, text=mute))
    assert all(torch.isfinite(value) for value in losses.values())


def test_every_term_teaches_something(recipe: Recipe[Any], method: Method) -> None:
    batch = batch_of(recipe, method)
    # biases in front of saturated units may start without a gradient; a few random steps move them
    for name in method.losses(method.train()(batch), batch):
        method.zero_grad()
        method.losses(method(batch), batch)[name].backward()
        reached = [n for n, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
        assert reached, f"{name} reaches no parameter"
        frozen = [n for n, p in method.named_parameters() if not p.requires_grad and p.grad is not None]
        assert not frozen, f"{name} reaches frozen {frozen}"


def test_outputs_have_the_batch_first(recipe: Recipe[Any], method: Method) -> None:
    out = method.train()(batch_of(recipe, method))
    assert {name: len(value) for name, value in out.items()} == dict.fromkeys(out, 4)


def test_similarity_is_larger_for_the_same(recipe: Recipe[Any], method: Method) -> None:
    spaces = method.eval().encode(clip_of(recipe, 5))
    similarity = method.similarity(spaces, spaces)
    assert similarity.shape == (5, 5)
    assert (similarity.argmax(1) == torch.arange(5)).all()


def test_heat_maps(recipe: Recipe[Any], method: Method) -> None:
    clip = clip_of(recipe, 2)
    maps = method.eval().heat(clip)
    assert set(maps) <= set(method.spaces)
    for value in maps.values():
        assert value.shape[:2] == clip.valid.shape
        assert (value >= 0).all()


def test_saved_method_gives_equal_embeddings(recipe: Recipe[Any], method: Method, tmp_path: Path) -> None:
    batch = batch_of(recipe, method)
    optimizer = torch.optim.Adam(p for p in method.parameters() if p.requires_grad)
    sum(method.losses(method.train()(batch), batch).values(), torch.zeros(())).backward()
    optimizer.step()
    folder = save_checkpoint(tmp_path, method, optimizer, Progress(step=1))
    other = build(replace(recipe, seed=recipe.seed + 1), CLASSES)
    load_checkpoint(folder, other)
    before, after = method.eval().encode(batch.clip), other.eval().encode(batch.clip)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert set(load_file(folder / "weights.safetensors")) == set(method.state_dict())


def test_recipe_round_trip(recipe: Recipe[Any]) -> None:
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_few_steps_lower_the_loss(recipe: Recipe[Any], method: Method) -> None:
    batch = batch_of(recipe, method)
    optimizer = torch.optim.Adam((p for p in method.parameters() if p.requires_grad), lr=5e-3)
    values = []
    for step in range(30):
        torch.manual_seed(step)
        losses = method.losses(method.train()(batch), batch)
        total = sum((getattr(recipe.config.weights, n) * v for n, v in losses.items()), torch.zeros(()))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        values.append(float(total.detach()))
    assert values[-1] < 0.9 * values[0], values


def test_labels_and_text_are_not_needed_at_test(recipe: Recipe[Any], method: Method) -> None:
    # the type says so: encode takes a Clip, which has no place for either
    clip = clip_of(recipe, 1)
    assert not hasattr(clip, "labels")
    assert not hasattr(clip, "text")
    assert isinstance(method.eval().encode(clip), Spaces)
