"""DisenQ after training: what is computed within which memory, in every plan, and how two people are compared."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.disenqs import TINY, batch_of, made, shaken
from unbraid.method import cosine
from unbraid.methods.disenq.model import Disenq
from unbraid.spaces import Spaces


def test_only_the_groups_that_are_asked_for_are_computed() -> None:
    method = shaken(made()).eval()
    clip = batch_of(method).clip
    rows: list[int] = []
    method.reader.nets[0].layers[0].register_forward_pre_hook(lambda _module, given: rows.append(given[0].shape[1]))
    whole = method.encode(clip)
    assert set(rows) == {3}
    rows.clear()
    assert method.matched == ("identity", "motion")
    pair = method.encode_only(clip, method.matched)
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
        assert method.matched == (name,)
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
