"""The leakage page: parsed back by an HTML parser, compared with its JSON, attacked with markup."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from tests.reports import ATTACK, BANNER, Page, picture
from unbraid.report.leakage_examples import alike
from unbraid.report.leakage_page import write_leakage
from unbraid.report.leakage_tables import amount, squeezed, state, strongest
from unbraid.spaces import Embeddings, Spaces

Facts = dict[str, Any]


def row(label: str, score: float | None, half: float = 0.05, space: str = "identity", **more: Any) -> Facts:
    low, high = (None, None) if score is None else (score - half, score + half)
    sure = {"score": score, "low": low, "high": high, "chance": None if score is None else 0.2}
    facts = {"space": space, "label": label, "probe": "linear", "split": "identity", "metric": "balanced accuracy"}
    counts = {"classes": 5, "train": 100, "test": 90, "identities": 30, "left_out": 0}
    return {**facts, **sure, "shuffled": 0.21, "bits": 0.5, **counts, "note": "", **more}


def report(**changes: Any) -> Facts:
    names = ["queries", "identities", "note", "low", "high", "chance"]
    counted = dict(zip(names, [90, 30, "", 0.3, 0.5, 0.2], strict=True))
    pair = {"first": "identity", "second": "motion", "cka": 0.625, "cka_chance": 0.125, "hsic": 0.01, "p": 0.005}
    dci = {
        "disentanglement": 0.75,
        "completeness": 0.5,
        "informativeness": 0.875,
        "importance": [[0.9, 0.2], [0.1, 0.8]],
    }
    told: Facts = {
        "version": 1,
        "synthetic": False,
        "origin": {"weights": "sha256:12", "benchmark": "set"},
        "items": 180,
        "identities": 60,
        "probes": [
            row("camera", 0.7625),
            row("camera", 0.3, 0.2, probe="knn"),
            row("top_colour", 0.27, 0.06),
            row("sex", None, note="3 people can be tested"),
            row("view", 0.8, space="motion"),
            row("height", 0.45, metric="r2", chance=0.0),
        ],
        "retrieval": [{"space": "identity", "label": "camera", "rank_1": 0.4, **counted}],
        "bias": [{"label": "clothes", "share": 0.41, **counted}],
        "dependence": [{**pair, "p_within": 0.2, "angles": [3.0, 40.0], "angles_chance": [50.0, 60.0], "items": 90}],
        "factors": {
            "dci": {**dci, "codes": ["identity", "motion"], "factors": ["identity", "view"]},
            "mig": 0.4,
            "sap": 0.3,
            "left_out": [{"factor": "sex", "note": "too close"}],
        },
        "confounded": [],
        "warnings": ["camera is tied to view"],
        "verdicts": ["camera can be read", "no sign of luck"],
    }
    return {**told, **changes}


def twins() -> Facts:
    moved = {"space": "identity", "low": 1.0, "high": 4.0, "pairs": 12, "identities": 6, "note": ""}
    rows = [
        {**moved, "factor": "person", "moved": 1.0},
        {**moved, "factor": "clothes", "moved": 2.5},
        {**moved, "factor": "view", "moved": None, "low": None, "high": None, "note": "no yardstick"},
    ]
    return {"version": 1, "synthetic": True, "origin": {}, "rows": rows}


def write(folder: Path, reports: dict[str, Facts], **more: Any) -> tuple[str, Page, Facts]:
    path = write_leakage(reports, folder / "leaks.html", **more)
    text = path.read_text(encoding="utf-8")
    return text, Page(text), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def test_page_is_one_file_without_requests_or_scripts(tmp_path: Path) -> None:
    more = {"counterfactual": {"one": twins()}, "examples": {"one": [picture()]}}
    text, page, told = write(tmp_path, {"one": report(), "two": report()}, **more)
    assert not re.search(r"https?:|url\(|@import", text)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            assert value.startswith("data:image/png;base64," if tag == "img" else "#")
    targets = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for _, name, value in page.attributes if name == "href"} == targets
    assert told["reports"] == {"one": report(), "two": report()}
    assert told["counterfactual"] == {"one": twins()}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["leaks.html", "leaks.json"]


def test_markup_in_data_stays_text(tmp_path: Path) -> None:
    def attacked(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: attacked(one) for name, one in value.items()}
        if isinstance(value, list):
            return [attacked(one) for one in value]
        return ATTACK if isinstance(value, str) and value != "r2" else value

    evil = {ATTACK: attacked(report()), "two": report()}
    text, page, _ = write(tmp_path, evil, counterfactual={ATTACK: attacked(twins())})
    assert "script" not in page.tags
    assert page.comments == 0
    assert page.tags.count("style") == page.tags.count("title") == 1
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "<img" not in text


def test_numbers_of_the_matrix(tmp_path: Path) -> None:
    _, page, _ = write(tmp_path, {"one": report()})
    matrix = next(table for table in page.tables if table[0][0] == ["Label"])
    assert matrix[0][1:] == [["identity"], ["motion"]]
    cells = {line[0][0]: line[1:] for line in matrix[1:]}
    assert cells["camera"][0] == ["\u25cf", "76.2", "71.2 to 81.2", "chance 20.0, linear"]
    assert cells["top colour"][0][:3] == ["\u25d0", "27.0", "21.0 to 33.0"]
    assert cells["sex"][0] == ["no claim"]
    assert cells["height"][0][:3] == ["\u25cf", "R\u00b2 0.45", "0.40 to 0.50"]
    assert cells["view"] == [["\u2013"], ["\u25cf", "80.0", "75.0 to 85.0", "chance 20.0, linear"]]
    hovers = [value for _, name, value in page.attributes if name == "title"]
    assert any("shuffled 21.0, 0.50 bits; 90 items of 30 identities" in hover for hover in hovers)
    assert "no claim: 3 people can be tested" in hovers


def test_everything_else_is_on_the_page(tmp_path: Path) -> None:
    _, page, _ = write(tmp_path, {"one": report()}, counterfactual={"one": twins()}, examples={"one": [picture()]})
    words = " ".join(page.words)
    for told in (
        *("camera can be read.", "no sign of luck.", "camera is tied to view.", "sha256:12", "0.62", "chance 0.12"),
        *("p 0.005", "0.200", "3\u00b0", "chance 50\u00b0", "0.75", "0.88", "90 %", "sex is left out: too close."),
        *("2.50", "1.00 to 4.00", "12 twins, 6 people", "by definition", "41.0", "40.0"),
    ):
        assert told in words, told
    assert page.tags.count("img") == 1
    assert "Where they differ" not in words


def test_two_checkpoints_are_told_apart(tmp_path: Path) -> None:
    other = report(probes=[row("camera", 0.4), row("top_colour", 0.3, 0.06), row("identity", 0.9)], factors=None)
    first = report(probes=[*report()["probes"], row("identity", 0.5)])
    _, page, _ = write(tmp_path, {"one": first, "two": other})
    words = re.sub(r"\s+", " ", " ".join(page.words))
    assert "A gives away more: camera from the identity space, A 76.2 (71.2 to 81.2), B 40.0 (35.0 to 45.0)" in words
    assert "B recognises people better: identity from the identity space" in words
    assert "No clear difference: top colour (identity)." in words
    assert "Not compared, because only one has them: motion." in words
    assert "Nothing to say for two" in words
    assert "different data" not in words
    matrix = next(table for table in page.tables if table[0][0] == ["Label"])
    assert matrix[1] == [["A"], ["B"], ["A"]]


def test_nothing_is_given_away_without_a_sign_of_it(tmp_path: Path) -> None:
    """Two intervals apart, both of which hold chance."""
    two = [report(probes=[row("camera", 0.1 + 0.18 * n, 0.2)], factors=None) for n in (0, 1)]
    _, page, _ = write(tmp_path, {"one": two[0], "two": two[1]})
    assert "No clear difference anywhere." in page.text


def test_ties_stand_beside_the_numbers_that_they_put_in_doubt(tmp_path: Path) -> None:
    ties = [{"label": "camera", "with": "identity"}, {"label": "view", "with": "camera"}]
    first, other = report(probes=[row("camera", 0.7625)]), report(probes=[row("camera", 0.4)], confounded=ties)
    words = " ".join(write(tmp_path, {"one": first, "two": other})[1].text.split())
    assert "camera 76.2 (71.2 to 81.2, chance 20.0)" in words
    assert "camera 40.0 (35.0 to 45.0, chance 20.0; tied to view)" in words
    assert "40.0 (35.0 to 45.0), chance 20.0; tied to view" in words


def test_other_data_is_a_warning(tmp_path: Path) -> None:
    other = report(origin={"benchmark": "another set"})
    assert "measured on different data" in write(tmp_path, {"one": report(), "two": other})[1].text


@pytest.mark.parametrize("where", ["report", "twins", "nowhere"])
def test_synthetic_is_said_first(tmp_path: Path, where: str) -> None:
    facts = {"version": 1, "synthetic": where == "twins", "origin": {}, "rows": []}
    _, page, _ = write(tmp_path, {"one": report(synthetic=where == "report")}, counterfactual={"one": facts})
    assert (BANNER in page.text) == (where != "nowhere")


def test_a_report_of_little_still_makes_a_page(tmp_path: Path) -> None:
    nothing: Facts = {"probes": [], "retrieval": [], "bias": [], "dependence": [], "factors": None, "verdicts": []}
    _, page, _ = write(tmp_path, {"one": report(**nothing, warnings=[])})
    assert "Before you believe it" in page.text
    assert "What spaces share" not in page.text


def test_states_and_amounts() -> None:
    """Half-widths of 0.05 are 1.96 standard errors; three of them are 0.0765."""
    assert state(row("x", 0.28)) == "claim"
    assert state(row("x", 0.27)) == "weak"
    assert state(row("x", 0.24)) == "none"
    assert state(row("x", None)) == "refused"
    assert amount(row("x", 0.6)) == pytest.approx(0.5)
    assert amount(row("x", 0.24)) == amount(row("x", None)) == 0
    weak, claim = row("x", 0.9, 0.65), row("x", 0.5)
    assert strongest([weak, claim]) is claim
    assert strongest([row("x", None), row("x", 0.1), row("x", 0.15, 0.1)])["score"] == 0.15
    assert [squeezed(value) for value in (0, 0.5, 1, 2, 4)] == [0, 0.25, 0.5, 0.75, 0.875]


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 to 26 reports; got 0"):
        write_leakage({}, tmp_path)
    old, short = report(version=0), report()
    del short["probes"]
    with pytest.raises(ValueError, match=r"'one' is not a leakage report of version 1 \(version 0, missing: nothing"):
        write_leakage({"one": old}, tmp_path)
    with pytest.raises(ValueError, match="missing: probes"):
        write_leakage({"one": short}, tmp_path)
    with pytest.raises(ValueError, match="counterfactual of 'two'"):
        write_leakage({"one": report()}, tmp_path, counterfactual={"two": twins()})
    with pytest.raises(ValueError, match="examples of 'two'"):
        write_leakage({"one": report()}, tmp_path, examples={"two": [picture()]})
    with pytest.raises(ValueError, match="not a counterfactual report"):
        write_leakage({"one": report()}, tmp_path, counterfactual={"one": {"version": 2}})
    with pytest.raises(ValueError, match=r"ends in \.html"):
        write_leakage({"one": report()}, tmp_path / "page.pdf")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="cannot be written there"):
        write_leakage({"one": report()}, tmp_path / "file" / "page.html")


def test_a_folder_gets_a_page_and_input_is_left_alone(tmp_path: Path) -> None:
    facts = report()
    before = deepcopy(facts)
    assert write_leakage({"one": facts}, tmp_path / "new") == tmp_path / "new" / "report.html"
    assert facts == before


# --- examples ---


def people() -> Embeddings:
    """a1 and a2 are one person in two outfits; b wears what a1 wears, c what a2 does. Features are colours."""
    table = pd.DataFrame(
        [
            ("a1", "a", "a-red", "red"),
            ("a2", "a", "a-blue", "blue"),
            ("b1", "b", "b-red", "red"),
            ("c1", "c", "c-blue", "blue"),
            ("a3", "a", "a-red", "red"),
        ],
        columns=["key", "identity", "clothes", "colour"],
    )
    features = torch.tensor([[1.0, 0], [0, 1.0], [0.9, 0.1], [0.1, 0.9], [1.0, 0.0]])
    return Embeddings(Spaces({"identity": features}), table, {})


def test_examples_are_searches_that_went_by_the_label() -> None:
    asked: list[str] = []

    def look(key: str) -> NDArray[np.uint8]:
        asked.append(key)
        return np.full((20, 10, 3), 90, np.uint8)

    made = alike(people(), "colour", look, rows=1, k=2)
    assert made is not None
    # the person's own red outfit is not searched, so each of the five finds somebody else of its colour
    assert "In 5 of 5 searches by the identity space" in made.caption
    assert len(asked) == 3
    assert made.png[:4] == b"\x89PNG"
    assert alike(people(), "clothes", look) is None
    with pytest.raises(KeyError, match="no 'hat'"):
        alike(people(), "hat", look)
