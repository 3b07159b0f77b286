"""TCFDNet as a whole: shapes of the paper, what is frozen, sequences of any length, sensors known and unknown."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from tests.methods.tcfdnets import DEPTH, SILHOUETTE, batch_of, clip_of, small, some, texts_of
from unbraid.batch import Clip
from unbraid.methods.tcfdnet.config import TcfdnetConfig
from unbraid.methods.tcfdnet.model import Tcfdnet
from unbraid.methods.tcfdnet.recipes import tiny
from unbraid.methods.tcfdnet.streams import over_time
from unbraid.nn.vision import HOME
from unbraid.spaces import Spaces

# the width and patches of the paper's CLIP, in one small block
OTHER_CLIP = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1},
}


def recorded(module: torch.nn.Module, found: dict[str, Any], name: str) -> None:
    module.register_forward_hook(lambda _module, given, out: found.update({name: out, f"{name}/in": given}))


def test_clip_reads_a_remembered_frame_once() -> None:
    plain, method = (small(patch_exchange=False, remembered=room) for room in (0, 1))
    batch, seen = batch_of(method.config), list[int]()
    method.streams.clip.register_forward_pre_hook(lambda _module, given: seen.append(len(given[0])))
    for _ in range(2):
        wanted, found = plain.train()(batch), method.train()(batch)
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-5)
    # 8 clips of 2 frames; recognition neither uses nor fills it
    assert seen == [16]
    method.eval().encode(batch.clip)
    assert seen == [16, 16]
    assert set(method.state_dict()) == set(plain.state_dict())
    with pytest.raises(ValueError, match=r"remembered = 1 with patch_exchange = True; expected .* no exchange changes"):
        small(remembered=1)


# --- the paper's table of shapes ---


def test_shapes_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "other", OTHER_CLIP)
    method = small(config=TcfdnetConfig(clip="open_clip:other", pretrained=False)).eval()
    seen: dict[str, Any] = {}
    names = ("streams", "fuse", "weigh", "memory", "split", "split.gate", "select", "select.reduce", "pool", "part")
    for name in names:
        recorded(method.get_submodule(name), seen, name)
    recorded(method.streams.clip, seen, "clip")
    with torch.no_grad():
        spaces = method.encode(clip_of(method.config, rows=2, frames=1))
    assert seen["clip"].shape == (2, 17, 512)
    assert seen["streams"].tokens.shape == (2, 17, 512)
    assert seen["streams"].local.shape == (2, 512, 16, 16)
    assert seen["fuse"].shape == (2, 512, 16, 16)
    assert seen["weigh"].shape == (2, 1, 16, 16)
    assert method.memory.texts.shape == (2, 64, 512)
    assert seen["memory"].shape == (2, 16, 512)
    assert method.split.affinity(seen["split/in"][0], seen["memory"])[0].shape == (2, 256, 16)
    assert seen["split"].specific.shape == seen["split"].shared.shape == (2, 512, 16, 16)
    assert seen["split.gate"].shape == (2, 512)
    assert seen["select.reduce"].shape == (2, 512, 8, 8)
    assert [tuple(method.select.narrow[n].weight.shape) for n in (0, 2)] == [(64, 32768), (512, 64)]
    assert seen["select"].shape == (2, 512)
    assert seen["pool"].shape == (2, 16, 512)
    assert spaces["identity"].shape == (2, 16, 256)
    assert spaces["modality"].shape == (2, 512)


def test_sizes_of_the_paper() -> None:
    with torch.device("meta"):
        method = Tcfdnet(TcfdnetConfig(), classes={"identity": 250})

    def size(part: torch.nn.Module) -> int:
        return sum(p.numel() for p in part.parameters())

    # ViT-B/16 of CLIP with its projection; source: a sum over its layers
    layer = 4 * 768 * 768 + 4 * 768 + 2 * 4 * 768 * 768 + 5 * 768 + 4 * 768
    assert size(method.streams.clip) == 12 * layer + 3 * 256 * 768 + 198 * 768 + 4 * 768 + 768 * 512 == 86_192_640
    assert size(method.streams.resnets) == 4_898_112
    assert size(method.fuse) == 3 * 4 * 512 * 512 + 2 * 512 + 512 * 512 + 512
    assert size(method.select) == 9 * 512 * 512 + 512 + 64 * 32768 + 64 + 512 * 64 + 512 + 4
    assert size(method.part) == 16 * 512 * 256
    assert size(method.neck) == 16 * 256 * (250 + 2)


# --- forward, from part to part ---


def test_parts_are_put_together_as_the_equations_say() -> None:
    method = small().eval()
    seen: dict[str, Any] = {}
    for name in ("streams", "fuse", "weigh", "memory", "split", "select", "pool"):
        recorded(method.get_submodule(name), seen, name)
    found = method(batch_of(method.config))
    torch.testing.assert_close(seen["fuse/in"][0], seen["streams"].tokens)
    torch.testing.assert_close(seen["split/in"][0], seen["weigh"] * seen["fuse"])
    torch.testing.assert_close(seen["memory/in"][0], seen["streams"].tokens[:, 0])
    torch.testing.assert_close(seen["split"].shared + seen["split"].specific, seen["split/in"][0])
    torch.testing.assert_close(seen["select/in"][0], seen["split"].shared)
    torch.testing.assert_close(found["shared"], seen["select"][:, :, None, None] * seen["split"].shared)
    torch.testing.assert_close(seen["pool/in"][0], found["shared"])
    torch.testing.assert_close(found["specific"], seen["split"].specific)
    torch.testing.assert_close(found["texts"], seen["memory"].mean(1))
    torch.testing.assert_close(found["logits"], method.neck(found["parts"])[1])
    assert found["modality"].tolist() == [SILHOUETTE, DEPTH] * 4


@pytest.mark.parametrize("off", ["mf", "sw", "tfd", "fse", "resnet"])
def test_parts_can_be_switched_off(off: str) -> None:
    method = small(**{off: False}).eval()
    assert len(list(method.parameters())) < len(list(small().parameters()))
    spaces = method.encode(clip_of(method.config))
    assert set(spaces) == set(method.spaces) == ({"identity"} if off == "tfd" else {"identity", "modality"})
    assert spaces["identity"].shape == (4, 4, 16)
    heat = method.heat(clip_of(method.config))["identity"]
    assert heat.shape == (4, 2, 4, 4)
    assert (heat >= 0).all()


def test_without_texts_and_fusion_nothing_asks_clip() -> None:
    method = small(mf=False, tfd=False)
    assert not hasattr(method.streams, "clip")
    assert method.dictionary == ()
    with pytest.raises(ValueError, match="without tfd retrieves from no texts"):
        method.set_dictionary({})


def test_features_of_the_modality_are_means_of_what_was_taken_off() -> None:
    method = small().eval()
    batch = batch_of(method.config)
    torch.testing.assert_close(method.encode(batch.clip)["modality"], method(batch)["specific"].mean((2, 3)))


# --- what is frozen ---


def test_building_the_network_leaves_clip_as_it_was() -> None:
    # the framework's Xavier start runs over everything; here it must not
    method = small()
    there = {f"net.{n}": v.float() for n, v in load_file(HOME / "image.safetensors").items()}
    own = method.streams.clip.tower.state_dict()
    assert set(own) == set(there)
    assert all(torch.equal(own[n], there[n]) for n in own)
    assert torch.equal(method.streams.clip.project.weight, load_file(HOME / "projection.safetensors")["weight"].float())


def test_clip_never_learns() -> None:
    method = small().train()
    assert not method.streams.clip.training
    assert not any(p.requires_grad for p in method.streams.clip.parameters())
    before = {n: v.clone() for n, v in method.streams.clip.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=0.1)
    batch = batch_of(method.config)
    torch.stack(list(method.losses(method(batch), batch).values())).sum().backward()
    optimizer.step()
    assert all(torch.equal(v, before[n]) for n, v in method.streams.clip.state_dict().items())


def test_clip_sees_its_own_colours_and_the_resnet_plain_ones() -> None:
    method = small().eval()
    seen: dict[str, Any] = {}
    recorded(method.streams.clip, seen, "clip")
    recorded(method.streams.resnets["all"], seen, "resnet")
    clip = clip_of(method.config, rows=2, frames=1)
    method.encode(clip)
    plain = clip.frames.flatten(0, 1)
    mean, std = (torch.tensor(v)[:, None, None] for v in (method.config.clip_mean, method.config.clip_std))
    torch.testing.assert_close(seen["clip/in"][0], (plain - mean) / std)
    assert torch.equal(seen["resnet/in"][0], plain)


# --- sequences of any length ---


def test_maximum_over_time_against_a_loop() -> None:
    frames = some(4, 5, 3, 2, 2)
    valid = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 1, 0, 1, 1], [1, 1, 0, 0, 0]]).bool()

    def network(x: Tensor) -> Tensor:
        return x.flatten(2).square()

    expected = []
    for row in range(4):
        own = [network(frames[row, t][None])[0] for t in range(5) if valid[row, t]]
        expected.append(torch.stack(own).amax(0))
    for chunk in (None, 1, 2, 3, 100):
        assert torch.equal(over_time(network, frames, valid, chunk), torch.stack(expected))
    with pytest.raises(ValueError, match="clip 2 of the batch has no valid frame"):
        over_time(network, frames, valid & (torch.arange(4) != 2)[:, None], None)


def test_long_sequences_pass_in_chunks() -> None:
    method = small(chunk=64).eval()
    passed: list[int] = []
    for part in (method.streams.clip, method.streams.resnets["all"]):
        part.register_forward_pre_hook(lambda _module, given: passed.append(len(given[0])))
    few = clip_of(method.config, rows=1, frames=5, modality=[DEPTH])
    with torch.inference_mode():
        short = method.encode(few)
        # the same five frames again and again: their maximum is that of the five
        again = replace(few, frames=few.frames.repeat(1, 400, 1, 1, 1), valid=few.valid.repeat(1, 400))
        long = method.encode(again)
    assert max(passed) == 64
    assert sum(passed) == 2 * (5 + 2000)
    for name in short:
        torch.testing.assert_close(long[name], short[name], rtol=1e-4, atol=1e-5)


def test_lengths_may_differ_within_a_batch() -> None:
    method = small(chunk=3).eval()
    clip = clip_of(method.config, rows=4, frames=6)
    lengths = torch.tensor([6, 1, 4, 2])
    valid = torch.arange(6) < lengths[:, None]
    wild = torch.where(valid[:, :, None, None, None], clip.frames, torch.tensor(1e4))
    together = method.encode(Clip(wild, valid, clip.sensor))
    for row, length in enumerate(lengths.tolist()):
        own = {name: value[row : row + 1] for name, value in clip.sensor.items()}
        alone = method.encode(replace(Clip.of(clip.frames[row : row + 1, :length]), sensor=own))
        for name in alone:
            torch.testing.assert_close(together[name][row], alone[name][0], rtol=1e-4, atol=1e-5)


def test_padding_does_not_enter_batch_normalisation() -> None:
    method, other = small().train(), small().train()
    batch = batch_of(method.config)
    padded = torch.cat([batch.clip.frames, torch.full_like(batch.clip.frames, 50.0)], 1)
    valid = torch.cat([batch.clip.valid, torch.zeros_like(batch.clip.valid)], 1)
    for one, clip in ((method, batch.clip), (other, Clip(padded, valid, batch.clip.sensor))):
        torch.manual_seed(0)
        one(replace(batch, clip=clip))
    for name, value in method.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value)


# --- sensors ---


def test_a_known_sensor_decides_which_texts() -> None:
    method = small().eval()
    seen: dict[str, Any] = {}
    recorded(method.memory, seen, "memory")
    adapted = method.memory.adapter(method.memory.texts)
    for modality, own in ((SILHOUETTE, adapted[:1]), (DEPTH, adapted[1:]), (0, adapted)):
        method.encode(clip_of(method.config, rows=2, modality=[modality] * 2))
        rows = own.flatten(0, 1)
        assert all((v == rows).all(1).any() for v in seen["memory"].flatten(0, 1))


def test_a_clip_without_sensor_facts_is_from_an_unknown_one() -> None:
    method = small().eval()
    clip = clip_of(method.config, modality=[0] * 4)
    known, bare = method.encode(clip), method.encode(Clip.of(clip.frames))
    assert all(torch.equal(known[name], bare[name]) for name in known)


def test_the_place_of_a_modality_is_its_name_not_its_number() -> None:
    # the other way round in the config: texts must still be those of the clip's own sensor
    method = small(modalities=("depth", "silhouette")).eval()
    texts = texts_of(small().config)
    method.set_dictionary(texts)
    other = small().eval()
    other.set_dictionary(texts)
    clip = clip_of(method.config)
    torch.testing.assert_close(method.encode(clip)["identity"], other.encode(clip)["identity"])


def test_other_sensors_are_refused() -> None:
    method = small()
    with pytest.raises(ValueError, match="of modality 'points'; this network knows silhouette, depth"):
        method.encode(clip_of(method.config, rows=2, modality=[2, 4]))


def test_separate_resnets() -> None:
    method = small(separate_resnets=True).eval()
    with torch.no_grad():
        for part in method.streams.resnets["depth"].parameters():
            part.add_(0.05)
    clip = clip_of(method.config, modality=[DEPTH, SILHOUETTE, SILHOUETTE, DEPTH])
    found = method.streams(clip.frames, clip.valid, method.places[clip.sensor["modality"]], None).local
    for row, name in enumerate(("depth", "silhouette", "silhouette", "depth")):
        expected = method.streams.resnets[name](clip.frames[row]).amax(0)
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="needs to know what sensor a clip is from"):
        method.encode(Clip.of(clip.frames))


def test_exchange_is_for_training_only() -> None:
    method = small(exchange_probability=1.0)
    batch = batch_of(method.config)
    seen: dict[str, Any] = {}
    recorded(method.streams, seen, "streams")
    method.train()(batch)
    assert not torch.equal(seen["streams/in"][0], batch.clip.frames)
    method.eval()(batch)
    assert torch.equal(seen["streams/in"][0], batch.clip.frames)
    unpaired = replace(batch, clip=clip_of(method.config, rows=8, modality=[2] * 8))
    with pytest.raises(ValueError, match="rows 2i and 2i"):
        method.train()(unpaired)


def test_frames_of_another_size_are_refused() -> None:
    method = small()
    for size in ((3, 32, 64), (1, 32, 32)):
        with pytest.raises(ValueError, match=r"built for frames of 3 channels and 32 x 32 pixels and got"):
            method.encode(Clip.of(torch.zeros(1, 1, *size)))


# --- comparing ---


def test_similarity_is_the_mean_over_parts() -> None:
    x, y = some(3, 4, 5), some(2, 4, 5, seed=1)
    query, gallery = Spaces({"identity": x}), Spaces({"identity": y})
    ways: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "euclidean": lambda a, b: -(a - b).norm(),
        "cosine": lambda a, b: F.cosine_similarity(a, b, dim=0),
    }
    for distance, way in ways.items():
        found = small(distance=distance).similarity(query, gallery)
        for i in range(3):
            for j in range(2):
                expected = sum(way(x[i, p], y[j, p]) for p in range(4)) / 4
                assert float(found[i, j]) == pytest.approx(float(expected), abs=1e-5)


def test_heat_is_the_size_of_the_spatial_weights() -> None:
    method = small().eval()
    seen: dict[str, Any] = {}
    recorded(method.weigh, seen, "weigh")
    clip = clip_of(method.config, rows=2, frames=3)
    valid = torch.tensor([[True, True, False], [True, True, True]])
    heat = method.heat(replace(clip, valid=valid))["identity"]
    assert torch.equal(heat[1, 2], seen["weigh"][1, 0].abs())
    assert torch.equal(heat[0, 0], heat[0, 1])
    assert not heat[0, 2].any()


# --- configs ---


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"modalities": ("silhouette", "lidar")}, "modalities = .* expected some of"),
        ({"modalities": ("silhouette",)}, "nothing to cross or exchange with; set triplet to 'joint'"),
        ({"k_t": 17}, "k_t = 17, but 2 rounds make 16 texts"),
        ({"resnet": False, "mf": False, "tfd": False, "text_width": 0}, "text_width = 0; expected 1 or more"),
        ({"widths": (4, 8, 8, 64)}, "end in 64, text_width = 128; both are d"),
        ({"heads": 3}, "does not divide into 3 heads"),
        ({"bins": (3,)}, "3 strips do not fill a map of 4 rows"),
        ({"exchange_cell": 12}, "regions of 12 x 12 pixels do not fill"),
        ({"exchange_most": 5}, "or are fewer than exchange_most = 5"),
        ({"temperature": 0.0}, "temperature = 0.0; expected above 0"),
        ({"smoothing": 1.0}, "smoothing = 1.0; expected 0 to 0.99"),
        ({"clip_std": (1.0, 0.0, 1.0)}, "every value must be above 0"),
        ({"layers": 0}, "layers = 0; expected 1 or more"),
    ],
)
def test_configs_that_cannot_be(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(tiny().config, **fields)


def test_the_width_must_be_clips() -> None:
    with pytest.raises(ValueError, match="text_width = 64, but world-clip meets texts in 128 numbers"):
        small(text_width=64, widths=(4, 8, 8, 64))
