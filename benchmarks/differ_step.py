"""What texts cost in a training step of DIFFER: the same step with cached texts and without text terms.

    python benchmarks/differ_step.py [--recipe differ:world] [--steps 20] [--rounds 7] [--json FILE]

One step looks up the batch's texts in a bank of random vectors, then forward, losses, backward and the optimiser. Both
sides start from the same weights and see the same noise images; they run in turns, and the ratio of each round is
printed. Target: 1.05.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from stepping import in_turns, stepper

from unbraid.batch import Batch, Clip
from unbraid.checkpoint import build
from unbraid.recipe import Recipe, find_recipe
from unbraid.text.bank import TextBank, pack

IDENTITIES = 120
ATTRIBUTES = ("camera", "top", "top_colour", "bottom_colour")


def side(recipe: Recipe[Any], clip: Clip, identities: torch.Tensor, bank: TextBank) -> Callable[[], None]:
    """One training step of a recipe on a batch, as a function."""
    torch.manual_seed(0)
    names = tuple(str(number) for number in range(IDENTITIES))
    method = build(recipe, {"identity": names, **dict.fromkeys(ATTRIBUTES, names[:8])}).train()
    optimizer = torch.optim.AdamW((p for p in method.parameters() if p.requires_grad), lr=1e-4)
    keys = [str(number) for number in range(len(identities))]
    labels = {"identity": identities} | dict.fromkeys(ATTRIBUTES, identities % 8)
    return stepper(
        method,
        optimizer,
        lambda: Batch(clip, labels, keys, {aspect: bank.text(aspect, keys) for aspect in method.aspects}),
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="differ:world")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    full = find_recipe(options.recipe)
    plain = replace(full, config=replace(full.config, biometric=False, aspects=(), attributes=()), text=None)
    data = full.data
    rows = data.identities * data.clips
    clip = Clip.of(torch.randn(rows, data.frames, full.config.channels, data.height, data.width))
    identities = torch.arange(rows) // data.clips
    wanted = ("biometric", *full.config.aspects)
    indices = {a: {str(k): i * rows + k for k in range(rows)} for i, a in enumerate(wanted)}
    vectors = torch.randn(len(wanted) * rows, full.config.text_width)
    bank = pack("noise", {}, indices, list(vectors[:, None]))
    sides = {"without": side(plain, clip, identities, bank), "with texts": side(full, clip, identities, bank)}
    median = in_turns(sides, steps=options.steps, rounds=options.rounds, out=options.json, recipe=options.recipe)
    print(f"{options.recipe}, batch of {rows}: median ratio {median:.3f} (target 1.05)")


if __name__ == "__main__":
    main()
