"""How far one factor alone moves the features: originals against twins that differ in nothing else.

A probe asks whether a label can be read from a space, and finds it wherever labels or people go together. Here nothing
goes together: of every pair we know what was changed, because we changed it (`world.twins`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from unbraid.method import cosine
from unbraid.spaces import Embeddings, Spaces, is_synthetic

VERSION = 1
# labels of twins: the key of the original and what was changed; both missing for originals
TWIN_OF, FACTOR = "twin_of", "factor"
# what everything is measured against, and what must not move anything
PERSON, NOTHING = "person", "nothing"
DRAWS = 1000
# a yardstick shorter than this is rounding: cosines of single precision
STILL = 1e-5
# people below which resampling medians says little about how sure they are
FEW = 10
# of the yardstick; noise that moves as much makes the other numbers hard to read
LOUD = 0.5
BLOCK = 256
UNMOVED = "another person does not move this space, so it has no yardstick"

Similarity = Callable[[Spaces, Spaces], Tensor]
Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Moved:
    """How far a factor moves a space.

    moved: median over twins of the distance from the original, over the median distance to the same scene with another
    person: 1 is as far as putting somebody else there. low, high: its 95 % interval over people. None where `note`
    says why. distance: the median itself. pairs: twins. identities: people in the originals.
    """

    space: str
    factor: str
    moved: float | None
    low: float | None
    high: float | None
    pairs: int
    identities: int
    distance: float
    note: str = ""

    def __str__(self) -> str:
        if self.moved is None:
            return "-"
        if self.factor == PERSON or self.low is None or self.high is None:
            return f"{self.moved:.2f}"
        return f"{self.moved:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Counterfactual:
    """One number per space and factor, in the order in which spaces and twins came, the person first, noise last."""

    rows: tuple[Moved, ...]
    origin: Mapping[str, str]
    synthetic: bool | None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values; what is not known is None."""
        rows = [asdict(row) for row in self.rows]
        facts = {"version": VERSION, "synthetic": self.synthetic, "origin": dict(self.origin)}
        return {**facts, "rows": rows, "warnings": list(self.warnings)}

    def __str__(self) -> str:
        spaces, factors = (list(dict.fromkeys(getattr(row, n) for row in self.rows)) for n in ("space", "factor"))
        cells = {(row.space, row.factor): str(row) for row in self.rows}
        table = [["changed", *spaces], *([f, *(cells.get((s, f), "") for s in spaces)] for f in factors)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in table]
        people = max(row.identities for row in self.rows)
        mark = " (SYNTHETIC)" if self.synthetic else ""
        head = f"How far one change moves the features, 1 = as far as another person{mark}; {people} people"
        return "\n".join([head, "", *lines, *(f"\n{warning}" for warning in self.warnings)])


def counterfactual(embeddings: Embeddings, seed: int = 0, *, similarity: Similarity = cosine) -> Counterfactual:
    """How far each factor moves each space.

    embeddings: of originals and twins, with the labels `twin_of` and `factor` (`unbraid.world.twins`); at least one
    twin has the factor 'person'. Where originals have several modalities, each is measured by the yardstick of its own.
    seed: of the bootstrap, which draws people again with all their twins.
    similarity: how people are compared in the identity space, such as `method.similarity`; other spaces are always
    compared by cosine. The distance of two items is how much less alike they are than the first is to itself.
    Raises KeyError when the table lacks a label, ValueError for a twin without its original or when nobody else was
    put into any scene.
    Source: not in a paper; the ratio is chosen because distances of two spaces have no common scale.

    Example:
        found = extract(method, read(render_twins(config, Path("twins"))).gallery, recipe.data)
        print(counterfactual(found, similarity=method.similarity))
    """
    pairs = _pairs(embeddings.table)
    factors = [PERSON, *(f for f in pairs["factor"].unique() if f not in (PERSON, NOTHING))]
    factors += [NOTHING] if (pairs["factor"] == NOTHING).any() else []
    rows: list[Moved] = []
    for space, value in embeddings.spaces.items():
        compared = embeddings.spaces if space == "identity" else Spaces({"identity": value})
        away = _distances(compared, pairs, similarity if space == "identity" else cosine)
        rows += _of_space(space, away, pairs, factors, seed)
    return Counterfactual(tuple(rows), dict(embeddings.origin), is_synthetic(embeddings.origin), _warnings(rows))


