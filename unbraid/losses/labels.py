"""Losses against labels that some rows lack, and against who is the same as whom."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unbraid.losses.precision import at_least_float32

UNKNOWN = -1


def one_of(logits: Float[Tensor, "B A"], label: Int[Tensor, "B"]) -> Float[Tensor, ""]:
    """Mean cross-entropy over the rows whose label is not -1; 0, still tied to the graph, when all are.

    Source: DisenQ, second-hand, for actions; rows without one are left out as in ABNet's code.
    """
    logits = at_least_float32(logits)
    total = F.cross_entropy(logits, label, ignore_index=UNKNOWN, reduction="sum")
    return total / (label != UNKNOWN).sum().clamp_min(1)


def any_of(logits: Float[Tensor, "B A"], labels: Bool[Tensor, "B A"] | Int[Tensor, "B A"]) -> Float[Tensor, ""]:
    """Mean binary cross-entropy over rows and labels, of the rows that have any label; 0, still tied to the graph,
    when none has.

    labels: 1 where true. Source: ABNet's code, for several actions in a clip.
    """
    known = labels.bool().any(1)
    logits = at_least_float32(logits)
    rows = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none").mean(1)
    return (rows * known).sum() / known.sum().clamp_min(1)


def same_or_not(logits: Float[Tensor, "B B"], labels: Int[Tensor, "B"]) -> Float[Tensor, ""]:
    """Binary cross-entropy of all pairs of different rows, both kinds of pairs with half of the weight.

    logits: larger says more surely that two rows have the same label. A kind of which there is no pair counts 0.
    Not in the paper as far as it is known; chosen because pairs of a batch are what the weights are for.
    """
    logits = at_least_float32(logits)
    same = labels[:, None] == labels[None, :]
    other = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    wrong = F.binary_cross_entropy_with_logits(logits, same.to(logits.dtype), reduction="none")
    kinds = [same & other, ~same]
    return torch.stack([(wrong * kind).sum() / kind.sum().clamp_min(1) for kind in kinds]).mean()
