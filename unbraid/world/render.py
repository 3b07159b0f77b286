"""Rendering a world into a tracklet folder, in parallel, once, and again from where it stopped."""

import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from itertools import groupby
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from threadpoolctl import threadpool_limits

from unbraid.data.sets.folder import read_origin
from unbraid.progress import track
from unbraid.world.config import WorldConfig
from unbraid.world.motion import MotionSource, Procedural
from unbraid.world.people.person import person
from unbraid.world.plan import Shot, plan, protocols
from unbraid.world.store import STAGING, camera_of, claim, complete, finished, outfit_of, save, write_tables

if TYPE_CHECKING:
    from unbraid.world.clothes.holding import Held
    from unbraid.world.sensors.picture import Actor

# Raised whenever the same config gives other pixels, so that old worlds are not continued with new code.
VERSION = 2


def _stopping() -> bool:
    """Whether the parent wants this process to stop; replaced in worker processes."""
    return False


def render(
    config: WorldConfig,
    out: Path,
    *,
    workers: int | None = None,
    motion: MotionSource | None = None,
    name: str = "world",
) -> Path:
    """The folder `out`, holding the world of `config` as a tracklet folder; see `store` for what else lies there.

    Equal configs give equal bytes for any number of workers. A finished world is returned at once; an interrupted one
    is continued, finished tracklets are kept. Only one process may render into a folder.

    workers: processes; all usable cores when absent. 1 renders in this process. More start fresh interpreters, so
    a script must call this under `if __name__ == "__main__":`.
    motion: how people move; procedural when absent, or recorded people (see `capture.open_motion`).
    name: what results call the benchmark.

    Raises ValueError when `out` is a file, holds something else or another world, or the motion lacks an action;
    OSError when it cannot be written; ChildProcessError when a worker process dies.

        from unbraid.world import WorldConfig, render
        render(WorldConfig(train_identities=10, test_identities=5), Path("world"))
    """
    out, motion = Path(out), motion or Procedural()
    count = _cores() if workers is None else workers
    if count < 1:
        raise ValueError(f"workers = {workers} must be at least 1; leave it out to use all cores")
    lacking = sorted(set(config.actions) - set(motion.actions))
    if lacking:
        raise ValueError(
            f"the source of motion knows {', '.join(motion.actions)}, but not {', '.join(lacking)}; name the actions "
            f"that the world shall have"
        )
    pixels = {"version": VERSION, "motion": motion.name, "config": json.loads(json.dumps(asdict(config)))}
    origin = {"name": name, "synthetic": True, **pixels, "protocols": protocols(config)}
    claim(out, pixels)
    shots = plan(config)
    missing = [shot for shot in shots if not finished(config, out, shot)]
    if not missing and complete(out) and read_origin(out) == origin:
        return out
    try:
        shutil.rmtree(out / STAGING, ignore_errors=True)
        tasks = [list(group) for _, group in groupby(missing, key=lambda shot: shot.place[:3])]
        _work(config, out, tasks, min(count, max(1, len(tasks))), motion)
        shutil.rmtree(out / STAGING, ignore_errors=True)
        write_tables(config, out, shots, origin)
    except ChildProcessError:
        raise
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot write the world into {out}: {error}. Finished tracklets are kept: free space or mend the "
            f"permissions and run the same command again",
        ) from error
    return out


def _work(config: WorldConfig, out: Path, tasks: Sequence[list[Shot]], workers: int, motion: MotionSource) -> None:
    """Render every task; each is the missing tracklets of one person in one outfit."""
    if workers == 1:
        with one_thread():
            for task in track(tasks, "rendering"):
                _render_task(config, out, task, motion)
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(stop,))
    try:
        futures: list[Future[None]] = [executor.submit(_render_task, config, out, task, motion) for task in tasks]
        for future in track(as_completed(futures), "rendering", total=len(futures)):
            future.result()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            f"a render process died, perhaps for lack of memory, or because a script calls this outside "
            f"`if __name__ == '__main__':`; finished tracklets are kept in {out}: run again with fewer workers"
        ) from error
    finally:
        # Also after Ctrl-C: workers ignore the signal, end their present tracklet and leave.
        with _patient():
            stop.set()
            executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread in OpenCV and in linear algebra, as in worker processes."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(before)


@contextmanager
def _patient() -> Iterator[None]:
    """No Ctrl-C meanwhile: a second one would tear down the queues that the workers still wait on, for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start_worker(stop: Event) -> None:
    """Set up a worker: no threads of its own, Ctrl-C left to the parent, and no life after the parent's death."""
    global _stopping
    _stopping = stop.is_set
    cv2.setNumThreads(1)
    threadpool_limits(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def leave() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=leave, daemon=True).start()


def _render_task(config: WorldConfig, out: Path, shots: Sequence[Shot], motion: MotionSource) -> None:
    """Render and store some shots of one person in one outfit."""
    from unbraid.world.sensors.picture import actor, record

    someone, worn = person(config, *shots[0].place[:2]), outfit_of(config, shots[0])
    actors: dict[Held, Actor] = {}
    for shot in shots:
        if _stopping():
            return
        if shot.held not in actors:
            actors[shot.held] = actor(config, someone, worn, shot.held)
        save(config, out, shot, record(config, actors[shot.held], camera_of(config, shot.camera), shot, motion))


def _cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
