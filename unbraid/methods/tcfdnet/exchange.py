"""Patch exchange: the two sensors' frames of one walk swap regions in training."""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


def exchanged(
    frames: Float[Tensor, "B T C H W"], modality: Int[Tensor, "B"], *, probability: float, cell: int, most: int
) -> Float[Tensor, "B T C H W"]:
    """A copy in which some pairs have swapped square regions: the same ones, at the same places, in all frames.

    frames, modality: rows 2i and 2i + 1 are one walk, seen by two sensors. probability: of each pair. cell: side of a
    region in pixels. most: a pair that swaps does so in 1 to this many regions.
    Chance is torch's, which the training loop seeds at every step, as for any dropout.
    Raises ValueError where rows are not pairs of two sensors.
    Source: TCFDNet swaps local regions of the two inputs; which, how many and how often is in a supplement that we
    could not read, and ours here.
    """
    if len(frames) % 2 or bool((modality[::2] == modality[1::2]).any()):
        raise ValueError(
            f"patch exchange swaps between two sensors' clips of one walk, rows 2i and 2i + 1; got modalities "
            f"{modality.tolist()}. Name the label of walks in data.pairs, or set config.patch_exchange to False"
        )
    grid = frames.shape[3] // cell, frames.shape[4] // cell
    chosen = regions(len(frames) // 2, grid, probability=probability, most=most, device=frames.device)
    mask = chosen.repeat_interleave(cell, 1).repeat_interleave(cell, 2).repeat_interleave(2, 0)
    return torch.where(mask[:, None, None], partners(frames), frames)


def regions(
    pairs: int, grid: tuple[int, int], *, probability: float, most: int, device: torch.device
) -> Bool[Tensor, "N h w"]:
    """Which cells of a grid each pair swaps."""
    cells = grid[0] * grid[1]
    rank = torch.rand(pairs, cells, device=device).argsort(1).argsort(1)
    number = torch.randint(1, most + 1, (pairs, 1), device=device)
    swaps = torch.rand(pairs, 1, device=device) < probability
    chosen: Tensor = ((rank < number) & swaps).unflatten(1, grid)
    return chosen


def partners(x: Shaped[Tensor, "B ..."]) -> Shaped[Tensor, "B ..."]:
    """Rows 2i and 2i + 1 in each other's place."""
    swapped: Tensor = x.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
    return swapped
