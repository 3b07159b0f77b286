"""What DisenQ owes to its texts: training people named and test people found, with the clips' texts and without.

    unbraid reproduce --out OUT --methods disenq --seeds 1 --rows full "no disentanglement" "preset paper" \\
        "clear texts" "clear texts, preset paper"
    python benchmarks/disenq_texts.py --runs OUT

Reads the runs that the first command made. Texts averaged over a person are the same for all clips of that person, so a
network that always sees them can learn to read the person off them. Synthetic people, one clip of each tracklet.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from unbraid.batch import Batch, Clip
from unbraid.checkpoint import load_method, open_run
from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.loader import TestClips
from unbraid.data.protocols import CROSS_ACTIVITY, SAME_ACTIVITY
from unbraid.data.sets.folder import read
from unbraid.evaluate import evaluate
from unbraid.experiment import Job, Setting
from unbraid.progress import track
from unbraid.spaces import Embeddings, Spaces
from unbraid.text.bank import TextBank
from unbraid.text.encoding import bank_of_folder
from unbraid.text.guidance import guidance
from unbraid.tracklet import Tracklet

ROWS = ("full", "no disentanglement", "preset paper", "clear texts", "clear texts, preset paper")
# every so manieth training clip is asked who it is
SAMPLE = 4
BATCH = 32


def told(run: Path, people: Benchmark, bank: TextBank) -> dict[str, float]:
    """Shares right: of training clips that are named, and of test clips that find their person first.

    Training clips see what they saw in training, test clips each their own texts in the same form: averaging them over
    a person would need to know who it is.
    """
    recipe, method = open_run(run).recipe, load_method(run).eval()
    names = {identity: number for number, identity in enumerate(open_run(run).classes["identity"])}
    own, text = bank, recipe.text
    if text is None:
        raise ValueError(f"{run} was trained without texts")
    each = {t.key: t.key for t in (*people.train, *people.query, *people.gallery)}
    for aspect in text.averaged:
        own = own.mean_over(aspect, each)
    for aspect in text.centred:
        own = own.centred(aspect, [t.key for t in people.train])
    found: dict[str, float] = {}
    sides = {"without": (None, None), "with": (guidance(recipe, method.aspects, people, bank), own)}
    for name, (taught, alone) in sides.items():
        known = people.train[::SAMPLE]
        identity = torch.tensor([names[str(t.identity)] for t in known])
        right = _forward(run, known, taught)["logits"].argmax(1) == identity
        found[f"train {name}"] = float(right.float().mean())
        embedded = []
        for side in (people.query, people.gallery):
            out = _forward(run, side, alone)
            spaces = Spaces({space: out[space] for space in method.matched})
            embedded.append(Embeddings(spaces, label_table(side), {"synthetic": "true"}))
        for protocol in (SAME_ACTIVITY, CROSS_ACTIVITY):
            result = evaluate(embedded[0], embedded[1], protocol, similarity=method.similarity)
            found[f"test {name}, {protocol.name}"] = result.rank_1
    return found


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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="OUT of `unbraid reproduce`")
    parser.add_argument("--size", choices=("tiny", "small", "full"), default="small")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for row in ROWS:
        job = Job("disenq", row, options.seed, Setting(size=options.size))
        run, place = options.runs / job.run, job.setting.render(job.evidence.kind, options.runs)
        if not run.exists():
            print(f"{row}: left out, because {run} is not there")
            continue
        text = open_run(run).recipe.text
        bank = bank_of_folder(place, text.encoder) if text else None
        if bank is not None:
            found = told(run, read(place), bank)
            rows.append({"row": row, **{name: f"{100 * share:.1f}" for name, share in found.items()}})
    print(f"SYNTHETIC people, seed {options.seed}, in %")
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