def _pairs(table: pd.DataFrame) -> pd.DataFrame:
    """One row per twin: row numbers `original` and `twin`, `factor`, and `person` and `modality` of the original."""
    for name in (TWIN_OF, FACTOR, "identity"):
        if name not in table.columns:
            raise KeyError(
                f"the label table has no {name!r}, so these are no twins; it has {sorted(map(str, table.columns))}. "
                f"`unbraid counterfactual` renders and extracts them"
            )
    twins = np.flatnonzero(table[TWIN_OF].notna())
    place = {key: row for row, key in enumerate(table["key"])}
    lacking = [key for key in table[TWIN_OF].iloc[twins] if key not in place]
    if lacking:
        raise ValueError(f"a twin's original {lacking[0]!r} is not among the {len(table)} items; embed both together")
    originals = np.array([place[key] for key in table[TWIN_OF].iloc[twins]], np.int64)
    of_original = table.iloc[originals]
    modality = of_original["modality"] if "modality" in table.columns else pd.Series("", of_original.index)
    pairs = pd.DataFrame({"original": originals, "twin": twins, "factor": table[FACTOR].iloc[twins].to_numpy()})
    pairs["person"] = pd.factorize(of_original["identity"], use_na_sentinel=False)[0]
    pairs["modality"], modalities = pd.factorize(modality)
    without = set(pairs["modality"]) - set(pairs.loc[pairs["factor"] == PERSON, "modality"])
    if pairs.empty or without:
        where = f" of modality {modalities[min(without)]!r}" if len(modalities) > 1 else ""
        raise ValueError(
            f"no twin{where} has the factor {PERSON!r}, against which everything is measured; {len(pairs)} twins have "
            f"the factors {sorted(set(pairs['factor']))}"
        )
    return pairs


def _distances(spaces: Spaces, pairs: pd.DataFrame, similarity: Similarity) -> Floats:
    """How much less alike the twin is to the original than the original is to itself, per pair."""
    found = []
    for start in range(0, len(pairs), BLOCK):
        part = pairs.iloc[start : start + BLOCK]
        original, twin = (spaces.take(torch.tensor(part[name].tolist())) for name in ("original", "twin"))
        found.append((similarity(original, original).diagonal() - similarity(original, twin).diagonal()).double())
    return np.concatenate([value.detach().cpu().numpy() for value in found])


def _of_space(space: str, away: Floats, pairs: pd.DataFrame, factors: Sequence[str], seed: int) -> list[Moved]:
    """The rows of one space."""
    person, modality = (pairs[name].to_numpy(np.int64) for name in ("person", "modality"))
    factor = pairs["factor"].to_numpy()
    people = int(person.max()) + 1
    # first the people as they are, then drawn again: how often each stands in each draw
    drawn = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), size=DRAWS)
    times = np.concatenate([np.ones((1, people), np.int64), drawn])[:, person]
    scales = np.empty((len(times), int(modality.max()) + 1))
    for kind in range(scales.shape[1]):
        use = (factor == PERSON) & (modality == kind)
        scales[:, kind] = _medians(np.broadcast_to(away[use], (len(times), use.sum())), times[:, use])
    rows = []
    for name in factors:
        use = factor == name
        distance, identities = float(np.median(away[use])), len(np.unique(person[use]))
        moved = low = high = None
        if not (scales[0] < STILL).any():
            with np.errstate(divide="ignore", invalid="ignore"):
                found = _medians(away[use] / scales[:, modality[use]], times[:, use])
            moved, sure = float(found[0]), found[1:][np.isfinite(found[1:])]
            if identities > 1 and len(sure):
                low, high = (float(q) for q in np.quantile(sure, [0.025, 0.975]))
        note = "" if moved is not None else UNMOVED
        rows.append(Moved(space, name, moved, low, high, int(use.sum()), identities, distance, note))
    return rows


def _medians(values: Floats, times: Numbers) -> Floats:
    """The median of each row of values, draws x n, each value counted as often as times says; NaN for none at all."""
    order = np.argsort(values, axis=1)
    values, below = np.take_along_axis(values, order, 1), np.take_along_axis(times, order, 1).cumsum(1)
    total = below[:, -1:]
    low, high = (2 * below >= total).argmax(1), (2 * below > total).argmax(1)
    each = np.arange(len(values))
    return np.where(total[:, 0] > 0, (values[each, low] + values[each, high]) / 2, np.nan)


def _warnings(rows: Sequence[Moved]) -> tuple[str, ...]:
    """What makes the numbers hard to read."""
    found = []
    people = max(row.identities for row in rows)
    if people < FEW:
        found.append(f"only {people} people: too few for the intervals to mean much; use {FEW} or more")
    still = [row.space for row in rows if row.moved is None and row.factor == PERSON]
    if still:
        found.append(f"{', '.join(still)}: {UNMOVED}")
    found += [
        f"{row.space}: other noise alone moves it {row.moved:.2f} times as far as another person; what is not clearly "
        f"above that is noise"
        for row in rows
        if row.factor == NOTHING and row.moved is not None and row.moved > LOUD
    ]
    return tuple(found)
