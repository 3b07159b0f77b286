"""DIFFER's terms on made-up outputs: chance, missing texts, right answers, directions and temperature by slow loops."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.test_differ import SMALL, WIDTH, batch_of, made
from unbraid.batch import Batch, Text
from unbraid.methods.differ.model import Differ


def outputs(method: Differ, rows: int, seed: int = 3) -> dict[str, Tensor]:
    """What `forward` could return, drawn by chance."""
    chance = torch.Generator().manual_seed(seed)
    out = {name: torch.randn(rows, WIDTH, generator=chance) for name in method.aspects}
    out |= {f"label/{name}": torch.randn(rows, 5, generator=chance) for name in method.labels}
    return out | {
        "raw": torch.randn(rows, 8, generator=chance),
        "logits": torch.randn(rows, 4, generator=chance),
    }


def kept(batch: Batch, out: dict[str, Tensor], rows: list[int]) -> tuple[Batch, dict[str, Tensor]]:
    text = {a: Text(t.tokens[rows], t.mask[rows]) for a, t in batch.text.items()}
    labels = {name: value[rows] for name, value in batch.labels.items()}
    clip = replace(batch.clip, frames=batch.clip.frames[rows], valid=batch.clip.valid[rows])
    part = Batch(clip, labels, [batch.keys[row] for row in rows], text)
    return part, {name: value[rows] for name, value in out.items()}


@pytest.mark.parametrize(("rows", "chance"), [(8, 2.079), (16, 2.773), (32, 3.466)])
def test_equal_projections_are_at_chance(rows: int, chance: float) -> None:
    # sheet 3.5; two aspects make twice the value
    method = made(SMALL)
    batch = batch_of(method, rows=rows)
    out = outputs(method, rows) | {name: torch.ones(rows, WIDTH) for name in method.aspects}
    same = {a: Text(t.tokens[:1].expand_as(t.tokens), t.mask) for a, t in batch.text.items()}
    terms = method.losses(out, replace(batch, text=same))
    assert terms["biometric"].item() == pytest.approx(chance, abs=5e-4)
    assert terms["nonbiometric"].item() == pytest.approx(2 * chance, abs=1e-3)


def test_the_first_classifier_is_near_chance() -> None:
    method = made(SMALL).train()
    batch = batch_of(method)
    assert method.losses(method(batch), batch)["identity"].item() == pytest.approx(math.log(4), abs=1e-3)


def by_loop(out: Tensor, batch: Batch, aspect: str, right: Any, *, scale: float, both: bool) -> float:
    text, mask = batch.text[aspect].tokens[:, 0], batch.text[aspect].mask[:, 0]
    there = [j for j in range(len(text)) if mask[j]]

    def score(image: int, word: int) -> float:
        return scale * float(F.cosine_similarity(out[image], text[word], dim=0))

    def side(turned: bool) -> float:
        total = 0.0
        for j in there:
            logits = {k: score(k, j) if turned else score(j, k) for k in there}
            norm = math.log(sum(math.exp(v) for v in logits.values()))
            answers = [k for k in there if right(j, k)]
            total += sum(norm - logits[k] for k in answers) / len(answers)
        return total / len(there)

    return (side(False) + side(True)) / 2 if both else side(False)


ABSENT = {"biometric": [1], "hair": [], "clothing": [0, 4, 5]}


@pytest.mark.parametrize("positives", ["index", "identity", "text"])
@pytest.mark.parametrize("direction", ["image", "both"])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_variants_equal_loops(positives: str, direction: str, scale: float) -> None:
    fields: dict[str, Any] = {"positives": positives, "direction": direction, "scale": scale}
    method = made(replace(SMALL, **fields))
    batch, out = batch_of(method, absent=ABSENT), outputs(method, 6)
    # rows 2 and 3 are one person with one biometric text, rows 1 and 2 wear the same
    for aspect, (a, b) in {"biometric": (2, 3), "clothing": (1, 2)}.items():
        batch.text[aspect].tokens[a] = batch.text[aspect].tokens[b]
    identity = batch.labels["identity"].tolist()
    terms = method.losses(out, batch)

    def right(aspect: str) -> Any:
        if positives == "text":
            return lambda j, k: torch.equal(batch.text[aspect].tokens[j], batch.text[aspect].tokens[k])
        if positives == "identity" and aspect == "biometric":
            return lambda j, k: identity[j] == identity[k]
        return lambda j, k: j == k

    values = {a: by_loop(out[a], batch, a, right(a), scale=scale, both=direction == "both") for a in method.aspects}
    assert terms["biometric"].item() == pytest.approx(values["biometric"], rel=1e-4)
    assert terms["nonbiometric"].item() == pytest.approx(values["hair"] + values["clothing"], rel=1e-4)


def test_a_missing_text_takes_its_row_out_of_that_term_alone() -> None:
    method = made(SMALL)
    batch, whole = batch_of(method, absent=ABSENT), batch_of(method)
    out = outputs(method, 6)
    terms, full = method.losses(out, batch), method.losses(out, whole)
    assert terms["identity"] == full["identity"]
    assert terms["triplet"] == full["triplet"]
    rows = [0, 2, 3, 4, 5]
    part, part_out = kept(whole, out, rows)
    torch.testing.assert_close(terms["biometric"], method.losses(part_out, part)["biometric"])
    assert terms["biometric"] != full["biometric"]
    # what stands in the place of a missing text has no influence
    noise = {a: Text(torch.where(t.mask[..., None], t.tokens, 7.0), t.mask) for a, t in batch.text.items()}
    again = method.losses(out, replace(batch, text=noise))
    assert all(torch.equal(again[name], terms[name]) for name in terms)


def test_a_row_without_text_teaches_its_maps_nothing() -> None:
    method = made(SMALL)
    batch = batch_of(method, absent=ABSENT)
    out = {n: v.requires_grad_() for n, v in outputs(method, 6).items()}
    (gradient,) = torch.autograd.grad(method.losses(out, batch)["nonbiometric"], out["clothing"])
    assert [int(r) for r in gradient.abs().sum(1).nonzero()[:, 0]] == [1, 2, 3]


def test_learnable_temperature() -> None:
    method = made(replace(SMALL, temperature="learnable")).train()
    batch = batch_of(method)
    out = method(batch)
    torch.testing.assert_close(out["scale"], torch.full((6, 3), 1 / 0.07))
    fixed = made(replace(SMALL, scale=1 / 0.07)).train()
    torch.testing.assert_close(method.losses(out, batch)["biometric"], fixed.losses(fixed(batch), batch)["biometric"])
    (gradient,) = torch.autograd.grad(method.losses(out, batch)["biometric"], method.log_scale)
    assert gradient[0] != 0
    assert gradient[1:].tolist() == [0, 0]
    method.log_scale.data.fill_(9.0)
    assert (method(batch)["scale"] == 100).all()


def test_a_gate_does_not_push_the_temperature() -> None:
    plain = made(replace(SMALL, temperature="learnable")).train()
    gated = made(replace(SMALL, temperature="learnable", gated=True)).train()
    batch = batch_of(plain)
    pair = [torch.autograd.grad(m.losses(m(batch), batch)["nonbiometric"], m.log_scale)[0][1:] for m in (plain, gated)]
    torch.testing.assert_close(*pair)
    assert (pair[0] != 0).all()


def test_attributes_are_the_mean_over_labels() -> None:
    method = made(replace(SMALL, attributes=("clothes", "camera"), aspects=(), biometric=False))
    batch, out = batch_of(method), outputs(method, 6)
    out["label/camera"] = out["label/camera"][:, :3]
    expected = sum(
        -float(out[f"label/{n}"][j].log_softmax(0)[batch.labels[n][j]]) / 12
        for n in ("clothes", "camera")
        for j in range(6)
    )
    assert method.losses(out, batch)["attributes"].item() == pytest.approx(expected, rel=1e-5)


def test_smoothing() -> None:
    method = made(replace(SMALL, smoothing=0.1))
    batch, out = batch_of(method), outputs(method, 6)
    logs = out["logits"].log_softmax(1)
    target = F.one_hot(batch.labels["identity"], 4) * 0.9 + 0.1 / 4
    torch.testing.assert_close(method.losses(out, batch)["identity"], -(target * logs).sum(1).mean())


def test_a_lonely_identity_does_not_stop_the_triplet() -> None:
    method = made(SMALL)
    batch, out = kept(batch_of(method), outputs(method, 6), [0, 1, 2, 3, 4])
    lonely = method.losses(out, batch)
    assert torch.isfinite(lonely["triplet"])
    assert lonely["triplet"] > 0


def test_monitor_by_hand() -> None:
    method = made(replace(SMALL, attributes=("clothes",)))
    batch, out = batch_of(method, absent={"hair": [5]}), outputs(method, 6)
    out["clothing"] = batch.text["clothing"].tokens[:, 0] * 2
    out["hair"] = torch.cat([batch.text["hair"].tokens[[1, 0, 2, 3, 4], 0], torch.ones(1, WIDTH)])
    out["label/clothes"] = F.one_hot(torch.tensor([0, 1, 2, 0, 0, 0]), 5).float()
    found = method.monitor(out, batch)
    assert found["accuracy/clothing"] == 1
    assert found["accuracy/hair"].item() == pytest.approx(3 / 5)
    # the labels are 0, 1, 2, 3, 4, 0
    assert found["accuracy/label/clothes"].item() == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({}, r"differ learns from texts about 'biometric', but the batch has \[\]"),
        (
            {"biometric": (1, 8)},
            "needs one vector of 16 numbers per text about 'biometric' and got 1 of 8; make a bank",
        ),
        ({"biometric": (3, 16)}, "and got 3 of 16"),
    ],
)
def test_texts_that_do_not_fit(text: dict[str, tuple[int, int]], message: str) -> None:
    method = made(SMALL)
    batch = replace(
        batch_of(method),
        text={a: Text(torch.ones(6, *shape), torch.ones(6, shape[0], dtype=torch.bool)) for a, shape in text.items()},
    )
    with pytest.raises(ValueError, match=message):
        method.losses(outputs(method, 6), batch)


def test_half_precision_outputs_are_computed_in_full() -> None:
    method = made(SMALL).train()
    batch = batch_of(method)
    with torch.autocast("cpu", torch.bfloat16):
        out = method(batch)
        terms = method.losses(out, batch)
    assert {v.dtype for v in out.values()} == {torch.float32}
    assert {v.dtype for v in terms.values()} == {torch.float32}
    expected = by_loop(out["biometric"].detach(), batch, "biometric", lambda j, k: j == k, scale=1.0, both=False)
    assert terms["biometric"].item() == pytest.approx(expected, rel=1e-5)
