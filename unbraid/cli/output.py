"""How a command reads its options and says what it did."""

import difflib
import json
from collections.abc import Callable, Sequence
from typing import Any


def parse(function: Callable[..., None], command: str, arguments: Sequence[str]) -> None:
    """Call a function with options made from its signature and docstring; exits with 2 for a wrong option."""
    import tyro

    tyro.cli(function, prog=f"unbraid {command}", args=list(arguments))


def verb_of(command: str, verbs: Sequence[str], usage: str, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Which of a command's verbs is meant, and the options behind it; '' after the usage was printed for want of one.

    Raises ValueError for another verb, naming the nearest.
    """
    if not arguments or arguments[0] in ("--help", "-h"):
        print(usage)
        return "", []
    verb, *rest = arguments
    if verb not in verbs:
        near = difflib.get_close_matches(verb, verbs, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"there is no `unbraid {command} {verb}`{hint} Use one of {', '.join(verbs)}")
    return verb, rest


def show(values: Any, text: str, as_json: bool) -> None:
    """Print the result for people, or as JSON."""
    print(json.dumps(values, indent=2, default=str, allow_nan=False) if as_json else text)
