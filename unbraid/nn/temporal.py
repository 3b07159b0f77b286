"""From the tokens of single frames to the tokens of a clip.

Source: DisenQ, second-hand. That there is an attention over time is stated; its formula is
unknown, and what stands here is ours.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

Pooling = Literal["frame", "token", "frames", "both"]


class TemporalAttention(nn.Module):
    """Tokens of T frames to the tokens F of a clip; more than one, or every query would read the same.

    With c_t the class token of frame t and p_t its place in the clip (learnt, 0 at first),
        e_t = w2 . tanh(W1 norm(c_t + p_t)),   a = softmax over valid t of e,   F = sum_t a_t X_t.
    w2 is 0 at first, so that F starts as the plain mean.

    kind: 'frame' is that formula, F is L x V; 'token' gives every token scores of its own, e_tl from X_tl + p_t;
        'frames' keeps time, F is the T x V of c_t + p_t; 'both' puts these T behind the L of 'frame', and is ours.
    width: V. hidden: rows of W1. positions: longest clip, in frames.
    """

    def __init__(self, width: int, *, kind: Pooling = "frame", hidden: int = 512, positions: int = 32) -> None:
        super().__init__()
        if kind not in get_args(Pooling):
            raise ValueError(f"kind is {kind!r}; expected one of {get_args(Pooling)}")
        self.kind = kind
        self.place = nn.Parameter(torch.zeros(positions, width))
        if kind != "frames":
            self.norm, self.inner = nn.LayerNorm(width), nn.Linear(width, hidden)
            self.outer = nn.Linear(hidden, 1, bias=False)
            nn.init.zeros_(self.outer.weight)

    def forward(
        self, tokens: Float[Tensor, "B T L V"], valid: Bool[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B K V"], Bool[Tensor, "B K"] | None]:
        """The tokens of each clip, and which of them are real, None for all; frames that are not valid change nothing.

        tokens: of each frame, the class token first.
        Raises ValueError for clips longer than `positions`, and for one without a valid frame.
        """
        frames = tokens.shape[1]
        if frames > len(self.place):
            raise ValueError(
                f"clips have {frames} frames, but there are places for {len(self.place)}; raise positions, or make "
                f"clips shorter"
            )
        if not torch.compiler.is_compiling() and not bool(valid.any(1).all()):
            raise ValueError(f"clip {int((~valid.any(1)).nonzero()[0])} of the batch has no valid frame")
        single = tokens[:, :, 0] + self.place[:frames]
        if self.kind == "frames":
            return single, valid
        share = self.weights(tokens, valid).to(tokens.dtype)
        pooled = torch.einsum("btlv,btl->blv", tokens, share.expand(tokens.shape[:3]))
        if self.kind == "both":
            real = valid.new_ones(pooled.shape[:2])
            return torch.cat([pooled, single], dim=1), torch.cat([real, valid], dim=1)
        return pooled, None

    def weights(
        self, tokens: Float[Tensor, "B T L V"], valid: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T 1"] | Float[Tensor, "B T L"]:
        """a: how much each frame counts, summing to 1 over T; one column for all tokens or, for 'token', one for each.

        Equal shares where time is kept ('frames').
        """
        if self.kind == "frames":
            return (valid / valid.sum(1, keepdim=True))[..., None]
        asked = tokens if self.kind == "token" else tokens[:, :, :1]
        scores = self.outer(torch.tanh(self.inner(self.norm(asked + self.place[: tokens.shape[1], None]))))[..., 0]
        # in 16 bits shares of many frames would not sum to 1; double stays double, so that gradients can be checked
        scores = scores if scores.dtype == torch.float64 else scores.float()
        hidden: Tensor = scores.masked_fill(~valid[..., None], -torch.inf)
        return hidden.softmax(1)
