"""Small DisenQ methods and batches for the tests of DisenQ."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unbraid.batch import Batch, Clip, Text
from unbraid.methods.disenq.config import DisenqConfig, DisenqWeights
from unbraid.methods.disenq.model import Disenq

CLASSES = {"identity": 4, "action": 3, "actions": 5}
E = 12
ONES = DisenqWeights(identity=1.0, triplet=1.0, orthogonality=1.0, action=1.0)
TINY = DisenqConfig(
    trunk="test_vit", pretrained=False, chunk=64, pooling_hidden=8, positions=4, width=24, layers=3, heads=4, inner=32,
    queries=3, dropout=0.0, query_noise=0.5, text_width=E, gate_hidden=8, weights=ONES,
)  # fmt: skip
ASPECTS = {"identity": "biometric", "motion": "motion", "appearance": "clothing"}


def made(seed: int = 0, **fields: Any) -> Disenq:
    torch.manual_seed(seed)
    return Disenq(replace(TINY, **fields), classes=CLASSES)


def shaken(method: Disenq) -> Disenq:
    """Parts that start at zero or at rest moved, so that they say something."""
    torch.manual_seed(5)
    for name in ("pool.outer.weight", "pool.place", "gate.outer.weight"):
        torch.nn.init.normal_(method.get_parameter(name))
    method.head.neck.running_mean.normal_()
    method.head.neck.running_var.uniform_(0.5, 2)
    return method


def batch_of(method: Disenq, *, rows: int = 8, frames: int = 2, seed: int = 1) -> Batch:
    chance = torch.Generator().manual_seed(seed)
    labels = {"identity": torch.arange(rows) // 2 % 4, "action": torch.arange(rows) % 3}
    text = {}
    for aspect in method.aspects:
        mask = torch.arange(4).expand(rows, -1) < 4 - torch.arange(rows)[:, None] % 3
        text[aspect] = Text(torch.randn(rows, 4, E, generator=chance) * mask[..., None], mask)
    clip = Clip.of(torch.randn(rows, frames, 3, 32, 32, generator=chance))
    return Batch(clip, labels, [f"k{i}" for i in range(rows)], text)


def other_text(batch: Batch, *aspects: str) -> Batch:
    changed = {a: replace(batch.text[a], tokens=batch.text[a].tokens + 1) for a in aspects}
    return replace(batch, text={**batch.text, **changed})


def reached(value: Tensor, method: Disenq) -> set[str]:
    """Names of parameters that a term teaches."""
    named = {n: p for n, p in method.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(value, list(named.values()), retain_graph=True, allow_unused=True)
    return {n for n, g in zip(named, found, strict=True) if g is not None and g.abs().sum() > 0}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor], names: Sequence[str]) -> list[bool]:
    return [torch.equal(a[name], b[name]) for name in names]
