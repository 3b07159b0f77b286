"""Tokens in the space of texts: agreement with open_clip's own forward, and where the weights come from."""

from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unbraid.nn.joint import joint_tower
from unbraid.nn.pretrained import load_pretrained
from unbraid.nn.vision import HOME

SMALL_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1},
}


def images(rows: int = 3, height: int = 32, width: int = 32) -> Tensor:
    return torch.randn(rows, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def clip() -> nn.Module:
    torch.manual_seed(0)
    made = open_clip.CLIP(**SMALL_CLIP, output_dict=True).eval()
    # it starts at ones and zeros, which would hide a normalisation left out
    nn.init.normal_(made.visual.ln_post.weight)
    nn.init.normal_(made.visual.ln_post.bias)
    return made


@pytest.fixture
def named_clip(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "small", SMALL_CLIP)
    return "open_clip:small"


@pytest.mark.parametrize("whole", [True, False])
def test_tokens_are_open_clips(clip: nn.Module, named_clip: str, tmp_path: Path, whole: bool) -> None:
    # the file of a whole CLIP, and that of its image half alone
    half = {n.removeprefix("visual."): v for n, v in clip.state_dict().items() if n.startswith("visual.")}
    file = tmp_path / "clip.safetensors"
    save_file({n: v.contiguous() for n, v in (clip.state_dict() if whole else half).items()}, file)
    tower = joint_tower(f"{named_clip}/{file}", pretrained=True).eval()
    load_pretrained(nn.ModuleList([tower]))
    found = tower(images())
    assert found.shape == (3, 5, 24)
    torch.testing.assert_close(found[:, 0], clip.encode_image(images()))
    clip.visual.output_tokens = True
    tokens = clip.visual(images())[1]
    torch.testing.assert_close(found[:, 1:], tokens @ clip.visual.proj)


def test_vit_b_16_has_the_shapes_of_the_paper() -> None:
    with torch.device("meta"):
        tower = joint_tower("open_clip:ViT-B-16/openai", pretrained=True)
        found = tower(torch.empty(2, 3, 64, 64))
    assert found.shape == (2, 17, 512)
    assert (tower.grid(64, 64), tower.width) == ((4, 4), 512)
    assert [type(b.mlp.gelu).__name__ for b in tower.tower.net.transformer.resblocks] == ["QuickGELU"] * 12


def test_a_file_without_projection_does_not_fit(clip: nn.Module, named_clip: str, tmp_path: Path) -> None:
    file = tmp_path / "clip.safetensors"
    save_file({n: v.contiguous() for n, v in clip.state_dict().items() if n != "visual.proj"}, file)
    tower = joint_tower(f"{named_clip}/{file}", pretrained=True)
    with pytest.raises(ValueError, match=r"it lacks 'project\.weight' and 0 more"):
        load_pretrained(nn.ModuleList([tower]))


def test_the_small_clip_is_in_place_at_once() -> None:
    tower = joint_tower("world-clip", pretrained=True)
    assert tower.library_name is None
    weight = load_file(HOME / "projection.safetensors")["weight"].float()
    assert torch.equal(tower.project.weight, weight)
    x = images(2, 64, 64)
    found = tower(x)
    assert found.shape == (2, 17, 128)
    torch.testing.assert_close(found, tower.tower.net.forward_features(x) @ weight.T)
    other = joint_tower("world-clip", pretrained=False)
    assert not torch.equal(other.project.weight, weight)
    assert not torch.equal(other.tower.net.cls_token, tower.tower.net.cls_token)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("vit_base_patch16_clip_224.openai", ValueError, "shares no space with texts; use a CLIP of open_clip"),
        ("open_clip:EVA02-B-16/merged2b_s8b_b131k", ValueError, "inside another network"),
        ("open_clip:ViT-B-61/openai", KeyError, "some near models"),
    ],
)
def test_names_that_do_not_fit(name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said), torch.device("meta"):
        joint_tower(name, pretrained=False)
