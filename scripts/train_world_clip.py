"""Train the small CLIP that comes with the library, from pictures and captions of the built-in world.

    python scripts/train_world_clip.py --work FOLDER [--steps 2400] [--keep]

The people are a world of their own (seed 3000): none of them is in any benchmark of the world. 400 of them are trained
on, 100 others are what the model card's numbers are about, with sentence templates that training never showed.
First the class token learns which words are in the captions, from those about clothing alone, then about all aspects.
Then every step asks in addition about clothing and one other aspect (without colours about two), one after another, so
that a text must be told from other texts about the same thing; equal texts are all right answers. With all at once from
the start, the hard aspects (a body, a manner of walking) made all pictures alike, and nothing was learned in 400 steps;
for the same reason each aspect has a scale of its own. Photographs are shown at half their size for most of the time,
twice as many at once: colours were learned in a quarter of the time. Continues where it was stopped; --keep writes the
result into the package.

Source of the contrast: CLIP (2021); of naming words: SuperClass (2024).
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from unbraid.checkpoint import Progress, latest, load_checkpoint, save_checkpoint
from unbraid.data.media import read_frames
from unbraid.data.sets.folder import read
from unbraid.nn.vision import HOME, VisionTower, small_transformer
from unbraid.progress import track
from unbraid.recipe import IMAGENET_MEAN, IMAGENET_STD
from unbraid.text.captions import read_captions
from unbraid.text.small import SHARED, SmallTextTower, Words
from unbraid.tracklet import Tracklet
from unbraid.world import WorldConfig, render

WORLD = WorldConfig(
    train_identities=400,
    test_identities=100,
    tracklets=10,
    queries=5,
    frames=2,
    frame_rate=2.0,
    walking=0.5,
    modalities=("rgb", "silhouette", "depth"),
    masks=False,
    views=8,
    height=128,
    width=64,
    appearance_identity=0.5,
    occluder_rate=0.1,
    truncation_rate=0.05,
    night_rate=0.1,
    seed=3000,
)
SIZES = {"rgb": (128, 64), "silhouette": (64, 64), "depth": (64, 64)}
BATCH = {"rgb": 96, "silhouette": 24, "depth": 24}
CLOTHING = "clothing"
ASKED = 2
# shares of all steps
CLOTHING_PART, NAMING_PART, SMALL_PART, WARM_PART = 0.25, 5 / 12, 0.85, 0.03
NAMING_WEIGHT = 5.0
RATE, DECAY = 2e-3, 0.05
HELD_OUT_GROUP = 64
START, END = "<!-- numbers: made by scripts/train_world_clip.py -->", "<!-- end of numbers -->"


class Pictures:
    """All pictures of one split and modality in one array, with the texts of each."""

    def __init__(self, tracklets: list[Tracklet], texts: dict[str, dict[str, str]], modality: str, file: Path) -> None:
        chosen = [t for t in tracklets if t.modality == modality]
        height, width = SIZES[modality]
        self.owner = [t for t in chosen for _ in range(len(t))]
        self.texts = [texts[t.key] for t in self.owner]
        if not file.is_file():
            frames = np.empty((len(self.owner), height, width, 3), np.uint8)
            row = 0
            for tracklet in track(chosen, f"packing {modality}"):
                for image in read_frames(tracklet.media, range(len(tracklet))):
                    fits = image.shape[:2] == (height, width)
                    frames[row] = image if fits else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
                    row += 1
            np.save(file, frames)
        self.frames = np.load(file)

    def batch(self, rows: NDArray[np.int64], chance: np.random.Generator | None) -> Tensor:
        """Normalised pictures N 3 H W; with chance, flipped and shifted."""
        frames = self.frames[rows]
        if chance is not None:
            frames = np.stack([changed(frame, chance) for frame in frames])
        values = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(part)[:, None, None] for part in (IMAGENET_MEAN, IMAGENET_STD))
        return (values - mean) / std


def changed(frame: NDArray[np.uint8], chance: np.random.Generator) -> NDArray[np.uint8]:
    """A picture shifted by up to a sixteenth of its height. Not flipped: captions say left and right."""
    far = frame.shape[0] // 16
    down, right = chance.integers(-far, far + 1, size=2)
    padded = np.pad(frame, ((far, far), (far, far), (0, 0)), mode="edge")
    return padded[far + down : far + down + frame.shape[0], far + right : far + right + frame.shape[1]]


class SmallClip(nn.Module):
    """Both towers, the projection of the class token, and for each aspect the scale of its cosines."""

    def __init__(self, words: int, common: Mapping[str, Tensor]) -> None:
        """common: by aspect how often a word is in a picture's caption, W; where the naming of words starts."""
        super().__init__()
        self.image = VisionTower(small_transformer())
        self.project = nn.Linear(self.image.width, SHARED, bias=False)
        self.text = SmallTextTower(words)
        self.name = nn.ModuleDict({aspect: nn.Linear(self.image.width, words) for aspect in common})
        for aspect, share in common.items():
            self.name[aspect].bias.data = torch.logit(share)
        start = torch.tensor(np.log(1 / 0.07), dtype=torch.float32)
        self.scales = nn.ParameterDict({aspect: nn.Parameter(start.clone()) for aspect in common})

    def images(self, token: Tensor) -> Tensor:
        """Unit vectors N E from class tokens."""
        return F.normalize(self.project(token), dim=1)

    def texts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Unit vectors N E."""
        return F.normalize(self.text.pooled(tokens, mask), dim=1)


def contrast(images: Tensor, texts: Tensor, owner: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy of N images and U different texts; owner: the text of each image.

    An image's right answer is its text; a text's right answers are all its images, in equal shares.
    """
    logits = scale.exp().clamp(max=100) * images @ texts.T
    right = F.one_hot(owner, len(texts)).float()
    back = -(right / right.sum(0) * F.log_softmax(logits, dim=0)).sum(0).mean()
    return (F.cross_entropy(logits, owner) + back) / 2


