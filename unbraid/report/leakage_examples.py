"""Pictures for the leakage page: searches that came back with the same clothes, or camera, and somebody else."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from unbraid.protocol import Rule, same
from unbraid.report.pictures import Look
from unbraid.spaces import Embeddings
from unbraid.viz import Picture, Shot, Strip, Verdict, ranked_strips

# Queries compared with everything at a time.
BLOCK = 512


def alike(
    embeddings: Embeddings,
    label: str,
    look: Look,
    *,
    space: str = "identity",
    rows: int = 4,
    k: int = 6,
    seed: int = 0,
) -> Picture | None:
    """Searches whose first match is another person with the query's value of a label, some of them drawn by seed.

    Every item is compared by cosine with all others but those of the same person in the same clothes, where clothes are
    known, so that the first match is right only for who knows the person.
    look: a frame of the tracklet with a given key, H W 3 uint8 RGB. rows, k: searches and items shown of each.
    None where there is no such search. Raises KeyError for a label or a space that is not there.

    Example:
        alike(embeddings, "top_colour", look)
    """
    table = embeddings.table.reset_index(drop=True)
    missing = [name for name in (label, "identity") if name not in table.columns]
    if missing:
        raise KeyError(f"the label table has no {missing[0]!r}; it has {sorted(map(str, table.columns))}")
    skip = same("key")
    if "clothes" in table.columns and table["clothes"].notna().any():
        skip = skip | (same("identity") & same("clothes"))
    features = F.normalize(embeddings.spaces[space].detach().cpu().flatten(1).float())
    order, scores, counts = _nearest(features, skip, table, k)
    first = order[:, 0]
    people, values = table["identity"].to_numpy(), table[label].to_numpy()
    usable = (counts > 0) & pd.notna(people) & pd.notna(values)
    agrees = usable & (people != people[first]) & pd.notna(people[first]) & (values == values[first])
    if not agrees.any():
        return None
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(agrees))[:rows]

    def shot(row: int, query: int | None, score: float | None) -> Shot:
        verdict: Verdict | None = None
        if query is not None:
            verdict = "unknown" if pd.isna(people[row]) else "right" if people[row] == people[query] else "wrong"
        return Shot(look(str(table["key"][row])), str(people[row]), str(values[row]), score, verdict)

    strips = [
        Strip(
            shot(int(row), None, None),
            [shot(int(order[row, n]), int(row), float(scores[row, n])) for n in range(min(k, counts[row]))],
        )
        for row in drawn
    ]
    made = ranked_strips(strips, title=f"Somebody else with the same {label.replace('_', ' ')}")
    caption = (
        f"In {int(agrees.sum())} of {int(usable.sum())} searches by the {space} space the first match is another "
        f"person with the query's {label}; {len(strips)} of them drawn at random (seed {seed}). Left: the query; then "
        f"the most similar items, without those of the same person in the same clothes. Under each: person, {label}, "
        f"similarity. \u2713 the same person, \u2717 somebody else."
    )
    return Picture(made.title, caption, made.png, made.alt, "strips")


def _nearest(
    features: torch.Tensor, skip: Rule, table: pd.DataFrame, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """N k: rows of the most similar items that are not skipped, with their scores; N: how many there are, up to k."""
    skipped, found = skip.on(table, table), []
    for start in range(0, len(table), BLOCK):
        block = slice(start, min(start + BLOCK, len(table)))
        scores = features[block] @ features.T
        scores[torch.from_numpy(skipped(block))] = -torch.inf
        found.append(scores.topk(min(k, len(table)), dim=1))
    best, order = (torch.cat([part[n] for part in found]).numpy() for n in (0, 1))
    return order.astype(np.int64), best.astype(np.float32), np.isfinite(best).sum(axis=1).astype(np.int64)
