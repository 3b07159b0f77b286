"""Which threshold to use: learned on one half of the people, checked on the other."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unbraid.calibration import Calibration, calibrate, calibration_error, log_cost
from unbraid.evaluate import sides
from unbraid.method import cosine
from unbraid.pairs import Census, Compared, compared, origin
from unbraid.protocol import Protocol
from unbraid.result import plain
from unbraid.search import MEMORY, Similarity, compared_spaces, scorer
from unbraid.spaces import Embeddings, Spaces, is_synthetic
from unbraid.trials import Interval, below, guarded, interval, numbered, percent, resampled, unsupported
from unbraid.verification import Survey, edges, recount, survey

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Advice:
    """A threshold for a wanted FMR, and what to expect of it. Rates are in 0..1.

    protocol, space, synthetic, origin: as in `verify.Verification`. wanted: the FMR asked for.
    threshold: accept scores of at least this; llr: its log-likelihood ratio in nats. calibration: of any score.
    learned_identities, learned_genuine, learned_impostors: people and pairs that threshold and calibration come from.
    identities, genuine, impostors, identity_pairs: the other people, on whom they were checked.
    fmr, fnmr and *_interval: on those; 95 %, bootstrap over query identities, gallery and threshold held fixed.
    calibration_error, log_cost: see the functions of these names; on those too.
    """

    protocol: str
    space: str
    wanted: float
    threshold: float
    llr: float
    calibration: Calibration
    learned_identities: int
    learned_genuine: int
    learned_impostors: int
    identities: int
    genuine: int
    impostors: int
    identity_pairs: int
    fmr: float
    fmr_interval: Interval
    fnmr: float
    fnmr_interval: Interval
    calibration_error: float
    log_cost: float
    synthetic: bool | None
    origin: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Every field in plain types; a NaN becomes None."""
        found = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "calibration"}
        return {**found, "slope": self.calibration.slope, "offset": self.calibration.offset}

    def to_json(self) -> str:
        """`as_dict` as JSON text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False) + "\n"

    def __str__(self) -> str:
        def between(rate: float, found: Interval) -> str:
            return f"{100 * rate:.3g} % ({100 * found[0]:.3g} to {100 * found[1]:.3g})"

        mark = "SYNTHETIC data; says nothing about real people\n" if self.synthetic else ""
        return (
            f"{mark}{self.protocol}, space '{self.space}': take a pair for one person when its score is at least "
            f"{self.threshold:.6g} (log-likelihood ratio {self.llr:.2f}), for a wanted FMR of {percent(self.wanted)}.\n"
            f"Set on {self.learned_impostors} impostor and {self.learned_genuine} genuine pairs of "
            f"{self.learned_identities} identities. On {self.identities} others ({self.impostors} impostor pairs of "
            f"{self.identity_pairs} pairs of people, {self.genuine} genuine pairs) it takes "
            f"{between(self.fmr, self.fmr_interval)} of different people for one and misses "
            f"{between(self.fnmr, self.fnmr_interval)} of the same.\n"
            f"Calibration error there {100 * self.calibration_error:.2f} %, cost {self.log_cost:.3f} bits of 1. "
            f"Other cameras, clothes or people than these need a check of their own."
        )


def advise(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    *,
    fmr: float = 1e-3,
    similarity: Similarity = cosine,
    space: str = "identity",
    seed: int = 0,
    synthetic: bool | None = None,
    memory: int = MEMORY,
) -> Advice:
    """A threshold for a wanted FMR from a random half of the identities, checked on the other half.

    Each half compares its own queries with its own gallery items, so no person is in both. fmr: wanted, 0 < fmr < 1.
    seed: of the halves and the bootstrap. The other arguments and errors are those of `verify.verify`.
    Raises ValueError, too, when the impostor pairs of the first half cannot support the FMR; see `trials.unsupported`.

    Example:
        advice = advise(query, gallery, CAMERA_CHANGE, fmr=0.01)
        advice.calibration.llr(0.7)
    """
    if not 0 < fmr < 1:
        raise ValueError(f"a false match rate lies between 0 and 1; got {fmr}")
    generator = np.random.default_rng(seed)
    query, gallery = sides(query, gallery, protocol)
    # for messages that speak of whole sides
    asked, offered = (Spaces({"identity": side.spaces[space]}) for side in (query, gallery))
    scorer(asked, offered, cosine)
    halves = [
        compared(some, few, protocol, similarity=similarity, space=space, memory=memory)
        for some, few in _halves(query, gallery, generator)
    ]
    (learned, seen), (checked, census) = (_surveyed(half, memory) for half in halves)
    reason = unsupported(fmr, learned.total, seen.identity_pairs, "impostor pairs", "pairs of people")
    if reason:
        raise ValueError(f"no advice for protocol {protocol.name!r}: in one half of the identities {reason}")
    threshold = learned.threshold(fmr)
    calibration = calibrate(learned.genuine, *_impostors(learned))
    people, fmr_interval, fnmr_interval, reached, missed = _checked(
        halves[1], checked, threshold, census.identity_pairs, generator
    )
    return Advice(
        protocol=protocol.name,
        space=compared_spaces(similarity, space),
        wanted=fmr,
        threshold=threshold,
        llr=float(calibration.llr(threshold)),
        calibration=calibration,
        learned_identities=len(np.unique(halves[0].people[learned.owner])),
        learned_genuine=len(learned.genuine),
        learned_impostors=learned.total,
        identities=people,
        genuine=len(checked.genuine),
        impostors=checked.total,
        identity_pairs=census.identity_pairs,
        fmr=reached,
        fmr_interval=fmr_interval,
        fnmr=missed,
        fnmr_interval=fnmr_interval,
        calibration_error=calibration_error(calibration, checked.genuine, *_impostors(checked)),
        log_cost=log_cost(calibration, checked.genuine, *_impostors(checked)),
        synthetic=is_synthetic(query.origin, gallery.origin) if synthetic is None else synthetic,
        origin=origin(query, gallery),
    )


def _halves(
    query: Embeddings, gallery: Embeddings, generator: np.random.Generator
) -> list[tuple[Embeddings, Embeddings]]:
    """Query and gallery of two halves of the identities; those of unknown identity are dealt out one by one."""
    for side, table in (("query", query.table), ("gallery", gallery.table)):
        if "identity" not in table.columns:
            raise KeyError(f"the {side} table has no label 'identity'; it has {sorted(map(str, table.columns))}")
    codes = numbered(query.table["identity"], gallery.table["identity"])
    # people on both sides first, so that each half has as many who can be found
    both = generator.permutation(np.intersect1d(*codes))
    rest = generator.permutation(np.setxor1d(*codes))
    dealt = np.concatenate([both, rest])
    half = np.zeros(len(dealt), bool)
    half[dealt[::2]] = True
    found = []
    for inside in (half, ~half):
        chosen = [np.flatnonzero(inside[code]).tolist() for code in codes]
        if not all(chosen):
            raise ValueError(
                f"{len(both)} identities are in both query and gallery; two halves need at least 2, for results dozens"
            )
        found.append((query.take(chosen[0]), gallery.take(chosen[1])))
    return found


def _surveyed(pairs: Compared, memory: int) -> tuple[Survey, Census]:
    census = Census(pairs)
    return survey(census.watch(pairs.blocks()), keep=max(4096, memory // 32)), census


def _impostors(found: Survey) -> tuple[Floats, Floats]:
    """Impostor scores and how often they occur: the middles of the bins."""
    low, high = (edges(found.bins + more).astype(np.float64) for more in (0, 1))
    return np.where(np.isfinite(high), (low + high) / 2, low), found.counts.astype(np.float64)


def _checked(
    pairs: Compared, found: Survey, threshold: float, identity_pairs: int, generator: np.random.Generator
) -> tuple[int, Interval, Interval, float, float]:
    """People with genuine pairs, intervals of FMR and FNMR at a threshold, and the two rates."""
    _, groups = np.unique(pairs.people, return_inverse=True)
    number, limit = int(groups.max()) + 1, np.array([threshold], np.float32)
    accepted = recount(pairs.blocks(), limit, groups)
    missed = below(found.genuine, groups[found.owner], limit, number)
    impostors = np.bincount(groups, weights=found.impostors, minlength=number).astype(np.int64)[:, None]
    genuine = np.bincount(groups[found.owner], minlength=number)[:, None]
    sums = resampled((accepted, missed, impostors, genuine), generator)
    people = int(np.count_nonzero(genuine))
    reached, lost = float(accepted.sum() / found.total), float(missed.sum() / len(found.genuine))
    with np.errstate(invalid="ignore"):  # a draw may hold no pair of a kind; `interval` leaves it out
        false_rates, miss_rates = (sums[0] / sums[2])[:, 0], (sums[1] / sums[3])[:, 0]
    fmr_interval = guarded(reached, interval(false_rates, number), identity_pairs)
    return people, fmr_interval, guarded(lost, interval(miss_rates, people), people), reached, lost
