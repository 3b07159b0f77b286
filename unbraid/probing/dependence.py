"""How much two spaces share, whatever it means: linear CKA, HSIC with a permutation test, principal angles.

All three compare features of the same N items, row by row, and all three are above zero for finite data that have
nothing in common; what chance gives is therefore always beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unbraid.progress import track
from unbraid.spaces import Spaces

Kernel = Literal["linear", "gaussian"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# A space is reduced to the leading directions that carry this share of its variance before angles are measured: the
# last directions are noise, and noise fills every dimension.
VARIANCE = 0.99
# Random deals that chance levels are averaged over; angles cost a decomposition each.
CHANCE_DEALS = 10
# A deal that gives the same arrangement again differs from it by rounding (single precision) alone.
ROUNDING = 1e-5
# Below this share of the largest entry features only vary by rounding.
CONSTANT = 1e-12


@dataclass(frozen=True)
class Hsic:
    """value: the statistic, 0 where kernels share nothing. chance: its mean over random deals. p: in (0, 1]."""

    value: float
    chance: float
    p: float


def linear_cka(x: Floats, y: Floats) -> float:
    """Linear centred kernel alignment: |X'Y|^2 / (|X'X| |Y'Y|) of centred features, Frobenius norms; 0..1.

    1 exactly when the features are equal up to rotation, scale and shift. x: N D. y: N E.
    Independent features have more than 0: round Gaussians about sqrt(D E / ((N + D) (N + E))), near 1 for small N.
    Raises ValueError when rows differ or a side is constant.
    Source: Kornblith et al., "Similarity of neural network representations revisited" (ICML 2019); number unknown.

    Example:
        linear_cka(x, 3 * x + 1)  # 1.0
    """
    x, y = _pair(x, y)
    first, second = _gram(x, "linear"), _gram(y, "linear")
    return float((first * second).sum() / (np.linalg.norm(first) * np.linalg.norm(second)))


def hsic(
    x: Floats,
    y: Floats,
    *,
    kernel: Kernel = "gaussian",
    groups: Sequence[object] | None = None,
    within: bool = False,
    permutations: int = 200,
    seed: int = 0,
) -> Hsic:
    """Hilbert-Schmidt independence criterion tr(K H L H) / N^2 (the biased statistic) with a permutation test.

    kernel: 'linear', or 'gaussian' with the median distance between different items as its width, on each side.
    groups: N; people, each with the same number of items. Items of one person are alike, so dealing y anew item by
    item would find dependence that few people's luck explains; whole people are dealt instead. Then p is about 'what x
    says of a person, does y say it too?', which any two spaces that know identity answer with yes.
    within: deal the items of each person anew among that person instead: p is then about what the two share beyond
    identity. It holds who someone is fixed, and nothing else: two spaces that both know the view are dependent.
    p: (1 + deals that reach the value) / (1 + permutations).
    Raises ValueError when rows differ, a side is constant, groups are unequal, or `within` has nothing to deal.
    Source: Gretton et al., "Measuring statistical dependence with Hilbert-Schmidt norms" (ALT 2005), the
    empirical estimate (number unknown) with 1 / N^2 for 1 / (N - 1)^2; the +1: Phipson and Smyth (2010). Dealing
    people is not in these papers.

    Example:
        hsic(x, y, groups=people).p
    """
    x, y = _pair(x, y)
    grams = _grams([x, y], kernel)
    dealt = _dealt(grams, deals(len(x), groups, permutations, within=within, seed=seed))[:, 0, 1]
    value = float(_statistics(grams)[0, 1])
    return Hsic(value, float(dealt.mean()), _p(value, dealt))


def principal_angles(x: Floats, y: Floats, variance: float = VARIANCE) -> Floats:
    """Angles in degrees, ascending, between what linear readers can make of the two sides' features.

    The columns of N D features span a subspace of the N-dimensional space of all score lists over the N items: every
    linear score of the features is in it. After centring, each side is reduced to the leading directions (by singular
    value) that carry a share `variance` of its sum of squares, p and q of them; between the two subspaces there are
    min(p, q) canonical angles. 0: some score can be read from both sides; 90: nothing that one side's scores say is
    in the other's. Their cosines are the canonical correlations of the reduced sides.
    Even of unrelated sides the smallest is far below 90 degrees unless N is much larger than p + q.
    Raises ValueError when rows differ, a side is constant, variance is not in (0, 1], or p + q > N - 1, where angles of
    0 must exist whatever the features are.
    Source: Björck and Golub (1973); the reduction is not in that paper.

    Example:
        principal_angles(x, x @ rotation).max()  # 0.0
    """
    if not 0 < variance <= 1:
        raise ValueError(f"variance is the kept share of the sum of squares, above 0 and at most 1; got {variance}")
    x, y = _pair(x, y)
    first, second = _directions(x, variance), _directions(y, variance)
    if first.shape[1] + second.shape[1] > len(x) - 1:
        raise ValueError(_crowded(first, second))
    return _angles(first, second)


def dependence(
    spaces: Spaces,
    *,
    groups: Sequence[object] | None = None,
    permutations: int = 200,
    items: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """One row per pair of spaces: what they share, each number with what chance gives.

    groups: N; the identity of each item, None where unknown. As many items of each person are drawn, at least two
    where that is possible, `items` in all at most; without groups any `items`. Spaces with parts are taken as one.

    Rows: first, second: names; cka with cka_chance (mean over deals); hsic (Gaussian kernel) with p; p_within: p with
    identity held fixed (see `hsic`); angles, angles_chance: degrees, ascending; items, identities: used;
    note: why a number is None or a list empty, else ''. With groups, p and chance come from dealing whole people.
    Returns no rows for fewer than two spaces. Raises ValueError when groups and spaces differ in length, or fewer than
    4 items or 2 people are left.

    Example:
        dependence(embeddings.spaces, groups=embeddings.table["identity"].tolist())
    """
    chosen, people = drawn(spaces.rows, groups, items, seed)
    raw = {name: spaces[name].detach().cpu().double().numpy()[chosen] for name in spaces}
    varied = [name for name, value in raw.items() if not _is_constant(value)]
    features = {name: _flat(raw[name]) for name in varied}
    each = np.bincount(people).max() if people is not None else 0
    between = deals(len(chosen), people, permutations, within=False, seed=seed)
    inside = deals(len(chosen), people, permutations, within=True, seed=seed) if each > 1 else between[:0]
    counts = {"items": len(chosen), "identities": None if people is None else len(np.unique(people))}
    found = {}
    if len(varied) > 1:
        gaussian, linear = (_grams([features[n] for n in varied], kernel) for kernel in ("gaussian", "linear"))
        norms = np.linalg.norm(linear.reshape(len(varied), -1), axis=1)
        shared, dealt = _statistics(gaussian), _dealt(gaussian, between, "dependence")
        kept, crossed = _dealt(gaussian, inside), _dealt(linear, between[:CHANCE_DEALS]).mean(axis=0)
        alike = _statistics(linear)
        for i, j in combinations(range(len(varied)), 2):
            scale = linear[0].size / (norms[i] * norms[j])
            found[varied[i], varied[j]] = {
                "cka": float(alike[i, j] * scale),
                # the deal turns the second of a pair; which one is turned makes no difference on average
                "cka_chance": float(crossed[i, j] * scale),
                "hsic": float(shared[i, j]),
                "p": _p(shared[i, j], dealt[:, i, j]),
                "p_within": _p(shared[i, j], kept[:, i, j]) if each > 1 else None,
            }
    directions = {name: _directions(features[name], VARIANCE) for name in varied}
    rows = []
    for first, second in track(list(combinations(spaces, 2)), "angles"):
        row = {"first": first, "second": second, **_nothing(), **counts}
        still = [name for name in (first, second) if name not in varied]
        if still:
            rows.append({**row, "note": f"the space {still[0]!r} is the same for all items"})
            continue
        one, other = directions[first], directions[second]
        crowded = one.shape[1] + other.shape[1] > len(chosen) - 1
        angles = [] if crowded else _angles(one, other).tolist()
        chance = [] if crowded else np.mean([_rough(one, other[d]) for d in between[:CHANCE_DEALS]], axis=0).tolist()
        note = _crowded(one, other) if crowded else ""
        rows.append({**row, **found[first, second], "angles": angles, "angles_chance": chance, "note": note})
    return rows


def drawn(
    rows: int, groups: Sequence[object] | None, items: int, seed: int
) -> tuple[Integers, NDArray[np.int64] | None]:
    """Rows to use, those of a person together, and the person of each (None without groups).

    The number of items of each person is the smallest from 2 on with which `items` rows come together, else the one
    that gives the most rows; who has fewer takes no part. 1 where nobody has two.
    """
    generator = np.random.default_rng(seed)
    if groups is None:
        if rows < 4:
            raise ValueError(f"{rows} items are too few to compare spaces; 4 are needed")
        return np.sort(generator.permutation(rows)[:items]), None
    if len(groups) != rows:
        raise ValueError(f"{len(groups)} groups for {rows} items; give one of each item, None where it is unknown")
    codes = pd.factorize(pd.Series(list(groups), dtype=object))[0].astype(np.int64)
    counts = np.bincount(codes[codes >= 0])
    sizes = np.unique(counts[counts > 1]) if (counts > 1).any() else np.array([1])
    totals = {
        int(size): min(items, int(size * (counts >= size).sum())) for size in range(min(2, sizes[-1]), sizes[-1] + 1)
    }
    each = max(totals, key=lambda size: (totals[size], -size))
    able = np.flatnonzero(counts >= each)
    able = np.sort(generator.permutation(able)[: max(1, items // each)])
    if len(able) < 2 or len(able) * each < 4:
        raise ValueError(
            f"{len(able)} people with {each} items each are too few to compare spaces; 2 people and 4 items are needed"
        )
    chosen = [generator.permutation(np.flatnonzero(codes == person))[:each] for person in able]
    return np.concatenate(chosen), np.repeat(np.arange(len(able)), each)


def deals(
    rows: int, groups: Sequence[object] | NDArray[Any] | None, number: int, *, within: bool, seed: int
) -> Integers:
    """Random orders of the rows: number N. Without groups any order; with them whole people change places, or
    (`within`) items change places inside each person.

    Raises ValueError when people have different numbers of items, or `within` has no person with two.
    """
    generator = np.random.default_rng([seed, int(within)])
    if groups is None:
        if within:
            raise ValueError("dealing within people needs groups; give the identity of each item")
        return np.array([generator.permutation(rows) for _ in range(number)], np.int64).reshape(number, rows)
    codes = pd.factorize(np.asarray(groups))[0]
    counts = np.bincount(codes[codes >= 0])
    if len(codes) != rows or (codes < 0).any() or len(np.unique(counts)) != 1:
        raise ValueError(
            f"{len(codes)} groups with {counts.min(initial=rows)} to {counts.max(initial=0)} items for {rows} rows; "
            f"every row needs a group and every group the same number of rows (`dependence` draws them so)"
        )
    if within and counts[0] < 2:
        raise ValueError("nobody has two items, so there is nothing to deal within people")
    places = np.argsort(codes, kind="stable").reshape(len(counts), counts[0])
    orders = np.empty((number, rows), np.int64)
    for order in orders:
        order[places] = generator.permuted(places, axis=1) if within else places[generator.permutation(len(places))]
    return orders


def _nothing() -> dict[str, Any]:
    empty = dict.fromkeys(("cka", "cka_chance", "hsic", "p", "p_within"))
    return {**empty, "angles": [], "angles_chance": [], "note": ""}


def _p(value: float, dealt: Floats) -> float:
    return float((1 + np.count_nonzero(dealt >= value - ROUNDING * abs(value))) / (1 + len(dealt)))


def _flat(values: NDArray[Any]) -> Floats:
    """Centred features, N D in double precision."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    centred: Floats = flat - flat.mean(axis=0)
    return centred


