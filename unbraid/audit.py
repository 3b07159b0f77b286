"""Whether a synthetic world is honest: what can be recognised in it, and what must not be, without any network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, norm
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.colour import colour_embeddings
from unbraid.data.protocols import PLAIN
from unbraid.data.sets.folder import read, read_origin
from unbraid.data.shape import shape_embeddings
from unbraid.evaluate import evaluate
from unbraid.protocol import Protocol
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Tracklet
from unbraid.world.config import WorldConfig
from unbraid.world.plan import labels, plan

# A score is 'at chance' while the lower end of its interval is no more than this many times as high.
SLACK = 1.5
# With fewer people an interval means little, so nothing is judged.
LEAST_PEOPLE = 20
# A score is 'well above chance' when the lower end of its interval is this many times as high.
FACTOR = 3.0
# Smallest p-value at which two labels still count as independent: one false alarm in a thousand worlds.
LEAST_P = 1e-3
COMPONENTS = 100
# plans of fair worlds that a world is compared with
SIMULATED = 24
Splits = Mapping[str, Embeddings]


@dataclass(frozen=True)
class Expected:
    """What a row of the audit must show: 'at chance', 'well above chance', 'all', or nothing in particular ('')."""

    word: str

    def met(self, score: float, low: float, chance: float) -> bool | None:
        """None where nothing is expected or no interval is known."""
        if np.isnan(low):
            return None
        return {
            "at chance": low <= SLACK * chance,
            "well above chance": low >= FACTOR * chance,
            "all": score == 1.0,
        }.get(self.word)


def audit(root: Path, *, seed: int = 0) -> pd.DataFrame:
    """One row per feature and protocol of a rendered world, and per pair of labels that must be independent.

    Columns: feature, protocol, rank_1 with low, high (95 % bootstrap interval over test identities) and chance,
    queries, identities, expected, met (None where nothing is expected). Rows on independence have a p-value as `p`
    instead of a rank.

    Features: 'colour' of the person, 'background' (pixels away from the person), 'silhouette' and 'depth' (mean and
    deviation over the frames), 'silhouette and depth' (either, less the mean of its sensor), each also after linear
    discriminant analysis on the training people ('trained'); 'shuffled' is the best of them, each handed to a tracklet
    at random; 'factors' are the true body and style.
    Expected: colour finds people in the same clothes and is at chance in others; background and shuffled features are
    at chance, the background also where the query's camera stays in the gallery; true factors find everyone.

    Raises ValueError when the folder is not a world, and the errors of its reader.
    """
    root = Path(root)
    benchmark = read(root)
    if not (root / "identities.parquet").is_file():
        raise ValueError(f"{root} holds no identities.parquet; the audit needs a world rendered by `unbraid world`")
    config = WorldConfig(**_tuples(read_origin(root)["config"]))
    features = _features(benchmark)
    if features:
        features["shuffled"] = _shuffled(features[_best(features)], seed)
    features["factors"] = _factors(benchmark, root / "identities.parquet")
    rows: list[dict[str, object] | None] = []
    for protocol in benchmark.protocols.values():
        for name, splits in features.items():
            rows.append(_score(name, splits, protocol, seed, judged=name != "colour" or not config.appearance_identity))
    if "background" in features:
        rows.append(_score("background", features["background"], PLAIN, seed))
    rows += _independence(benchmark, config)
    return pd.DataFrame([row for row in rows if row is not None])


def _features(benchmark: Benchmark) -> dict[str, Splits]:
    """Embeddings of the three splits by name of the feature."""
    by_modality = {t.modality for t in benchmark.train}
    masked = all(t.mask is not None for t in benchmark.train if t.modality == "rgb")
    found: dict[str, Splits] = {}
    if "rgb" in by_modality and masked:
        pictures = _of(benchmark, "rgb")
        found["colour"] = {k: colour_embeddings(v, region="person") for k, v in pictures.items()}
        found["background"] = {k: colour_embeddings(v, region="background") for k, v in pictures.items()}
    shown = "silhouette" if "silhouette" in by_modality else "rgb"
    if shown == "silhouette" or "colour" in found:
        found["silhouette"] = {k: shape_embeddings(v, kind="both") for k, v in _of(benchmark, shown).items()}
    if "depth" in by_modality:
        found["depth"] = {k: shape_embeddings(v, kind="both") for k, v in _of(benchmark, "depth").items()}
        if "silhouette" in by_modality:
            pairs = {k: [t for t in v if t.modality != "rgb"] for k, v in _all(benchmark).items()}
            found["silhouette and depth"] = _centred({k: shape_embeddings(v, kind="both") for k, v in pairs.items()})
    if len({t.identity for t in benchmark.train}) > 1:
        for name in [name for name in found if name != "background"]:
            found[f"{name}, trained"] = _discriminant(found[name])
    return found


def _best(features: Mapping[str, Splits]) -> str:
    """The feature that tells most, of those that there are."""
    order = ("silhouette and depth, trained", "silhouette, trained", "depth, trained", *features)
    return next(name for name in order if name in features)


def _centred(splits: Splits) -> Splits:
    """The features without the training mean of their modality: the least that two sensors need to be compared."""
    table = splits["train"].table
    means = {
        m: _matrix(splits["train"])[(table["modality"] == m).to_numpy()].mean(0) for m in table["modality"].unique()
    }
    return {k: _changed(e, _matrix(e) - np.stack([means[m] for m in e.table["modality"]])) for k, e in splits.items()}


def _all(benchmark: Benchmark) -> dict[str, Sequence[Tracklet]]:
    return {"train": benchmark.train, "query": benchmark.query, "gallery": benchmark.gallery}


def _of(benchmark: Benchmark, modality: str) -> dict[str, list[Tracklet]]:
    return {name: [t for t in tracklets if t.modality == modality] for name, tracklets in _all(benchmark).items()}


def _discriminant(splits: Splits) -> Splits:
    """The features after principal components and discriminant analysis of the training identities."""
    known = _matrix(splits["train"])
    names = splits["train"].table["identity"]
    reduce = PCA(n_components=min(COMPONENTS, *known.shape), random_state=0).fit(known)
    separate = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(reduce.transform(known), names)
    return {k: _changed(e, separate.transform(reduce.transform(_matrix(e)))) for k, e in splits.items()}


def _shuffled(splits: Splits, seed: int) -> Splits:
    """The same embeddings of query and gallery, each handed to a tracklet at random."""
    random = np.random.default_rng(seed)
    mixed = {}
    for name in ("query", "gallery"):
        order = torch.from_numpy(random.permutation(len(splits[name])))
        mixed[name] = Embeddings(splits[name].spaces.take(order), splits[name].table, splits[name].origin)
    return mixed


def _factors(benchmark: Benchmark, path: Path) -> Splits:
    """The true height, phenotypes and style of everyone, standardised."""
    table = pd.read_parquet(path).set_index("identity")
    values = table[[c for c in table if str(c).startswith(("height_", "phenotype_", "style_"))]]
    spread = values.std().replace(0, 1)
    standard = ((values - values.mean()) / spread).to_numpy(np.float32)
    row_of = {name: row for row, name in enumerate(table.index)}
    splits = {}
    for name, tracklets in (("query", benchmark.query), ("gallery", benchmark.gallery)):
        rows = [row_of[str(t.identity)] for t in tracklets]
        spaces = Spaces({"identity": torch.from_numpy(standard[rows])})
        splits[name] = Embeddings(spaces, label_table(tracklets), {"weights": "none", "recipe": "true factors"})
    return splits


def _score(
    name: str, splits: Splits, protocol: Protocol, seed: int, *, judged: bool = True
) -> dict[str, object] | None:
    """The row of a feature; None where a protocol compares what it does not describe, or nobody has a mate."""
    modalities = {
        side: set(where.labels.get("modality", ())) or None
        for side, where in (("query", protocol.query), ("gallery", protocol.gallery))
    }
    for side, wanted in modalities.items():
        if wanted is not None and not wanted <= set(splits[side].table["modality"]):
            return None
    try:
        result = evaluate(splits["query"], splits["gallery"], protocol, seed=seed, synthetic=True)
    except ValueError:
        # worlds of few people, cameras or actions cannot answer every protocol
        return None
    low, high = result.rank_1_interval
    expected = _expected(name, protocol) if judged and result.identities >= LEAST_PEOPLE else Expected("")
    return {
        "feature": name,
        "protocol": protocol.name,
        "rank_1": result.rank_1,
        "low": low,
        "high": high,
        "chance": result.rank_1_chance,
        "queries": result.queries,
        "identities": result.identities,
        "expected": expected.word,
        "met": expected.met(result.rank_1, low, result.rank_1_chance),
        "p": np.nan,
    }


def _expected(feature: str, protocol: Protocol) -> Expected:
    if feature == "factors":
        return Expected("all")
    if feature in ("background", "shuffled"):
        return Expected("at chance")
    if feature == "colour" and "clothes-change" in protocol.name:
        return Expected("at chance")
    if feature == "colour" and protocol.name.startswith("same-clothes"):
        return Expected("well above chance")
    return Expected("")


def _independence(benchmark: Benchmark, config: WorldConfig) -> list[dict[str, object]]:
    """Whether camera, view and action know who is seen.

    The statistic is chi-square of a label against the identity over all shots of the test people. Cameras and views
    come in balanced cycles, which makes it smaller than chance would; so it is compared with that of worlds of the
    same config, other seeds and no leak, whose plans are drawn without rendering.
    """
    shots = [t for t in (*benchmark.query, *benchmark.gallery) if t.modality == config.modalities[0]]
    fair = [plan(replace(config, seed=config.seed + 1 + n, camera_leak=0.0)) for n in range(SIMULATED)]
    rows: list[dict[str, object]] = []
    for label in ("camera", "view", "action"):
        found = _chi_square([(str(t.identity), t.labels[label]) for t in shots])
        usual = [
            _chi_square([(s.identity, labels(config, s)[label]) for s in world if s.split != "train"]) for world in fair
        ]
        spread = float(np.std(usual, ddof=1))
        if spread == 0 and found == usual[0]:
            continue
        p = float(norm.sf((found - np.mean(usual)) / max(spread, 1e-9)))
        rows.append(
            {
                "feature": f"{label} and identity",
                "protocol": "chi-square",
                "queries": len(shots),
                "identities": len({t.identity for t in shots}),
                "expected": "independent",
                "met": p >= LEAST_P,
                "p": p,
            }
        )
    return rows


def _chi_square(pairs: Sequence[tuple[str, str | None]]) -> float:
    table = pd.DataFrame(pairs, columns=["identity", "label"])
    if table["label"].nunique() < 2 or table["identity"].nunique() < 2:
        return 0.0
    return float(chi2_contingency(pd.crosstab(table["identity"], table["label"])).statistic)


def _tuples(config: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists where a config has tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def _matrix(embeddings: Embeddings) -> NDArray[np.float64]:
    return np.asarray(embeddings.spaces["identity"].flatten(1).double().numpy())


def _changed(embeddings: Embeddings, values: NDArray[np.float64]) -> Embeddings:
    spaces = Spaces({"identity": torch.from_numpy(values.astype(np.float32))})
    return Embeddings(spaces, embeddings.table, embeddings.origin)


def failures(table: pd.DataFrame) -> Sequence[str]:
    """What an honest world must not show, one sentence each; empty for an honest one."""
    found = []
    for row in table[table["met"].eq(False)].to_dict("records"):
        seen = f"p = {row['p']:.2g}" if row["expected"] == "independent" else f"rank-1 {100 * row['rank_1']:.1f} %"
        found.append(f"{row['feature']} under {row['protocol']}: expected {row['expected']}, found {seen}")
    return found


def as_text(table: pd.DataFrame) -> str:
    """The audit for people: per cent, one protocol after the other."""
    lines = ["SYNTHETIC people; says nothing about real ones", ""]
    for protocol, rows in table.groupby("protocol", sort=False):
        lines.append(f"{protocol}")
        for row in rows.to_dict("records"):
            mark = {True: "yes", False: "NO", None: ""}[None if pd.isna(row["met"]) else bool(row["met"])]
            if row["expected"] == "independent":
                value = f"p = {row['p']:.3g}"
            else:
                score, low, high, chance = (100 * row[name] for name in ("rank_1", "low", "high", "chance"))
                value = f"{score:5.1f}  ({low:.1f} to {high:.1f})  chance {chance:.1f}"
            lines.append(f"  {row['feature']:<32}{value:<38}{row['expected']:<20}{mark}".rstrip())
    return "\n".join(lines)
