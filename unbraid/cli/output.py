"""How a command reads its options and says what it did."""

import json
from collections.abc import Callable, Sequence
from typing import Any


def parse(function: Callable[..., None], command: str, arguments: Sequence[str]) -> None:
    """Call a function with options made from its signature and docstring; exits with 2 for a wrong option."""
    import tyro

    tyro.cli(function, prog=f"unbraid {command}", args=list(arguments))


def show(values: Any, text: str, as_json: bool) -> None:
    """Print the result for people, or as JSON."""
    print(json.dumps(values, indent=2, default=str, allow_nan=False) if as_json else text)
