"""The rules as loops over a full float64 distance matrix, written from the formulas and not from our engine."""

from collections.abc import Callable

import numpy as np

from unbraid.spaces import Embeddings

Row = dict[str, object]
Pair = Callable[[Row, Row], bool]


def parts_of(side: Embeddings) -> np.ndarray:
    """N P D float64."""
    values = side.spaces["identity"].double().numpy()
    return values if values.ndim == 3 else values[:, None]


def cosine_distance(query: Embeddings, gallery: Embeddings, *, flat: bool) -> np.ndarray:
    one, two = (parts_of(side) for side in (query, gallery))
    if flat:
        one, two = (x.reshape(len(x), 1, -1) for x in (one, two))
    one, two = (x / np.linalg.norm(x, axis=2, keepdims=True) for x in (one, two))
    return 1 - (one[:, None] * two[None]).sum(axis=3).mean(axis=2)


def euclidean_distance(query: Embeddings, gallery: Embeddings, *, flat: bool) -> np.ndarray:
    one, two = (parts_of(side) for side in (query, gallery))
    if flat:
        one, two = (x.reshape(len(x), 1, -1) for x in (one, two))
    return np.linalg.norm(one[:, None] - two[None], axis=3).mean(axis=2)


def rows_of(side: Embeddings) -> list[Row]:
    """Label rows; an unknown value is None."""
    return [{k: v if isinstance(v, str) else None for k, v in row.items()} for row in side.table.to_dict("records")]


def same(label: str) -> Pair:
    return lambda q, g: q[label] is not None and q[label] == g[label]


def retrieved(distances: np.ndarray, query: Row, gallery: list[Row], hit: Pair, skip: Pair) -> list[bool]:
    """Right or wrong along the sorted gallery without what is skipped."""
    order = sorted(range(len(gallery)), key=lambda j: (distances[j], j))
    return [hit(query, gallery[j]) for j in order if not skip(query, gallery[j])]


def precision(right: list[bool], *, trapezoid: bool = False) -> float:
    """Average precision of one list with at least one right entry."""
    total, area, before, count = sum(right), 0.0, 1.0, 0
    for position, one in enumerate(right, start=1):
        count += one
        now = count / position
        if one:
            area += ((before + now) / 2 if trapezoid else now) / total
        before = now
    return area


def means(lists: list[list[bool]], *, trapezoid: bool = False, wrong: bool = False) -> dict[str, float]:
    """rank-k, mAP, mINP over lists with a mate; with `wrong`, over all lists."""
    mated = [one for one in lists if any(one)]
    number = len(lists) if wrong else len(mated)
    found = {f"rank_{k}": sum(any(one[:k]) for one in mated) / number for k in (1, 5, 10)}
    found["mean_ap"] = sum(precision(one, trapezoid=trapezoid) for one in mated) / number
    found["mean_inp"] = sum(sum(one) / (1 + max(np.flatnonzero(one))) for one in mated) / number
    return found
