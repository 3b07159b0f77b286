"""Probes with one hidden layer, trained side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from unbraid.probing.targets import RARE, Block, Floats, Rows, Target, shares

HIDDEN, EPOCHS, PATIENCE, RATE, DECAY = 32, 60, 6, 5e-3, 1.0
# Items in a batch, at least, and batches in an epoch, at most.
BATCH, BATCHES = 64, 12


def train_networks(x: torch.Tensor, targets: Sequence[Target], rows: Rows, classes: bool, seed: int) -> list[Floats]:
    """Networks side by side, one per target, that share nothing but the order of items and how long they are tried."""
    blocks = [Block(target, 0.0, rows.train, len(rows.learn)) for target in targets]
    network = _Networks(x.shape[1], targets, rows, classes, seed)
    wanted, there = network.wanted(targets, blocks)
    learn, check = torch.from_numpy(rows.learn), torch.from_numpy(rows.check)

    def lost(some: torch.Tensor) -> torch.Tensor:
        """L; summed over items."""
        return (network.loss(network.scores(x[some], network.weights), wanted[:, some]) * there[:, some]).sum(1)

    optimiser = torch.optim.AdamW(network.weights.values(), lr=RATE, weight_decay=DECAY)
    best = torch.full((len(targets),), float("inf"))
    kept, since = {name: w.detach().clone() for name, w in network.weights.items()}, 0
    order = torch.Generator().manual_seed(seed)
    size = max(BATCH, len(learn) // BATCHES)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(learn), generator=order).split(size):
            optimiser.zero_grad()
            lost(learn[batch]).sum().div(len(batch)).backward()
            optimiser.step()
        with torch.no_grad():
            missed = lost(check)
            # without items to choose on training goes on to the end
            better = (missed < best) | (there[:, check].sum(1) == 0)
            best, since = torch.minimum(best, missed), 0 if bool(better.any()) else since + 1
            for name, weights in network.weights.items():
                kept[name] = torch.where(network.of_target(better, name), weights, kept[name])
        if since == PATIENCE:
            break
    with torch.no_grad():
        scores = network.scores(x[torch.from_numpy(rows.ask)], kept)
    return [block.said(scores[n, :, : block.width]) for n, block in enumerate(blocks)]


class _Networks:
    """L networks of one hidden layer side by side, and their loss."""

    def __init__(self, inputs: int, targets: Sequence[Target], rows: Rows, classes: bool, seed: int) -> None:
        self.classes, self.number = classes, len(targets)
        width = max(target.classes or 1 for target in targets)
        generator = torch.Generator().manual_seed(seed)
        last = torch.zeros(self.number, 1, width)
        for n, target in enumerate(targets):
            # before it has learned anything a network says how common each class is
            share = shares(target, rows.train) if classes else np.ones(1)
            last[n, 0, : len(share)] = torch.from_numpy(np.log(np.maximum(share, RARE)))
            last[n, 0, len(share) :] = -1e9
        self.weights: dict[str, torch.Tensor] = {
            "in": torch.randn(inputs, self.number * HIDDEN, generator=generator) * (2 / inputs) ** 0.5,
            "hidden": torch.zeros(self.number * HIDDEN),
            "out": torch.randn(self.number, HIDDEN, width, generator=generator) * 0.01,
        }
        for weights in self.weights.values():
            weights.requires_grad_()
        self.last = last if classes else torch.zeros_like(last)

    def wanted(self, targets: Sequence[Target], blocks: Sequence[Block]) -> tuple[torch.Tensor, torch.Tensor]:
        """L N: the class or the scaled measure, and 1 where it is known."""
        known = np.stack([target.known for target in targets])
        values = [(t.values - b.mean) / b.spread for t, b in zip(targets, blocks, strict=True)]
        return torch.from_numpy(np.where(known, np.stack(values), 0.0)).float(), torch.from_numpy(known).float()

    def scores(self, x: torch.Tensor, weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """L n K of n items."""
        hidden = torch.relu(torch.addmm(weights["hidden"], x, weights["in"]))
        return torch.baddbmm(self.last, hidden.view(len(x), self.number, HIDDEN).transpose(0, 1), weights["out"])

    def loss(self, scores: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """L n."""
        if not self.classes:
            return 0.5 * (scores[..., 0] - wanted).square()
        said = torch.log_softmax(scores, dim=2)
        return -said.gather(2, wanted.long()[..., None])[..., 0]

    def of_target(self, chosen: torch.Tensor, name: str) -> torch.Tensor:
        """A choice among L networks in the shape of their weights."""
        return chosen[:, None, None] if name == "out" else chosen.repeat_interleave(HIDDEN)
