"""Residual trunks that return their last two stages, and the loading of pretrained weights."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn


class Pretrained(nn.Module):
    """A network that can start from published weights.

    library_name: the model whose weights fit, None when it starts as it was built.
    """

    library_name: str | None = None

    def library_file(self) -> Path:
        """The published weight file. Raises FileNotFoundError, saying how to supply it."""
        return library_file(str(self.library_name))

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of a weight file under this network's names; names that are not its own do no harm."""
        return dict(state)


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


def load_pretrained(network: nn.Module, file: Path | None = None) -> None:
    """Fill every trunk of a network that asks for pretrained weights, from a file or the library's own.

    file: safetensors, or a PyTorch file of plain tensors, with timm or torchvision names; a classifier is ignored.
    Raises FileNotFoundError naming the missing file and how to supply it, ValueError when it does not fit.
    """
    trunks = [m for m in network.modules() if isinstance(m, Pretrained) and m.library_name]
    if file is not None and not trunks:
        raise ValueError(f"--weights {file} was given, but this recipe trains its trunk from scratch")
    for trunk in trunks:
        source = Path(file) if file is not None else trunk.library_file()
        _fill(trunk, _tensors(source), source)


def _tensors(source: Path) -> Mapping[str, Tensor]:
    """The tensors of a weight file; of several (a folder or their index) each is read when it is asked for."""
    if source.is_dir() or source.suffix == ".json":
        # it builds on this module
        from unbraid.nn.qformer_weights import WeightFiles

        return WeightFiles(source)
    return {name.removeprefix("module."): value for name, value in read_weights(source).items()}


def library_file(name: str) -> Path:
    """The cached or downloaded weight file of a timm model.

    Raises FileNotFoundError, saying how to supply the file, when it is neither cached nor reachable.
    """
    import timm
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    config = timm.get_pretrained_cfg(name)
    repository = config.hf_hub_id if config else None
    if repository is None:
        raise FileNotFoundError(f"timm has no weights for {name!r}; supply a file with --weights")
    # timm names the repository without the tag when the tag is part of the name
    repository = repository if "." in repository else f"timm/{name}"
    try:
        return Path(hf_hub_download(repository, "model.safetensors"))
    except (OSError, HfHubHTTPError, RuntimeError) as error:
        raise FileNotFoundError(
            f"pretrained weights model.safetensors of {repository} are not cached and could not be fetched "
            f"({type(error).__name__}). Download that file where there is a network and pass --weights FILE, "
            f"or train from scratch with --config.no-pretrained"
        ) from error


def read_weights(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a weight file by name; nothing in it is executed.

    file: safetensors, or a PyTorch file of plain tensors, also under 'state_dict' or 'model'.
    Raises FileNotFoundError, or ValueError when it cannot be read or holds other things.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no weight file {file}; pass --weights with a .safetensors or .pth file")
    try:
        if file.suffix == ".safetensors":
            tensors: dict[str, Tensor] = load_file(file)
            return tensors
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(f"{file} holds more than tensors and is refused; save its state_dict alone") from error
    except (SafetensorError, RuntimeError, OSError, ValueError, EOFError) as error:
        raise ValueError(f"{file} is not a readable weight file: {error}") from error
    for name in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{file} does not hold a dictionary of tensors")
    return state


def _fill(trunk: Pretrained, state: Mapping[str, Tensor], source: Path) -> None:
    named = trunk.renamed(state)
    own = trunk.state_dict()
    missing = [n for n in own if n not in named and not n.endswith("num_batches_tracked")]
    wrong = [n for n in own if n in named and named[n].shape != own[n].shape]
    if missing or wrong:
        what = f"lacks {missing[0]!r} and {len(missing) - 1} more" if missing else f"has another shape for {wrong[0]!r}"
        raise ValueError(f"{source} does not fit the trunk {trunk.library_name}: it {what}")
    trunk.load_state_dict({n: named.get(n, own[n]) for n in own})
