"""How well queries find their mates: embeddings and a protocol give one result, with interval and chance level."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from unbraid.figures import RANK, Tally, rank_figure, refused
from unbraid.intervals import Floats, Interval, bootstrap, expected_ap
from unbraid.method import cosine
from unbraid.progress import track
from unbraid.protocol import Protocol, need
from unbraid.ranking import Block, Ranking, TensorBlock, rank, rows_per_block
from unbraid.result import Result
from unbraid.search import MEMORY, Scoring, Similarity, alone, compared_spaces, scorer, slices
from unbraid.spaces import Embeddings, is_synthetic
from unbraid.trials import guarded, numbered


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

    Raises ValueError when a side is empty, no query has a mate, spaces differ in width or scores are not finite;
    KeyError for a space or label that is missing.

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
    people, others = numbered(query.table["identity"], gallery.table["identity"])
    tally = None if protocol.cells or protocol.shots else Tally(people, others, memory)
    ranking, rows = _ranked(query, gallery, protocol, similarity, space, memory, tally)
    if not ranking.mated.any():
        raise ValueError(
            f"protocol {protocol.name!r}: none of the {len(query)} queries has a mate among the {len(gallery)} gallery "
            f"items. A mate is {protocol.hit} and not {protocol.skip}; compare these labels in query and gallery"
        )
    mated = ranking.mated
    groups = people[rows.query][mated]
    identities = len(np.unique(groups))
    weights = rows.weights(mated)

    def mean(values: NDArray[Any]) -> float:
        return float((weights * values[mated]).sum() / weights.sum())

    def interval(values: NDArray[Any]) -> Interval:
        drawn = bootstrap(values[mated].astype(float), groups, seed=seed, weights=weights)
        return guarded(mean(values), drawn, identities)

    if tally is not None:
        figures = tally.figures(ranking, seed=seed)
    else:
        asked = len(np.unique(rows.query[mated]))
        within = ranking.first <= RANK
        found = rank_figure(mean(within), interval(within), asked, identities, rows.gallery)
        figures = refused(
            f"the protocol averages cells of {protocol.cells}; `unbraid verify` and `unbraid identify` pool them"
            if protocol.cells
            else "the protocol draws its gallery again and again; choose one that keeps all of it",
            found,
        )
    chance = np.zeros(len(ranking))
    chance[mated] = expected_ap(ranking.hits[mated], ranking.valid[mated], protocol.ap)
    first = ranking.first == 1
    return Result(
        protocol=protocol.name,
        hit=str(protocol.hit),
        skip=str(protocol.skip),
        ap_rule=protocol.ap,
        space=compared_spaces(similarity, space),
        cells=protocol.cells,
        shots=str(protocol.shots or ""),
        draws=protocol.shots.draws if protocol.shots else 1,
        query_items=str(protocol.query),
        gallery_items=str(protocol.gallery),
        queries=len(query),
        without_mate=len(query) - len(np.unique(rows.query[mated])),
        identities=identities,
        gallery=rows.gallery,
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
        figures=figures,
        zero_items=zero_items(query, gallery, space),
        synthetic=is_synthetic(query.origin, gallery.origin) if synthetic is None else synthetic,
        origin={
            f"{side} {name}": value
            for side, embeddings in (("query", query), ("gallery", gallery))
            for name, value in embeddings.origin.items()
        },
        table=_table(ranking, rows, weights, query.table, gallery.table),
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
    device = query.spaces[space].device
    if device.type == "cpu" or isinstance(similarity, Scoring):
        return rank(blocks(query, gallery, protocol, similarity, space, memory), ap=protocol.ap)
    # scores that stay where they are made are counted there
    parts = _scored(query, gallery, protocol, similarity, space, memory, device)
    return rank((TensorBlock(scores, hit, skip) for scores, hit, skip in parts), ap=protocol.ap)


def sides(query: Embeddings, gallery: Embeddings, protocol: Protocol) -> tuple[Embeddings, Embeddings]:
    """The items of both sides that take part in a protocol. Raises ValueError for an empty side, and as `Where.rows`,
    which names the labels that leave nobody."""
    empty = [name for name, side in (("query", query), ("gallery", gallery)) if not len(side)]
    if empty:
        raise ValueError(
            f"the {' and the '.join(empty)} side is empty before the protocol chooses anyone by labels: there are "
            f"{len(query)} queries and {len(gallery)} gallery items, and both must be at least 1"
        )
    rows = protocol.query.rows(query.table, "query"), protocol.gallery.rows(gallery.table, "gallery")
    return tuple(  # type: ignore[return-value]
        side if len(chosen) == len(side) else side.take(chosen.tolist())
        for side, chosen in zip((query, gallery), rows, strict=True)
    )


def zero_items(query: Embeddings, gallery: Embeddings, space: str) -> int:
    """How many items of both sides have a space that is zero everywhere, so that no direction tells who they are."""
    # `any` reduces without a copy of the features
    return sum(int((~side.spaces[space].flatten(1).any(dim=1)).sum()) for side in (query, gallery))


@dataclass(frozen=True, eq=False)
class _Rows:
    """What each row of a ranking is: row of the query table, number of the draw, and the values of its cell ('' without
    cells). gallery: items ranked at once, before they are divided into cells."""

    query: NDArray[np.int64]
    draw: NDArray[np.int64]
    asked: NDArray[np.str_]
    offered: NDArray[np.str_]
    gallery: int

    def weights(self, mated: NDArray[np.bool_]) -> Floats:
        """Weights of the mated rows: draws count equally, in a draw query values, in a query value cells, in a cell
        queries."""
        if not self.draw.any() and (self.offered == "").all():
            return np.ones(int(mated.sum()))
        rows = pd.DataFrame({"draw": self.draw, "asked": self.asked, "offered": self.offered})[mated]
        in_cell = rows.groupby(["draw", "asked", "offered"])["draw"].transform("size")
        cells = rows.groupby(["draw", "asked"])["offered"].transform("nunique")
        values = rows.groupby("draw")["asked"].transform("nunique")
        return np.asarray(1.0 / (in_cell * cells * values), np.float64)


def _ranked(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    similarity: Similarity | Scoring,
    space: str,
    memory: int,
    tally: Tally | None,
) -> tuple[Ranking, _Rows]:
    """One row per query, per draw if the protocol draws its gallery, and per value of the cell label in the gallery
    but the query's own.

    tally: sees the blocks of a protocol without cells and draws.
    """
    everyone = np.arange(len(query))
    if tally is not None:
        seen = tally.watch(blocks(query, gallery, protocol, similarity, space, memory))
        none = np.full(len(query), "")
        return rank(seen, ap=protocol.ap), _Rows(everyone, np.zeros_like(everyone), none, none, len(gallery))
    if protocol.cells:
        need(query.table, "query", protocol.cells)
        need(gallery.table, "gallery", protocol.cells)
    draws = protocol.shots.rows(gallery.table) if protocol.shots else [np.arange(len(gallery))]
    parts, rows = [], []
    for draw, drawn in enumerate(draws):
        for asked, offered, own, value in _cells(query.table, gallery.table.iloc[drawn], protocol.cells):
            some, few = query.take(asked.tolist()), gallery.take(drawn[offered].tolist())
            ranking = compare(some, few, protocol, similarity=similarity, space=space, memory=memory)
            best = np.where(ranking.best >= 0, drawn[offered][ranking.best], -1)
            parts.append(replace(ranking, best=best))
            rows.append((asked, np.full(len(asked), draw), own, np.full(len(asked), value)))
    if not parts:
        known = gallery.table[protocol.cells].dropna().astype(str).unique()
        alone = f"query and gallery have {known[0]!r} only" if len(known) else "the gallery has no known one"
        raise ValueError(f"protocol {protocol.name!r} compares different values of {protocol.cells!r}, but {alone}")
    joined = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Ranking)}
    whose, which, own, values = (np.concatenate(part) for part in zip(*rows, strict=True))
    return Ranking(**joined), _Rows(whose, which, own, values, len(draws[0]))


def _cells(
    query: pd.DataFrame, gallery: pd.DataFrame, label: str
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.str_], str]]:
    """Query rows, gallery rows, the query rows' own values and the gallery's value, for each gallery value of a label;
    everything at once for ''."""
    if not label:
        yield np.arange(len(query)), np.arange(len(gallery)), np.full(len(query), ""), ""
        return
    for value in sorted(gallery[label].dropna().unique()):
        asked = np.flatnonzero((query[label] != value).to_numpy())
        if len(asked):
            own = query[label].iloc[asked].astype(str).to_numpy(dtype=np.str_)
            yield asked, np.flatnonzero((gallery[label] == value).to_numpy()), own, str(value)


def blocks(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    similarity: Similarity | Scoring,
    space: str,
    memory: int,
) -> Iterator[Block]:
    """Scores, hits and skips of a protocol, some queries at a time against the whole gallery. Raises as `evaluate`.

    The scores of a block are overwritten when later blocks are made.
    """
    parts = _scored(query, gallery, protocol, similarity, space, memory, torch.device("cpu"))
    return (Block(scores.numpy(), hit, skip) for scores, hit, skip in parts)


def _scored(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    similarity: Similarity | Scoring,
    space: str,
    memory: int,
    device: torch.device,
) -> Iterator[tuple[torch.Tensor, NDArray[np.bool_], NDArray[np.bool_]]]:
    scores_of = scorer(alone(query.spaces, space), alone(gallery.spaces, space), similarity)
    hit = protocol.hit.on(query.table, gallery.table)
    skip = protocol.skip.on(query.table, gallery.table)
    # one half for a block of scores and masks, one for the copies that `similarity` makes, if it makes any
    share = -(-memory // 2) if scores_of.row_bytes else memory
    rows = rows_per_block(len(gallery), share)
    scored = min(rows.scored, len(query))
    columns = slices(len(gallery), scores_of.step(scored, share))
    buffer = torch.empty(scored, len(gallery), device=device)
    for part in track(slices(len(query), scored), "evaluate"):
        for some in columns:
            scores_of.write(part, some, buffer[: part.stop - part.start, some])
        for few in slices(part.stop - part.start, rows.ranked):
            own = slice(part.start + few.start, part.start + few.stop)
            yield buffer[few], hit(own), skip(own)


def _table(ranking: Ranking, rows: _Rows, weights: Floats, query: pd.DataFrame, gallery: pd.DataFrame) -> pd.DataFrame:
    keys, share = gallery["key"].tolist(), np.zeros(len(ranking))
    share[ranking.mated] = weights / weights.sum()
    table = pd.DataFrame(
        {
            "key": query["key"].to_numpy()[rows.query],
            "identity": query["identity"].to_numpy()[rows.query],
            "ap": ranking.ap,
            "inp": ranking.inp,
            "first": ranking.first,
            "hits": ranking.hits,
            "valid": ranking.valid,
            "best": [keys[row] if row >= 0 else None for row in ranking.best],
            "share": share,
        }
    )
    if rows.draw.any():
        table["draw"] = rows.draw
    if (rows.offered != "").any():
        table["cell"] = [f"{asked} in {offered}" for asked, offered in zip(rows.asked, rows.offered, strict=True)]
    return table
