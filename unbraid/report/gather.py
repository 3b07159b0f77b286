"""A run and a data set turned into evidence: embeddings, results, leakage and pictures."""

import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

import unbraid
from unbraid.batch import Clip
from unbraid.checkpoint import load_method, open_run, weights_hash
from unbraid.data.benchmark import Benchmark
from unbraid.data.clips import restricted_first
from unbraid.data.colour import colour_embeddings
from unbraid.data.loader import FrameReader, normalised
from unbraid.data.media import read_frames
from unbraid.evaluate import evaluate
from unbraid.extract import extract_run
from unbraid.leakage import bias, probed
from unbraid.method import Method
from unbraid.probing.asking import own
from unbraid.protocol import Protocol
from unbraid.recipe import DataConfig
from unbraid.report.evidence import Check, Evidence
from unbraid.report.pictures import scatter_pictures, strip_pictures
from unbraid.result import Result
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Tracklet
from unbraid.verify import Verification, verify
from unbraid.viz import Picture, frame_weights, heat_maps

HEAT_TRACKLETS = 3
BLOCK = 256  # queries looked at together
# the colour that shows whether a method goes by clothes, and the protocols that ask for other ones
WORN, CHANGE = "top_colour", "clothes-change"
LEAKAGE_LABELS = ("identity", "camera", "clothes", "view", "action")


