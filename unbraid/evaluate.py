"""How well queries find their mates: embeddings and a protocol give one result, with interval and chance level."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from unbraid.method import cosine
from unbraid.progress import track
from unbraid.protocol import Protocol, need
from unbraid.ranking import AveragePrecision, Block, Ranking, rank, rows_per_block
from unbraid.search import MEMORY, Scoring, Similarity, scorer, slices
from unbraid.spaces import Embeddings, Spaces

DRAWS = 1000
Interval = tuple[float, float]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Result:
    """One evaluation. Every score is in 0..1 and averages over the queries with a mate, within cells if any.

    protocol, hit, skip, ap_rule: the protocol's name, its two rules as text, its rule for AP.
    space: the embedding space that stood in for 'identity'.
    cells: the label whose cells are averaged (see `Protocol`), or ''.
    queries, without_mate: all queries, and those of them that leave the means because no hit is possible.
    identities: different identities among the queries with a mate.
    gallery, distractors: all gallery items, and those of them whose identity is unknown.
    pairs: valid (query, gallery) pairs that are hits.
    *_interval: 95 % bootstrap interval over query identities, the gallery held fixed; NaN for one identity.
    *_chance: the expected value if every valid gallery were in random order.
    synthetic: True when the pixels were rendered; None when nobody said.
    origin: origins of the embeddings, 'query ...' and 'gallery ...'.
    table: one row per query: key, identity, ap, inp, first (rank of the first hit, 0 without a mate), hits, valid
        (gallery items not skipped), best (key at rank 1). With cells, one row per query and gallery value, and `cell`.
    """

    protocol: str
    hit: str
    skip: str
    ap_rule: AveragePrecision
    space: str
    cells: str
    queries: int
    without_mate: int
    identities: int
    gallery: int
    distractors: int
    pairs: int
    mean_ap: float
    mean_ap_interval: Interval
    mean_ap_chance: float
    rank_1: float
    rank_1_interval: Interval
    rank_1_chance: float
    rank_5: float
    rank_10: float
    rank_20: float
    mean_inp: float
    synthetic: bool | None
    origin: Mapping[str, str]
    table: pd.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """Every field but the table, in plain types; a NaN becomes None."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "table"}

    def to_json(self) -> str:
        """`as_dict` as JSON text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False) + "\n"

    def __str__(self) -> str:
        mark = "SYNTHETIC data; says nothing about real people\n" if self.synthetic else ""
        tail = f", {self.without_mate} without a mate left out" if self.without_mate else ""
        lines = [
            f"{self.protocol}: hit = {self.hit}; skip = {self.skip}; AP rule '{self.ap_rule}'; space '{self.space}'"
            + (f"; mean over cells of different {self.cells}" if self.cells else ""),
            f"{self.queries} queries{tail}; {self.identities} identities; {self.gallery} gallery items, "
            f"{self.distractors} of unknown identity; {self.pairs} mated pairs",
            "             %     95 % interval     chance",
            _line("mAP", self.mean_ap, self.mean_ap_interval, self.mean_ap_chance),
            _line("rank-1", self.rank_1, self.rank_1_interval, self.rank_1_chance),
            _line("rank-5", self.rank_5),
            _line("rank-10", self.rank_10),
            _line("rank-20", self.rank_20),
            _line("mINP", self.mean_inp),
        ]
        return mark + "\n".join(lines)


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
        synthetic=is_synthetic(query, gallery) if synthetic is None else synthetic,
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


def bootstrap(
    values: Floats, groups: NDArray[np.int64], *, seed: int, draws: int = DRAWS, weights: Floats | None = None
) -> Interval:
    """95 % interval of the mean of `values` when whole groups (people) are drawn again with replacement.

    values: N. groups: N group numbers; one person's values stay together, because they are not independent.
    weights: N, of the mean; equal when absent.
    Returns the 2.5 % and 97.5 % quantiles of `draws` means; NaN for fewer than two groups.
    Source: not in the papers; the percentile bootstrap over clusters.
    """
    _, codes = np.unique(groups, return_inverse=True)
    number = int(codes.max()) + 1 if len(codes) else 0
    if number < 2:
        return float("nan"), float("nan")
    weights = np.ones(len(codes)) if weights is None else weights
    sums, counts = np.bincount(codes, weights=weights * values), np.bincount(codes, weights=weights)
    generator = np.random.default_rng(seed)
    means = np.empty(draws)
    for draw in range(draws):
        chosen = generator.integers(number, size=number)
        means[draw] = sums[chosen].sum() / counts[chosen].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def expected_ap(hits: NDArray[np.int64], valid: NDArray[np.int64], ap: AveragePrecision) -> Floats:
    """Expected AP of m hits among N valid items in random order, elementwise over queries.

    Position n holds a hit with probability m / N; given that, each of the n - 1 items before it is one with
    probability (m - 1) / (N - 1). With H_N = 1 + 1/2 + ... + 1/N this sums to
    step: (H_N + (m - 1) / (N - 1) (N - H_N)) / N; trapezoid: the mean of that and m / N.
    hits, valid: m and N, 1 <= m <= N. Source: not in the papers; derived here.
    """
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(valid.max(initial=0)) + 1))])[valid]
    others = np.where(valid > 1, (hits - 1) / np.maximum(valid - 1, 1), 0.0)
    step: Floats = (harmonic + others * (valid - harmonic)) / valid
    return step if ap == "step" else (step + hits / valid) / 2


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


def is_synthetic(*sides: Embeddings) -> bool | None:
    """What the origins say about the pixels; None when none of them says anything."""
    said = {side.origin["synthetic"].lower() for side in sides if "synthetic" in side.origin}
    return None if not said else "true" in said


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


def plain(value: Any) -> Any:
    """A field of a result in the types of JSON: lists for tuples, None for NaN."""
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return dict(value)
    return None if isinstance(value, float) and np.isnan(value) else value


def _line(name: str, value: float, interval: Interval | None = None, chance: float | None = None) -> str:
    text = f"{name:<8}{100 * value:6.1f}"
    if interval is not None and chance is not None:
        text += f"     {100 * interval[0]:5.1f} to {100 * interval[1]:5.1f}     {100 * chance:6.2f}"
    return text
