"""Losses on distances between embeddings of a batch."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from unbraid.losses.precision import at_least_float32, no_autocast

# keeps the gradient of a square root finite at distance zero
EPSILON = 1e-12


def distances(x: Float[Tensor, "B D"]) -> Float[Tensor, "B B"]:
    """Euclidean distances between rows, in float32 at least, with exact zeros kept differentiable."""
    with no_autocast(x):
        x = at_least_float32(x)
        square = x.square().sum(1)
        squared = square[:, None] + square[None, :] - 2 * x @ x.T
    return squared.clamp_min(EPSILON).sqrt()


def batch_hard_triplet(
    distance: Float[Tensor, "B B"],
    labels: Int[Tensor, "B"],
    *,
    margin: float | None = None,
    lonely: Literal["refuse", "skip"] = "refuse",
) -> Float[Tensor, ""]:
    """Mean over anchors of the hardest positive against the hardest negative.

    margin: hinge at this margin; None is the soft margin log(1 + exp(positive - negative)).
    lonely: an anchor without a positive other than itself, or without a negative, is an error, or is left out of the
    mean (0 when all are), for samplers that do not promise two clips of two identities.
    Raises ValueError when lonely anchors are refused and there is one.
    Source: Hermans et al., "In Defense of the Triplet Loss" (2017), batch-hard loss; DSANet eq. (10) leaves the
    flavour open.
    """
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive, negative = same & ~itself, ~same
    if lonely == "skip":
        kept = positive.any(1) & negative.any(1)
        if not kept.any():
            return distance.sum() * 0
        distance, positive, negative = distance[kept], positive[kept], negative[kept]
    for kind, mask in (("positive", positive), ("negative", negative)):
        alone = ~mask.any(1)
        if alone.any():
            raise ValueError(
                f"triplet loss: row {int(alone.nonzero()[0])} has no {kind} in its batch of {len(labels)}; "
                f"sample at least 2 identities with 2 clips each"
            )
    far = distance.masked_fill(~positive, -torch.inf).amax(1)
    near = distance.masked_fill(~negative, torch.inf).amin(1)
    if margin is None:
        return F.softplus(far - near).mean()
    return F.relu(far - near + margin).mean()


def cosine_distances(x: Float[Tensor, "B D"]) -> Float[Tensor, "B B"]:
    """1 - cosine between rows, in float32 at least; a zero vector has distance 1 to every row."""
    with no_autocast(x):
        x = F.normalize(at_least_float32(x), dim=1)
        return 1 - x @ x.T


def within_identity_variance(
    x: Float[Tensor, "B D"], labels: Int[Tensor, "B"], *, channels: str = "mean"
) -> Float[Tensor, ""]:
    """Sum over the identities of a batch of their rows' mean squared deviation from the identity's mean.

    channels: 'mean' or 'sum' of the squared deviation over D.
    Source: DSANet eq. (7); the channel mean is not in the paper, chosen because the sum starts D times larger
    than the cross-entropy it stands beside.
    """
    if channels not in ("mean", "sum"):
        raise ValueError(f"channels should be 'mean' or 'sum'; got {channels!r}")
    with no_autocast(x):
        x = at_least_float32(x)
        member = F.one_hot(torch.unique(labels, return_inverse=True)[1]).to(x.dtype)
        count = member.sum(0)
        centre = (member.T @ x) / count[:, None]
        squared = (x - member @ centre).square()
        per_row = squared.mean(1) if channels == "mean" else squared.sum(1)
        return ((member.T @ per_row) / count).sum()
