"""The distances that other projects rank by, as similarities: minus the distance, float32 as theirs."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from unbraid.method import cosine
from unbraid.peers.habits import Distance
from unbraid.search import Similarity, slices
from unbraid.spaces import Spaces


def flat_cosine(query: Spaces, gallery: Spaces) -> Tensor:
    """Cosine of all parts as one long vector: b g."""
    one, two = (F.normalize(_flat(side), dim=1) for side in (query, gallery))
    return torch.mm(one, two.T)


def one_minus_cosine(query: Spaces, gallery: Spaces) -> Tensor:
    """-(1 - cosine): b g. The subtraction rounds, so that cosines near 0 that differ in their last bits tie."""
    return -(1 - flat_cosine(query, gallery))


def squared_euclidean(query: Spaces, gallery: Spaces) -> Tensor:
    """-|q - g|^2 as -(|q|^2 + |g|^2 - 2 q.g), not normalised: b g."""
    return -_squared(_flat(query), _flat(gallery))


def unit_squared_euclidean(query: Spaces, gallery: Spaces) -> Tensor:
    """The same for vectors of length 1; without rounding it is 2 cosine - 2, the order of the cosine."""
    return -_squared(F.normalize(_flat(query), dim=1), F.normalize(_flat(gallery), dim=1))


def part_euclidean(query: Spaces, gallery: Spaces) -> Tensor:
    """Minus the mean over parts of |q_p - g_p|, not normalised: b g."""
    one, two = (side["identity"].float() for side in (query, gallery))
    one, two = (value if value.ndim == 3 else value[:, None] for value in (one, two))
    total = torch.zeros(len(one), len(two), device=one.device)
    for part in range(one.shape[1]):
        total += _squared(one[:, part], two[:, part]).clamp_min(0).sqrt()
    return -(total / one.shape[1])


SIMILARITIES: Mapping[Distance, Similarity] = {
    "cosine": cosine,
    "flat cosine": flat_cosine,
    "one minus cosine": one_minus_cosine,
    "squared Euclidean": squared_euclidean,
    "unit squared Euclidean": unit_squared_euclidean,
    "part Euclidean": part_euclidean,
}

WORDS: Mapping[Distance, str] = {
    "cosine": "cosine, the mean over parts",
    "flat cosine": "cosine of all parts as one long vector",
    "one minus cosine": "distance 1 - cosine in float32, which rounds small differences away",
    "squared Euclidean": "squared Euclidean distance of vectors that are not normalised",
    "unit squared Euclidean": "squared Euclidean distance of normalised vectors, in float32: the order of the cosine "
    "but for rounding",
    "part Euclidean": "Euclidean distance of vectors that are not normalised, mean over parts",
}


def simplest(distance: Distance, spaces: Spaces, space: str) -> Distance:
    """The distance, or 'cosine' where there is one part and the two are the same."""
    one_part = spaces[space].ndim == 2 or spaces[space].shape[1] == 1
    return "cosine" if distance == "flat cosine" and one_part else distance


def spread_of_lengths(spaces: Spaces, space: str) -> float:
    """Standard deviation of the vectors' lengths over their mean; what not normalising can change."""
    values = spaces[space]
    lengths = torch.cat([values[part].float().flatten(1).norm(dim=1) for part in slices(len(values), 4096)])
    mean = float(lengths.mean())
    return float(lengths.std(correction=0)) / mean if mean > 0 else 0.0


def _flat(spaces: Spaces) -> Tensor:
    return spaces["identity"].float().flatten(1)


def _squared(one: Tensor, two: Tensor) -> Tensor:
    return torch.addmm(one.square().sum(1)[:, None] + two.square().sum(1)[None, :], one, two.T, alpha=-2)
