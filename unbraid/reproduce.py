"""Train, score and probe every method on the built-in world, several seeds each; finished runs are never made again.

    OUT/worlds/KIND/                      the rendered worlds
    OUT/METHOD/ROW-SEED-RECIPE/           run, embeddings, queries.parquet (one row per query and protocol)
    OUT/results.jsonl                     one line per finished run

Pages are written from these by `report.results`.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from unbraid.evidence import Evidence, find_evidence
from unbraid.files import replacing
from unbraid.method import available
from unbraid.progress import console, track
from unbraid.recipe import Recipe, find_recipe

Size = Literal["tiny", "small", "full"]
RESULTS = "results.jsonl"
# of the rows that claims rest on most, and of all others
HEADLINE_SEEDS, OTHER_SEEDS = 5, 3


@dataclass(frozen=True)
class Job:
    """One run: a row of a method's evidence and a seed."""

    method: str
    row: str
    seed: int
    size: Size

    @property
    def recipe(self) -> Recipe[Any]:
        """What is trained."""
        evidence = evidence_of(self.method)
        return replace(find_recipe(f"{self.method}:{evidence.rows[self.row]}"), seed=self.seed)

    @property
    def key(self) -> dict[str, Any]:
        """What a finished run is recognised by; a changed recipe is another run."""
        return {**asdict(self), "recipe": hashlib.sha256(self.recipe.to_json().encode()).hexdigest()[:12]}

    def folder(self, out: Path) -> Path:
        """Where the run lies."""
        row = re.sub(r"[^a-z0-9]+", "-", self.row.lower()).strip("-")
        return out / self.method / f"{row}-{self.seed}-{self.key['recipe']}"


def reproduce(
    out: Path,
    *,
    methods: Sequence[str] = (),
    size: Size = "small",
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    jobs: int = 1,
) -> list[dict[str, Any]]:
    """Results of every row and seed, those of earlier calls included; new ones are appended to OUT/results.jsonl.

    methods, rows: all that have evidence when none is named. size: of the world, always the one for reporting.
    seeds: instead of 1 to 5 for headlines and 1 to 3 for other rows.
    jobs: processes, each with one thread.
    Raises KeyError for an unknown method or row and ValueError for a method without evidence.
    """
    out = Path(out)
    chosen = list(methods) or [name for name in available() if find_evidence(name)]
    plan = planned(chosen, size, rows, seeds)
    found = finished(out)
    wanted = [job.key for job in plan]
    left = [job for job in plan if job.key not in [_key_of(line) for line in found]]
    if left:
        console.print(f"{len(plan)} runs, {len(left)} to go, in {out}")
    for kind in dict.fromkeys(evidence_of(job.method).kind for job in left):
        _world(kind, size, out)
    for line in track(_done(left, out, jobs), "runs", total=len(left)):
        with (out / RESULTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        found.append(line)
    return [line for line in found if _key_of(line) in wanted]


def planned(methods: Sequence[str], size: Size, rows: Sequence[str], seeds: Sequence[int]) -> list[Job]:
    """All runs, so ordered that every row has a result before any has a second one. Raises as `reproduce`."""
    known = [row for method in methods for row in evidence_of(method).rows]
    lacking = [row for row in rows if row not in known]
    if lacking:
        raise KeyError(f"no row {lacking[0]!r}; {', '.join(methods)} have {', '.join(dict.fromkeys(known))}")
    plan = []
    for seed in seeds or range(1, HEADLINE_SEEDS + 1):
        for method in methods:
            evidence = evidence_of(method)
            for row in evidence.rows:
                enough = HEADLINE_SEEDS if row in evidence.headlines else OTHER_SEEDS
                if (not rows or row in rows) and (seeds or seed <= enough):
                    plan.append(Job(method, row, seed, size))
    return plan


def evidence_of(method: str) -> Evidence:
    """The evidence of a method. Raises ValueError where it has none."""
    evidence = find_evidence(method)
    if evidence is None:
        raise ValueError(f"{method} says nothing about the built-in world: its folder has no evidence.py with EVIDENCE")
    return evidence


def finished(out: Path) -> list[dict[str, Any]]:
    """Lines of earlier calls. Raises ValueError for a file that is not JSON lines."""
    path = Path(out) / RESULTS
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); remove its last line and run again") from error


