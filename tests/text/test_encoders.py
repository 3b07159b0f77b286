"""Frozen encoders give what the packages behind them give, whatever else is in the batch."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from unbraid.text.encoders import SMALL, TextEncoder, fingerprint, open_encoder

TEXTS = ["a person in a red coat", "a tall person", "coat"]
WORDS = "a person in red coat tall"
LONG = " ".join(["person"] * 40)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip model of random weights, with a context of 12 tokens, as its own folder."""
    open_clip = pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("clip")
    config = {
        "embed_dim": 6,
        "vision_cfg": {"image_size": 8, "layers": 1, "width": 8, "patch_size": 4, "head_width": 4},
        "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 2},
    }
    (folder / "tiny.json").write_text(json.dumps(config))
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    torch.manual_seed(1)
    save_file(open_clip.model.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights that reads 16 tokens, with a vocabulary of its own."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert")
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()])}
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    transformers.BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    torch.manual_seed(2)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@torch.no_grad()
def test_open_clip_gives_its_own_vectors(clip: Path) -> None:
    import open_clip

    encoder = open_encoder(f"open_clip:local-dir:{clip}")
    # the same weights in a model that open_clip sets up by itself, images and all
    own = open_clip.create_model(f"local-dir:{clip}").eval()
    tokens = open_clip.SimpleTokenizer(context_length=12)(TEXTS)
    found = encoder(TEXTS)
    assert found.tokens.shape == (3, 1, 6)
    assert encoder.width == 6
    assert encoder.pooled
    assert found.mask.tolist() == [[True]] * 3
    torch.testing.assert_close(found.tokens[:, 0], own.encode_text(tokens, normalize=False))
    assert (found.tokens.norm(dim=-1) - 1).abs().min() > 1e-3, "raw, not normalised"


def test_open_clip_weights_from_a_file(clip: Path, tmp_path: Path) -> None:
    import open_clip

    open_clip.add_model_config(clip / "tiny.json")
    weights = clip / "open_clip_model.safetensors"
    one, other = open_encoder(f"open_clip:tiny/{weights}"), open_encoder(f"open_clip:local-dir:{clip}")
    assert one.name == f"open_clip:tiny/{weights}"
    assert one.version == other.version, "the version is that of package and weights"
    assert torch.equal(one(TEXTS).tokens, other(TEXTS).tokens)
    changed = load_file(weights)
    changed["ln_final.bias"] += 1
    save_file(changed, tmp_path / "changed.safetensors")
    assert open_encoder(f"open_clip:tiny/{tmp_path / 'changed.safetensors'}").version != one.version
    del changed["ln_final.bias"]
    save_file(changed, tmp_path / "cut.safetensors")
    with pytest.raises(ValueError, match="cannot be read as an open_clip model"):
        open_encoder(f"open_clip:tiny/{tmp_path / 'cut.safetensors'}")
    with pytest.raises(KeyError, match="no weights 'nothing' of tiny; it has none"):
        open_encoder("open_clip:tiny/nothing")