def commonness(words: Words, sets: dict[str, Pictures]) -> dict[str, Tensor]:
    """By aspect, W: the share of captions that a word is in, kept from 0 and 1."""
    said: dict[str, list[str]] = defaultdict(list)
    for pictures in sets.values():
        for texts in pictures.texts[:: WORLD.frames]:
            for aspect, text in texts.items():
                said[aspect].append(text)
    shares = {aspect: torch.stack([bag(words, text) for text in texts]).float() for aspect, texts in said.items()}
    return {aspect: share.mean(0).clamp(1e-4, 1 - 1e-4) for aspect, share in sorted(shares.items())}


@cache
def bag(words: Words, text: str) -> Tensor:
    """Which words are in a text, W."""
    return words.present([text])


def naming(scores: Tensor, present: Tensor, common: Tensor) -> Tensor:
    """Share of what is uncertain about the words of a caption, N W bool, that the scores leave uncertain."""
    before = F.binary_cross_entropy(common.expand(len(present), -1), present.float())
    return F.binary_cross_entropy_with_logits(scores, present.float()) / before


def _asked(aspects: Collection[str], chance: np.random.Generator) -> list[str]:
    """Clothing, where there are texts about it, and others by chance."""
    others: list[str] = chance.permutation(sorted(set(aspects) - {CLOTHING})).tolist()
    return ([CLOTHING] * (CLOTHING in aspects) + others)[:ASKED]


