import torch
from torch import Tensor

from unbraid.nn.frame_memory import FrameMemory


def test_memory_has_an_end() -> None:
    asked: list[Tensor] = []

    def trunk(frames: Tensor) -> Tensor:
        asked.append(frames)
        return frames.flatten(1)[:, None] * 2

    frames = torch.randn(3, 1, 2, 2)
    memory = FrameMemory(trunk, room=2 * 4 * 4)
    for _ in range(3):
        assert torch.equal(memory.read(frames), frames.flatten(1)[:, None] * 2)
    # tokens of two frames of four numbers fit; the third is read each time; equal frames of a batch are read once
    assert [len(one) for one in asked] == [3, 1, 1]
    assert torch.equal(memory.read(torch.cat([frames, frames[2:]]))[2], frames[2].flatten()[None] * 2)
    assert len(asked[-1]) == 1
