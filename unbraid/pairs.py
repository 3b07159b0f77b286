"""The pairs that a protocol compares, in blocks, and how many people they are pairs of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unbraid.evaluate import blocks, sides
from unbraid.protocol import Protocol, same
from unbraid.ranking import Block
from unbraid.search import Similarity
from unbraid.spaces import Embeddings
from unbraid.trials import numbered

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Compared:
    """The items that a protocol compares, and their scores, again and again, in the same blocks.

    query: in the order of identities. people, others: a number per query and gallery item, equal for one identity;
    each unknown identity has one of its own. skip: the protocol's rule, with pairs of one cell value.
    """

    query: Embeddings
    gallery: Embeddings
    people: Integers
    others: Integers
    skip: str
    blocks: Callable[[], Iterator[Block]]


def compared(
    query: Embeddings, gallery: Embeddings, protocol: Protocol, *, similarity: Similarity, space: str, memory: int
) -> Compared:
    """What a protocol compares. Raises KeyError for a table without identities, and as `evaluate` for the rest."""
    for side, table in (("query", query.table), ("gallery", gallery.table)):
        if "identity" not in table.columns:
            raise KeyError(
                f"the {side} table has no label 'identity'; it has {sorted(map(str, table.columns))}. "
                f"Counts and intervals need it"
            )
    if protocol.shots is not None:
        raise ValueError(
            f"protocol {protocol.name!r} draws its gallery again and again ({protocol.shots}), which verification and "
            f"open sets do not; choose a protocol that keeps all of the gallery"
        )
    query, gallery = sides(query, gallery, protocol)
    people, others = numbered(query.table["identity"], gallery.table["identity"])
    order = np.argsort(people, kind="stable")
    if (np.diff(order) != 1).any():
        query, people = query.take(order.tolist()), people[order]
    if protocol.cells:
        protocol = replace(protocol, skip=protocol.skip | same(protocol.cells))

    def again() -> Iterator[Block]:
        return blocks(query, gallery, protocol, similarity, space, -(-memory // 2))

    return Compared(query, gallery, people, others, str(protocol.skip), again)


class Census:
    """Counts people among the impostor pairs of blocks that pass by."""

    def __init__(self, pairs: Compared) -> None:
        self.identity_pairs, self.same_identity, self.unknown = 0, 0, 0
        self._people, self._others = pairs.people, pairs.others
        self._unknown_query = pairs.query.table["identity"].isna().to_numpy()
        self._unknown_gallery = pairs.gallery.table["identity"].isna().to_numpy()
        # a pair of people that both sides hold is compared both ways; it counts where the lower number asks
        self._asks = np.zeros(max(pairs.people.max(initial=0), pairs.others.max(initial=0)) + 1, bool)
        self._asks[pairs.people] = True
        self._offered = np.zeros_like(self._asks)
        self._offered[pairs.others] = True

    def watch(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The same blocks; the counts are complete when they are used up. Queries come in the order of identities."""
        seen, current, row = np.zeros_like(self._asks), -1, 0
        for block in blocks:
            people = self._people[row : row + len(block.scores)]
            cuts = np.flatnonzero(np.diff(people)) + 1
            for start, stop in zip([0, *cuts], [*cuts, len(people)], strict=True):
                part = slice(int(start), int(stop))
                if people[start] != current:
                    self.identity_pairs += self._different(seen, current)
                    seen[:], current = False, int(people[start])
                impostor = ~(block.hit[part] | block.skip[part])
                seen[self._others[impostor.any(axis=0)]] = True
                self.same_identity += int(impostor[:, self._others == current].sum())
                if self._unknown_query[row + start]:
                    self.unknown += int(impostor.sum())
                else:
                    self.unknown += int(impostor[:, self._unknown_gallery].sum())
            row += len(people)
            yield block
            del block
        self.identity_pairs += self._different(seen, current)

    def _different(self, seen: NDArray[np.bool_], current: int) -> int:
        if current < 0:
            return 0
        number = np.arange(len(seen))
        twice = self._asks & (number < current) & self._offered[current]
        return int(np.count_nonzero(seen & ~twice & (number != current)))


def origin(query: Embeddings, gallery: Embeddings) -> dict[str, str]:
    """Origins of both sides as 'query ...' and 'gallery ...'."""
    named = (("query", query), ("gallery", gallery))
    return {f"{side} {name}": value for side, embeddings in named for name, value in embeddings.origin.items()}
