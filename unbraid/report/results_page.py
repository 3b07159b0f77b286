"""Markdown pages of what an experiment on the built-in world found."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from unbraid.viz.effects import Effect, Verdict, effects
from unbraid.viz.style import Picture

CLAIMS = "claims.png"
VERDICTS: dict[str, Verdict] = {"agrees": "agrees", "contradicts": "contradicts"}
HEAD = "**Synthetic people; nothing here says anything about real ones.**"


def page(found: Mapping[str, Any]) -> str:
    """The page of a method. found: a summary of `report.results`."""
    parts = [
        f"# {found['method']} on {found['world']}",
        f"{HEAD} Mean and standard deviation over seeds, in per cent. `unbraid reproduce --out OUT --methods "
        f"{found['method']}` makes this page; sweeps are in it once `--rows` has named them.",
        _markdown(_results(found)),
        "What a linear probe reads from the identity space of people it has not seen (balanced accuracy, R2 of "
        "measures; identity: rank-1 among other items); chance in brackets:",
        _markdown(_probes(found)),
    ]
    if any(row["bias"] for row in found["rows"]):
        parts += [
            f"How often the first match in {found['protocols'][0]}, right or wrong, is like the query; chance in "
            "brackets:",
            _markdown(_biases(found)),
        ]
    parts += list(_breakdowns(found))
    if found["gains"]:
        parts += [
            f"`{found['rows'][0]['row']}` minus each other row on the same queries, in points, with 95 % intervals "
            "over test people, and the difference of each seed:",
            _markdown(_gains(found)),
        ]
    if found["claims"]:
        parts += ["## Claims of the paper", _markdown(_claims(found["claims"]))]
    machines = "; ".join(
        f"{m['runs']} runs on {m['processor']}, {m['threads']} thread each, torch {m['torch']}, "
        f"unbraid {m['unbraid']} ({'commit' if m['commit'] else 'sources'} {(m['commit'] or m['sources'])[:12]})"
        for m in found["machines"]
    )
    return "\n\n".join([*parts, f"{machines}. Every run stands in `{found['method']}.jsonl`."])


def index(methods: Sequence[Mapping[str, Any]]) -> str:
    """The page of all claims. methods: summaries."""
    head = (
        f"# What the built-in world says\n\n{HEAD} `unbraid reproduce --out OUT` makes these pages. A claim agrees or "
        "is contradicted where the 95 % interval leaves zero out and no seed, of two at least, says the opposite."
    )
    tables = [
        _claims(one["claims"]).assign(method=f"[{one['method']}]({one['method']}.md)")
        for one in methods
        if one["claims"]
    ]
    if not tables:
        return head
    table = _markdown(pd.concat(tables)[["method", *tables[0].columns.drop("method")]])
    picture = claims_picture(methods)
    shown = f"\n\n![{picture.title}: the table below as a picture]({CLAIMS})\n\n*{picture.caption}*" if picture else ""
    return f"{head}{shown}\n\n{table}"


def claims_picture(methods: Sequence[Mapping[str, Any]]) -> Picture | None:
    """All claims with an interval at a glance; None where there is none yet. methods: summaries."""
    found = [
        Effect(
            group=one["method"],
            says=claim["says"],
            value=claim["found"][0],
            low=claim["found"][1],
            high=claim["found"][2],
            each=tuple(claim["by_seed"]),
            verdict=VERDICTS.get(claim["verdict"], "open"),
        )
        for one in methods
        for claim in one["claims"]
        if claim["found"]
    ]
    about = ["SYNTHETIC people. Points of rank-1, or of what a probe reads. open: undecided, or one seed."]
    return effects(found, title="Claims on the built-in world", about=about) if found else None


def _results(found: Mapping[str, Any]) -> pd.DataFrame:
    rows = []
    for row in found["rows"]:
        cells = {
            f"{name}, rank-1 / mAP": " / ".join(_spread(row["results"][name][m]) for m in ("rank_1", "mean_ap"))
            for name in found["protocols"]
        }
        alone = "; ".join(f"{space} {_spread(values)}" for space, values in row["spaces"].items())
        rows.append({"row": row["row"], "seeds": len(row["seeds"]), **cells, "each space alone, rank-1": alone})
        rows[-1]["minutes of training"] = f"{np.mean(row['minutes']):.1f}" if row["minutes"] else "-"
    chance = {f"{name}, rank-1 / mAP": f"{100 * value:.1f}" for name, value in found["chance"].items()}
    rows.append({**dict.fromkeys(rows[0], ""), "row": "chance", **chance})
    return pd.DataFrame(rows)


def _probes(found: Mapping[str, Any]) -> pd.DataFrame:
    rows = []
    for row in found["rows"]:
        cells = {}
        if not any(any(probes) for probes in row["probes"].values()):
            continue
        for label, probes in row["probes"].items():
            known = [probe for probe in probes if probe]
            chance = f" ({100 * np.mean([p['chance'] for p in known]):.0f})" if known else ""
            cells[label] = _spread([probe["score"] for probe in known]) + chance
        rows.append({"row": row["row"], **cells})
    return pd.DataFrame(rows)


def _biases(found: Mapping[str, Any]) -> pd.DataFrame:
    rows = []
    for row in found["rows"]:
        cells = {
            label: f"{_spread(values['share'])} ({100 * np.mean(values['chance']):.0f})"
            for label, values in row["bias"].items()
            # a protocol that leaves out the query's own camera says nothing about cameras
            if max(values["chance"]) > 0
        }
        rows.append({"row": row["row"], **cells})
    return pd.DataFrame(rows)


def _breakdowns(found: Mapping[str, Any]) -> Iterator[str]:
    """Rank-1 by value of a label of the query, in the two protocols that matter most."""
    for name in found["protocols"][:2]:
        for label in found["rows"][0]["by"].get(name, {}):
            yield f"Rank-1 in {name} by {label} of the query:"
            yield _markdown(
                pd.DataFrame(
                    [
                        {
                            "row": row["row"],
                            **{value: _spread(ranks) for value, ranks in row["by"][name][label].items()},
                        }
                        for row in found["rows"]
                    ]
                )
            )


def _gains(found: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"minus": g["over"], "protocol": g["protocol"], "people": g["identities"]}
            | {"rank-1": _interval(g["rank_1"]), "mAP": _interval(g["mean_ap"])}
            | {"rank-1 by seed": _each(g["rank_1_by_seed"])}
            for g in found["gains"]
        ]
    )


def _claims(claims: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"claimed": claim["says"], "where (theirs, other data)": claim["source"]}
            | {"here": f"{claim['better']} against {claim['than']}: {claim['measure']}"}
            | {"found": _interval(claim["found"]) if claim["found"] else "-", "by seed": _each(claim["by_seed"])}
            | {"verdict": claim["verdict"]}
            for claim in claims
        ]
    )


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation in per cent."""
    if not values:
        return "-"
    deviation = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{deviation}"


def _interval(found: Sequence[float]) -> str:
    return f"{found[0]:+.1f} ({found[1]:+.1f} to {found[2]:+.1f})"


def _each(points: Sequence[float]) -> str:
    return ", ".join(f"{value:+.1f}" for value in points) or "-"


def _markdown(table: pd.DataFrame) -> str:
    cells = table.fillna("-").astype(str).to_numpy()
    rows = [list(map(str, table.columns)), ["---"] * len(table.columns), *cells]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)