def step_loss(
    model: SmallClip,
    words: Words,
    common: Mapping[str, Tensor],
    sets: dict[str, Pictures],
    step: int,
    steps: int,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of one batch, and its parts by name."""
    chance = np.random.default_rng((3000, step))
    small = step < SMALL_PART * steps
    asked, named, parts = [], [], {}
    clothing_alone, asking = step < CLOTHING_PART * steps, step >= NAMING_PART * steps
    for modality, pictures in sets.items():
        if clothing_alone and modality != "rgb":
            continue
        halved = small and modality == "rgb"
        rows = chance.choice(len(pictures.owner), BATCH[modality] * (1 + halved), replace=False)
        shown = pictures.batch(rows, chance)
        token = model.image(F.avg_pool2d(shown, 2) if halved else shown)[:, 0]
        said = [pictures.texts[row] for row in rows]
        for aspect in (CLOTHING,) if clothing_alone else said[0]:
            present = torch.stack([bag(words, texts[aspect]) for texts in said])
            named.append(naming(model.name[aspect](token), present, common[aspect]))
            parts[f"{modality} {aspect} unnamed"] = named[-1].item()
        for aspect in _asked(said[0], chance) if asking else ():
            texts = [about[aspect] for about in said]
            different = sorted(set(texts))
            tokens, mask = words.numbers(different)
            # so that words never seen are no surprise
            tokens = torch.where(torch.from_numpy(chance.random(tokens.shape) < 0.05) & mask, 1, tokens)
            owner = torch.tensor([different.index(text) for text in texts])
            asked.append(contrast(model.images(token), model.texts(tokens, mask), owner, model.scales[aspect]))
            parts[f"{modality} {aspect} asked"] = asked[-1].item()
    total = NAMING_WEIGHT * torch.stack(named).mean()
    return (total + torch.stack(asked).mean() if asked else total), parts


@torch.no_grad()
def retrieval(model: SmallClip, words: Words, sets: dict[str, Pictures]) -> dict[str, dict[str, dict[str, float]]]:
    """Held-out people and templates: the share of pictures for which the nearest of 64 texts is theirs, and how often
    any of the 64 is (texts may be equal)."""
    model.eval()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for modality, pictures in sets.items():
        chance = np.random.default_rng(1)
        rows = chance.choice(len(pictures.owner), min(3072, len(pictures.owner)), replace=False)
        parts = np.array_split(rows, 24)
        images = torch.cat([model.images(model.image(pictures.batch(part, None))[:, 0]) for part in parts])
        found[modality] = {}
        for aspect in pictures.texts[0]:
            right, luck = [], []
            for start in range(0, len(rows) - HELD_OUT_GROUP + 1, HELD_OUT_GROUP):
                said = [pictures.texts[row][aspect] for row in rows[start : start + HELD_OUT_GROUP]]
                tokens, mask = words.numbers(said)
                best = (images[start : start + HELD_OUT_GROUP] @ model.texts(tokens, mask).T).argmax(1).tolist()
                right += [said[choice] == own for own, choice in zip(said, best, strict=True)]
                luck += [said.count(own) / HELD_OUT_GROUP for own in said]
            share, chance_level = float(np.mean(right)), float(np.mean(luck))
            found[modality][aspect] = {"found": round(share, 4), "chance": round(chance_level, 4)}
    model.train()
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the world, the state and the log")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--threads", type=int, default=0, help="of torch; all cores by default")
    parser.add_argument("--keep", action="store_true", help="write the result into the package")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    benchmark = read(render(WORLD, options.work / "world", name="small CLIP"))
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    for row in read_captions(options.work / "world" / "captions.jsonl"):
        texts[row.key][row.aspect] = row.text
    splits = {"train": list(benchmark.train), "test": [*benchmark.query, *benchmark.gallery]}
    sets = {
        split: {m: Pictures(tracklets, texts, m, options.work / f"{split}-{m}.npy") for m in SIZES}
        for split, tracklets in splits.items()
    }
    words = Words.of(text for pictures in sets["train"].values() for said in pictures.texts for text in said.values())
    common = commonness(words, sets["train"])
    torch.manual_seed(3000)
    model = SmallClip(len(words), common)
    model.image.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, betas=(0.9, 0.98))
    before = latest(options.work)
    begin = load_checkpoint(before, model, optimizer).step if before else 0
    log = (options.work / "log.jsonl").open("a", encoding="utf-8")
    recent: list[dict[str, float]] = []
    clock = time.monotonic()
    for step in range(begin, options.steps):
        warm = WARM_PART * options.steps
        rate = min((step + 1) / warm, 0.5 * (1 + np.cos(np.pi * max(0.0, step - warm) / (options.steps - warm))))
        for group in optimizer.param_groups:
            group["lr"] = float(RATE * rate)
        loss, parts = step_loss(model, words, common, sets["train"], step, options.steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append({"loss": loss.item(), **parts})
        if (step + 1) % 25 == 0 or step + 1 == options.steps:
            means = pd.DataFrame(recent).mean().round(4).to_dict()
            line = {"step": step + 1, "seconds": round(time.monotonic() - clock), **means}
            if (step + 1) % 200 == 0 or step + 1 == options.steps:
                line["retrieval"] = retrieval(model, words, sets["test"])
            recent = []
            print(json.dumps(line), file=log, flush=True)
            print(json.dumps(line), flush=True)
            save_checkpoint(options.work, model, optimizer, Progress(step=step + 1))
    if options.keep:
        keep(model, words, retrieval(model, words, sets["test"]), options.steps)


def keep(model: SmallClip, words: Words, found: dict[str, dict[str, dict[str, float]]], steps: int) -> None:
    """Write both towers in half precision, the vocabulary, and what the card says in numbers."""
    HOME.mkdir(exist_ok=True)
    halves = {
        "image": dict(model.image.net.state_dict()),
        "projection": {"weight": model.project.weight}
        | {f"scale.{aspect}": scale.exp().clamp(max=100) for aspect, scale in model.scales.items()},
        "text": dict(model.text.state_dict()),
    }
    for name, tensors in halves.items():
        stored = {k: v.detach().half().contiguous() if v.is_floating_point() else v for k, v in tensors.items()}
        save_file(stored, HOME / f"{name}.safetensors")
    version = f"1 ({steps} steps)"
    (HOME / "vocabulary.json").write_text(json.dumps({"version": version, "words": words.vocabulary}, indent=0) + "\n")
    numbers = {"version": version, "group": HELD_OUT_GROUP, "synthetic": True, "retrieval": found}
    (HOME / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n")
    rows = [
        f"| {aspect} | " + " | ".join(_cell(found[modality].get(aspect)) for modality in SIZES) + " |"
        for aspect in found["rgb"]
    ]
    made = f"{steps} steps, {len(words)} words.\n\n| texts about | " + " | ".join(SIZES) + " |\n|---|---|---|---|\n"
    before, rest = (HOME / "README.md").read_text(encoding="utf-8").split(START)
    text = "\n".join((before + START, made + "\n".join(rows), END + rest.split(END)[1]))
    (HOME / "README.md").write_text(text, encoding="utf-8")


def _cell(share: dict[str, float] | None) -> str:
    return f"{100 * share['found']:.1f} ({100 * share['chance']:.1f})" if share else "-"


if __name__ == "__main__":
    main()
