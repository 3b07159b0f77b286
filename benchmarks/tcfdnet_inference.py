"""How many sequences TCFDNet encodes in a second, and what memory long ones take.

    python benchmarks/tcfdnet_inference.py [--recipe sustech1k] [--frames 10 100 1000 4000] [--threads 1] [--json FILE]

Random weights, noise for frames, one sequence at a time; beside it the plain two-stream network of the same sizes.
Every line is a process of its own: seconds are the smallest of three, memory is the highest of the process, less what
it was with network and frames in place: it should not grow with the length, for `chunk` frames pass at once.
"""

import argparse
import json
import multiprocessing
import resource
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from unbraid.batch import MODALITIES, Clip
from unbraid.checkpoint import build
from unbraid.recipe import find_recipe

SIDES = {"sustech1k": {"TCFDNet": "sustech1k", "two streams": "baseline"}}
SIDES["world"] = {"TCFDNet": "world", "two streams": "world_baseline"}
ROUNDS = 3


def measured(name: str, frames: int, threads: int) -> dict[str, float]:
    """Seconds a sequence and MB of memory."""
    torch.set_num_threads(threads)
    recipe = find_recipe(f"tcfdnet:{name}")
    recipe = replace(recipe, config=replace(recipe.config, pretrained=False))
    method = build(recipe, {"identity": ("a", "b"), "modality": MODALITIES}).eval()
    if method.dictionary:
        config = recipe.config
        method.set_dictionary({name: torch.randn(config.texts, config.text_width) for name in method.dictionary})
    clip = Clip.of(torch.rand(1, frames, 3, recipe.data.height, recipe.data.width))
    clip = replace(clip, sensor={"modality": torch.tensor([MODALITIES.index("depth") + 1])})
    before, spent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    with torch.inference_mode():
        for _ in range(ROUNDS):
            start = time.perf_counter()
            method.encode(clip)
            spent.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": min(spent), "MB": (after - before) / 1024}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=SIDES, default="sustech1k")
    parser.add_argument("--frames", type=int, nargs="+", default=[10, 100, 1000, 4000])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for frames in options.frames:
        row: dict[str, float] = {"frames": frames}
        for side, name in SIDES[options.recipe].items():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(measured, (name, frames, options.threads))
            row |= {f"{side}, sequences/s": 1 / found["seconds"], f"{side}, frames/s": frames / found["seconds"]}
            row[f"{side}, MB"] = found["MB"]
        row["time ratio"] = row["two streams, frames/s"] / row["TCFDNet, frames/s"]
        rows.append(row)
        print(pd.DataFrame([row]).round(2).to_string(index=False), flush=True)
    if options.json:
        facts = {"recipe": options.recipe, "threads": options.threads, "torch": torch.__version__, "rows": rows}
        options.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
