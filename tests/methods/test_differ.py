"""DIFFER as a whole: where gradients go, what it needs at test, its switches, and that texts change what it learns."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unbraid.batch import Batch, Clip, Text
from unbraid.methods.differ.config import DifferConfig, DifferWeights
from unbraid.methods.differ.model import Differ

CLASSES = {"identity": 4, "camera": 3, "clothes": 5}
WIDTH = 16
TINY = DifferConfig(trunk="test_vit", pretrained=False, text_width=WIDTH)
SMALL = replace(TINY, trunk="small-4", side=False)
OFF = DifferWeights(**dict.fromkeys(DifferWeights.__dataclass_fields__, 0.0))


def made(config: DifferConfig, seed: int = 0) -> Differ:
    torch.manual_seed(seed)
    return Differ(config, classes=CLASSES)


def batch_of(method: Differ, *, rows: int = 6, frames: int = 1, absent: Mapping[str, list[int]] | None = None) -> Batch:
    chance = torch.Generator().manual_seed(1)
    labels = {
        "identity": torch.arange(rows) // 2 % 4,
        "camera": torch.arange(rows) % 3,
        "clothes": torch.arange(rows) % 5,
    }
    text = {}
    for aspect in method.aspects:
        mask = torch.ones(rows, 1, dtype=torch.bool)
        mask[(absent or {}).get(aspect, [])] = False
        tokens = torch.randn(rows, 1, WIDTH, generator=chance)
        text[aspect] = Text(tokens * mask[..., None], mask)
    clip = Clip.of(torch.randn(rows, frames, method.config.channels, 32, 32, generator=chance))
    clip = replace(clip, sensor={"camera": labels["camera"] + 1} if method.sensor else {})
    return Batch(clip, labels, [f"k{i}" for i in range(rows)], text)


def gradients(value: Tensor, method: Differ, start: str) -> dict[str, Tensor]:
    """Gradients of the parameters whose names begin so."""
    named = {n: p for n, p in method.named_parameters() if n.startswith(start)}
    found = torch.autograd.grad(value, list(named.values()), retain_graph=True, allow_unused=True)
    return {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(named.items(), found, strict=True)}


# --- reversal ---


@pytest.mark.parametrize("aspects", [("clothing",), ("hair", "clothing"), ("hair", "clothing", "pose")])
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_encoder_gets_minus_alpha_times_the_plain_gradient(aspects: tuple[str, ...], alpha: float) -> None:
    # the plain gradient comes from losses on the same maps without reversal, written out here
    method = made(replace(SMALL, aspects=aspects, alpha=alpha, neck=False)).train()
    batch = batch_of(method)
    terms = method.losses(method(batch), batch)
    feature = method.trunk(batch.clip.frames[:, 0])[1].mean((2, 3))
    plain = torch.zeros(())
    for aspect in aspects:
        image = F.normalize(feature @ method.against[aspect].weight.T, dim=1)
        plain = plain + F.cross_entropy(image @ F.normalize(batch.text[aspect].tokens[:, 0], dim=1).T, torch.arange(6))
    torch.testing.assert_close(terms["nonbiometric"], plain)
    for start, factor in (("trunk.", -alpha), ("against.", 1.0)):
        ours, expected = gradients(terms["nonbiometric"], method, start), gradients(plain, method, start)
        assert any(g.abs().sum() > 0 for g in expected.values())
        for name, gradient in ours.items():
            torch.testing.assert_close(gradient, factor * expected[name], rtol=1e-3, atol=1e-7, msg=name)


def test_every_row_teaches_with_one_and_with_two_aspects() -> None:
    # released code from its second version on: one aspect used the first image alone, two compared wrong pairs
    for aspects in (("clothing",), ("hair", "clothing")):
        method = made(replace(SMALL, aspects=aspects)).eval()
        batch = batch_of(method)
        out = {n: v.detach().requires_grad_() for n, v in method(batch).items()}
        value = method.losses(out, batch)["nonbiometric"]
        for aspect in aspects:
            (gradient,) = torch.autograd.grad(value, out[aspect], retain_graph=True)
            assert (gradient.abs().sum(1) > 0).all()


def test_biometric_and_identity_are_not_reversed() -> None:
    method = made(SMALL).train()
    batch = batch_of(method)
    terms = method.losses(method(batch), batch)
    before = terms["biometric"].detach()
    for name, gradient in gradients(terms["biometric"], method, "trunk.").items():
        method.get_parameter(name).data -= 0.01 * gradient
    after = method.losses(method(batch), batch)["biometric"]
    assert after < before
    assert all((g == 0).all() for g in gradients(terms["biometric"], method, "against.").values())


def test_factors_per_aspect() -> None:
    both = made(replace(SMALL, aspects=("hair", "clothing"), factors=(0.5, 2.0), alpha=0.6)).train()
    one = made(replace(SMALL, aspects=("hair", "clothing"))).train()
    batch = batch_of(both)

    def of_aspect(method: Differ, aspect: str) -> dict[str, Tensor]:
        logits = method(batch)[aspect] @ batch.text[aspect].tokens[:, 0].T
        return gradients(F.cross_entropy(logits, torch.arange(6)), method, "trunk.")

    for aspect, factor in (("hair", 0.3), ("clothing", 1.2)):
        plain = of_aspect(one, aspect)
        for name, gradient in of_aspect(both, aspect).items():
            torch.testing.assert_close(gradient, factor * plain[name], rtol=1e-4, atol=1e-7)


def test_ramp_counts_training_steps_and_survives_saving() -> None:
    config = replace(SMALL, ramp=10, aspects=("clothing",))
    method, other, constant = made(config).train(), made(config, seed=1).train(), made(replace(config, ramp=0)).train()
    batch = batch_of(method)

    def strength(net: Differ) -> float:
        out = net(batch)["clothing"].sum()
        return -sum(float(g.sum()) for g in gradients(out, net, "trunk.late").values())

    full = strength(constant)
    assert strength(method) == 0
    for _ in range(4):
        method(batch)
    method.eval()(batch)
    method.train()
    assert int(method.steps) == 5
    other.load_state_dict(method.state_dict())
    expected = 2 / (1 + math.exp(-10 * 0.5)) - 1
    # the other one goes on where the first stands; batch normalisation uses the batch, so features are equal
    assert strength(other) / full == pytest.approx(expected, rel=1e-3)


# --- gated reversal ---


def test_a_gate_lets_the_adversary_learn_from_all_rows_and_the_encoder_from_some() -> None:
    method = made(replace(SMALL, aspects=("clothing",), gated=True, scale=10.0, alpha=0.5)).train()
    batch = batch_of(method)
    out = method(batch)
    value = method.losses(out, batch)["nonbiometric"]
    torch.testing.assert_close(out["clothing"], out["gate/clothing"])
    text = F.normalize(batch.text["clothing"].tokens[:, 0], dim=1)
    feature = method.trunk(batch.clip.frames[:, 0])[1].mean((2, 3))

    def rows(x: Tensor) -> Tensor:
        image = F.normalize(x @ method.against["clothing"].weight.T, dim=1)
        return F.cross_entropy(10 * image @ text.T, torch.arange(6), reduction="none")

    better = rows(feature) < math.log(6)
    assert 0 < int(better.sum()) < 6
    torch.testing.assert_close(value, rows(feature).mean())
    for name, gradient in gradients(value, method, "against.").items():
        torch.testing.assert_close(gradient, gradients(rows(feature).mean(), method, "against.")[name])
    let = gradients((rows(feature) * better).mean(), method, "trunk.")
    for name, gradient in gradients(value, method, "trunk.").items():
        torch.testing.assert_close(gradient, -0.5 * let[name], rtol=1e-3, atol=1e-7)
    assert method.rates == {"against.": 10.0, "tell.": 10.0}
    assert made(SMALL).rates == {}


def test_gated_attributes_stop_at_their_own_chance() -> None:
    method = made(replace(SMALL, aspects=(), biometric=False, attributes=("clothes",), gated=True)).train()
    batch = batch_of(method)
    out = method(batch)
    method.tell["clothes"].weight.data *= 100
    out = method(batch)
    value = method.losses(out, batch)["attributes"]
    rows = F.cross_entropy(out["label/clothes"], batch.labels["clothes"], reduction="none")
    torch.testing.assert_close(value, rows.mean())
    out = {n: v.detach().requires_grad_() for n, v in out.items()}
    (gradient,) = torch.autograd.grad(method.losses(out, batch)["attributes"], out["gate/label/clothes"])
    assert ((gradient.abs().sum(1) > 0) == (rows < math.log(5))).all()


# --- what is needed at test ---


def test_camera_is_optional() -> None:
    method = made(TINY).eval()
    clip = batch_of(method).clip
    bare = replace(clip, sensor={})
    unknown = replace(clip, sensor={"camera": torch.zeros(6, dtype=torch.long)})
    assert torch.equal(method.encode(bare)["identity"], method.encode(unknown)["identity"])
    assert not torch.allclose(method.encode(clip)["identity"], method.encode(bare)["identity"], atol=1e-3)
    without = made(replace(TINY, side=False)).eval()
    without.load_state_dict({n: v for n, v in method.state_dict().items() if n != "camera.weight"})
    assert torch.equal(without.encode(clip)["identity"], method.encode(bare)["identity"])


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_the_unknown_camera_stays_zero(kind: str) -> None:
    method = made(TINY).train()
    assert (method.camera.weight[0] == 0).all()
    assert (method.camera.weight[1:].abs().sum(1) > 0).all()
    makers: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = makers[kind](method.parameters(), lr=0.1, weight_decay=0.05)
    batch = batch_of(method)
    sensor = {"camera": torch.tensor([0, 0, 1, 2, 3, 1])}
    batch = replace(batch, clip=replace(batch.clip, sensor=sensor))
    for _ in range(2):
        optimizer.zero_grad()
        torch.stack(list(method.losses(method(batch), batch).values())).sum().backward()
        optimizer.step()
    assert (method.camera.weight[0] == 0).all()


def test_side_scale() -> None:
    one, three = made(replace(TINY, side_scale=1.0)).eval(), made(TINY).eval()
    clip = batch_of(one).clip
    assert three.config.side_scale == 3
    one.camera.weight.data *= 3
    torch.testing.assert_close(one.encode(clip)["identity"], three.encode(clip)["identity"])


def test_frames_are_averaged_as_unit_vectors() -> None:
    method = made(TINY).eval()
    batch = batch_of(method, rows=2, frames=3)
    valid = torch.tensor([[True, True, True], [True, False, True]])
    found = method.encode(replace(batch.clip, valid=valid))
    for name in method.spaces:
        single = torch.stack(
            [
                method.encode(Clip.of(batch.clip.frames[:, t : t + 1]) if not method.sensor else _frame(batch, t))[name]
                for t in range(3)
            ],
            dim=1,
        )
        torch.testing.assert_close(single.norm(dim=2), torch.ones(2, 3))
        expected = torch.stack([single[0].mean(0), single[1, [0, 2]].mean(0)])
        torch.testing.assert_close(found[name], F.normalize(expected, dim=1), rtol=1e-4, atol=1e-5)


def _frame(batch: Batch, number: int) -> Clip:
    return replace(Clip.of(batch.clip.frames[:, number : number + 1]), sensor=batch.clip.sensor)


def test_neck_is_part_of_the_feature() -> None:
    method = made(replace(SMALL, neck=True)).eval()
    method.head.neck.running_mean.fill_(0.3)
    clip = batch_of(method).clip
    raw = method.trunk(clip.frames[:, 0])[1].mean((2, 3))
    expected = F.normalize((raw - 0.3) / math.sqrt(1 + 1e-5), dim=1)
    torch.testing.assert_close(method.encode(clip)["identity"], expected)


def test_spaces_are_the_identity_and_the_maps() -> None:
    method = made(TINY).eval()
    spaces = method.encode(batch_of(method).clip)
    assert method.spaces == tuple(spaces) == ("identity", "biometric", "hair", "clothing")
    assert spaces["identity"].shape == (6, 64)
    assert spaces["hair"].shape == (6, WIDTH)
    bare = made(replace(TINY, biometric=False, aspects=()))
    assert (bare.spaces, bare.aspects, bare.supervision, bare.sensor) == (
        ("identity",),
        (),
        ("identity",),
        ("camera",),
    )


def test_heat() -> None:
    batch = batch_of(made(TINY), frames=2)
    maps = made(TINY).eval().heat(batch.clip)["identity"]
    assert maps.shape == (6, 2, 2, 2)
    small = made(SMALL).eval()
    cells = small.heat(batch.clip)["identity"]
    assert cells.shape == (6, 2, 4, 4)
    # what the cells add makes up the length of the feature
    raw = small.trunk(batch.clip.frames.flatten(0, 1))[1].mean((2, 3))
    torch.testing.assert_close(cells.mean((2, 3)).flatten(), raw.norm(dim=1))


# --- switches ---

SWITCHES: list[dict[str, Any]] = [
    {},
    {"fresh_norm": True},
    {"trunk": "small-4", "side": False, "channels": 3},
    {"trunk": "small-4", "side": False, "channels": 4, "colour_dropout": 0.5},
    {"biometric": False},
    {"aspects": ()},
    {"aspects": ("clothing",), "factors": (0.5,)},
    {"aspects": ("clothing", "pose", "hair")},
    {"attributes": ("clothes", "camera")},
    {"biometric": False, "aspects": (), "attributes": ("clothes",), "gated": True},
    {"alpha": 0.1},
    {"ramp": 3},
    {"gated": True, "gated_rate": 5.0},
    {"projection": "mlp", "hidden": 12},
    {"temperature": "learnable"},
    {"temperature": "learnable", "gated": True},
    {"scale": 10.0},
    {"positives": "identity"},
    {"positives": "text"},
    {"direction": "both"},
    {"side": False},
    {"side_scale": 1.0},
    {"neck": True},
    {"smoothing": 0.1},
    {"weights": DifferWeights(biometric=0.0)},
    {"weights": DifferWeights(nonbiometric=0.0, attributes=0.0), "attributes": ("clothes",)},
]


def test_every_switch_is_tried() -> None:
    tried = {name for switch in SWITCHES for name in switch} | {"pretrained", "text_width"}
    assert tried == set(DifferConfig.__dataclass_fields__)


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_one_step_with_every_switch(switch: dict[str, Any]) -> None:
    method = made(replace(TINY, **switch)).train()
    batch = batch_of(method)
    out = method(batch)
    terms = method.losses(out, batch)
    assert set(method.monitor(out, batch)) == {f"accuracy/{a}" for a in method.aspects} | {
        f"accuracy/label/{n}" for n in method.labels
    }
    torch.stack(list(terms.values())).sum().backward()
    parameters = {n: p for n, p in method.named_parameters() if p.requires_grad}
    assert [n for n, p in parameters.items() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in parameters.values() if p.grad is not None)
    assert set(method.eval().encode(batch.clip)) == set(method.spaces)


def test_terms_with_weight_zero_are_absent() -> None:
    method = made(replace(TINY, attributes=("clothes",), weights=replace(OFF, triplet=1.0)))
    batch = batch_of(method)
    assert set(method.losses(method(batch), batch)) == {"triplet"}
    assert (method.aspects, method.labels, method.supervision) == ((), (), ("identity",))
    assert not [n for n, _ in method.named_parameters() if n.startswith(("toward", "against", "tell"))]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"aspects": ("hair", "hair")}, "name every non-biometric aspect once"),
        ({"aspects": ("biometric",)}, "'biometric' is the field `biometric`"),
        ({"factors": (1.0,)}, r"factors = \(1.0,\); expected one for each of \('hair', 'clothing'\), or none"),
        ({"alpha": -1.0}, "alpha = -1.0, ramp = 0"),
        ({"smoothing": 1.0}, "smoothing = 1.0; expected 0 to below 1"),
        ({"scale": 0.0}, "scale = 0.0"),
        ({"text_width": 0}, "text_width = 0"),
    ],
)
def test_wrong_configs(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"trunk": "small-4"}, "'small-4' has no tokens to add the camera to; set side to False"),
        ({"trunk": "small-4", "side": False, "fresh_norm": True}, "has no last normalisation"),
        ({"channels": 4}, "'test_vit' takes frames of 3 channels, not 4; use 'small-16' or alike"),
        ({"attributes": ("view",)}, "Differ learns from the label 'view', which the training tracklets lack"),
    ],
)
def test_configs_that_cannot_be_built(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(replace(TINY, **fields))


@pytest.mark.parametrize("channels", [1, 4])
def test_small_trunk_takes_masks(channels: int) -> None:
    method = made(replace(SMALL, channels=channels)).eval()
    assert method.encode(Clip.of(torch.randn(2, 1, channels, 32, 32)))["identity"].shape == (2, 32)
