"""TCFDNet against itself without its parts, a plain two-stream network and LDA, on synthetic people.

    python benchmarks/tcfdnet_world.py --out experiment [--world final] [--seeds 1 2 3] [--threads 1] [--only full ...]

A query from one sensor against a gallery of the other, both directions, people in normal and in seven other
conditions, all pairs of different views. Choose settings with --world dev, report from final. Resumable: finished runs
are used again, and every result is appended to results.jsonl as it comes. Two processes with different --only may
share the folder once the world is rendered. `--table` prints what is there.

LDA: mean and deviation over time of silhouettes and depth maps (32 x 32), 128 principal components of the training
people, and shrunken linear discriminants of both sensors together: people are told apart by sums of pixels, no network.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from paired import gain, spread
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from unbraid.checkpoint import load_method
from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.media import read_frames
from unbraid.data.protocols import CAMERA_SENSOR, CONDITIONS, LIDAR_SENSOR, gait
from unbraid.data.sets.folder import read
from unbraid.evaluate import evaluate
from unbraid.extract import extract_run
from unbraid.leakage import probed
from unbraid.method import cosine
from unbraid.progress import track
from unbraid.recipe import find_recipe
from unbraid.search import Similarity
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Tracklet
from unbraid.train import train
from unbraid.world import named_world, render

ROWS = {
    "full": "tcfdnet:world",
    "no GMTD": "tcfdnet:world_no_gmtd",
    "no TFD": "tcfdnet:world_no_tfd",
    "two streams": "tcfdnet:world_baseline",
}
LDA = ("mean images", "LDA")
DIRECTIONS = ((CAMERA_SENSOR, LIDAR_SENSOR), (LIDAR_SENSOR, CAMERA_SENSOR))
SIDE, COMPONENTS = 32, 128


def learned(row: str, seed: int, people: Benchmark, run: Path) -> dict[str, Any]:
    """Train, extract and score one network; the texts of the small CLIP are made on the fly."""
    folder = train(replace(find_recipe(ROWS[row]), seed=seed), people, run, resume=True, device="cpu")
    found = extract_run(folder, people, run / "embeddings", device="cpu")
    return scores(found["query"], found["gallery"], load_method(folder).similarity, seed)


def images(tracklets: Sequence[Tracklet]) -> NDArray[np.float32]:
    """Mean and deviation over the frames of each tracklet, N x 2 SIDE²."""
    rows = []
    for tracklet in track(tracklets, "mean images"):
        frames = [
            cv2.resize(frame[..., 0], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            for frame in read_frames(tracklet.media, range(len(tracklet)))
        ]
        stack = np.stack(frames).astype(np.float32) / 255
        rows.append(np.concatenate([stack.mean(0).ravel(), stack.std(0).ravel()]))
    return np.stack(rows)


def unlearned(row: str, seed: int, people: Benchmark) -> dict[str, Any]:
    """Score features that no network made."""
    query, gallery = ((images(split), label_table(split)) for split in (people.query, people.gallery))
    if row == "LDA":
        known, who = images(people.train), [str(t.identity) for t in people.train]
        few = PCA(COMPONENTS, random_state=seed).fit(known)
        rule = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(few.transform(known), who)
        query, gallery = ((rule.transform(few.transform(x)), table) for x, table in (query, gallery))
    else:
        # the two sensors differ in brightness everywhere: compare what differs within a sensor
        query, gallery = ((_centred(x, table["modality"]), table) for x, table in (query, gallery))
    made = [
        Embeddings(
            Spaces({"identity": torch.from_numpy(np.asarray(x, np.float32))}),
            table,
            {"synthetic": "true", "method": row},
        )
        for x, table in (query, gallery)
    ]
    return scores(made[0], made[1], cosine, seed)


def _centred(x: NDArray[np.float32], modality: pd.Series) -> NDArray[np.float32]:
    """Features without the mean of their own sensor."""
    out = x.copy()
    for name in modality.unique():
        rows = (modality == name).to_numpy()
        out[rows] -= x[rows].mean(0)
    return out


def scores(query: Embeddings, gallery: Embeddings, similarity: Similarity, seed: int) -> dict[str, Any]:
    """Results by direction: over all conditions with interval, by condition and by view of the query; and how well
    the sensor is read from the features."""
    line: dict[str, Any] = {"synthetic": True}
    own = Embeddings(Spaces({"identity": query.spaces["identity"]}), query.table, query.origin)
    probes = probed(own, ["modality"], kinds=("linear", "knn"), seed=seed)
    line["probes"] = json.loads(probes.to_json(orient="records"))
    for asked, offered in DIRECTIONS:
        for condition in ("", *CONDITIONS):
            protocol = gait(asked, offered, condition)
            result = evaluate(query, gallery, protocol, similarity=similarity, seed=seed, synthetic=True)
            line[protocol.name] = result.as_dict()
            if not condition:
                rows = result.table.merge(query.table[["key", "view"]], on="key")
                rows = rows.assign(right=rows["share"] * (rows["first"] == 1))
                by = rows.groupby("view")[["right", "share"]].sum()
                line[f"{protocol.name} by view"] = (by["right"] / by["share"]).to_dict()
    return line


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Rank-1 / rank-5 in per cent by direction and condition, mean and standard deviation over seeds."""
    parts = []
    for asked, offered in DIRECTIONS:
        rows = []
        for name in dict.fromkeys(line["row"] for line in lines):
            own = [line for line in lines if line["row"] == name]
            row: dict[str, Any] = {"row": name, "seeds": len(own)}
            for condition in ("", *CONDITIONS):
                found = [line[gait(asked, offered, condition).name] for line in own]
                row[condition or "all"] = spread([100 * one["rank_1"] for one in found])
                if not condition:
                    row["all, rank-5"] = spread([100 * one["rank_5"] for one in found])
            for probe in ("linear", "knn"):
                read = [p["score"] for line in own for p in line["probes"] if p["probe"] == probe]
                row[f"sensor, {probe} probe"] = spread([100 * value for value in read if value is not None])
            views = [line[f"{gait(asked, offered).name} by view"] for line in own]
            row |= {f"view {view}": spread([100 * one[view] for one in views]) for view in sorted(views[0])}
            rows.append(row)
        chance = 100 * lines[0][gait(asked, offered).name]["rank_1_chance"]
        parts.append(
            f"{asked} in {offered}, rank-1 in %, chance {chance:.1f}\n{pd.DataFrame(rows).T.to_string(header=False)}"
        )
    return "\n\n".join(parts)


