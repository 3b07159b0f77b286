"""DisenQ as a whole: what each group sees, where gradients go, what is computed, and how two people are compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unbraid.batch import Batch, Clip, Text
from unbraid.method import cosine
from unbraid.methods.disenq.config import DisenqConfig, DisenqWeights
from unbraid.methods.disenq.model import Disenq
from unbraid.spaces import Spaces

CLASSES = {"identity": 4, "action": 3, "actions": 5}
E = 12
ONES = DisenqWeights(identity=1.0, triplet=1.0, orthogonality=1.0, action=1.0)
TINY = DisenqConfig(
    trunk="test_vit", pretrained=False, chunk=5, pooling_hidden=8, positions=4, width=24, layers=3, heads=4, inner=32,
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


# --- what each group sees ---


@pytest.mark.parametrize("reader", ["shared", "independent"])
def test_a_group_sees_its_own_texts_alone(reader: str) -> None:
    method = shaken(made(reader=reader)).eval()
    batch = batch_of(method)
    before = method(batch)
    for group, aspect in ASPECTS.items():
        after = method(other_text(batch, aspect))
        unchanged = [g for g in ASPECTS if g != group]
        assert same(before, after, unchanged) == [True, True]
        assert not torch.allclose(before[group], after[group])


def test_queries_of_a_group_change_no_other() -> None:
    method = shaken(made()).eval()
    clip = batch_of(method).clip
    before = method.encode(clip)
    with torch.no_grad():
        method.reader.queries_of("motion").add_(1)
    after = method.encode(clip)
    assert same(before, after, ["identity", "motion", "appearance"]) == [True, False, True]


def test_groups_that_start_equal_are_told_apart_by_their_texts_alone() -> None:
    method = made(query_noise=0.0).eval()
    batch = batch_of(method)
    out, bare = method(batch), method.encode(batch.clip)
    assert torch.equal(bare["motion"], bare["appearance"])
    assert not torch.allclose(out["motion"], out["appearance"])


@pytest.mark.parametrize("pooling", ["frame", "token", "frames", "both"])
def test_queries_of_groups_read_different_things_without_text(pooling: str) -> None:
    # with a single token softmax over one key is 1: every query would read the same
    method = made(pooling=pooling)
    tokens, _, _ = method._clips(batch_of(method).clip)
    cells = 1 + 2 * 2
    assert tokens.shape[1] == {"frame": cells, "token": cells, "frames": 2, "both": cells + 2}[pooling]
    look = method.reader.attention(tokens, None, groups=("identity", "motion"))
    assert (look["identity"] - look["motion"]).abs().max() > 1e-4


def test_without_text_is_the_same_as_masked_text_and_as_recognition() -> None:
    method = shaken(made()).eval()
    batch = batch_of(method)
    mute = {a: replace(t, mask=torch.zeros_like(t.mask)) for a, t in batch.text.items()}
    hidden, bare, spaces = method(replace(batch, text=mute)), method(replace(batch, text={})), method.encode(batch.clip)
    for group in ASPECTS:
        torch.testing.assert_close(hidden[group], bare[group], rtol=0, atol=1e-6)
        torch.testing.assert_close(spaces[group], bare[group], rtol=0, atol=1e-6)
    assert not torch.allclose(method(batch)["identity"], bare["identity"], atol=1e-3)


def test_slots_of_the_body_stand_behind_each_other() -> None:
    method = made(identity_texts=("build", "limbs"))
    assert method.aspects == ("build", "limbs", "motion", "clothing")
    batch = batch_of(method)
    text = method.texts(batch)["identity"]
    assert torch.equal(text.tokens, torch.cat([batch.text["build"].tokens, batch.text["limbs"].tokens], 1))
    assert torch.equal(text.mask, torch.cat([batch.text["build"].mask, batch.text["limbs"].mask], 1))


# --- texts in training ---


def test_text_dropout_drops_all_texts_of_a_clip_together() -> None:
    method = made(text_dropout=0.5).train()
    batch = batch_of(method, rows=200)
    torch.manual_seed(0)
    found = method.texts(batch)
    masks = torch.stack([text.mask.any(1) for text in found.values()], 1)
    assert ((masks.sum(1) == 0) | (masks.sum(1) == 3)).all()
    assert 0.4 < masks[:, 0].float().mean() < 0.6
    kept = masks[:, 0]
    assert torch.equal(found["motion"].mask[kept], batch.text["motion"].mask[kept])
    # never when measuring
    assert all(torch.equal(t.mask, batch.text[ASPECTS[g]].mask) for g, t in method.eval().texts(batch).items())


def test_random_clothing_is_that_of_other_clips() -> None:
    method = made(random_texts=("clothing",)).train()
    batch = batch_of(method, rows=50)
    found = method.texts(batch)
    mixed, own = found["appearance"].tokens, batch.text["clothing"].tokens
    assert torch.equal(mixed.sum((1, 2)).sort()[0], own.sum((1, 2)).sort()[0])
    assert (mixed == own).all(2).all(1).sum() < 10
    assert torch.equal(found["identity"].tokens, batch.text["biometric"].tokens)
    assert torch.equal(method.eval().texts(batch)["appearance"].tokens, own)


def test_the_running_average_of_biometric_texts() -> None:
    method = made(averaging="running").train()
    batch = batch_of(method)
    found = method.texts(batch)["identity"]
    text = batch.text["biometric"]
    unit = F.normalize(torch.stack([t[m].mean(0) for t, m in zip(text.tokens, text.mask, strict=True)]), dim=1)
    for row, who in enumerate(batch.labels["identity"].tolist()):
        want = F.normalize(unit[batch.labels["identity"] == who].mean(0), dim=0)
        torch.testing.assert_close(found.tokens[row, 0], want)
    # measuring reads it and leaves it as it is
    counted = method.texts.average.count.clone()
    method.eval()(batch)
    assert torch.equal(method.texts.average.count, counted)
    assert int(counted.sum()) == 8


def test_texts_that_do_not_fit() -> None:
    method = made()
    batch = batch_of(method)
    with pytest.raises(ValueError, match=r"texts about 'motion', but the batch has \['biometric', 'clothing'\]"):
        method(replace(batch, text={a: t for a, t in batch.text.items() if a != "motion"}))
    with pytest.raises(ValueError, match=r"have vectors of 7 numbers and config.text_width is 12"):
        method(replace(batch, text={a: replace(t, tokens=t.tokens[..., :7]) for a, t in batch.text.items()}))


# --- the loss ---


def test_terms_by_hand() -> None:
    method = shaken(made()).train()
    batch = batch_of(method)
    out = method(batch)
    terms = method.losses(out, batch)
    identity, raw = batch.labels["identity"], out["raw"].detach()
    normal = (raw - raw.mean(0)) / (raw.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(out["identity"], normal, rtol=1e-3, atol=1e-4)
    shares = (normal @ method.head.classify.weight.T).log_softmax(1)
    torch.testing.assert_close(terms["identity"], -shares[torch.arange(8), identity].mean(), rtol=1e-3, atol=1e-4)
    # the hardest positive and negative of each clip, on the feature before the neck, not normalised
    rows = []
    for a in range(8):
        far = max(float((raw[a] - raw[b]).norm()) for b in range(8) if b != a and identity[b] == identity[a])
        near = min(float((raw[a] - raw[b]).norm()) for b in range(8) if identity[b] != identity[a])
        rows.append(max(far - near + 0.3, 0))
    assert float(terms["triplet"].detach()) == pytest.approx(sum(rows) / 8, rel=1e-3)
    cosines = [abs(float(F.cosine_similarity(raw[i], out["appearance"][i].detach(), dim=0))) for i in range(8)]
    assert float(terms["orthogonality"].detach()) == pytest.approx(sum(cosines) / 8, rel=1e-4)
    doing = (out["motion"] @ method.act.weight.T + method.act.bias).log_softmax(1)
    torch.testing.assert_close(terms["action"], -doing[torch.arange(8), batch.labels["action"]].mean())


def test_the_gate_learns_from_pairs() -> None:
    method = shaken(made()).train()
    batch = batch_of(method)
    out = method(batch)
    value = method.losses(out, batch)["gate"]
    kinds: dict[bool, list[float]] = {True: [], False: []}
    spaces = [out["identity"].detach(), out["motion"].detach()]
    g = out["shares"].tolist()
    for a in range(8):
        for b in range(8):
            if a == b:
                continue
            parts = [float(F.cosine_similarity(x[a], x[b], dim=0)) for x in spaces]
            alike = sum((g[a][i] + g[b][i]) / 2 * parts[i] for i in range(2))
            pair = bool(batch.labels["identity"][a] == batch.labels["identity"][b])
            kinds[pair].append(math.log(1 + math.exp((-1 if pair else 1) * 10 * (alike - 0.5))))
    want = (sum(kinds[True]) / len(kinds[True]) + sum(kinds[False]) / len(kinds[False])) / 2
    assert float(value.detach()) == pytest.approx(want, rel=1e-4)
    # and changes nothing but itself: the stated losses stay what they are
    assert {n.split(".")[0] for n in reached(value, method)} == {"gate", "slope", "offset"}
    for name, term in method.losses(out, batch).items():
        if name != "gate":
            assert not {n for n in reached(term, method) if n.startswith(("gate", "slope", "offset"))}


def test_terms_teach_the_groups_they_should() -> None:
    method = shaken(made()).train()
    batch = batch_of(method)
    terms = method.losses(method(batch), batch)
    taught = {
        name: {n.rsplit(".", 1)[1] for n in reached(term, method) if ".queries." in n} for name, term in terms.items()
    }
    assert taught == {
        "identity": {"identity"},
        "triplet": {"identity"},
        "orthogonality": {"identity", "appearance"},
        "action": {"motion"},
        "gate": set(),
    }


def test_orthogonality_grows() -> None:
    method, whole = made(orthogonality_steps=4).train(), made().train()
    batch = batch_of(method)
    full = float(whole.losses(whole(batch), batch)["orthogonality"].detach())
    found = [float(method.losses(method(batch), batch)["orthogonality"].detach()) for _ in range(6)]
    assert found == pytest.approx([share * full for share in (0.25, 0.5, 0.75, 1, 1, 1)], rel=1e-4)
    method.eval()(batch)
    assert int(method.steps) == 6


def test_several_actions_and_clips_without_any() -> None:
    method = made(action="actions", several_actions=True).train()
    batch = batch_of(method)
    labels = torch.zeros(8, 5, dtype=torch.bool)
    labels[0, 1] = labels[0, 4] = labels[3, 2] = True
    batch = replace(batch, labels={"identity": batch.labels["identity"], "actions": labels})
    out = method(batch)
    chance = out["actions"].detach().sigmoid()
    rows = [
        -sum(math.log(float(chance[r, a] if labels[r, a] else 1 - chance[r, a])) for a in range(5)) / 5 for r in (0, 3)
    ]
    terms = method.losses(out, batch)
    assert float(terms["action"].detach()) == pytest.approx(sum(rows) / 2, rel=1e-4)
    assert "accuracy/action" not in method.monitor(out, batch)
    single = made().train()
    with pytest.raises(ValueError, match=r"label 'action' has shape \(8, 5\); with several_actions = False"):
        single.losses(single(batch), replace(batch, labels={**batch.labels, "action": labels}))


class Retina(torch.nn.Module):
    """A tower that takes no time: every pixel is a token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = torch.nn.Linear(3, width)

    def forward(self, frames: Tensor) -> Tensor:
        tokens: Tensor = self.map(frames.flatten(2).transpose(1, 2))
        return tokens


