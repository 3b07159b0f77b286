"""How fast the world is rendered: frames per second and core, gain of a second process, memory of a worker.

python benchmarks/world_render.py [--json FILE] [--outfits 8] [--repeats 3] [--sensors NAME ...]

A frame is one instant seen by every sensor of the row, from joint angles to files on disk. Compilation of the inner
loops happens before the clock starts; painting cameras, shaping people and dressing them does not. `frames/s` is wall
time on one core, `(cpu)` processor time, which other jobs on the machine disturb less; `2 workers` is the wall time
of one worker over that of two, start-up of the processes (2 to 3 s) included, so it grows with `--outfits`; `MB` the
largest resident memory of a worker.
"""

import argparse
import json
import multiprocessing
import platform
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from unbraid.world import WorldConfig, render

SENSORS = {
    "rgb": WorldConfig(modalities=("rgb",), masks=False),
    "rgb + mask": WorldConfig(modalities=("rgb",)),
    "silhouette + depth": WorldConfig(modalities=("silhouette", "depth"), height=128, width=64),
    "rgb + silhouette + depth": WorldConfig(modalities=("rgb", "silhouette", "depth")),
    "the same, 128 x 64": WorldConfig(modalities=("rgb", "silhouette", "depth"), height=128, width=64),
}


def peak(config: WorldConfig, out: Path, queue: Any) -> None:
    """Render in this process and say how much memory it took at most, megabytes."""
    render(config, out, workers=1)
    queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def memory(config: WorldConfig, out: Path) -> float:
    """Largest resident memory of a fresh process that renders a world, megabytes."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=peak, args=(config, out, queue))
    process.start()
    found = float(queue.get())
    process.join()
    return found


def measure(name: str, outfits: int, repeats: int) -> dict[str, Any]:
    """The best of `repeats` runs over 4 people in `outfits` outfits, 8 tracklets of 8 frames each."""
    config = replace(SENSORS[name], train_identities=2, test_identities=2, train_outfits=outfits, test_outfits=outfits)
    wall, processor, both = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        used_memory = memory(replace(config, train_identities=1, test_identities=1), place / "memory")
        for number in range(repeats + 1):
            start, used = time.perf_counter(), time.process_time()
            out = render(config, place / f"one{number}", workers=1)
            # The first run compiles or loads machine code.
            if number:
                wall.append(time.perf_counter() - start)
                processor.append(time.process_time() - used)
                start = time.perf_counter()
                render(config, place / f"two{number}", workers=2)
                both.append(time.perf_counter() - start)
        size = sum(path.stat().st_size for path in (out / "frames").rglob("*.*"))
    frames = config.total_frames
    return {
        "sensors": name,
        "height": config.height,
        "width": config.width,
        "frames": frames,
        "frames_per_second": frames / min(wall),
        "frames_per_second_cpu": frames / min(processor),
        "two_workers": min(wall) / min(both),
        "kilobytes_per_frame": size / frames / 1000,
        "megabytes": used_memory,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--outfits", type=int, default=8, help="outfits per person; more run longer")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs per row; the best one counts")
    parser.add_argument("--sensors", nargs="+", choices=SENSORS, default=list(SENSORS), help="rows to measure")
    arguments = parser.parse_args()
    print(f"{'sensors':<26}{'frames':>7}{'frames/s':>10}{'(cpu)':>8}{'2 workers':>11}{'kB/frame':>10}{'MB':>7}")
    rows = []
    for name in arguments.sensors:
        row = measure(name, arguments.outfits, arguments.repeats)
        rows.append(row)
        print(
            f"{name:<26}{row['frames']:>7}{row['frames_per_second']:>10.1f}{row['frames_per_second_cpu']:>8.1f}"
            f"{row['two_workers']:>10.2f}x{row['kilobytes_per_frame']:>10.1f}{row['megabytes']:>7.0f}",
            flush=True,
        )
    if arguments.json is not None:
        facts = {"benchmark": "world_render", "machine": platform.processor() or platform.machine(), "rows": rows}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
