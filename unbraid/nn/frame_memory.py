"""What a frozen trunk made of frames that it has seen."""

import hashlib
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


class FrameMemory:
    """Tokens of frames that a frozen trunk has seen in training, so that it sees each of them once.

    Frames are told apart by their content: without changes to pixels other than flips there are two of each picture.
    trunk: N C H W to N L V. room: bytes for tokens; frames beyond it are read again each time. Nothing of this is part
    of a checkpoint. Not in the paper; chosen because a frozen trunk is most of what a step costs.
    """

    def __init__(self, trunk: Callable[[Tensor], Tensor], *, room: int) -> None:
        self.trunk, self.room = trunk, room
        self.kept: dict[bytes, Tensor] = {}

    def read(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N L V"]:
        """What the trunk gives, without a gradient."""
        keys = [hashlib.blake2b(frame.numpy(), digest_size=16).digest() for frame in frames.cpu().float().contiguous()]
        new = {key: place for place, key in enumerate(keys) if key not in self.kept}
        fresh: dict[bytes, Tensor] = {}
        if new:
            with torch.no_grad():
                fresh = dict(zip(new, self.trunk(frames[list(new.values())]).unbind(0), strict=True))
        found = torch.stack([fresh[key] if key in fresh else self.kept[key] for key in keys])
        for key, tokens in fresh.items():
            if tokens.nbytes <= self.room:
                # a copy, because a view would keep the tokens of all frames that were read with it
                self.kept[key] = tokens.clone()
                self.room -= tokens.nbytes
        return found
