"""Exact evaluation against its limit, one blocked matrix product, and against the usual loop that sorts.

    python benchmarks/ranking.py            1000 x 5000 x 512
    python benchmarks/ranking.py --market   3368 x 15913 x 2048, the size of Market-1501

Random float32 features around one centre per identity; protocol: same identity, another camera. All contenders
compute the scores themselves. On a busy machine compare CPU seconds (all threads). Memory is the highest resident
size above that at the start. Prints a table; --json writes the same numbers.
"""

import argparse
import ctypes
import gc
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import evaluate
from unbraid.search import search
from unbraid.spaces import Embeddings, Spaces

LOOP_QUERIES = 200
LOOP = f"numpy argsort loop, from {LOOP_QUERIES} queries"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", action="store_true", help="3368 x 15913 x 2048 instead of 1000 x 5000 x 512")
    parser.add_argument("--repeat", type=int, default=3, help="times each contender runs; the fastest counts")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    queries, items, width, people = (3368, 15913, 2048, 751) if options.market else (1000, 5000, 512, 250)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((people, width), dtype=np.float32)
    query, gallery = (make(rng, centres, number) for number in (queries, items))
    small = query.take(range(min(4, queries)))
    evaluate(small, gallery, CAMERA_CHANGE)  # compiles, or loads what was compiled
    search(small, gallery)

    contenders: dict[str, Callable[[], Any]] = {
        "one blocked float32 product alone": lambda: product(query, gallery),
        "unbraid evaluate": lambda: evaluate(query, gallery, CAMERA_CHANGE),
        "unbraid search, k = 10": lambda: search(query, gallery),
        LOOP: lambda: loop(query, gallery),
    }
    # in turns, so that other work on the machine hits all alike
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for turn in range(options.repeat):
        for name, work in contenders.items():
            if turn == 0 or name != LOOP:
                runs[name].append(measure(work))
    rows: list[dict[str, Any]] = []
    for name, found in runs.items():
        share = queries / LOOP_QUERIES if name == LOOP else 1
        value = found[0].value
        rows.append(
            {
                "contender": name,
                "seconds": (seconds := min(run.seconds for run in found) * share),
                "x product": seconds / (rows[0]["seconds"] if rows else seconds),
                "CPU seconds": (worked := min(run.processor for run in found) * share),
                "CPU x product": worked / (rows[0]["CPU seconds"] if rows else worked),
                "MB": max(run.megabytes for run in found),
                "mAP": value if isinstance(value, float) else getattr(value, "mean_ap", None),
            }
        )
    about = {"queries": queries, "gallery": items, "width": width, "threads": torch.get_num_threads()}
    print(about)
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    print(f"The loop ran on the first {LOOP_QUERIES} queries; its seconds are extrapolated, its MB and mAP are not.")
    if options.json:
        options.json.write_text(json.dumps({"about": about, "rows": rows}, indent=2) + "\n", encoding="utf-8")


def make(rng: np.random.Generator, centres: np.ndarray, number: int) -> Embeddings:
    """Noisy copies of random centres, six cameras."""
    identity = rng.integers(len(centres), size=number)
    features = rng.standard_normal((number, centres.shape[1]), dtype=np.float32)
    features *= 6
    features += centres[identity]
    key = [f"{number}-{row}" for row in range(number)]
    table = pd.DataFrame({"key": key, "identity": identity.astype(str), "camera": rng.integers(6, size=number)})
    return Embeddings(Spaces({"identity": torch.from_numpy(features)}), table, {"synthetic": "true"})


def product(query: Embeddings, gallery: Embeddings) -> None:
    """The product in blocks of 256 queries into one buffer."""
    a, b = query.spaces["identity"], gallery.spaces["identity"]
    buffer = torch.empty(256, len(b))
    for start in range(0, len(a), 256):
        part = a[start : start + 256]
        torch.mm(part, b.T, out=buffer[: len(part)])


def loop(query: Embeddings, gallery: Embeddings) -> float:
    """mAP of the first queries the way it is usually written: full matrix, argsort, then one query after another."""
    query = query.take(range(min(LOOP_QUERIES, len(query))))
    a, b = (side.spaces["identity"].numpy() for side in (query, gallery))
    a, b = a / np.linalg.norm(a, axis=1, keepdims=True), b / np.linalg.norm(b, axis=1, keepdims=True)
    order = np.argsort(-(a @ b.T), axis=1)
    identity, camera = gallery.table["identity"].to_numpy(), gallery.table["camera"].to_numpy()
    found = []
    for row, (who, where) in enumerate(query.table[["identity", "camera"]].to_numpy()):
        ranked = order[row]
        ranked = ranked[~((identity[ranked] == who) & (camera[ranked] == where))]
        right = identity[ranked] == who
        if right.any():
            precision = right.cumsum() / np.arange(1, len(right) + 1)
            found.append(precision[right].mean())
    return float(np.mean(found))


@dataclass(frozen=True)
class Run:
    """Seconds on the clock and of processor time, highest resident megabytes above the start, what came back."""

    seconds: float
    processor: float
    megabytes: float
    value: Any


def measure(work: Callable[[], Any]) -> Run:
    """One run of the work."""
    page, done = os.sysconf("SC_PAGE_SIZE"), threading.Event()
    statm = Path("/proc/self/statm")

    def resident() -> int:
        return int(statm.read_text().split()[1]) * page

    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # memory freed before but kept by the allocator would hide what is used now
    start = highest = resident()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.005):
            highest = max(highest, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin, worked = time.perf_counter(), time.process_time()
    try:
        value = work()
    finally:
        seconds, processor = time.perf_counter() - begin, time.process_time() - worked
        done.set()
        watcher.join()
    return Run(seconds, processor, (highest - start) / 2**20, value)


if __name__ == "__main__":
    main()
