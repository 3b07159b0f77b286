"""Scores by a protocol."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unbraid.cli.output import parse, show

if TYPE_CHECKING:
    from unbraid.protocol import Protocol


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
            protocol: camera-change@1, clothes-change@1 or plain@1.
            space: The space to compare.
            ap: Another rule for average precision than the protocol's.
            json: Print the result as JSON.
        """
        from dataclasses import replace

        from unbraid.evaluate import evaluate as verb
        from unbraid.spaces import Embeddings

        rules = _protocol(protocol)
        rules = rules if ap is None else replace(rules, ap=ap)
        result = verb(
            Embeddings.load(embeddings / "query"), Embeddings.load(embeddings / "gallery"), rules, space=space
        )
        show(result.as_dict(), str(result), json)

    parse(evaluate, "evaluate", arguments)


def _protocol(name: str) -> "Protocol":
    import difflib

    from unbraid.protocol import NAMED

    if name not in NAMED:
        near = difflib.get_close_matches(name, NAMED, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise KeyError(f"no protocol {name!r}{hint} There are {list(NAMED)}")
    return NAMED[name]
