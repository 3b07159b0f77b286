"""DisenQ and its parts on synthetic people who do nine things, tested on people it never saw.

    python benchmarks/disenq_world.py --out experiment [--world final] [--seeds 1 2 3] [--threads 1] [--only all ...]
        [--mocap FILE]

Rows are runs. What needs no training of its own is another comparison of the run `all`: its identity, motion or
appearance space alone, and fixed instead of adaptive shares: the gate passes no gradient on, so the features would be
the same without it as long as no gradient is clipped. Rows that are no headlines are trained for the first seed alone.
`clear texts` are pooled and centred, so that they name people and actions beyond doubt.
`recorded` is `all` on a world of the same size whose people move as recorded in --mocap (BVH, AMC or packed clips).

Choose settings with --world dev, report from final. Resumable: finished runs are used again, and every result is
appended to results.jsonl as it comes. Two processes with different --only may share the folder once the world is
rendered. `--table` prints what is there. Everything is synthetic.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from paired import gain, spread

from unbraid.batch import Batch, Clip
from unbraid.checkpoint import load_method, open_run
from unbraid.data.activity import draw
from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.loader import TestClips
from unbraid.data.protocols import (
    CROSS_ACTIVITY,
    CROSS_ACTIVITY_AND_CLOTHES,
    CROSS_ACTIVITY_OTHER_CAMERA,
    SAME_ACTIVITY,
    SAME_ACTIVITY_OTHER_CAMERA,
)
from unbraid.data.sets.folder import read
from unbraid.draws import evaluate_draws
from unbraid.evaluate import evaluate
from unbraid.extract import extract_run
from unbraid.intervals import bootstrap
from unbraid.leakage import probed
from unbraid.method import cosine
from unbraid.progress import track
from unbraid.recipe import Recipe, TextConfig, find_recipe
from unbraid.report.gather import join
from unbraid.search import Similarity
from unbraid.spaces import Embeddings, Spaces
from unbraid.text.bank import TextBank
from unbraid.text.encoding import bank_of_folder
from unbraid.text.guidance import guidance
from unbraid.tracklet import Tracklet
from unbraid.train import train
from unbraid.world import NamedWorld, named_world, render
from unbraid.world.motion import MotionSource

PROTOCOLS = (
    SAME_ACTIVITY,
    SAME_ACTIVITY_OTHER_CAMERA,
    CROSS_ACTIVITY,
    CROSS_ACTIVITY_OTHER_CAMERA,
    CROSS_ACTIVITY_AND_CLOTHES,
)
FULL, RECORDED, ADAPTIVE, FIXED = "all", "recorded", "adaptive", "fixed shares"
ROWS = {
    FULL: "world",
    "none": "world_none",
    "b + n": "world_appearance",
    "b + m": "world_motion",
    "random clothing texts": "world_random_clothing",
    "preset paper": "world_paper",
    "independent": "world_independent",
    "clear texts": "world",
    "clear texts, preset paper": "world_paper",
    RECORDED: "world",
}
# averaged sentences about two bodies are nearly the same vector; pooled and centred ones name the person
CLEAR = TextConfig(encoder="world-clip", averaged=("biometric",), centred=("biometric", "motion", "clothing"))
HEADLINES = ("none", "b + n", "b + m", FULL)
FIELDS = ("rank_1", "mean_ap")
LABELS = ("action", "top_colour", "camera")
# below 0.6 rad/s in the mean over joints, and without a path; the others move at 0.64 to 1.85 rad/s (20 styles)
LOW_MOTION = ("reach", "wave", "turn")
# every so manieth training clip is asked who it is
SAMPLE = 4
BATCH = 32


def comparisons(run: Path) -> dict[str, Similarity]:
    """The ways in which a run's test clips are compared, its own first."""
    method = load_method(run)
    own: Similarity = method.similarity
    if method.config.compare != "adaptive":
        return {"own": own}
    alone = {f"{name} alone": _of(name) for name in method.spaces}
    return {ADAPTIVE: own, FIXED: _equal(_of("identity"), _of("motion")), **alone}


