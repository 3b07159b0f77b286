"""Image towers: agreement with the libraries they come from, and what a camera's vector does."""

from functools import partial
from pathlib import Path

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import vision_transformer
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from unbraid.nn import vision
from unbraid.nn.pretrained import load_pretrained
from unbraid.nn.vision import OpenClipTower, VisionTower, small_transformer, vision_tower

EVA = "eva02_large_patch14_clip_224"
SMALL_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1},
}


def images(rows: int = 3, height: int = 32, width: int = 32) -> Tensor:
    return torch.randn(rows, 3, height, width, generator=torch.Generator().manual_seed(0))


def small_eva(seed: int = 0) -> Eva:
    """The trunk of the paper with 2 blocks of width 32 and 28 x 28 pixels."""
    torch.manual_seed(seed)
    return timm.create_model(
        EVA, pretrained=False, num_classes=0, img_size=28, embed_dim=32, depth=2, num_heads=2, dynamic_img_size=True
    )


def small_vit(seed: int = 0) -> VisionTower:
    torch.manual_seed(seed)
    return vision_tower("test_vit.r160_in1k", pretrained=False).eval()


@pytest.fixture(scope="module")
def clip() -> nn.Module:
    """A small whole CLIP of open_clip."""
    torch.manual_seed(0)
    return open_clip.CLIP(**SMALL_CLIP, output_dict=True).eval()