def _is_constant(features: NDArray[Any]) -> bool:
    return not features.size or bool(np.ptp(features, axis=0).max() <= CONSTANT * np.abs(features).max())


def _pair(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    sides = [np.asarray(side, np.float64) for side in (x, y)]
    if any(side.ndim != 2 for side in sides) or len(sides[0]) != len(sides[1]):
        raise ValueError(f"features have shapes {sides[0].shape} and {sides[1].shape}; expected N D and N E")
    for name, side in zip("xy", sides, strict=True):
        if not np.isfinite(side).all() or _is_constant(side):
            raise ValueError(f"{name}, shape {side.shape}, is constant or not finite; nothing can be compared with it")
    return _flat(sides[0]), _flat(sides[1])


def _gram(x: Floats, kernel: Kernel) -> Floats:
    """Centred Gram matrix N N of centred features."""
    products: Floats = x @ x.T
    if kernel == "linear":
        return products
    squares = products.diagonal()
    distances = np.maximum(squares[:, None] + squares[None] - 2 * products, 0.0)
    apart = np.sqrt(distances[np.triu_indices(len(x), 1)])
    # where most items coincide, the median of the others
    width = np.median(apart) or np.median(apart[apart > 0])
    gram = np.exp(-distances / (2 * width**2))
    gram = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
    return np.asarray(gram, np.float64)


def _grams(features: Sequence[Floats], kernel: Kernel) -> Floats:
    """S N N."""
    return np.stack([_gram(x, kernel) for x in features])


def _statistics(grams: Floats) -> Floats:
    """tr(K L) / N^2 of all pairs, S S."""
    flat = grams.reshape(len(grams), -1)
    return np.asarray(flat @ flat.T / flat.shape[1], np.float64)


def _dealt(grams: Floats, orders: Integers, shown: str = "") -> Floats:
    """Statistics of the first of all pairs with the second in each order: permutations S S."""
    size = grams[0].size
    norms = np.linalg.norm(grams.reshape(len(grams), -1), axis=1)
    # single precision halves what has to be moved about, which is what takes the time
    single = (grams / norms[:, None, None]).astype(np.float32)
    flat = single.reshape(len(grams), size)
    found = np.empty((len(orders), len(grams), len(grams)))
    for number, order in enumerate(track(orders, shown, len(orders)) if shown else orders):
        turned = np.take(np.take(single, order, axis=1), order, axis=2)
        found[number] = flat @ turned.reshape(len(grams), size).T
    scaled: Floats = found * np.outer(norms, norms) / size
    return scaled


def _directions(centred: Floats, variance: float) -> Floats:
    """Orthonormal N p: the leading left singular directions that carry a share of the sum of squares."""
    if centred.shape[1] < len(centred):
        left, values, _ = np.linalg.svd(centred, full_matrices=False)
        squares = values**2
    else:
        ascending, vectors = np.linalg.eigh(centred @ centred.T)
        squares, left = ascending[::-1].clip(0), vectors[:, ::-1]
    shares = np.cumsum(squares) / squares.sum()
    rank = int(np.count_nonzero(squares > squares[0] * max(centred.shape) * np.finfo(np.float64).eps))
    kept = min(rank, int(np.searchsorted(shares, variance - CONSTANT)) + 1)
    return np.asarray(left[:, :kept], np.float64)


def _angles(first: Floats, second: Floats) -> Floats:
    """Canonical angles in degrees, ascending, between two orthonormal bases."""
    if first.shape[1] < second.shape[1]:
        first, second = second, first
    cosines = np.linalg.svd(first.T @ second, compute_uv=False).clip(0, 1)
    # cosines cannot tell small angles apart, sines cannot tell those near 90 degrees
    sines = np.linalg.svd(second - first @ (first.T @ second), compute_uv=False)[::-1].clip(0, 1)
    angles = np.where(cosines**2 > 0.5, np.arcsin(sines), np.arccos(cosines))
    return np.asarray(np.degrees(angles), np.float64)


def _rough(first: Floats, second: Floats) -> Floats:
    """The same where half the time matters more than angles below a millionth of a degree."""
    cosines = np.linalg.svd(first.T @ second, compute_uv=False).clip(0, 1)
    return np.asarray(np.degrees(np.arccos(cosines)), np.float64)


def _crowded(first: Floats, second: Floats) -> str:
    return (
        f"{first.shape[1]} and {second.shape[1]} directions do not fit side by side into {len(first)} centred items; "
        f"some angles would be 0 whatever the features are"
    )
