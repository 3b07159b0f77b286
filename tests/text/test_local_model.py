"""A local model with random weights."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.text.captioners import tiny_llava
from unbraid.data.media import read_frames
from unbraid.data.sets.folder import read
from unbraid.text.captioner import Question


@pytest.fixture(scope="module")
def llava(tmp_path_factory) -> Path:
    pytest.importorskip("transformers")
    return tiny_llava(tmp_path_factory.mktemp("models") / "tiny-llava")


def test_local_answers_are_the_models_own_whatever_their_neighbours(llava, people):
    """Greedy decoding by hand, a token at a time and without padding, as oracle."""
    import torch
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    from unbraid.text.local_model import LocalModel

    tracklets = read(people).train[:3]
    pictures = [read_frames(t.media, [0])[0] for t in tracklets]
    pictures[1] = pictures[1][:40]
    words = ["the person wears", "red blue jacket on the street , nothing", "tall"]
    questions = [Question(w, (p,)) for w, p in zip(words, pictures, strict=True)]
    questions += [Question("short hair", (pictures[0], pictures[2])), Question("nothing .")]
    ask = LocalModel(str(llava), device="cpu", most_tokens=6)
    together = dict(ask(questions))
    assert sorted(together) == [0, 1, 2, 3, 4]
    assert ask.name == "tiny-llava"
    assert ask.settings["precision"] == "float32"

    processor = AutoProcessor.from_pretrained(llava)
    model = LlavaForConditionalGeneration.from_pretrained(llava).eval()
    for number, question in enumerate(questions):
        text = f"USER: {'<image> ' * len(question.frames)}{question.text} ASSISTANT:"
        inputs = processor(text=text, images=list(question.frames) or None, return_tensors="pt")
        with torch.no_grad():
            for _ in range(6):
                best = model(**{**inputs, "use_cache": False}).logits[:, -1].argmax(-1, keepdim=True)
                inputs["input_ids"] = torch.cat([inputs["input_ids"], best], 1)
                inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        wanted = processor.decode(inputs["input_ids"][0, -6:])
        assert together[number] == wanted == dict(ask([question]))[0]
    assert len(set(together.values())) >= 3


def test_models_without_a_chat_template(llava, tmp_path):
    from unbraid.text.local_model import LocalModel

    plain = tiny_llava(tmp_path / "plain", template=False)
    picture = np.random.default_rng(1).integers(0, 256, (40, 20, 3)).astype(np.uint8)
    question = Question("the person wears", (picture,))
    # the form used then is that of the template
    assert list(LocalModel(str(plain), device="cpu")([question])) == list(
        LocalModel(str(llava), device="cpu")([question])
    )


def test_wrong_models_are_explained(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    from unbraid.text.local_model import LocalModel, downloads

    with pytest.raises(ValueError, match="holds no image-text-to-text model"):
        LocalModel(str(tmp_path), device="cpu")
    for name in (str(tmp_path / "nothing"), "./nothing", "nothing"):
        with pytest.raises(FileNotFoundError, match="no folder"):
            LocalModel(name, device="cpu")
    with pytest.raises(ValueError, match="device 'abacus' cannot be used"):
        LocalModel(str(tmp_path), device="abacus")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert downloads("a/b")
    assert not downloads(str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not downloads("a/b")


def test_without_transformers_the_extra_is_named(monkeypatch):
    from unbraid.text.local_model import LocalModel

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'unbraid\[text\]'"):
        LocalModel("a/b")
