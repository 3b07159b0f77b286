"""How well a person is found who may not be there: searches with and without a mate in the gallery."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unbraid.method import cosine
from unbraid.pairs import Compared, compared, origin
from unbraid.protocol import Protocol
from unbraid.ranking import rank
from unbraid.result import plain
from unbraid.search import MEMORY, Similarity
from unbraid.spaces import Embeddings, is_synthetic
from unbraid.trials import Interval, below, guarded, interval, percent, resampled, unsupported
from unbraid.verification import most
from unbraid.verify import row, verify

NonMated = Literal["without mate", "mates removed"]
Single = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class SearchPoint:
    """FNIR at one FPIR. wanted: the FPIR asked for. threshold: show candidates that score at least this.

    fpir: reached, at most `wanted`. fnir: in 0..1. interval: 95 %, over query identities. reason: why the other fields
    are None; empty when they are not.
    """

    wanted: float
    threshold: float | None = None
    fpir: float | None = None
    fnir: float | None = None
    interval: Interval | None = None
    reason: str = ""

    def __str__(self) -> str:
        name = f"FNIR at FPIR {percent(self.wanted)}"
        if self.fnir is None or self.interval is None or self.threshold is None:
            return f"{name:<20} not reported: {self.reason}"
        return f"{name:<20}{row(self.fnir, self.interval)}     threshold {self.threshold:.6g}"


@dataclass(frozen=True, eq=False)
class OpenSet:
    """Error rates of one-to-many search, FNIR(N, R, T) and FPIR(N, T) of ISO/IEC 19795. Rates are in 0..1.

    A mated search fails unless a hit is among the first R candidates and scores at least T. A non-mated search fails
    when any candidate scores at least T. Candidates are gallery items, not people; ties go by gallery index.
    protocol, hit, skip, space, synthetic, origin: as in `verify.Verification`. rank: R.
    queries, gallery: items of each side; gallery is N. enrolled: known identities in the gallery.
    non_mated: 'without mate': the queries without a possible hit; 'mates removed': every query, a second time, against
    the gallery without its hits.
    mated, mated_identities: searches with a mate and their people; searches, identities: the same of the non-mated.
    empty: queries left out because everything is skipped or removed.
    found, found_interval: share of mated searches with a hit among the first R whatever its score: the CMC at R.
    points: FNIR at the FPIRs asked for.
    Intervals: 95 %, bootstrap over query identities with thresholds set anew in each draw, the gallery held fixed.
    """

    protocol: str
    hit: str
    skip: str
    space: str
    rank: int
    queries: int
    gallery: int
    enrolled: int
    non_mated: NonMated
    mated: int
    mated_identities: int
    searches: int
    identities: int
    empty: int
    found: float
    found_interval: Interval
    points: tuple[SearchPoint, ...]
    synthetic: bool | None
    origin: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Every field in plain types; a NaN becomes None."""
        found = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "points"}
        found["points"] = [{name: plain(value) for name, value in asdict(point).items()} for point in self.points]
        return found

    def to_json(self) -> str:
        """`as_dict` as JSON text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False) + "\n"

    def __str__(self) -> str:
        lines = [
            f"{self.protocol}: hit = {self.hit}; skip = {self.skip}; space '{self.space}'; open set, R = {self.rank}",
            f"{self.queries} queries; {self.mated} mated searches of {self.mated_identities} identities; "
            f"{self.searches} non-mated ({self.non_mated}) of {self.identities}; gallery of {self.gallery} items, "
            f"{self.enrolled} identities" + (f"; {self.empty} queries with nothing to search" if self.empty else ""),
            "                          %     95 % interval",
            f"{f'rank-{self.rank}':<20}{row(self.found, self.found_interval)}",
            *map(str, self.points),
        ]
        return ("SYNTHETIC data; says nothing about real people\n" if self.synthetic else "") + "\n".join(lines)


def identify(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    *,
    similarity: Similarity = cosine,
    space: str = "identity",
    rank: int = 20,
    fpirs: Sequence[float] = (1e-1, 1e-2),
    non_mated: NonMated = "without mate",
    seed: int = 0,
    synthetic: bool | None = None,
    memory: int = MEMORY,
) -> OpenSet:
    """FNIR(N, R, T) at given FPIRs, exact, with intervals; one pass over the scores.

    rank: R. fpirs: false positive identification rates; one that the searches cannot support is reported as a reason.
    non_mated: which searches have no mate, see `OpenSet`. Benchmarks with a closed set have no query without a mate;
    'mates removed' then gives as many as there are queries.
    The other arguments are those of `verify.verify`.

    Raises ValueError for a rank below 1, an FPIR that is not between 0 and 1, when no query has a mate, and as
    `evaluate` for the rest.

    Example:
        print(identify(query, gallery, CAMERA_CHANGE, fpirs=(0.01,), non_mated="mates removed"))
    """
    if rank < 1:
        raise ValueError(f"rank is a number of candidates, at least 1; got {rank}")
    if non_mated not in ("without mate", "mates removed"):
        raise ValueError(f"non_mated is 'without mate' or 'mates removed'; got {non_mated!r}")
    wrong = [fpir for fpir in fpirs if not 0 < fpir < 1]
    if wrong:
        raise ValueError(f"a false positive identification rate lies between 0 and 1; got {wrong[0]}")
    pairs = compared(query, gallery, protocol, similarity=similarity, space=space, memory=memory)
    first, mate, other = _searches(pairs)
    mated = first > 0
    if not mated.any():
        raise ValueError(
            f"protocol {protocol.name!r}: none of the {len(first)} queries has a mate among the {len(pairs.gallery)} "
            f"gallery items, so no search can miss one. A mate is {protocol.hit} and not {pairs.skip}"
        )
    alone = np.isfinite(other) & (~mated if non_mated == "without mate" else True)
    _, groups = np.unique(pairs.people, return_inverse=True)
    shown = np.where(first <= rank, mate, np.float32(-np.inf))
    state = _State(shown[mated], groups[mated], other[alone], groups[alone])
    people = len(np.unique(groups[mated]))
    identities = len(np.unique(groups[alone]))
    lost = float((first[mated] > rank).mean())
    rule = f"non-mated searches ({non_mated})"
    refused = {fpir: unsupported(fpir, int(alone.sum()), identities, rule, "people in them") for fpir in fpirs}
    rates = _drawn(state, [f for f in fpirs if not refused[f]], np.random.default_rng(seed))

    def point(fpir: float) -> SearchPoint:
        if refused[fpir]:
            return SearchPoint(fpir, reason=refused[fpir])
        threshold = state.threshold(fpir)
        fnir = float((state.shown < np.float32(threshold)).mean())
        place = np.argmax(rates[0] <= fpir, axis=1)
        drawn = interval(np.take_along_axis(rates[1], place[:, None], 1)[:, 0], people)
        reached = float((state.tops >= np.float32(threshold)).mean())
        return SearchPoint(fpir, threshold, reached, fnir, guarded(fnir, drawn, people))

    # the first threshold is below every score, so what misses it was not among the first R
    lost_interval = guarded(lost, interval(rates[1][:, 0], people), people)
    return OpenSet(
        protocol=protocol.name,
        hit=str(protocol.hit),
        skip=str(pairs.skip),
        space=space,
        rank=rank,
        queries=len(first),
        gallery=len(pairs.gallery),
        enrolled=int(pairs.gallery.table["identity"].nunique()),
        non_mated=non_mated,
        mated=int(mated.sum()),
        mated_identities=people,
        searches=int(alone.sum()),
        identities=identities,
        empty=int((~mated & ~np.isfinite(other)).sum()),
        found=1 - lost,
        found_interval=(1 - lost_interval[1], 1 - lost_interval[0]),
        points=tuple(point(fpir) for fpir in fpirs),
        synthetic=is_synthetic(query.origin, gallery.origin) if synthetic is None else synthetic,
        origin=origin(query, gallery),
    )


def triple(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    *,
    similarity: Similarity = cosine,
    space: str = "identity",
    non_mated: NonMated = "without mate",
    seed: int = 0,
    memory: int = MEMORY,
) -> pd.DataFrame:
    """TAR at 0.1 % FAR, rank-20, and FNIR(N, 20, T) at 1 % FPIR: one row each, three passes over the scores.

    Columns: measure; value, low, high (0..1, 95 % interval; NaN where not reported); trials (genuine pairs or mated
    searches), identities (their people), against (impostor pairs, gallery items or non-mated searches); note (why a
    value is not reported, or empty); protocol.
    Arguments and errors are those of `verify` and `identify`.
    Source: the three figures that the FarSight system (IARPA BRIAR programme) reports.

    Example:
        triple(query, gallery, CAMERA_CHANGE, non_mated="mates removed")
    """
    one = verify(
        query, gallery, protocol, similarity=similarity, space=space, fmrs=(1e-3,), seed=seed, memory=memory
    )  # fmt: skip
    many = identify(
        query, gallery, protocol, similarity=similarity, space=space, rank=20, fpirs=(1e-2,), non_mated=non_mated,
        seed=seed, memory=memory,
    )  # fmt: skip
    nothing = (float("nan"), float("nan"))
    accepted, missed = one.points[0], many.points[0]
    low, high = accepted.interval or nothing
    tar = float("nan") if accepted.fnmr is None else 1 - accepted.fnmr
    fnir = float("nan") if missed.fnir is None else missed.fnir
    rows = [
        ("TAR at 0.1 % FAR", tar, 1 - high, 1 - low, one.genuine, one.genuine_identities, one.impostors,
         accepted.reason),
        ("rank-20", many.found, *many.found_interval, many.mated, many.mated_identities, many.gallery, ""),
        ("FNIR at 1 % FPIR, R = 20", fnir, *(missed.interval or nothing), many.mated, many.mated_identities,
         many.searches, missed.reason),
    ]  # fmt: skip
    columns = ["measure", "value", "low", "high", "trials", "identities", "against", "note"]
    return pd.DataFrame(rows, columns=columns).assign(protocol=protocol.name)


@dataclass(frozen=True, eq=False)
class _State:
    """shown: best mate's score of each mated search, -inf beyond rank R. tops: best score of each non-mated search.

    shown_groups, tops_groups: numbers of the people who are searched for.
    """

    shown: Single
    shown_groups: Integers
    tops: Single
    tops_groups: Integers

    def threshold(self, fpir: float) -> float:
        """The smallest threshold whose FPIR is not above `fpir`."""
        return float(self.thresholds(np.array([most(len(self.tops), fpir)]))[0])

    def thresholds(self, errors: Integers) -> Single:
        """The smallest thresholds that so many non-mated searches, or fewer, reach."""
        descending = np.sort(self.tops)[::-1]
        found: Single = np.nextafter(descending[errors.clip(0, len(descending) - 1)], np.float32(np.inf))
        return found


def _searches(pairs: Compared) -> tuple[Integers, Single, Single]:
    """Per query: rank of the first hit (0 without), its score, best score of what is no hit; -inf where there is none.

    The first hit is also the best one, so a search succeeds exactly when its rank and its score suffice.
    """
    first, mate, other = [], [], []
    lowest = np.float32(-np.inf)
    for block in pairs.blocks():
        first.append(rank([block]).first)
        mate.append(np.max(block.scores, axis=1, initial=lowest, where=block.hit & ~block.skip))
        other.append(np.max(block.scores, axis=1, initial=lowest, where=~(block.hit | block.skip)))
        del block
    return np.concatenate(first), np.concatenate(mate), np.concatenate(other)


def _drawn(
    state: _State, fpirs: Sequence[float], generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FPIR and FNIR in each draw of people, at thresholds around the given FPIRs: draws M, twice."""
    finite = np.concatenate([state.shown[np.isfinite(state.shown)], state.tops])
    ends = np.array([finite.min(), np.nextafter(finite.max(), np.float32(np.inf))]) if len(finite) else np.zeros(2)
    errors = [e for f in fpirs for e in np.geomspace(max(1, len(state.tops) * f) / 4, 4 * len(state.tops) * f + 4, 64)]
    grid = np.unique(np.concatenate([ends, state.thresholds(np.array(errors, np.int64))] if errors else [ends]))
    grid = grid.astype(np.float32)
    number = int(max(state.shown_groups.max(initial=0), state.tops_groups.max(initial=0))) + 1
    missed = below(state.shown, state.shown_groups, grid, number)
    searches = np.bincount(state.tops_groups, minlength=number)
    accepted = searches[:, None] - below(state.tops, state.tops_groups, grid, number)
    mated = np.bincount(state.shown_groups, minlength=number)
    tables = (accepted, missed, searches[:, None], mated[:, None])
    accepted_sum, missed_sum, search_sum, mated_sum = resampled(tables, generator)
    known = (mated_sum > 0)[:, 0] & ((search_sum > 0)[:, 0] if fpirs else True)
    return accepted_sum[known] / np.maximum(search_sum[known], 1), missed_sum[known] / mated_sum[known]
