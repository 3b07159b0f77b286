"""Tables of the leakage page: what stands in a cell, how sure it is, and how several checkpoints share a table."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any
from xml.etree.ElementTree import Element

from unbraid.probing.verdicts import is_claim
from unbraid.report.markup import Content, cell, number, table, tag

Facts = Mapping[str, Any]
Reports = Mapping[str, Facts]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# How sure a number is, by a sign and a word, so that it does not hang on colour.
SIGNS = {"claim": "\u25cf", "weak": "\u25d0", "none": "\u25cb", "refused": "\u2013"}
WORDS = {"claim": "known", "weak": "weak sign", "none": "no sign", "refused": "no claim"}
READERS = {"linear": "linear", "mlp": "hidden layer", "knn": "neighbours", "nearest": "nearest item"}
# Orange that dark and light text can stand on at its strongest.
HEAT, STRONGEST = "213, 94, 0", 0.55
NONE = "\u2013"


def state(row: Facts) -> str:
    """'claim', 'weak' (the interval is above chance, but not clearly), 'none', or 'refused' without a number."""
    if row["score"] is None:
        return "refused"
    if row["low"] is None or row["chance"] is None or row["low"] <= row["chance"]:
        return "none"
    return "claim" if is_claim(row) else "weak"


def strongest(rows: Sequence[Facts]) -> Facts:
    """The probe that a verdict speaks of: of claims, else of weak signs, the highest lower end; else the highest upper
    end, which is the most there can be."""
    for wanted in ("claim", "weak"):
        found = [row for row in rows if state(row) == wanted]
        if found:
            return max(found, key=lambda row: float(row["low"]))
    told = [row for row in rows if row["score"] is not None]
    return max(told, key=lambda row: row["score"] if row["high"] is None else row["high"]) if told else rows[0]


def found_by(rows: Sequence[Facts], name: str) -> list[dict[str, Any]]:
    """Rows of retrieval or bias in the form of probes; name: of the column with the number."""
    return [{"space": "identity", "probe": "", "metric": "rank-1", **row, "score": row[name]} for row in rows]


def amount(row: Facts) -> float:
    """0..1: how much of the way from chance to everything a score has come; 0 where it may be chance."""
    if state(row) not in ("claim", "weak"):
        return 0.0
    above: float = (row["score"] - row["chance"]) / max(1e-9, 1 - row["chance"])
    return min(1.0, max(0.0, above))


def said(row: Facts, value: float | None) -> str:
    """A number of a row as the page prints it."""
    if value is None:
        return NONE
    return f"{value:.2f}" if row["metric"] == "r2" else f"{100 * value:.1f}"


def unit(row: Facts) -> str:
    return "R\u00b2 " if row["metric"] == "r2" else ""


def interval(row: Facts) -> str:
    low, high = row["low"], row["high"]
    return "" if low is None or high is None else f"{said(row, low)} to {said(row, high)}"


def meter(score: float, low: float | None, high: float | None, mark: float | None) -> Element:
    """A bar up to the score, its interval, and a line at chance; all 0..1. Says nothing that the numbers do not say."""
    parts = [tag("span", kind="fill", style=f"width: {_place(score)}")]
    if low is not None and high is not None:
        wide = _place(max(0.0, min(1.0, high) - max(0.0, low)))
        parts.append(tag("span", kind="band", style=f"left: {_place(low)}; width: {wide}"))
    if mark is not None:
        parts.append(tag("span", kind="tick", style=f"left: {_place(mark)}"))
    return tag("span", *parts, kind="meter", **{"aria-hidden": "true"})


def reading(row: Facts | None) -> Element:
    """The cell of one label and space: number, interval, bar, probe and chance; everything else on hover."""
    if row is None:
        return tag("td", NONE, kind="read empty")
    sure = state(row)
    hover = about(row)
    if sure == "refused":
        return tag("td", tag("span", "no claim", kind="soft"), kind="read empty", title=hover)
    by = READERS.get(row["probe"], row["probe"])
    return tag(
        "td",
        tag("span", SIGNS[sure], kind="sign", **{"aria-label": WORDS[sure]}),
        tag("strong", f"{unit(row)}{said(row, row['score'])}"),
        tag("small", interval(row) or "no interval"),
        meter(row["score"], row["low"], row["high"], row["chance"]),
        tag("small", f"chance {said(row, row['chance'])}" + (f", {by}" if by else "")),
        kind=f"read {sure}",
        title=hover,
        style=f"background-color: rgba({HEAT}, {STRONGEST * amount(row):.3f})",
    )


def about(row: Facts) -> str:
    """A row in words, for those who hover over it."""
    if row["score"] is None:
        return f"no claim: {row.get('note') or 'no reason given'}"
    sure = f"95 % interval {interval(row)}, " if interval(row) else "no interval, "
    words = f"{WORDS[state(row)]}: {unit(row)}{said(row, row['score'])} ({row['metric']}), {sure}"
    words += f"chance {said(row, row['chance'])}"
    if row.get("shuffled") is not None:
        words += f", shuffled {said(row, row['shuffled'])}"
    if row.get("bits") is not None:
        words += f", {row['bits']:.2f} bits"
    tested = row.get("test", row.get("queries"))
    words += f"; {tested} items of {row['identities']} identities" if tested is not None else ""
    return words + (f"; {row['note']}" if row.get("note") else "")


def matrix(reports: Reports, rows_of: Mapping[str, Sequence[Facts]], corner: str) -> list[Element]:
    """Labels down, spaces across, and in each space the checkpoints side by side."""
    cells: dict[tuple[str, str, str], list[Facts]] = {}
    for name, rows in rows_of.items():
        for row in rows:
            cells.setdefault((name, row["space"], row["label"]), []).append(row)
    if not cells:
        return []
    labels = dict.fromkeys(label for *_, label in cells)
    lines = []
    for label in labels:
        found = [cells.get((name, space, label)) for space, name in columns(reports, list(cells))]
        line = [reading(strongest(one) if one else None) for one in found]
        lines.append(tag("tr", tag("th", spaced(label), scope="row"), *line))
    return [wide(corner, columns(reports, list(cells)), lines, letters(reports))]


def columns(reports: Reports, cells: Sequence[tuple[str, ...]]) -> list[tuple[str, str]]:
    """(space, checkpoint) in the order of the reports, those of one space together."""
    there = {(cell[1], cell[0]) for cell in cells}
    spaces = dict.fromkeys(cell[1] for cell in cells)
    return [(space, name) for space in spaces for name in reports if (space, name) in there]


def wide(
    corner: str, places: Sequence[tuple[str, str]], lines: Sequence[Element], letter: Mapping[str, str]
) -> Element:
    """A table that scrolls sideways under its first column. places: (space, checkpoint) of its columns."""
    spaces = {space: sum(one == space for one, _ in places) for space, _ in places}
    many = len(letter) > 1
    first = tag("th", corner, scope="col", **({"rowspan": "2"} if many else {}))
    head = [tag("tr", first, *(tag("th", s, scope="colgroup", colspan=str(n)) for s, n in spaces.items()))]
    if many:
        head.append(tag("tr", *(tag("th", badge(letter[name]), scope="col", title=name) for _, name in places)))
    return tag("div", tag("table", tag("thead", *head), tag("tbody", *lines), kind="matrix"), kind="scroll")


def spaced(label: str) -> str:
    """The name of a column as words, which can be broken into lines."""
    return label.replace("_", " ")


def letters(reports: Reports) -> dict[str, str]:
    return {name: LETTERS[place % len(LETTERS)] for place, name in enumerate(reports)}


def badge(letter: str) -> Element:
    return tag("span", letter, kind="badge")


def moves(reports: Reports, counterfactual: Reports) -> list[Element]:
    """Factors down, spaces across: how far each moves, as a bar whose middle is another person."""
    cells = {(name, r["space"], r["factor"]): r for name, told in counterfactual.items() for r in told["rows"]}
    if not cells:
        return []
    places = columns(reports, list(cells))
    lines = []
    for factor in dict.fromkeys(factor for *_, factor in cells):
        line = [_move(cells.get((name, space, factor))) for space, name in places]
        lines.append(tag("tr", tag("th", factor, scope="row"), *line))
    return [wide("Changed", places, lines, letters(reports))]


def _move(row: Facts | None) -> Element:
    if row is None:
        return tag("td", NONE, kind="read empty")
    if row["moved"] is None:
        return tag("td", tag("span", "no number", kind="soft"), kind="read empty", title=row.get("note") or "")
    low, high = row["low"], row["high"]
    sure = "" if low is None or high is None else f"{low:.2f} to {high:.2f}"
    if row["factor"] == "person":
        sure = "by definition"
    ends = [None if end is None else squeezed(end) for end in (row["moved"], low, high)]
    return tag(
        "td",
        tag("strong", f"{row['moved']:.2f}"),
        tag("small", sure or "no interval"),
        meter(ends[0] or 0.0, ends[1], ends[2], 0.5),
        tag("small", f"{row['pairs']} twins, {row['identities']} people"),
        kind="read",
        title=f"{row['moved']:.3f} of the way to another person, interval: {sure or 'unknown'}",
    )


def squeezed(moved: float) -> float:
    """0..1 for 0..infinity: linear up to another person at 1/2; then twice as far is 3/4, four times 7/8."""
    return max(0.0, moved) / 2 if moved <= 1 else 1 - 1 / (2 * moved)


def shared(rows: Sequence[Facts]) -> list[Element]:
    """Spaces down and across: linear CKA as colour and number, with chance and p."""
    if not rows:
        return []
    spaces = list(dict.fromkeys(name for row in rows for name in (row["first"], row["second"])))
    pairs = {frozenset((row["first"], row["second"])): row for row in rows}
    lines = [
        tag("tr", tag("th", one, scope="row"), *(_pair(pairs.get(frozenset((one, other)))) for other in spaces))
        for one in spaces
    ]
    head = tag("tr", tag("th", "CKA", scope="col"), *(tag("th", name, scope="col") for name in spaces))
    grid = tag("div", tag("table", tag("thead", head), tag("tbody", *lines), kind="matrix"), kind="scroll")
    told = [_pair_line(pairs[frozenset(pair)]) for pair in combinations(spaces, 2) if frozenset(pair) in pairs]
    names = ("Spaces", "CKA", "HSIC", "p", "p, same identity", "smallest angle", "median angle")
    details = tag("details", tag("summary", "all numbers"), table(names, told, numbers=range(1, 7)))
    return [grid, details]


def _pair(row: Facts | None) -> Element:
    if row is None:
        return tag("td", NONE, kind="read empty")
    if row["cka"] is None:
        return tag("td", tag("span", "no number", kind="soft"), kind="read empty", title=row.get("note") or "")
    chance = row.get("cka_chance")
    above = max(0.0, row["cka"] - (chance or 0.0))
    return tag(
        "td",
        tag("strong", f"{row['cka']:.2f}"),
        meter(row["cka"], None, None, chance),
        tag("small", "" if chance is None else f"chance {chance:.2f}"),
        tag("small", _p(row["p"])),
        kind="read",
        title=f"{row['first']} and {row['second']}; {row['items']} items",
        style=f"background-color: rgba({HEAT}, {STRONGEST * min(1.0, above):.3f})",
    )


def _pair_line(row: Facts) -> list[Element]:
    angles, chance = row["angles"], row.get("angles_chance") or []
    ends = [_angle(angles, chance, 0), _angle(angles, chance, len(angles) // 2)]
    by_chance = row.get("cka_chance")
    return [
        cell(f"{row['first']}, {row['second']}", row.get("note") or ""),
        number(_two(row["cka"]), "" if by_chance is None else f"chance {by_chance:.2f}"),
        number(NONE if row["hsic"] is None else f"{row['hsic']:.4f}"),
        *(number(NONE if p is None else f"{p:.3f}") for p in (row["p"], row.get("p_within"))),
        *(number(*end) for end in ends),
    ]


def _angle(angles: Sequence[float], chance: Sequence[float], place: int) -> tuple[str, str]:
    if not angles:
        return NONE, ""
    return f"{angles[place]:.0f}\u00b0", f"chance {chance[place]:.0f}\u00b0" if place < len(chance) else ""


def _p(p: float | None) -> str:
    return "" if p is None else f"p {p:.3f}"


def _two(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def importance(told: Facts) -> list[Element]:
    """The three letters of DCI, MIG and SAP, and which space matters for which factor."""
    dci = told["dci"]
    tiles = [
        tag("div", tag("strong", _two(value)), tag("small", name), kind="tile")
        for name, value in (
            *((name, dci[name]) for name in ("disentanglement", "completeness", "informativeness")),
            ("MIG", told["mig"]),
            ("SAP", told["sap"]),
        )
    ]
    head = tag(
        "tr", tag("th", "Space", scope="col"), *(tag("th", spaced(name), scope="col") for name in dci["factors"])
    )
    lines = [
        tag("tr", tag("th", code, scope="row"), *(_share(value) for value in row))
        for code, row in zip(dci["codes"], dci["importance"], strict=True)
    ]
    if dci.get("scores") and dci.get("chance"):
        read = [
            tag("td", tag("strong", f"{100 * score:.1f}"), tag("small", f"chance {100 * chance:.1f}"), kind="read")
            for score, chance in zip(dci["scores"], dci["chance"], strict=True)
        ]
        lines.append(tag("tr", tag("th", "read from all, %", scope="row"), *read))
    grid = tag("div", tag("table", tag("thead", head), tag("tbody", *lines), kind="matrix"), kind="scroll")
    out = [tag("li", f"{spaced(row['factor'])} is left out: {row['note']}.") for row in told.get("left_out", [])]
    return [tag("div", *tiles, kind="tiles"), grid, *([tag("ul", *out, kind="notes")] if out else [])]


def _share(value: float) -> Element:
    heat = f"background-color: rgba({HEAT}, {STRONGEST * min(1.0, max(0.0, value)):.3f})"
    return tag("td", tag("strong", f"{100 * value:.0f} %"), meter(value, None, None, None), kind="read", style=heat)


def probes(rows: Sequence[Facts]) -> Element:
    """Every probe of a checkpoint, with everything that is known about it."""
    lines = []
    for row in rows:
        refused = row["score"] is None
        sure = "no claim" if refused else f"{SIGNS[state(row)]} {WORDS[state(row)]}"
        lines.append(
            [
                cell(str(row["label"]), row.get("note") or ""),
                cell(str(row["space"])),
                cell(READERS.get(row["probe"], str(row["probe"])), str(row["metric"])),
                number(said(row, row["score"]), interval(row), strong=not refused),
                number(said(row, row["chance"])),
                number(said(row, row.get("shuffled"))),
                number(_two(row.get("bits"))),
                number(str(row["test"]), f"{row['identities']} identities"),
                cell(sure),
            ]
        )
    names: tuple[Content, ...] = ("Label", "space", "probe", "score", "chance", "shuffled", "bits", "tested", "")
    return table(names, lines, numbers=range(3, 8))


def _place(value: float) -> str:
    return f"{100 * min(1.0, max(0.0, value)):.1f}%"
