"""A running average of texts per identity."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unbraid.batch import Text


class RunningText(nn.Module):
    """The mean text of every identity, brought up to date with each batch; part of a checkpoint, not of a gradient.

    Every text is brought to one vector per slot of length 1. With n the number of texts of an identity so far,
        mean_n = mean_(n-1) + (t_n - mean_(n-1)) / n,
    or with `momentum` m, mean_n = mean_(n-1) + m (t_n - mean_(n-1)), the first one being t_1. What is read is the mean
    at length 1. After one pass over all clips it is the offline mean.
    identities: how many. slots: vectors per text, such as one per question about the body. width: of a vector.
    Several devices do not share what they see: the first one's average is the one that counts.
    Source: DisenQ, second-hand; that there is a running average is stated, its rule is not.
    """

    mean: Tensor
    count: Tensor

    def __init__(self, identities: int, slots: int, width: int, *, momentum: float | None = None) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(identities, slots, width))
        self.register_buffer("count", torch.zeros(identities, slots, dtype=torch.long))

    @torch.no_grad()
    def update(self, slots: Float[Tensor, "B S E"], present: Bool[Tensor, "B S"], identity: Int[Tensor, "B"]) -> None:
        """Take the texts of a batch in, one row after the other."""
        unit = F.normalize(slots.float(), dim=2)
        for row, there, who in zip(unit, present, identity.tolist(), strict=True):
            self.count[who] += there
            number = self.count[who, :, None].clamp_min(1)
            step = 1 / number if self.momentum is None else torch.where(number == 1, 1.0, self.momentum)
            self.mean[who] += torch.where(there[:, None], step * (row - self.mean[who]), 0.0)

    def read(self, identity: Int[Tensor, "B"]) -> Text:
        """The mean texts of some identities, S vectors each; mask is False where none has come yet."""
        return Text(F.normalize(self.mean[identity], dim=2), self.count[identity] > 0)
