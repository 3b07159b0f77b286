"""How well one pair of tracklets tells whether they show one person: embeddings and a protocol give error rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unbraid.evaluate import zero_items
from unbraid.method import cosine
from unbraid.pairs import Census, Compared, compared, origin
from unbraid.protocol import Protocol
from unbraid.result import Told, marked, taking_part, zero_warning
from unbraid.search import MEMORY, Similarity, compared_spaces
from unbraid.spaces import Embeddings, is_synthetic
from unbraid.trials import EXPECTED_ERRORS, Interval, below, guarded, interval, percent, resampled, row, unsupported
from unbraid.verification import Survey, crossing, edges, keys, recount, survey

FMRS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class OperatingPoint:
    """FNMR at one FMR. wanted: the FMR asked for. threshold: accept scores of at least this.

    fmr: reached, at most `wanted`. fnmr: in 0..1. interval: 95 %, over query identities. reason: why the other fields
    are None; empty when they are not.
    """

    wanted: float
    threshold: float | None = None
    fmr: float | None = None
    fnmr: float | None = None
    interval: Interval | None = None
    reason: str = ""

    def __str__(self) -> str:
        name = f"FNMR at FMR {percent(self.wanted)}"
        if self.fnmr is None or self.interval is None or self.threshold is None:
            return f"{name:<20} not reported: {self.reason}"
        tail = f"     TAR {100 * (1 - self.fnmr):.2f}, threshold {self.threshold:.6g}"
        return f"{name:<20}{row(self.fnmr, self.interval)}{tail}"


@dataclass(frozen=True, eq=False)
class Verification(Told):
    """Error rates of comparing one with one, over all pairs that the protocol does not skip. Rates are in 0..1.

    protocol, hit, skip, query_items, gallery_items, space, zero_items, synthetic, origin: as in `result.Result`. Pairs
    of one cell value are skipped and cells are pooled.
    queries, gallery, identities: items of each side, known identities among the queries.
    genuine: pairs that are hits; genuine_identities: query identities that have one.
    impostors: pairs that are not; identity_pairs: pairs of different people among them, A with B once; an item of
    unknown identity counts as one more person.
    unknown: impostor pairs in which an identity is unknown. same_identity: impostor pairs of one identity, which the
    protocol neither hits nor skips; above 0 the protocol, or the data, deserves a look.
    eer, eer_interval, eer_threshold: where FMR and FNMR meet; eer_step: width of the step there.
    d_prime: distance of the two means in standard deviations.
    exact_to: the FMR up to which thresholds are the smallest possible; above it they are edges of bins, at most 2^-12
    of their size apart. Every rate is exact for its threshold.
    points: FNMR at the FMRs asked for. det: threshold, fmr, fnmr, false_matches, misses along the DET curve.
    band: fmr, low, high: intervals of the FNMR along the curve, where the pairs support the FMR.
    Intervals: 95 %, bootstrap over query identities with thresholds set anew in each draw, the gallery held fixed.
    """

    protocol: str
    hit: str
    skip: str
    space: str
    queries: int
    gallery: int
    identities: int
    genuine: int
    genuine_identities: int
    impostors: int
    identity_pairs: int
    unknown: int
    same_identity: int
    eer: float
    eer_interval: Interval
    eer_threshold: float
    eer_step: float
    d_prime: float
    exact_to: float
    points: tuple[OperatingPoint, ...]
    synthetic: bool | None
    origin: Mapping[str, str]
    det: pd.DataFrame
    band: pd.DataFrame
    query_items: str
    gallery_items: str
    zero_items: int

    def __str__(self) -> str:
        lines = [
            f"{self.protocol}: hit = {self.hit}; skip = {self.skip}; space '{self.space}'; verification"
            + taking_part(self.query_items, self.gallery_items),
            f"{self.queries} queries of {self.identities} identities, {self.gallery} gallery items; {self.genuine} "
            f"genuine pairs of {self.genuine_identities} identities; {self.impostors} impostor pairs of "
            f"{self.identity_pairs} pairs of people, {self.unknown} with an unknown identity",
            "                          %     95 % interval",
            f"{'EER':<20}{row(self.eer, self.eer_interval)}     threshold {self.eer_threshold:.6g}",
            *map(str, self.points),
            f"d' {self.d_prime:.3f}",
        ]
        if self.same_identity:
            lines.append(
                f"{self.same_identity} impostor pairs show one identity: the rules neither hit nor skip them, "
                f"so every FMR here is too high"
            )
        return marked(self.synthetic, [*lines, *zero_warning(self.zero_items)])


def verify(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    *,
    similarity: Similarity = cosine,
    space: str = "identity",
    fmrs: Sequence[float] = FMRS,
    seed: int = 0,
    synthetic: bool | None = None,
    memory: int = MEMORY,
) -> Verification:
    """FMR and FNMR over all valid pairs of query and gallery, with intervals; two passes over the scores.

    fmrs: false match rates (FAR) at which to report the FNMR (1 - TAR). One that the data cannot support is reported
    as a reason instead; see `trials.unsupported`.
    memory: bytes for blocks and kept scores; the peak is about twice that, beside embeddings, labels, genuine scores.
    The other arguments are those of `evaluate`.

    Raises ValueError for an FMR that is not between 0 and 1, when there are no genuine or no impostor pairs, for
    spaces of different widths and scores that are not finite; KeyError for a space or label that is missing.

    Example:
        print(verify(query, gallery, CAMERA_CHANGE, fmrs=(1e-3,)))
    """
    wrong = [fmr for fmr in fmrs if not 0 < fmr < 1]
    if wrong:
        raise ValueError(f"a false match rate lies between 0 and 1; got {wrong[0]}")
    pairs = compared(query, gallery, protocol, similarity=similarity, space=space, memory=memory)
    census = Census(pairs)
    found = survey(census.watch(pairs.blocks()), keep=max(4096, memory // 32))
    people = np.unique(pairs.people[found.owner])
    equal = found.equal_error()
    refused = {
        fmr: unsupported(fmr, found.total, census.identity_pairs, "impostor pairs", "pairs of people") for fmr in fmrs
    }
    asked = [fmr for fmr in fmrs if not refused[fmr]]
    band = _supported(found.total, census.identity_pairs)
    grid = _grid(found, [equal.rate, *asked], band)
    false_rates, miss_rates = _rates(pairs, found, grid, np.random.default_rng(seed))
    known = np.isfinite(miss_rates).all(axis=1) & np.isfinite(false_rates).all(axis=1)
    false_rates, miss_rates = false_rates[known], miss_rates[known]

    def at(fmr: float) -> tuple[float, float, Interval]:
        """Threshold, FNMR and its interval at an FMR."""
        threshold = found.threshold(fmr)
        fnmr = float(found.misses(threshold)) / len(found.genuine)
        place = np.argmax(false_rates <= fmr, axis=1)
        drawn = interval(np.take_along_axis(miss_rates, place[:, None], 1)[:, 0], len(people))
        return threshold, fnmr, guarded(fnmr, drawn, len(people))

    def point(fmr: float) -> OperatingPoint:
        if refused[fmr]:
            return OperatingPoint(fmr, reason=refused[fmr])
        threshold, fnmr, between = at(fmr)
        return OperatingPoint(fmr, threshold, float(found.false_matches(threshold)) / found.total, fnmr, between)

    eer_drawn = interval(crossing(false_rates, miss_rates), len(people)) if len(false_rates) else (np.nan, np.nan)
    return Verification(
        protocol=protocol.name,
        hit=str(protocol.hit),
        skip=str(pairs.skip),
        space=compared_spaces(similarity, space),
        queries=len(pairs.query),
        gallery=len(pairs.gallery),
        identities=int(pairs.query.table["identity"].nunique()),
        genuine=len(found.genuine),
        genuine_identities=len(people),
        impostors=found.total,
        identity_pairs=census.identity_pairs,
        unknown=census.unknown,
        same_identity=census.same_identity,
        eer=equal.rate,
        eer_interval=guarded(equal.rate, eer_drawn, len(people)),
        eer_threshold=equal.threshold,
        eer_step=equal.high - equal.low,
        d_prime=found.d_prime,
        exact_to=found.exact_to,
        points=tuple(point(fmr) for fmr in fmrs),
        synthetic=is_synthetic(query.origin, gallery.origin) if synthetic is None else synthetic,
        origin=origin(query, gallery),
        det=_det(found),
        band=pd.DataFrame([(fmr, *at(fmr)[2]) for fmr in band], columns=["fmr", "low", "high"]),
        query_items=str(protocol.query),
        gallery_items=str(protocol.gallery),
        zero_items=zero_items(pairs.query, pairs.gallery, space),
    )


def _supported(total: int, identity_pairs: int) -> list[float]:
    """False match rates from the lowest that the pairs support to 1/2; empty when they support none below 1/2."""
    lowest = max((EXPECTED_ERRORS + 0.5) / total, 1.05 / max(identity_pairs, 1))
    return np.geomspace(lowest, 0.5, 25).tolist() if lowest < 0.5 else []


def _grid(found: Survey, rates: Sequence[float], band: Sequence[float]) -> NDArray[np.float32]:
    """Thresholds around given FMRs, dense enough that a resampled FMR finds one within 5 %, and along the band; ends
    with all and none."""
    least = 1 / found.total
    wanted = [r for rate in rates for r in np.geomspace(max(rate, least) / 4, min(4 * max(rate, least), 0.999), 64)]
    if band:
        wanted += np.geomspace(band[0] / 4, 0.999, 96).tolist()
    lowest, highest = (float(found.corners[place]) for place in (0, -1))
    return np.unique(np.array([lowest, *(found.threshold(rate) for rate in wanted), highest], np.float32))


def _rates(
    pairs: Compared, found: Survey, grid: NDArray[np.float32], generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FMR and FNMR at each threshold of the grid in each draw of query identities: draws M, twice."""
    _, groups = np.unique(pairs.people, return_inverse=True)
    number = int(groups.max()) + 1
    accepted = recount(pairs.blocks(), grid, groups)
    impostors = np.bincount(groups, weights=found.impostors, minlength=number).astype(np.int64)
    missed = below(found.genuine, groups[found.owner], grid, number)
    genuine = np.bincount(groups[found.owner], minlength=number)
    tables = (accepted, missed, impostors[:, None], genuine[:, None])
    accepted_sum, missed_sum, impostor_sum, genuine_sum = resampled(tables, generator)
    with np.errstate(invalid="ignore"):  # a draw may hold no genuine pair; the caller leaves it out
        return accepted_sum / impostor_sum, missed_sum / genuine_sum


def _det(found: Survey, number: int = 128) -> pd.DataFrame:
    """Points of the DET curve: at FMRs from one pair to all, and at quantiles of the genuine scores."""
    by_fmr = [found.threshold(fmr) for fmr in np.geomspace(1 / found.total, 1, number) if fmr < 1]
    places = np.unique(np.geomspace(1, len(found.genuine), number).astype(np.int64) - 1)
    # the edge below a score has an exact number of impostors
    by_fnmr = edges(keys(found.genuine[np.concatenate([places, len(found.genuine) - 1 - places])]))
    thresholds = np.unique(np.concatenate([found.corners[[0, -1]], by_fnmr, np.array(by_fmr, np.float32)]))
    false_matches, misses = found.false_matches(thresholds), found.misses(thresholds)
    return pd.DataFrame(
        {
            "threshold": thresholds,
            "fmr": false_matches / found.total,
            "fnmr": misses / len(found.genuine),
            "false_matches": false_matches,
            "misses": misses,
        }
    )
