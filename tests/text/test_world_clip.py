"""The small CLIP that comes with the library: there, small, said what it is, and no worse than its card."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from unbraid.data.media import read_frames
from unbraid.data.sets.folder import read
from unbraid.nn.joint import small_projection
from unbraid.nn.vision import HOME, vision_tower
from unbraid.recipe import IMAGENET_MEAN, IMAGENET_STD
from unbraid.text.captions import read_captions
from unbraid.text.encoders import open_encoder
from unbraid.text.small import SHARED
from unbraid.world import WorldConfig, render

# ten people in four outfits each
PEOPLE, PICTURES = 10, 40


def test_it_is_small_and_nothing_is_a_pickle() -> None:
    files = [file for file in HOME.iterdir() if file.is_file()]
    assert {file.suffix for file in files} == {".safetensors", ".json", ".md"}
    assert sum(file.stat().st_size for file in files) <= 15 * 2**20


def test_the_card_tells_the_numbers_that_were_measured() -> None:
    numbers = json.loads((HOME / "numbers.json").read_text(encoding="utf-8"))
    card = (HOME / "README.md").read_text(encoding="utf-8")
    assert numbers["synthetic"]
    for aspect, share in numbers["retrieval"]["rgb"].items():
        assert f"| {aspect} | {100 * share['found']:.1f} ({100 * share['chance']:.1f}) |" in card


def test_strangers_find_the_texts_about_their_clothes(tmp_path: Path) -> None:
    # people of a world that neither its training nor its card knows; its recipe's sizes
    config = WorldConfig(
        train_identities=2, test_identities=PEOPLE, tracklets=2, queries=1, frames=1, height=128, width=64, seed=77
    )
    benchmark = read(render(config, tmp_path / "world"))
    said = {
        row.key: row.text for row in read_captions(tmp_path / "world" / "captions.jsonl") if row.aspect == "clothing"
    }
    frames = np.stack([_resized(next(iter(read_frames(t.media, [0])))) for t in benchmark.query])
    values = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(part)[:, None, None] for part in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        token = vision_tower("world-clip", pretrained=True).eval()((values - mean) / std)[:, 0]
    texts = [said[t.key] for t in benchmark.query]
    vectors = open_encoder("world-clip")(texts).tokens[:, 0]
    assert vectors.shape == (PICTURES, SHARED)
    best = (F.normalize(token @ small_projection().T, dim=1) @ F.normalize(vectors, dim=1).T).argmax(1)
    right = sum(texts[choice] == text for choice, text in zip(best.tolist(), texts, strict=True))
    # by chance 1 of 40; 6 or more by chance alone happen once in 2,200 times
    assert right >= 6


def test_words_have_vectors_of_their_own() -> None:
    pooled, tokens = open_encoder("world-clip"), open_encoder("world-clip#tokens")
    texts = ["A person in a red coat.", "Someone wears a blue skirt and a yellow shirt."]
    assert pooled(texts).tokens.shape == (2, 1, SHARED)
    found = tokens(texts)
    assert found.tokens.shape[:2] == found.mask.shape == (2, 10)
    assert found.mask.sum(1).tolist() == [7, 10]
    cosine = F.cosine_similarity(*pooled(texts).tokens[:, 0], dim=0)
    assert cosine < 0.9


def _resized(image: np.ndarray) -> np.ndarray:
    return image if image.shape[:2] == (128, 64) else cv2.resize(image, (64, 128), interpolation=cv2.INTER_AREA)
