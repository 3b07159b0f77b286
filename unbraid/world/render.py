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
from functools import lru_cache
from itertools import groupby
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import pandas as pd

from unbraid.data.sets.folder import INDEX, save_frames, save_index
from unbraid.progress import track
from unbraid.world.config import WorldConfig
from unbraid.world.motion import MotionSource, walk
from unbraid.world.people import TEST, TRAIN, factors, person
from unbraid.world.plan import Shot, labels, plan
from unbraid.world.seeds import Purpose, stream
from unbraid.world.wardrobe import draw_outfit

if TYPE_CHECKING:
    from unbraid.world.camera import Camera

# Raised whenever the same config gives other pixels, so that old worlds are not continued with new code.
VERSION = 1
PLAN = "world.json"
IDENTITIES = "identities.parquet"
OUTFITS = "outfits.parquet"
STAGING = ".unfinished"


def _stopping() -> bool:
    """Whether the parent wants this process to stop; replaced in worker processes."""
    return False


def render(config: WorldConfig, out: Path, *, workers: int | None = None, motion: MotionSource = walk) -> Path:
    """The folder `out`, holding the world of `config` as a tracklet folder (see `data.sets.folder`).

    Beside the index stand identities.parquet (body, words and style of every person) and outfits.parquet (every
    factor of every outfit). Equal configs give equal bytes for any number of workers. A finished world is
    returned at once; an interrupted one is continued, finished tracklets are kept. Only one process may render
    into a folder.

    workers: processes; all usable cores when absent. 1 renders in this process. More start fresh interpreters, so
    a script must call this under `if __name__ == "__main__":`.
    motion: how people move, a function that can be imported by name.

    Raises ValueError when `out` is a file, holds something else or another world; OSError when it cannot be
    written; ChildProcessError when a worker process dies.

        from unbraid.world import WorldConfig, render
        render(WorldConfig(train_identities=10, test_identities=5), Path("world"))
    """
    out = Path(out)
    count = _cores() if workers is None else workers
    if count < 1:
        raise ValueError(f"workers = {workers} must be at least 1; leave it out to use all cores")
    _claim(out, config, motion)
    shots = plan(config)
    missing = [shot for shot in shots if not _finished(out, shot, config.frames)]
    if not missing and (out / INDEX).is_file():
        return out
    try:
        shutil.rmtree(out / STAGING, ignore_errors=True)
        tasks = [list(group) for _, group in groupby(missing, key=lambda shot: shot.place[:3])]
        _work(config, out, tasks, min(count, max(1, len(tasks))), motion)
        shutil.rmtree(out / STAGING, ignore_errors=True)
        _write_tables(config, out)
        save_index(out, [_row(config, out, shot) for shot in shots], _origin(config, motion))
    except ChildProcessError:
        raise
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot write the world into {out}: {error}. Finished tracklets are kept: free space or mend the "
            f"permissions and run the same command again",
        ) from error
    return out


def _claim(out: Path, config: WorldConfig, motion: MotionSource) -> None:
    """Make the folder and write down which world it is for, or check that it is already for this one."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; name a folder for the world")
    mark, wanted = out / PLAN, _origin(config, motion)
    if mark.is_file():
        found = _read_plan(mark)
        if found != wanted:
            raise ValueError(
                f"{out} holds another world ({_difference(found, wanted)}); choose another folder, or delete this one "
                f"to render it anew"
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and holds no world; choose a new or empty folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        unfinished = mark.with_suffix(".part")
        unfinished.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        os.replace(unfinished, mark)
    except OSError as error:
        raise OSError(error.errno, f"cannot write into {out}: {error}; choose a folder that can be written") from error


def _read_plan(mark: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(mark.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{mark} is not valid JSON ({error}); delete the folder and render it anew") from error
    return found


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Names of what differs, with both values."""
    old, new = ({**world, **world.get("config", {})} for world in (found, wanted))
    names = [n for n in sorted(old.keys() | new.keys()) if n != "config" and old.get(n) != new.get(n)]
    return ", ".join(f"{name} is {old.get(name)!r} there, {new.get(name)!r} asked" for name in names[:4])