def test_a_text_that_is_a_perfect_key_must_not_replace_the_pixels() -> None:
    # the sheet's likeliest failure: with texts always there, who it is can be read off them
    def trained(text_dropout: float) -> tuple[float, float]:
        method = made(text_dropout=text_dropout, groups=("identity",), compare="identity", layers=1)
        method.tower = Retina(method.tower.width)
        chance = torch.Generator().manual_seed(0)
        keys, identity = 3 * torch.randn(4, 1, E, generator=chance), torch.arange(32) // 8
        # faint colours: the pixels tell who it is, with some pains
        colour = 1.2 * torch.randn(4, 1, 3, 1, 1, generator=chance)
        optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=1e-2)

        def drawn() -> Batch:
            frames = colour[identity] + torch.randn(32, 1, 3, 3, 3, generator=chance)
            text = {"biometric": Text(keys[identity], torch.ones(32, 1, dtype=torch.bool))}
            return Batch(Clip.of(frames), {"identity": identity}, [str(i) for i in range(32)], text)

        torch.manual_seed(1)
        for _ in range(45):
            batch = drawn()
            loss = method.train().losses(method(batch), batch)["identity"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        method.eval()
        batch = drawn()
        with torch.no_grad():
            hits = [(method(b)["logits"].argmax(1) == identity) for b in (batch, replace(batch, text={}))]
        return float(hits[0].float().mean()), float(hits[1].float().mean())

    (seen, blind), (both, alone) = trained(0.0), trained(0.5)
    assert seen > 0.95
    assert both > 0.95
    assert blind < 0.7
    assert alone > 0.8


# --- what is computed, and within which memory ---


def test_only_the_groups_that_are_asked_for_are_computed() -> None:
    method = shaken(made()).eval()
    clip = batch_of(method).clip
    rows: list[int] = []
    method.reader.nets[0].layers[0].register_forward_pre_hook(lambda _module, given: rows.append(given[0].shape[1]))
    whole = method.encode(clip)
    assert set(rows) == {3}
    rows.clear()
    assert method.matched == ("identity", "motion")
    pair = method.encode(clip, spaces=method.matched)
    assert set(rows) == {2}
    assert list(pair) == ["identity", "motion"]
    for name in pair:
        torch.testing.assert_close(pair[name], whole[name], rtol=0, atol=1e-6)
    torch.testing.assert_close(method.similarity(pair, pair), method.similarity(whole, whole))


@pytest.mark.parametrize("tuned", [0, 1])
def test_chunks_bound_what_passes_the_tower_and_change_nothing(tuned: int) -> None:
    sizes: list[int] = []
    whole, parts = made(chunk=1000, tuned=tuned), made(chunk=5, tuned=tuned)
    parts.tower.register_forward_pre_hook(lambda _module, given: sizes.append(len(given[0])))
    batch = batch_of(whole, rows=7, frames=3)
    for method in (whole, parts):
        shaken(method).eval()
    one, two = whole.encode(batch.clip), parts.encode(batch.clip)
    # one clip of 3 frames at a time; for clips longer than a chunk their frames in turns
    assert sizes == [3] * 7
    sizes.clear()
    short = made(chunk=2, tuned=tuned)
    short.tower.register_forward_pre_hook(lambda _module, given: sizes.append(len(given[0])))
    three = shaken(short).eval().encode(batch.clip)
    assert sizes == [2, 1] * 7
    for name in one:
        for other in (two, three):
            torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-5)
    torch.testing.assert_close(whole(batch)["raw"], parts(batch)["raw"], rtol=0, atol=1e-5)


