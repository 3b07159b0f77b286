"""Every method's evidence on the built-in world, several seeds each; finished runs are never made again.

OUT/results.jsonl has one line per finished run; see `experiment` for what else lies there. Pages are written from these
by `report.results`.
"""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

from unbraid.evidence import evidence_of, find_evidence
from unbraid.experiment import Job, Setting, key_of, run
from unbraid.method import available
from unbraid.progress import console, track

RESULTS = "results.jsonl"
# of the rows that claims rest on most, and of all others
HEADLINE_SEEDS, OTHER_SEEDS = 5, 3


def reproduce(
    out: Path,
    *,
    methods: Sequence[str] = (),
    setting: Setting | None = None,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    jobs: int = 1,
) -> list[dict[str, Any]]:
    """Results of every row and seed, those of earlier calls included; new ones are appended to OUT/results.jsonl.

    methods, rows: all that have evidence when none is named. setting: of the worlds; small ones for reporting where it
    is None. seeds: instead of 1 to 5 for headlines and 1 to 3 for other rows. Sweeps and what does not learn get the
    first one alone, unless rows name them; sweeps that no row names are made on full worlds only.
    jobs: processes, each with one thread.
    Raises KeyError for an unknown method or row and ValueError for a method without evidence.
    """
    out, setting = Path(out), setting or Setting()
    chosen = list(methods) or [name for name in available() if find_evidence(name)]
    plan = planned(chosen, setting, rows, seeds)
    found = finished(out)
    wanted = [job.key for job in plan]
    known = [key_of(line) for line in found]
    left = [job for job in plan if job.key not in known]
    if left:
        console.print(f"{len(plan)} runs, {len(left)} to go, in {out}")
    for kind in dict.fromkeys(job.evidence.kind for job in left):
        setting.render(kind, out)
    # derived rows need the runs of others
    stages = [[job for job in left if (job.base is None) is trained] for trained in (True, False)]
    lines = (line for stage in stages for line in _done(stage, out, jobs))
    for line in track(lines, "runs", total=len(left)):
        with (out / RESULTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        found.append(line)
    return [line for line in found if key_of(line) in wanted]


def planned(methods: Sequence[str], setting: Setting, rows: Sequence[str], seeds: Sequence[int]) -> list[Job]:
    """All runs, so ordered that every row has a result before any has a second one. Derived rows bring what they are
    derived from. Raises as `reproduce`.
    """
    known = [row for method in methods for row in evidence_of(method).titles]
    lacking = [row for row in rows if row not in known]
    if lacking:
        raise KeyError(f"no row {lacking[0]!r}; {', '.join(methods)} have {', '.join(dict.fromkeys(known))}")
    plan: list[Job] = []
    for number, seed in enumerate(seeds or range(1, HEADLINE_SEEDS + 1)):
        for method in methods:
            evidence = evidence_of(method)
            for row in rows or evidence.titles:
                enough = len(seeds) or (HEADLINE_SEEDS if row in evidence.headlines else OTHER_SEEDS)
                if not rows and row in (*evidence.sweeps, *evidence.references):
                    enough = 1 if row in evidence.references or setting.size == "full" else 0
                if row in evidence.titles and number < enough:
                    job = Job(method, row, seed, setting)
                    plan += [job] if job.base is None else [job.base, job]
    return list(dict.fromkeys(plan))


def current(out: Path, setting: Setting) -> list[dict[str, Any]]:
    """Lines of all finished runs on a setting's worlds that would be made the same way today.

    Raises KeyError for a method that is no longer there.
    """
    found = []
    for line in finished(out):
        if line["row"] in evidence_of(line["method"]).titles:
            job = Job(line["method"], line["row"], line["seed"], setting)
            if job.key == key_of(line):
                found.append(line)
    return found


def finished(out: Path) -> list[dict[str, Any]]:
    """Lines of earlier calls. Raises ValueError for a file that is not JSON lines."""
    path = Path(out) / RESULTS
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); remove its last line and run again") from error


def _done(jobs: Sequence[Job], out: Path, processes: int) -> Iterator[dict[str, Any]]:
    """Results as they come. A process is started afresh for every job, so that memory stays bounded."""
    if not jobs:
        return
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_started, max_tasks_per_child=1
    ) as pool:
        waiting = [pool.submit(run, job, out) for job in jobs]
        try:
            for one in as_completed(waiting):
                yield one.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _started() -> None:
    """One thread for computing, in numpy too; and an end when whoever asked was killed."""
    import cv2
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threadpool_limits(1)
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
