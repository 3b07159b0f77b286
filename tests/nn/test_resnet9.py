"""ResNet-9: its size, its map, and agreement with torchvision's blocks."""

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from unbraid.nn.resnet9 import ResNet9


def test_size_and_map() -> None:
    with torch.device("meta"):
        net = ResNet9()
        assert net(torch.empty(2, 3, 64, 64)).shape == (2, 512, 16, 16)
    # stem, then two 3x3 convolutions a stage, a 1x1 one where the width changes, and two numbers a channel and norm
    convolutions = 3 * 64 * 9 + 9 * (2 * 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 512 * 512)
    shortcuts, norms = 64 * 128 + 128 * 256 + 256 * 512, 2 * (3 * 64 + 3 * (128 + 256 + 512))
    assert sum(p.numel() for p in net.parameters()) == convolutions + shortcuts + norms == 4_898_112


@pytest.mark.parametrize(("strides", "side"), [((1, 2, 2, 1), 16), ((2, 2, 2, 1), 8), ((1, 1, 1, 1), 64)])
def test_strides(strides: tuple[int, int, int, int], side: int) -> None:
    with torch.device("meta"):
        assert ResNet9((2, 3, 4, 5), strides)(torch.empty(1, 3, 64, 64)).shape == (1, 5, side, side)


def test_blocks_are_torchvisions() -> None:
    torch.manual_seed(0)
    widths, strides = (4, 6, 8, 10), (1, 2, 2, 1)
    net = ResNet9(widths, strides).eval()
    stages, before = [], widths[0]
    for width, stride in zip(widths, strides, strict=True):
        changed = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        stages.append(BasicBlock(before, width, stride, changed if width != before or stride > 1 else None))
        before = width
    other = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), *stages).eval()
    for module in other.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    state = other.state_dict()
    for name in net.state_dict():
        part, number, rest = name.split(".", 2)
        theirs = f"{number}.{rest}" if part == "stem" else f"{int(number) + 3}.{rest.replace('shortcut', 'downsample')}"
        net.state_dict()[name].copy_(state.pop(theirs))
    assert not state
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(net(x), other(x))
