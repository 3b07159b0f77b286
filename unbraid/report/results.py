"""Pages of an experiment on the built-in world: one table per method, gains with intervals, and its claims."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from unbraid.evidence import Claim, Evidence
from unbraid.files import write_text
from unbraid.intervals import bootstrap
from unbraid.reproduce import Job, evidence_of

Lines = Sequence[Mapping[str, Any]]


def write_results(lines: Lines, out: Path, pages: Path) -> dict[str, dict[str, Any]]:
    """Write METHOD.md and METHOD.json for every method that the lines of `reproduce` speak of, and index.md.

    out: where the runs lie, for differences query by query. Returns what was found, by method (see `summary`).
    """
    pages.mkdir(parents=True, exist_ok=True)
    found, told = {}, []
    for method in dict.fromkeys(line["method"] for line in lines):
        own = [line for line in lines if line["method"] == method]
        found[method] = summary(method, own, out)
        write_text(pages / f"{method}.json", json.dumps({**found[method], "runs": own}, indent=1) + "\n")
        write_text(pages / f"{method}.md", page(found[method]) + "\n")
        told += [{"method": method, **claim} for claim in found[method]["claims"]]
    write_text(pages / "index.md", _index(told) + "\n")
    return found


def summary(method: str, lines: Lines, out: Path) -> dict[str, Any]:
    """Means and deviations over seeds, gains of the first row over each other, and claims."""
    evidence = evidence_of(method)
    rows = [_row(title, [line for line in lines if line["row"] == title], evidence) for title in evidence.rows]
    first = next(iter(evidence.rows))
    gains = [
        {"over": title, "protocol": protocol, **found}
        for title in list(evidence.rows)[1:]
        for protocol in evidence.protocols
        if (found := gain(lines, out, first, title, protocol))
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


def gain(lines: Lines, out: Path, better: str, than: str, protocol: str) -> dict[str, Any]:
    """Rank-1 and mAP of one row minus another's on the same queries, in points; {} before both have a common seed.

    The interval (95 %) draws test identities with all their queries and seeds; it does not cover other training people.
    """
    tables = []
    for seed in sorted({line["seed"] for line in lines}):
        sides = [_queries(lines, out, title, seed, protocol) for title in (better, than)]
        if sides[0] is not None and sides[1] is not None:
            tables.append(sides[0].join(sides[1].add_suffix(" other")))
    if not tables:
        return {}
    both = pd.concat(tables)
    people, weights = both["identity"].factorize()[0].astype(np.int64), both["weight"].to_numpy(dtype=float)
    found: dict[str, Any] = {"seeds": len(tables), "identities": int(people.max()) + 1}
    for name, title in (("right", "rank_1"), ("ap", "mean_ap")):
        points = 100 * (both[name] - both[f"{name} other"]).to_numpy(dtype=float)
        found[title] = [float(np.average(points, weights=weights)), *bootstrap(points, people, seed=0, weights=weights)]
    return found


def page(found: Mapping[str, Any]) -> str:
    """The Markdown page of a method."""
    parts = [
        f"# {found['method']} on {found['world']}",
        "**Synthetic people; nothing here says anything about real ones.** Mean and standard deviation over seeds, in "
        f"per cent. `unbraid reproduce --methods {found['method']}` makes this page.",
        _markdown(_results_table(found)),
        "What a linear probe reads from the identity space of people it has not seen (balanced accuracy, chance in "
        "brackets):",
        _markdown(_probes_table(found)),
    ]
    if found["gains"]:
        parts += [
            "The first row minus each other one on the same queries, in points, with 95 % intervals over test people:",
            _markdown(_gains_table(found)),
        ]
    if found["claims"]:
        parts += ["## Claims of the paper", _markdown(_claims_table(found["claims"]))]
    machines = "; ".join(
        f"{m['runs']} runs on {m['processor']}, {m['threads']} thread each, torch {m['torch']}, "
        f"unbraid {m['unbraid']} ({(m['commit'] or m['sources'])[:12]})"
        for m in found["machines"]
    )
    return "\n\n".join([*parts, f"{machines}. Every run stands in `{found['method']}.json`."])


def _row(title: str, lines: Lines, evidence: Evidence) -> dict[str, Any]:
    """Values of every seed of a row."""
    row: dict[str, Any] = {"row": title, "recipe": evidence.rows[title], "seeds": [line["seed"] for line in lines]}
    row["results"] = {
        name: {measure: [line["results"][name][measure] for line in lines] for measure in ("rank_1", "mean_ap")}
        for name in evidence.protocols
    }
    row["spaces"] = {
        space: [line["spaces"][space]["rank_1"] for line in lines] for space in (lines or [{"spaces": {}}])[0]["spaces"]
    }
    row["probes"] = {label: [_probe(line, label) for line in lines] for label in evidence.labels}
    row["minutes"] = [line["seconds"] / 60 for line in lines if line["seconds"] is not None]
    return row


def _probe(line: Mapping[str, Any], label: str) -> dict[str, Any] | None:
    """Score and chance of the linear probe on the identity space, None where there is no claim."""
    for probe in line["probes"]:
        if probe["space"] == "identity" and probe["label"] == label and probe["probe"] in ("linear", "nearest"):
            return {name: probe[name] for name in ("score", "chance")} if probe["score"] is not None else None
    return None


def _checked(claim: Claim, lines: Lines, out: Path) -> dict[str, Any]:
    """What was found of a claim: agrees or contradicts where the interval leaves zero out, else undecided."""
    told: dict[str, Any] = {"says": claim.says, "source": claim.source, "better": claim.better, "than": claim.than}
    if claim.label:
        pairs = [
            [_score(lines, title, seed, claim.label) for title in (claim.than, claim.better)]
            for seed in sorted({line["seed"] for line in lines})
        ]
        points = [100 * (worse - better) for worse, better in pairs if worse is not None and better is not None]
        found = _over_seeds(points)
        told["measure"] = f"{claim.label} read from identity, points less"
    else:
        protocol = f"{claim.protocol} {claim.space}".strip()
        found = gain(lines, out, claim.better, claim.than, protocol).get("rank_1", [])
        told["measure"] = f"rank-1 in {protocol}, points more"
    verdict = "not run"
    if found:
        verdict = "agrees" if found[1] > 0 else "contradicts" if found[2] < 0 else "undecided"
    return {**told, "found": found, "verdict": verdict}


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
        if line["row"] == title and line["seed"] == seed:
            path = Job(line["method"], title, seed, line["size"]).folder(out) / "queries.parquet"
            if path.is_file():
                table = pd.read_parquet(path, filters=[("protocol", "==", protocol)])
                return table.drop(columns="protocol").set_index("key") if len(table) else None
    return None


def _results_table(found: Mapping[str, Any]) -> pd.DataFrame:
    rows = []
    for row in found["rows"]:
        cells = {
            f"{name}, rank-1 / mAP": " / ".join(_spread(row["results"][name][m]) for m in ("rank_1", "mean_ap"))
            for name in found["protocols"]
        }
        alone = "; ".join(f"{space} {_spread(values)}" for space, values in row["spaces"].items())
        rows.append({"row": row["row"], "seeds": len(row["seeds"]), **cells, "each space alone, rank-1": alone})
        rows[-1]["minutes a run"] = f"{np.mean(row['minutes']):.1f}" if row["minutes"] else "-"
    chance = {f"{name}, rank-1 / mAP": f"{100 * value:.1f}" for name, value in found["chance"].items()}
    rows.append({**dict.fromkeys(rows[0], ""), "row": "chance", **chance})
    return pd.DataFrame(rows)


def _probes_table(found: Mapping[str, Any]) -> pd.DataFrame:
    rows = []
    for row in found["rows"]:
        cells = {}
        for label, probes in row["probes"].items():
            known = [probe for probe in probes if probe]
            chance = f" ({100 * np.mean([p['chance'] for p in known]):.0f})" if known else ""
            cells[label] = _spread([probe["score"] for probe in known]) + chance
        rows.append({"row": row["row"], **cells})
    return pd.DataFrame(rows)


def _gains_table(found: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"minus": g["over"], "protocol": g["protocol"], "seeds": g["seeds"], "people": g["identities"]}
            | {"rank-1": _interval(g["rank_1"]), "mAP": _interval(g["mean_ap"])}
            for g in found["gains"]
        ]
    )


def _claims_table(claims: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"claimed": claim["says"], "where (theirs, other data)": claim["source"]}
            | {"here": f"{claim['better']} against {claim['than']}: {claim['measure']}"}
            | {"found": _interval(claim["found"]) if claim["found"] else "-", "verdict": claim["verdict"]}
            for claim in claims
        ]
    )


def _index(claims: Sequence[Mapping[str, Any]]) -> str:
    head = (
        "# What the built-in world says\n\n**Synthetic people; nothing here says anything about real ones.** `unbraid "
        "reproduce` makes these pages. A claim agrees or is contradicted where the 95 % interval leaves zero out."
    )
    if not claims:
        return head
    table = _claims_table(claims)
    table.insert(0, "method", [f"[{claim['method']}]({claim['method']}.md)" for claim in claims])
    return f"{head}\n\n{_markdown(table)}"


def _machines(lines: Lines) -> list[dict[str, Any]]:
    """Different machines and commits, with how many runs each made."""
    seen = [json.dumps(line["machine"], sort_keys=True) for line in lines]
    return [{**json.loads(one), "runs": seen.count(one)} for one in dict.fromkeys(seen)]


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation in per cent."""
    if not values:
        return "-"
    deviation = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{deviation}"


def _interval(found: Sequence[float]) -> str:
    return f"{found[0]:+.1f} ({found[1]:+.1f} to {found[2]:+.1f})"


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(map(str, table.columns)), ["---"] * len(table.columns), *(map(str, row) for row in table.to_numpy())]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)
