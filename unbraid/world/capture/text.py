"""Lines and numbers of motion files, with messages that name the file and the line."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from unbraid.world.people.skeleton import Floats, turn


class Lines:
    """The words of a text file line by line, without comments and empty lines; knows where it is.

    Raises FileNotFoundError for a missing file, ValueError for one that is not text.
    """

    def __init__(self, path: Path, comment: str | None = None) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8", errors="strict")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not a text file (byte {error.start} is no UTF-8)") from error
        self.rows: list[tuple[int, list[str]]] = []
        for number, line in enumerate(text.splitlines(), start=1):
            words = (line.split(comment)[0] if comment else line).split()
            if words:
                self.rows.append((number, words))
        self.place = 0

    def more(self) -> bool:
        """Whether a line is left."""
        return self.place < len(self.rows)

    def peek(self) -> list[str]:
        """The next line's words, without taking it; empty at the end."""
        return self.rows[self.place][1] if self.more() else []

    def take(self, expected: str) -> list[str]:
        """The next line's words. Raises ValueError naming what was `expected` when the file ends here."""
        if not self.more():
            raise ValueError(f"{self.path}: the file ends where {expected} was expected; it is cut off")
        self.place += 1
        return self.rows[self.place - 1][1]

    def fail(self, message: str) -> NoReturn:
        """Raise ValueError with the file and the line that was taken last."""
        number = self.rows[self.place - 1][0] if self.place else 1
        raise ValueError(f"{self.path}, line {number}: {message}")

    def numbers(self, words: Sequence[str], count: int, what: str) -> Floats:
        """`words` as `count` finite numbers (count,), else a ValueError that says what they should be."""
        if len(words) != count:
            self.fail(f"expected {count} numbers for {what}, found {len(words)}")
        try:
            values = np.array(words, dtype=np.float64)
        except ValueError:
            self.fail(f"expected numbers for {what}, found {' '.join(words)[:60]!r}")
        if not np.isfinite(values).all():
            self.fail(f"{what} must be finite, found {' '.join(words)[:60]!r}")
        return values


def euler(axes: str, angles: Floats) -> Floats:
    """Rotations (..., 3, 3) from `angles` (..., len(axes)) in radians; axes[0] is the leftmost factor.

    axes: letters of 'xyz', at least one; 'zxy' gives turn(z) @ turn(x) @ turn(y) on column vectors.
    """
    product = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3))
    for number, axis in enumerate(axes):
        if axis == "x":
            product = product @ turn("x", angles[..., number])
        elif axis == "y":
            product = product @ turn("y", angles[..., number])
        else:
            product = product @ turn("z", angles[..., number])
    return np.asarray(product)
