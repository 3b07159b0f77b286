"""DIFFER against its own baseline, its parts, an adversary without text, silhouettes and colours, on synthetic people.

    python benchmarks/differ_world.py --out experiment [--world final] [--seeds 1 2 3] [--threads 1] [--only full ...]
    python benchmarks/differ_world.py --out experiment --setting rgb ...

Settings: `mask`, RGB with the silhouette as a fourth channel and a small network from scratch ("ignore the colours" is
a solution there); `rgb`, colours alone on the image tower of the library's small CLIP. Choose settings with --world
dev, report from final. Resumable: finished runs are used again, and every result is appended to results.jsonl as it
comes. Two processes with different --only may share the folder once the world is rendered. `--table` prints what is
there.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from paired import gain, spread

from unbraid.bias import bias
from unbraid.data.benchmark import Benchmark
from unbraid.data.colour import colour_embeddings
from unbraid.data.protocols import CAMERA_CHANGE, CLOTHES_CHANGE, ONE_CLOTHES_CHANGE, SAME_CLOTHES
from unbraid.data.sets.folder import read
from unbraid.evaluate import evaluate
from unbraid.extract import extract_run
from unbraid.leakage import probed
from unbraid.recipe import Recipe, find_recipe
from unbraid.report.gather import join
from unbraid.spaces import Embeddings
from unbraid.text.bank import TextBank
from unbraid.text.encoding import bank_of_folder
from unbraid.train import train
from unbraid.world import named_world, render

PROTOCOLS = (CLOTHES_CHANGE, ONE_CLOTHES_CHANGE, SAME_CLOTHES, CAMERA_CHANGE)
START = {"mask": "differ:world", "rgb": "differ:world_rgb"}
PLAIN: Mapping[str, Any] = {"biometric": False, "aspects": ()}
ATTRIBUTES = ("top", "top_colour", "bottom_colour")
# changes to the config of the full method
ROWS: dict[str, Mapping[str, Any]] = {
    "full": {},
    "baseline": PLAIN,
    "+ biometric": {"aspects": ()},
    "+ clothing": {"biometric": False},
    "attributes, no text": {**PLAIN, "attributes": ATTRIBUTES, "alpha": 1.0},
    "silhouette alone": {**PLAIN, "channels": 1, "colour_dropout": 0.0},
    "no colour dropout": {"colour_dropout": 0.0},
    "baseline, no colour dropout": {**PLAIN, "colour_dropout": 0.0},
    "scale 1, alpha 1": {"scale": 1.0, "alpha": 1.0},
    "alpha 0.1": {"alpha": 0.1},
    "alpha 1": {"alpha": 1.0},
    "gated, alpha 1": {"gated": True, "alpha": 1.0},
    "random captions": {},
}
# rows that ask about the fourth channel
NEEDS_MASK = ("silhouette alone", "no colour dropout", "baseline, no colour dropout")
COLOURS = "colours, no learning"
HEADLINES = ("full", "baseline", "+ biometric", "+ clothing", "attributes, no text", "silhouette alone")


def recipe_of(row: str, setting: str, seed: int) -> Recipe[Any]:
    """The recipe of a row."""
    recipe = find_recipe(START[setting])
    config = replace(recipe.config, **ROWS[row])
    data = replace(recipe.data, channels="mask") if config.channels == 1 else recipe.data
    text = recipe.text if config.biometric or config.aspects else None
    return replace(recipe, config=config, data=data, text=text, seed=seed)


def learned(row: str, setting: str, seed: int, people: Benchmark, bank: TextBank, run: Path) -> dict[str, Any]:
    """Train, extract and score one row."""
    recipe = recipe_of(row, setting, seed)
    texts = bank if recipe.text is not None else None
    if row == "random captions":
        texts = shuffled(bank)
    folder = train(recipe, people, run, resume=True, device="cpu", bank=texts)
    found = extract_run(folder, people, run / "embeddings", device="cpu")
    return scores(found["query"], found["gallery"], seed)


def shuffled(bank: TextBank) -> TextBank:
    """The same texts, given to other tracklets: a tracklet's aspects come from one and the same other tracklet."""
    keys = sorted(set.union(*(set(index) for index in bank.rows.values())))
    other = dict(zip(keys, np.random.default_rng(0).permutation(keys).tolist(), strict=True))
    rows = {
        aspect: {key: index[other[key]] for key in keys if other[key] in index} for aspect, index in bank.rows.items()
    }
    return replace(bank, rows=rows)


