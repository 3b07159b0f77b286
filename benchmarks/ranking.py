"""Exact ranking against its limit, one blocked matrix product, and against the code that is usual in the field.

    python benchmarks/ranking.py            1000 x 5000 x 512
    python benchmarks/ranking.py --market   3368 x 15913 x 2048, the size of Market-1501
    python benchmarks/ranking.py --msmt17   11659 x 82161 x 2048, the size of MSMT17
    python benchmarks/ranking.py --market --fast-reid FOLDER    with the Cython code of your checkout of fast-reid

Random float32 features around one centre per identity; protocol: same identity, another camera. All contenders
compute the scores themselves and run in turns, so that other work on the machine hits all alike; the fastest run of
each counts. On a busy machine compare CPU seconds (all threads). Memory is the highest resident size above that at the
start. "AP off by" is the largest difference of an average precision from that of a stable argsort of the same scores,
on the first queries. Prints a table; --json writes the same numbers.
"""

import argparse
import ctypes
import gc
import importlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import blocks, compare, evaluate
from unbraid.method import cosine
from unbraid.ranking import rows_per_block
from unbraid.search import MEMORY, search
from unbraid.spaces import Embeddings, Spaces

LOOP_QUERIES = 200
PRODUCT = "one blocked float32 product alone"
RANKING = "unbraid ranking (evaluate.compare)"
LOOP = f"numpy argsort loop, from {LOOP_QUERIES} queries"
CYTHON = "fast-reid, Cython (product + numpy distance as they do)"
# queries, gallery, width, identities as in the test split
SIZES = {"small": (1000, 5000, 512, 250), "market": (3368, 15913, 2048, 751), "msmt17": (11659, 82161, 2048, 3060)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", dest="size", action="store_const", const="market", default="small")
    parser.add_argument("--msmt17", dest="size", action="store_const", const="msmt17")
    parser.add_argument("--noise", type=float, default=3.5, help="of the features, in units of the centres' spread")
    parser.add_argument("--repeat", type=int, default=3, help="times each contender runs; the fastest counts")
    parser.add_argument("--memory", type=int, default=MEMORY, help="bytes of working memory of unbraid")
    parser.add_argument("--fast-reid", type=Path, help="folder of your checkout; needs Cython and a C compiler")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    queries, items, width, people = SIZES[options.size]
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((people, width), dtype=np.float32)
    query, gallery = (make(rng, centres, number, options.noise) for number in (queries, items))
    few = query.take(range(min(LOOP_QUERIES, queries)))
    evaluate(few.take(range(4)), gallery, CAMERA_CHANGE)  # compiles, or loads what was compiled
    search(few.take(range(4)), gallery)
    rows = rows_per_block(items, options.memory).scored

    contenders: dict[str, Callable[[], Any]] = {
        PRODUCT: lambda: product(query, gallery, rows),
        RANKING: lambda: compare(query, gallery, CAMERA_CHANGE, memory=options.memory),
        "unbraid evaluate (with intervals and figures)": lambda: evaluate(
            query, gallery, CAMERA_CHANGE, memory=options.memory
        ),
        "unbraid search, k = 10": lambda: search(query, gallery, memory=options.memory),
        LOOP: lambda: loop(few, gallery),
    }
    if options.fast_reid is not None:
        cython = fast_reid(options.fast_reid)
        if cython is not None:
            contenders[CYTHON] = lambda: as_fast_reid(cython, query, gallery)
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for turn in range(options.repeat):
        for name, work in contenders.items():
            if turn == 0 or name not in (LOOP, CYTHON):
                runs[name].append(measure(work))
    exact = by_sorting(few, gallery)
    found: list[dict[str, Any]] = []
    for name, taken in runs.items():
        value = taken[0].value
        share = queries / len(few) if name == LOOP else 1
        best = [min(getattr(run, what) for run in taken) * share for what in ("seconds", "processor")]
        base = [found[0]["seconds"], found[0]["CPU seconds"]] if found else best
        found.append(
            {
                "contender": name,
                "seconds": best[0],
                "x product": best[0] / base[0],
                "CPU seconds": best[1],
                "CPU x product": best[1] / base[1],
                "MB": max(run.megabytes for run in taken),
                **quality(name, value, exact),
            }
        )
    about = {"queries": queries, "gallery": items, "width": width, "noise": options.noise}
    about |= {"threads": torch.get_num_threads(), "memory": options.memory, "rows of the product": rows}
    print(about)
    print(pd.DataFrame(found).to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    print(f"The loop ran on the first {len(few)} queries; its seconds are extrapolated, its MB is not.")
    if options.json:
        options.json.write_text(json.dumps({"about": about, "rows": found}, indent=2) + "\n", encoding="utf-8")


def make(rng: np.random.Generator, centres: np.ndarray, number: int, noise: float) -> Embeddings:
    """Noisy copies of random centres, six cameras."""
    identity = rng.integers(len(centres), size=number)
    features = rng.standard_normal((number, centres.shape[1]), dtype=np.float32)
    features *= noise
    for start in range(0, number, 4096):
        features[start : start + 4096] += centres[identity[start : start + 4096]]
    key = [f"{number}-{row}" for row in range(number)]
    table = pd.DataFrame({"key": key, "identity": identity.astype(str), "camera": rng.integers(6, size=number)})
    return Embeddings(Spaces({"identity": torch.from_numpy(features)}), table, {"synthetic": "true"})


def product(query: Embeddings, gallery: Embeddings, rows: int) -> None:
    """The product in blocks of as many queries as unbraid takes, into one buffer."""
    a, b = query.spaces["identity"], gallery.spaces["identity"]
    buffer = torch.empty(min(rows, len(a)), len(b))
    for start in range(0, len(a), rows):
        part = a[start : start + rows]
        torch.mm(part, b.T, out=buffer[: len(part)])


def precisions(order: np.ndarray, query: Embeddings, gallery: Embeddings) -> np.ndarray:
    """Average precision of each query from its sorted gallery rows, the way it is usually written."""
    identity, camera = gallery.table["identity"].to_numpy(), gallery.table["camera"].to_numpy()
    found = np.full(len(order), np.nan)
    for row, (who, where) in enumerate(query.table[["identity", "camera"]].to_numpy()):
        ranked = order[row]
        ranked = ranked[~((identity[ranked] == who) & (camera[ranked] == where))]
        right = identity[ranked] == who
        if right.any():
            precision = right.cumsum() / np.arange(1, len(right) + 1)
            found[row] = precision[right].mean()
    return found


def loop(query: Embeddings, gallery: Embeddings) -> np.ndarray:
    """The usual way: full matrix, argsort, then one query after another."""
    a, b = (side.spaces["identity"].numpy() for side in (query, gallery))
    a, b = a / np.linalg.norm(a, axis=1, keepdims=True), b / np.linalg.norm(b, axis=1, keepdims=True)
    return precisions(np.argsort(-(a @ b.T), axis=1), query, gallery)


def by_sorting(query: Embeddings, gallery: Embeddings) -> np.ndarray:
    """The truth: a stable argsort of unbraid's own scores."""
    parts = blocks(query, gallery, CAMERA_CHANGE, cosine, "identity", MEMORY)
    order = [np.argsort(-block.scores, axis=1, kind="stable") for block in parts]
    return precisions(np.concatenate(order), query, gallery)


def quality(name: str, value: Any, exact: np.ndarray) -> dict[str, float]:
    """mAP, rank-1 and the largest difference from sorting, where a contender has them."""
    if name == LOOP:
        return {"AP off by": float(np.nanmax(np.abs(value - exact)))}
    if name == RANKING:
        off = float(np.nanmax(np.abs(value.ap[: len(exact)] - exact)))
        return {"mAP": value.mean_ap, "rank-1": float(value.cmc(1)[0]), "AP off by": off}
    if name == CYTHON:
        first, own = value
        off = float(np.abs(own[: int((~np.isnan(exact)).sum())] - exact[~np.isnan(exact)]).max())
        return {"mAP": float(own.mean(dtype=np.float64)), "rank-1": first, "AP off by": off}
    return {"mAP": value.mean_ap, "rank-1": value.rank_1} if hasattr(value, "rank_1") else {}


def fast_reid(folder: Path) -> Any:
    """The user's own Cython module, built in a temporary folder; None, with the reason printed, where it cannot be."""
    source = folder / "fastreid" / "evaluation" / "rank_cylib" / "rank_cy.pyx"
    if not source.is_file():
        raise SystemExit(f"no fast-reid in {folder}: {source} is missing")
    try:
        pyximport = importlib.import_module("pyximport")
    except ImportError:
        print("fast-reid left out: Cython is not installed")
        return None
    build = Path(tempfile.mkdtemp(prefix="rank_cy-"))
    shutil.copy(source, build)
    sys.path.insert(0, str(build))
    pyximport.install(build_dir=str(build / "build"), setup_args={"include_dirs": np.get_include()}, language_level=3)
    return importlib.import_module("rank_cy")


def as_fast_reid(cython: Any, query: Embeddings, gallery: Embeddings) -> tuple[float, np.ndarray]:
    """Rank-1 and the APs of queries with a mate: cosine distance of everything, then their ranking."""
    a, b = (F.normalize(side.spaces["identity"], dim=1) for side in (query, gallery))
    distance = (1 - torch.mm(a, b.T)).numpy()
    labels = [side.table["identity"].astype(int).to_numpy(copy=True) for side in (query, gallery)]
    cameras = [side.table["camera"].to_numpy(copy=True) for side in (query, gallery)]
    cmc, ap, _ = cython.evaluate_cy(distance, *labels, *cameras, 50)
    return float(cmc[0]), ap


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
