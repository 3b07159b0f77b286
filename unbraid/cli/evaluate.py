"""Scores by a protocol, once or under several draws of probes and gallery."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from unbraid.cli.output import parse, show

Rule = Literal["step", "trapezoid"]
DEFAULT = "camera-change@1"
SPREAD = (
    "spread: standard deviation over the draws. They share clips and people, so it tells what the lists do;\n"
    "how sure a score is, the intervals tell."
)


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def evaluate(
        embeddings: tyro.conf.Positional[Path],
        protocol: str | None = None,
        space: str = "identity",
        run: Path | None = None,
        draws: Path | None = None,
        ap: Rule | None = None,
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

        With --draws, the scores of every draw that `unbraid data draws` wrote down, their mean and their spread, for
        same and cross activity with the probe's camera in the gallery (view+) and without it (view-).

        Args:
            embeddings: Folder with query/ and gallery/, made by `unbraid extract`.
            protocol: Name of a protocol, such as camera-change@1, clothes-change@1 or plain@1; a wrong name lists those
                most like it, `unbraid data list` those of every benchmark. Default: camera-change@1; with --draws,
                all of activity-draws.
            space: The space to compare, by its cosine.
            run: Compare by the method of this run folder instead, such as by identity and motion in shares that it
                decides.
            draws: Folder made by `unbraid data draws`, of the test clips that were embedded.
            ap: Another rule for average precision than the protocol's.
            seed: Of the resampling that makes the intervals.
            picture: Write the CMC curve to this PNG file.
            json: Print the result as JSON.
        """
        from dataclasses import asdict, replace

        from unbraid.cli.sides import check_picture, load, way, write_picture
        from unbraid.evaluate import evaluate as verb
        from unbraid.leakage import bias

        check_picture(picture)
        if draws is not None:
            if picture is not None:
                raise ValueError("--picture draws a single result; leave out --draws, or --picture")
            show(*_of_draws(embeddings, draws, protocol, ap, run, space, seed), json)
            return
        query, gallery, rules = load(embeddings, protocol or DEFAULT)
        rules = rules if ap is None else replace(rules, ap=ap)
        result = verb(query, gallery, rules, similarity=way(run, space, query, gallery), space=space, seed=seed)
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

            write_picture(cmc_picture({f"{result.space} space": result}), picture)
        show(facts, text, json)

    parse(evaluate, "evaluate", arguments)


def _of_draws(
    embeddings: Path, folder: Path, name: str | None, ap: Rule | None, run: Path | None, space: str, seed: int
) -> tuple[dict[str, Any], str]:
    """What the draws of a folder say, as facts and as text. Raises ValueError for a protocol that goes by no draw."""
    from dataclasses import replace

    from unbraid.cli.sides import load_sides, way
    from unbraid.data.activity import PROTOCOLS, load
    from unbraid.draws import evaluate_draws

    chosen = [rules for rules in PROTOCOLS if name in (None, rules.name)]
    if not chosen:
        names = ", ".join(rules.name for rules in PROTOCOLS)
        raise ValueError(f"protocol {name!r} does not go by draws; with --draws use one of {names}, or none for all")
    divisions = load(folder)
    query, gallery = load_sides(embeddings)
    left_out: list[str] = []
    if name is None and not all("camera" in side.table.columns for side in (query, gallery)):
        left_out = [rules.name for rules in chosen if "camera" in str(rules.skip)]
        chosen = [rules for rules in chosen if rules.name not in left_out]
    found = evaluate_draws(
        query,
        gallery,
        divisions,
        protocols=[rules if ap is None else replace(rules, ap=ap) for rules in chosen],
        similarity=way(run, space, query, gallery),
        space=space,
        seed=seed,
    )
    notes = [f"left out, for the embeddings have no label 'camera': {', '.join(left_out)}"] if left_out else []
    facts = {"protocols": [one.as_dict() for one in found], "left_out": left_out}
    return facts, "\n\n".join([*map(str, found), *notes, SPREAD])
