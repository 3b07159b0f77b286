"""Milliseconds of the world's sensors on one core: laser scan and depth map, silhouette and its faults.

python benchmarks/world_sensors.py [--json FILE] [--repeats 300]

The mesh is the body of the world at rest (about 14,000 vertices, 27,000 triangles); the mask is 256 x 128 with a
person-like shape. Compilation happens before the clock starts; the median of the repeats counts.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unbraid.world.people.body import body_model
from unbraid.world.sensors.lidar import Scanner, depth_map, scan
from unbraid.world.sensors.silhouette import draw_faults, normalised, segmented


def milliseconds(work: Callable[[], Any], repeats: int) -> float:
    """The median time of one call."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def measure(repeats: int) -> dict[str, float]:
    """Milliseconds by name."""
    random, model = np.random.default_rng(0), body_model()
    points = model.mean[: model.vertex_count].astype(np.float32)
    points[:, 2] -= points[:, 2].min()
    rows: dict[str, float] = {}
    for distance in (6.0, 10.0, 25.0):
        scanner = Scanner(distance=distance, height=1.4, beam_offset=0.3, azimuth_offset=0.7)
        eye, forward = scanner.stand(0.6)
        cloud = scan(points, model.faces, eye, forward, scanner, random).cloud
        name = f"{distance:g} m, {len(cloud)} points"

        def one_scan(eye: Any = eye, forward: Any = forward, scanner: Scanner = scanner) -> Any:
            return scan(points, model.faces, eye, forward, scanner, random)

        def one_map(cloud: Any = cloud) -> Any:
            return depth_map(cloud)

        rows[f"scan at {name}"] = milliseconds(one_scan, repeats)
        rows[f"depth map at {name}"] = milliseconds(one_map, repeats)
    mask = np.zeros((256, 128), np.uint8)
    cv2.ellipse(mask, (64, 90), (26, 60), 0, 0, 360, 1, -1)
    cv2.circle(mask, (64, 28), 14, 1, -1)
    for x in (50, 66):
        cv2.rectangle(mask, (x, 130), (x + 14, 242), 1, -1)
    rows["normalised silhouette"] = milliseconds(lambda: normalised(mask), repeats)
    for night in (False, True):
        faults = draw_faults(1.0, np.random.default_rng(1), night=night)
        name = "faults at night" if night else "faults by day"

        def one_mask(faults: Any = faults) -> Any:
            return segmented(mask > 0, faults, random)

        rows[name] = milliseconds(one_mask, repeats)
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--repeats", type=int, default=300, help="timed calls each")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows = measure(arguments.repeats)
    for name, value in rows.items():
        print(f"{name:<32} {value:>7.3f} ms")
    if arguments.json is not None:
        facts = {"benchmark": "world_sensors", "machine": platform.processor() or platform.machine(), "rows": rows}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
