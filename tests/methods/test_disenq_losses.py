"""The terms of DisenQ by hand, what they teach, and what texts that give the answer away do to them."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.disenqs import E, batch_of, made, reached, shaken
from unbraid.batch import Batch, Clip, Text


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
