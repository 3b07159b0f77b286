"""One row of a method's evidence: trained or computed, scored and probed on a world, with what made it.

A run lies in OUT/METHOD/SETTING/ROW-SEED-RECIPE, worlds in OUT/worlds/KIND-SETTING.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from unbraid.data.benchmark import Benchmark
from unbraid.evidence import Evidence, evidence_of
from unbraid.files import replacing, write_text
from unbraid.method import cosine, find
from unbraid.protocol import Protocol
from unbraid.recipe import Recipe, find_recipe
from unbraid.result import Result
from unbraid.search import Similarity
from unbraid.spaces import Embeddings

Size = Literal["tiny", "small", "full"]
Part = Literal["final", "dev"]
MADE, QUERIES = "made.json", "queries.parquet"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Which of the worlds of a kind. part: 'final' for reporting, 'dev' for choosing.

    motion: a file of recorded motion, how people move instead of the procedural way; its name and some digits of its
    content become the world's.
    """

    size: Size = "small"
    part: Part = "final"
    motion: Path | None = None

    @property
    def name(self) -> str:
        """For folders: 'small', 'small-dev', 'small-walks-1a2b3c' with the motion of walks.bvh."""
        return "-".join([self.size, *(["dev"] if self.part == "dev" else []), *self._recording])

    def title(self, kind: str) -> str:
        """What results call the world of a kind."""
        return "/".join([f"world:{kind}", self.size, self.part, *self._recording])

    def render(self, kind: str, out: Path) -> Path:
        """The folder of the world of a kind, made on first use."""
        from unbraid.world import named_world, render

        config = named_world(f"{kind}/{self.size}/{self.part}").config
        place, name = out / "worlds" / f"{kind}-{self.name}", self.title(kind)
        if self.motion is None:
            return render(config, place, name=name)
        from unbraid.world.capture import open_motion

        motion = open_motion(self.motion)
        return render(config.moved_by(motion.actions), place, name=name, motion=motion)

    @cached_property
    def _recording(self) -> list[str]:
        if self.motion is None:
            return []
        from unbraid.world.capture.opening import motion_digest

        return [f"{self.motion.stem}-{motion_digest(self.motion)[:6]}"]


@dataclass(frozen=True)
class Job:
    """One run: a row of a method's evidence, a seed and a world."""

    method: str
    row: str
    seed: int
    setting: Setting

    @property
    def evidence(self) -> Evidence:
        """What the row is part of."""
        return evidence_of(self.method)

    @property
    def recipe(self) -> Recipe[Any] | None:
        """What is trained; None where nothing is."""
        name = self.evidence.rows.get(self.row)
        return None if name is None else replace(find_recipe(f"{self.method}:{name}"), seed=self.seed)

    @property
    def base(self) -> "Job | None":
        """The job whose features a derived row uses."""
        derived = self.evidence.derived.get(self.row)
        return None if derived is None else replace(self, row=derived[0])

    @property
    def compared(self) -> Recipe[Any] | None:
        """The recipe that says how a derived row compares people."""
        derived = self.evidence.derived.get(self.row)
        return None if derived is None else find_recipe(f"{self.method}:{derived[1]}")

    @property
    def key(self) -> dict[str, Any]:
        """What a finished run is recognised by; a changed recipe is another run."""
        digests = [recipe.digest for recipe in ((self.base or self).recipe, self.compared) if recipe]
        return {
            "method": self.method,
            "row": self.row,
            "seed": self.seed,
            "world": self.setting.title(self.evidence.kind),
            "recipe": "-".join(digests) or "none",
        }

    @property
    def run(self) -> str:
        """The run's folder within OUT."""
        row = re.sub(r"[^a-z0-9]+", "-", self.row.lower()).strip("-")
        return f"{self.method}/{self.setting.name}/{row}-{self.seed}-{self.key['recipe']}"


def key_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """The key of the job that a line of results is from."""
    return {name: line[name] for name in ("method", "row", "seed", "world", "recipe")}


def run(job: Job, out: Path) -> dict[str, Any]:
    """Make one row's line of results; what an interrupted call left is used, and so is a finished run.

    A derived row trains its base where that is missing; no two processes may do so at once.
    """
    from unbraid.checkpoint import build, load_method, open_run
    from unbraid.data.sets.folder import read
    from unbraid.leakage import probed
    from unbraid.report.gather import join

    evidence, folder = job.evidence, out / job.run
    place = job.setting.render(evidence.kind, out)
    people = read(place)
    made: dict[str, Any] = {"train_seconds": 0.0, "machine": machine()}
    similarity: Similarity = cosine
    learned = job.base or job
    if learned.recipe is None:
        query, gallery = evidence.references[job.row](people, job.seed)
    else:
        told = _trained(learned.recipe, people, place, out / learned.run)
        query, gallery = _extracted(out / learned.run, people)
        if job.compared is None:
            made, similarity = told, load_method(folder).similarity
        else:
            similarity = build(job.compared, open_run(out / learned.run).classes).similarity
    folder.mkdir(parents=True, exist_ok=True)
    line = {**job.key, "run": job.run, "synthetic": True, **made, "probes": []}
    line |= scored(evidence, query, gallery, similarity, seed=job.seed, queries=folder / QUERIES)
    if job.base is None:
        # features of a derived row are its base's, and so is what they give away
        probes = probed(join(query, gallery), evidence.labels, seed=job.seed)
        line["probes"] = json.loads(probes.to_json(orient="records"))
    return line


