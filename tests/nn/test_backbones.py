"""Trunks: sizes, strides, and agreement with torchvision."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from unbraid.nn.backbones import Trunk, residual_trunk
from unbraid.nn.pretrained import load_pretrained


def on_meta(name: str) -> Trunk:
    with torch.device("meta"):
        return residual_trunk(name, pretrained=False).eval()


# one of each kind of downsampling: strided convolution, average pool, anti-aliasing, padded average pool
@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("resnet50.tv_in1k", (1024, 2048)),
        ("resnet18", (256, 512)),
        ("resnet50d", (1024, 2048)),
        ("resnetblur50", (1024, 2048)),
        ("resnest14d", (1024, 2048)),
    ],
)
def test_last_stage_keeps_the_map(name: str, channels: tuple[int, int]) -> None:
    trunk = on_meta(name)
    middle, last = trunk.stages(torch.empty(2, 3, 256, 128, device="meta"))
    assert trunk.channels == channels
    assert trunk.stride == 16
    assert middle.shape == (2, channels[0], 16, 8)
    assert last.shape == (2, channels[1], 16, 8)


@pytest.mark.parametrize("name", ["resnet50.tv_in1k", "resnet18", "resnet50d"])
def test_stride_one_leaves_weight_shapes(name: str) -> None:
    with torch.device("meta"):
        original = timm.create_model(name, pretrained=False, num_classes=0).state_dict()
    ours = on_meta(name).state_dict()
    assert sorted(v.shape for v in ours.values()) == sorted(v.shape for v in original.values())
    stages = {n: v.shape for n, v in original.items() if n.startswith("layer")}
    assert {n: v.shape for n, v in ours.items() if n.startswith("layer")} == stages


def test_resnet50_has_the_size_of_the_paper() -> None:
    assert sum(p.numel() for p in on_meta("resnet50.tv_in1k").parameters()) == 23_508_032


def test_stages_equal_torchvision_with_stride_one() -> None:
    other = torchvision.models.resnet18(weights=None).eval()
    for module in other.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1, generator=torch.Generator().manual_seed(0))
    trunk = residual_trunk("resnet18", pretrained=False).eval()
    names = {"stem.0": "conv1", "stem.1": "bn1"}
    state = other.state_dict()
    trunk.load_state_dict({n: state[names.get(n[:6], n[:6]) + n[6:]] for n in trunk.state_dict()})
    other.layer4[0].conv1.stride = other.layer4[0].downsample[0].stride = (1, 1)
    x = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        middle, last = trunk(x)
        y = other.maxpool(other.relu(other.bn1(other.conv1(x))))
        expected = other.layer3(other.layer2(other.layer1(y)))
        torch.testing.assert_close(middle, expected)
        torch.testing.assert_close(last, other.layer4(expected))


def test_small_trunk() -> None:
    trunk = residual_trunk("small-4", pretrained=False).eval()
    middle, last = trunk(torch.zeros(2, 3, 64, 32))
    assert trunk.channels == (16, 32)
    assert trunk.stride == 8
    assert middle.shape == (2, 16, 8, 4)
    assert last.shape == (2, 32, 8, 4)
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in trunk.modules()) == 9
    assert (last >= 0).all()


@pytest.mark.parametrize("name", ["small-", "small-x", "small-0", "small--4"])
def test_small_trunk_needs_a_width(name: str) -> None:
    with pytest.raises(ValueError, match=f"trunk '{name}': expected 'small-' and a width, such as 'small-16'"):
        residual_trunk(name, pretrained=False)


def test_small_trunk_has_no_weights() -> None:
    with pytest.raises(ValueError, match="trunk 'small-4' has no pretrained weights; set pretrained to False"):
        residual_trunk("small-4", pretrained=True)


def test_unknown_trunk_names_near_ones() -> None:
    with pytest.raises(KeyError, match=r"no trunk 'resnet55' in timm; some near names: \['resnet"):
        residual_trunk("resnet55", pretrained=False)


def test_trunk_that_is_no_resnet() -> None:
    with pytest.raises(ValueError, match="trunk 'vit_tiny_patch16_224' is not a ResNet"):
        on_meta("vit_tiny_patch16_224")


def test_a_trunk_from_scratch_loads_nothing() -> None:
    trunk = residual_trunk("small-4", pretrained=False)
    before = {n: v.clone() for n, v in trunk.state_dict().items()}
    load_pretrained(trunk)
    assert all(torch.equal(v, before[n]) for n, v in trunk.state_dict().items())
