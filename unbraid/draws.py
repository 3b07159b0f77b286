"""The same embeddings under several draws of probes and gallery: every score with its mean and its spread."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unbraid.data.activity import PROTOCOLS, Draw, embedded
from unbraid.evaluate import evaluate
from unbraid.method import cosine
from unbraid.protocol import Protocol
from unbraid.result import Result, Told, marked, taking_part, zero_warning
from unbraid.search import Scoring, Similarity
from unbraid.spaces import Embeddings

# name on paper: field of `Result`
SCORES = {"mAP": "mean_ap", "rank-1": "rank_1", "rank-5": "rank_5", "rank-10": "rank_10", "mINP": "mean_inp"}


@dataclass(frozen=True, eq=False)
class Drawn(Told):
    """One protocol under several draws. seeds: of the draws. results: one for each, in their order.

    The draws share their clips and people, so the spread says what the choice of lists does. How sure a score is, is
    what the interval of each result says.
    """

    seeds: tuple[int, ...]
    results: tuple[Result, ...]

    def mean(self, score: str) -> float:
        """Mean over the draws of a field of `Result`, such as 'rank_1'."""
        return float(np.mean([getattr(result, score) for result in self.results]))

    def spread(self, score: str) -> float | None:
        """Standard deviation over the draws (divided by their number less one); None for a single draw."""
        values = [getattr(result, score) for result in self.results]
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    def as_dict(self) -> dict[str, Any]:
        """Mean and spread of every score, chance, and each draw's own result, in plain types."""
        scores = {name: {"mean": self.mean(name), "spread": self.spread(name)} for name in SCORES.values()}
        chance = {f"{name}_chance": self.mean(f"{name}_chance") for name in ("mean_ap", "rank_1")}
        each = [{"seed": seed, **r.as_dict()} for seed, r in zip(self.seeds, self.results, strict=True)]
        return {"protocol": self.results[0].protocol, "seeds": list(self.seeds), **scores, **chance, "draws": each}

    def __str__(self) -> str:
        first = self.results[0]
        lines = [
            f"{first.protocol}: hit = {first.hit}; skip = {first.skip}; AP rule '{first.ap_rule}'; "
            f"space '{first.space}'{taking_part(first.query_items, first.gallery_items)}",
            f"{self._range('queries')} queries, {self._range('without_mate')} without a mate left out; "
            f"{self._range('identities')} identities; {self._range('gallery')} gallery items",
            f"{'draw, %':<8}{'mAP':>7}{'95 % interval':>17}{'rank-1':>9}{'95 % interval':>17}"
            f"{'rank-5':>9}{'rank-10':>9}{'mINP':>9}",
            *(
                _row(str(seed), [getattr(r, f) for f in SCORES.values()], (r.mean_ap_interval, r.rank_1_interval))
                for seed, r in zip(self.seeds, self.results, strict=True)
            ),
            _row("mean", [self.mean(f) for f in SCORES.values()]),
            _row("spread", [self.spread(f) for f in SCORES.values()]),
            _row("chance", [self.mean("mean_ap_chance"), self.mean("rank_1_chance"), None, None, None]),
            *zero_warning(max(r.zero_items for r in self.results)),
        ]
        return marked(first.synthetic, lines)

    def _range(self, name: str) -> str:
        values = [getattr(result, name) for result in self.results]
        low, high = min(values), max(values)
        return str(low) if low == high else f"{low} to {high}"


def evaluate_draws(
    query: Embeddings,
    gallery: Embeddings,
    draws: Sequence[Draw],
    *,
    protocols: Sequence[Protocol] = PROTOCOLS,
    similarity: Similarity | Scoring = cosine,
    space: str = "identity",
    seed: int = 0,
) -> tuple[Drawn, ...]:
    """The scores of each protocol over all draws, from embeddings of all test clips, each embedded once.

    query, gallery: the two sides together hold the clips of every draw; how they were divided does not matter.
    draws: of `data.activity.draw` or `load`. The other arguments and errors are those of `evaluate`.
    Raises ValueError when there is no draw, or one names clips of which there are no embeddings.

    Example:
        for one in evaluate_draws(query, gallery, load(Path("draws"))):
            print(one)
    """
    if not draws:
        raise ValueError("there are no draws to evaluate; expected one or more")
    found: dict[str, list[Result]] = {protocol.name: [] for protocol in protocols}
    for division in draws:
        both = embedded(query, gallery, division)
        for protocol in protocols:
            try:
                result = evaluate(both, both, protocol, similarity=similarity, space=space, seed=seed)
            except ValueError as error:
                raise ValueError(f"draw {division.seed}: {error}") from error
            found[protocol.name].append(replace(result, origin={**result.origin, "draw": str(division.seed)}))
    return tuple(Drawn(tuple(one.seed for one in draws), tuple(results)) for results in found.values())


def _row(name: str, values: Sequence[float | None], intervals: Sequence[tuple[float, float]] = ()) -> str:
    """One line, in per cent: mAP and rank-1, each before its interval, then the other scores."""
    cells = ["" if value is None or np.isnan(value) else f"{100 * value:.1f}" for value in values]
    between = [f"{100 * low:.1f} to {100 * high:.1f}" for low, high in intervals] or ["", ""]
    rest = "".join(f"{cell:>9}" for cell in cells[2:])
    return f"{name:<8}{cells[0]:>7}{between[0]:>17}{cells[1]:>9}{between[1]:>17}{rest}".rstrip()
