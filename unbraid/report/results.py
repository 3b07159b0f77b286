"""What an experiment on the built-in world found: values by row, gains with intervals, and the claims of papers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from unbraid.evidence import Claim, Evidence, evidence_of
from unbraid.experiment import QUERIES
from unbraid.files import write_text
from unbraid.intervals import bootstrap
from unbraid.report.results_page import CLAIMS, claims_picture, index, page

Lines = Sequence[Mapping[str, Any]]


def write_results(lines: Lines, out: Path, pages: Path) -> dict[str, dict[str, Any]]:
    """Write METHOD.md, METHOD.json (what was found) and METHOD.jsonl (a line per run) for every method that lines of
    `reproduce` speak of, index.md and claims.png.

    out: where the runs lie, for differences query by query. Returns what was found, by method (see `summary`).
    """
    pages.mkdir(parents=True, exist_ok=True)
    found = {}
    for method in dict.fromkeys(line["method"] for line in lines):
        own = [line for line in lines if line["method"] == method]
        found[method] = summary(method, own, out)
        write_text(pages / f"{method}.json", json.dumps(found[method], indent=1) + "\n")
        write_text(pages / f"{method}.jsonl", "".join(json.dumps(line) + "\n" for line in own))
        write_text(pages / f"{method}.md", page(found[method]) + "\n")
    write_text(pages / "index.md", index(list(found.values())) + "\n")
    picture = claims_picture(list(found.values()))
    if picture:
        (pages / CLAIMS).write_bytes(picture.png)
    else:
        (pages / CLAIMS).unlink(missing_ok=True)
    return found


def summary(method: str, lines: Lines, out: Path) -> dict[str, Any]:
    """Values of every row and seed, gains of the first row over each other, and claims."""
    evidence = evidence_of(method)
    rows = [_row(title, [line for line in lines if line["row"] == title], evidence) for title in evidence.titles]
    first = next(iter(evidence.rows))
    gains = [
        {"over": title, "protocol": protocol, **found}
        for title in evidence.titles
        for protocol in evidence.protocols
        if title != first and (found := gain(lines, out, first, title, protocol))
    ]
    return {
        "method": method,
        "synthetic": True,
        "world": lines[0]["world"],
        "labels": list(evidence.labels),
        "protocols": list(evidence.protocols),
        "chance": {name: lines[0]["results"][name]["rank_1_chance"] for name in evidence.protocols},
        "rows": [row for row in rows if row["seeds"]],
        "gains": gains,
        "claims": [_checked(claim, lines, out) for claim in evidence.claims],
        "machines": _machines(lines),
    }


def gain(
    lines: Lines,
    out: Path,
    better: str,
    than: str,
    protocol: str,
    among: tuple[str, tuple[str, ...]] | None = None,
) -> dict[str, Any]:
    """Rank-1 and mAP of one row minus another's on the same queries, in points; {} before both have a common seed.

    among: a label and the values that queries must have.

    The interval (95 %) draws test identities with all their queries and seeds; it does not cover other training people
    or seeds, so each seed's own difference in rank-1 is told beside it.
    """
    tables = {}
    for seed in sorted({line["seed"] for line in lines}):
        sides = [_queries(lines, out, title, seed, protocol) for title in (better, than)]
        if sides[0] is not None and sides[1] is not None:
            both = sides[0].join(sides[1].add_suffix(" other"))
            tables[seed] = both if among is None else both[both[among[0]].isin(among[1])]
    # recorded people may do other things than those asked for
    tables = {seed: table for seed, table in tables.items() if len(table)}
    if not tables:
        return {}
    both = pd.concat(tables, names=["seed"])
    people, weights = both["identity"].factorize()[0].astype(np.int64), both["weight"].to_numpy(dtype=float)
    found: dict[str, Any] = {"seeds": list(tables), "identities": int(people.max()) + 1}
    for name, title in (("right", "rank_1"), ("ap", "mean_ap")):
        points = 100 * (both[name] - both[f"{name} other"]).to_numpy(dtype=float)
        found[title] = [float(np.average(points, weights=weights)), *bootstrap(points, people, seed=0, weights=weights)]
    each = [100 * (table["right"] - table["right other"]) for table in tables.values()]
    found["rank_1_by_seed"] = [
        float(np.average(points, weights=table["weight"])) for points, table in zip(each, tables.values(), strict=True)
    ]
    return found


def _row(title: str, lines: Lines, evidence: Evidence) -> dict[str, Any]:
    """Values of every seed of a row."""
    row: dict[str, Any] = {"row": title, "recipe": evidence.rows.get(title), "seeds": [line["seed"] for line in lines]}
    row["results"] = {
        name: {measure: [line["results"][name][measure] for line in lines] for measure in ("rank_1", "mean_ap")}
        for name in evidence.protocols
    }
    first: Mapping[str, Any] = lines[0] if lines else {"spaces": {}, "by": {}, "bias": {}}
    row["spaces"] = {space: [line["spaces"][space]["rank_1"] for line in lines] for space in first["spaces"]}
    row["by"] = {
        name: {
            label: {value: [line["by"][name][label][value] for line in lines] for value in found}
            for label, found in labels.items()
        }
        for name, labels in first["by"].items()
    }
    row["bias"] = {
        label: {name: [line["bias"][label][name] for line in lines] for name in ("share", "chance")}
        for label in first["bias"]
    }
    row["probes"] = {label: [_probe(line, label) for line in lines] for label in evidence.labels}
    row["minutes"] = [line["train_seconds"] / 60 for line in lines if line["train_seconds"] is not None]
    return row


def _probe(line: Mapping[str, Any], label: str) -> dict[str, Any] | None:
    """Score and chance of the linear probe on the identity space, None where there is no claim."""
    for probe in line["probes"]:
        # who someone is: the nearest other item, since a linear probe has to see these very people first
        asked = "nearest" if label == "identity" else "linear"
        if probe["space"] == "identity" and probe["label"] == label and probe["probe"] == asked:
            return {name: probe[name] for name in ("score", "chance")} if probe["score"] is not None else None
    return None


def _checked(claim: Claim, lines: Lines, out: Path) -> dict[str, Any]:
    """What was found of a claim. It agrees or is contradicted where the interval leaves zero out and no seed says the
    opposite; else it is undecided. A single seed decides nothing."""
    told: dict[str, Any] = {"says": claim.says, "source": claim.source, "better": claim.better, "than": claim.than}
    if claim.label:
        pairs = [
            [_score(lines, title, seed, claim.label) for title in (claim.than, claim.better)]
            for seed in sorted({line["seed"] for line in lines})
        ]
        each = [100 * (worse - better) for worse, better in pairs if worse is not None and better is not None]
        found = _over_seeds(each)
        told["measure"] = f"{claim.label} read from identity, points less"
    else:
        difference = gain(lines, out, claim.better, claim.than, claim.protocol, claim.among)
        found, each = difference.get("rank_1", []), difference.get("rank_1_by_seed", [])
        some = f" of {', '.join(claim.among[1])}" if claim.among else ""
        told["measure"] = f"rank-1 in {claim.protocol}{some}, points more"
    verdict = "undecided" if found else "not run"
    if len(each) == 1:
        verdict = "one seed"
    elif found and found[1] > 0 and min(each) > 0:
        verdict = "agrees"
    elif found and found[2] < 0 and max(each) < 0:
        verdict = "contradicts"
    return {**told, "found": found, "by_seed": each, "verdict": verdict}


def _score(lines: Lines, title: str, seed: int, label: str) -> float | None:
    for line in lines:
        if line["row"] == title and line["seed"] == seed:
            probe = _probe(line, label)
            return probe["score"] if probe else None
    return None


def _over_seeds(points: Sequence[float]) -> list[float]:
    """Mean with the 95 % interval of Student's t over seeds; [] for fewer than two."""
    if len(points) < 2:
        return []
    half = float(stats.t.ppf(0.975, len(points) - 1) * np.std(points, ddof=1) / len(points) ** 0.5)
    middle = float(np.mean(points))
    return [middle, middle - half, middle + half]


def _queries(lines: Lines, out: Path, title: str, seed: int, protocol: str) -> pd.DataFrame | None:
    for line in lines:
        if line["row"] == title and line["seed"] == seed and (out / line["run"] / QUERIES).is_file():
            table = pd.read_parquet(out / line["run"] / QUERIES, filters=[("protocol", "==", protocol)])
            return table.drop(columns="protocol").set_index("key") if len(table) else None
    return None


def _machines(lines: Lines) -> list[dict[str, Any]]:
    """Different machines and commits, with how many runs each made."""
    seen = [json.dumps(line["machine"], sort_keys=True) for line in lines]
    return [{**json.loads(one), "runs": seen.count(one)} for one in dict.fromkeys(seen)]