def scores(query: Embeddings, gallery: Embeddings, seed: int) -> dict[str, Any]:
    """Results by protocol, the bias towards the query's top colour, and what probes read."""
    line: dict[str, Any] = {"synthetic": True}
    for protocol in PROTOCOLS:
        result = evaluate(query, gallery, protocol, seed=seed, synthetic=True)
        line[protocol.name] = result.as_dict()
        if protocol is CLOTHES_CHANGE:
            line["bias"] = bias(result, protocol, query.table, gallery.table).share
    probes = probed(
        join(query, gallery), ["top_colour", "bottom_colour", "camera", "sex"], kinds=("linear",), seed=seed
    )
    own = probes[probes["space"] == "identity"]
    line["probes"] = json.loads(own.to_json(orient="records"))
    return line


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Rank-1 / mAP in per cent by protocol, mean and standard deviation over seeds."""
    rows = []
    for name in dict.fromkeys(line["row"] for line in lines):
        own = [line for line in lines if line["row"] == name]
        row: dict[str, Any] = {"row": name, "seeds": len(own)}
        for protocol in PROTOCOLS:
            row[protocol.name] = " / ".join(
                spread([100 * line[protocol.name][field] for line in own]) for field in ("rank_1", "mean_ap")
            )
        row["bias"] = spread([100 * line["bias"] for line in own])
        for label in ("top_colour", "camera"):
            found = [100 * p["score"] for line in own for p in line["probes"] if p["label"] == label]
            row[f"{label} probe"] = spread([value for value in found if value == value])
        rows.append(row)
    return pd.DataFrame(rows).to_string(index=False)


def gains(out: Path, setting: str, world: str, seeds: Sequence[int]) -> str:
    """Full minus each other row in `clothes-change`, paired by query, 95 % interval over the test people."""
    rows = []
    for other in ROWS:
        runs = [
            (folder_of(out, "full", setting, world, seed), folder_of(out, other, setting, world, seed))
            for seed in seeds
        ]
        if other != "full" and (found := gain(runs, CLOTHES_CHANGE, same_people=True)):
            rows.append({"full minus": other, **found})
    return pd.DataFrame(rows).to_string(index=False) if rows else ""


def folder_of(out: Path, row: str, setting: str, world: str, seed: int) -> Path:
    """The run folder of a row."""
    return out / f"{world}-{setting}-{row.replace(' ', '_').replace(',', '')}-{seed}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--setting", choices=START, default="mask")
    parser.add_argument("--world", choices=("dev", "final"), default="final")
    parser.add_argument("--size", choices=("tiny", "small", "full"), default="small")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="+", choices=[*ROWS, COLOURS])
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    setting, world = options.setting, options.world
    named = named_world(f"clothes/{options.size}/{world}")
    place = options.out / f"world-{options.size}-{world}"
    results = options.out / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    if not options.table:
        people = read(render(named.config, place, name=named.name))
        bank = bank_of_folder(place, "world-clip")
        if bank is None:
            raise ValueError(f"{place} has no captions; render it again")
        for seed in options.seeds:
            for row in options.only or [*ROWS, COLOURS]:
                if setting != "mask" and row in NEEDS_MASK:
                    continue
                key = {"row": row, "setting": setting, "world": named.name, "seed": seed}
                single = row not in (*HEADLINES, COLOURS) and not options.only
                if any(all(line[k] == v for k, v in key.items()) for line in lines) or (
                    seed != options.seeds[0] and (single or row == COLOURS)
                ):
                    continue
                if row == COLOURS:
                    query, gallery = (colour_embeddings(s, region="person") for s in (people.query, people.gallery))
                    found = scores(query, gallery, seed)
                else:
                    folder = folder_of(options.out, row, setting, world, seed)
                    found = learned(row, setting, seed, people, bank, folder)
                lines.append({**key, **found})
                with results.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
                change = found[CLOTHES_CHANGE.name]
                print(f"{row}, seed {seed}: clothes-change rank-1 {100 * change['rank_1']:.1f}", flush=True)
    own = [line for line in lines if line["setting"] == setting and line["world"] == named.name]
    if own:
        print(f"SYNTHETIC people, {named.name}, setting {setting}; rank-1 / mAP in %")
        print(table(own))
        print(gains(options.out, setting, world, options.seeds))


if __name__ == "__main__":
    main()
