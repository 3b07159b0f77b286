"""Training a recipe."""

from collections.abc import Sequence
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    from unbraid.recipe import Recipe, available_recipes, find_recipe

    if not arguments or arguments[0].startswith("-"):
        from unbraid.method import available

        names = [f"{method}:{recipe}" for method in available() for recipe in available_recipes(method)]
        print("usage: unbraid train METHOD:RECIPE --root FOLDER --out FOLDER ...\n\nRecipes: " + ", ".join(names))
        print("\n`unbraid train METHOD:RECIPE --help` lists every field of a recipe.")
        if arguments[:1] in (["--help"], ["-h"]):
            return
        raise ValueError("name a recipe first, such as `unbraid train dsanet:world`")
    recipe = find_recipe(arguments[0])
    # one option per field of the recipe, typed and documented by its dataclasses
    Fields: Any = make_dataclass(
        "Fields",
        [
            (name, type(getattr(recipe, name)), field(default=getattr(recipe, name)))
            for name in ("config", "data", "optim", *(("text",) if recipe.text else ()), "epochs", "seed")
        ],
        frozen=True,
    )

    def train(
        root: str,
        out: Path,
        fields: Any,
        resume: bool = False,
        weights: Path | None = None,
        bank: Path | None = None,
        device: Literal["auto", "cpu"] = "auto",
        precision: Literal["auto", "fp32", "bf16"] = "auto",
        workers: int = 0,
        checkpoint_minutes: float = 5.0,
        tensorboard: bool = False,
        json: bool = False,
    ) -> None:
        """Train a recipe. The same command runs under `accelerate launch` on several devices.

        Args:
            root: Tracklet folder with a train split, or a built-in benchmark such as world:clothes/small/dev.
            out: Run folder to write.
            fields: Changes to the recipe.
            resume: Continue the run in `out`, or start it.
            weights: Local weights for a pretrained trunk (.safetensors or .pth).
            bank: Texts for methods that learn from them, made by `unbraid bank`: captions of the training tracklets,
                or the fixed texts of `unbraid gait texts`. Folders with a captions.jsonl, such as those of the
                built-in world, need none: theirs is made when it is first used; nor does a run that goes on with
                fixed texts, or one whose text.encoder is world-clip.
            device: A GPU when there is one, or the CPU.
            precision: bf16 where the device computes it natively, unless said otherwise.
            workers: Processes that read data.
            checkpoint_minutes: Time between checkpoints.
            tensorboard: Also write TensorBoard logs.
            json: Print the result as JSON.
        """
        from unbraid.cli.root import folder_of, open_benchmark
        from unbraid.method import find
        from unbraid.text.bank import TextBank
        from unbraid.text.encoding import bank_of_folder
        from unbraid.train import train as verb

        changed = Recipe(method=recipe.method, **{name: getattr(fields, name) for name in fields.__dataclass_fields__})
        benchmark, texts = open_benchmark(root), None
        if bank is not None:
            texts = TextBank.load(bank)
        elif changed.text is not None and not find(changed.method).dictionary and (place := folder_of(root)):
            texts = bank_of_folder(place, changed.text.encoder)
        folder = verb(
            changed,
            benchmark,
            out,
            bank=texts,
            resume=resume,
            weights=weights,
            device=device,
            precision=precision,
            workers=workers,
            checkpoint_minutes=checkpoint_minutes,
            tensorboard=tensorboard,
        )
        show({"run": str(folder)}, f"Run: {folder}", json)

    train.__annotations__["fields"] = Annotated[Fields, tyro.conf.arg(name="")]
    parse(train, f"train {arguments[0]}", arguments[1:])