def gains(out: Path, world: str, seeds: Sequence[int]) -> str:
    """Full minus each other network, paired by query, 95 % interval over the test people."""
    rows = []
    for asked, offered in DIRECTIONS:
        for other in ROWS:
            runs = [(folder_of(out, "full", world, seed), folder_of(out, other, world, seed)) for seed in seeds]
            if other != "full" and (found := gain(runs, gait(asked, offered), same_people=True, own_similarity=True)):
                rows.append({"direction": f"{asked} in {offered}", "full minus": other, **found})
    return pd.DataFrame(rows).to_string(index=False) if rows else ""


def folder_of(out: Path, row: str, world: str, seed: int) -> Path:
    """The run folder of a row."""
    return out / f"{world}-{row.replace(' ', '_')}-{seed}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--world", choices=("dev", "final"), default="final")
    parser.add_argument("--size", choices=("tiny", "small", "full"), default="small")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="+", choices=[*ROWS, *LDA])
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    named = named_world(f"gait/{options.size}/{options.world}")
    results = options.out / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    if not options.table:
        place = options.out / f"world-{options.size}-{options.world}"
        people = read(render(named.config, place, name=named.name))
        for seed in options.seeds:
            for row in options.only or [*ROWS, *LDA]:
                key = {"row": row, "world": named.name, "seed": seed}
                done = any(all(line[k] == v for k, v in key.items()) for line in lines)
                # nothing random in them but the solver of the components
                if done or (row in LDA and seed != options.seeds[0]):
                    continue
                run = folder_of(options.out, row, options.world, seed)
                found = unlearned(row, seed, people) if row in LDA else learned(row, seed, people, run)
                lines.append({**key, **found})
                with results.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
                told = [f"{100 * found[gait(*sides).name]['rank_1']:.1f}" for sides in DIRECTIONS]
                print(f"{row}, seed {seed}: rank-1 {' and '.join(told)}", flush=True)
    own = [line for line in lines if line["world"] == named.name]
    if own:
        print(f"SYNTHETIC people, {named.name}")
        print(table(own))
        print(gains(options.out, options.world, options.seeds))


if __name__ == "__main__":
    main()