def scored(
    evidence: Evidence, query: Embeddings, gallery: Embeddings, similarity: Similarity, *, seed: int, queries: Path
) -> dict[str, Any]:
    """What searches find. queries: file for the outcome of each query, protocol by protocol."""
    from unbraid.data.protocols import named
    from unbraid.evaluate import evaluate

    first = named(evidence.protocols[0])
    line: dict[str, Any] = {"results": {}, "spaces": {}, "by": {}}
    tables = []
    for protocol in map(named, evidence.protocols):
        result = evaluate(query, gallery, protocol, similarity=similarity, seed=seed)
        line["results"][protocol.name] = result.as_dict()
        found = _per_query(result.table, query.table, evidence.by)
        tables.append(found.assign(protocol=protocol.name))
        line["by"][protocol.name] = {label: _rank_1_by(found, label) for label in evidence.by}
        if protocol is first:
            line["bias"] = _biases(result, protocol, query.table, gallery.table, evidence.labels, seed)
    for space in query.spaces:
        line["spaces"][space] = evaluate(query, gallery, first, space=space, seed=seed).as_dict()
    with replacing(queries) as unfinished:
        pd.concat(tables).to_parquet(unfinished, index=False)
    return line


def machine() -> dict[str, Any]:
    """Hardware and software that made a number."""
    import torch

    import unbraid

    home = Path(unbraid.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(path.relative_to(home).as_posix().encode() + path.read_bytes())
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "unbraid": unbraid.__version__,
        "commit": _commit(home),
        "sources": digest.hexdigest()[:12],
    }


def _trained(recipe: Recipe[Any], people: Benchmark, place: Path, folder: Path) -> dict[str, Any]:
    """Train, and say what did it and how long it took: None for a run that an earlier call began."""
    from unbraid.text.encoding import bank_of_folder
    from unbraid.train import train

    told, fresh, began, by = folder / MADE, not folder.exists(), time.monotonic(), machine()
    bank = None
    if recipe.text is not None and not find(recipe.method).dictionary:
        bank = bank_of_folder(place, recipe.text.encoder)
    train(recipe, people, folder, resume=True, device="cpu", bank=bank)
    if not told.is_file():
        seconds = time.monotonic() - began if fresh else None
        write_text(told, json.dumps({"train_seconds": seconds, "machine": by}, indent=1) + "\n")
    made: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return made


def _extracted(folder: Path, people: Benchmark) -> tuple[Embeddings, Embeddings]:
    from unbraid.extract import extract_run

    sides = extract_run(folder, people, folder / "embeddings", device="cpu")
    return sides["query"], sides["gallery"]


def _per_query(table: pd.DataFrame, query: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """Key, identity, labels, AP, whether rank 1 is right, and weight in the means, of every query with a mate."""
    kept = table[table["hits"] > 0]
    # a query of several cells or draws has a row in each
    parts = {"ap": kept["share"] * kept["ap"], "right": kept["share"] * (kept["first"] == 1), "weight": kept["share"]}
    sums = kept[["key", "identity"]].assign(**parts).groupby("key", as_index=False)
    found = sums.agg({"identity": "first", "ap": "sum", "right": "sum", "weight": "sum"})
    labels = query.set_index("key").reindex(found["key"])
    facts = {label: labels[label].astype(str).to_numpy() for label in by}
    return found.assign(ap=found["ap"] / found["weight"], right=found["right"] / found["weight"], **facts)


def _rank_1_by(found: pd.DataFrame, label: str) -> dict[str, float]:
    """Rank-1 of the queries of each value of a label."""
    return {str(value): float(np.average(own["right"], weights=own["weight"])) for value, own in found.groupby(label)}


def _biases(
    result: Result,
    protocol: Protocol,
    query: pd.DataFrame,
    gallery: pd.DataFrame,
    labels: tuple[str, ...],
    seed: int,
) -> dict[str, Any]:
    """How often the first match is like the query, by label; {} where a query has several first matches."""
    from unbraid.bias import bias

    if protocol.cells or protocol.shots:
        return {}
    asked = [label for label in labels if label != "identity"]
    return {label: asdict(bias(result, protocol, query, gallery, label, seed=seed)) for label in asked}


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"model name\s*:\s*(.+)", told)
    return found.group(1) if found else platform.machine()


def _commit(home: Path) -> str:
    """The commit of a checkout, '' elsewhere, also where an installed copy lies inside somebody's repository."""
    try:
        known, told = (
            subprocess.run(["git", "-C", str(home), *asked], capture_output=True, text=True, timeout=10, check=False)
            for asked in (["ls-files", "experiment.py"], ["rev-parse", "HEAD"])
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip() if known.stdout.strip() else ""
