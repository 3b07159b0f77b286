"""Losses on embeddings of body parts, also between modalities."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from unbraid.losses.metric import EPSILON
from unbraid.losses.precision import at_least_float32, no_autocast

MODES = ("cross", "joint")


def part_distances(x: Float[Tensor, "B P D"], y: Float[Tensor, "C P D"]) -> Float[Tensor, "P B C"]:
    """Euclidean distances between rows, part by part, in float32 at least; differentiable at distance zero.

    Source: the distance of OpenGait's triplet loss.
    """
    with no_autocast(x):
        x, y = at_least_float32(x), at_least_float32(y)
        # distances do not change with the origin, but squares of long vectors would swallow short distances
        origin = x.detach().mean(0, keepdim=True)
        x, y = (x - origin).transpose(0, 1), (y - origin).transpose(0, 1)
        squared = x.square().sum(2)[:, :, None] + y.square().sum(2)[:, None, :] - 2 * x @ y.mT
    return squared.clamp_min(EPSILON).sqrt()


def triplet_terms(
    distance: Float[Tensor, "P B C"], labels: Int[Tensor, "B"], others: Int[Tensor, "C"], *, margin: float = 0.2
) -> Float[Tensor, "P N"]:
    """max(margin + positive - negative, 0) of all N triplets: an anchor, an equal label and another one among C.

    Where the anchors are themselves among the others, each counts as a positive of its own, at distance 0.
    Source: OpenGait's triplet loss.
    """
    same = labels[:, None] == others[None, :]
    anchor, positive = same.nonzero(as_tuple=True)
    hinge = F.relu(margin + distance[:, anchor, positive][:, :, None] - distance[:, anchor])
    return hinge[:, ~same[anchor]]


def batch_all_triplet(
    distance: Float[Tensor, "P B C"], labels: Int[Tensor, "B"], others: Int[Tensor, "C"], *, margin: float = 0.2
) -> Float[Tensor, ""]:
    """Mean over parts of the mean over the triplets whose term is not zero; 0, still tied to the graph, where none is.

    distance: from rows with `labels` to rows with `others`. Triplets as in `triplet_terms`.
    Source: Hermans et al., "In Defense of the Triplet Loss" (2017), batch-all loss over non-zero terms; per part and
    with margin 0.2 as in OpenGait. TCFDNet calls it a standard triplet loss and states no margin.
    """
    terms = triplet_terms(at_least_float32(distance), labels, others, margin=margin)
    active = (terms > 0).sum(1)
    return (terms.sum(1) / active.clamp_min(1)).mean()


def cross_modal_triplet(
    x: Float[Tensor, "B P D"],
    labels: Int[Tensor, "B"],
    modality: Int[Tensor, "B"],
    *,
    margin: float = 0.2,
    mode: Literal["cross", "joint"] = "cross",
) -> Float[Tensor, ""]:
    """The batch-all triplet loss between modalities.

    mode: 'cross' takes anchors of one modality and positives and negatives of another, and is the mean over the ordered
        pairs of modalities in the batch, two of them for two modalities; 'joint' takes all rows as one batch.
    Raises ValueError for another mode, and for 'cross' where the batch has a single modality.
    Source: UniCrossGait's code for 'cross', by the authors of TCFDNet, whose own way is not known.
    """
    if mode not in MODES:
        raise ValueError(f"mode should be one of {MODES}; got {mode!r}")
    if mode == "joint":
        return batch_all_triplet(part_distances(x, x), labels, labels, margin=margin)
    there = modality.unique()
    if len(there) < 2:
        raise ValueError(
            f"cross-modal triplet loss: all {len(x)} rows of the batch are of modality {there.tolist()}; "
            f"sample two modalities together, or take mode 'joint'"
        )
    terms = []
    for one in there:
        for another in there[there != one]:
            a, b = modality == one, modality == another
            distance = part_distances(x[a], x[b])
            terms.append(batch_all_triplet(distance, labels[a], labels[b], margin=margin))
    return torch.stack(terms).mean()


def part_cross_entropy(
    logits: Float[Tensor, "B P C"], labels: Int[Tensor, "B"], *, scale: float = 16.0, smoothing: float = 0.1
) -> Float[Tensor, ""]:
    """Mean over rows and parts of the cross-entropy of `scale` times the logits, in float32 at least.

    scale: for logits that are cosines. smoothing: share of the target spread over all classes.
    Where all modalities have as many rows, this is also the mean of the modalities' own cross-entropies.
    Source: OpenGait's cross-entropy; TCFDNet states neither scale nor smoothing.
    """
    flat = scale * at_least_float32(logits).flatten(0, 1)
    return F.cross_entropy(flat, labels.repeat_interleave(logits.shape[1]), label_smoothing=smoothing)
