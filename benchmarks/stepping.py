"""What benchmarks of a training step share: one step, its time, and two sides in turns."""

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from unbraid.batch import Batch
from unbraid.method import Method


def stepper(method: Method, optimizer: torch.optim.Optimizer, batch: Callable[[], Batch]) -> Callable[[], None]:
    """Forward, weighted losses, backward and the optimiser on a batch made anew, as a function."""

    def step() -> None:
        one = batch()
        terms = method.losses(method(one), one)
        total = torch.stack([getattr(method.config.weights, n) * v for n, v in terms.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), 5.0)
        optimizer.step()

    return step


def in_turns(
    sides: Mapping[str, Callable[[], None]], *, steps: int, rounds: int, out: Path | None, **facts: Any
) -> float:
    """Median over rounds of the second side's time by the first one's; prints every round.

    out: gets rounds, median, facts and machine as JSON.
    """
    for step in sides.values():
        _clock(step, 2)
    first, second = sides
    found = []
    for _ in range(rounds):
        spent = {name: _clock(step, steps) for name, step in sides.items()}
        found.append(spent)
        told = "  ".join(f"{name} {1e3 * value:7.1f} ms" for name, value in spent.items())
        print(f"{told}  ratio {spent[second] / spent[first]:.3f}", flush=True)
    median = statistics.median(spent[second] / spent[first] for spent in found)
    if out:
        about = {"threads": torch.get_num_threads(), "machine": platform.machine(), "torch": torch.__version__}
        values = {**facts, "rounds": found, "median_ratio": median, **about}
        out.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return median


def _clock(step: Callable[[], None], steps: int) -> float:
    """Seconds per step."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps
