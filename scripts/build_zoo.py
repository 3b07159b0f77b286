"""Package the first run of each method that `unbraid reproduce` made, with its model card.

python scripts/build_zoo.py --runs OUT [--methods dsanet ...]

OUT is the folder of `unbraid reproduce --out OUT --seeds 1 --rows full "full, long"`. The row that a method's evidence
calls packaged, or else its first, is taken, seed 1, and becomes unbraid/zoo/METHOD/world.
"""

import argparse
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unbraid.checkpoint import latest, weights_hash
from unbraid.evidence import evidence_of
from unbraid.experiment import Job, Setting, key_of
from unbraid.files import read_tensors, replacing_folder, write_tensors, write_text
from unbraid.reproduce import finished
from unbraid.zoo import CARD, HOME, NUMBERS

LIMIT = 10_000_000
NAME = "world"


def package(line: dict[str, Any], runs: Path) -> Path:
    """Copy a run without what only training needs, and write its card."""
    run = runs / line["run"]
    checkpoint = latest(run)
    if checkpoint is None:
        raise FileNotFoundError(f"{run} has no checkpoint; run `unbraid reproduce` again")
    home: Path = HOME / line["method"] / NAME
    with replacing_folder(home) as part:
        goal = part / "checkpoints" / checkpoint.name
        goal.mkdir(parents=True)
        for name in ("recipe.json", "classes.json", "origin.json"):
            shutil.copyfile(run / name, part / name)
        write_tensors(goal / "weights.safetensors", _short(read_tensors(checkpoint / "weights.safetensors")))
        progress = json.loads((checkpoint / "progress.json").read_text(encoding="utf-8"))
        write_text(goal / "progress.json", json.dumps({**progress, "groups": []}, indent=2) + "\n")
        size = (goal / "weights.safetensors").stat().st_size
        if size > LIMIT:
            raise ValueError(f"{line['method']}: {size} bytes of weights, more than {LIMIT}")
        told = _told(line, weights_hash(part))
        write_text(part / NUMBERS, json.dumps(told, indent=1) + "\n")
        write_text(part / CARD, card(told, size))
    return home


def _told(line: dict[str, Any], sha256: str) -> dict[str, Any]:
    """What the card and the program say about a checkpoint."""
    main = next(iter(line["results"].values()))
    kept = {name: line[name] for name in ("method", "world", "seed", "synthetic", "results", "spaces", "probes")}
    return {
        "title": f"SYNTHETIC {line['world']}: rank-1 {100 * main['rank_1']:.1f} % in {main['protocol']}",
        "sha256": sha256,
        **kept,
        "took": f", in {line['train_seconds'] / 60:.0f} minutes" if line["train_seconds"] else "",
        "machine": line["machine"],
    }


def card(told: dict[str, Any], size: int) -> str:
    """The model card as Markdown."""
    method = told["method"]
    row = _packaged(method)
    recipe = evidence_of(method).rows[row]
    command = f"unbraid reproduce --out OUT --methods {method} --rows {shlex.quote(row)} --seeds 1"
    scores = [
        f"| {name} | {_percent(r['rank_1'])} ({' to '.join(map(_percent, r['rank_1_interval']))}) "
        f"| {_percent(r['mean_ap'])} | {_percent(r['rank_1_chance'])} | {r['queries']} of {r['identities']} people |"
        for name, r in told["results"].items()
    ]
    leaks = [
        f"| {p['space']} | {p['label']} | {p['probe']} | {_percent(p['score'])} ({_percent(p['low'])} to "
        f"{_percent(p['high'])}) | {_percent(p['chance'])} |"
        for p in told["probes"]
        if p["score"] is not None
    ]
    return f"""# {method}/{NAME}

A trained `{method}:{recipe}`, seed {told["seed"]}; {size / 1e6:.1f} MB of safetensors, sha256 `{told["sha256"]}`.

Some tensors are kept in half precision, which loses nothing of them; the run that the numbers below are from had them
all in full, so `numbers.json` names another sha256 as the origin of its features.

**Synthetic.** It has seen rendered people of the built-in world, nothing else. On real people it is worth nothing.

Intended use: trying the library's commands without training, tests, teaching, and as a start for fine-tuning on the
built-in world. Not intended: recognising anybody.

Trained on the training people of {told["world"]}{told["took"]}
({told["machine"]["processor"]}, {told["machine"]["threads"]} thread). Made by `{command}` and
`scripts/build_zoo.py`. Licence: that of the library; nothing of others is in it.

## Recognition

People it never saw, compared in the method's own way; 95 % intervals over people, one run.

| protocol | rank-1, % | mAP | chance | queries |
|---|---|---|---|---|
{chr(10).join(scores)}

## What its spaces tell

Balanced accuracy of probes on people they were not trained on, R2 for measures. Identity: read from other items of the
same people, in other cameras and in other clothes where they have several, and found by the nearest one.

| space | label | probe | found, % | chance |
|---|---|---|---|---|
{chr(10).join(leaks)}
"""


def _packaged(method: str) -> str:
    """Title of the row to take."""
    evidence = evidence_of(method)
    return evidence.packaged or next(iter(evidence.rows))


def _short(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """In half precision what that holds without loss, such as frozen towers; the rest as it is."""
    halves = {name: value.half() for name, value in tensors.items() if value.dtype == torch.float32}
    same = [name for name, half in halves.items() if torch.equal(half.float(), tensors[name])]
    return tensors | {name: halves[name] for name in same}


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--methods", nargs="+")
    options = parser.parse_args()
    made = []
    for line in finished(options.runs):
        first = Job(line["method"], _packaged(line["method"]), 1, Setting())
        # neither other seeds nor other worlds, nor a recipe that has changed since
        if key_of(line) == first.key and line["method"] in (options.methods or [line["method"]]):
            made.append(line["method"])
            print(package(line, options.runs))
    lacking = sorted(set(options.methods or []) - set(made))
    if lacking or not made:
        raise SystemExit(
            f"{options.runs} has no run of {' or '.join(lacking) or 'any method'} as its recipe stands today"
        )


if __name__ == "__main__":
    main()
