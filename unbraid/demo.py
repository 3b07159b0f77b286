"""The whole line on a small synthetic world: render, train, test on people never seen, report."""

from dataclasses import replace
from pathlib import Path

from unbraid.data.sets.folder import read
from unbraid.progress import console
from unbraid.recipe import find_recipe
from unbraid.report import report
from unbraid.report.gather import gather
from unbraid.train import train
from unbraid.world import WorldConfig, render

RECIPE = "dsanet:world"


def demo_world(seed: int) -> WorldConfig:
    """Video re-identification in small, and what DSANet is for: everyone keeps their clothes, six cameras differ in
    colour, boxes are misaligned, and in half of the tracklets something passes in front."""
    return WorldConfig(
        train_identities=80,
        test_identities=40,
        train_outfits=1,
        test_outfits=1,
        tracklets=8,
        queries=3,
        frames=6,
        walking=1.0,
        masks=False,
        height=128,
        width=64,
        box_jitter=0.07,
        occluder_rate=0.5,
        truncation_rate=0.2,
        camera_cast=1.5,
        seed=seed,
    )


def demo(out: Path, *, seed: int = 0) -> Path:
    """Run the demonstration in a folder; returns the report page.

    What an earlier run finished is used again. Raises ValueError when the folder holds a demo with another seed.
    """
    out = Path(out)
    console.print("1/3 world: rendering synthetic people")
    world = render(demo_world(seed), out / "world")
    console.print("2/3 train: DSANet on two thirds of them")
    benchmark = read(world)
    run = train(replace(find_recipe(RECIPE), seed=seed), benchmark, out / "run", resume=True)
    console.print("3/3 report: testing on the people it never saw")
    return report(gather(run, benchmark, seed=seed), out / "report.html")
