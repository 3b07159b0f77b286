"""How well the feet of synthetic people stand on the ground, action by action.

python benchmarks/world_feet.py [--people 20] [--motion PATH] [--json FILE]

Random bodies and styles move for two seconds at 60 poses per second. A foot bears while its lowest point is within
5 mm of the ground. Columns: `skating`, mean and 95th percentile of the speed of a bearing foot over the ground; `slip`,
what that adds up to per stance; `sunk`, deepest point under the ground of all people; `floating`, mean height of the
lowest point where somebody should stand; `speed` of the person. All of it of shoes as they are drawn, not of the
points that the pose steers by.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unbraid.progress import track
from unbraid.world import WorldConfig
from unbraid.world.clothes.garments import Costume, dress
from unbraid.world.clothes.wardrobe import draw_outfit
from unbraid.world.motion import MotionSource, Procedural
from unbraid.world.motion.quality import feet
from unbraid.world.people.person import TEST, Person, person
from unbraid.world.people.pose import bone_matrices, sole_points
from unbraid.world.people.skeleton import INDEX

RATE, SECONDS = 60, 2
# points of a shoe this near to its lowest one belong to the sole, metres
SOLE = 0.05


def dressed(config: WorldConfig, number: int) -> tuple[Person, Costume, Costume, NDArray[np.intp]]:
    """A person, the costume, the same with every low point of the shoes as its soles, and whose foot each is."""
    someone, outfit = person(config, TEST, number), draw_outfit(config, TEST, number, 0)
    costume = dress(someone.shape, outfit, skin=someone.skin, hair=someone.hair)
    owner = costume.bone_index[np.arange(len(costume.points)), costume.bone_weight.argmax(1)]
    shoe = np.flatnonzero(np.isin(owner, [INDEX["left_foot"], INDEX["right_foot"]]))
    low = shoe[costume.points[shoe, 2] < costume.points[shoe, 2].min() + SOLE]
    return someone, costume, replace(costume, soles=low), (owner[low] == INDEX["right_foot"]).astype(np.intp)


def measure(action: str, source: MotionSource, people: int) -> dict[str, Any]:
    """The row of one action."""
    config = WorldConfig(seed=3)
    times = (np.arange(RATE * SECONDS + 1) - RATE * SECONDS / 2) / RATE
    found, speeds = [], []
    for number in range(people):
        someone, costume, drawn, foot = dressed(config, number)
        motion = source(someone.style, times, np.random.default_rng(number), action=action, session=number % 2)
        matrices = bone_matrices(someone.shape, costume, motion)
        flying = None if motion.lift is None else motion.lift > 0.002
        found.append(feet(sole_points(drawn, matrices), foot, RATE, flying=flying))
        root = matrices[:, 0, :, :3] @ someone.shape.joints[0] + matrices[:, 0, :, 3]
        speeds.append(float(np.linalg.norm((root[-1] - root[0])[:2])) / SECONDS)
    return {
        "action": action,
        "skating": float(np.mean([q.skating for q in found])),
        "skating_95": float(np.mean([q.skating_95 for q in found])),
        "slip": float(np.mean([q.slip for q in found])),
        "sunk": float(np.max([q.penetration_worst for q in found])),
        "floating": float(np.mean([q.floating for q in found])),
        "speed": float(np.mean(speeds)),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20, help="random bodies and styles")
    parser.add_argument("--motion", type=Path, help="recorded motion instead of procedural")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    source: MotionSource = Procedural()
    if arguments.motion is not None:
        from unbraid.world.capture import open_motion

        source = open_motion(arguments.motion)
    print(f"SYNTHETIC people, motion {source.name}")
    print(f"{'action':<18}{'skating':>9}{'95 %':>7} cm/s{'slip':>7} cm{'sunk':>7}{'floating':>10} mm{'speed':>8} m/s")
    rows = []
    for action in track(source.actions, "moving"):
        row = measure(action, source, arguments.people)
        rows.append(row)
        print(
            f"{action:<18}{100 * row['skating']:>9.2f}{100 * row['skating_95']:>7.1f}     {100 * row['slip']:>7.2f}   "
            f"{1000 * row['sunk']:>7.1f}{1000 * row['floating']:>10.1f}   {row['speed']:>8.2f}",
            flush=True,
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"motion": source.name, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
