"""The vision tower of InstructBLIP against transformers' own, and its published names."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import InstructBlipVisionConfig
from transformers.models.instructblip.modeling_instructblip import InstructBlipVisionModel

from unbraid.nn.blip_vision import BlipTower, key_map
from unbraid.nn.pretrained import load_pretrained

SIZES = {"width": 32, "blocks": 2, "heads": 4, "inner": 48, "pixels": 28}


def theirs(sizes: dict[str, int] = SIZES) -> Any:
    config = InstructBlipVisionConfig(
        hidden_size=sizes["width"],
        num_hidden_layers=sizes["blocks"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["inner"],
        image_size=sizes["pixels"],
    )
    torch.manual_seed(0)
    net = InstructBlipVisionModel(config)
    for name, parameter in net.named_parameters():
        scale = "norm" in name and name.endswith("weight")
        nn.init.normal_(parameter, mean=float(scale), std=0.1 if scale else 0.2)
        if name.endswith("qkv.bias"):
            # the keys of this tower have no bias
            parameter.data.chunk(3)[1].zero_()
    return net.eval()


def published(net: Any) -> dict[str, Tensor]:
    return {f"vision_model.{name}": value.clone() for name, value in net.state_dict().items()}


def lavis(net: Any) -> dict[str, Tensor]:
    """The same tensors as LAVIS names them."""
    renames = (
        ("vision_model.post_layernorm", "ln_vision"), ("vision_model.encoder.layers", "visual_encoder.blocks"),
        ("layer_norm", "norm"), ("self_attn.projection", "attn.proj"), ("self_attn", "attn"),
        ("vision_model.embeddings.class_embedding", "visual_encoder.cls_token"),
        ("vision_model.embeddings.position_embedding", "visual_encoder.pos_embed"),
        ("vision_model.embeddings.patch_embedding", "visual_encoder.patch_embed.proj"),
    )  # fmt: skip
    made = {}
    for name, value in published(net).items():
        for old, new in renames:
            name = name.replace(old, new)
        if name.endswith("qkv.bias"):
            query, _, v = value.chunk(3)
            made |= {name.replace("qkv.bias", "q_bias"): query, name.replace("qkv.bias", "v_bias"): v}
        else:
            made[name] = value
    return {name: value.clone() for name, value in made.items()}


@pytest.mark.parametrize("names", [published, lavis])
def test_tokens_are_theirs(names: Any, tmp_path: Path) -> None:
    net = theirs()
    save_file(
        names(net) | {"language_model.x": torch.zeros(1), "query_tokens": torch.zeros(1)}, tmp_path / "w.safetensors"
    )
    tower = BlipTower(pretrained=True, **SIZES).eval()
    load_pretrained(tower, tmp_path / "w.safetensors")
    x = torch.randn(3, 3, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(tower(x), net(pixel_values=x)[0], rtol=0, atol=1e-5)
        # other sizes: positions are interpolated
        assert tower(torch.randn(1, 3, 56, 28)).shape == (1, 1 + 4 * 2, 32)
    assert tower.loaded is not None
    assert tower.loaded.dropped == {"language_model.x": "language model", "query_tokens": "Q-Former"}
    assert "dropped: 1 of the language model, 1 of the Q-Former" in str(tower.loaded)


def test_every_tensor_has_a_place() -> None:
    values, report = BlipTower(pretrained=True, **SIZES).translated(published(theirs()), "the file")
    assert set(values) == set(BlipTower(pretrained=False, **SIZES).state_dict())
    assert report.kept == len(published(theirs()))
    for layout, names in (("transformers", published), ("lavis", lavis)):
        assert set(key_map(2, layout)) == set(names(theirs()))


def test_full_size_has_the_published_sizes() -> None:
    with torch.device("meta"):
        tower, net = BlipTower(pretrained=True), InstructBlipVisionModel(InstructBlipVisionConfig())
    # 985.95 million, of which the bias of the keys is not ours
    assert sum(p.numel() for p in net.parameters()) == 985_952_256
    assert sum(p.numel() for p in tower.parameters()) == 985_952_256 - 39 * 1408
    own = {name: tuple(value.shape) for name, value in tower.state_dict().items()}
    shapes = {f"vision_model.{name}": tuple(value.shape) for name, value in net.state_dict().items()}
    names = key_map(39, "transformers")
    assert set(names) == set(shapes)
    assert all(own[ours[0]] == shapes[name] for name, ours in names.items() if len(ours) == 1)
    assert (tower.width, tower.stride, tower.prefix, tower.size) == (1408, 14, 1, (224, 224))


def test_what_does_not_fit() -> None:
    tower, state = BlipTower(pretrained=True, **SIZES), published(theirs())
    before = {n: v.clone() for n, v in tower.state_dict().items()}
    with pytest.raises(ValueError, match=r"hold 'vision_model.extra', which is neither a part"):
        tower.renamed(state | {"vision_model.extra": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"'vision_model.encoder.layers.2.mlp.fc1.weight'"):
        tower.renamed(state | {"vision_model.encoder.layers.2.mlp.fc1.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"lack 'vision_model.encoder.layers.1.mlp.fc1.weight' and 0 more"):
        tower.renamed({n: v for n, v in state.items() if n != "vision_model.encoder.layers.1.mlp.fc1.weight"})
    with pytest.raises(ValueError, match=r"'vision_model.post_layernorm.bias' is \(31,\); this tower has \(32,\)"):
        tower.renamed(state | {"vision_model.post_layernorm.bias": torch.zeros(31)})
    with pytest.raises(ValueError, match="has a bias of the keys"):
        tower.renamed(state | {"vision_model.encoder.layers.0.self_attn.qkv.bias": torch.ones(96)})
    with pytest.raises(ValueError, match="hold no vision tower of BLIP"):
        tower.renamed({"blocks.0.norm1.weight": torch.zeros(1)})
    assert all(torch.equal(v, before[n]) for n, v in tower.state_dict().items())
    with pytest.raises(FileNotFoundError, match="pass its file with --weights FILE"):
        load_pretrained(tower)
