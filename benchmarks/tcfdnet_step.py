"""What a training step of TCFDNet costs beside a plain two-stream ResNet-9 with strips, of the same sizes.

    python benchmarks/tcfdnet_step.py [--recipe world] [--steps 5] [--rounds 7] [--pairs N] [--frames N] [--json FILE]
        [--remember]

Forward, losses, backward and the optimiser on noise; texts are vectors of noise, encoded once as always. Both sides see
the same clips and run in turns; the ratio of each round is printed. The plain side is the recipe's own baseline: two
ResNets, strips, triplet and identity, no CLIP, no text. Target: 1.6. At the paper's sizes (--recipe sustech1k) one step
takes minutes on a CPU: make it smaller by --pairs and --frames. With --remember the two sides are TCFDNet without patch
exchange whose CLIP reads every frame, and the same one that remembers the frames of this one batch: the least that a
step can cost when all frames have been seen before.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from stepping import in_turns, stepper

from unbraid.batch import MODALITIES, Batch, Clip
from unbraid.checkpoint import build
from unbraid.recipe import Recipe, find_recipe

IDENTITIES = 120
BASELINE = {"world": "world_baseline", "sustech1k": "baseline"}


def side(recipe: Recipe[Any], clip: Clip, identities: torch.Tensor) -> Callable[[], None]:
    """One training step of a recipe on a batch, as a function."""
    names = tuple(str(number) for number in range(IDENTITIES))
    method = build(recipe, {"identity": names, "modality": MODALITIES}).train()
    if method.dictionary:
        torch.manual_seed(0)
        config = recipe.config
        method.set_dictionary({name: torch.randn(config.texts, config.text_width) for name in method.dictionary})
    optimizer = torch.optim.Adam((p for p in method.parameters() if p.requires_grad), lr=1e-4)
    batch = Batch(clip, {"identity": identities}, [str(number) for number in range(len(identities))])
    return stepper(method, optimizer, lambda: batch)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=BASELINE, default="world")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pairs", type=int, help="pairs of walks in a batch; default: the recipe's")
    parser.add_argument("--frames", type=int, help="frames of a clip; default: the recipe's")
    parser.add_argument("--remember", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    full = find_recipe(f"tcfdnet:{options.recipe}")
    full = replace(full, config=replace(full.config, pretrained=False))
    plain = find_recipe(f"tcfdnet:{BASELINE[options.recipe]}")
    pairs, frames = options.pairs or full.data.identities * full.data.clips, options.frames or full.data.frames
    sensors = [MODALITIES.index(name) + 1 for name in full.config.modalities]
    clip = Clip.of(torch.rand(2 * pairs, frames, 3, full.data.height, full.data.width))
    clip = replace(clip, sensor={"modality": torch.tensor(sensors * pairs)})
    identities = torch.arange(2 * pairs) // (2 * full.data.clips)
    if options.remember:
        still = replace(full, config=replace(full.config, patch_exchange=False))
        knows = replace(still, config=replace(still.config, remembered=1024))
        sides = {"read again": side(still, clip, identities), "remembered": side(knows, clip, identities)}
    else:
        sides = {"two streams": side(plain, clip, identities), "TCFDNet": side(full, clip, identities)}
    facts = {"recipe": options.recipe, "pairs": pairs, "frames": frames, "remember": options.remember}
    median = in_turns(sides, steps=options.steps, rounds=options.rounds, out=options.json, **facts)
    print(f"tcfdnet:{options.recipe}, {pairs} pairs of {frames} frames: median ratio {median:.3f}")


if __name__ == "__main__":
    main()
