"""How many frames per second one core renders, from joint angles to JPEG files on disk.

python benchmarks/world_render.py [--json FILE] [--outfits 4] [--repeats 3]

Compilation of the inner loops happens before the clock starts; painting cameras, shaping people and dressing them does
not. `frames/s` is wall time, `frames/s (cpu)` is processor time, which other jobs on the machine disturb less.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from unbraid.world import WorldConfig, render

SIZES = ((256, 128), (128, 64))


def measure(height: int, width: int, outfits: int, repeats: int) -> dict[str, Any]:
    """The best of `repeats` runs over 3 people in `outfits` outfits, 8 tracklets of 8 frames each."""
    config = WorldConfig(
        train_identities=2,
        test_identities=1,
        train_outfits=outfits,
        test_outfits=outfits,
        height=height,
        width=width,
    )
    wall, processor = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repeats + 1):
            start, used = time.perf_counter(), time.process_time()
            out = render(config, Path(folder) / str(number), workers=1)
            # The first run compiles or loads machine code.
            if number:
                wall.append(time.perf_counter() - start)
                processor.append(time.process_time() - used)
        size = sum(path.stat().st_size for path in (out / "frames").rglob("*.jpg"))
    frames = config.total_frames
    return {
        "height": height,
        "width": width,
        "frames": frames,
        "frames_per_second": frames / min(wall),
        "frames_per_second_cpu": frames / min(processor),
        "kilobytes_per_frame": size / frames / 1000,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--outfits", type=int, default=4, help="outfits per person; more run longer")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs per size; the best one counts")
    arguments = parser.parse_args()
    print(f"{'size':>9} {'frames':>7} {'frames/s':>9} {'frames/s (cpu)':>15} {'kB/frame':>9}   one core")
    rows = []
    for height, width in SIZES:
        row = measure(height, width, arguments.outfits, arguments.repeats)
        rows.append(row)
        print(
            f"{height:>5}x{width:<3} {row['frames']:>7} {row['frames_per_second']:>9.1f} "
            f"{row['frames_per_second_cpu']:>15.1f} {row['kilobytes_per_frame']:>9.1f}"
        )
    if arguments.json is not None:
        facts = {"benchmark": "world_render", "machine": platform.processor() or platform.machine(), "rows": rows}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