def scores(run: Path, people: Benchmark, found: Mapping[str, Embeddings], seed: int) -> dict[str, Any]:
    """Results of every comparison by protocol and by how much the query moves, and what probes read."""
    query, gallery = found["query"], found["gallery"]
    actions = query.table.set_index("key")["action"]
    line: dict[str, Any] = {"compared": {}, "by_motion": {}}
    for name, similarity in comparisons(run).items():
        results = {p.name: evaluate(query, gallery, p, similarity=similarity, seed=seed) for p in PROTOCOLS}
        line["compared"][name] = {protocol: result.as_dict() for protocol, result in results.items()}
        line["by_motion"][name] = {protocol: _by_motion(result.table, actions) for protocol, result in results.items()}
    own = next(iter(comparisons(run).values()))
    drawn = evaluate_draws(query, gallery, draw(people), similarity=own, seed=seed)
    line["drawn"] = {one.results[0].protocol: one.as_dict() for one in drawn}
    probes = probed(join(query, gallery), ["identity", *LABELS], seed=seed)
    return {**line, "probes": json.loads(probes.to_json(orient="records")), "synthetic": True}


def told(run: Path, people: Benchmark, bank: TextBank | None) -> dict[str, Any]:
    """How often training people are named and test people found, with the clips' texts and without; one clip each.

    Training clips see what they saw in training, test clips each their own texts in the same form: averaging them over
    a person would need to know who it is.
    """
    recipe, method = open_run(run).recipe, load_method(run).eval()
    names = {identity: number for number, identity in enumerate(open_run(run).classes["identity"])}
    taught, alone = guidance(recipe, method.aspects, people, bank), bank
    if alone and recipe.text:
        each = {t.key: t.key for t in (*people.train, *people.query, *people.gallery)}
        for aspect in recipe.text.averaged:
            alone = alone.mean_over(aspect, each)
        for aspect in recipe.text.centred:
            alone = alone.centred(aspect, [t.key for t in people.train])
    line: dict[str, Any] = {}
    for name, texts, own in (("without", None, None), ("with", taught, alone)):
        known = people.train[::SAMPLE]
        logits = _forward(run, known, texts)["logits"]
        identity = torch.tensor([names[str(t.identity)] for t in known])
        line[f"train {name}"] = float((logits.argmax(1) == identity).float().mean())
        sides = []
        for side in (people.query, people.gallery):
            out = _forward(run, side, own)
            spaces = Spaces({space: out[space] for space in method.matched})
            sides.append(Embeddings(spaces, label_table(side), {"synthetic": "true"}))
        for protocol in (SAME_ACTIVITY, CROSS_ACTIVITY):
            found = evaluate(sides[0], sides[1], protocol, similarity=method.similarity)
            line[f"test {name}, {protocol.name}"] = {"rank_1": found.rank_1, "mean_ap": found.mean_ap}
    return line


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Rank-1 / mAP in per cent by protocol, mean and standard deviation over seeds."""
    rows = []
    for row, name in dict.fromkeys((line["row"], name) for line in lines for name in line["compared"]):
        own = [line for line in lines if line["row"] == row]
        shown: dict[str, Any] = {"row": row if name in ("own", ADAPTIVE) else f"{row}, {name}", "seeds": len(own)}
        for protocol in PROTOCOLS:
            shown[protocol.name] = _both([line["compared"][name][protocol.name] for line in own])
        rows.append(shown)
    first = lines[0]["compared"]
    chance = {p.name: _both([next(iter(first.values()))[p.name]], "_chance") for p in PROTOCOLS}
    return pd.DataFrame([{"row": "chance", "seeds": 0, **chance}, *rows]).to_string(index=False)


def details(lines: Sequence[Mapping[str, Any]]) -> str:
    """Lists drawn by the paper's rules, what texts give away, and what probes read, in per cent."""
    drawn, texts, probes = [], [], []
    for row in dict.fromkeys(line["row"] for line in lines):
        own = [line for line in lines if line["row"] == row]
        names = {name for line in own for name in line["drawn"]}
        shown = {n: _both([{f: line["drawn"][n][f]["mean"] for f in FIELDS} for line in own]) for n in sorted(names)}
        drawn.append({"row": row, **shown})
        for line in own:
            if "texts" in line:
                rank = {n: v["rank_1"] if isinstance(v, Mapping) else v for n, v in line["texts"].items()}
                texts.append({"row": row, "seed": line["seed"], **{n: f"{100 * v:.1f}" for n, v in rank.items()}})
        for space in dict.fromkeys(p["space"] for p in own[0]["probes"]):
            found = {"row": row, "space": space}
            for label in ("identity", *LABELS):
                kind = "nearest" if label == "identity" else "linear"
                wanted = (space, label, kind)
                read = [p for line in own for p in line["probes"] if (p["space"], p["label"], p["probe"]) == wanted]
                values, chances = ([100 * p[n] for p in read if p[n] is not None] for n in ("score", "chance"))
                found[label] = f"{spread(values)} (chance {np.mean(chances):.1f})" if values else "-"
            probes.append(found)
    parts = {"lists drawn by the paper's rules": drawn, "rank-1 and accuracy with texts": texts, "probes": probes}
    return "\n\n".join(f"{title}\n{pd.DataFrame(rows).to_string(index=False)}" for title, rows in parts.items() if rows)


