"""DSANet as a whole: its size against the paper sheet, its switches, and that it can learn at all."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unbraid.batch import Batch, Clip
from unbraid.methods.dsanet import model as module
from unbraid.methods.dsanet.model import DSANet, DSANetConfig, DSANetWeights
from unbraid.nn.backbones import Trunk, residual_trunk

LS_VID = {"identity": 842, "camera": 15}
MARS = {"identity": 625, "camera": 6}
DUKE = {"identity": 702, "camera": 8}
TINY = DSANetConfig(trunk="small-4", pretrained=False)
CLASSES = {"identity": 3, "camera": 2}

Build = Callable[[DSANetConfig, Mapping[str, int]], DSANet]


@pytest.fixture(scope="module")
def on_meta() -> Any:
    """Builds methods on the meta device around one ResNet-50 (or another trunk) that is made once."""

    @cache
    def trunk(name: str, *, pretrained: bool) -> Trunk:
        return residual_trunk(name, pretrained=pretrained)

    def build(config: DSANetConfig, classes: Mapping[str, int]) -> DSANet:
        with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
            patch.setattr(module, "residual_trunk", trunk)
            return DSANet(config, classes=classes)

    return build


def size(method: nn.Module) -> int:
    return sum(p.numel() for p in method.parameters())


@pytest.mark.parametrize(
    ("classes", "total"), [(LS_VID, 30_831_779), (MARS, 29_480_099), (DUKE, 29_957_283)], ids=["ls_vid", "mars", "duke"]
)
def test_size_of_the_full_network(on_meta: Build, classes: Mapping[str, int], total: int) -> None:
    assert size(on_meta(DSANetConfig(), classes)) == total


# rows of Table 2: switches, weights set to 0, printed millions; sheet 1.8: millions with five norms, and plain
BARE = {"camera": False, "localise": False, "weigh": False, "aggregate": False}
TABLE_2: dict[str, tuple[dict[str, bool], tuple[str, ...], float, float, float]] = {
    "baseline": (BARE, ("intra",), 25.2, 25.236544, 25.2324),
    "tlm_without_halves": ({"weigh": False, "aggregate": False}, ("intra", "halves"), 27.4, 27.3727, 27.3604),
    "tlm": ({"weigh": False, "aggregate": False}, ("intra",), 29.1, 29.1012, 29.0848),
    "fwg_without_quality": ({"localise": False, "aggregate": False}, ("intra", "quality"), 27.4, 27.3747, 27.3624),
    "fwg": ({"localise": False, "aggregate": False}, ("intra",), 29.1, 29.1032, 29.0868),
    "tlm_fwg_without_intra": ({"aggregate": False}, ("intra",), 30.8, 30.8318, 30.8113),
    "tlm_fwg": ({"aggregate": False}, (), 30.8, 30.8318, 30.8113),
    "tlm_fwg_sao": ({}, (), 30.8, 30.8318, 30.8113),
}


@pytest.mark.parametrize("row", TABLE_2)
def test_rows_of_the_ablation_table(on_meta: Build, row: str) -> None:
    switches, zero, printed, with_norms, plain = TABLE_2[row]
    config = DSANetConfig(**switches, weights=DSANetWeights(**dict.fromkeys(zero, 0.0)))  # type: ignore[arg-type]
    millions = size(on_meta(config, LS_VID)) / 1e6
    assert round(millions, 1) == printed
    assert millions == pytest.approx(with_norms, abs=5.1e-5)

    # the sheet's plain column has neither norms nor biases in the heads
    bare = on_meta(replace(config, neck=False, camera_layer="plain"), LS_VID)
    biases = sum(m.bias.numel() for m in bare.modules() if isinstance(m, nn.Linear) and m.bias is not None)
    assert (size(bare) - biases) / 1e6 == pytest.approx(plain, abs=5.1e-5)


def test_shapes_of_the_walk_through(on_meta: Build) -> None:
    # sheet, section 6, with a smaller batch
    method = on_meta(DSANetConfig(), MARS).eval()
    clip = Clip.of(torch.empty(4, 6, 3, 256, 128, device="meta"))
    middle, last = method._stages(clip)
    frames, map_ = method._frames(last)
    assert middle.shape == (4, 6, 1024, 16, 8)
    assert last.shape == map_.shape == (4, 6, 2048, 16, 8)
    assert frames.shape == (4, 6, 2048)
    assert method._weights(frames, clip.valid).shape == (4, 6)
    assert method._camera(middle, clip.valid).shape == (4, 2048)


def test_training_only_heads_are_separate() -> None:
    method = DSANet(TINY, classes=CLASSES)
    weights = [h.classify.weight for h in (method.identity_head, method.halves_head, method.frame_head)]
    assert len({w.data_ptr() for w in weights}) == 3
    assert method.camera_head.classify.weight.shape == (2, 32)


def test_aggregation_needs_the_camera_branch() -> None:
    with pytest.raises(ValueError, match="dsanet: aggregate needs the camera branch; set camera to True or aggregate"):
        DSANet(replace(TINY, camera=False), classes=CLASSES)


def test_width_of_the_map_is_divisible_by_four() -> None:
    method = DSANet(TINY, classes=CLASSES)
    with pytest.raises(ValueError, match=r"last feature map is 8 x 6; its width must be divisible by 4. Choose --data"):
        method(batch_of(width=48))
    DSANet(replace(TINY, localise=False), classes=CLASSES)(batch_of(width=48))


def batch_of(*, people: int = 3, clips: int = 2, frames: int = 2, height: int = 64, width: int = 32) -> Batch:
    rows = people * clips
    x = torch.randn(rows, frames, 3, height, width, generator=torch.Generator().manual_seed(0))
    labels = {"identity": torch.arange(people).repeat_interleave(clips), "camera": torch.arange(rows) % 2}
    return Batch(Clip.of(x), labels, [f"k{i}" for i in range(rows)])


def total_of(method: DSANet, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    terms = method.losses(method(batch), batch)
    weights = method.config.weights
    return sum((getattr(weights, n) * v for n, v in terms.items()), torch.zeros(())), terms


SWITCHES: list[dict[str, Any]] = [
    {},
    {"camera": False, "aggregate": False},
    {"localise": False},
    {"weigh": False},
    {"aggregate": False},
    {**BARE},
    {"neck": False},
    {"camera_layer": "norm_relu"},
    {"camera_layer": "plain"},
    {"camera_pool": "space_then_time"},
    {"localise_kernel": 3},
    {"localise_softmax": "width"},
    {"localise_softmax": "sigmoid"},
    {"localise_shared": False},
    {"weigh_normaliser": "sum"},
    {"aggregate_by": "mean"},
    {"aggregate_detach_camera": True},
    {"intra_channels": "sum"},
    {"intra_unit": True},
    {"disentangle_on": "neck"},
    {"triplet": "cosine"},
    {"triplet": "cosine", "triplet_margin": 0.5},
    {"weights": DSANetWeights(halves=0.0)},
    {"weights": DSANetWeights(quality=0.0)},
    {"weights": DSANetWeights(intra=0.0, triplet=0.0)},
    {"trunk": "small-8"},
]


def test_every_switch_is_tried() -> None:
    assert {name for switch in SWITCHES for name in switch} | {"pretrained"} == set(DSANetConfig.__dataclass_fields__)


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_one_step_with_every_switch(switch: dict[str, Any]) -> None:
    torch.manual_seed(0)
    method = DSANet(replace(TINY, **switch), classes=CLASSES).train()
    batch = batch_of()
    total, terms = total_of(method, batch)
    total.backward()
    assert all(torch.isfinite(v) for v in terms.values())
    parameters = {n: p for n, p in method.named_parameters() if p.requires_grad}
    assert [n for n, p in parameters.items() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in parameters.values() if p.grad is not None)
    torch.optim.Adam(parameters.values()).step()
    spaces = method.eval().encode(batch.clip)
    assert set(spaces) == set(method.spaces)


def test_terms_with_weight_zero_are_absent() -> None:
    weights = DSANetWeights(halves=0.0, intra=0.0, camera=0.0, quality=0.0)
    method = DSANet(replace(TINY, weights=weights), classes=CLASSES)
    assert set(total_of(method, batch_of())[1]) == {"identity", "triplet", "disentangle", "augment"}
    assert not hasattr(method, "halves_head")
    assert not hasattr(method, "frame_head")


def test_one_camera_has_nothing_to_tell_apart() -> None:
    method = DSANet(TINY, classes={"identity": 3, "camera": 1})
    assert "camera" not in total_of(method, batch_of())[1]


def test_it_can_overfit() -> None:
    # sheet 8.19: 8 identities x 4 clips; the frames are noise, so only memory helps
    torch.manual_seed(0)
    batch = batch_of(people=8, clips=4, frames=2, height=32, width=32)
    method = DSANet(TINY, classes={"identity": 8, "camera": 2}).train()
    optimizer = torch.optim.Adam((p for p in method.parameters() if p.requires_grad), lr=1e-2)
    first: dict[str, float] = {}
    for _ in range(30):
        total, terms = total_of(method, batch)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        values = {n: float(v.detach()) for n, v in terms.items()}
        first = first or values
    out = method(batch)
    assert (out["identity_logits"].argmax(1) == batch.labels["identity"]).all()
    assert (out["camera_logits"].argmax(1) == batch.labels["camera"]).float().mean() > 0.9
    assert values["identity"] < 0.1 < first["identity"]
    assert values["triplet"] < 0.1 < first["triplet"]
    assert values["augment"] < 0.5 < first["augment"]
    assert values["halves"] < 1 < first["halves"]
