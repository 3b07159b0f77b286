"""Scores by a protocol."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def evaluate(
        embeddings: tyro.conf.Positional[Path],
        protocol: str = "camera-change@1",
        space: str = "identity",
        ap: Literal["step", "trapezoid"] | None = None,
        seed: int = 0,
        picture: Path | None = None,
        json: bool = False,
    ) -> None:
        """Score embeddings by a protocol: mAP, CMC and mINP with intervals and chance, and three more figures.

        The three are TAR at a false accept rate of 0.1 % (two tracklets compared with each other), rank-20, and FNIR
        at a false positive rate of 1 % (a person looked for who may not be enrolled). Where the data are too few for
        one, the table says what is missing. `unbraid verify` and `unbraid identify` give them at other rates.

        Where both sides have the label top_colour, as the built-in world's have, a line "bias" says how often the first
        match, right or wrong, wears the query's colour, and how often an item drawn at random would: a method that goes
        by clothes finds the query's colour on other people.

        Args:
            embeddings: Folder with query/ and gallery/, made by `unbraid extract`.
            protocol: Name of a protocol, such as camera-change@1, clothes-change@1 or plain@1; a wrong name lists those
                most like it, `unbraid data list` those of every benchmark.
            space: The space to compare.
            ap: Another rule for average precision than the protocol's.
            seed: Of the resampling that makes the intervals.
            picture: Write the CMC curve to this PNG file.
            json: Print the result as JSON.
        """
        from dataclasses import asdict, replace

        from unbraid.cli.sides import check_picture, load, write_picture
        from unbraid.evaluate import evaluate as verb
        from unbraid.leakage import bias

        check_picture(picture)
        query, gallery, rules = load(embeddings, protocol)
        rules = rules if ap is None else replace(rules, ap=ap)
        result = verb(query, gallery, rules, space=space, seed=seed)
        facts, text = result.as_dict(), str(result)
        if all("top_colour" in side.table.columns for side in (query, gallery)):
            try:
                found = bias(result, rules, query.table, gallery.table, seed=seed)
            except ValueError as error:
                facts["bias"], text = {"reason": str(error)}, f"{text}\nbias: not reported: {error}"
            else:
                facts["bias"], text = asdict(found), f"{text}\n{found}"
        if picture is not None:
            from unbraid.report.pictures import cmc_picture

            write_picture(cmc_picture({f"{space} space": result}), picture)
        show(facts, text, json)

    parse(evaluate, "evaluate", arguments)
