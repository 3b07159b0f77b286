"""Train the small CLIP that comes with the library, from pictures and captions of the built-in world.

    python scripts/train_world_clip.py --work FOLDER [--steps 2400] [--keep]

The people are a world of their own (seed 3000): none of them is in any benchmark of the world. 400 of them are trained
on, 100 others are what the model card's numbers are about, with sentence templates that training never showed.
Every step asks about a few aspects, one after another, so that a text must be told from other texts about the same
thing; equal texts are all right answers. At first it asks only about what is easily seen: with all aspects from the
start, the hard ones (a body, a manner of walking) made all pictures alike, and nothing was learned in 400 steps. For
the same reason each aspect has a scale of its own. Beside that the class token names the words of its captions, rare
ones counting more. Photographs are shown at half their size for the first two thirds, twice as many at once: colours
were learned in a quarter of the time. Continues where it was stopped; --keep writes the result into the package.

Source of the contrast: CLIP (2021); of naming words: SuperClass (2024).
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
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
ASKED = 3
EASY = {"rgb": ("clothing",), "silhouette": ("interaction", "modality"), "depth": ("interaction", "modality")}
# shares of all steps
EASY_PART, SMALL_PART, WARM_PART = 0.2, 0.66, 0.03
RATE, DECAY = 2e-3, 0.05
HELD_OUT_GROUP = 64


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
        self.frames = np.load(file, mmap_mode="r")

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

    def __init__(self, words: int, aspects: Sequence[str], common: Tensor) -> None:
        """common: how often a word is in a picture's captions, W; where the naming of words starts."""
        super().__init__()
        self.image = VisionTower(small_transformer())
        self.project = nn.Linear(self.image.width, SHARED, bias=False)
        self.text = SmallTextTower(words)
        self.name = nn.Linear(self.image.width, words)
        self.name.bias.data = common.clamp_min(1e-4).log()
        start = torch.tensor(np.log(1 / 0.07), dtype=torch.float32)
        self.scales = nn.ParameterDict({aspect: nn.Parameter(start.clone()) for aspect in aspects})

    def images(self, pictures: Tensor) -> Tensor:
        """Unit vectors N E."""
        return self.both(pictures)[0]

    def both(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors N E, and a score for every word N W."""
        token = self.image(pictures)[:, 0]
        return F.normalize(self.project(token), dim=1), self.name(token)

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


def commonness(words: Words, sets: dict[str, Pictures]) -> Tensor:
    """W: the share of pictures in whose captions a word is."""
    bags = [words.present(said.values()) for pictures in sets.values() for said in pictures.texts[:: WORLD.frames]]
    return torch.stack(bags).float().mean(0)


def naming(scores: Tensor, present: Tensor, common: Tensor) -> Tensor:
    """Cross-entropy of the words that are in the captions, N W bool, weighted by -log of how common they are."""
    wanted = present * -common.clamp_min(1e-4).log()
    return -(wanted / wanted.sum(1, keepdim=True) * F.log_softmax(scores, dim=1)).sum(1).mean()


def step_loss(
    model: SmallClip, words: Words, common: Tensor, sets: dict[str, Pictures], step: int, steps: int
) -> Tensor:
    """The loss of one batch: the mean over what is asked about each modality, and over naming words."""
    chance = np.random.default_rng((3000, step))
    small = step < SMALL_PART * steps
    losses, named = [], []
    for modality, pictures in sets.items():
        halved = small and modality == "rgb"
        rows = chance.choice(len(pictures.owner), BATCH[modality] * (1 + halved), replace=False)
        shown = pictures.batch(rows, chance)
        images, scores = model.both(F.avg_pool2d(shown, 2) if halved else shown)
        said = [pictures.texts[row] for row in rows]
        named.append(naming(scores, torch.stack([words.present(texts.values()) for texts in said]), common))
        askable = sorted(EASY[modality] if step < EASY_PART * steps else said[0])
        for aspect in chance.permutation(askable)[:ASKED]:
            texts = [about[aspect] for about in said]
            different = sorted(set(texts))
            tokens, mask = words.numbers(different)
            # so that words never seen are no surprise
            tokens = torch.where(torch.from_numpy(chance.random(tokens.shape) < 0.05) & mask, 1, tokens)
            owner = torch.tensor([different.index(text) for text in texts])
            losses.append(contrast(images, model.texts(tokens, mask), owner, model.scales[aspect]))
    return torch.stack(losses).mean() + torch.stack(named).mean()


@torch.no_grad()
def retrieval(model: SmallClip, words: Words, sets: dict[str, Pictures]) -> dict[str, dict[str, float]]:
    """Held-out people and templates: share of pictures whose own text is first of 64 different ones, and 1/64."""
    model.eval()
    found: dict[str, dict[str, float]] = {}
    for modality, pictures in sets.items():
        chance = np.random.default_rng(1)
        rows = chance.choice(len(pictures.owner), min(3072, len(pictures.owner)), replace=False)
        images = torch.cat([model.images(pictures.batch(part, None)) for part in np.array_split(rows, 24)])
        found[modality] = {}
        for aspect in pictures.texts[0]:
            right = []
            for start in range(0, len(rows) - HELD_OUT_GROUP + 1, HELD_OUT_GROUP):
                said = [pictures.texts[row][aspect] for row in rows[start : start + HELD_OUT_GROUP]]
                tokens, mask = words.numbers(said)
                order = images[start : start + HELD_OUT_GROUP] @ model.texts(tokens, mask).T
                best = order.argmax(1).tolist()
                right += [said[choice] == said[row] for row, choice in enumerate(best)]
            found[modality][aspect] = round(float(np.mean(right)), 4)
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
    model = SmallClip(
        len(words), {aspect for pictures in sets["train"].values() for aspect in pictures.texts[0]}, common
    )
    model.image.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, betas=(0.9, 0.98))
    before = latest(options.work)
    begin = load_checkpoint(before, model, optimizer).step if before else 0
    log = (options.work / "log.jsonl").open("a", encoding="utf-8")
    recent: list[float] = []
    clock = time.monotonic()
    for step in range(begin, options.steps):
        warm = WARM_PART * options.steps
        rate = min((step + 1) / warm, 0.5 * (1 + np.cos(np.pi * max(0.0, step - warm) / (options.steps - warm))))
        for group in optimizer.param_groups:
            group["lr"] = float(RATE * rate)
        loss = step_loss(model, words, common, sets["train"], step, options.steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(loss.item())
        if (step + 1) % 25 == 0 or step + 1 == options.steps:
            line = {"step": step + 1, "loss": float(np.mean(recent)), "seconds": time.monotonic() - clock}
            if (step + 1) % 200 == 0 or step + 1 == options.steps:
                line["retrieval"] = retrieval(model, words, sets["test"])
            recent = []
            print(json.dumps(line), file=log, flush=True)
            print(json.dumps(line), flush=True)
            save_checkpoint(options.work, model, optimizer, Progress(step=step + 1))
    if options.keep:
        keep(model, words, retrieval(model, words, sets["test"]), options.steps)


def keep(model: SmallClip, words: Words, found: dict[str, dict[str, float]], steps: int) -> None:
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


if __name__ == "__main__":
    main()
