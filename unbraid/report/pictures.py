"""Evidence turned into pictures: curves and bars from tables, strips and scatters from embeddings."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from unbraid.evaluate import sides
from unbraid.method import cosine
from unbraid.protocol import Protocol
from unbraid.report.evidence import cmc, cmc_band, cmc_chance
from unbraid.result import Result
from unbraid.search import Similarity
from unbraid.spaces import Embeddings
from unbraid.verify import Verification
from unbraid.viz import (
    Bar,
    Det,
    Picture,
    Projection,
    Shot,
    Strip,
    cmc_curves,
    det_curves,
    leakage_bars,
    ranked_strips,
    scatter,
)
from unbraid.viz.charts import DOTS
from unbraid.viz.style import COLOURS

# More curves than this hide one another's intervals.
BANDS = 3
Look = Callable[[str], NDArray[np.uint8]]


def cmc_picture(results: Mapping[str, Result]) -> Picture:
    """CMC curves of the first 12 results with the curves of random galleries and, for up to 3, intervals."""
    shown = dict(list(results.items())[: len(COLOURS)])
    about = dict.fromkeys(
        f"{r.protocol}: {r.queries - r.without_mate} queries of {r.identities} identities, gallery of {r.gallery}"
        for r in shown.values()
    )
    return cmc_curves(
        {name: cmc(result) for name, result in shown.items()},
        chance=_chances(shown),
        bands={name: cmc_band(result) for name, result in shown.items()} if len(shown) <= BANDS else None,
        about=[*(["SYNTHETIC people; says nothing about real people"] if _synthetic(shown) else []), *about],
    )


def _chances(results: Mapping[str, Result]) -> dict[str, list[float]]:
    """Chance curves, each once: results of one protocol on one gallery share it. None where they are too many to tell
    apart; the table has those of rank-1."""
    found: dict[str, list[float]] = {}
    for name, result in results.items():
        curve = cmc_chance(result)
        if not any(np.allclose(curve, known, atol=1e-9) for known in found.values()):
            label = f"chance, {result.protocol}"
            found[label if label not in found else f"chance, {name}"] = curve
    if len(found) == 1:
        return {"chance": next(iter(found.values()))}
    return found if len(found) <= len(DOTS) else {}


def det_picture(verifications: Mapping[str, Verification]) -> Picture:
    """DET curves of the first 12 verifications with their intervals."""
    shown = dict(list(verifications.items())[: len(COLOURS)])
    return det_curves(
        {
            name: Det(
                fmr=v.det["fmr"].to_numpy(np.float64),
                fnmr=v.det["fnmr"].to_numpy(np.float64),
                band=v.band.to_numpy(np.float64).reshape(-1, 3)[:: 1 if len(shown) <= BANDS else len(v.band) + 1],
                eer=v.eer,
                lowest=float(v.band["fmr"].min()) if len(v.band) else 1.0,
                about=(
                    *([] if v.protocol in name else [f"{v.protocol},"]),
                    f"{v.genuine} genuine pairs of {v.genuine_identities} identities,",
                    f"{v.impostors} impostor pairs of {v.identity_pairs} pairs of people,",
                    f"equal error rate {100 * v.eer:.2f} % ({100 * v.eer_interval[0]:.2f} to "
                    f"{100 * v.eer_interval[1]:.2f})",
                ),
            )
            for name, v in shown.items()
        },
        synthetic=_synthetic(shown),
    )


def _synthetic(shown: Mapping[str, Result] | Mapping[str, Verification]) -> bool:
    return any(one.synthetic for one in shown.values())


def leakage_picture(table: pd.DataFrame) -> Picture | None:
    """Bars of the shares in a table made by `unbraid.leakage.probed`, one for each label and space, by its first probe;
    None when there is no share. Measures, which have R2, are left out."""
    known = table[table["score"].notna() & (table["metric"] != "r2")].drop_duplicates(["label", "space"])
    bars = [
        Bar(str(row["label"]), str(row["space"]), row["score"], row["low"], row["high"], row["chance"])
        for row in known.to_dict("records")
    ]
    return leakage_bars(bars) if bars else None


def strip_pictures(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    look: Look,
    *,
    result: Result | None = None,
    rows: int = 5,
    k: int = 9,
    similarity: Similarity = cosine,
    seed: int = 0,
) -> list[Picture]:
    """Ranked strips of queries drawn by seed among those with a mate, and of the worst ones when a result says which.

    look: a frame of the tracklet with a given key, H W 3 uint8 RGB.
    result: of the same query, gallery, protocol and similarity.
    rows: queries per picture. k: gallery items per query.
    Raises ValueError when no query has a mate.
    """
    query, gallery = sides(query, gallery, protocol)
    hit, skip = protocol.hit.on(query.table, gallery.table), protocol.skip.on(query.table, gallery.table)
    order = np.random.default_rng(seed).permutation(len(query))
    drawn: list[int] = []
    for row in order.tolist():
        if len(drawn) < rows and (hit(slice(row, row + 1)) & ~skip(slice(row, row + 1))).any():
            drawn.append(row)
    if not drawn:
        raise ValueError(f"protocol {protocol.name!r}: no query has a mate, so there is no strip to show")

    def strip(row: int) -> Strip:
        return _strip(
            query, gallery, row, (hit(slice(row, row + 1))[0], skip(slice(row, row + 1))[0]), look, k, similarity
        )

    title = f"Ranked gallery of {len(drawn)} queries drawn at random (seed {seed}), {protocol.name}"
    pictures = [ranked_strips([strip(row) for row in drawn], title=title)]
    if result is not None:
        table = result.table[result.table["first"] > 0].sort_values(["ap", "inp"], kind="stable")
        table = table.drop_duplicates("key")
        keys = pd.Index(query.table["key"])
        lowest = keys.get_indexer(pd.Index(table["key"].head(rows)))
        title = f"Ranked gallery of the {len(lowest)} worst queries, {protocol.name}"
        pictures.append(ranked_strips([strip(int(row)) for row in lowest if row >= 0], title=title))
    return pictures


def scatter_pictures(
    embeddings: Embeddings,
    labels: Sequence[str] = ("identity", "camera"),
    *,
    projection: Projection = "pca",
    seed: int = 0,
) -> list[Picture]:
    """Every space by every label that the table carries."""
    return [
        scatter(
            value.detach().float().cpu().numpy(),
            embeddings.table[label].tolist(),
            space=space,
            label=label,
            projection=projection,
            seed=seed,
        )
        for label in labels
        if label in embeddings.table.columns
        for space, value in embeddings.spaces.items()
    ]


def _strip(
    query: Embeddings,
    gallery: Embeddings,
    row: int,
    rules: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    look: Look,
    k: int,
    similarity: Similarity,
) -> Strip:
    """One query and its k best gallery items that are not skipped; equal scores in gallery order."""
    hit, skip = rules
    with torch.no_grad():
        scores = similarity(query.spaces.take(slice(row, row + 1)), gallery.spaces)[0].float().cpu().numpy()
    order = np.argsort(-scores, kind="stable")
    best = order[~skip[order]][:k]
    return Strip(
        _shot(query.table.iloc[row], look, None, None),
        [_shot(gallery.table.iloc[item], look, float(scores[item]), bool(hit[item])) for item in best.tolist()],
    )


def _shot(labels: "pd.Series[Any]", look: Look, score: float | None, hit: bool | None) -> Shot:
    camera = labels.get("camera")
    known = not pd.isna(labels.get("identity"))
    verdict = None if hit is None else "right" if hit else "wrong" if known else "unknown"
    return Shot(
        look(labels["key"]),
        str(labels["key"]),
        None if camera is None or pd.isna(camera) else str(camera),
        score,
        verdict,  # type: ignore[arg-type]
    )
