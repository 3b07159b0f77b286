"""Recipes survive JSON exactly, and every mistake in one is named."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import pytest

from unbraid import recipe as module
from unbraid.method import available
from unbraid.recipe import LATER, DataConfig, OptimConfig, Recipe, available_recipes, differences, find_recipe

RECIPES = [f"{method}:{name}" for method in [*available(), "tests.fifth"] for name in available_recipes(method)]
TINY = "tests.fifth:tiny"


def changed(**parts: Any) -> str:
    """The tiny recipe's JSON with fields replaced; 'data.frames' is written data__frames."""
    values = json.loads(find_recipe(TINY).to_json())
    for name, value in parts.items():
        *path, last = name.split("__")
        at = values
        for part in path:
            at = at[part]
        at[last] = value
    return json.dumps(values)


@pytest.mark.parametrize("name", RECIPES)
def test_round_trip(name: str) -> None:
    recipe = find_recipe(name)
    text = recipe.to_json()
    again = Recipe.from_json(text)
    assert again == recipe
    assert type(again.config) is type(recipe.config)
    assert again.to_json() == text
    assert differences(again, recipe) == []


def test_round_trip_of_everything_changed() -> None:
    recipe = replace(
        find_recipe(TINY),
        data=DataConfig(frames=9, chunks="stmn", mean=(0.1, 0.2, 0.3), flip=1 / 3),
        optim=OptimConfig(max_norm=5.0, lr=1e-300),
        seed=2**40,
    )
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_json_says_what_the_recipe_says() -> None:
    values = json.loads(find_recipe("dsanet:mars").to_json())
    assert values["method"] == "dsanet"
    assert values["config"]["weights"]["augment"] == 0.1
    assert values["data"]["mean"] == [0.485, 0.456, 0.406]
    assert values["optim"]["max_norm"] is None


def test_whole_numbers_are_floats_where_floats_are_expected() -> None:
    lr = Recipe.from_json(changed(optim__lr=1)).optim.lr
    assert lr == 1
    assert type(lr) is float


def test_a_field_left_out_is_an_error_even_if_it_has_a_default() -> None:
    with pytest.raises(KeyError, match=r"missing field recipe.data"):
        Recipe.from_json('{"method": "tests.fifth", "config": {"width": 8, "weights": {"identity": 1.0}}}')


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"epoch": 3}, r"unknown field recipe.epoch; did you mean 'epochs'\? Known fields: \['method', "),
        ({"data__frame": 3}, r"unknown field recipe.data.frame; did you mean 'frames'\?"),
        ({"optim__learning": 1.0}, r"unknown field recipe.optim.learning"),
        ({"config__weights__identiy": 1.0}, r"recipe.config.weights.identiy; did you mean 'identity'\?"),
    ],
)
def test_unknown_field(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(KeyError, match=message):
        Recipe.from_json(changed(**parts))


def test_a_recipe_from_before_a_field_existed_says_what_to_add() -> None:
    values = json.loads(changed())
    for name in ("pairs", "longest"):
        del values["data"][name]
    with pytest.raises(
        KeyError, match=r"missing field recipe\.data\.pairs.*defaults: {\"pairs\": \"\", \"longest\": 720}"
    ):
        Recipe.from_json(json.dumps(values))
    values["data"] |= {"pairs": "", "longest": 720}
    assert Recipe.from_json(json.dumps(values)) == find_recipe(TINY)


def test_fields_that_came_later_mean_what_runs_before_them_did() -> None:
    recipe = find_recipe("differ:world")
    values = json.loads(recipe.to_json())
    for name in LATER:
        _, part, field = name.split(".")
        del values[part][field]
    old = json.dumps(values)
    assert Recipe.from_json(old) == recipe
    # what was told apart before keeps its name, what is new gets another one
    assert recipe.digest == hashlib.sha256(old.encode()).hexdigest()[:12]
    others = [replace(recipe, seed=1), replace(recipe, optim=replace(recipe.optim, decayed="layers"))]
    assert len({recipe.digest, *(other.digest for other in others)}) == 3
    assert find_recipe("differ:world_baseline").digest != recipe.digest


def test_missing_field() -> None:
    with pytest.raises(KeyError, match=r"missing field recipe.config"):
        Recipe.from_json('{"method": "tests.fifth"}')


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"epochs": True}, r"recipe.epochs should be int; got True"),
        ({"epochs": 2.0}, r"recipe.epochs should be int; got 2.0"),
        ({"epochs": "2"}, r"recipe.epochs should be int; got '2'"),
        ({"optim__lr": "fast"}, r"recipe.optim.lr should be float; got 'fast'"),
        ({"optim__lr": True}, r"recipe.optim.lr should be float; got True"),
        ({"optim__lr": None}, r"recipe.optim.lr should be float; got None"),
        ({"optim__max_norm": "big"}, r"recipe.optim.max_norm should be float; got 'big'"),
        ({"optim__name": "lion"}, r"recipe.optim.name should be one of \['adam', 'adamw', 'sgd'\]; got 'lion'"),
        ({"data__chunks": None}, r"recipe.data.chunks should be one of \['even', 'stmn'\]; got None"),
        ({"data__mean": [0.5, 0.5]}, r"recipe.data.mean should be a list of 3 values; got \[0.5, 0.5\]"),
        ({"data__mean": 0.5}, r"recipe.data.mean should be a list of 3 values; got 0.5"),
        ({"data__mean": [0, 0, "x"]}, r"recipe.data.mean should be float; got 'x'"),
        ({"data": [1]}, r"recipe.data should be an object with the fields of DataConfig; got \[1\]"),
        ({"config": None}, r"recipe.config should be an object with the fields of FifthConfig; got None"),
        ({"method": 3}, r"the recipe needs a field 'method'"),
    ],
)
def test_wrong_values(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe.from_json(changed(**parts))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"config": {}}'])
def test_not_a_recipe(text: str) -> None:
    with pytest.raises(ValueError, match="the recipe"):
        Recipe.from_json(text)