def test_the_tower_is_frozen_but_for_its_last_blocks() -> None:
    for tuned, learning in ((0, set()), (2, {"blocks.4", "blocks.5", "norm"}), (-1, None)):
        method = made(tuned=tuned).train()
        batch = batch_of(method)
        torch.stack(list(method.losses(method(batch), batch).values())).sum().backward()
        found = {n for n, p in method.tower.named_parameters() if p.grad is not None}
        assert found == {n for n, p in method.tower.named_parameters() if p.requires_grad}
        if learning is None:
            assert len(found) == len(list(method.tower.parameters()))
            assert method.tower.training
        else:
            assert {".".join(n.split(".")[1:3]) if "blocks" in n else "norm" for n in found} == learning
            assert not method.tower.training
            assert not method.tower.net.blocks[0].training


def test_a_tower_of_16_bits() -> None:
    method, usual = (shaken(made(trunk_precision=p)).eval() for p in ("bfloat16", "float32"))
    assert {p.dtype for p in method.tower.parameters()} == {torch.bfloat16}
    clip = batch_of(method).clip
    one, two = method.encode(clip), usual.encode(clip)
    assert one["identity"].dtype == torch.float32
    assert F.cosine_similarity(one["motion"], two["motion"]).min() > 0.99
    assert not torch.equal(one["motion"], two["motion"])


