"""DSANet's terms on hand-made outputs against eqs. (1) and (5) to (10) written out with loops."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from unbraid.batch import Batch, Clip
from unbraid.methods.dsanet.model import EPSILON, DSANet, DSANetConfig, DSANetWeights

TINY = DSANetConfig(trunk="small-1", pretrained=False)
CLASSES = {"identity": 3, "camera": 2}
IDENTITY = [0, 2, 0, 2, 2]
CAMERA = [0, 1, 1, 0, 0]
B, T, D = 5, 3, 4
Vector = Sequence[float]


def outputs(seed: int = 0, *, padded: bool = False) -> dict[str, Tensor]:
    """What `forward` gives, made of random doubles."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    valid = torch.ones(B, T, dtype=torch.bool)
    if padded:
        valid[1, 2] = valid[3, 1] = valid[3, 2] = False
    weights = random(B, T).masked_fill(~valid, -torch.inf).softmax(1)
    return {
        "identity": random(B, D),
        "identity_neck": random(B, D),
        "camera": random(B, D),
        "camera_neck": random(B, D),
        "identity_logits": random(B, 3),
        "camera_logits": random(B, 2),
        "augmented_logits": random(B, 3),
        "halves_logits": random(B, T, 2, 3),
        "frame_weights": weights,
        "frame_logits": random(B, T, 3),
        "valid": valid,
    }


def batch() -> Batch:
    labels = {"identity": torch.tensor(IDENTITY), "camera": torch.tensor(CAMERA)}
    return Batch(Clip.of(torch.zeros(B, T, 3, 2, 2)), labels, [str(i) for i in range(B)])


def losses(out: dict[str, Tensor], **switches: Any) -> dict[str, Tensor]:
    return DSANet(replace(TINY, **switches), classes=CLASSES).losses(out, batch())


def cross_entropy(logits: Vector, label: int) -> float:
    return math.log(sum(math.exp(v) for v in logits)) - logits[label]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def cosine(a: Vector, b: Vector) -> float:
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def triplet(rows: Sequence[Vector], kind: str, margin: float) -> float:
    """Hardest positive against hardest negative: soft margin on Euclidean, or a hinge on 1 - cosine."""
    terms = []
    for a in range(B):
        gap = [math.dist(rows[a], r) if kind == "soft_euclidean" else 1 - cosine(rows[a], r) for r in rows]
        far = max(gap[i] for i in range(B) if i != a and IDENTITY[i] == IDENTITY[a])
        near = min(gap[i] for i in range(B) if IDENTITY[i] != IDENTITY[a])
        terms.append(math.log1p(math.exp(far - near)) if kind == "soft_euclidean" else max(far - near + margin, 0.0))
    return mean(terms)


def intra(rows: Sequence[Vector], channels: str) -> float:
    """Eq. (7) with the sheet's choice 8.9: mean over the clips of an identity, sum over identities."""
    total = 0.0
    for k in set(IDENTITY):
        own = [r for r, i in zip(rows, IDENTITY, strict=True) if i == k]
        centre = [mean(column) for column in zip(*own, strict=True)]
        squares = [sum((v - c) ** 2 for v, c in zip(r, centre, strict=True)) for r in own]
        total += mean(squares) / (D if channels == "mean" else 1)
    return total


def target(entropies: Vector, normaliser: str) -> Vector:
    """Eq. (6): differences to the worst frame, made to sum to 1."""
    better = [max(entropies) - e for e in entropies]
    share = [math.exp(b) if normaliser == "softmax" else b + EPSILON for b in better]
    return [s / sum(share) for s in share]


