"""DSANet against its own baseline and against colours, on synthetic people it never saw.

    python benchmarks/dsanet_world.py --out experiment [--seeds 1 2 3] [--threads 1] [--only dsanet:world]

Resumable: worlds, runs and embeddings that are finished are used again, and results are appended to results.jsonl as
they come. Two processes with different --only may share the folder once the worlds are rendered. `--table` prints
what is there. Everything is synthetic; seeds used to choose settings should not be among those reported.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from paired import gain, spread

from unbraid.data.benchmark import Benchmark
from unbraid.data.colour import colour_embeddings
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.data.sets.folder import read
from unbraid.demo import demo_world
from unbraid.evaluate import evaluate
from unbraid.extract import extract_run
from unbraid.leakage import probed
from unbraid.recipe import find_recipe
from unbraid.report.gather import join
from unbraid.result import Result
from unbraid.train import train
from unbraid.world import WorldConfig, render

RECIPES = ("dsanet:world", "dsanet:world_baseline", "dsanet:world_paper_weights", "dsanet:world without camera")


def world(seed: int) -> WorldConfig:
    """The world of the demo with more people."""
    return replace(demo_world(seed), train_identities=120, test_identities=100, tracklets=9)


def measured(name: str, space: str, seed: int, result: Result, probes: pd.DataFrame | None) -> dict[str, Any]:
    """One line of results."""
    line: dict[str, Any] = {"name": name, "space": space, "seed": seed, "synthetic": True, **result.as_dict()}
    if probes is not None:
        own = probes[probes["space"] == space]
        line["leakage"] = json.loads(own.to_json(orient="records"))
    return line


def learned(recipe: str, seed: int, people: Benchmark, out: Path) -> Iterator[dict[str, Any]]:
    """Train, extract and score one recipe on one world; one line per space."""
    chosen = find_recipe(recipe.split()[0])
    if recipe.endswith("without camera"):
        # the same modules and weights but for the camera branch and what hangs on it
        chosen = replace(chosen, config=replace(chosen.config, camera=False, aggregate=False))
    run = train(replace(chosen, seed=seed), people, out, resume=True, device="cpu")
    found = extract_run(run, people, run / "embeddings", device="cpu")
    probes = probed(join(found["query"], found["gallery"]), ["identity", "camera", "view"], seed=seed)
    for space in found["query"].spaces:
        result = evaluate(found["query"], found["gallery"], CAMERA_CHANGE, space=space, seed=seed)
        yield measured(recipe, space, seed, result, probes)


def colours(seed: int, people: Benchmark) -> Iterator[dict[str, Any]]:
    """Colour histograms, whole frame and as favourable as four tried settings allow."""
    for name, centre, grey in (("colour, whole frame", 1.0, False), ("colour, centre and grey world", 0.25, True)):
        query, gallery = (colour_embeddings(s, centre=centre, grey_world=grey) for s in (people.query, people.gallery))
        result = evaluate(query, gallery, CAMERA_CHANGE, seed=seed, synthetic=True)
        probes = probed(join(query, gallery), ["identity"], seed=seed)
        yield measured(name, "identity", seed, result, probes)


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Mean and standard deviation over seeds, in per cent."""
    rows = []
    for name, space in dict.fromkeys((line["name"], line["space"]) for line in lines):
        own = [line for line in lines if (line["name"], line["space"]) == (name, space)]
        row = {"name": name, "space": space, "seeds": len(own)}
        for field in ("mean_ap", "rank_1"):
            row[field] = spread([100 * line[field] for line in own])
        for label in ("camera", "view"):
            read = [r["score"] for line in own for r in line.get("leakage", []) if r["label"] == label]
            row[f"{label} probe"] = spread([100 * score for score in read if score is not None])
        rows.append(row)
    return pd.DataFrame(rows).to_string(index=False)


def differences(out: Path, seeds: Sequence[int]) -> str:
    """Rank-1 and mAP of `dsanet:world` minus those of each other recipe, with 95 % intervals.

    Paired: both saw the same queries. The interval resamples the test identities of all seeds together.
    """
    rows = []
    for other in RECIPES[1:]:
        runs = [(folder_of(out, RECIPES[0], seed), folder_of(out, other, seed)) for seed in seeds]
        if found := gain(runs, CAMERA_CHANGE, same_people=False):
            rows.append({f"{RECIPES[0]} minus": other, **found})
    return pd.DataFrame(rows).to_string(index=False)


def folder_of(out: Path, recipe: str, seed: int) -> Path:
    """The run folder of a recipe and seed."""
    return out / f"{re.sub(r'[^a-z_]', '-', recipe)}-{seed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="+", choices=[*RECIPES, "worlds", "colours"])
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = options.out / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    wanted = options.only or ["worlds", "colours", *RECIPES]
    for seed in [] if options.table else options.seeds:
        people = read(render(world(seed), options.out / f"world-{seed}"))
        known = {line["name"].split(",")[0] for line in lines if line["seed"] == seed}
        work: list[Iterator[dict[str, Any]]] = []
        if "colours" in wanted and "colour" not in known:
            work.append(colours(seed, people))
        for recipe in RECIPES:
            if recipe in wanted and recipe not in known:
                work.append(learned(recipe, seed, people, folder_of(options.out, recipe, seed)))
        for one in work:
            # all lines of a recipe at once, so that one that is there is there whole
            fresh = list(one)
            with results.open("a") as file:
                file.write("".join(json.dumps(line) + "\n" for line in fresh))
            lines += fresh
            for line in fresh:
                scores = f"mAP {100 * line['mean_ap']:.1f}, rank-1 {100 * line['rank_1']:.1f}"
                print(f"{line['name']} {line['space']} seed {seed}: {scores}")
    if lines:
        print(table(lines))
        print(differences(options.out, options.seeds))


if __name__ == "__main__":
    main()
