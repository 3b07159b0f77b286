"""Attention over time against a slow loop over the sheet's formula."""

import math

import pytest
import torch
from torch import Tensor

from unbraid.nn.temporal import Pooling, TemporalAttention

B, T, L, V = 3, 4, 5, 6
VALID = torch.tensor([[True] * 4, [True, True, True, False], [True, False, False, False]])


def made(kind: Pooling, *, random: bool = True) -> TemporalAttention:
    torch.manual_seed(0)
    pool = TemporalAttention(V, kind=kind, hidden=7, positions=8).double().requires_grad_(False)
    if random:
        for parameter in pool.parameters():
            torch.nn.init.normal_(parameter)
    return pool


def tokens() -> Tensor:
    return torch.randn(B, T, L, V, generator=torch.Generator().manual_seed(1)).double()


def normal(x: list[float], pool: TemporalAttention) -> list[float]:
    mean = sum(x) / len(x)
    spread = math.sqrt(sum((v - mean) ** 2 for v in x) / len(x) + 1e-5)
    return [
        (v - mean) / spread * float(w) + float(b) for v, w, b in zip(x, pool.norm.weight, pool.norm.bias, strict=True)
    ]


def score(x: Tensor, place: Tensor, pool: TemporalAttention) -> float:
    z = normal((x + place).tolist(), pool)
    inner = [
        math.tanh(sum(float(w) * v for w, v in zip(row, z, strict=True)) + float(b))
        for row, b in zip(pool.inner.weight, pool.inner.bias, strict=True)
    ]
    return sum(float(w) * h for w, h in zip(pool.outer.weight[0], inner, strict=True))


@pytest.mark.parametrize("kind", ["frame", "token"])
def test_formula(kind: Pooling) -> None:
    pool, x = made(kind), tokens()
    found, mask = pool(x, VALID)
    assert mask is None
    for b in range(B):
        for token in range(L):
            asked = 0 if kind == "frame" else token
            real = [t for t in range(T) if VALID[b, t]]
            powers = [math.exp(score(x[b, t, asked], pool.place[t], pool)) for t in real]
            want = torch.stack([p / sum(powers) * x[b, t, token] for p, t in zip(powers, real, strict=True)]).sum(0)
            torch.testing.assert_close(found[b, token], want)


@pytest.mark.parametrize("kind", ["frame", "token", "both"])
def test_it_starts_as_the_plain_mean(kind: Pooling) -> None:
    x = tokens()
    found = made(kind, random=False)(x, VALID)[0]
    for b in range(B):
        torch.testing.assert_close(found[b, :L], x[b, VALID[b]].mean(0), rtol=0, atol=1e-6)


def test_time_is_kept() -> None:
    pool, x = made("frames"), tokens()
    found, mask = pool(x, VALID)
    assert mask is VALID
    torch.testing.assert_close(found, x[:, :, 0] + pool.place[:T])
    both = made("both")
    found, mask = both(x, VALID)
    assert found.shape == (B, L + T, V)
    assert mask is not None
    assert torch.equal(mask, torch.cat([torch.ones(B, L, dtype=torch.bool), VALID], 1))
    torch.testing.assert_close(found[:, L:], x[:, :, 0] + both.place[:T])
    # the order of frames counts, through their places
    assert not torch.allclose(both(x.flip(1), VALID.fill_diagonal_(True))[0], both(x, VALID)[0])


@pytest.mark.parametrize("kind", ["frame", "token", "frames", "both"])
def test_frames_that_are_not_valid_change_nothing(kind: Pooling) -> None:
    pool, x = made(kind), tokens()
    valid = torch.tensor([[True, True, False, False]] * B)
    other = torch.where(valid[:, :, None, None], x, 100.0)
    (one, mask), (two, _) = pool(x, valid), pool(other, valid)
    real = torch.ones(one.shape[:2], dtype=torch.bool) if mask is None else mask
    assert torch.equal(one[real], two[real])
    weights = pool.weights(x, valid)
    assert (weights[:, 2:] == 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones_like(weights.sum(1)))


@pytest.mark.parametrize("kind", ["frame", "token", "both"])
def test_gradients(kind: Pooling) -> None:
    pool = made(kind)
    x = tokens()[:2, :2, :2].requires_grad_()
    assert torch.autograd.gradcheck(lambda v: pool(v, VALID[:2, :2])[0], x)


def test_errors() -> None:
    with pytest.raises(ValueError, match="9 frames, but there are places for 8; raise positions"):
        made("frame")(torch.randn(1, 9, 2, V).double(), torch.ones(1, 9, dtype=torch.bool))
    with pytest.raises(ValueError, match="clip 1 of the batch has no valid frame"):
        made("frame")(tokens()[:2], torch.tensor([[True] * 4, [False] * 4]))
