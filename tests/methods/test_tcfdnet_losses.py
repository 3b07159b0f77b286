"""The terms of TCFDNet on outputs made by hand, and whom they teach."""

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.tcfdnets import DEPTH, SILHOUETTE, batch_of, small, some
from unbraid.methods.tcfdnet import recipes
from unbraid.methods.tcfdnet.config import TcfdnetWeights
from unbraid.methods.tcfdnet.model import Tcfdnet

MODALITY = torch.tensor([SILHOUETTE, DEPTH] * 4)
ROWS = len(MODALITY)


@pytest.fixture(scope="module")
def method() -> Tcfdnet:
    return small()


def outputs() -> dict[str, Tensor]:
    return {
        "parts": some(ROWS, 4, 16),
        "logits": F.normalize(some(ROWS, 4, 3, seed=1), dim=2),
        "modality": MODALITY,
        "shared": some(ROWS, 5, 3, 3, seed=2),
        "specific": some(ROWS, 5, 3, 3, seed=3),
        "texts": some(ROWS, 5, seed=4),
        "gate": torch.full((ROWS, 5), 0.1),
    }


def total(method: Tcfdnet, losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([getattr(method.config.weights, name) * value for name, value in losses.items()]).sum()


def test_weights_are_the_papers() -> None:
    given = {f.name: getattr(TcfdnetWeights(), f.name) for f in fields(TcfdnetWeights)}
    assert given == {"triplet": 1.0, "identity": 1.0, "align": 0.5, "orthogonal": 0.1, "hsic": 0.1}


def test_terms_against_loops(method: Tcfdnet) -> None:
    out, batch = outputs(), batch_of(method.config)
    losses = method.losses(out, batch)
    who = batch.labels["identity"]
    rows = {m: [r for r in range(ROWS) if MODALITY[r] == m] for m in (SILHOUETTE, DEPTH)}
    specific, shared = out["specific"].flatten(2).mean(2).double(), out["shared"].flatten(2).mean(2).double()

    def cosine(x: Tensor, y: Tensor) -> float:
        return float(x.double() @ y.double() / x.double().norm() / y.double().norm())

    align, across, hsic = [], [], []
    for own in rows.values():
        align.append(1 - sum(cosine(specific[r], out["texts"][r]) for r in own) / len(own))
        across.append(sum(abs(cosine(out["shared"][r].ravel(), out["specific"][r].ravel())) for r in own) / len(own))
        n = len(own)
        x, y = (F.normalize(v[own], dim=1) for v in (specific, shared))
        centre = torch.eye(n).double() - 1 / n
        hsic.append(float(torch.trace(centre @ x @ x.T @ centre @ centre @ y @ y.T @ centre)) / (n - 1) ** 2)
    for name, values in (("align", align), ("orthogonal", across), ("hsic", hsic)):
        assert float(losses[name]) == pytest.approx(sum(values) / 2, rel=1e-4)

    triplet = []
    for one, other in ((SILHOUETTE, DEPTH), (DEPTH, SILHOUETTE)):
        for part in range(4):
            terms = []
            for a in rows[one]:
                gaps = {b: float((out["parts"][a, part] - out["parts"][b, part]).norm()) for b in rows[other]}
                terms += [0.2 + gaps[p] - gaps[n] for p in gaps for n in gaps if who[p] == who[a] != who[n]]
            active = [t for t in terms if t > 0]
            triplet.append(sum(active) / max(len(active), 1))
    assert float(losses["triplet"]) == pytest.approx(sum(triplet) / len(triplet), rel=1e-4)

    entropy = []
    for row in range(ROWS):
        target = torch.full((3,), 0.1 / 3)
        target[who[row]] += 0.9
        entropy += [float(-(target * (16 * out["logits"][row, part]).log_softmax(0)).sum()) for part in range(4)]
    assert float(losses["identity"]) == pytest.approx(sum(entropy) / len(entropy), rel=1e-4)


def test_a_weight_of_0_removes_its_term(method: Tcfdnet) -> None:
    out, batch = outputs(), batch_of(method.config)
    for name in method.losses(out, batch):
        other = small(weights=replace(TcfdnetWeights(), **{name: 0.0}))
        assert name not in other.losses(out, batch)


def test_one_modality_needs_the_joint_triplet() -> None:
    batch, out = batch_of(small().config), outputs() | {"modality": torch.full((ROWS,), SILHOUETTE)}
    with pytest.raises(ValueError, match="two modalities together, or take mode 'joint'"):
        small().losses(out, batch)
    config: dict[str, Any] = {"modalities": ("silhouette",), "triplet": "joint", "patch_exchange": False}
    method = small(**config)
    losses = method.losses(out, batch)
    assert float(losses["triplet"]) > 0
    # and a whole pass of it
    only = replace(batch, clip=replace(batch.clip, sensor={"modality": out["modality"]}))
    assert torch.isfinite(total(method, method.losses(method.train()(only), only)))


def test_the_target_may_be_detached() -> None:
    for detached in (False, True):
        method = small(detached_target=detached)
        batch = batch_of(method.config)
        out = method.train()(batch)
        # the dictionary's adapter also learns by what is taken off; here only the target counts
        losses = method.losses(out | {"specific": out["specific"].detach()}, batch)
        assert losses["align"].requires_grad != detached


VARIANTS = [n for n in vars(recipes) if n.startswith("world") or n == "tiny"]


@pytest.mark.parametrize("name", [*VARIANTS, "separate", "literal", "joint", "cosine"])
def test_everything_that_learns_is_reached(name: str) -> None:
    # several devices wait for every parameter that asks for a gradient
    config = getattr(recipes, name)().config if name in VARIANTS else recipes.tiny().config
    options: dict[str, dict[str, Any]] = {
        "separate": {"separate_resnets": True},
        "literal": {"adapter_residual": False, "mf_residual": False, "selection": "softmax"},
        "joint": {"triplet": "joint", "layers": 1},
        "cosine": {"distance": "cosine", "layers": 3},
    }
    tiny = recipes.tiny().config
    sizes = {f: getattr(tiny, f) for f in ("pixels", "widths", "rounds", "k_t", "bins", "out_width", "exchange_most")}
    method = small(config=config, **(sizes | options.get(name, {}))).train()
    batch = batch_of(method.config)
    total(method, method.losses(method(batch), batch)).backward()
    silent = [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None]
    assert not silent
    moved = [n for n, p in method.named_parameters() if not p.requires_grad and p.grad is not None]
    assert not moved


def test_monitor() -> None:
    method = small()
    seen = method.monitor(outputs(), batch_of(method.config))
    right = outputs()["logits"].mean(1).argmax(1) == batch_of(method.config).labels["identity"]
    assert float(seen["accuracy/identity"]) == pytest.approx(float(right.float().mean()))
    assert float(seen["gate"]) == pytest.approx(0.1)
