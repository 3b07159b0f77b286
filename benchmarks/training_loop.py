"""What the training verb costs beside the bare forward, backward and step of the same network on the same batches.

    python benchmarks/training_loop.py [--recipe dsanet:world] [--steps 40] [--rounds 3] [--json FILE]

Both sides run in this process, in turns. The bare side keeps its batches in memory; the verb reads, augments, logs and
checkpoints. Its cost per step is the slope between a short and a long run, so that set-up does not count.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unbraid.batch import Batch
from unbraid.checkpoint import build
from unbraid.data.loader import Schedule, TrainingClips, class_names, training_batches
from unbraid.data.sets.folder import read, save_frames, save_index
from unbraid.recipe import Recipe, find_recipe
from unbraid.train import train


def write_data(root: Path, recipe: Recipe[Any], identities: int) -> None:
    """Noise images of the recipe's size: speed does not depend on what they show."""
    generator = np.random.default_rng(0)
    rows = []
    size = (recipe.data.height, recipe.data.width, 3)
    for identity in range(identities):
        for take in range(recipe.data.clips):
            key = f"{identity}-{take}"
            images = [generator.integers(0, 255, size).astype(np.uint8) for _ in range(2 * recipe.data.frames)]
            row = {"key": key, "split": "train", "modality": "rgb", "identity": str(identity)}
            rows.append({**row, "frames": save_frames(root, key, images), "camera": str(take % 2)})
    save_index(root, rows, {"name": "noise", "synthetic": True})


def bare(recipe: Recipe[Any], batches: Sequence[Batch], classes: dict[str, tuple[str, ...]]) -> float:
    """Seconds per step of forward, losses, backward and step alone."""
    method = build(recipe, classes).train()
    optimizer = torch.optim.AdamW((p for p in method.parameters() if p.requires_grad), lr=recipe.optim.lr)
    seconds = 0.0
    for number, batch in enumerate(batches):
        start = time.perf_counter()
        terms = method.losses(method(batch), batch)
        total = torch.stack([getattr(recipe.config.weights, n) * v for n, v in terms.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        if recipe.optim.max_norm is not None:
            torch.nn.utils.clip_grad_norm_(method.parameters(), recipe.optim.max_norm)
        optimizer.step()
        seconds += time.perf_counter() - start if number >= 5 else 0.0
    return seconds / (len(batches) - 5)


def verb(recipe: Recipe[Any], root: Path, steps: int, per_epoch: int) -> float:
    """Seconds per step of `train`, as the slope between a short and a long run."""
    spent = []
    for epochs in (steps // per_epoch, 3 * steps // per_epoch):
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            train(replace(recipe, epochs=epochs), read(root), Path(out) / "run", device="cpu")
            spent.append(time.perf_counter() - start)
    return (spent[1] - spent[0]) / (per_epoch * (3 * steps // per_epoch - steps // per_epoch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="dsanet:world")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    recipe = find_recipe(options.recipe)
    per_epoch = 4
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_data(root, recipe, per_epoch * recipe.data.identities)
        benchmark = read(root)
        classes = class_names(benchmark.train)
        identities = [classes["identity"].index(str(t.identity)) for t in benchmark.train]
        schedule = Schedule(identities, recipe.data, epochs=options.steps // per_epoch, seed=0)
        clips = TrainingClips(benchmark.train, recipe.data, seed=0)
        batches = list(training_batches(clips, schedule, classes, workers=0))
        rounds = [
            (bare(recipe, batches, classes), verb(recipe, root, options.steps, per_epoch))
            for _ in range(options.rounds)
        ]
    ratios = [b / a for a, b in rounds]
    for number, (a, b) in enumerate(rounds):
        print(f"round {number}: bare {1e3 * a:7.1f} ms/step   train {1e3 * b:7.1f} ms/step   ratio {b / a:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f} (target 1.1)")
    if options.json:
        machine = {"python": sys.version.split()[0], "torch": torch.__version__, "cpu": platform.processor()}
        machine["threads"] = str(torch.get_num_threads())
        result = {"recipe": options.recipe, "rounds": rounds, "median_ratio": statistics.median(ratios), **machine}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
