"""Losses that bring images to the texts about them."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from unbraid.losses.precision import at_least_float32, no_autocast

# a zero vector has cosine 0 instead of none
EPSILON = 1e-12


def scaled_cosines(
    x: Float[Tensor, "B D"], text: Float[Tensor, "N D"], scale: float | Float[Tensor, ""] = 1.0
) -> Float[Tensor, "B N"]:
    """scale times the cosine of every row of x with every text, in float32 at least.

    Source: DIFFER, released code, with scale 1; equation number unknown.
    """
    with no_autocast(x):
        x, text = at_least_float32(x), at_least_float32(text)
        return scale * (F.normalize(x, dim=1) @ F.normalize(text, dim=1).T)


def contrast(
    logits: Float[Tensor, "B B"], positives: Bool[Tensor, "B B"], present: Bool[Tensor, "B"] | None = None
) -> Float[Tensor, ""]:
    """Mean over rows of the cross-entropy of a row's logits against its right answers in equal shares.

    positives: which columns are right answers of a row; the diagonal alone asks for a row's own text.
    present: rows that have a text; the others leave as rows and as columns. 0 when no row has one.
    The value is ln N where nothing is known of N rows. Raises what `contrast_rows` raises.
    """
    if present is not None:
        logits, positives = among(logits, present), among(positives, present)
    return mean_or_zero(contrast_rows(logits, positives))


def contrast_rows(logits: Float[Tensor, "N N"], positives: Bool[Tensor, "N N"]) -> Float[Tensor, "N"]:
    """The terms of `contrast`, one per row.

    Raises ValueError naming the first row without a right answer.
    Source: DIFFER, released code, for the diagonal (InfoNCE, image to text); several right answers as in SupCon
    (Khosla et al. 2020, the sum outside of the logarithm).
    """
    number = positives.sum(1)
    if (number == 0).any():
        row = int((number == 0).nonzero()[0])
        raise ValueError(f"contrast: row {row} of {len(number)} has no right answer; a row's own text should be one")
    log_share = at_least_float32(logits).log_softmax(1)
    return -log_share.masked_fill(~positives, 0).sum(1) / number


def among(matrix: Shaped[Tensor, "B B"], present: Bool[Tensor, "B"]) -> Shaped[Tensor, "N N"]:
    """The rows and columns that have a text, in their order."""
    return matrix[present][:, present]


def mean_or_zero(values: Float[Tensor, "N"]) -> Float[Tensor, ""]:
    """The mean; 0, still tied to the graph, of no values."""
    return values.sum() / max(len(values), 1)


def same_rows(x: Float[Tensor, "B D"]) -> Bool[Tensor, "B B"]:
    """Which rows are equal in every bit; equal texts have equal vectors."""
    number: Tensor = torch.unique(x, dim=0, return_inverse=True)[1]
    return number[:, None] == number[None, :]


def matched(logits: Float[Tensor, "N N"], positives: Bool[Tensor, "N N"]) -> Float[Tensor, ""]:
    """Share of rows whose largest logit is at a right answer, from 0 to 1; 0 when there are no rows."""
    if len(logits) == 0:
        return torch.zeros((), device=logits.device)
    return positives.gather(1, logits.argmax(1, keepdim=True)).float().mean()


def away_from(x: Float[Tensor, "B D"], y: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """1 minus the mean cosine of x with y row by row, in float32 at least: 0 where all point the same way, 2 at most.

    Source: TCFDNet, alignment term among eqs. (24) to (27).
    """
    return 1 - F.cosine_similarity(at_least_float32(x), at_least_float32(y), dim=1, eps=EPSILON).mean()
