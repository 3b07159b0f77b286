"""Loading of pretrained weights: every layout that is accepted, and every refusal."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from unbraid.nn.backbones import residual_trunk
from unbraid.nn.pretrained import Pretrained, library_file, load_pretrained

NAME = "test_resnet.r160_in1k"  # timm's smallest ResNet, with a deep stem and a classifier
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(0)
    made: State = timm.create_model(NAME, pretrained=False).state_dict()
    assert any(n.startswith("fc.") for n in made)
    return {n: torch.rand_like(v) if v.is_floating_point() else v + 3 for n, v in made.items()}


def network(name: str = NAME) -> nn.Module:
    """A method-like network that holds its trunk one level down."""
    return nn.ModuleDict({"trunk": residual_trunk(name, pretrained=True), "head": nn.Linear(2, 2)})


def arrived(net: nn.Module, state: State) -> bool:
    """Whether every tensor of the trunk holds the value of its counterpart."""
    own = net["trunk"].state_dict()  # type: ignore[index]
    back = {"stem.0.": "conv1.", "stem.1.": "bn1."}
    return all(torch.equal(v, state[back.get(n[:7], n[:7]) + n[7:]]) for n, v in own.items())


LAYOUTS: dict[str, Callable[[State], Any]] = {
    "bare": lambda state: state,
    "module": lambda state: {f"module.{n}": v for n, v in state.items()},
    "state_dict": lambda state: {"state_dict": state, "epoch": 90, "arch": "resnet"},
    "model": lambda state: {"model": state},
    "both": lambda state: {"state_dict": {f"module.{n}": v for n, v in state.items()}},
    "no_counters": lambda state: {n: v for n, v in state.items() if not n.endswith("num_batches_tracked")},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_torch_file(layout: str, state: State, tmp_path: Path) -> None:
    torch.save(LAYOUTS[layout](state), tmp_path / "weights.pth")
    net = network()
    assert not arrived(net, state)
    load_pretrained(net, tmp_path / "weights.pth")
    if layout == "no_counters":
        assert torch.equal(net["trunk"].layer4[0].conv1.weight, state["layer4.0.conv1.weight"])  # type: ignore[index]
    else:
        assert arrived(net, state)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_safetensors_file(prefix: str, state: State, tmp_path: Path) -> None:
    save_file({prefix + n: v for n, v in state.items()}, tmp_path / "weights.safetensors")
    net = network()
    load_pretrained(net, tmp_path / "weights.safetensors")
    assert arrived(net, state)


def test_torchvision_file(tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(theirs, tmp_path / "resnet18.pth")
    net = network("resnet18")
    load_pretrained(net, tmp_path / "resnet18.pth")
    assert arrived(net, theirs)


def test_library_weights_are_asked_for_by_name(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.safetensors"
    save_file(state, file)
    asked = []

    def download(repository: str, name: str) -> str:
        asked.append((repository, name))
        return str(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    net = network()
    load_pretrained(net)
    assert arrived(net, state)
    library_file("resnet50")  # without a tag: timm's default weights
    assert asked == [(f"timm/{NAME}", "model.safetensors"), ("timm/resnet50.a1_in1k", "model.safetensors")]


def test_wrong_network_names_a_tensor(state: State, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.save(state, file)
    with pytest.raises(ValueError, match=r"weights.pth does not fit the trunk resnet18: it lacks '\S+' and \d+ more"):
        load_pretrained(network("resnet18"), file)
    torch.save({**state, "layer1.0.conv1.weight": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"it has another shape for 'layer1.0.conv1.weight'"):
        load_pretrained(network(), file)


class Payload:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_pickled_object_is_refused_and_not_run(state: State, tmp_path: Path) -> None:
    file, mark = tmp_path / "weights.pth", tmp_path / "executed"
    torch.save({"state_dict": state, "extra": Payload(mark)}, file)
    with pytest.raises(ValueError, match=r"weights.pth holds more than tensors and is refused"):
        load_pretrained(network(), file)
    assert not mark.exists()
    torch.load(file, weights_only=False)
    assert mark.exists(), "the payload is harmless, so this test proves nothing"


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all" * 10])
def test_damaged_file(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        load_pretrained(network(), tmp_path / name)


def test_file_without_tensors(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"weights.pth does not hold a dictionary of tensors"):
        load_pretrained(network(), tmp_path / "weights.pth")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no weight file .*none.pth; pass --weights"):
        load_pretrained(network(), tmp_path / "none.pth")


def test_file_for_a_trunk_from_scratch(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="was given, but this recipe trains its trunk from scratch"):
        load_pretrained(residual_trunk("small-4", pretrained=False), tmp_path / "weights.pth")


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        load_pretrained(network("resnet18.tv_in1k"))
    for part in ("model.safetensors", "timm/resnet18.tv_in1k", "--weights FILE", "--config.no-pretrained"):
        assert part in str(error.value)


def test_trunk_without_library_weights() -> None:
    with pytest.raises(FileNotFoundError, match="timm has no weights for 'resnet50_mlp'; supply a file with --weights"):
        library_file("resnet50_mlp")


def test_only_what_fits_is_read_from_a_large_model(tmp_path: Path) -> None:
    class One(Pretrained):
        def __init__(self) -> None:
            super().__init__()
            self.library_name, self.weight = "one", torch.nn.Parameter(torch.zeros(2))

        def renamed(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {"weight": state["tower.weight"]}

    save_file({"tower.weight": torch.ones(2)}, tmp_path / "1.safetensors")
    # the language model's shard is not even there
    shards = {"tower.weight": "1.safetensors", "language_model.weight": "2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    network = One()
    load_pretrained(network, tmp_path)
    assert network.weight.tolist() == [1.0, 1.0]
