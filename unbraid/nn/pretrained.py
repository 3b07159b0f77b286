"""Networks that start from published weights, and the files in which these lie."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
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
        state = tensors_of(source)
        if any(name.startswith("module.") for name in state):
            state = {name.removeprefix("module."): value for name, value in state.items()}
        _fill(trunk, state, source)


def tensors_of(source: Path) -> Mapping[str, Tensor]:
    """The tensors of a weight file by name; those of safetensors, their index or their folder are read when asked for.

    Raises as `WeightFiles` and `read_weights`.
    """
    lazy = source.is_dir() or source.suffix in (".json", ".safetensors")
    return WeightFiles(source) if lazy else read_weights(source)


class WeightFiles(Mapping[str, Tensor]):
    """The tensors of safetensors files by name, each read when it is asked for.

    path: one file, the index of several (`model.safetensors.index.json`), or the folder of either.
    Raises FileNotFoundError, or ValueError when a file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            path = next((f for f in _of_folder(path) if f.is_file()), path / "model.safetensors")
        if not path.is_file():
            raise FileNotFoundError(f"no weight file {path}; expected a .safetensors file, its index or its folder")
        if path.suffix == ".json":
            try:
                shards: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
            except (json.JSONDecodeError, KeyError) as error:
                raise ValueError(f"{path} is no index of safetensors files: it has no 'weight_map'") from error
            self._files = {name: path.parent / file for name, file in shards.items()}
        else:
            self._files = dict.fromkeys(_names(path), path)

    def __getitem__(self, name: str) -> Tensor:
        file = self._files[name]
        if not file.is_file():
            raise FileNotFoundError(f"the index names {file}, which is missing; copy it beside the others")
        try:
            with safe_open(file, framework="pt") as tensors:
                tensor: Tensor = tensors.get_tensor(name)
        except SafetensorError as error:
            raise ValueError(f"{name!r} cannot be read from {file}: {error}") from error
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _of_folder(folder: Path) -> tuple[Path, ...]:
    return folder / "model.safetensors", folder / "model.safetensors.index.json"


def _names(file: Path) -> list[str]:
    try:
        with safe_open(file, framework="pt") as tensors:
            return list(tensors.keys())
    except SafetensorError as error:
        raise ValueError(f"{file} is not a readable safetensors file: {error}") from error


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