def gather(run: Path, benchmark: Benchmark, *, seed: int = 0) -> Evidence:
    """Everything a report shows about a run on the query and gallery of a benchmark.

    Embeddings are kept in the run folder and used again while weights and data stay the same.
    Every protocol of the benchmark is scored on every space, and on colour histograms as a reference that has
    learned nothing. Raises ValueError when query or gallery is empty or no query has a mate.
    """
    about = open_run(run)
    for split in ("query", "gallery"):
        if not getattr(benchmark, split):
            raise ValueError(f"{benchmark.name} has no {split} tracklets, so there is nothing to score")
    # the world's own benchmarks have names like world:clothes/small/dev
    found = extract_run(run, benchmark, run / "embeddings" / re.sub(r"[:/\\]+", "-", benchmark.name))
    query, gallery = found["query"], found["gallery"]
    method = load_method(run)
    tracklets = {t.key: t for t in (*benchmark.query, *benchmark.gallery)}
    both = join(query, gallery)
    there = [name for name in LEAKAGE_LABELS if name in both.table.columns]
    labels = [name for name in there if _shared(both.table, name) or own(both.table, name)]
    first = next(iter(benchmark.protocols.values()))
    results = score(benchmark, query, gallery, about.recipe.method, method.similarity, seed)
    verifications, unverified = _verified(
        query, gallery, [benchmark.protocols[r.protocol] for r in results.values()], about.recipe.method, method, seed
    )

    def look(key: str) -> NDArray[np.uint8]:
        tracklet = tracklets[key]
        return read_frames(tracklet.media, [len(tracklet) // 2])[0]

    strips = strip_pictures(
        query, gallery, first, look, result=next(iter(results.values())), similarity=method.similarity, seed=seed
    )
    chosen = np.random.default_rng(seed).permutation(len(benchmark.query))[:HEAT_TRACKLETS]
    heat = [p for number in chosen for p in _looks(method, benchmark.query[number], about.recipe.data)]
    return Evidence(
        title=f"{about.recipe.method} on {benchmark.name}",
        results=results,
        verifications=verifications,
        synthetic=benchmark.synthetic,
        notes=[*_notes(benchmark, about.origin), *unverified],
        origin={
            "run": str(run.name),
            "method": about.recipe.method,
            "seed of training": str(about.recipe.seed),
            "weights (SHA-256)": weights_hash(run),
            "trained on": f"{about.origin['benchmark']}, {about.origin['tracklets']} tracklets",
            "tested on": f"{benchmark.name}, all frames, query data {query.origin['data'][:16]}, "
            f"gallery data {gallery.origin['data'][:16]}",
            "unbraid": unbraid.__version__,
            "torch": torch.__version__,
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
            "recipe": about.recipe.to_json(),
        },
        leakage=probed(both, labels, seed=seed),
        checks=_biases(results, benchmark.protocols, query.table, gallery.table, seed),
        pictures=[*strips, *heat, *scatter_pictures(both, ("identity", "camera"), seed=seed)],
    )


def score(
    benchmark: Benchmark, query: Embeddings, gallery: Embeddings, name: str, similarity: Any, seed: int
) -> dict[str, Result]:
    """Results by a readable name: the method first, then its other spaces, then colour histograms."""
    colour = [
        colour_embeddings(side, centre=0.25, grey_world=True, synthetic=benchmark.synthetic)
        for side in (benchmark.query, benchmark.gallery)
    ]
    results: dict[str, Result] = {}
    for protocol in _usable(benchmark.protocols, query.table, gallery.table):
        end = "" if len(results) == 0 else f", {protocol.name}"
        results[f"{name}{end}"] = evaluate(query, gallery, protocol, similarity=similarity, seed=seed)
        for space in query.spaces:
            if space != "identity":
                results[f"{name}, {space} space alone{end}"] = evaluate(
                    query, gallery, protocol, space=space, seed=seed
                )
        results[f"colour histograms{end}"] = evaluate(colour[0], colour[1], protocol, seed=seed)
    return results


def _verified(
    query: Embeddings, gallery: Embeddings, protocols: Sequence[Protocol], name: str, method: Method, seed: int
) -> tuple[dict[str, Verification], list[str]]:
    """Error rates of the method's own similarity under each protocol, and why one has none, such as a single person."""
    found, reasons = {}, []
    for protocol in {p.name: p for p in protocols}.values():
        try:
            result = verify(query, gallery, protocol, similarity=method.similarity, seed=seed)
        except ValueError as error:
            reasons.append(f"No error rates of pairs: {error}.")
        else:
            found[f"{name}, {protocol.name}"] = result
    return found, reasons


def _biases(
    results: Mapping[str, Result],
    protocols: Mapping[str, Protocol],
    query: pd.DataFrame,
    gallery: pd.DataFrame,
    seed: int,
) -> list[Check]:
    """How often first matches in other clothes wear the query's colour, for each result that is asked for them, or why
    there is no such figure."""
    if not all(WORN in table.columns for table in (query, gallery)):
        return []
    checks = []
    for name, r in ((name, r) for name, r in results.items() if CHANGE in r.protocol):
        title = f"bias of {name}: first matches in the query's top colour"
        try:
            b = bias(r, protocols[r.protocol], query, gallery, WORN, seed=seed)
        except ValueError as error:
            checks.append(Check(name=title, value=f"not reported: {error}"))
            continue
        share = f"{100 * b.share:.1f} % ({100 * b.low:.1f} to {100 * b.high:.1f})"
        about = f"{share}, {b.queries} queries of {b.identities} identities"
        checks.append(Check(name=title, value=about, expected=f"by chance {100 * b.chance:.1f} %"))
    return checks


def _shared(table: pd.DataFrame, label: str) -> bool:
    """Whether a probe can tell a label from the person: it takes several values, some of them on several people."""
    people = table.groupby(label)["identity"].nunique()
    return len(people) > 1 and (label == "identity" or int(people.max()) > 1)


def _usable(protocols: Mapping[str, Protocol], query: pd.DataFrame, gallery: pd.DataFrame) -> list[Protocol]:
    """Protocols under which some query has a mate; the first is kept whatever comes, so that its error is seen."""
    first, *others = protocols.values()

    def mated(protocol: Protocol) -> bool:
        try:
            asked = query.iloc[protocol.query.rows(query, "query")]
            offered = gallery.iloc[protocol.gallery.rows(gallery, "gallery")]
        except ValueError:
            return False
        hit, skip = protocol.hit.on(asked, offered), protocol.skip.on(asked, offered)
        blocks = (slice(start, start + BLOCK) for start in range(0, len(asked), BLOCK))
        return any(bool((hit(rows) & ~skip(rows)).any()) for rows in blocks)

    return [first, *(p for p in others if mated(p))]


def join(first: Embeddings, second: Embeddings) -> Embeddings:
    """The rows of both, those that stand in both once."""
    fresh = ~second.table["key"].isin(first.table["key"])
    rows = torch.from_numpy(np.flatnonzero(fresh))
    spaces = {name: torch.cat([first.spaces[name], second.spaces[name][rows]]) for name in first.spaces}
    table = pd.concat([first.table, second.table[fresh]], ignore_index=True)
    return Embeddings(Spaces(spaces), table, first.origin)


def _looks(method: Method, tracklet: Tracklet, data: DataConfig) -> list[Picture]:
    """Heat maps of one clip of a tracklet and, where the method weighs frames, the weights."""
    chosen = restricted_first(len(tracklet), data.frames, chunks=data.chunks).tolist()
    frames = FrameReader(data.height, data.width).read(tracklet, chosen)
    clip = Clip.of(normalised(frames, data)[None])
    with torch.inference_mode():
        maps = method.cpu().heat(clip)
        weights = method.frame_weights(clip)
    shown = [heat_maps(list(frames), {name: value[0].numpy() for name, value in maps.items()}, title=tracklet.key)]
    if weights is not None:
        shown.append(frame_weights(list(frames), weights[0].numpy(), title=f"Weight of each frame, {tracklet.key}"))
    return shown


def _notes(benchmark: Benchmark, origin: Mapping[str, Any]) -> Sequence[str]:
    if origin.get("synthetic") and not benchmark.synthetic:
        return ["The method was trained on synthetic people only; nothing is claimed about its accuracy on real ones."]
    return ()
