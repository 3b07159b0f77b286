"""Trained checkpoints that come with the library: `unbraid.load("dsanet/world")`, offline.

Each is a run folder, unbraid/zoo/METHOD/NAME, with a model card beside it. Every command that takes a run takes such a
name. Those of the built-in world have seen synthetic people only.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unbraid.checkpoint import load_method, packaged, weights_hash
from unbraid.method import Method

HOME = Path(__file__).parent
CARD, NUMBERS = "README.md", "numbers.json"


@dataclass(frozen=True)
class Entry:
    """A packaged checkpoint. numbers: what was measured of it, with the command; see its card."""

    name: str
    folder: Path
    sha256: str
    bytes: int
    numbers: dict[str, Any]

    @property
    def card(self) -> str:
        """The model card: recipe, numbers, leakage, intended use, limits, licence."""
        return (self.folder / CARD).read_text(encoding="utf-8")


def load(name: str | Path) -> Method:
    """The trained method of a packaged checkpoint or of a run folder, in eval mode on the CPU.

    Raises FileNotFoundError, listing the packaged ones, where there is neither; ValueError when its weights are not
    those that its numbers were made with.

    Example:
        method = unbraid.load("dsanet/world")
    """
    folder = Path(name)
    if not (folder / "recipe.json").is_file():
        found = packaged(name)
        if found is None:
            raise FileNotFoundError(
                f"no checkpoint {str(name)!r}; packaged are {', '.join(one.name for one in entries())}, "
                f"and a folder made by `unbraid train` is one"
            )
        entry = _entry(found)
        if weights_hash(found) != entry.sha256:
            raise ValueError(f"the weights in {found} are not those that were packaged; install the library anew")
        folder = found
    return load_method(folder)


def entries() -> tuple[Entry, ...]:
    """All packaged checkpoints, by name."""
    return tuple(_entry(path.parent) for path in sorted(HOME.glob(f"*/*/{NUMBERS}")))


def _entry(folder: Path) -> Entry:
    told = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Entry(folder.relative_to(HOME).as_posix(), folder, told["sha256"], size, told)