@pytest.fixture
def named_clip(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name under which open_clip knows the small CLIP."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "small", SMALL_CLIP)
    return "open_clip:small"


# --- tokens are those of the libraries ---


@pytest.mark.parametrize("size", [(32, 32), (64, 32)])
def test_timm_transformer(size: tuple[int, int]) -> None:
    tower = small_vit()
    x = images(2, *size)
    torch.testing.assert_close(tower(x), tower.net.forward_features(x))
    assert tower(x).shape == (2, 1 + size[0] // 16 * size[1] // 16, tower.width)


@pytest.mark.parametrize("size", [(28, 28), (42, 14)])
def test_timm_eva(size: tuple[int, int]) -> None:
    net = small_eva().eval()
    x = images(2, *size)
    torch.testing.assert_close(VisionTower(net)(x), net.forward_features(x))


def test_tokens_behind_registers() -> None:
    torch.manual_seed(0)
    net = timm.create_model("test_vit", pretrained=False, num_classes=0, dynamic_img_size=True, reg_tokens=2).eval()
    tower = VisionTower(net)
    assert tower.prefix == 3
    assert tower.attention(images()).shape == (3, 2, 2)


def test_open_clip_transformer(clip: nn.Module, named_clip: str) -> None:
    tower = vision_tower(named_clip, pretrained=False).eval()
    assert isinstance(tower, OpenClipTower)
    assert (tower.width, tower.size, tower.stride, tower.grid(32, 32)) == (64, (32, 32), 16, (2, 2))
    tower.load_state_dict(tower.renamed(clip.state_dict()), strict=False)
    clip.visual.output_tokens = True
    pooled, tokens = clip.visual(images())
    found = tower(images())
    torch.testing.assert_close(found[:, 1:], tokens)
    torch.testing.assert_close(found[:, 0] @ clip.visual.proj, pooled)


def test_open_clip_weights_come_from_a_file(clip: nn.Module, named_clip: str, tmp_path: Path) -> None:
    file = tmp_path / "clip.safetensors"
    save_file({n: v.contiguous() for n, v in clip.state_dict().items()}, file)
    tower = vision_tower(f"{named_clip}/{file}", pretrained=True)
    load_pretrained(nn.ModuleList([tower]))
    assert all(torch.equal(v, clip.state_dict()[n.replace("net.", "visual.")]) for n, v in tower.state_dict().items())


@pytest.mark.parametrize("size", [(64, 32), (16, 48)])
def test_open_clip_at_other_sizes_is_timms(clip: nn.Module, named_clip: str, size: tuple[int, int]) -> None:
    # timm reads the same weights into its own network, and interpolates positions in its own way
    tower = vision_tower(named_clip, pretrained=False).eval()
    tower.load_state_dict(tower.renamed(clip.state_dict()), strict=False)
    net = VisionTransformer(
        img_size=32, patch_size=16, embed_dim=64, depth=2, num_heads=2, num_classes=24, pre_norm=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-5), dynamic_img_size=True,
    )  # fmt: skip
    net.load_state_dict(vision_transformer.checkpoint_filter_fn(clip.state_dict(), net))
    x = images(2, *size)
    torch.testing.assert_close(tower(x), net.eval().forward_features(x))


def test_open_clip_needs_whole_patches(named_clip: str) -> None:
    tower = vision_tower(named_clip, pretrained=False)
    with pytest.raises(ValueError, match=r"got frames of 40 x 32 pixels, which patches of 16 x 16 do not fill"):
        tower(images(1, 40, 32))


def test_open_clip_activation_belongs_to_the_weights() -> None:
    with torch.device("meta"):
        quick, exact = (vision_tower(f"open_clip:ViT-B-32/{t}", pretrained=True) for t in ("openai", "laion2b_e16"))
    kinds = [type(t.net.transformer.resblocks[0].mlp.gelu).__name__ for t in (quick, exact)]
    assert kinds == ["QuickGELU", "GELU"]


# --- the trunk of the paper ---


@pytest.mark.parametrize("name", [f"{EVA}.merged2b", "open_clip:EVA02-L-14/merged2b_s4b_b131k"])
def test_eva_is_that_of_the_sheet(name: str) -> None:
    # sheet 1.1
    with torch.device("meta"):
        tower = vision_tower(name, pretrained=True)
        tokens = tower(torch.empty(2, 3, 224, 224, device="meta"))
    net = tower.net
    assert isinstance(net, Eva)
    assert tokens.shape == (2, 257, 1024)
    assert (tower.width, tower.size, tower.stride, tower.prefix) == (1024, (224, 224), 14, 1)
    assert tower.grid(224, 224) == (16, 16)
    block = net.blocks[0]
    assert (len(net.blocks), block.attn.num_heads, block.mlp.fc1_g.out_features) == (24, 16, 2730)
    assert block.attn.qkv is None
    assert block.attn.k_proj.bias is None
    assert isinstance(block.attn.norm, nn.LayerNorm)
    assert isinstance(block.mlp.norm, nn.LayerNorm)
    assert net.pos_embed.shape == (1, 257, 1024)
    assert list(net.rope.ref_feat_shape) == [16, 16]
    assert tower.library_name == name


def test_eva_turns_patches_and_not_the_class_token() -> None:
    net = small_eva().eval()
    net.pos_embed.data.zero_()
    tower, x = VisionTower(net), images(1, 28, 28)
    flipped = tower(x.flip(3).flip(2))
    # without positions only the rotation knows where a patch is
    assert not torch.allclose(flipped[:, 1:].flip(1), tower(x)[:, 1:], atol=1e-3)
    net.rope.pos_embed, before = None, net.rope.get_embed
    net.rope.get_embed = lambda shape=None: torch.cat(
        [torch.zeros_like(half) + angle for half, angle in zip(before(shape).chunk(2, -1), (0.0, 1.0), strict=True)], -1
    )
    patches = x.unfold(2, 14, 14).unfold(3, 14, 14)
    moved = patches.flip(2).flip(3).permute(0, 1, 2, 4, 3, 5).reshape(1, 3, 28, 28)
    torch.testing.assert_close(tower(moved)[:, 1:].flip(1), tower(x)[:, 1:], rtol=1e-4, atol=1e-5)


# --- the camera's vector ---


@pytest.mark.parametrize("kind", ["vit", "eva", "open_clip"])
def test_a_vector_beside_the_positions(kind: str, named_clip: str) -> None:
    torch.manual_seed(0)
    made = {
        "vit": small_vit,
        "eva": lambda: VisionTower(small_eva()),
        "open_clip": lambda: vision_tower(named_clip, pretrained=False),
    }
    tower = made[kind]().eval()
    x = images(2, *tower.size) if kind != "vit" else images(2)
    vector = torch.randn(tower.width)
    bare = tower(x)
    assert torch.equal(tower(x, torch.zeros(2, tower.width)), bare)
    one = tower(x, torch.stack([vector, torch.zeros_like(vector)]))
    assert not torch.allclose(one[0], bare[0], atol=1e-3)
    torch.testing.assert_close(one[1], bare[1])
    # the same as a change of all positions, that of the class token included
    positions = tower.net.positional_embedding if kind == "open_clip" else tower.net.pos_embed
    positions.data += vector
    torch.testing.assert_close(tower(x)[0], one[0], rtol=1e-4, atol=1e-4)


# --- attention ---


def test_attention_of_timm_by_hand() -> None:
    tower = small_vit()
    seen: list[Tensor] = []
    block = tower.net.blocks[-1]
    hook = block.attn.register_forward_pre_hook(lambda _m, given: seen.append(given[0]))
    found = tower.attention(images())
    hook.remove()
    x, heads = seen[0], block.attn.num_heads
    q, k, _ = block.attn.qkv(x).view(3, -1, 3, heads, tower.width // heads).unbind(2)
    logits = torch.einsum("nqhd,nkhd->nhqk", block.attn.q_norm(q), block.attn.k_norm(k))
    weights = (logits / (tower.width // heads) ** 0.5).softmax(-1)[:, :, 0].mean(1)
    torch.testing.assert_close(found.flatten(1), weights[:, 1:])
    assert found.shape == (3, 2, 2)


@pytest.mark.parametrize("kind", ["eva", "open_clip"])
def test_attention_is_a_share(kind: str, named_clip: str) -> None:
    torch.manual_seed(0)
    tower = (VisionTower(small_eva()) if kind == "eva" else vision_tower(named_clip, pretrained=False)).eval()
    x = images(2, *tower.size)
    before = tower(x)
    found = tower.attention(x)
    assert found.shape == (2, *tower.grid(*tower.size))
    assert (found >= 0).all()
    assert (found.sum((1, 2)) < 1).all()
    assert torch.equal(tower(x), before)


# --- weights ---


@pytest.mark.parametrize("fresh", [False, True])
def test_weights_of_eva_under_open_clips_names(fresh: bool, tmp_path: Path) -> None:
    theirs = {n: torch.rand_like(v) for n, v in small_eva().state_dict().items()}
    parts = (("mlp.fc1_g", "mlp.w1"), ("mlp.fc1_x", "mlp.w2"), ("mlp.fc2", "mlp.w3"), ("mlp.norm", "mlp.ffn_ln"))
    parts += (("attn.norm", "attn.inner_attn_ln"), ("q_proj.bias", "q_bias"), ("v_proj.bias", "v_bias"))

    def published(name: str) -> str:
        for ours, other in parts:
            name = name.replace(ours, other)
        return f"visual.{name}"

    file = tmp_path / "eva.safetensors"
    save_file(
        {published(n): v for n, v in theirs.items()} | {"text.x": torch.ones(1), "logit_scale": torch.ones(1)}, file
    )
    tower = VisionTower(small_eva(1), library_name="eva", fresh_norm=fresh)
    load_pretrained(nn.ModuleList([tower]), file)
    arrived = {n: torch.equal(v, theirs[n]) for n, v in tower.net.state_dict().items()}
    if fresh:
        assert {n for n, same in arrived.items() if not same} == {"norm.weight", "norm.bias"}
        assert (tower.net.norm.weight == 1).all()
        assert (tower.net.norm.bias == 0).all()
    else:
        assert all(arrived.values())


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file({"cls_token": torch.zeros(1, 1, 32)}, file)
    tower = VisionTower(small_eva(), library_name="some-eva")
    with pytest.raises(ValueError, match=r"x.safetensors does not fit the trunk some-eva: it lacks 'net"):
        load_pretrained(tower, file)


def test_positions_of_another_size_are_interpolated(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit", pretrained=False, img_size=64).state_dict(), file)
    tower = VisionTower(vision_tower("test_vit", pretrained=False, size=(32, 64)).net, library_name="test_vit")
    load_pretrained(tower, file)
    assert tower.size == (32, 64)
    assert tower.net.pos_embed.shape[1] == 1 + 2 * 4


def test_small_tower(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = small_transformer().state_dict()
    monkeypatch.setattr(vision, "HOME", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"image.safetensors is missing; reinstall the package, or train it"):
        vision_tower("world-clip", pretrained=True)
    save_file({n: v.half() for n, v in made.items()}, tmp_path / "image.safetensors")
    tower = vision_tower("world-clip", pretrained=True)
    assert tower.library_name is None
    torch.testing.assert_close(tower.net.cls_token.data, made["cls_token"], rtol=1e-3, atol=1e-3)
    assert tower(images(1, 128, 64)).shape == (1, 1 + 8 * 4, 192)


# --- names ---


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("vit_bass_patch16", KeyError, "no image tower 'vit_bass_patch16' in timm; some near names"),
        (f"{EVA}.merged3b", KeyError, rf"Invalid pretrained tag.*pretrained ones: \['{EVA}.merged2b'\]"),
        ("resnet18", ValueError, "'resnet18' is no vision transformer"),
        ("vit_base_patch16_siglip_224", ValueError, "is no vision transformer with a class token; use one such as"),
        ("open_clip:ViT-B-17/openai", KeyError, r"no image tower 'open_clip:ViT-B-17/openai' in open_clip; some near"),
        ("open_clip:ViT-B-16", KeyError, r"names no weights: '' is no file, and open_clip has the tags \['openai'"),
        ("open_clip:ViT-B-16/openbi", KeyError, r"names no weights: 'openbi' is no file"),
        ("open_clip:RN50/openai", ValueError, "'open_clip:RN50/openai' is no vision transformer with a class token"),
        ("open_clip:coca_ViT-B-32/laion2b_s13b_b90k", ValueError, "is no vision transformer with a class token"),
    ],
)
def test_wrong_names(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message), torch.device("meta"):
        vision_tower(name, pretrained=True)


def test_open_clip_weights_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_config: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(open_clip, "download_pretrained", refuse)
    with torch.device("meta"):
        tower = vision_tower("open_clip:ViT-B-32/openai", pretrained=True)
    with pytest.raises(FileNotFoundError, match=r"weights of open_clip:ViT-B-32/openai are not cached.*--weights FILE"):
        load_pretrained(tower)
