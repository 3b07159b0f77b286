"""Whether the world is honest, and whether the audit would notice if it were not.

python benchmarks/world_honesty.py --out FOLDER [--people 120 100] [--role final]

SYNTHETIC people. Three worlds of the same settings are rendered and audited without any network:

    honest    world:clothes with every sensor, people walking
    one body  everyone has one body and one style of moving: in other clothes, silhouettes must be at chance
    leaky     the camera of 8 in 10 tracklets is decided by who is seen: the audit must say so

Finished worlds and audits are kept in FOLDER.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from unbraid.audit import as_text, audit, failures
from unbraid.world import WorldConfig, named_world, render


def worlds(role: str, people: tuple[int, int]) -> dict[str, WorldConfig]:
    """The three worlds by name."""
    honest = replace(
        named_world(f"clothes/small/{role}").config,
        train_identities=people[0],
        test_identities=people[1],
        modalities=("rgb", "silhouette", "depth"),
        walking=1.0,
    )
    return {
        "honest": honest,
        "one body": replace(honest, same_body=True, same_style=True, appearance_identity=0.0),
        "leaky": replace(honest, camera_leak=0.8),
    }


def verdict(name: str, table: pd.DataFrame) -> str:
    """What must be seen in this world, and whether it was."""
    if name == "honest":
        return "honest" if not failures(table) else "NOT honest: " + "; ".join(failures(table))
    if name == "leaky":
        caught = [row for row in failures(table) if row.startswith(("background", "camera"))]
        return f"caught: {'; '.join(caught)}" if len(caught) == 2 else "NOT caught"
    shapes = table[table["feature"].str.contains("silhouette|depth") & table["protocol"].eq("one-clothes-change@1")]
    high = shapes[shapes["low"] > shapes["chance"] + 0.01]
    return "at chance" if high.empty else f"NOT at chance: {high['feature'].tolist()}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for worlds and audits")
    parser.add_argument("--people", type=int, nargs=2, default=(120, 100), help="training and test people")
    parser.add_argument("--role", choices=("dev", "final"), default="final")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for name, config in worlds(arguments.role, tuple(arguments.people)).items():
        path = arguments.out / f"{name.replace(' ', '-')}.parquet"
        if not path.is_file():
            root = render(config, arguments.out / f"world-{name.replace(' ', '-')}")
            audit(root).to_parquet(path, index=False)
        table = pd.read_parquet(path)
        print(f"== {name}\n{as_text(table)}\n-> {verdict(name, table)}\n", flush=True)
        found[name] = {"verdict": verdict(name, table), "rows": json.loads(table.to_json(orient="records"))}
    (arguments.out / "honesty.json").write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
