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
        from dataclasses import replace

        from unbraid.data.protocols import named
        from unbraid.evaluate import evaluate as verb
        from unbraid.spaces import Embeddings

        rules = named(protocol)
        rules = rules if ap is None else replace(rules, ap=ap)
        result = verb(
            Embeddings.load(embeddings / "query"), Embeddings.load(embeddings / "gallery"), rules, space=space
        )
        show(result.as_dict(), str(result), json)

    parse(evaluate, "evaluate", arguments)
