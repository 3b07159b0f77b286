"""Batches of P identities x K clips, as lists of tracklet numbers."""

from collections.abc import Sequence
from typing import Literal

import numpy as np


def identity_batches(
    identities: Sequence[int],
    *,
    per_batch: int,
    clips: int,
    epoch: Literal["tracklets", "identities"],
    generator: np.random.Generator,
) -> list[list[int]]:
    """One epoch of batches, each `per_batch` distinct identities x `clips` tracklet numbers, identity by identity.

    identities: class of each tracklet.
    'tracklets': each identity's tracklets are shuffled and cut into groups of K (remainder dropped, an identity
    with fewer is filled by repeats), and batches draw identities with odds in proportion to their groups left,
    so that almost every group is used. 'identities': every identity once, with K of its tracklets.
    Raises ValueError when there are fewer identities than one batch needs.
    Source: DSANet section 4.2 (8 identities x 4 clips); the epoch is not in the paper.
    """
    groups = _groups(np.asarray(identities), clips, epoch, generator)
    if len(groups) < 2:
        raise ValueError(f"training needs at least 2 identities to tell apart; the training split has {len(groups)}")
    if len(groups) < per_batch:
        raise ValueError(
            f"a batch needs {per_batch} identities but the training split has {len(groups)}; "
            f"lower data.identities (--data.identities {len(groups)}) or add people"
        )
    batches = []
    left = np.array([len(g) for g in groups], dtype=np.float64)
    while np.count_nonzero(left) >= per_batch:
        chosen = generator.choice(len(groups), size=per_batch, replace=False, p=left / left.sum())
        batches.append([number for identity in chosen for number in groups[identity].pop()])
        left[chosen] -= 1
    return batches


def _groups(identities: np.ndarray, clips: int, epoch: str, generator: np.random.Generator) -> list[list[list[int]]]:
    """For each identity its groups of K tracklet numbers, in random order."""
    result = []
    for identity in np.unique(identities):
        own = generator.permutation(np.flatnonzero(identities == identity))
        if len(own) < clips:
            own = np.concatenate([own, generator.choice(own, clips - len(own))])
        number = 1 if epoch == "identities" else len(own) // clips
        result.append([own[i * clips : (i + 1) * clips].tolist() for i in range(number)])
    return result