PLANS: dict[str, dict[str, Any]] = {
    "all": {},
    "vision": {"reader": "pooled", "groups": ("identity",), "identity_texts": (), "compare": "identity"},
    "text": {"reader": "pooled", "groups": ("identity",), "compare": "identity"},
    "none": {"groups": ("identity",), "action_on": "identity", "compare": "identity"},
    "b+n": {"groups": ("identity", "appearance"), "compare": "identity"},
    "b+m": {"groups": ("identity", "motion")},
    "fixed": {"compare": "fixed"},
    "independent": {"reader": "independent"},
    "no text": {"identity_texts": (), "motion_texts": (), "appearance_texts": ()},
    "mevid": {"motion_texts": (), "weights": replace(TINY.weights, action=0.0)},
    "frames": {"pooling": "frames"},
    "appearance": {"compare": "appearance", "tuned": -1},
    "free": {"weights": replace(TINY.weights, orthogonality=0.0, gate=0.0)},
}
TERMS = {
    "vision": "identity triplet",
    "text": "identity triplet",
    "none": "identity triplet action",
    "b+n": "identity triplet orthogonality",
    "b+m": "identity triplet action gate",
    "fixed": "identity triplet orthogonality action",
    "mevid": "identity triplet orthogonality gate",
    "appearance": "identity triplet orthogonality action",
    "free": "identity triplet action",
}


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_has_its_terms_and_teaches_every_part_that_can_learn(plan: str) -> None:
    # several devices wait for ever for a part that has a gradient to come and gets none
    method = made(**PLANS[plan]).train()
    batch = batch_of(method)
    terms = method.losses(method(batch), batch)
    assert list(terms) == TERMS.get(plan, "identity triplet orthogonality action gate").split()
    torch.stack([*terms.values()]).sum().backward()
    assert not [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None]
    spaces = method.eval().encode(batch.clip)
    assert tuple(spaces) == method.spaces == PLANS[plan].get("groups", ("identity", "motion", "appearance"))
    assert torch.equal(method.similarity(spaces, spaces).argmax(1), torch.arange(8))
    maps = method.heat(batch.clip)
    assert set(maps) == set(spaces)
    for value in maps.values():
        assert value.shape == (8, 2, 2, 2)
        assert (value >= 0).all()
        assert (value.sum((1, 2, 3)) <= 1 + 1e-5).all()
    torch.testing.assert_close(method.frame_weights(batch.clip).sum(1), torch.ones(8))