def gains(out: Path, world: str, seeds: Sequence[int]) -> str:
    """The full method minus each other row, and adaptive minus fixed shares, paired by query, 95 % over people."""
    rows: list[dict[str, Any]] = []
    pairs = [(FULL, other) for other in ROWS if other not in (FULL, RECORDED)]
    for one, other in [*pairs, ("b + m", "none"), ("b + n", "none")]:
        runs = [(folder_of(out, one, world, seed), folder_of(out, other, world, seed)) for seed in seeds]
        for protocol in (SAME_ACTIVITY, CROSS_ACTIVITY, CROSS_ACTIVITY_OTHER_CAMERA):
            if found := gain(runs, protocol, same_people=True, own_similarity=True):
                rows.append({"difference": f"{one} - {other}", "protocol": protocol.name, **found})
    for protocol in (SAME_ACTIVITY, CROSS_ACTIVITY):
        tables = [_shares_compared(folder_of(out, FULL, world, seed), protocol) for seed in seeds]
        there = [one for one in tables if one is not None]
        for group in ("low motion", "high motion") if there else ():
            own = pd.concat(there).query("motion == @group")
            points = 100 * (own["adaptive"] - own["fixed"]).to_numpy(dtype=float)
            low, high = bootstrap(points, own["identity"].factorize()[0], seed=0)
            told = {"seeds": len(there), "identities": own["identity"].nunique()}
            mean = f"{points.mean():+.1f} ({low:+.1f} to {high:+.1f})"
            rows.append(
                {"difference": f"{ADAPTIVE} - fixed, {group}", "protocol": protocol.name, **told, "rank-1": mean}
            )
    return pd.DataFrame(rows).fillna("").to_string(index=False) if rows else ""


def folder_of(out: Path, row: str, world: str, seed: int) -> Path:
    """The run folder of a row."""
    return out / f"{world}-{row.replace(' + ', '').replace(' ', '_').replace(',', '')}-{seed}"


def recipe_of(row: str, seed: int) -> Recipe[Any]:
    """The recipe of a row."""
    recipe = replace(find_recipe(f"disenq:{ROWS[row]}"), seed=seed)
    return replace(recipe, text=CLEAR) if row.startswith("clear texts") else recipe


def learned(row: str, seed: int, place: Path, run: Path, *, texts: bool) -> dict[str, Any]:
    """Train, extract and score one row on the world in a folder. texts: whether to measure what texts give away."""
    recipe, people = recipe_of(row, seed), read(place)
    bank = bank_of_folder(place, recipe.text.encoder) if recipe.text else None
    folder = train(recipe, people, run, resume=True, device="cpu", bank=bank)
    found = extract_run(folder, people, run / "embeddings", device="cpu")
    line = scores(folder, people, found, seed)
    return {**line, "texts": told(folder, people, bank)} if texts else line


