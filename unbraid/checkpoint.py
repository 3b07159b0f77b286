"""A run folder: what a run is, its weights, and the state from which it continues.

    recipe.json            the recipe
    classes.json           class names by label, in the order of the class indices
    origin.json            what it was trained on and with
    metrics.jsonl          one line per logged step
    checkpoints/<step>/    weights.safetensors, optimizer.safetensors, progress.json

A checkpoint is written beside its place and renamed into it, so that one that can be seen is complete.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unbraid.files import read_tensors, replacing_folder, write_tensors, write_text
from unbraid.method import Method, find
from unbraid.recipe import Recipe

KEEP = 2
ZOO = Path(__file__).parent / "zoo"


@dataclass(frozen=True)
class Progress:
    """Where a run stands: the next step to take, counted over the run and within its epoch."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    finished: bool = False


@dataclass(frozen=True)
class Run:
    """What a run folder says about itself."""

    folder: Path
    recipe: Recipe[Any]
    classes: Mapping[str, tuple[str, ...]]
    origin: Mapping[str, Any]


def create_run(
    folder: Path, recipe: Recipe[Any], classes: Mapping[str, tuple[str, ...]], origin: Mapping[str, Any]
) -> Run:
    """Write the description of a new run. Raises ValueError when the folder already holds one."""
    if (folder / "recipe.json").exists():
        raise ValueError(f"{folder} already holds a run; continue it with --resume or choose another folder")
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    write_text(folder / "classes.json", json.dumps(classes, indent=2) + "\n")
    write_text(folder / "origin.json", json.dumps(origin, indent=2) + "\n")
    write_text(folder / "recipe.json", recipe.to_json())
    return Run(folder, recipe, classes, origin)


def packaged(name: str | Path) -> Path | None:
    """The folder of a checkpoint that comes with the library, such as 'dsanet/world'; None where there is none."""
    folder = ZOO / name
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    return folder if inside and (folder / "recipe.json").is_file() else None


def run_folder(run: Path) -> Path:
    """The folder of a run that is named by its folder or as a packaged checkpoint; the folder wins."""
    folder = Path(run)
    return folder if (folder / "recipe.json").is_file() else packaged(run) or folder


def open_run(folder: Path) -> Run:
    """The run in a folder, or a packaged one by name.

    Raises FileNotFoundError when there is none, ValueError or KeyError when it is damaged.
    """
    folder = run_folder(folder)
    if not (folder / "recipe.json").is_file():
        raise FileNotFoundError(
            f"{folder} is not a run: it has no recipe.json; expected a folder made by `unbraid train`, "
            f"or a name that `unbraid zoo` lists"
        )
    try:
        recipe = Recipe.from_json((folder / "recipe.json").read_text(encoding="utf-8"))
        classes = {k: tuple(v) for k, v in json.loads((folder / "classes.json").read_text(encoding="utf-8")).items()}
        origin = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{folder} lacks {Path(error.filename).name}; train the run again") from error
    except ValueError as error:
        raise ValueError(f"{folder} is damaged: {error}") from error
    except KeyError as error:
        raise KeyError(f"{folder}/recipe.json: {error.args[0]}") from error
    return Run(folder, recipe, classes, origin)


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint of a run folder."""
    found = sorted(p for p in (Path(folder) / "checkpoints").glob("*") if p.name.isdigit())
    return found[-1] if found else None


def save_checkpoint(folder: Path, method: nn.Module, optimizer: Optimizer, progress: Progress) -> Path:
    """Write a checkpoint in one step and drop all but the newest ones. Raises OSError when it cannot be written."""
    home = Path(folder) / "checkpoints"
    final = home / f"{progress.step:09d}"
    with replacing_folder(final) as part:
        write_tensors(part / "weights.safetensors", method.state_dict())
        state, groups = _flat(optimizer)
        write_tensors(part / "optimizer.safetensors", state)
        write_text(part / "progress.json", json.dumps({**asdict(progress), "groups": groups}, indent=2) + "\n")
    for old in sorted(p for p in home.glob("*") if p.name.isdigit())[:-KEEP]:
        # out of sight first: a half-deleted checkpoint must not look like one
        os.replace(old, old.with_suffix(".old"))
        shutil.rmtree(old.with_suffix(".old"))
    return final


def load_checkpoint(checkpoint: Path, method: nn.Module, optimizer: Optimizer | None = None) -> Progress:
    """Fill a method and its optimiser from a checkpoint folder.

    Raises FileNotFoundError for a missing file, ValueError when the weights are those of another network.
    """
    weights = read_tensors(checkpoint / "weights.safetensors")
    own = method.state_dict()
    foreign = [n for n in weights if n not in own]
    missing = [n for n in own if n not in weights]
    wrong = [n for n in own if n in weights and own[n].shape != weights[n].shape]
    if foreign or missing or wrong:
        example = (foreign or missing or wrong)[0]
        raise ValueError(
            f"{checkpoint} holds the weights of another network than the run's recipe describes "
            f"({len(foreign)} unknown, {len(missing)} missing, {len(wrong)} of other shape, such as {example!r}); "
            f"recipe.json and checkpoints must come from the same run"
        )
    method.load_state_dict(weights)
    progress = json.loads((checkpoint / "progress.json").read_text(encoding="utf-8"))
    groups = progress.pop("groups")
    if optimizer is not None:
        _unflat(optimizer, read_tensors(checkpoint / "optimizer.safetensors"), groups)
    return Progress(**progress)


def load_method(folder: Path) -> Method:
    """The trained method of a run folder, in eval mode on the CPU.

    Raises FileNotFoundError when the run has no checkpoint yet, and what `open_run` raises.
    """
    run = open_run(folder)
    checkpoint = latest(run.folder)
    if checkpoint is None:
        raise FileNotFoundError(f"{folder} has no finished checkpoint yet; train it, or continue with --resume")
    method = build(run.recipe, run.classes)
    load_checkpoint(checkpoint, method)
    return method.eval()


def build(recipe: Recipe[Any], classes: Mapping[str, tuple[str, ...]]) -> Method:
    """The untrained method of a recipe; initial weights follow from the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return find(recipe.method)(recipe.config, classes={name: len(names) for name, names in classes.items()})


def weights_hash(folder: Path) -> str:
    """SHA-256 of the newest weights of a run, in hexadecimal; '' before the first checkpoint."""
    checkpoint = latest(run_folder(folder))
    if checkpoint is None:
        return ""
    with (checkpoint / "weights.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flat(optimizer: Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Optimiser state as named tensors ('<parameter>/<entry>') and its groups as JSON values."""
    state = optimizer.state_dict()
    tensors = {
        f"{number}/{name}": value for number, entries in state["state"].items() for name, value in entries.items()
    }
    return tensors, state["param_groups"]


def _unflat(optimizer: Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, entry = name.split("/")
        state.setdefault(int(number), {})[entry] = value
    optimizer.load_state_dict({"state": state, "param_groups": groups})
