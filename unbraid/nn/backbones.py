"""Residual trunks that return their last two stages."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from unbraid.nn.pretrained import Pretrained


class Trunk(Pretrained):
    """A per-frame network that returns its third and fourth stage.

    channels: widths of the two stages. stride: input pixels per cell of both maps.
    """

    channels: tuple[int, int]
    stride: int

    def stages(self, x: Float[Tensor, "N C H W"]) -> tuple[Float[Tensor, "N c h w"], Float[Tensor, "N d h w"]]:
        """Third and fourth stage, equal in h and w."""
        raise TypeError(f"{type(self).__name__} must define stages")

    def forward(self, x: Float[Tensor, "N C H W"]) -> tuple[Float[Tensor, "N c h w"], Float[Tensor, "N d h w"]]:
        return self.stages(x)


class LibraryTrunk(Trunk):
    """A timm ResNet without its classifier, with the last stage at stride 1 (no dilation).

    Source: DSANet section 4.2 ("last layer stride 1").
    """

    def __init__(self, name: str, *, pretrained: bool) -> None:
        super().__init__()
        import timm

        if not timm.is_model(name):
            near = timm.list_models(f"*{name.split('.')[0]}*")[:5] or timm.list_models("resnet*")[:5]
            raise KeyError(f"no trunk {name!r} in timm; some near names: {near}. Small ones of ours: 'small-16'")
        try:
            net = timm.create_model(name, pretrained=False, num_classes=0)
        except RuntimeError as error:
            known = timm.list_pretrained(f"{name.split('.')[0]}.*")
            raise KeyError(f"no trunk {name!r} in timm ({error}); pretrained ones: {known}") from error
        if not all(hasattr(net, part) for part in ("conv1", "bn1", "layer1", "layer4")):
            raise ValueError(
                f"trunk {name!r} is not a ResNet; two stages of a ResNet are needed, e.g. 'resnet50.tv_in1k'"
            )
        _last_stride_one(net.layer4)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.act1, net.maxpool)
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4
        info = {f["module"]: f["num_chs"] for f in net.feature_info}
        self.channels = (info["layer3"], info["layer4"])
        self.stride = 16
        self.library_name = name if pretrained else None

    def stages(self, x: Float[Tensor, "N C H W"]) -> tuple[Float[Tensor, "N c h w"], Float[Tensor, "N d h w"]]:
        middle = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return middle, self.layer4(middle)

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """timm's and torchvision's names of the stem to ours."""
        stem = {"conv1.": "stem.0.", "bn1.": "stem.1."}
        named = {}
        for name, value in state.items():
            for old, new in stem.items():
                name = new + name.removeprefix(old) if name.startswith(old) else name
            named[name] = value
        return named


def _last_stride_one(layer: nn.Module) -> None:
    from timm.layers import BlurPool2d

    for module in layer.modules():
        if isinstance(module, (nn.Conv2d, nn.AvgPool2d, BlurPool2d)) and module.stride in (2, (2, 2)):
            # without padding a pool of 2 x 2 would shrink the map by one
            if isinstance(module, nn.AvgPool2d) and module.padding == 0:
                module.kernel_size = 1
            module.stride = (1, 1)


class SmallTrunk(Trunk):
    """Nine 3x3 convolutions in four residual stages of widths w, 2w, 4w, 8w; total stride 8.

    inputs: channels of a frame, such as 4 for colours and a mask.
    Not in any paper; chosen because it learns something on two CPU cores in minutes.
    """

    def __init__(self, width: int, *, inputs: int = 3) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(nn.Conv2d(inputs, w, 3, 2, 1, bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True))
        self.early = nn.Sequential(ResidualBlock(w, w, 1), ResidualBlock(w, 2 * w, 2), ResidualBlock(2 * w, 4 * w, 2))
        self.late = ResidualBlock(4 * w, 8 * w, 1)
        self.channels = (4 * w, 8 * w)
        self.stride = 8
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stages(self, x: Float[Tensor, "N C H W"]) -> tuple[Float[Tensor, "N c h w"], Float[Tensor, "N d h w"]]:
        middle = self.early(self.stem(x))
        return middle, self.late(middle)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        same = before == after and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        result: Tensor = self.act(y + self.shortcut(x))
        return result


def residual_trunk(name: str, *, pretrained: bool, inputs: int = 3) -> Trunk:
    """A trunk by name: a timm ResNet ('resnet50.tv_in1k'), or 'small-W' for ours of first width W.

    inputs: channels of a frame; other than 3 with ours only.
    Nothing is loaded here: `load_pretrained` does that once, at the start of training.
    Raises KeyError for an unknown name, ValueError for a network that is no ResNet.
    """
    kind, _, width = name.partition("-")
    if kind == "small":
        if not width.isdigit() or int(width) < 1:
            raise ValueError(f"trunk {name!r}: expected 'small-' and a width, such as 'small-16'")
        if pretrained:
            raise ValueError(f"trunk {name!r} has no pretrained weights; set pretrained to False")
        return SmallTrunk(int(width), inputs=inputs)
    if inputs != 3:
        raise ValueError(f"trunk {name!r} takes frames of 3 channels, not {inputs}; use a small one such as 'small-16'")
    return LibraryTrunk(name, pretrained=pretrained)
