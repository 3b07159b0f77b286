"""The loading of published names and files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.nn.qformers import GROUPS, TINY, B, K, State, theirs, whole
from unbraid.nn.qformer import QFormer
from unbraid.nn.qformer_weights import key_map, load_qformer


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def visual() -> Tensor:
    return torch.randn(B, K, TINY.visual_width)


def lavis(state: State) -> State:
    """transformers' names to LAVIS's, by the table of the fact sheet read backwards."""
    renamed = {}
    for name, value in state.items():
        name = name.replace("attention.attention.", "attention.self.").replace(
            "embeddings.layernorm", "embeddings.LayerNorm"
        )
        renamed[name.replace("qformer.", "Qformer.bert.", 1) if name.startswith("qformer.") else name] = value
    return renamed


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
@pytest.mark.parametrize("layout", ["blip2", "instructblip", "lavis"])
def test_every_published_name_is_kept_or_dropped(layout: str, prefix: str, visual: Tensor) -> None:
    net = theirs(TINY, instruct=layout != "blip2")
    state = whole(net, TINY, **{"vision_model.embeddings.class_embedding": torch.ones(1)})
    if layout == "lavis":
        state = lavis(state) | {"Qformer.cls.predictions.bias": torch.ones(1), "ln_vision.weight": torch.ones(1)}
        state["Qformer.bert.embeddings.position_ids"] = torch.arange(3)
    reader = QFormer(TINY, GROUPS)
    loaded = load_qformer(reader, {prefix + name: value for name, value in state.items()})
    assert loaded.layout == layout
    assert loaded.kept + len(loaded.dropped) == len(state)
    text_feed = 0 if layout == "blip2" else 6 * TINY.layers
    assert list(loaded.dropped.values()).count("feed-forward part for text") == text_feed
    assert list(loaded.dropped.values()).count("vision tower") == (2 if layout == "lavis" else 1)
    assert loaded.fresh == tuple(f"text_projection.{i}.{kind}" for i in (0, 1) for kind in ("weight", "bias"))
    assert f"{loaded.kept} tensors" in str(loaded)
    assert "1 of the vision tower" in str(loaded) or layout == "lavis"

    names = key_map(TINY, loaded.layout)
    assert len(set(names.values())) == len(names)
    own = reader.state_dict()
    assert {n for n in own if n not in names.values() and not n.startswith("queries.")} == set(loaded.fresh)
    for name, mine in names.items():
        assert torch.equal(own[mine], state[name])
    for group in GROUPS:
        assert torch.equal(reader.queries[group], state["query_tokens"][0])


def test_noise_tells_the_groups_apart() -> None:
    config = replace(TINY, query_noise=0.01)
    state = whole(theirs(config), config)
    first, second = (QFormer(config, GROUPS) for _ in range(2))
    for reader in (first, second):
        load_qformer(reader, state, generator=torch.Generator().manual_seed(5))
    assert torch.equal(first.queries["motion"], second.queries["motion"])
    gap = first.queries["motion"] - state["query_tokens"][0]
    assert 0.005 < gap.std() < 0.02
    assert not torch.equal(first.queries["motion"], first.queries["identity"])


@pytest.mark.parametrize("kind", ["one.safetensors", "folder", "index", "shards", "plain.pth"])
def test_files(kind: str, tmp_path: Path) -> None:
    state = whole(theirs(TINY), TINY, **{"language_model.big.weight": torch.ones(2)})
    path = tmp_path
    if kind == "plain.pth":
        torch.save({"model": state}, path := tmp_path / kind)
    elif kind in ("index", "shards"):
        half = dict(list(state.items())[:20])
        save_file(half, tmp_path / "a.safetensors")
        save_file({n: v for n, v in state.items() if n not in half}, tmp_path / "b.safetensors")
        where = {name: "a.safetensors" if name in half else "b.safetensors" for name in state}
        index = tmp_path / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": where}), encoding="utf-8")
        path = index if kind == "index" else tmp_path
    else:
        file = tmp_path / ("model.safetensors" if kind == "folder" else kind)
        save_file(state, file)
        path = tmp_path if kind == "folder" else file
    reader = QFormer(TINY, GROUPS)
    assert load_qformer(reader, path).dropped == {"language_model.big.weight": "language model"}
    name = "attention.attention.key.weight"
    assert torch.equal(reader.state_dict()["layers.0.attention.key.weight"], state[f"qformer.encoder.layer.0.{name}"])


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    state = whole(theirs(TINY), TINY)
    reader = QFormer(TINY, GROUPS)
    before = {name: value.clone() for name, value in reader.state_dict().items()}
    a_name = "qformer.encoder.layer.3.attention.output.dense.weight"
    with pytest.raises(ValueError, match=r"lack 'qformer.encoder.layer.3.attention.output.dense.weight' and 0 more"):
        load_qformer(reader, {n: v for n, v in state.items() if n != a_name})
    with pytest.raises(ValueError, match="lack 'query_tokens'"):
        load_qformer(reader, {n: v for n, v in state.items() if n != "query_tokens"})
    with pytest.raises(ValueError, match=r"'qformer.extra.weight', which is neither"):
        load_qformer(reader, state | {"qformer.extra.weight": torch.ones(1)})
    with pytest.raises(ValueError, match=r"layer.5\..* neither a part"):
        load_qformer(reader, whole(theirs(replace(TINY, layers=6)), TINY))
    with pytest.raises(ValueError, match=r"is \(48, 32\); this Q-Former has \(64, 32\)"):
        load_qformer(QFormer(replace(TINY, inner=64), GROUPS), state)
    with pytest.raises(ValueError, match=r"queries are \(7, 32\); expected \(4, 32\)"):
        load_qformer(reader, state | {"query_tokens": torch.ones(1, 7, 32)})
    with pytest.raises(ValueError, match="with and without the prefix"):
        load_qformer(reader, state | {f"model.{a_name}": state[a_name]})
    with pytest.raises(ValueError, match="hold no Q-Former"):
        load_qformer(reader, {"fc.weight": torch.ones(1)})
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors"):
        load_qformer(reader, tmp_path / "absent.safetensors")
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load_qformer(reader, tmp_path)
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_qformer(reader, tmp_path / "broken.safetensors")
    for name, value in reader.state_dict().items():
        assert torch.equal(value, before[name])
