"""What the built-in world is asked about a method: which recipes to train, how to score them, which claims to check."""

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Something a paper says that two rows can show.

    says: in words. source: where it is said, with the number there, which is theirs and on other data.
    better, than: titles of the two rows. protocol: where rank-1 is compared.
    label: compare how well this label is read from the identity space instead, less being better.
    space: of both rows, the space whose rank-1 is compared; '' is the method's own way to compare people.
    """

    says: str
    source: str
    better: str
    than: str
    protocol: str = ""
    label: str = ""
    space: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """An experiment on the built-in world.

    kind: of world, such as 'clothes'. rows: recipes of the method by title, the whole method first.
    headlines: titles of the rows that get more seeds.
    protocols: names; the first is the one that matters. labels: what probes look for.
    Raises ValueError for a title that no row has.
    """

    kind: str
    rows: Mapping[str, str]
    headlines: tuple[str, ...]
    protocols: tuple[str, ...]
    labels: tuple[str, ...]
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        asked = [*self.headlines, *(title for claim in self.claims for title in (claim.better, claim.than))]
        lacking = [title for title in asked if title not in self.rows]
        if lacking:
            raise ValueError(f"evidence has no row {lacking[0]!r}; its rows are {list(self.rows)}")
        unscored = [claim.protocol for claim in self.claims if claim.protocol not in ("", *self.protocols)]
        if unscored:
            raise ValueError(f"evidence has no protocol {unscored[0]!r}; its protocols are {list(self.protocols)}")


def find_evidence(method: str) -> Evidence | None:
    """`EVIDENCE` of a method's evidence.py, None where there is no such file.

    Raises KeyError for a method that does not exist.
    """
    from unbraid.method import module_of

    name = f"{module_of(method)}.evidence"
    if importlib.util.find_spec(name) is None:
        return None
    found: Any = importlib.import_module(name).EVIDENCE
    return found  # type: ignore[no-any-return]
