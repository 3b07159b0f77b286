"""What the experiments on the built-in world share: scores over seeds, and one finished run against another."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from unbraid.checkpoint import load_method
from unbraid.evaluate import evaluate
from unbraid.intervals import bootstrap
from unbraid.method import cosine
from unbraid.protocol import Protocol
from unbraid.spaces import Embeddings


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation as text, '-' without values."""
    if not values:
        return "-"
    deviation = f" +- {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


def gain(
    runs: Iterable[tuple[Path, Path]], protocol: Protocol, *, same_people: bool, own_similarity: bool = False
) -> dict[str, str | int]:
    """Rank-1 and mAP of first runs minus those of second ones on the same queries, in points, with 95 % intervals that
    draw test identities; empty while no pair of runs is finished.

    same_people: the pairs share their test identities, so one of them is drawn with its queries in all pairs.
    own_similarity: compare people as the method of each run does, not by cosine.
    """
    pairs = []
    for number, runs_of_pair in enumerate(runs):
        tables = [_per_query(run, protocol, own_similarity) for run in runs_of_pair]
        if tables[0] is not None and tables[1] is not None:
            both = tables[0].join(tables[1].add_suffix(" other"))
            pairs.append(both if same_people else both.assign(identity=[f"{number} {i}" for i in both["identity"]]))
    if not pairs:
        return {}
    joined = pd.concat(pairs)
    people = joined["identity"].factorize()[0]
    row: dict[str, str | int] = {"seeds": len(pairs), "identities": int(people.max()) + 1}
    weights = joined["weight"].to_numpy(dtype=float)
    for name, title in (("right", "rank-1"), ("ap", "mAP")):
        points = 100 * (joined[name] - joined[f"{name} other"]).to_numpy(dtype=float)
        low, high = bootstrap(points, people, seed=0, weights=weights)
        row[title] = f"{np.average(points, weights=weights):+.1f} ({low:+.1f} to {high:+.1f})"
    return row


def _per_query(run: Path, protocol: Protocol, own_similarity: bool) -> pd.DataFrame | None:
    """AP and whether rank 1 is right, by query key, with the query's weight in the means; None when the run has no
    embeddings yet."""
    if not (run / "embeddings" / "gallery").exists():
        return None
    query, gallery = (Embeddings.load(run / "embeddings" / split) for split in ("query", "gallery"))
    found = evaluate(query, gallery, protocol, similarity=load_method(run).similarity if own_similarity else cosine)
    table = found.table[found.table["hits"] > 0]
    # a query of several cells has a row in each
    shares = {name: table["share"] * value for name, value in (("ap", table["ap"]), ("right", table["first"] == 1))}
    sums = (
        table.assign(weight=table["share"], **shares)
        .groupby("key")
        .agg({"identity": "first", "ap": "sum", "right": "sum", "weight": "sum"})
    )
    return sums.assign(ap=sums["ap"] / sums["weight"], right=sums["right"] / sums["weight"])
