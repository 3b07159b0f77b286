"""DSANet's modules against slow loops: attention (TLM), frame weights (FWG), camera branch (CEL), aggregation (SAO)."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from unbraid.batch import Batch, Clip
from unbraid.methods.dsanet.model import EPSILON, DSANet, DSANetConfig, Localise, quality_weights

TINY = DSANetConfig(trunk="small-4", pretrained=False)
CLASSES = {"identity": 3, "camera": 2}


def method_of(seed: int = 0, **switches: Any) -> DSANet:
    """A tiny DSANet in test mode whose norms hold random statistics, so that no part is an identity."""
    torch.manual_seed(seed)
    method = DSANet(replace(TINY, **switches), classes=CLASSES).eval()
    for module in method.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return method


def clip_of(rows: int = 4, frames: int = 3, seed: int = 0) -> Clip:
    return Clip.of(torch.randn(rows, frames, 3, 64, 32, generator=torch.Generator().manual_seed(seed)))


def batch_of(clip: Clip) -> Batch:
    rows = len(clip.frames)
    labels = {"identity": torch.arange(rows) // 2, "camera": torch.arange(rows) % 2}
    return Batch(clip, labels, [str(i) for i in range(rows)])


def attention_by_loop(x: np.ndarray, kernels: list[np.ndarray], softmax: str) -> np.ndarray:
    """Eqs. (2) and (3) for one map C h w: three windows, each padded with zeros on its own."""
    height, width = x.shape[1:]
    total = np.zeros((height, width))
    for start, kernel in zip((0, width // 4, width // 2), kernels, strict=True):
        window = x[:, :, start : start + width // 2]
        pooled = np.stack([window.max(0), window.mean(0)])
        score = np.zeros(pooled.shape[1:])
        reach = kernel.shape[1] // 2
        for i in range(score.shape[0]):
            for j in range(score.shape[1]):
                for a in range(-reach, reach + 1):
                    for b in range(-reach, reach + 1):
                        if 0 <= i + a < score.shape[0] and 0 <= j + b < score.shape[1]:
                            score[i, j] += kernel[:, a + reach, b + reach] @ pooled[:, i + a, j + b]
        if softmax == "sigmoid":
            map_ = 1 / (1 + np.exp(-score))
        else:
            axis = 1 if softmax == "width" else None
            map_ = np.exp(score) / np.exp(score).sum(axis=axis, keepdims=True)
        total[:, start : start + width // 2] += map_
    return total


@pytest.mark.parametrize("softmax", ["window", "width", "sigmoid"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("kernel", "shape"), [(7, (16, 8)), (3, (5, 12))])
def test_attention_equals_loop(softmax: Any, shared: bool, kernel: int, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    config = replace(TINY, localise_softmax=softmax, localise_shared=shared, localise_kernel=kernel)
    localise = Localise(config).double()
    x = torch.rand(2, 6, *shape, dtype=torch.float64)
    kernels = [c.weight.detach().numpy()[0] for c in localise.convs]
    assert len(kernels) == (1 if shared else 3)
    map_ = localise.attention(x)
    assert map_.shape == (2, 1, *shape)
    for row in range(2):
        expected = attention_by_loop(x[row].numpy(), kernels * 3 if shared else kernels, softmax)
        np.testing.assert_allclose(map_[row, 0].detach().numpy(), expected, rtol=1e-10)
    # eq. (4)
    torch.testing.assert_close(localise(x), map_ * x + x)


def test_attention_of_a_frame_sums_to_three() -> None:
    torch.manual_seed(0)
    map_ = Localise(TINY).attention(3 * torch.randn(5, 32, 16, 8).relu())
    torch.testing.assert_close(map_.sum((1, 2, 3)), torch.full((5,), 3.0))


def test_windows_of_an_even_map() -> None:
    # a constant map has constant windows but for their borders: with kernel 1 every window of 16 x 4 is 1/64
    localise = Localise(replace(TINY, localise_kernel=1))
    row = localise.attention(torch.ones(1, 4, 16, 8))[0, 0, 0] * 64
    torch.testing.assert_close(row, torch.tensor([1.0, 1, 2, 2, 2, 2, 1, 1]))


@pytest.mark.parametrize("width", [2, 6, 7, 10])
def test_attention_needs_a_width_divisible_by_four(width: int) -> None:
    with pytest.raises(ValueError) as error:
        Localise(TINY).attention(torch.ones(1, 4, 8, width))
    assert str(error.value) == (
        f"dsanet: the last feature map is 8 x {width}; its width must be divisible by 4. "
        f"Choose --data.width accordingly, or --config.no-localise"
    )


SCORE = torch.tensor([[0.5, 2.0, 1.0], [3.0, 3.0, 3.0]])
ALL = torch.ones(2, 3, dtype=torch.bool)


def test_softmax_weights_are_softmax_of_minus_score() -> None:
    expected = [[math.exp(-v) for v in row] for row in SCORE.tolist()]
    expected = [[v / sum(row) for v in row] for row in expected]
    torch.testing.assert_close(quality_weights(SCORE, ALL, "softmax"), torch.tensor(expected))


def test_sum_weights_by_hand() -> None:
    # differences to the worst frame: 1.5, 0, 1 and 0, 0, 0
    weights = quality_weights(SCORE, ALL, "sum")
    torch.testing.assert_close(weights, torch.tensor([[0.6, 0.0, 0.4], [1 / 3] * 3]), rtol=1e-5, atol=1e-6)
    assert weights[0, 1].item() == pytest.approx(EPSILON / 2.5, rel=1e-3)


@pytest.mark.parametrize("normaliser", ["softmax", "sum"])
def test_weights_without_a_choice(normaliser: str) -> None:
    alone = quality_weights(torch.tensor([[7.0]]), torch.ones(1, 1, dtype=torch.bool), normaliser)
    torch.testing.assert_close(alone, torch.ones(1, 1))
    equal = quality_weights(torch.full((1, 4), 2.5), torch.ones(1, 4, dtype=torch.bool), normaliser)
    torch.testing.assert_close(equal, torch.full((1, 4), 0.25))


@pytest.mark.parametrize("normaliser", ["softmax", "sum"])
def test_padded_frames_weigh_nothing(normaliser: str) -> None:
    score = torch.tensor([[1.0, 2.0, 99.0], [4.0, -50.0, -99.0]])
    valid = torch.tensor([[True, True, False], [True, False, False]])
    weights = quality_weights(score, valid, normaliser)
    assert (weights[~valid] == 0).all()
    torch.testing.assert_close(weights[:1, :2], quality_weights(score[:1, :2], valid[:1, :2], normaliser))
    torch.testing.assert_close(weights[1, 0], torch.tensor(1.0))


@pytest.mark.parametrize("normaliser", ["softmax", "sum"])
def test_gradient_of_weights(normaliser: str) -> None:
    score = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    valid = torch.tensor([[True] * 4, [True, True, False, True], [True, True, True, True]])
    assert torch.autograd.gradcheck(lambda s: quality_weights(s, valid, normaliser), (score,))


def test_training_starts_from_the_mean_of_frames() -> None:
    method, clip = DSANet(TINY, classes=CLASSES).eval(), clip_of()
    frames, _ = method._frames(method._stages(clip)[1])
    identity = method(batch_of(clip))["identity"]
    torch.testing.assert_close(identity, frames.mean(1), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(method.frame_weights(clip), torch.full((4, 3), 1 / 3), rtol=0, atol=1e-3)


@pytest.mark.parametrize("weigh", [True, False])
def test_identity_equals_loop(weigh: bool) -> None:
    method, clip = method_of(weigh=weigh), clip_of()
    clip = Clip(clip.frames, torch.tensor([[True] * 3, [True] * 3, [True, True, False], [True, False, False]]))
    if weigh:
        torch.nn.init.normal_(method.frame_score.weight)
    for row in range(4):
        number = int(clip.valid[row].sum())
        vectors, scores = [], []
        for t in range(number):
            last = method.trunk(clip.frames[row, t : t + 1])[1]
            frame = method.localise(last)[0].flatten(1).max(1).values
            vectors.append(frame)
            if weigh:
                scores.append((method.frame_score.weight[0, :, 0] @ frame + method.frame_score.bias[0]).item())
        share = [math.exp(-s + min(scores)) for s in scores] if weigh else [1.0] * number
        expected = sum((s / sum(share) * v for s, v in zip(share, vectors, strict=True)), torch.zeros(()))
        neck = method.identity_head.neck
        scaled = (expected - neck.running_mean) / (neck.running_var + 1e-5).sqrt() * neck.weight
        actual = method.encode(clip)["identity"][row]
        torch.testing.assert_close(actual, scaled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", ["norm", "norm_relu", "plain"])
@pytest.mark.parametrize("pool", ["all", "space_then_time"])
def test_camera_equals_loop(layer: Any, pool: Any) -> None:
    method, clip = method_of(camera_layer=layer, camera_pool=pool), clip_of(2)
    valid = torch.tensor([[True, True, True], [True, False, True]])
    middle, _ = method._stages(clip)
    weight = method.camera_layer[0].weight[:, :, 0, 0]
    per_frame = torch.zeros(2, 3, 32)
    for row in range(2):
        for t in range(3):
            map_ = weight @ middle[row, t].flatten(1)  # a 1x1 convolution mixes channels only
            if layer != "plain":
                norm = method.camera_layer[1]
                map_ = (map_ - norm.running_mean[:, None]) / (norm.running_var[:, None] + 1e-5).sqrt()
                map_ = map_.clamp_min(0) if layer == "norm_relu" else map_
            per_frame[row, t] = map_.max(1).values
    expected = [[per_frame[row, t] for t in range(3) if valid[row, t]] for row in range(2)]
    joined = [torch.stack(own).max(0).values if pool == "all" else sum(own) / len(own) for own in expected]
    actual = method._camera(middle, valid)
    torch.testing.assert_close(actual, torch.stack(joined), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("neck", [True, False])
@pytest.mark.parametrize("by", ["sum", "mean"])
def test_aggregation_pairs_clips_at_random(by: Any, neck: bool) -> None:
    method, batch = method_of(aggregate_by=by, neck=neck), batch_of(clip_of(6))
    torch.manual_seed(5)
    out = method(batch)
    torch.manual_seed(5)
    pairing = torch.randperm(6)
    factor = 0.5 if by == "mean" else 1.0
    head = method.identity_head.classify
    for row in range(6):
        joined = factor * (out["identity_neck"][row] + out["camera_neck"][pairing[row]])
        expected = head.weight @ joined + (0 if neck else head.bias)
        torch.testing.assert_close(out["augmented_logits"][row], expected, rtol=1e-4, atol=1e-6)
    if not neck:
        assert torch.equal(out["identity_neck"], out["identity"])


@pytest.mark.parametrize("detach", [True, False])
def test_aggregation_teaches_the_camera_branch_unless_detached(detach: bool) -> None:
    method, batch = method_of(aggregate_detach_camera=detach), batch_of(clip_of())
    loss = F.cross_entropy(method(batch)["augmented_logits"], batch.labels["identity"])
    camera, identity, trunk = torch.autograd.grad(
        loss,
        [method.camera_layer[0].weight, method.identity_head.classify.weight, method.trunk.late.conv1.weight],
        allow_unused=True,
    )
    assert (camera is None) == detach
    assert identity.abs().sum() > 0
    assert trunk.abs().sum() > 0


def test_quality_target_teaches_nothing() -> None:
    method, batch = method_of(), batch_of(clip_of())
    quality = method.losses(method(batch), batch)["quality"]
    names = {n: p for n, p in method.named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(quality, list(names.values()), allow_unused=True)
    reached = {n for n, g in zip(names, grads, strict=True) if g is not None}
    assert not {n for n in reached if n.startswith("frame_head")}
    assert {"frame_score.weight", "trunk.late.conv1.weight"} <= reached


def test_frame_term_teaches_the_frame_head_and_the_trunk() -> None:
    method, batch = method_of(), batch_of(clip_of())
    frame = method.losses(method(batch), batch)["frame"]
    head, score, trunk = torch.autograd.grad(
        frame,
        [method.frame_head.classify.weight, method.frame_score.weight, method.trunk.late.conv1.weight],
        allow_unused=True,
    )
    assert head.abs().sum() > 0
    assert trunk.abs().sum() > 0
    assert score is None


def test_heat_of_identity_by_loop() -> None:
    method, clip = method_of(), clip_of(2)
    heat = method.heat(clip)
    assert set(heat) == {"identity", "camera"}
    assert set(method_of(camera=False, aggregate=False).heat(clip)) == {"identity"}
    maps = method.localise(method.trunk(clip.frames.flatten(0, 1))[1]).detach()
    lengths = method.identity_head.normalise(maps.amax((2, 3))).abs()
    weights = method.frame_weights(clip).flatten()
    slow = torch.zeros(6, 8, 4)
    for frame, channel in np.ndindex(6, maps.shape[1]):
        best = max((float(maps[frame, channel, y, x]), -y, -x) for y in range(8) for x in range(4))
        slow[frame, -best[1], -best[2]] += weights[frame] * lengths[frame, channel]
    torch.testing.assert_close(heat["identity"], slow.view(2, 3, 8, 4), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pool", ["all", "space_then_time"])
def test_heat_of_a_clip_adds_up_to_the_length_of_its_space(pool: str) -> None:
    method = method_of(camera_pool=pool)
    frames = torch.randn(2, 3, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    valid = torch.tensor([[True, True, True], [True, True, False]])
    heat, spaces = method.heat(Clip(frames, valid)), method.encode(Clip(frames, valid))
    # the camera vector is one maximum per channel, so every unit of its length has exactly one cell
    if pool == "all":
        torch.testing.assert_close(heat["camera"].sum((1, 2, 3)), spaces["camera"].abs().sum(1))
    assert (heat["camera"][1, 2] == 0).all()
    assert (heat["identity"][1, 2] == 0).all()
    assert (heat["identity"].sum((1, 2, 3)) >= spaces["identity"].abs().sum(1) - 1e-4).all()
