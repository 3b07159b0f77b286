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
        json: bool = False,
    ) -> None:
        """Score embeddings by a protocol: mAP, CMC and mINP with intervals and chance.

        Args:
            embeddings: Folder with query/ and gallery/, made by `unbraid extract`.
            protocol: Name of a protocol, such as camera-change@1, clothes-change@1 or plain@1.
            space: The space to compare.
            ap: Another rule for average precision than the protocol's.
            json: Print the result as JSON.
        """
        from dataclasses import asdict, replace

        from unbraid.data.protocols import named
        from unbraid.evaluate import evaluate as verb
        from unbraid.leakage import bias
        from unbraid.spaces import Embeddings

        rules = named(protocol)
        rules = rules if ap is None else replace(rules, ap=ap)
        query, gallery = (Embeddings.load(embeddings / side) for side in ("query", "gallery"))
        result = verb(query, gallery, rules, space=space)
        facts, text = result.as_dict(), str(result)
        if all("top_colour" in side.table.columns for side in (query, gallery)):
            found = bias(result, rules, query.table, gallery.table)
            facts["bias"], text = asdict(found), f"{text}\n{found}"
        show(facts, text, json)

    parse(evaluate, "evaluate", arguments)
