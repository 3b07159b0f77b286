"""A training that was cut short and resumed, beside one that never was."""

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from unbraid import train as module
from unbraid.checkpoint import latest
from unbraid.data.benchmark import Benchmark
from unbraid.files import read_tensors
from unbraid.recipe import Recipe
from unbraid.text.bank import TextBank


def whole_and_resumed(
    recipe: Recipe[Any], benchmark: Benchmark, bank: TextBank | None, folder: Path, patch: pytest.MonkeyPatch
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The last weights of both; the cut comes when two steps are done."""
    whole = module.train(recipe, benchmark, folder / "whole", device="cpu", bank=bank)
    advance = module._advance

    def stop(progress: module.Progress, length: int) -> module.Progress:
        if progress.step == 2:
            raise RuntimeError("power cut")
        return advance(progress, length)

    patch.setattr(module, "_advance", stop)
    with pytest.raises(RuntimeError, match="power cut"):
        module.train(recipe, benchmark, folder / "cut", device="cpu", bank=bank, checkpoint_minutes=0)
    patch.setattr(module, "_advance", advance)
    cut = module.train(recipe, benchmark, folder / "cut", device="cpu", bank=bank, resume=True)
    first, second = (read_tensors(Path(str(latest(run))) / "weights.safetensors") for run in (whole, cut))
    return first, second
