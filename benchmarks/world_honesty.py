"""Whether the world is honest, and whether the audit would notice if it were not.

python benchmarks/world_honesty.py --out FOLDER [--people 120 100] [--role final]

SYNTHETIC people. Four worlds of the same settings are rendered and audited without any network:

    honest    world:clothes with every sensor, people walking
    one body  everyone has one body and one style of moving: in other clothes, silhouettes must be at chance
    cameras   the camera of 8 in 10 tracklets is decided by who is seen: the audit must say so
    clothes   half of the outfits look like the person's first one: the audit must say so

Finished worlds and audits are kept in FOLDER.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from unbraid.audit import SLACK, as_text, audit, failures
from unbraid.world import WorldConfig, named_world, render

# what must be heard in a dishonest world
ALARMS = {
    "cameras": ("background under plain@1", "camera and identity"),
    "clothes": ("colour under clothes-change@1", "colour under one-clothes-change@1"),
}


def worlds(role: str, people: tuple[int, int]) -> dict[str, WorldConfig]:
    """The four worlds by name."""
    honest = replace(
        named_world(f"clothes/small/{role}").config,
        train_identities=people[0],
        test_identities=people[1],
        modalities=("rgb", "silhouette", "depth"),
        walking=1.0,
        appearance_identity=0.0,
    )
    return {
        "honest": honest,
        "one body": replace(honest, same_body=True, same_style=True),
        "cameras": replace(honest, camera_leak=0.8),
        "clothes": replace(honest, clothes_leak=0.5),
    }


def verdict(name: str, table: pd.DataFrame) -> str:
    """What must be seen in this world, and whether it was."""
    if name == "honest":
        return "honest" if not failures(table) else "NOT honest: " + "; ".join(failures(table))
    if name in ALARMS:
        caught = [row for row in failures(table) if row.startswith(ALARMS[name])]
        rung = {alarm for alarm in ALARMS[name] if any(row.startswith(alarm) for row in caught)}
        return f"caught: {'; '.join(caught)}" if rung == set(ALARMS[name]) else f"NOT caught: {caught}"
    shapes = table[table["feature"].str.contains("silhouette|depth") & table["protocol"].eq("one-clothes-change@1")]
    high = shapes[shapes["low"] > SLACK * shapes["chance"]]
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
