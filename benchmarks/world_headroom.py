"""Whether the world leaves room to learn: a small network, trained on people with 1, 2, 4 or 8 outfits each.

python benchmarks/world_headroom.py --out FOLDER [--role dev] [--seeds 1] [--rows rgbm-4 mask-4 ...] [--steps 1000]

SYNTHETIC people. A row is INPUT-OUTFITS: `rgbm` sees RGB and the mask as a fourth channel, `rgb` and `mask` one of
them. The network is a residual net of eight convolutions, trained from scratch on 64 x 32 frames with identity
cross-entropy and batch-hard triplet; nothing in it separates clothes from people. Scores are of single frames, the
middle one of each tracklet: same-clothes and one-clothes-change have equally many mates, so they can be compared;
`bias` is the share of first matches in other clothes that wear the query's top colour. Finished rows are kept in
FOLDER/rows, so that a killed run goes on where it was.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unbraid.bias import bias
from unbraid.data.benchmark import label_table
from unbraid.data.media import read_frames
from unbraid.data.protocols import CLOTHES_CHANGE, ONE_CLOTHES_CHANGE, SAME_CLOTHES
from unbraid.data.sets.folder import read
from unbraid.evaluate import evaluate
from unbraid.files import write_text
from unbraid.losses.metric import batch_hard_triplet, distances
from unbraid.progress import track
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Tracklet
from unbraid.world import WorldConfig, named_world, render

SIZE = (64, 32)
ROWS = ("rgbm-1", "rgbm-2", "rgbm-4", "rgbm-8", "mask-4")
PEOPLE, CLIPS = 16, 4
KEPT = ("protocol", "rank_1", "rank_1_interval", "rank_1_chance", "mean_ap", "mean_ap_chance", "queries", "identities")


def world(role: str, train: int, test: int) -> WorldConfig:
    """world:clothes with 8 outfits each, of which a row may train on fewer; skin, hair and face tell nothing."""
    return replace(
        named_world(f"clothes/small/{role}").config,
        train_identities=train,
        test_identities=test,
        train_outfits=8,
        test_outfits=8,
        frames=3,
        appearance_identity=0.0,
    )


def load(tracklets: tuple[Tracklet, ...], cache: Path) -> np.ndarray:
    """Frames (N, T, 64, 32, 4) uint8: RGB and mask."""
    if cache.is_file():
        return np.load(cache)
    found = np.empty((len(tracklets), len(tracklets[0]), *SIZE, 4), np.uint8)
    for number, tracklet in enumerate(track(tracklets, "reading")):
        everything = range(len(tracklet))
        assert tracklet.mask is not None
        for t, (image, mask) in enumerate(
            zip(read_frames(tracklet.media, everything), read_frames(tracklet.mask, everything), strict=True)
        ):
            both = np.dstack([image, mask[..., 0]])
            found[number, t] = cv2.resize(both, SIZE[::-1], interpolation=cv2.INTER_AREA)
    np.save(cache, found)
    return found


class Block(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        """B C H W to B D h w."""
        return F.relu(self.body(x) + self.shortcut(x))


class Small(nn.Module):
    """Widths 16, 32, 64, 128; global mean; batch normalisation."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.trunk = nn.Sequential(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2), Block(64, 128, 1))
        self.neck = nn.BatchNorm1d(128)
        self.head = nn.Linear(128, classes, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """B C H W to the embedding before and after normalisation, B 128 each."""
        pooled = self.trunk(self.stem(x)).mean((2, 3))
        return pooled, self.neck(pooled)


def channels(frames: np.ndarray, kind: str) -> Tensor:
    """Frames (B, 64, 32, 4) uint8 as the input of a network, roughly -1..1."""
    chosen = {"rgbm": [0, 1, 2, 3], "rgb": [0, 1, 2], "mask": [3]}[kind]
    return torch.from_numpy(frames[..., chosen]).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def augment(batch: Tensor, random: np.random.Generator) -> Tensor:
    """Flip, shift by up to a sixteenth of the height, erase a box in three of ten."""
    size = SIZE[0] // 16
    padded = F.pad(batch, (size,) * 4, mode="replicate")
    out = torch.empty_like(batch)
    for number in range(len(batch)):
        top, left = random.integers(0, 2 * size + 1, 2)
        image = padded[number, :, top : top + SIZE[0], left : left + SIZE[1]]
        out[number] = image.flip(2) if random.random() < 0.5 else image
        if random.random() < 0.3:
            tall, wide = random.integers(8, 28), random.integers(6, 16)
            y, x = random.integers(0, SIZE[0] - tall), random.integers(0, SIZE[1] - wide)
            out[number, :, y : y + tall, x : x + wide] = 0
    return out


def train(kind: str, frames: np.ndarray, table: pd.DataFrame, steps: int, seed: int) -> tuple[Small, float]:
    """The network after `steps` batches of 16 people x 4 frames in different outfits, and its late accuracy."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    people = pd.factorize(table["identity"])[0]
    rows = {(who, worn): g.index.to_numpy() for (who, worn), g in table.groupby([people, "clothes"])}
    worn_by: dict[int, list[Any]] = {}
    for key in rows:
        worn_by.setdefault(int(key[0]), []).append(key)
    net = Small({"rgbm": 4, "rgb": 3, "mask": 1}[kind], len(worn_by))
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    right = []
    for step in track(range(steps), f"{kind}"):
        chosen, labels = [], []
        for who in random.choice(len(worn_by), PEOPLE, replace=False):
            order = random.permutation(len(worn_by[who]))
            for k in range(CLIPS):
                chosen.append(random.choice(rows[worn_by[who][order[k % len(order)]]]))
                labels.append(who)
        images = frames[chosen, random.integers(0, frames.shape[1], len(chosen))]
        target = torch.tensor(np.array(labels))
        pooled, feature = net(augment(channels(images, kind), random))
        logits = net.head(feature)
        loss = F.cross_entropy(logits, target, label_smoothing=0.1) + batch_hard_triplet(distances(pooled), target)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if step >= 0.9 * steps:
            right.append(float((logits.argmax(1) == target).float().mean()))
    return net.eval(), float(np.mean(right))


@torch.inference_mode()
def embed(net: Small, kind: str, frames: np.ndarray, tracklets: tuple[Tracklet, ...]) -> Embeddings:
    """The middle frame of every tracklet."""
    middle = frames[:, frames.shape[1] // 2]
    parts = [net(channels(middle[i : i + 512], kind))[1] for i in range(0, len(middle), 512)]
    return Embeddings(Spaces({"identity": torch.cat(parts)}), label_table(tracklets), {"weights": "headroom"})


def measure(row: str, root: Path, steps: int, seed: int) -> dict[str, Any]:
    """Train and test one row."""
    kind, outfits = row.split("-")
    benchmark = read(root)
    train_table = label_table(benchmark.train)
    train_frames = load(benchmark.train, root.with_suffix(".train.npy"))
    few = train_table["clothes"].str.extract(r"-o(\d+)$")[0].astype(int) < int(outfits)
    net, accuracy = train(kind, train_frames[few.to_numpy()], train_table[few].reset_index(drop=True), steps, seed)
    query, gallery = (
        embed(net, kind, load(split, root.with_suffix(f".{name}.npy")), split)
        for name, split in (("query", benchmark.query), ("gallery", benchmark.gallery))
    )
    found: dict[str, Any] = {"row": row, "seed": seed, "steps": steps, "train_accuracy": accuracy}
    for name, protocol in (("same", SAME_CLOTHES), ("one", ONE_CLOTHES_CHANGE), ("change", CLOTHES_CHANGE)):
        result = evaluate(query, gallery, protocol, synthetic=True)
        found[name] = {
            k: getattr(result, k)
            for k in (
                "rank_1",
                "rank_1_interval",
                "rank_1_chance",
                "mean_ap",
                "mean_ap_chance",
                "queries",
                "identities",
            )
        }
        if name == "change":
            found["bias"] = asdict(bias(result, protocol, query.table, gallery.table))
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the world and the results")
    parser.add_argument("--role", choices=("dev", "final"), default="dev", help="which of the two worlds")
    parser.add_argument("--rows", nargs="+", default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=1, help="training seeds per row")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--people", type=int, nargs=2, default=(120, 100), help="training and test people")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    out = arguments.out
    (out / "rows").mkdir(parents=True, exist_ok=True)
    root = render(world(arguments.role, *arguments.people), out / f"world-{arguments.role}")
    print("SYNTHETIC people; rank-1 / mAP in %, single frames; same and one: equally many mates")
    head = f"{'row':<8}{'seed':>5}{'same clothes':>17}{'one other outfit':>19}{'any other outfit':>19}"
    print(f"{head}{'95 % of rank-1':>17}{'bias':>7}{'chance':>8}{'train acc':>11}")
    for seed in range(1, arguments.seeds + 1):
        for row in arguments.rows:
            path = out / "rows" / f"{arguments.role}-{row}-{arguments.steps}-{seed}.json"
            if not path.is_file():
                write_text(path, json.dumps(measure(row, root, arguments.steps, seed), indent=2))
            found = json.loads(path.read_text())
            cells = "".join(
                f"{100 * found[name]['rank_1']:>11.1f} / {100 * found[name]['mean_ap']:4.1f}"
                for name in ("same", "one", "change")
            )
            low, high = (100 * end for end in found["change"]["rank_1_interval"])
            cells += f"{f'{low:.1f} to {high:.1f}':>17}"
            more = f"{100 * found['bias']['share']:>7.1f}{100 * found['bias']['chance']:>8.1f}"
            print(f"{row:<8}{seed:>5}{cells}{more}{100 * found['train_accuracy']:>11.1f}", flush=True)


if __name__ == "__main__":
    main()
