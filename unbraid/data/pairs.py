"""Walks that two synchronised sensors saw, as pairs of tracklets."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

from unbraid.batch import MODALITIES
from unbraid.data.benchmark import Benchmark
from unbraid.tracklet import Tracklet


def paired(benchmark: Benchmark, label: str) -> Benchmark:
    """The benchmark with its training tracklets in pairs: numbers 2i and 2i + 1 share a value of `label`.

    Pairs come in the order in which their walks first appear; within a pair the order is that of MODALITIES, silhouette
    before depth. Tracklets without a partner are left out with a warning that counts them. '' changes nothing.

    Raises ValueError when no two tracklets share a value, when more than two do, and when the two of a pair are of one
    modality, of different people or of different lengths.
    """
    if not label or not benchmark.train:
        return benchmark
    walks: dict[str, list[Tracklet]] = {}
    bare = 0
    for tracklet in benchmark.train:
        if label in tracklet.labels:
            walks.setdefault(tracklet.labels[label], []).append(tracklet)
        else:
            bare += 1
    pairs = [_ordered(benchmark.name, label, walk, own) for walk, own in walks.items() if len(own) > 1]
    if not pairs:
        labels = sorted({name for t in benchmark.train for name in t.labels})
        raise ValueError(
            f"data.pairs = {label!r}, but no two training tracklets of {benchmark.name} share a value of that label; "
            f"they have the labels {labels}. Name the one that tells which tracklets two sensors saw at once, or '' "
            f"to train on single clips"
        )
    alone = len(walks) - len(pairs)
    if alone or bare:
        warnings.warn(
            f"{benchmark.name}: {alone} training walks were seen by one sensor only and {bare} training tracklets have "
            f"no label {label!r}; they are left out, {len(pairs)} pairs remain",
            stacklevel=2,
        )
    return replace(benchmark, train=tuple(tracklet for pair in pairs for tracklet in pair))


def _ordered(name: str, label: str, walk: str, own: Sequence[Tracklet]) -> list[Tracklet]:
    """The two tracklets of a walk by modality, or ValueError saying why they are no pair."""
    where = f"{name}: training tracklets with {label} {walk!r}"
    keys = ", ".join(t.key for t in own)
    if len(own) > 2:
        kinds = sorted({t.modality for t in own}, key=MODALITIES.index)
        raise ValueError(
            f"{where} are {len(own)} ({keys}; {', '.join(kinds)}); a pair has two, keep the tracklets of two sensors"
        )
    first, second = sorted(own, key=lambda t: MODALITIES.index(t.modality))
    if first.modality == second.modality:
        raise ValueError(f"{where} are both {first.modality} ({keys}); a pair is of two sensors, correct the label")
    if first.identity != second.identity:
        raise ValueError(f"{where} show {first.identity!r} and {second.identity!r} ({keys}); correct label or identity")
    if len(first) != len(second):
        raise ValueError(
            f"{where} have {len(first)} and {len(second)} frames ({keys}); a pair shows the same moments, so give both "
            f"the frames that both sensors saw, or leave the walk out"
        )
    return [first, second]