def run(job: Job, out: Path) -> dict[str, Any]:
    """Train, extract, score and probe one row; what an interrupted call left is used."""
    from unbraid.checkpoint import load_method
    from unbraid.data.protocols import named
    from unbraid.data.sets.folder import read
    from unbraid.evaluate import evaluate
    from unbraid.extract import extract_run
    from unbraid.leakage import probed
    from unbraid.method import find
    from unbraid.report.gather import join
    from unbraid.text.encoding import bank_of_folder
    from unbraid.train import train

    evidence, recipe, folder = evidence_of(job.method), job.recipe, job.folder(out)
    fresh, began = not folder.exists(), time.monotonic()
    place = _world(evidence.kind, job.size, out)
    people = read(place)
    bank = None
    if recipe.text is not None and not find(job.method).dictionary:
        bank = bank_of_folder(place, recipe.text.encoder)
    train(recipe, people, folder, resume=True, device="cpu", bank=bank)
    trained = time.monotonic()
    sides = extract_run(folder, people, folder / "embeddings", device="cpu")
    query, gallery = sides["query"], sides["gallery"]
    line: dict[str, Any] = {**job.key, "synthetic": True, "world": people.name, "results": {}, "spaces": {}}
    tables = []
    similarity = load_method(folder).similarity
    for name in evidence.protocols:
        result = evaluate(query, gallery, named(name), similarity=similarity, seed=job.seed)
        line["results"][name] = result.as_dict()
        tables.append(_per_query(result.table).assign(protocol=name))
    for space in query.spaces:
        alone = evaluate(query, gallery, named(evidence.protocols[0]), space=space, seed=job.seed)
        line["spaces"][space] = alone.as_dict()
        tables.append(_per_query(alone.table).assign(protocol=f"{alone.protocol} {space}"))
    with replacing(folder / "queries.parquet") as unfinished:
        pd.concat(tables).to_parquet(unfinished, index=False)
    probes = probed(join(query, gallery), evidence.labels, seed=job.seed)
    line["probes"] = json.loads(probes.to_json(orient="records"))
    # of a run that an earlier call began, nobody knows how long it took
    times = {"train_seconds": trained - began, "seconds": time.monotonic() - began}
    return line | (times if fresh else dict.fromkeys(times)) | {"machine": machine()}


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


def _done(jobs: Sequence[Job], out: Path, processes: int) -> Iterator[dict[str, Any]]:
    """Results as they come. A process is started afresh for every job, so that memory stays bounded."""
    if not jobs:
        return
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_one_thread, max_tasks_per_child=1
    ) as pool:
        waiting = [pool.submit(run, job, out) for job in jobs]
        try:
            for one in as_completed(waiting):
                yield one.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _world(kind: str, size: Size, out: Path) -> Path:
    from unbraid.world import named_world, render

    named = named_world(f"{kind}/{size}/final")
    return render(named.config, out / "worlds" / f"{kind}-{size}", name=named.name)


def _per_query(table: pd.DataFrame) -> pd.DataFrame:
    """Key, identity, AP, whether rank 1 is right, and weight in the means, of every query with a mate."""
    kept = table[table["hits"] > 0]
    # a query of several cells or draws has a row in each
    parts = {"ap": kept["share"] * kept["ap"], "right": kept["share"] * (kept["first"] == 1), "weight": kept["share"]}
    sums = kept[["key", "identity"]].assign(**parts).groupby("key", as_index=False)
    found = sums.agg({"identity": "first", "ap": "sum", "right": "sum", "weight": "sum"})
    return found.assign(ap=found["ap"] / found["weight"], right=found["right"] / found["weight"])


def _key_of(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("method", "row", "seed", "size", "recipe")}


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"model name\s*:\s*(.+)", told)
    return found.group(1) if found else platform.machine()


def _commit(home: Path) -> str:
    """The commit of a checkout, '' elsewhere."""
    try:
        told = subprocess.run(
            ["git", "-C", str(home), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip()