def test_open_clip_names_that_do_not_exist(tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    with pytest.raises(KeyError, match=r"no model 'EVA02-L-41'; near names: .*EVA02-L-14"):
        open_encoder("open_clip:EVA02-L-41/merged2b_s4b_b131k")
    with pytest.raises(KeyError, match="no weights 'merged' of EVA02-L-14; it has merged2b_s4b_b131k"):
        open_encoder("open_clip:EVA02-L-14/merged")
    with pytest.raises(FileNotFoundError, match=r"no file weights/mine\.pt"):
        open_encoder("open_clip:EVA02-L-14/weights/mine.pt")
    with pytest.raises(ValueError, match="cannot be read as an open_clip model"):
        open_encoder(f"open_clip:local-dir:{tmp_path}")


def test_weights_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub.is_offline_mode", lambda: True)
    with pytest.raises(FileNotFoundError, match=r"not on this machine .* 'open_clip:EVA02-B-16/FILE'"):
        open_encoder("open_clip:EVA02-B-16/merged2b_s8b_b131k")
    with pytest.raises(FileNotFoundError, match="not on this machine"):
        open_encoder("transformers:nobody/no-such-model")


@torch.no_grad()
def test_transformers_gives_its_own_states(bert: Path) -> None:
    import transformers

    encoder = open_encoder(f"transformers:{bert}")
    found = encoder(TEXTS)
    assert not encoder.pooled
    assert encoder.width == 8
    assert found.mask.sum(1).tolist() == [8, 5, 3], "with [CLS] and [SEP]"
    assert not found.tokens[~found.mask].any()
    own = transformers.BertModel.from_pretrained(bert).eval()
    words = {word: i for i, word in enumerate((bert / "vocab.txt").read_text().split())}
    for text, tokens, mask in zip(TEXTS, found.tokens, found.mask, strict=True):
        ids = torch.tensor([[words["[CLS]"], *(words[word] for word in text.split()), words["[SEP]"]]])
        torch.testing.assert_close(tokens[mask], own(input_ids=ids).last_hidden_state[0])
    torch.testing.assert_close(encoder(TEXTS[2:]).tokens[0], found.tokens[2, :3])


def test_ways_to_one_vector(bert: Path) -> None:
    tokens = open_encoder(f"transformers:{bert}")(TEXTS)
    mean, first = open_encoder(f"transformers:{bert}#pooled"), open_encoder(f"transformers:{bert}#cls")
    assert mean.pooled
    assert first.pooled
    by_hand = torch.stack([line[mask].mean(0) for line, mask in zip(tokens.tokens, tokens.mask, strict=True)])
    torch.testing.assert_close(mean(TEXTS).tokens[:, 0], by_hand)
    torch.testing.assert_close(first(TEXTS).tokens, tokens.tokens[:, :1])
    assert mean(TEXTS).mask.tolist() == first(TEXTS).mask.tolist() == [[True]] * 3
    with pytest.raises(KeyError, match="no way 'max'"):
        open_encoder(f"transformers:{bert}#max")


@pytest.mark.parametrize("encoder", ["clip", "bert"])
def test_texts_that_lose_words_are_counted(encoder: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(encoder)
    opened = open_encoder(f"open_clip:local-dir:{folder}" if encoder == "clip" else f"transformers:{folder}")
    room = 10 if encoder == "clip" else 14  # two tokens less than the context
    just, over = " ".join(["person"] * room), " ".join(["person"] * (room + 1))
    assert opened.truncated([just, over, "coat", LONG]) == 2
    assert opened.truncated([just]) == 0
    assert opened.truncated([]) == 0
    torch.testing.assert_close(opened([over]).tokens, opened([LONG]).tokens, msg="what is cut has no effect")
    within = " ".join([*["person"] * (room - 1), "coat"])
    assert not torch.allclose(opened([within]).tokens, opened([LONG]).tokens), "what is not cut has one"


def test_vectors_do_not_depend_on_the_batch(clip: Path, bert: Path) -> None:
    names = (f"open_clip:local-dir:{clip}", f"transformers:{bert}", f"transformers:{bert}#pooled")
    for encoder in map(open_encoder, names):
        together = encoder([*TEXTS, LONG])
        for i, text in enumerate(TEXTS):
            alone = encoder([text])
            torch.testing.assert_close(together.tokens[i][together.mask[i]], alone.tokens[0])
        assert not together.tokens.requires_grad


def test_a_text_encoder_inside_a_larger_model(tmp_path: Path, bert: Path) -> None:
    transformers = pytest.importorskip("transformers")
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path)
    torch.manual_seed(3)
    config = transformers.T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    own = transformers.T5Model(config).eval()
    own.save_pretrained(tmp_path)
    encoder = open_encoder(f"transformers:{tmp_path}")
    ids = transformers.AutoTokenizer.from_pretrained(tmp_path)(TEXTS[:1], return_tensors="pt")["input_ids"]
    torch.testing.assert_close(encoder(TEXTS[:1]).tokens, own.encoder(input_ids=ids).last_hidden_state.detach())
    assert encoder.truncated([LONG]) == 0, "it reads texts of any length"


def test_checkpoints_with_weights_missing_are_refused(bert: Path, tmp_path: Path) -> None:
    for file in bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    complete = open_encoder(f"transformers:{bert}").version
    pooler = {name: value for name, value in weights.items() if "pooler" not in name}
    assert len(pooler) < len(weights)
    save_file(pooler, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert open_encoder(f"transformers:{tmp_path}").version == complete, "a pooler is not used"
    del pooler["encoder.layer.0.output.dense.weight"]
    save_file(pooler, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 weights, such as 'encoder\.layer\.0\.output\.dense\.weight'"):
        open_encoder(f"transformers:{tmp_path}")


def test_folders_without_a_model(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(FileNotFoundError, match="no folder"):
        open_encoder(f"transformers:{tmp_path / 'nothing'}")
    with pytest.raises(ValueError, match="holds no model of transformers"):
        open_encoder(f"transformers:{tmp_path}")


@pytest.mark.parametrize("name", ["word-clip", "openclip:ViT-B-32/openai", "open_clip", "open_clip:", ""])
def test_unknown_names_say_what_there_is(name: str) -> None:
    with pytest.raises(KeyError, match="'open_clip:MODEL/TAG_OR_FILE'"):
        open_encoder(name)


def test_near_names_are_suggested() -> None:
    with pytest.raises(KeyError, match="did you mean 'world-clip'"):
        open_encoder("word-clip")


@pytest.mark.parametrize(
    ("package", "name"), [("open_clip", "open_clip:ViT-B-32/openai"), ("transformers", "transformers:x")]
)
def test_missing_packages_say_how_to_get_them(package: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=r"pip install 'unbraid\[text\]'"):
        open_encoder(name)


def test_devices_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="'abacus' cannot be used"):
        open_encoder(SMALL, device="abacus")


def test_the_small_encoder_opens_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, str]] = []

    def small(*, pooled: bool, device: str) -> TextEncoder | None:
        asked.append((pooled, device))
        return None

    monkeypatch.setattr("unbraid.text.small.small_encoder", small)
    open_encoder("world-clip")
    open_encoder("world-clip#tokens")
    assert asked == [(True, "cpu"), (False, "cpu")]


def test_fingerprints_tell_weights_apart() -> None:
    one = torch.nn.Linear(2, 2)
    before = fingerprint(one)
    assert fingerprint(one) == before
    with torch.no_grad():
        one.weight[0, 0] += 1
    assert fingerprint(one) != before
