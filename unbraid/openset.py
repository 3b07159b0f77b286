"""How well a person is found who may not be there: searches with and without a mate in the gallery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unbraid.evaluate import zero_items
from unbraid.method import cosine
from unbraid.pairs import Compared, compared, origin
from unbraid.protocol import Protocol
from unbraid.ranking import rank
from unbraid.result import Told, marked, taking_part, zero_warning
from unbraid.search import MEMORY, Similarity, compared_spaces
from unbraid.searches import NonMated, Searches, SearchPoint, drawn_rates
from unbraid.spaces import Embeddings, is_synthetic
from unbraid.trials import Interval, guarded, interval, resampled, row, unsupported

Single = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OpenSet(Told):
    """Error rates of one-to-many search, FNIR(N, R, T) and FPIR(N, T) of ISO/IEC 19795. Rates are in 0..1.

    A mated search fails unless a hit is among the first R candidates and scores at least T. A non-mated search fails
    when any candidate scores at least T. Candidates are gallery items, not people; ties go by gallery index.
    protocol, hit, skip, query_items, gallery_items, space, zero_items, synthetic, origin: as in `verify.Verification`.
    rank: R.
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
    query_items: str
    gallery_items: str
    zero_items: int

    def __str__(self) -> str:
        lines = [
            f"{self.protocol}: hit = {self.hit}; skip = {self.skip}; space '{self.space}'; open set, R = {self.rank}"
            + taking_part(self.query_items, self.gallery_items),
            f"{self.queries} queries; {self.mated} mated searches of {self.mated_identities} identities; "
            f"{self.searches} non-mated ({self.non_mated}) of {self.identities}; gallery of {self.gallery} items, "
            f"{self.enrolled} identities" + (f"; {self.empty} queries with nothing to search" if self.empty else ""),
            "                          %     95 % interval",
            f"{f'rank-{self.rank}':<20}{row(self.found, self.found_interval)}",
            *map(str, self.points),
            *zero_warning(self.zero_items),
        ]
        return marked(self.synthetic, lines)


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
    searches = Searches(shown[mated], groups[mated], other[alone], groups[alone])
    people = len(np.unique(groups[mated]))
    identities = len(np.unique(groups[alone]))
    lost = float((first[mated] > rank).mean())
    rule = f"non-mated searches ({non_mated})"
    refused = {fpir: unsupported(fpir, int(alone.sum()), identities, rule, "people in them") for fpir in fpirs}
    tables = searches.tables([f for f in fpirs if not refused[f]], int(groups.max()) + 1)
    rates = drawn_rates(resampled(tables, np.random.default_rng(seed)))
    # the first threshold is below every score, so what misses it was not among the first R
    lost_interval = guarded(lost, interval(rates[1][:, 0], people), people)
    return OpenSet(
        protocol=protocol.name,
        hit=str(protocol.hit),
        skip=str(pairs.skip),
        space=compared_spaces(similarity, space),
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
        points=tuple(searches.point(fpir, refused[fpir], rates, people) for fpir in fpirs),
        synthetic=is_synthetic(query.origin, gallery.origin) if synthetic is None else synthetic,
        origin=origin(query, gallery),
        query_items=str(protocol.query),
        gallery_items=str(protocol.gallery),
        zero_items=zero_items(pairs.query, pairs.gallery, space),
    )


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
