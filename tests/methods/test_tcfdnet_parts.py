"""The parts of TCFDNet, equation by equation, against slow loops and torch's own attention."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.tcfdnets import some
from unbraid.methods.tcfdnet.disentangle import UNKNOWN, TextGuidedSplit, TextMemory
from unbraid.methods.tcfdnet.enhance import FeatureSelection
from unbraid.methods.tcfdnet.exchange import exchanged, partners, regions
from unbraid.methods.tcfdnet.fusion import Adapter, CrossAttention, MultiGrainedFusion, SpatialWeighting


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


# --- adapters ---


def test_a_fresh_adapter_changes_nothing() -> None:
    x = some(2, 5, 8)
    assert torch.equal(Adapter(8, 4, residual=True)(x), x)
    assert not torch.equal(Adapter(8, 4, residual=False)(x), x)


@pytest.mark.parametrize("residual", [True, False])
def test_adapter(residual: bool) -> None:
    adapter, x = Adapter(8, 4, residual=residual).double(), some(3, 8).double()
    first, _, last = adapter.layers
    torch.nn.init.normal_(last.weight)
    mean, spread = x.mean(1, keepdim=True), x.var(1, unbiased=False, keepdim=True)
    inner = ((x - mean) / (spread + 1e-5).sqrt()) @ first.weight.T + first.bias
    gelu = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
    expected = gelu @ last.weight.T + last.bias + (x if residual else 0)
    torch.testing.assert_close(adapter(x), expected)


# --- multi-grained fusion ---


def attention(layer: CrossAttention, queries: Tensor, context: Tensor) -> Tensor:
    """torch's own multi-head attention with the layer's weights."""
    width = queries.shape[2]
    return F.multi_head_attention_forward(
        queries.transpose(0, 1), context.transpose(0, 1), context.transpose(0, 1), width, layer.heads,
        None, None, None, None, False, 0.0, layer.out.weight, None, training=False, need_weights=False,
        use_separate_proj_weight=True, q_proj_weight=layer.query.weight, k_proj_weight=layer.key.weight,
        v_proj_weight=layer.value.weight,
    )[0].transpose(0, 1)  # fmt: skip


def test_cross_attention_is_torchs() -> None:
    layer = CrossAttention(8, 4)
    queries, context = some(2, 6, 8), some(2, 3, 8, seed=1)
    torch.testing.assert_close(layer(queries, context), attention(layer, queries, context))


def test_cross_attention_by_hand() -> None:
    # eq. (5) written out for one head after another
    layer, heads = CrossAttention(6, 2).double(), []
    queries, context = some(1, 4, 6).double(), some(1, 3, 6, seed=1).double()
    q, k, v = layer.query(queries)[0], layer.key(context)[0], layer.value(context)[0]
    for head in range(2):
        own = slice(3 * head, 3 * head + 3)
        heads.append(torch.softmax(q[:, own] @ k[:, own].T / math.sqrt(3), 1) @ v[:, own])
    expected = torch.cat(heads, 1) @ layer.out.weight.T
    torch.testing.assert_close(layer(queries, context)[0], expected)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_fusion(layers: int, residual: bool) -> None:
    fusion = MultiGrainedFusion(8, layers=layers, heads=2, residual=residual)
    torch.nn.init.normal_(fusion.out.weight)
    tokens, local = some(2, 5, 8), some(2, 8, 3, 4, seed=1)
    g, f, total = tokens, local.flatten(2).transpose(1, 2), 0
    for number in range(layers):
        new_f = attention(fusion.local[number], f, g)
        if number < layers - 1:
            new_g = attention(fusion.whole[number], g, f)
            g = new_g + g if residual else new_g
        f = new_f + f if residual else new_f
        total = total + f
    flat = F.layer_norm(total, (8,), fusion.norm.weight, fusion.norm.bias) @ fusion.out.weight.T + fusion.out.bias
    expected = torch.stack([flat[:, cell] for cell in range(12)], 2).view(2, 8, 3, 4) + (local if residual else 0)
    torch.testing.assert_close(fusion(tokens, local), expected)


def test_a_residual_fusion_adds_nothing_at_first() -> None:
    local = some(2, 8, 3, 4)
    assert torch.equal(MultiGrainedFusion(8, layers=2, heads=2, residual=True)(some(2, 5, 8), local), local)


def test_fusion_has_no_part_that_nothing_reads() -> None:
    fusion = MultiGrainedFusion(8, layers=2, heads=2, residual=False)
    fusion(some(2, 5, 8), some(2, 8, 3, 4)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in fusion.parameters())


# --- spatial weighting ---


def test_spatial_weighting() -> None:
    weigh, x = SpatialWeighting(4, 3, slope=0.1, even=False), some(5, 4, 2, 3)
    found = weigh(x)
    assert found.shape == (5, 1, 2, 3)
    first, norm, _, last = weigh.layers
    inner = torch.einsum("bdhw,ed->behw", x, first.weight[:, :, 0, 0])
    mean, spread = inner.mean((0, 2, 3), keepdim=True), inner.var((0, 2, 3), unbiased=False, keepdim=True)
    normal = (inner - mean) / (spread + norm.eps).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
    bent = torch.where(normal > 0, normal, 0.1 * normal)
    expected = torch.einsum("behw,e->bhw", bent, last.weight[0, :, 0, 0])
    torch.testing.assert_close(found[:, 0], expected)
    assert float(found.detach().min()) < 0 or float(found.detach().max()) > 1, "no sigmoid bounds it"


def test_even_weighting_changes_nothing_at_first_and_learns() -> None:
    weigh, x = SpatialWeighting(4, 3, slope=0.1, even=True), some(5, 4, 2, 3)
    found = weigh(x)
    assert torch.equal(found, torch.ones(5, 1, 2, 3))
    (found * some(5, 1, 2, 3, seed=1)).sum().backward()
    assert bool(weigh.layers[3].weight.grad.any())


# --- the dictionary ---


def memory_of(number: int = 6, width: int = 8, *, learned: bool = False) -> tuple[TextMemory, dict[str, Tensor]]:
    adapter = Adapter(width, 4, residual=True)
    torch.nn.init.normal_(adapter.layers[2].weight)
    memory = TextMemory(("silhouette", "depth"), number, width, adapter, learned=learned)
    texts = {name: some(number, width, seed=seed) for seed, name in enumerate(("silhouette", "depth"))}
    if not learned:
        memory.fill(texts)
    return memory, texts


@pytest.mark.parametrize("learned", [False, True])
def test_retrieval_against_a_loop(learned: bool) -> None:
    memory, texts = memory_of(learned=learned)
    if learned:
        texts = dict(zip(("silhouette", "depth"), memory.prototypes, strict=True))
    adapted = [[memory.adapter(v).detach().numpy() for v in texts[name]] for name in ("silhouette", "depth")]
    whole = some(5, 8, seed=9)
    place = torch.tensor([0, 1, 1, UNKNOWN, 0])
    found = memory(whole, place, 3).detach().numpy()
    for row in range(5):
        among = [*adapted[0], *adapted[1]] if place[row] == UNKNOWN else adapted[int(place[row])]
        x = whole[row].numpy()
        cosines = [float(x @ v / np.linalg.norm(x) / np.linalg.norm(v)) for v in among]
        best = sorted(range(len(among)), key=lambda n: -cosines[n])[:3]
        np.testing.assert_allclose(found[row], np.stack([among[n] for n in best]), rtol=1e-4, atol=1e-5)


def test_retrieval_knows_no_lengths() -> None:
    memory, texts = memory_of()
    torch.nn.init.zeros_(memory.adapter.layers[2].weight)
    place, whole = torch.tensor([0, 1]), some(2, 8, seed=9)
    before = F.normalize(memory(whole, place, 3), dim=2)
    memory.fill({name: value * torch.arange(1, 7)[:, None] for name, value in texts.items()})
    torch.testing.assert_close(F.normalize(memory(7 * whole, place, 3), dim=2), before)


def test_retrieved_texts_teach_their_adapter_and_no_others() -> None:
    memory, _ = memory_of(learned=True)
    memory(some(1, 8, seed=9), torch.tensor([1]), 2).square().sum().backward()
    reached = memory.prototypes.grad.abs().sum(2) > 0
    assert reached.sum(1).tolist() == [0, 2]
    assert memory.adapter.layers[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: {"silhouette": t["silhouette"]}, "needs texts about 'depth'; it was given some about"),
        (lambda t: t | {"depth": t["depth"][:3]}, r"needs 6 texts about 'depth', vectors of 8 numbers, and got 3 of 8"),
        (lambda t: t | {"depth": t["depth"][:, :4]}, r"set config\.rounds to texts / 8 and config\.text_width"),
        (lambda t: t | {"depth": torch.zeros(6, 8)}, "'depth' has a vector of zeros"),
        (lambda t: t | {"depth": torch.full((6, 8), torch.nan)}, "not finite"),
    ],
)
def test_texts_that_do_not_fit(change, said: str) -> None:
    memory, texts = memory_of()
    with pytest.raises(ValueError, match=said):
        memory.fill(change(texts))


def test_an_empty_dictionary_is_no_dictionary() -> None:
    memory = TextMemory(("silhouette", "depth"), 6, 8, Adapter(8, 4, residual=True), learned=False)
    with pytest.raises(ValueError, match="the dictionary of tcfdnet is empty"):
        memory(some(1, 8), torch.tensor([0]), 2)
    learned = memory_of(learned=True)[0]
    assert not list(learned.buffers())
    with pytest.raises(ValueError, match="retrieves from no texts"):
        learned.fill({})


# --- disentanglement ---


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_split_against_a_loop(temperature: float) -> None:
    split = TextGuidedSplit(6, gate_hidden=5, gate_bias=-2.0, temperature=temperature)
    x, texts = some(2, 6, 2, 3), some(2, 4, 6, seed=1)
    found = split(x, texts)
    for row in range(2):
        unit = [split.project(v).detach().numpy() for v in texts[row]]
        unit = [v / np.linalg.norm(v) for v in unit]
        gate = torch.sigmoid(split.gate(x[row].flatten(1).mean(1))).detach().numpy()
        np.testing.assert_allclose(found.gate[row].detach().numpy(), gate, rtol=1e-4)
        for i in range(2):
            for j in range(3):
                cell = x[row, :, i, j].numpy()
                cosines = np.array([cell @ v / np.linalg.norm(cell) for v in unit]) / temperature
                shares = np.exp(cosines) / np.exp(cosines).sum()
                mixed = sum(share * v for share, v in zip(shares, unit, strict=True))
                whole = split.back(torch.tensor(mixed)).detach().numpy()
                part = found.specific[row, :, i, j].detach().numpy()
                np.testing.assert_allclose(part, gate * whole, rtol=1e-4, atol=1e-5)
                rest = found.shared[row, :, i, j].detach().numpy()
                np.testing.assert_allclose(rest, cell - gate * whole, rtol=1e-4, atol=1e-5)


def test_the_gate_starts_nearly_closed() -> None:
    split = TextGuidedSplit(64, gate_hidden=16, gate_bias=-2.0, temperature=1.0)
    gate = split(some(8, 64, 4, 4), some(8, 4, 64, seed=1)).gate
    assert 0.08 < float(gate.detach().mean()) < 0.17


def test_affinity_without_temperature_is_nearly_uniform() -> None:
    # cosines lie in -1..1, so that no share is above e² times another
    split = TextGuidedSplit(32, gate_hidden=4, gate_bias=-2.0, temperature=1.0)
    shares, prototypes = split.affinity(some(2, 32, 4, 4), some(2, 16, 32, seed=1))
    torch.testing.assert_close(shares.sum(2), torch.ones(2, 16))
    torch.testing.assert_close(prototypes.norm(dim=2), torch.ones(2, 16))
    assert float((shares.amax(2) / shares.amin(2)).detach().max()) < math.e**2


def test_a_map_of_zeros_is_finite() -> None:
    split = TextGuidedSplit(6, gate_hidden=5, gate_bias=-2.0, temperature=1.0)
    x = torch.zeros(1, 6, 2, 2, requires_grad=True)
    found = split(x, some(1, 4, 6))
    found.shared.sum().backward()
    assert torch.isfinite(found.shared).all()
    assert torch.isfinite(x.grad).all()


# --- feature selection ---


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
@pytest.mark.parametrize("size", [(4, 4), (5, 3)])
def test_feature_selection(kind, size: tuple[int, int]) -> None:
    select, x = FeatureSelection(6, size, hidden=3, slope=0.1, kind=kind, even=False), some(2, 6, *size)
    found = select(x).detach().numpy()
    reduced = F.conv2d(x, select.reduce.weight, select.reduce.bias, stride=2, padding=1)
    assert tuple(reduced.shape[2:]) == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    first, _, last = select.narrow
    inner = reduced.flatten(1) @ first.weight.T + first.bias
    whole = (torch.where(inner > 0, inner, 0.1 * inner) @ last.weight.T + last.bias).detach().numpy()
    kernel, bias = select.mix.weight[0, 0].detach().numpy(), float(select.mix.bias.detach())
    for row in range(2):
        padded = [0.0, *whole[row], 0.0]
        mixed = np.array([sum(kernel[k] * padded[c + k] for k in range(3)) + bias for c in range(6)])
        expected = 1 / (1 + np.exp(-mixed)) if kind == "sigmoid" else 6 * np.exp(mixed) / np.exp(mixed).sum()
        np.testing.assert_allclose(found[row], expected, rtol=1e-4)


@pytest.mark.parametrize(("kind", "value"), [("sigmoid", 0.5), ("softmax", 1.0)])
def test_even_selection_weighs_channels_alike_at_first_and_learns(kind, value: float) -> None:
    select, x = FeatureSelection(6, (4, 4), hidden=3, slope=0.1, kind=kind, even=True), some(2, 6, 4, 4)
    found = select(x)
    assert torch.equal(found, torch.full((2, 6), value))
    (found * some(2, 6, seed=1)).sum().backward()
    assert bool(select.narrow[2].weight.grad.any())


# --- patch exchange ---


def test_pairs_swap_the_same_regions_in_all_frames() -> None:
    frames = some(6, 3, 2, 8, 8)
    found = exchanged(frames, torch.tensor([2, 3, 2, 3, 2, 3]), probability=1.0, cell=4, most=3)
    for pair in range(3):
        a, b = 2 * pair, 2 * pair + 1
        swapped = 0
        for i in range(0, 8, 4):
            for j in range(0, 8, 4):
                box = (..., slice(i, i + 4), slice(j, j + 4))
                kept = torch.equal(found[a][box], frames[a][box]) and torch.equal(found[b][box], frames[b][box])
                other = torch.equal(found[a][box], frames[b][box]) and torch.equal(found[b][box], frames[a][box])
                assert kept != other
                swapped += other
        assert 1 <= swapped <= 3


def test_numbers_of_regions_and_of_pairs() -> None:
    chosen = regions(4000, (4, 4), probability=0.5, most=4, device=torch.device("cpu"))
    number = chosen.sum((1, 2))
    shares = [float((number == n).float().mean()) for n in range(5)]
    assert shares[0] == pytest.approx(0.5, abs=0.03)
    assert shares[1:] == pytest.approx([0.125] * 4, abs=0.02)
    places = chosen.float().mean(0)
    assert places.min() == pytest.approx(float(places.max()), rel=0.25)


def test_nothing_is_exchanged_at_probability_0() -> None:
    frames = some(2, 1, 1, 8, 8)
    assert torch.equal(exchanged(frames, torch.tensor([2, 3]), probability=0.0, cell=4, most=2), frames)


def test_exchange_does_not_change_its_argument() -> None:
    frames = some(2, 1, 1, 8, 8)
    before = frames.clone()
    exchanged(frames, torch.tensor([2, 3]), probability=1.0, cell=4, most=2)
    assert torch.equal(frames, before)


@pytest.mark.parametrize("modality", [[2, 2, 3, 3], [2, 3, 2], [0, 0]])
def test_exchange_needs_pairs_of_two_sensors(modality: list[int]) -> None:
    with pytest.raises(ValueError, match=r"rows 2i and 2i \+ 1; got modalities .*Name the label of walks in data"):
        exchanged(some(len(modality), 1, 1, 8, 8), torch.tensor(modality), probability=1.0, cell=4, most=2)


def test_partners() -> None:
    assert partners(torch.tensor([5, 6, 7, 8])).tolist() == [6, 5, 8, 7]
