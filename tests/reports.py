"""Evidence for report pages, and a parser of pages, for the tests of both."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from unbraid.report import Check, Evidence, report
from unbraid.result import Result
from unbraid.viz import Picture, Shot, Strip, ranked_strips

NAN = float("nan")
VOID = {"meta", "img", "br", "hr", "link", "input"}
ATTACK = "\"'><script>alert(1)</script><img src=http://evil onerror=alert(1)></title></style><!-- &lt;"
BANNER = "Synthetic people. Nothing here says anything about real people."


class Page(HTMLParser):
    """Elements, attributes, text and tables of a page; fails on tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.tables: list[list[list[list[str]]]] = []
        self.comments = 0
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append([])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1].append(data)

    def handle_comment(self, data: str) -> None:
        self.comments += 1

    @property
    def text(self) -> str:
        return "".join(self.words)


def result(**changes: Any) -> Result:
    table = pd.DataFrame(
        {
            "key": ["q0", "q1", "q2", "q3"],
            "identity": ["a", "b", None, "c"],
            "ap": [0.75, 0.125, NAN, 1.0],
            "inp": [0.5, 0.125, NAN, 1.0],
            "first": [1, 8, 0, 1],
            "hits": [2, 1, 0, 1],
            "valid": [30, 29, 30, 28],
            "best": ["g1", "g2", "g3", "g4"],
        }
    )
    plain = Result(
        protocol="camera-change@1",
        hit="same('identity')",
        skip="never()",
        ap_rule="step",
        space="identity",
        cells="",
        queries=4,
        without_mate=1,
        identities=3,
        gallery=30,
        distractors=2,
        pairs=4,
        mean_ap=0.625,
        mean_ap_interval=(0.41234, 0.98765),
        mean_ap_chance=0.0512,
        rank_1=2 / 3,
        rank_1_interval=(0.3, 1.0),
        rank_1_chance=0.0456,
        rank_5=2 / 3,
        rank_10=1.0,
        rank_20=1.0,
        mean_inp=0.5417,
        synthetic=None,
        origin={"query weights": "w", "gallery weights": "w"},
        table=table,
    )
    return replace(plain, **changes)


def leaks() -> pd.DataFrame:
    row = {"space": "identity", "label": "camera", "probe": "linear", "score": 0.4321, "low": 0.3, "high": 0.55}
    more = {"chance": 0.25, "shuffled": 0.26, "bits": 0.4, "classes": 4, "test": 80, "identities": 9, "note": ""}
    nothing = {
        "label": "clothes",
        "score": NAN,
        "low": NAN,
        "high": NAN,
        "chance": NAN,
        "note": "fewer than 2 values",
    }
    table = pd.DataFrame([{**row, **more}, {**row, **more, **nothing}])
    return table.assign(metric="balanced accuracy")


def picture(title: str = "strip", **words: str) -> Picture:
    frame = np.full((40, 20, 3), 120, np.uint8)
    made = ranked_strips([Strip(Shot(frame, "q"), [Shot(frame, "g", score=0.5, verdict="right")])], title=title)
    return replace(made, **words)


def full(**changes: Any) -> Evidence:
    evidence = Evidence(
        "A run",
        {"ours": result(), "other": result(mean_ap=0.2, mean_ap_interval=(NAN, NAN))},
        notes=["a note"],
        origin={"weights": "sha256:12", "commit": "abc"},
        leakage=leaks(),
        checks=[
            Check("tracklets per person", 1.25, "1 to 1.5", True),
            Check("rank", 0.1, 0.5, False),
            Check("frames", 7),
        ],
        pictures=[picture()],
    )
    return replace(evidence, **changes)


def write(evidence: Evidence, folder: Path) -> tuple[str, Page, dict[str, Any]]:
    path = report(evidence, folder / "page.html")
    text = path.read_text(encoding="utf-8")
    return text, Page(text), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