def placed(out: Path, named: NamedWorld, motion: MotionSource | None, workers: int) -> Path:
    """The folder of the world, rendered on first use by so many processes."""
    place = out / named.name.replace(":", "-").replace("/", "-")
    if motion is None:
        return render(named.config, place, name=named.name, workers=workers)
    config = replace(named.config, actions=motion.actions)
    return render(config, Path(f"{place}-recorded"), name=f"{named.name}/recorded", motion=motion, workers=workers)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--world", choices=("dev", "final"), default="final")
    parser.add_argument("--size", choices=("tiny", "small", "full"), default="small")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="+", choices=ROWS)
    parser.add_argument("--mocap", type=Path, help="recorded motion for the row `recorded`")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    named = named_world(f"activity/{options.size}/{options.world}")
    results = options.out / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    # headlines of all seeds come before the rest
    wanted = [(row, seed) for seed in options.seeds for row in HEADLINES if row in (options.only or ROWS)]
    wanted += [(row, options.seeds[0]) for row in options.only or ROWS if row not in HEADLINES]
    for row, seed in [] if options.table else wanted:
        key = {"row": row, "world": named.name, "seed": seed}
        if any(all(line[k] == v for k, v in key.items()) for line in lines):
            continue
        motion = None
        if row == RECORDED:
            if options.mocap is None or not options.mocap.exists():
                print(f"{row}: left out, because --mocap {options.mocap or 'is not given'} names no recorded motion")
                continue
            from unbraid.world.capture import open_motion

            motion = open_motion(options.mocap)
        place = placed(options.out, named, motion, options.threads)
        run = folder_of(options.out, row, f"{options.size}-{options.world}", seed)
        found = learned(row, seed, place, run, texts=seed == options.seeds[0])
        lines.append({**key, **found})
        with results.open("a") as file:
            file.write(json.dumps(lines[-1]) + "\n")
        own = next(iter(found["compared"].values()))
        print(row, "seed", seed, {p.name: f"{100 * own[p.name]['rank_1']:.1f}" for p in PROTOCOLS}, flush=True)
    own = [line for line in lines if line["world"] == named.name]
    if own:
        print(f"SYNTHETIC people, {named.name}; rank-1 / mAP in %")
        print(table(own), details(own), sep="\n\n")
        print(f"\npaired, in points\n{gains(options.out, f'{options.size}-{options.world}', options.seeds)}")


def _of(space: str) -> Similarity:
    """Cosine of one space."""
    return lambda query, gallery: cosine(*(Spaces({"identity": side[space]}) for side in (query, gallery)))


def _equal(one: Similarity, other: Similarity) -> Similarity:
    """Both in equal shares."""
    return lambda query, gallery: (one(query, gallery) + other(query, gallery)) / 2


def _forward(run: Path, tracklets: Sequence[Tracklet], bank: TextBank | None) -> dict[str, torch.Tensor]:
    """What the network says of one clip of each tracklet, shown the texts of a bank."""
    method, clips = load_method(run).eval(), TestClips(tracklets, open_run(run).recipe.data, every_frame=False)
    parts: dict[str, list[torch.Tensor]] = {}
    with torch.inference_mode():
        for start in track(range(0, len(clips), BATCH), "texts"):
            rows = range(start, min(start + BATCH, len(clips)))
            keys = [tracklets[row].key for row in rows]
            text = {aspect: bank.text(aspect, keys) for aspect in method.aspects} if bank else {}
            clip = Clip.of(torch.cat([clips[row][1] for row in rows]))
            for name, value in method(Batch(clip, {}, keys, text)).items():
                parts.setdefault(name, []).append(value)
    return {name: torch.cat(values) for name, values in parts.items()}


def _by_motion(found: pd.DataFrame, actions: pd.Series) -> dict[str, dict[str, float]]:
    """Rank-1 of the queries of each group of actions."""
    found = found[found["hits"] > 0]
    groups = np.where(actions.reindex(found["key"]).isin(LOW_MOTION), "low motion", "high motion")
    right = (found["first"] == 1).groupby(groups)
    return {str(name): {"rank_1": float(own.mean()), "queries": len(own)} for name, own in right}


def _shares_compared(run: Path, protocol: Any) -> pd.DataFrame | None:
    """By query: its identity, how much it moves, and whether rank 1 is right by either kind of shares."""
    if not (run / "embeddings" / "gallery").exists():
        return None
    query, gallery = (Embeddings.load(run / "embeddings" / side) for side in ("query", "gallery"))
    actions = query.table.set_index("key")["action"]
    ways, right = comparisons(run), {}
    for name in (ADAPTIVE, FIXED):
        found = evaluate(query, gallery, protocol, similarity=ways[name]).table
        found = found[found["hits"] > 0].set_index("key")
        right[name.split()[0]] = (found["first"] == 1).astype(float)
    motion = np.where(actions.reindex(found.index).isin(LOW_MOTION), "low motion", "high motion")
    return pd.DataFrame({"identity": found["identity"], "motion": motion, **right})


def _both(scored: Iterable[Mapping[str, Any]], kind: str = "") -> str:
    """Rank-1 / mAP of several seeds, in per cent."""
    held = list(scored)
    return " / ".join(spread([100 * one[f"{field}{kind}"] for one in held]) for field in FIELDS)


if __name__ == "__main__":
    main()
