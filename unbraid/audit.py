"""Whether a synthetic world is honest: what can be recognised in it, and what must not be, without any network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import chi2_contingency
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.colour import colour_embeddings
from unbraid.data.protocols import PLAIN
from unbraid.data.sets.folder import read
from unbraid.data.shape import shape_embeddings
from unbraid.evaluate import evaluate
from unbraid.protocol import Protocol
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Tracklet

# A score is 'at chance' while the lower end of its interval is no more than this above it.
SLACK = 0.01
# A score is 'well above chance' when the lower end of its interval is this many times as high.
FACTOR = 3.0
# Smallest p-value at which two labels still count as independent: one false alarm in a thousand worlds.
LEAST_P = 1e-3
COMPONENTS = 100
Splits = Mapping[str, Embeddings]


@dataclass(frozen=True)
class Expected:
    """What a row of the audit must show: 'at chance', 'well above chance', 'all', or nothing in particular ('')."""

    word: str

    def met(self, score: float, low: float, chance: float) -> bool | None:
        """None where nothing is expected."""
        return {
            "at chance": low <= chance + SLACK,
            "well above chance": low >= FACTOR * chance,
            "all": score == 1.0,
        }.get(self.word)


def audit(root: Path, *, seed: int = 0) -> pd.DataFrame:
    """One row per feature and protocol of a rendered world, and per pair of labels that must be independent.

    Columns: feature, protocol, rank_1 with low, high (95 % bootstrap interval over test identities) and chance,
    queries, identities, expected, met (None where nothing is expected). Rows on independence have the p-value of a
    chi-square test as `p` instead of a rank.

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
    features = _features(benchmark)
    features["factors"] = _factors(benchmark, root / "identities.parquet")
    features["shuffled"] = _shuffled(features[_best(features)], seed)
    rows: list[dict[str, object] | None] = []
    for protocol in benchmark.protocols.values():
        for name, splits in features.items():
            rows.append(_score(name, splits, protocol, seed))
    if "background" in features:
        rows.append(_score("background", features["background"], PLAIN, seed))
    rows += _independence(benchmark)
    return pd.DataFrame([row for row in rows if row is not None])


def _features(benchmark: Benchmark) -> dict[str, Splits]:
    """Embeddings of the three splits by name of the feature."""
    by_modality = {t.modality for t in benchmark.train}
    found: dict[str, Splits] = {}
    if "rgb" in by_modality:
        pictures = _of(benchmark, "rgb")
        found["colour"] = {k: colour_embeddings(v, region="person") for k, v in pictures.items()}
        found["background"] = {k: colour_embeddings(v, region="background") for k, v in pictures.items()}
    silhouettes = _of(benchmark, "silhouette" if "silhouette" in by_modality else "rgb")
    found["silhouette"] = {k: shape_embeddings(v, kind="both") for k, v in silhouettes.items()}
    if "depth" in by_modality:
        found["depth"] = {k: shape_embeddings(v, kind="both") for k, v in _of(benchmark, "depth").items()}
        if "silhouette" in by_modality:
            pairs = {k: [t for t in v if t.modality != "rgb"] for k, v in _all(benchmark).items()}
            found["silhouette and depth"] = _centred({k: shape_embeddings(v, kind="both") for k, v in pairs.items()})
    for name in [name for name in found if name != "background"]:
        found[f"{name}, trained"] = _discriminant(found[name])
    return found


def _best(features: Mapping[str, Splits]) -> str:
    order = ("silhouette and depth, trained", "silhouette, trained")
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
    """The true phenotypes, height and style of everyone, standardised."""
    table = pd.read_parquet(path).set_index("identity")
    values = table.select_dtypes("number").drop(columns=[c for c in table if str(c).startswith("skin_")])
    spread = values.std().replace(0, 1)
    standard = ((values - values.mean()) / spread).to_numpy(np.float32)
    row_of = {name: row for row, name in enumerate(table.index)}
    splits = {}
    for name, tracklets in (("query", benchmark.query), ("gallery", benchmark.gallery)):
        rows = [row_of[str(t.identity)] for t in tracklets]
        spaces = Spaces({"identity": torch.from_numpy(standard[rows])})
        splits[name] = Embeddings(spaces, label_table(tracklets), {"weights": "none", "recipe": "true factors"})
    return splits


def _score(name: str, splits: Splits, protocol: Protocol, seed: int) -> dict[str, object] | None:
    """The row of a feature, None where the protocol compares what the feature does not describe."""
    modalities = {
        side: set(where.labels.get("modality", ())) or None
        for side, where in (("query", protocol.query), ("gallery", protocol.gallery))
    }
    for side, wanted in modalities.items():
        if wanted is not None and not wanted <= set(splits[side].table["modality"]):
            return None
    result = evaluate(splits["query"], splits["gallery"], protocol, seed=seed, synthetic=True)
    low, high = result.rank_1_interval
    expected = _expected(name, protocol)
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


def _independence(benchmark: Benchmark) -> list[dict[str, object]]:
    """Whether camera, view and action know who is seen, counted over all tracklets of the test people."""
    table = label_table([*benchmark.query, *benchmark.gallery])
    rows: list[dict[str, object]] = []
    for label in ("camera", "view", "action"):
        if table[label].nunique() < 2:
            continue
        counts = pd.crosstab(table["identity"], table[label])
        p = float(chi2_contingency(counts).pvalue)
        rows.append(
            {
                "feature": f"{label} and identity",
                "protocol": "chi-square",
                "queries": len(table),
                "identities": len(counts),
                "expected": "independent",
                "met": p >= LEAST_P,
                "p": p,
            }
        )
    return rows


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