def _origin(config: WorldConfig, motion: MotionSource) -> dict[str, Any]:
    """What origin.json says: everything that decides the pixels."""
    name = f"{getattr(motion, '__module__', '?')}.{getattr(motion, '__qualname__', type(motion).__qualname__)}"
    return {"name": "world", "synthetic": True, "version": VERSION, "motion": name, "config": asdict(config)}


def _finished(out: Path, shot: Shot, frames: int) -> bool:
    """Whether all frames of the tracklet are there; folders appear whole, so only deletions leave gaps."""
    try:
        with os.scandir(out / "frames" / shot.key) as found:
            return sum(entry.stat().st_size > 0 for entry in found) == frames
    except FileNotFoundError:
        return False


def _work(config: WorldConfig, out: Path, tasks: Sequence[list[Shot]], workers: int, motion: MotionSource) -> None:
    """Render every task; each is the missing tracklets of one person in one outfit."""
    if workers == 1:
        with _one_thread():
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
            f"a render process died, perhaps for lack of memory; finished tracklets are kept in {out}: "
            f"run again with fewer workers"
        ) from error
    finally:
        # Also after Ctrl-C: workers ignore the signal, end their present tracklet and leave.
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV without its own threads, as in worker processes."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _start_worker(stop: Event) -> None:
    """Set up a worker: no threads of its own, Ctrl-C left to the parent, and no life after the parent's death."""
    global _stopping
    _stopping = stop.is_set
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def leave() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=leave, daemon=True).start()


def _render_task(config: WorldConfig, out: Path, shots: Sequence[Shot], motion: MotionSource) -> None:
    """Render and store some tracklets of one person in one outfit."""
    from unbraid.world.picture import actor, pictures

    group, number, outfit, _ = shots[0].place
    who = actor(config, person(config, group, number), draw_outfit(config, group, number, outfit))
    for shot in shots:
        if _stopping():
            return
        random = stream(config.seed, Purpose.CLIP, *shot.place)
        images = pictures(config, who, _camera(config, shot.camera), shot.view, random, motion)
        # A folder is moved into place whole: what lies under frames/ is always complete.
        save_frames(out / STAGING, shot.key, images, quality=config.jpeg_quality)
        goal = out / "frames" / shot.key
        if goal.exists():
            shutil.rmtree(goal)
        goal.parent.mkdir(exist_ok=True)
        os.replace(out / STAGING / "frames" / shot.key, goal)


@lru_cache(maxsize=128)
def _camera(config: WorldConfig, number: int) -> "Camera":
    """Cameras are painted once per process."""
    from unbraid.world.camera import camera

    return camera(config, number)


def _row(config: WorldConfig, out: Path, shot: Shot) -> dict[str, Any]:
    """The index row of a rendered tracklet."""
    names = sorted(f"frames/{shot.key}/{name}" for name in os.listdir(out / "frames" / shot.key))
    fixed = {"key": shot.key, "split": shot.split, "modality": "rgb", "identity": shot.identity, "frames": names}
    return {**fixed, **labels(config, shot)}


def _write_tables(config: WorldConfig, out: Path) -> None:
    """The factors of every person and every outfit."""
    people, clothes = [], []
    for group, count, outfits in (
        (TRAIN, config.train_identities, config.train_outfits),
        (TEST, config.test_identities, config.test_outfits),
    ):
        for number in range(count):
            someone = person(config, group, number)
            people.append(factors(someone))
            for outfit in range(outfits):
                name = f"{someone.identity}-o{outfit}"
                worn = asdict(draw_outfit(config, group, number, outfit))
                clothes.append({"clothes": name, "identity": someone.identity, **worn})
    for name, rows in ((IDENTITIES, people), (OUTFITS, clothes)):
        unfinished = out / (name + ".part")
        pd.DataFrame(rows).to_parquet(unfinished, index=False)
        os.replace(unfinished, out / name)


def _cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
