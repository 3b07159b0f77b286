"""k-reciprocal re-ranking on a sparse graph against the usual one on full matrices.

    python benchmarks/rerank.py            both at 600 x 2400 x 256
    python benchmarks/rerank.py --market   that, and ours at 3368 x 15913 x 2048, the size of Market-1501

Random float32 features around one centre per identity; k1 = 20, k2 = 6, weight 0.3. Features are there at the start;
ours ends when every block of re-ranked scores was made once, the dense one when its full matrix is made. Memory is the
highest resident size above that at the start. Prints a table with ratios; --json writes the same numbers.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ranking import measure

from unbraid.rerank import rerank
from unbraid.search import slices
from unbraid.spaces import Embeddings, Spaces

K1, K2, WEIGHT = 20, 6, 0.3
ROWS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", action="store_true", help="also ours at 3368 x 15913 x 2048")
    parser.add_argument("--size", type=int, nargs=4, default=(600, 2400, 256, 150), help="queries items width people")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    tiny = make(8, 30, 16, 4)
    ours(*tiny, keep=True)  # compiles, or loads what was compiled

    small = make(*options.size)
    size = " x ".join(map(str, options.size[:3]))
    runs = {
        f"unbraid rerank, {size}": measure(lambda: ours(*small, keep=True)),
        f"full matrices, {size}": measure(lambda: dense(*small)),
    }
    fast, slow = runs.values()
    del small
    if options.market:
        market = make(3368, 15913, 2048, 751)
        runs["unbraid rerank, 3368 x 15913 x 2048"] = measure(lambda: ours(*market, keep=False))
        runs["its products alone, half of N x N and Q x G"] = measure(lambda: products(*market))
    rows = [
        {"contender": name, "seconds": run.seconds, "CPU seconds": run.processor, "extra MB": run.megabytes}
        for name, run in runs.items()
    ]
    ratios: dict[str, float] = {
        "times faster than full matrices": slow.seconds / fast.seconds,
        "times less extra memory": slow.megabytes / fast.megabytes,
        "largest difference": float(np.abs(fast.value - slow.value).max()),
    }
    if options.market:
        *_, whole, product = runs.values()
        ratios["Market size, times its products alone"] = whole.seconds / product.seconds
    print(about := {"threads": torch.get_num_threads(), "k1": K1, "k2": K2, "weight": WEIGHT})
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    for name, value in ratios.items():
        print(f"{name}: {value:.3g}")
    if options.json:
        found = {"about": about, "rows": rows, "ratios": ratios}
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def make(queries: int, items: int, width: int, people: int) -> tuple[Embeddings, Embeddings]:
    """Queries and gallery: noisy copies of random centres."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((people, width), dtype=np.float32)
    sides = []
    for name, number in (("q", queries), ("g", items)):
        features = rng.standard_normal((number, width), dtype=np.float32)
        features *= 2
        features += centres[rng.integers(people, size=number)]
        table = pd.DataFrame({"key": [f"{name}{row}" for row in range(number)]})
        sides.append(Embeddings(Spaces({"identity": torch.from_numpy(features)}), table, {"synthetic": "true"}))
    return sides[0], sides[1]


def ours(query: Embeddings, gallery: Embeddings, *, keep: bool) -> Any:
    """Every block of scores; their negative in one matrix if `keep`."""
    scores = rerank(query, gallery, k1=K1, k2=K2, weight=WEIGHT)
    out = torch.empty(min(ROWS, len(query)), len(gallery))
    blocks = []
    for part in slices(len(query), ROWS):
        block = scores.write(part, slice(0, len(gallery)), out[: part.stop - part.start])
        if keep:
            blocks.append(-block.numpy())
    return np.concatenate(blocks) if keep else None


def products(query: Embeddings, gallery: Embeddings) -> None:
    """The matrix products that ours cannot do without: every pair of all items once, query with gallery twice."""
    sides = [query.spaces["identity"], gallery.spaces["identity"]]
    out = torch.empty(ROWS * max(map(len, sides)))
    for a, first in enumerate(sides):
        for b, second in enumerate(sides[a:], a):
            for _ in range(1 + (a != b)):
                for part in slices(len(first), ROWS):
                    others = second[part.start :] if a == b else second
                    shape = part.stop - part.start, len(others)
                    torch.mm(first[part], others.T, out=out[: shape[0] * shape[1]].view(shape))


def dense(query: Embeddings, gallery: Embeddings) -> Any:
    """Final distances Q G the usual way: float32 matrices over all items, a full sort, loops over rows."""
    queries = len(query)
    features = np.concatenate([side.spaces["identity"].numpy() for side in (query, gallery)])
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    d = 2 - 2 * features @ features.T
    np.fill_diagonal(d, 0)
    d /= d.max(axis=1, keepdims=True)
    order = np.argsort(d, axis=1, kind="stable")

    def reciprocal(item: int, k: int) -> Any:
        near = order[item, : k + 1]
        return near[(order[near, : k + 1] == item).any(axis=1)]

    halves = [reciprocal(item, round(K1 / 2)) for item in range(len(d))]
    V = np.zeros_like(d)
    for item in range(len(d)):
        core = reciprocal(item, K1)
        near = [halves[j] for j in core if 3 * np.isin(halves[j], core).sum() > 2 * len(halves[j])]
        wide = np.unique(np.concatenate([core, *near]))
        weights = np.exp(-d[item, wide])
        V[item, wide] = weights / weights.sum()
    V = np.stack([V[order[item, :K2]].mean(axis=0) for item in range(len(d))])
    final = np.empty((queries, len(d) - queries), np.float32)
    holders = [np.flatnonzero(column) for column in V[queries:].T]
    for item in range(queries):
        common = np.zeros(final.shape[1])
        for j in np.flatnonzero(V[item]):
            common[holders[j]] += np.minimum(V[item, j], V[queries + holders[j], j])
        final[item] = (1 - WEIGHT) * (1 - common / (2 - common)) + WEIGHT * d[item, queries:]
    return final


if __name__ == "__main__":
    main()