def by_hand(out: dict[str, Tensor], config: DSANetConfig) -> dict[str, float]:
    value = {name: v.tolist() for name, v in out.items()}
    rows = value["identity"]
    unit = [[v / math.sqrt(dot(r, r)) for v in r] for r in rows] if config.intra_unit else rows
    end = "_neck" if config.disentangle_on == "neck" else ""
    frames = [(b, t) for b in range(B) for t in range(T) if value["valid"][b][t]]
    entropies = {(b, t): cross_entropy(value["frame_logits"][b][t], IDENTITY[b]) for b, t in frames}
    squared = []
    for b in range(B):
        own = [t for i, t in frames if i == b]
        wanted = target([entropies[b, t] for t in own], config.weigh_normaliser)
        squared += [(value["frame_weights"][b][t] - w) ** 2 for t, w in zip(own, wanted, strict=True)]
    halves = value["halves_logits"]
    return {
        "identity": mean([cross_entropy(value["identity_logits"][b], IDENTITY[b]) for b in range(B)]),
        "augment": mean([cross_entropy(value["augmented_logits"][b], IDENTITY[b]) for b in range(B)]),
        "camera": mean([cross_entropy(value["camera_logits"][b], CAMERA[b]) for b in range(B)]),
        "halves": mean([sum(cross_entropy(halves[b][t][side], IDENTITY[b]) for side in (0, 1)) for b, t in frames]),
        "triplet": triplet(rows, config.triplet, config.triplet_margin),
        "disentangle": mean([max(cosine(value["identity" + end][b], value["camera" + end][b]), 0) for b in range(B)]),
        "intra": intra(unit, config.intra_channels),
        "quality": mean(squared),
        "frame": mean(list(entropies.values())),
    }


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"weigh_normaliser": "sum"},
        {"intra_channels": "sum"},
        {"intra_unit": True},
        {"disentangle_on": "neck"},
        {"triplet": "cosine", "triplet_margin": 0.4},
    ],
    ids=str,
)
def test_terms_equal_loops(switches: dict[str, Any], padded: bool) -> None:
    out = outputs(padded=padded)
    expected = by_hand(out, replace(TINY, **switches))
    actual = losses(out, **switches)
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert actual[name].item() == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_total_is_equations_9_and_10() -> None:
    out, weights = outputs(), DSANetWeights()
    terms = {n: float(v) for n, v in losses(out).items()}
    factor = 0.1  # lambda, section 4.2
    entropy = terms["identity"] + factor * (terms["augment"] + terms["halves"] + terms["camera"])  # eq. (9)
    paper = entropy + terms["triplet"] + terms["disentangle"] + terms["intra"] + factor * terms["quality"]  # eq. (10)
    total = sum(getattr(weights, n) * v for n, v in terms.items())
    assert total == pytest.approx(paper + factor * terms["frame"])  # and the added frame term


@pytest.mark.parametrize("switches", [{}, {"triplet": "cosine"}, {"weigh_normaliser": "sum"}], ids=str)
def test_gradients(switches: dict[str, Any]) -> None:
    out = outputs(3)
    names = [n for n, v in out.items() if v.is_floating_point()]
    method = DSANet(replace(TINY, **switches), classes=CLASSES)

    def terms(*values: Tensor) -> tuple[Tensor, ...]:
        made = method.losses({**dict(zip(names, values, strict=True)), "valid": out["valid"]}, batch())
        # the target of the quality term is held fixed by design, so numeric differences do not apply to it
        return tuple(v for n, v in made.items() if n != "quality")

    inputs = [out[n].requires_grad_(n != "frame_weights") for n in names]
    assert torch.autograd.gradcheck(terms, inputs, fast_mode=True)


def test_gradient_of_the_quality_term() -> None:
    out = outputs()
    out["frame_weights"].requires_grad_()
    out["frame_logits"].requires_grad_()
    quality = losses(out)["quality"]
    given, logits = torch.autograd.grad(quality, [out["frame_weights"], out["frame_logits"]], allow_unused=True)
    assert logits is None
    entropies = [[cross_entropy(row, IDENTITY[b]) for row in out["frame_logits"][b].tolist()] for b in range(B)]
    wanted = torch.tensor([target(e, "softmax") for e in entropies], dtype=torch.float64)
    torch.testing.assert_close(given, 2 * (out["frame_weights"] - wanted) / (B * T))


def test_double_outputs_stay_double() -> None:
    assert {v.dtype for v in losses(outputs()).values()} == {torch.float64}


def test_a_network_in_double_precision_runs() -> None:
    torch.manual_seed(0)
    for weigh in (True, False):
        method = DSANet(replace(TINY, weigh=weigh), classes=CLASSES).double()
        clip = Clip.of(torch.randn(B, 2, 3, 64, 32, dtype=torch.float64))
        out = method(Batch(clip, batch().labels, batch().keys))
        assert {v.dtype for v in out.values()} == {torch.float64, torch.bool}
        assert method.eval().encode(clip)["identity"].dtype == torch.float64


def test_outputs_are_single_precision_under_autocast() -> None:
    torch.manual_seed(0)
    method = DSANet(TINY, classes=CLASSES)
    clip = Clip.of(torch.randn(B, 2, 3, 64, 32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = method(Batch(clip, batch().labels, batch().keys))
    assert {v.dtype for v in out.values()} == {torch.float32, torch.bool}


def test_a_batch_of_one_person_has_no_triplet() -> None:
    method = DSANet(TINY, classes=CLASSES)
    labels = {**batch().labels, "identity": torch.zeros(B, dtype=torch.long)}
    with pytest.raises(ValueError, match="triplet loss: row 0 has no negative in its batch of 5"):
        method.losses(outputs(), Batch(batch().clip, labels, batch().keys))