# --- comparing ---


def random_spaces(rows: int, seed: int) -> Spaces:
    chance = torch.Generator().manual_seed(seed)
    return Spaces({name: torch.randn(rows, 24, generator=chance) for name in ("identity", "motion", "appearance")})


@pytest.mark.parametrize("sharing", ["arithmetic", "geometric"])
def test_similarity_is_the_formula(sharing: str) -> None:
    method = shaken(made(gate_sharing=sharing)).eval()
    query, gallery = random_spaces(4, 0), random_spaces(6, 1)
    found = method.similarity(query, gallery).detach()
    with torch.no_grad():
        g = [method.gate([side["identity"], side["motion"]]) for side in (query, gallery)]
    assert g[0].std(0).min() > 0.01
    for a in range(4):
        for b in range(6):
            want = 0.0
            for i, name in enumerate(("identity", "motion")):
                one, two = float(g[0][a, i]), float(g[1][b, i])
                weight = (one + two) / 2 if sharing == "arithmetic" else math.sqrt(one * two)
                want += weight * float(F.cosine_similarity(query[name][a], gallery[name][b], dim=0))
            assert float(found[a, b]) == pytest.approx(want, abs=1e-5)
    index = method.gallery_vectors(gallery)
    torch.testing.assert_close(method.query_vectors(query) @ index.T, found)
    torch.testing.assert_close(method.similarity(query.take(slice(1, 3)), gallery), found[1:3])


def test_other_ways_to_compare() -> None:
    query, gallery = random_spaces(4, 0), random_spaces(6, 1)

    def plain(name: str) -> Tensor:
        return cosine(Spaces({"identity": query[name]}), Spaces({"identity": gallery[name]}))

    for name in ("identity", "motion", "appearance"):
        method = made(compare=name)
        torch.testing.assert_close(method.similarity(query, gallery), plain(name))
        assert method.matched == tuple(dict.fromkeys(("identity", name)))
    fixed = made(compare="fixed", share=0.7).similarity(query, gallery)
    torch.testing.assert_close(fixed, 0.7 * plain("identity") + 0.3 * plain("motion"))
    # the gate starts at equal shares
    torch.testing.assert_close(made().similarity(query, gallery), (plain("identity") + plain("motion")) / 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"groups": ("motion", "identity")}, "expected 'identity' and then any of"),
        ({"groups": ("identity", "clothes")}, "expected 'identity' and then any of"),
        ({"groups": ("identity",)}, "compare = 'adaptive' needs the group 'motion'"),
        ({"groups": ("identity", "motion"), "compare": "appearance"}, "needs the group 'appearance'"),
        ({"reader": "pooled"}, "set groups to identity alone"),
        ({"tuned": 1, "trunk_precision": "bfloat16"}, "float32 where anything learns"),
        ({"text_dropout": 1.5}, "text_dropout = 1.5; expected 0 to 1"),
        ({"chunk": 0}, "chunk = 0; expected 1 or more"),
        ({"margin": -1.0}, "none below 0"),
    ],
)
def test_configs_that_cannot_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **fields)


def test_more_blocks_than_there_are() -> None:
    with pytest.raises(ValueError, match="tuned = 99, but trunk 'test_vit' has 6 blocks; -1 is all"):
        made(tuned=99)
    with pytest.raises(ValueError, match="learns from the label 'action'"):
        Disenq(TINY, classes={"identity": 3})