def test_unknown_method() -> None:
    with pytest.raises(KeyError, match=r"no method 'dsanett'; did you mean 'dsanet'\?"):
        Recipe.from_json(changed(method="dsanett"))


@dataclass(frozen=True, kw_only=True)
class Nested:
    sizes: tuple[int, ...] = ()
    flag: bool = False
    name: str | None = None
    mode: Literal["a", "b"] = "a"
    inner: OptimConfig = field(default_factory=OptimConfig)


def test_other_kinds_of_field() -> None:
    whole = asdict(Nested())
    values = {"sizes": [1, 2, 3, 4], "flag": True, "name": "x", "mode": "b", "inner": {**whole["inner"], "decay": 2}}
    made = Nested(**module._fields_of(Nested, values, "c"))
    assert made == Nested(sizes=(1, 2, 3, 4), flag=True, name="x", mode="b", inner=OptimConfig(decay=2.0))
    assert Nested(**module._fields_of(Nested, {**whole, "name": None}, "c")).name is None
    for wrong, message in (
        ({"flag": 1}, "c.flag should be bool; got 1"),
        ({"sizes": [1, 2.5]}, "c.sizes should be int; got 2.5"),
        ({"sizes": 1}, "c.sizes should be a list"),
        ({"name": 1}, "c.name should be str; got 1"),
        ({"mode": ["a"]}, "c.mode should be one of"),
        ({"inner": None}, "c.inner should be an object"),
    ):
        with pytest.raises(ValueError, match=message):
            module._fields_of(Nested, {**whole, **wrong}, "c")


def test_differences_are_dotted_names() -> None:
    one = find_recipe("dsanet:mars")
    other = replace(
        one,
        seed=1,
        data=replace(one.data, mean=(0.0, 0.0, 0.0)),
        config=replace(one.config, weights=replace(one.config.weights, camera=0.5)),
    )
    assert differences(one, other) == ["config.weights.camera", "data.mean", "seed"]
    assert differences(other, one) == ["config.weights.camera", "data.mean", "seed"]


def test_recipes_are_the_public_functions() -> None:
    assert available_recipes("tests.fifth") == ("tiny", "half", "once", "backwards")
    assert {"mars", "duke_video", "ls_vid", "baseline", "world", "world_baseline", "tiny"} <= set(
        available_recipes("dsanet")
    )
    assert not [name for name in available_recipes("dsanet") if name.startswith("_") or name == "replace"]


def test_recipe_names() -> None:
    with pytest.raises(ValueError, match=r"a recipe is named METHOD:RECIPE, such as 'dsanet:world'; got 'dsanet'"):
        find_recipe("dsanet")
    with pytest.raises(KeyError, match=r"dsanet has no recipe 'wolrd'; did you mean 'world'\? It has \['mars'"):
        find_recipe("dsanet:wolrd")
    with pytest.raises(KeyError, match=r"no method 'dsant'; did you mean 'dsanet'\?"):
        find_recipe("dsant:world")


def test_paper_recipes() -> None:
    # sheet, section 3: 8 x 4 clips, 256 x 128, Adam 3.5e-4 and 5e-4, x 0.1 every 40 of 200 epochs; LS-VID camera 0.5
    mars, ls_vid = find_recipe("dsanet:mars"), find_recipe("dsanet:ls_vid")
    assert (mars.data.identities, mars.data.clips, mars.data.height, mars.data.width) == (8, 4, 256, 128)
    assert (mars.data.frames, mars.data.flip, mars.data.erase) == (6, 0.5, 0.5)
    assert (mars.optim.name, mars.optim.lr, mars.optim.weight_decay) == ("adam", 3.5e-4, 5e-4)
    assert (mars.optim.schedule, mars.optim.step_epochs, mars.optim.decay, mars.epochs) == ("step", 40, 0.1, 200)
    assert (mars.optim.warmup, mars.optim.max_norm) == (0.0, None)
    assert differences(mars, ls_vid) == ["config.weights.camera"]
    assert (mars.config.weights.camera, ls_vid.config.weights.camera) == (0.1, 0.5)
    assert find_recipe("dsanet:duke_video") == mars
