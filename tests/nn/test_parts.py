"""Strips of a map, layers per part, cosines: hand values and slow loops."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unbraid.nn.parts import HorizontalPooling, PartNeck, SeparateLinear, xavier


def some(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def test_constant_map_becomes_twice_the_constant() -> None:
    assert torch.equal(HorizontalPooling((16,))(torch.full((2, 3, 16, 16), 1.5)), torch.full((2, 16, 3), 3.0))


@pytest.mark.parametrize("bins", [(16,), (4, 2, 1), (8, 8)])
def test_strips_are_mean_plus_maximum(bins: tuple[int, ...]) -> None:
    x, pool = some(2, 3, 16, 6), HorizontalPooling(bins)
    found = pool(x).numpy()
    assert pool.parts == sum(bins)
    assert found.shape == (2, sum(bins), 3)
    part = 0
    for number in bins:
        rows = 16 // number
        for strip in range(number):
            for clip in range(2):
                for channel in range(3):
                    cells = x[clip, channel, strip * rows : (strip + 1) * rows].numpy()
                    assert found[clip, part, channel] == pytest.approx(cells.mean() + cells.max(), rel=1e-5)
            part += 1


def test_strips_are_whole_rows() -> None:
    # as many cells would fit, in pieces of rows
    with pytest.raises(ValueError, match=r"16 equal strips do not fill a map of 4 rows; bins are \(16,\)"):
        HorizontalPooling((16,))(some(1, 2, 4, 4))


def test_each_part_has_its_own_layer() -> None:
    layer, x = SeparateLinear(4, 3, 5), some(2, 4, 3)
    found = layer(x)
    assert found.shape == (2, 4, 5)
    for part in range(4):
        torch.testing.assert_close(found[:, part], F.linear(x[:, part], layer.weight[part].T))
    x = x.clone()
    x[:, 2] = 0
    assert torch.equal(layer(x)[:, [0, 1, 3]], found[:, [0, 1, 3]])


def test_layers_of_parts_begin_as_layers_of_their_own() -> None:
    bound = math.sqrt(6 / (40 + 60))
    weight = SeparateLinear(8, 40, 60).weight.detach()
    assert weight.abs().max() <= bound
    assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


@pytest.mark.parametrize("training", [True, False])
def test_neck_gives_cosines(training: bool) -> None:
    neck = PartNeck(3, 4, 5).train(training)
    with torch.no_grad():
        neck.norm.weight.copy_(1 + 0.1 * some(12, seed=1))
        neck.norm.bias.copy_(some(12, seed=2))
        neck.norm.running_mean.copy_(some(12, seed=3))
    x = some(6, 3, 4)
    mean, variance = neck.norm.running_mean.clone(), neck.norm.running_var.clone()
    features, logits = neck(x)
    for part in range(3):
        own = slice(4 * part, 4 * part + 4)
        values = x[:, part]
        centre, spread = (values.mean(0), values.var(0, unbiased=False)) if training else (mean[own], variance[own])
        normal = (values - centre) / (spread + neck.norm.eps).sqrt() * neck.norm.weight[own] + neck.norm.bias[own]
        for row in range(6):
            unit = normal[row].detach().numpy() / np.linalg.norm(normal[row].detach().numpy())
            np.testing.assert_allclose(features[row, part].detach().numpy(), unit, atol=1e-5)
            for name in range(5):
                other = neck.weight[part, :, name].detach().numpy()
                cosine = float(unit @ other / np.linalg.norm(other))
                assert logits[row, part, name].item() == pytest.approx(cosine, abs=1e-5)


def test_neck_has_cosine_zero_for_zero() -> None:
    features, logits = PartNeck(2, 3, 4).eval()(torch.zeros(1, 2, 3))
    assert torch.equal(features, torch.zeros(1, 2, 3))
    assert torch.equal(logits, torch.zeros(1, 2, 4))


def test_neck_gradient() -> None:
    neck = PartNeck(2, 3, 4).double()
    x = some(5, 2, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda value: neck(value)[1], (x,))


def test_neck_computes_cosines_in_float32() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, logits = PartNeck(2, 3, 4)(some(5, 2, 3).bfloat16())
    assert (features.dtype, logits.dtype) == (torch.float32, torch.float32)


def test_xavier() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(20, 30, 3), nn.Conv1d(1, 1, 3), nn.Linear(300, 200, bias=False), nn.BatchNorm2d(1000), nn.LayerNorm(7)
    )
    xavier(network)
    conv, line, linear, norm, layer_norm = network
    for weight, both in ((conv.weight, (20 + 30) * 9), (linear.weight, 500)):
        bound = math.sqrt(6 / both)
        assert 0.98 * bound < weight.abs().max() <= bound
    assert line.weight.abs().max() <= 1
    assert torch.equal(conv.bias, torch.zeros(30))
    assert norm.weight.detach().mean() == pytest.approx(1, abs=0.005)
    assert norm.weight.detach().std() == pytest.approx(0.02, rel=0.1)
    assert torch.equal(norm.bias, torch.zeros(1000))
    assert torch.equal(layer_norm.weight, torch.ones(7))
