"""Batches of P identities x K clips, as lists of tracklet numbers."""

from collections.abc import Sequence
from typing import Literal

import numpy as np


def identity_batches(
    identities: Sequence[int],
    *,
    per_batch: int,
    clips: int,
    epoch: Literal["tracklets", "identities", "groups"],
    generator: np.random.Generator,
    spread: Sequence[int] | None = None,
) -> list[list[int]]:
    """One epoch of batches, each `per_batch` distinct identities x `clips` tracklet numbers, identity by identity.

    identities: class of each tracklet.
    'tracklets': each identity's tracklets are shuffled and cut into groups of K (remainder dropped, an identity
    with fewer is filled by repeats), and batches draw identities with odds in proportion to their groups left,
    so that almost every group is used. 'identities': every identity once, with K of its tracklets. 'groups': all
    groups in random order, whoever they show, so that a batch may hold an identity twice.
    spread: a class per tracklet; the K of a group differ in it where the identity has enough of them.
    Raises ValueError when there are fewer identities than one batch needs.
    Source: DSANet section 4.2 (8 identities x 4 clips); the epoch is not in the paper; 'groups': DIFFER,
    released code.
    """
    classes = None if spread is None else np.asarray(spread)
    groups = _groups(np.asarray(identities), clips, epoch, generator, classes)
    if len(groups) < 2:
        raise ValueError(f"training needs at least 2 identities to tell apart; the training split has {len(groups)}")
    if len(groups) < per_batch:
        raise ValueError(
            f"a batch needs {per_batch} identities but the training split has {len(groups)}; "
            f"lower data.identities (--data.identities {len(groups)}) or add people"
        )
    batches = []
    if epoch == "groups":
        every = [group for own in groups for group in own]
        order = generator.permutation(len(every))
        starts = range(0, len(every) - per_batch + 1, per_batch)
        return [[n for place in order[start : start + per_batch] for n in every[place]] for start in starts]
    left = np.array([len(g) for g in groups], dtype=np.float64)
    while np.count_nonzero(left) >= per_batch:
        chosen = generator.choice(len(groups), size=per_batch, replace=False, p=left / left.sum())
        batches.append([number for identity in chosen for number in groups[identity].pop()])
        left[chosen] -= 1
    return batches


def pair_batches(
    identities: Sequence[int],
    *,
    per_batch: int,
    clips: int,
    epoch: Literal["tracklets", "identities", "groups"],
    generator: np.random.Generator,
    spread: Sequence[int] | None = None,
) -> list[list[int]]:
    """As `identity_batches` with a pair in the place of each clip: 2 x `per_batch` x `clips` tracklet numbers.

    Tracklets 2i and 2i + 1 are pair i; they stand side by side in a batch. spread: of a pair its first one counts.
    Raises ValueError as `identity_batches`, and when tracklets are not pairs of one identity.
    """
    if list(identities[::2]) != list(identities[1::2]):
        raise ValueError("tracklets 2i and 2i + 1 must show one identity; order them with data.pairs.paired")
    batches = identity_batches(
        identities[::2],
        per_batch=per_batch,
        clips=clips,
        epoch=epoch,
        generator=generator,
        spread=None if spread is None else spread[::2],
    )
    return [[2 * pair + side for pair in batch for side in (0, 1)] for batch in batches]


def _groups(
    identities: np.ndarray, clips: int, epoch: str, generator: np.random.Generator, spread: np.ndarray | None
) -> list[list[list[int]]]:
    """For each identity its groups of K tracklet numbers, in random order."""
    result = []
    for identity in np.unique(identities):
        own = generator.permutation(np.flatnonzero(identities == identity))
        if spread is not None:
            own = own[_dealt(spread[own])]
        if len(own) < clips:
            own = np.concatenate([own, generator.choice(own, clips - len(own))])
        number = 1 if epoch == "identities" else len(own) // clips
        result.append([own[i * clips : (i + 1) * clips].tolist() for i in range(number)])
    return result


def _dealt(classes: np.ndarray) -> np.ndarray:
    """An order of the items in which classes take turns: first one item of each class, then the next of each."""
    turn = np.zeros(len(classes), dtype=np.int64)
    for value in np.unique(classes):
        turn[classes == value] = np.arange(np.count_nonzero(classes == value))
    return np.lexsort((np.arange(len(classes)), turn))
