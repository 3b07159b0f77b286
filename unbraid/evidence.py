"""What the built-in world is asked about a method: which recipes to train, how to score them, which claims to check."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unbraid.data.benchmark import Benchmark
from unbraid.spaces import Embeddings

# embeddings of query and gallery from people and a seed
Reference = Callable[[Benchmark, int], tuple[Embeddings, Embeddings]]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Something a paper says that two rows can show.

    says: in words. source: where it is said, with the number there, which is theirs and on other data.
    better, than: titles of the two rows. protocol: where rank-1 is compared.
    label: compare how well this label is read from the identity space instead, less being better.
    among: a label that the evidence breaks rank-1 down by, and the values that queries must have to count.
    """

    says: str
    source: str
    better: str
    than: str
    protocol: str = ""
    label: str = ""
    among: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """An experiment on the built-in world.

    kind: of world, such as 'clothes'. rows: recipes of the method by title, the whole method first.
    headlines: titles of the rows that get most seeds. sweeps: titles of those that get one, where time allows.
    packaged: title of the row that the model zoo holds; the first one without it.
    derived: by title, a row whose features are used and the recipe that says how to compare them instead.
    references: by title, features that no network learned, such as colours: the floor or the ceiling.
    protocols: names; the first is the one that matters. labels: what probes look for.
    by: labels of queries by which rank-1 is shown too.
    Raises ValueError for a title that no row has.
    """

    kind: str
    rows: Mapping[str, str]
    headlines: tuple[str, ...]
    sweeps: tuple[str, ...] = ()
    packaged: str = ""
    derived: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    references: Mapping[str, Reference] = field(default_factory=dict)
    protocols: tuple[str, ...]
    labels: tuple[str, ...]
    by: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        claimed = [title for claim in self.claims for title in (claim.better, claim.than)]
        lacking = [title for title in (*self.headlines, *self.sweeps, *claimed) if title not in self.titles]
        if lacking:
            raise ValueError(f"evidence has no row {lacking[0]!r}; its rows are {list(self.titles)}")
        baseless = [title for title, (row, _) in self.derived.items() if row not in self.rows]
        if baseless:
            raise ValueError(
                f"evidence derives {baseless[0]!r} from a row that is not trained; those are {list(self.rows)}"
            )
        if self.packaged and self.packaged not in self.rows:
            raise ValueError(f"evidence packages {self.packaged!r}, a row that is not trained; {list(self.rows)} are")
        unknown = [claim.among[0] for claim in self.claims if claim.among and claim.among[0] not in self.by]
        if unknown:
            raise ValueError(f"evidence has a claim about some values of {unknown[0]!r}, which 'by' does not name")
        unread = [claim.label for claim in self.claims if claim.label not in ("", *self.labels)]
        if unread:
            raise ValueError(f"evidence has a claim about {unread[0]!r}, which no probe looks for: {list(self.labels)}")
        for claim in self.claims:
            if bool(claim.protocol) == bool(claim.label):
                raise ValueError(f"evidence claims {claim.says!r}; give it either a protocol or a label")
            if claim.label and {claim.better, claim.than} & set(self.derived):
                raise ValueError(
                    f"evidence claims {claim.says!r} of a derived row; ask its base, whose features it has"
                )
        unscored = [claim.protocol for claim in self.claims if claim.protocol not in ("", *self.protocols)]
        if unscored:
            raise ValueError(f"evidence has no protocol {unscored[0]!r}; its protocols are {list(self.protocols)}")

    @property
    def titles(self) -> tuple[str, ...]:
        """Of all rows, trained ones first."""
        return (*self.rows, *self.derived, *self.references)


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


def evidence_of(method: str) -> Evidence:
    """The evidence of a method. Raises KeyError for an unknown method and ValueError for one without evidence."""
    evidence = find_evidence(method)
    if evidence is None:
        raise ValueError(f"{method} says nothing about the built-in world: its folder has no evidence.py with EVIDENCE")
    return evidence
