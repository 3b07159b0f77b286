"""The page: facts and pictures to HTML. Sections without content are left out."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any
from xml.etree.ElementTree import Element

from unbraid.report.markup import cell, document, figures, number, table, tag
from unbraid.report.words import READING, RESPONSIBLE
from unbraid.result import taking_part, zero_warning
from unbraid.viz import Picture

BANNER = "Synthetic people. Nothing here says anything about real people."
UNKNOWN = "not known"
# Facts with more lines than this are folded.
FOLD = 6

Facts = Mapping[str, Any]


def page_of(told: Facts, pictures: Sequence[Picture]) -> str:
    """The HTML text of a report. told: from `facts`. pictures: all of them, in the order of their sections."""
    of: dict[str, list[Picture]] = {
        kind: [p for p in pictures if p.section == kind] for kind in {p.section for p in pictures}
    }
    sections = [
        _section("results", "Results", [*_results(told["results"]), *figures(of.get("curves", []))]),
        _section("verification", "One to one, and open set", _figures(told)),
        _section("checks", "Checks", _checks(told["checks"])),
        _section("strips", "Ranked strips", figures(of.get("strips", []))),
        _section(
            "leakage", "What each space gives away", [*figures(of.get("leakage", [])), *_leakage(told["leakage"])]
        ),
        _section("spaces", "The spaces in two dimensions", figures(of.get("scatter", []))),
        _section("heat", "Where each space looks", figures(of.get("heat", []))),
        _section("pictures", "More pictures", figures(of.get("other", []))),
        _section("worst", "Worst queries", _worst(told["results"])),
        _section("provenance", "Provenance", _provenance(told)),
        _section("reading", "How to read this page", _reading(told, of)),
        _section("responsible", "Responsible use", [tag("p", text) for text in RESPONSIBLE]),
    ]
    shown = [(name, heading, element) for name, heading, element in sections if element is not None]
    links = [tag("a", heading, href=f"#{name}") for name, heading, _ in shown]
    head = tag(
        "header",
        tag("p", BANNER, kind="banner", role="note") if told["synthetic"] else None,
        tag("h1", told["title"]),
        tag("p", told["summary"], kind="lead"),
        tag("ul", *(tag("li", note) for note in told["notes"]), kind="notes") if told["notes"] else None,
        tag("nav", *links),
    )
    foot = tag("footer", "Made by unbraid. The numbers of this page are in the JSON file of the same name.")
    style = (files("unbraid.report") / "page.css").read_text(encoding="utf-8")
    return document(told["title"], style, [head, tag("main", *(element for *_, element in shown)), foot])


def percent(value: float | None) -> str:
    """A share in 0..1 as the page prints it."""
    return UNKNOWN if value is None else f"{100 * value:.1f}"


def _plain_number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"


def _section(name: str, heading: str, content: Sequence[Element]) -> tuple[str, str, Element | None]:
    return name, heading, tag("section", tag("h2", heading), *content, id=name) if content else None


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{percent(low)} to {percent(high)}"


def _chance(value: float | None) -> str:
    return "" if value is None else f"chance {percent(value)}"


def _results(results: Sequence[Facts]) -> list[Element]:
    if not results:
        return []
    mixed = len({bool(r["synthetic"]) for r in results}) > 1
    rows = []
    for r in results:
        about = f"{r['protocol']}, space {r['space']}" + (", synthetic" if mixed and r["synthetic"] else "")
        without = f"{r['without_mate']} without mate" if r["without_mate"] else ""
        strange = f"{r['distractors']} distractors" if r["distractors"] else ""
        chance = (_chance(r["mean_ap_chance"]), _chance(r["rank_1_chance"]))
        rows.append(
            [
                cell(tag("strong", r["name"]), about),
                number(percent(r["mean_ap"]), _interval(*r["mean_ap_interval"]), chance[0], strong=True),
                number(percent(r["rank_1"]), _interval(*r["rank_1_interval"]), chance[1], strong=True),
                *(number(percent(r[key])) for key in ("rank_5", "rank_10", "rank_20", "mean_inp")),
                number(str(r["queries"]), f"{r['identities']} identities", without),
                number(str(r["gallery"]), strange, f"{r['pairs']} mated pairs" + _draws(r)),
            ]
        )
    names = ("Result", "mAP %", "rank-1 %", "rank-5 %", "rank-10 %", "rank-20 %", "mINP %", "queries", "gallery")
    rules = dict.fromkeys(
        (r["protocol"], r["hit"], r["skip"], f"; AP by {r['ap_rule']}{_choices(r)}.") for r in results
    )
    lines = [
        tag(
            "li",
            tag("strong", name),
            ": a hit is ",
            tag("code", hit),
            "; skipped is ",
            tag("code", skip),
            rest,
        )
        for name, hit, skip, rest in rules
    ]
    lines += [tag("li", f"{r['name']}: {line}.") for r in results for line in zero_warning(r["zero_items"])]
    return [table(names, rows, numbers=range(1, 9)), tag("p"), tag("ul", *lines, kind="notes")]


def _draws(result: Facts) -> str:
    return f" in {result['draws']} draws" if result["shots"] else ""


def _choices(result: Facts) -> str:
    """What is averaged, what is drawn and who takes part, where a protocol says so."""
    cells = f"; mean over cells of different {result['cells']}" if result["cells"] else ""
    shots = f"; gallery of {result['shots']}" if result["shots"] else ""
    return cells + shots + taking_part(result["query_items"], result["gallery_items"])


def _figures(told: Facts) -> list[Element]:
    """The three figures of every result, then the operating points of every verification."""
    rows = []
    for r in told["results"]:
        for place, figure in enumerate(r.get("figures", [])):
            about = _named(r, place)
            words = cell(figure["reason"] or figure["words"])
            rows.append([about, cell(figure["measure"]), _rate(figure["value"], figure["interval"]), words])
    for v in told["verification"]:
        pairs = f"{v['genuine']} genuine pairs of {v['genuine_identities']} identities, {v['impostors']} impostor pairs"
        rows.append([_named(v, 0), cell("EER"), _rate(v["eer"], v["eer_interval"]), cell(pairs)])
        for point in v["points"]:
            measure, why = f"FNMR at FMR {100 * point['wanted']:.4g} %", point["reason"] or pairs
            rows.append([_named(v, 1), cell(measure), _rate(point["fnmr"], point["interval"]), cell(why)])
    return [table(("Result", "rate", "%", "of"), rows, numbers=(2,))] if rows else []


def _named(facts: Facts, place: int) -> Element:
    """The name of what a group of rows is about, in its first row only."""
    return cell("") if place else cell(tag("strong", facts["name"]), facts["protocol"])


def _rate(value: float | None, interval: Sequence[float | None] | None) -> Element:
    if value is None:
        return number("not reported")
    return number(percent(value), _interval(*(interval or (None, None))), strong=True)


def _checks(checks: Sequence[Facts]) -> list[Element]:
    if not checks:
        return []
    words = {True: ("pass", "\u2713 passed"), False: ("fail", "\u2717 failed"), None: ("", "reported only")}
    rows = []
    for check in checks:
        kind, word = words[check["passed"]]
        verdict = tag("span", word, **({"kind": kind} if kind else {}))
        rows.append(
            [cell(check["name"]), number(_value(check["value"])), number(_value(check["expected"])), cell(verdict)]
        )
    return [table(("Check", "value", "expected", "verdict"), rows, numbers=(1, 2))]


def _leakage(rows: Sequence[Facts]) -> list[Element]:
    cells = []
    for row in rows:
        count = [f"{row[key]} {key}" for key in ("classes", "identities") if row.get(key)]
        told = _plain_number if row["metric"] == "r2" else percent
        interval = "" if row["low"] is None else f"{told(row['low'])} to {told(row['high'])}"
        cells.append(
            [
                cell(str(row["label"]), row.get("note") or ""),
                cell(str(row["space"]), f"by {row['probe']}"),
                number(
                    told(row["score"]),
                    interval,
                    "" if row["score"] is None else {"r2": "R2"}.get(row["metric"], f"{row['metric']}, %"),
                    strong=True,
                ),
                number(told(row["chance"])),
                number(told(row.get("shuffled"))),
                number("" if row.get("bits") is None else f"{row['bits']:.2f}"),
                number("" if row.get("test") is None else str(row["test"]), *count),
            ]
        )
    names = ("Label", "read from space", "score", "chance", "shuffled", "bits", "tested items")
    return [table(names, cells, numbers=range(2, 7))] if rows else []


def _worst(results: Sequence[Facts]) -> list[Element]:
    found: list[Element] = []
    for r in results:
        rows = [
            [
                cell(str(q["key"])),
                cell("unknown" if q["identity"] is None else str(q["identity"])),
                number(percent(q["ap"])),
                number(str(q["first"])),
                number(f"{q['hits']} of {q['valid']}"),
                cell(str(q["best"])),
            ]
            for q in r["worst"]
        ]
        names = ("Query", "identity", "AP %", "first hit at rank", "hits", "item at rank 1")
        if rows:
            found += [tag("h3", f"{r['name']}, {r['protocol']}"), table(names, rows, numbers=(2, 3, 4))]
    return found


def _provenance(told: Facts) -> list[Element]:
    about: dict[tuple[tuple[str, str], ...], list[str]] = {}
    if told["origin"]:
        about[tuple(told["origin"].items())] = ["this page"]
    for r in told["results"]:
        if r["origin"]:
            about.setdefault(tuple(_joined(r["origin"]).items()), []).append(r["name"])
    rows = []
    for facts, names in about.items():
        for place, (name, value) in enumerate(facts):
            rows.append([cell("; ".join(names) if place == 0 else ""), cell(name), cell(_told(str(value)))])
    return [table(("Of", "fact", "value"), rows)] if rows else []


def _told(value: str) -> Element:
    """A fact as it is; one of many lines, such as a recipe, is folded."""
    lines = len(value.splitlines())
    code = tag("code", value)
    return code if lines <= FOLD else tag("details", tag("summary", f"{lines} lines"), code)


def _joined(origin: Mapping[str, str]) -> dict[str, str]:
    """The origin with 'query x' and 'gallery x' as one 'x' where both say the same."""
    joined: dict[str, str] = {}
    for name, value in origin.items():
        bare = name.removeprefix("query ").removeprefix("gallery ")
        twins = origin.get(f"query {bare}"), origin.get(f"gallery {bare}")
        joined[bare if twins == (value, value) else name] = value
    return joined


def _reading(told: Facts, of: Mapping[str, Sequence[Picture]]) -> list[Element]:
    there = {"always", *of}
    there |= {name for name in ("results", "leakage", "checks") if told[name]}
    entries = [(word, text) for needs, word, text in READING if needs in there]
    return [tag("dl", *(part for word, text in entries for part in (tag("dt", word), tag("dd", text))))]


def _value(value: float | str | None) -> str:
    return UNKNOWN if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
