"""How well queries find their mates: embeddings and a protocol give one result, with interval and chance level."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from unbraid.intervals import Floats, Interval, bootstrap, expected_ap
from unbraid.method import cosine
from unbraid.progress import track
from unbraid.protocol import Protocol, need
from unbraid.ranking import Block, Ranking, rank, rows_per_block
from unbraid.result import Result
from unbraid.search import MEMORY, Scoring, Similarity, scorer, slices
from unbraid.spaces import Embeddings, Spaces, is_synthetic


def evaluate(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    *,
    similarity: Similarity | Scoring = cosine,
    space: str = "identity",
    seed: int = 0,
    synthetic: bool | None = None,
    memory: int = MEMORY,
) -> Result:
    """The scores of a protocol, exact, within bounded memory.

    similarity: any function (Spaces of b items, Spaces of g items) -> b g, larger is more alike; or `Reranking()`.
    space: compare this space; it is then the only one that `similarity` sees, under the name 'identity'.
    seed: of the bootstrap. synthetic: None takes it from the embeddings' origin ('synthetic': 'true' or 'false').
    memory: bytes of working memory, beside the embeddings and the labels.

    Raises ValueError when no query has a mate, spaces differ in width or scores are not finite; KeyError for a space
    or label that is missing.

    Example:
        result = evaluate(query, gallery, CAMERA_CHANGE)
        print(result)
    """
    for side, table in (("query", query.table), ("gallery", gallery.table)):
        if "identity" not in table.columns:
            raise KeyError(
                f"the {side} table has no label 'identity'; it has {sorted(map(str, table.columns))}. "
                f"Intervals and counts need it"
            )
    query, gallery = sides(query, gallery, protocol)
    ranking, cells = _ranked(query, gallery, protocol, similarity, space, memory)
    if not ranking.mated.any():
        raise ValueError(
            f"protocol {protocol.name!r}: none of the {len(query)} queries has a mate among the {len(gallery)} gallery "
            f"items. A mate is {protocol.hit} and not {protocol.skip}; compare these labels in query and gallery"
        )
    mated = ranking.mated
    groups = _groups(query.table["identity"].reset_index(drop=True))[cells.query][mated]
    weights = cells.weights(mated)

    def mean(values: NDArray[Any]) -> float:
        return float((weights * values[mated]).sum() / weights.sum())

    def interval(values: NDArray[Any]) -> Interval:
        return bootstrap(values[mated].astype(float), groups, seed=seed, weights=weights)

    chance = np.zeros(len(ranking))
    chance[mated] = expected_ap(ranking.hits[mated], ranking.valid[mated], protocol.ap)
    first = ranking.first == 1
    return Result(
        protocol=protocol.name,
        hit=str(protocol.hit),
        skip=str(protocol.skip),
        ap_rule=protocol.ap,
        space=space,
        cells=protocol.cells,
        queries=len(query),
        without_mate=len(query) - len(np.unique(cells.query[mated])),
        identities=len(np.unique(groups)),
        gallery=len(gallery),
        distractors=int(gallery.table["identity"].isna().sum()),
        pairs=int(ranking.hits.sum()),
        mean_ap=mean(ranking.ap),
        mean_ap_interval=interval(ranking.ap),
        mean_ap_chance=mean(chance),
        rank_1=mean(first),
        rank_1_interval=interval(first),
        rank_1_chance=mean(ranking.hits / np.maximum(ranking.valid, 1)),
        rank_5=mean(ranking.first <= 5),
        rank_10=mean(ranking.first <= 10),
        rank_20=mean(ranking.first <= 20),
        mean_inp=mean(ranking.inp),
        synthetic=is_synthetic(query.origin, gallery.origin) if synthetic is None else synthetic,
        origin={
            f"{side} {name}": value
            for side, embeddings in (("query", query), ("gallery", gallery))
            for name, value in embeddings.origin.items()
        },
        table=_table(ranking, cells, query.table, gallery.table),
    )


def compare(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    *,
    similarity: Similarity | Scoring = cosine,
    space: str = "identity",
    memory: int = MEMORY,
) -> Ranking:
    """The ranking of every query against the whole gallery, whatever the protocol's choice of items and its cells.

    Arguments and errors are those of `evaluate`, but that it is no error when no query has a mate.
    """
    return rank(blocks(query, gallery, protocol, similarity, space, memory), ap=protocol.ap)


def sides(query: Embeddings, gallery: Embeddings, protocol: Protocol) -> tuple[Embeddings, Embeddings]:
    """The items of both sides that take part in a protocol. Raises as `Where.rows`."""
    rows = protocol.query.rows(query.table, "query"), protocol.gallery.rows(gallery.table, "gallery")
    return tuple(  # type: ignore[return-value]
        side if len(chosen) == len(side) else side.take(chosen.tolist())
        for side, chosen in zip((query, gallery), rows, strict=True)
    )


@dataclass(frozen=True, eq=False)
class _Cells:
    """What each row of a ranking is. query: row of the query table. names: (query value, gallery value), or empty."""

    query: NDArray[np.int64]
    names: tuple[tuple[str, str], ...] = ()

    def weights(self, mated: NDArray[np.bool_]) -> Floats:
        """Weights of the mated rows: all equal, or such that cells count equally within a query value, and query
        values equally."""
        if not self.names:
            return np.ones(int(mated.sum()))
        rows = pd.DataFrame(list(self.names), columns=["asked", "offered"])[mated]
        in_cell = rows.groupby(["asked", "offered"])["asked"].transform("size")
        cells = rows.groupby("asked")["offered"].transform("nunique")
        return np.asarray(1.0 / (in_cell * cells), np.float64)


def _ranked(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    similarity: Similarity | Scoring,
    space: str,
    memory: int,
) -> tuple[Ranking, _Cells]:
    """One row per query, or per query and value of the cell label in the gallery but its own."""
    if not protocol.cells:
        ranking = compare(query, gallery, protocol, similarity=similarity, space=space, memory=memory)
        return ranking, _Cells(np.arange(len(query)))
    need(query.table, "query", protocol.cells)
    need(gallery.table, "gallery", protocol.cells)
    parts, rows, names = [], [], []
    for value in sorted(gallery.table[protocol.cells].dropna().unique()):
        asked = np.flatnonzero((query.table[protocol.cells] != value).to_numpy())
        offered = np.flatnonzero((gallery.table[protocol.cells] == value).to_numpy())
        if len(asked):
            some, few = query.take(asked.tolist()), gallery.take(offered.tolist())
            ranking = compare(some, few, protocol, similarity=similarity, space=space, memory=memory)
            best = np.where(ranking.best >= 0, offered[ranking.best], -1)
            parts.append(replace(ranking, best=best))
            rows.append(asked)
            names += [(str(own), str(value)) for own in some.table[protocol.cells]]
    if not parts:
        raise ValueError(
            f"protocol {protocol.name!r}: query and gallery have one {protocol.cells} only; it compares different ones"
        )
    joined = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Ranking)}
    return Ranking(**joined), _Cells(np.concatenate(rows), tuple(names))


def blocks(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    similarity: Similarity | Scoring,
    space: str,
    memory: int,
) -> Iterator[Block]:
    """Scores, hits and skips of a protocol, some queries at a time against the whole gallery. Raises as `evaluate`."""
    asked, offered = query.spaces, gallery.spaces
    if space != "identity":
        asked, offered = Spaces({"identity": asked[space]}), Spaces({"identity": offered[space]})
    scores_of = scorer(asked, offered, similarity)
    hit = protocol.hit.on(query.table, gallery.table)
    skip = protocol.skip.on(query.table, gallery.table)
    # one half for a block of scores and masks, one for the copies that `similarity` makes, if it makes any
    share = -(-memory // 2) if scores_of.row_bytes else memory
    rows = min(rows_per_block(len(gallery), share), len(query))
    columns = slices(len(gallery), scores_of.step(rows, share))
    buffer = torch.empty(rows, len(gallery))
    for part in track(slices(len(query), rows), "evaluate"):
        scores = buffer[: part.stop - part.start]
        for some in columns:
            scores_of.write(part, some, scores[:, some])
        yield Block(scores.numpy(), hit(part), skip(part))


def _groups(identity: pd.Series) -> NDArray[np.int64]:
    """A number per query, equal for one identity; each unknown identity is one of its own."""
    codes = pd.factorize(identity)[0].astype(np.int64)
    unknown = codes < 0
    codes[unknown] = codes.max(initial=0) + 1 + np.arange(np.count_nonzero(unknown))
    return codes


def _table(ranking: Ranking, cells: _Cells, query: pd.DataFrame, gallery: pd.DataFrame) -> pd.DataFrame:
    keys = gallery["key"].tolist()
    return pd.DataFrame(
        {
            "key": query["key"].to_numpy()[cells.query],
            "identity": query["identity"].to_numpy()[cells.query],
            "ap": ranking.ap,
            "inp": ranking.inp,
            "first": ranking.first,
            "hits": ranking.hits,
            "valid": ranking.valid,
            "best": [keys[row] if row >= 0 else None for row in ranking.best],
            **({"cell": [f"{asked} in {offered}" for asked, offered in cells.names]} if cells.names else {}),
        }
    )
