"""Rankings of the same pairs under several distances and orders, block by block; each distance is computed once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unbraid.evaluate import blocks
from unbraid.peers.distances import SIMILARITIES
from unbraid.peers.draws import SingleShots
from unbraid.peers.habits import JUNK, Distance, Habits
from unbraid.protocol import Protocol
from unbraid.ranking import AveragePrecision, Block, Ranking, rank
from unbraid.spaces import Embeddings

Integers = NDArray[np.int64]
TieOrder = Literal["earlier first", "later first", "mates first", "mates last"]


@dataclass(frozen=True)
class Order:
    """What decides the ranks of a pair of sides. ties: who comes first among equal scores."""

    distance: Distance
    junk: bool
    ties: TieOrder
    ap: AveragePrecision

    @classmethod
    def of(cls, habits: Habits) -> "Order":
        """The order that some habits ask for."""
        ties: TieOrder = "later first" if habits.later_first else "earlier first"
        return cls(habits.distance, habits.junk, ties, habits.ap)


@dataclass(frozen=True, eq=False)
class Ranked:
    """A ranking with one row per query, or, with cells, per query and gallery value other than its own.

    query: the query row of each. offered: the gallery's value, or ''.
    """

    ranking: Ranking
    query: Integers
    offered: NDArray[np.str_]


def ranked(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    orders: Iterable[Order],
    *,
    draws: tuple[Distance, int] | None,
    space: str,
    seed: int,
    memory: int,
) -> tuple[dict[Order, Ranked], Integers | None]:
    """The rankings asked for and, when `draws` names a distance and a number, Q by number single-shot ranks.

    Peak memory is about `memory` bytes, beside the embeddings, labels and rankings. Raises as `evaluate.blocks`.
    """
    wanted = sorted(set(orders), key=str)
    cells = _cells(gallery, protocol.cells)
    junk = (gallery.table["identity"].astype(str) == JUNK).to_numpy()
    parts: dict[Order, list[list[Ranking]]] = {order: [[] for _ in cells] for order in wanted}
    shots: list[Integers] = []
    for distance in sorted({order.distance for order in wanted} | ({draws[0]} if draws else set())):
        drawn = None
        if draws and draws[0] == distance:
            drawn = SingleShots(gallery.table["identity"], draws[1], np.random.default_rng(seed))
        # a third: the order of ties needs a wider copy of the scores and of the masks
        for block in blocks(query, gallery, protocol, SIMILARITIES[distance], space, max(memory // 3, 1)):
            if drawn is not None:
                shots.append(drawn.ranks(block))
            for order in (order for order in wanted if order.distance == distance):
                arranged = _arranged(block, order, junk)
                for place, (_, columns) in enumerate(cells):
                    part = arranged if columns is None else _some(arranged, columns)
                    if order.ties == "later first":
                        part = _some(part, slice(None, None, -1))
                    parts[order][place].append(rank([part], ap=order.ap))
            del block
    found = {order: _joined(query, protocol.cells, cells, of_cells) for order, of_cells in parts.items()}
    return found, np.concatenate(shots) if shots else None


def _cells(gallery: Embeddings, label: str) -> list[tuple[str, Integers | None]]:
    if not label:
        return [("", None)]
    values = gallery.table[label]
    names = sorted(values.dropna().unique())
    return [(str(name), np.flatnonzero((values == name).to_numpy())) for name in names]


def _arranged(block: Block, order: Order, junk: NDArray[np.bool_]) -> Block:
    scores, skip = block.scores, block.skip
    if order.junk and junk.any():
        skip = skip | junk[None, :]
    if order.ties in ("mates first", "mates last"):
        # less than half the gap between two float32 numbers: only equal scores change places
        wide = scores.astype(np.float64)
        step = np.spacing(np.abs(scores)).astype(np.float64) / 4
        scores = np.where(block.hit, wide + step if order.ties == "mates first" else wide - step, wide)
    return Block(scores, block.hit, skip)


def _some(block: Block, columns: Integers | slice) -> Block:
    return Block(block.scores[:, columns], block.hit[:, columns], block.skip[:, columns])


def _joined(
    query: Embeddings, label: str, cells: Sequence[tuple[str, Integers | None]], parts: list[list[Ranking]]
) -> Ranked:
    rankings, rows, offered = [], [], []
    own = query.table[label].astype(str).to_numpy() if label else np.full(len(query), "none")
    for (name, _), of_blocks in zip(cells, parts, strict=True):
        chosen = np.flatnonzero(own != name)
        rankings.append({f.name: np.concatenate([getattr(p, f.name) for p in of_blocks])[chosen] for f in FIELDS})
        rows.append(chosen)
        offered.append(np.full(len(chosen), name))
    joined = Ranking(**{f.name: np.concatenate([one[f.name] for one in rankings]) for f in FIELDS})
    return Ranked(joined, np.concatenate(rows), np.concatenate(offered))


FIELDS = fields(Ranking)
