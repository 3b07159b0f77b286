"""The leakage page: what every space of one or several checkpoints knows, side by side, and how sure that is."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree.ElementTree import Element

from unbraid.files import write_text
from unbraid.probing.verdicts import tied
from unbraid.report.leakage_tables import (
    SIGNS,
    WORDS,
    Facts,
    Reports,
    badge,
    found_by,
    importance,
    interval,
    letters,
    matrix,
    meter,
    moves,
    probes,
    said,
    shared,
    spaced,
    state,
    strongest,
    unit,
)
from unbraid.report.leakage_words import GUIDE, SECTIONS
from unbraid.report.markup import Content, cell, document, figures, table, tag
from unbraid.report.page import BANNER
from unbraid.report.words import RESPONSIBLE
from unbraid.viz import Picture

FORMAT = "unbraid leakage page 1"
VERSION = 1
TABLES = ("probes", "retrieval", "bias", "confounded", "dependence", "factors")
NEEDED = ("items", "identities", *TABLES, "warnings", "verdicts")
# Facts of an origin that say on what data numbers were made.
DATA = ("benchmark", "data", "keys")
NOTHING: Mapping[str, Any] = MappingProxyType({})


def write_leakage(
    reports: Reports,
    out: Path,
    *,
    counterfactual: Reports = NOTHING,
    examples: Mapping[str, Sequence[Picture]] = NOTHING,
) -> Path:
    """Write one self-contained HTML page about what spaces know, and a JSON file of the same name with its numbers.

    reports: name of a checkpoint -> what `Leakage.as_dict()` gives; up to 26, compared with the first.
    out: the page, ending in .html; or a folder, which then gets report.html. Folders are made, old files replaced.
    counterfactual: name -> what `Counterfactual.as_dict()` gives, of the same checkpoints or some of them.
    examples: name -> pictures, such as `leakage_examples.alike` makes them.
    The page needs no network, no scripts and no other file. Returns its path.
    Raises ValueError for no report or too many, for facts of another form, for names that are not among the reports
    and for a file name that is not a page; OSError naming the place when it cannot be written.

    Example:
        write_leakage({"run 1": leakage(embeddings).as_dict()}, Path("leaks.html"))
    """
    page = _place(Path(out))
    _check(reports, counterfactual, examples)
    html = _html(reports, counterfactual, examples)
    told = {
        "format": FORMAT,
        "reports": dict(reports),
        "counterfactual": dict(counterfactual),
        "pictures": [
            {"checkpoint": name, "title": p.title, "caption": p.caption} for name, of in examples.items() for p in of
        ],
    }
    numbers = json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        # numbers first: whoever sees the new page finds its numbers
        for path, text in ((page.with_suffix(".json"), numbers), (page, html)):
            # a lone surrogate, which a file name can hold, must not stop a page
            write_text(path, text.encode("utf-8", "replace").decode("utf-8"))
    except OSError as error:
        reason = f"the page cannot be written there ({error.strerror or error}); name another place"
        raise OSError(error.errno, reason, str(page)) from error
    return page


def _place(out: Path) -> Path:
    if out.suffix.lower() in (".html", ".htm") and not out.is_dir():
        return out
    if out.is_dir() or not out.suffix:
        return out / "report.html"
    raise ValueError(f"{out} is neither a folder nor a page; name a file that ends in .html, or a folder")


def _check(reports: Reports, counterfactual: Reports, examples: Mapping[str, Sequence[Picture]]) -> None:
    if not 0 < len(reports) <= 26:
        raise ValueError(f"a leakage page needs 1 to 26 reports; got {len(reports)}")
    for name, told in reports.items():
        missing = [one for one in NEEDED if one not in told]
        if told.get("version") != VERSION or missing:
            raise ValueError(
                f"{name!r} is not a leakage report of version {VERSION} (version {told.get('version')!r}, missing: "
                f"{', '.join(missing) or 'nothing'}); give what `unbraid leakage --json` prints"
            )
    for name, told in counterfactual.items():
        if told.get("version") != VERSION or "rows" not in told:
            raise ValueError(f"{name!r} is not a counterfactual report of version {VERSION}; make it again")
    for what, names in (("counterfactual", counterfactual), ("examples", examples)):
        strange = [name for name in names if name not in reports]
        if strange:
            raise ValueError(f"{what} of {strange[0]!r}, but there are reports of {', '.join(reports)} only")


def _html(reports: Reports, counterfactual: Reports, examples: Mapping[str, Sequence[Picture]]) -> str:
    probed = {name: told["probes"] for name, told in reports.items()}
    retrieved = {name: found_by(told["retrieval"], "rank_1") for name, told in reports.items()}
    biased = {name: found_by(told["bias"], "share") for name, told in reports.items()}
    content: dict[str, list[Element]] = {
        "short": _short(reports),
        "differences": _differences(reports),
        "matrix": [_key(), *matrix(reports, probed, "Label")],
        "search": [
            *_titled("The nearest item of each space", matrix(reports, retrieved, "Same label")),
            *_titled("First matches of a search for the person", matrix(reports, biased, "Query's own")),
        ],
        "counterfactual": [_scale(), *moves(reports, counterfactual)] if counterfactual else [],
        "dependence": _measured(
            reports, {name: shared(told["dependence"]) for name, told in reports.items()}, "two spaces"
        ),
        "factors": _measured(
            reports,
            {name: importance(told["factors"]) if told["factors"] else [] for name, told in reports.items()},
            "two spaces, two labels that can be read from them, and enough items",
        ),
        "examples": _under(reports, {name: figures(examples[name]) for name in reports if examples.get(name)}),
        "warnings": _warnings(reports),
        "probes": _under(reports, {name: [probes(told["probes"])] for name, told in reports.items()}, folded=True),
        "provenance": _provenance(reports, counterfactual),
        "reading": [tag("dl", *(part for word, text in GUIDE for part in (tag("dt", word), tag("dd", text))))],
        "responsible": [tag("p", text) for text in RESPONSIBLE],
    }
    shown = [name for name, made in content.items() if made]
    sections = [
        tag("section", tag("h2", SECTIONS[name][0]), *_intro(name), *content[name], id=name)
        for name in SECTIONS
        if name in shown
    ]
    synthetic = any(told.get("synthetic") for told in (*reports.values(), *counterfactual.values()))
    title = "What each space knows" + (f": {next(iter(reports))}" if len(reports) == 1 else "")
    head = tag(
        "header",
        tag("p", BANNER, kind="banner", role="note") if synthetic else None,
        tag("h1", title),
        tag("ul", *(_who(name, told, letters(reports)) for name, told in reports.items()), kind="who"),
        *(tag("p", text, kind="warn") for text in _other_data(reports)),
        tag("nav", *(tag("a", SECTIONS[name][0], href=f"#{name}") for name in SECTIONS if name in shown)),
    )
    foot = tag("footer", "Made by unbraid. The numbers of this page are in the JSON file of the same name.")
    style = "".join(
        (files("unbraid.report") / name).read_text(encoding="utf-8") for name in ("page.css", "leakage.css")
    )
    return document(title, style, [head, tag("main", *sections), foot])


def _intro(name: str) -> list[Element]:
    return [tag("p", SECTIONS[name][1])] if SECTIONS[name][1] else []


def _titled(title: str, made: Sequence[Element]) -> list[Element]:
    return [tag("h3", title), *made] if made else []


def _who(name: str, told: Facts, letter: Mapping[str, str]) -> Element:
    mark: list[Content] = [badge(letter[name]), " "] if len(letter) > 1 else []
    spaces = list(dict.fromkeys(row["space"] for row in told["probes"]))
    kind = "synthetic, " if told.get("synthetic") else ""
    about = f": {kind}{told['items']} items of {told['identities']} identities; spaces {', '.join(spaces) or 'none'}"
    return tag("li", *mark, tag("strong", name), about)


def _other_data(reports: Reports) -> list[str]:
    """A warning when checkpoints were not measured on the same items."""
    origins = [tuple(told.get("origin", {}).get(one) for one in DATA) for told in reports.values()]
    sizes = {(told["items"], told["identities"]) for told in reports.values()}
    if len(set(origins)) < 2 and len(sizes) < 2:
        return []
    return ["The checkpoints were measured on different data. Differences between them may be those of the data."]


def _best(told: Facts) -> dict[tuple[str, str], Facts]:
    """(space, label) -> the row that speaks for them."""
    cells: dict[tuple[str, str], list[Facts]] = {}
    for row in told["probes"]:
        cells.setdefault((row["space"], row["label"]), []).append(row)
    return {place: strongest(rows) for place, rows in cells.items()}


def _short(reports: Reports) -> list[Element]:
    """Per checkpoint and space: what it knows, strongest first, and what it shows no sign of; then every sentence."""
    made = {}
    for name, told in reports.items():
        best, parts = _best(told), []
        for space in dict.fromkeys(space for space, _ in best):
            parts.append(tag("h4", f"The {space} space"))
            rows = [row for (of, _), row in best.items() if of == space]
            for sure in SIGNS:
                found = sorted((row for row in rows if state(row) == sure), key=_above, reverse=True)
                if found:
                    words = ", ".join(_brief(row, told) for row in found)
                    sign = tag("span", SIGNS[sure], kind="sign")
                    parts.append(tag("p", sign, tag("strong", WORDS[sure]), f": {words}"))
        sentences = tag("ul", *(tag("li", f"{one}.") for one in told["verdicts"]), kind="sentences")
        parts.append(tag("details", tag("summary", f"in {len(told['verdicts'])} sentences"), sentences))
        made[name] = parts
    return _cards(reports, made)


def _above(row: Facts) -> float:
    return float(row["score"] - (row["chance"] or 0.0)) if row["score"] is not None else 0.0


def _brief(row: Facts, told: Facts) -> str:
    sure, label = state(row), spaced(row["label"])
    if sure == "refused":
        return label
    if sure == "none":
        most = row["score"] if row["high"] is None else row["high"]
        return f"{label} (at most {unit(row)}{said(row, most)}, chance {said(row, row['chance'])})"
    between = f"{interval(row)}, " if interval(row) else ""
    return f"{label} {unit(row)}{said(row, row['score'])} ({between}chance {said(row, row['chance'])}{_but(row, told)})"


def _but(row: Facts, *reports: Facts) -> str:
    """What the label of a row is tied to in the data, so that this may be what is read."""
    others = dict.fromkeys(name for told in reports for name in tied(row["label"], told["confounded"]))
    return f"; tied to {', '.join(map(spaced, others))}" if others else ""


def _differences(reports: Reports) -> list[Element]:
    """The first checkpoint with each other one: where their intervals do not meet."""
    (first, told), *others = reports.items()
    letter, made = letters(reports), []
    for other, its in others:
        ours, theirs = _best(told), _best(its)
        lines, alike = [], []
        for place in (place for place in ours if place in theirs):
            one, two = ours[place], theirs[place]
            more = _more(one, two)
            if more == 0:
                alike.append(f"{spaced(place[1])} ({place[0]})")
            elif more is not None:
                but = _but(one, told, its)
                lines.append(_difference(place, (one, two), (letter[first], letter[other]), more > 0, but))
        if len(others) > 1:
            made.append(tag("h3", badge(letter[first]), f" {first} and ", badge(letter[other]), f" {other}"))
        made.append(tag("ul", *lines, kind="sentences") if lines else tag("p", "No clear difference anywhere."))
        if alike and lines:
            made.append(tag("p", f"No clear difference: {', '.join(alike)}.", kind="soft"))
        alone = list(
            dict.fromkeys(space for space, _ in (*ours, *theirs) if (space in _of(ours)) != (space in _of(theirs)))
        )
        if alone:
            made.append(tag("p", f"Not compared, because only one has them: {', '.join(alone)}.", kind="soft"))
    return made


def _of(best: Mapping[tuple[str, str], Facts]) -> set[str]:
    return {space for space, _ in best}


def _more(one: Facts, two: Facts) -> int | None:
    """1 where the first is clearly higher and known, -1 where the second is, else 0; None without intervals."""
    if None in (one["low"], one["high"], two["low"], two["high"]):
        return None
    more = int(one["low"] > two["high"]) - int(two["low"] > one["high"])
    return more if state(one if more > 0 else two) == "claim" else 0


def _difference(
    place: tuple[str, str], rows: tuple[Facts, Facts], marks: tuple[str, str], first: bool, but: str
) -> Element:
    space, label = place
    verb = "recognises people better" if (space, label) == ("identity", "identity") else "gives away more"
    numbers = [f"{unit(row)}{said(row, row['score'])} ({interval(row)})" for row in rows]
    return tag(
        "li",
        *(badge(marks[0 if first else 1]), f" {verb}: "),
        *(tag("strong", spaced(label)), f" from the {space} space, "),
        *(badge(marks[0]), f" {numbers[0]}, ", badge(marks[1]), f" {numbers[1]}"),
        f", chance {said(rows[0], rows[0]['chance'])}{but}",
    )


def _key() -> Element:
    signs = [tag("span", f"{SIGNS[one]} {WORDS[one]}") for one in ("claim", "weak", "none")]
    bar = tag("span", meter(0.55, 0.45, 0.65, 0.2), "bar: score, thin line: 95 % interval, upright line: chance")
    ramp = tag("span", tag("span", kind="ramp"), "from chance to everything")
    return tag("div", *signs, bar, ramp, kind="key")


def _scale() -> Element:
    bar = tag(
        "span",
        meter(0.75, 0.65, 0.8, 0.5),
        "upright line in the middle: another person (1); right of it, 2 is at three quarters",
    )
    return tag("div", bar, kind="key")


def _cards(reports: Reports, made: Mapping[str, Sequence[Element]]) -> list[Element]:
    """One card per checkpoint side by side, those without content left out."""
    letter = letters(reports)
    cards = []
    for name, parts in made.items():
        if parts:
            mark = tag("h3", badge(letter[name]), f" {name}") if len(reports) > 1 else None
            cards.append(tag("div", mark, *parts, kind="card"))
    return [tag("div", *cards, kind="cards")] if cards else []


def _measured(reports: Reports, made: Mapping[str, Sequence[Element]], needs: str) -> list[Element]:
    """Cards, and for whom there is nothing; nothing at all where that is everybody."""
    cards = _cards(reports, made)
    without = [name for name, parts in made.items() if not parts]
    if cards and without:
        cards.append(tag("p", f"Nothing to say for {', '.join(without)}: it takes {needs}.", kind="soft"))
    return cards


def _under(reports: Reports, made: Mapping[str, Sequence[Element]], *, folded: bool = False) -> list[Element]:
    """One block per checkpoint below the other, each under its name."""
    parts: list[Element] = []
    for name, content in made.items():
        words = [badge(letters(reports)[name]), f" {name}"] if len(reports) > 1 else [name]
        if folded:
            parts.append(tag("details", tag("summary", *words), *content))
        else:
            parts += [tag("h3", *words), *content] if len(reports) > 1 else content
    return parts


def _warnings(reports: Reports) -> list[Element]:
    return _cards(
        reports,
        {
            name: [tag("ul", *(tag("li", f"{one}.") for one in told["warnings"]), kind="sentences")]
            if told["warnings"]
            else [tag("p", "None.", kind="soft")]
            for name, told in reports.items()
        },
    )


def _provenance(reports: Reports, counterfactual: Reports) -> list[Element]:
    rows = []
    origins = {**reports, **{f"{name}, twins": told for name, told in counterfactual.items()}}
    for name, told in origins.items():
        for place, (fact, value) in enumerate(told.get("origin", {}).items()):
            rows.append([cell("" if place else name), cell(str(fact)), cell(tag("code", str(value)))])
    return [table(("Of", "fact", "value"), rows)] if rows else []
