"""Verification, open set and advice against their limit, blocked matrix products, and against scikit-learn.

    python benchmarks/verification.py            1000 x 5000 x 512
    python benchmarks/verification.py --market   3368 x 15913 x 2048, the size of Market-1501

Features, protocol and measurement are those of benchmarks/ranking.py. `verify` passes over the scores twice, for
intervals; `identify` once; `evaluate` once, for ranking and its three figures together. The fastest of five runs
counts. scikit-learn gets all scores at once, without intervals, and only the smaller size. Prints a table; --json
writes the same numbers.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from ranking import make, measure, product
from sklearn.metrics import roc_curve

from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import evaluate
from unbraid.method import cosine
from unbraid.openset import identify
from unbraid.spaces import Embeddings
from unbraid.verify import verify

FMR = 1e-3
NOISE = 6.0
REPEAT = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", action="store_true", help="3368 x 15913 x 2048 instead of 1000 x 5000 x 512")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    queries, items, width, people = (3368, 15913, 2048, 751) if options.market else (1000, 5000, 512, 250)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((people, width), dtype=np.float32)
    query, gallery = (make(rng, centres, number, NOISE) for number in (queries, items))
    small = query.take(range(200))
    for work in (verify, identify, evaluate):  # compiles, or loads what was compiled
        work(small, gallery, CAMERA_CHANGE)
    contenders: dict[str, Callable[[], Any]] = {
        "one blocked float32 product alone": lambda: product(query, gallery, 256),
        "unbraid evaluate without its figures": lambda: ranking_alone(query, gallery),
        "unbraid evaluate": lambda: evaluate(query, gallery, CAMERA_CHANGE) and None,
        "unbraid verify": lambda: verify(query, gallery, CAMERA_CHANGE, fmrs=(FMR,)).points[0].fnmr,
        "unbraid identify": lambda: identify(query, gallery, CAMERA_CHANGE, non_mated="mates removed") and None,
        "scikit-learn roc_curve": lambda: sklearn_fnmr(query, gallery),
    }
    if options.market:
        del contenders["scikit-learn roc_curve"]  # several gigabytes
    rows: list[dict[str, Any]] = []
    for name, work in contenders.items():
        runs = [measure(work) for _ in range(1 if "scikit" in name else REPEAT)]
        run = min(runs, key=lambda one: one.processor)
        rows.append(
            {
                "contender": name,
                "seconds": run.seconds,
                "x product": run.seconds / (rows[0]["seconds"] if rows else run.seconds),
                "CPU seconds": run.processor,
                "MB": run.megabytes,
                f"FNMR at FMR {FMR}": run.value,
            }
        )
    about = {"queries": queries, "gallery": items, "width": width, "threads": torch.get_num_threads()}
    print(about)
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.5g}"))
    if options.json:
        options.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n", encoding="utf-8")


class Nothing:
    """Stands in for the tally of the three figures."""

    def __init__(self, *_: Any) -> None: ...

    def watch(self, blocks: Any) -> Any:
        return blocks

    def figures(self, *_: Any, **__: Any) -> tuple[()]:
        return ()


def ranking_alone(query: Embeddings, gallery: Embeddings) -> None:
    """What `evaluate` does beside TAR, rank-20 interval and FNIR."""
    with mock.patch("unbraid.evaluate.Tally", Nothing):
        evaluate(query, gallery, CAMERA_CHANGE)


def sklearn_fnmr(query: Embeddings, gallery: Embeddings) -> float:
    """FNMR at the FMR from all scores at once."""
    scores = cosine(query.spaces, gallery.spaces).numpy()
    everyone = slice(0, len(query))
    hit = CAMERA_CHANGE.hit.on(query.table, gallery.table)(everyone)
    valid = ~CAMERA_CHANGE.skip.on(query.table, gallery.table)(everyone)
    fpr, tpr, _ = roc_curve(hit[valid], scores[valid], drop_intermediate=False)
    return float(1 - tpr[fpr <= FMR].max())


if __name__ == "__main__":
    main()
