"""The report page: parsed back by an HTML parser, compared with its JSON, attacked with markup."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import hypergeom

from tests.reports import ATTACK, BANNER, NAN, full, leaks, picture, result, write
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.protocol import Protocol, same
from unbraid.report import Check, Evidence, facts, report
from unbraid.report import write as writing
from unbraid.report.evidence import cmc, cmc_chance, summary
from unbraid.report.gather import _biases
from unbraid.viz import Picture


def test_page_is_one_file_without_requests_or_scripts(tmp_path: Path) -> None:
    text, page, _ = write(full(), tmp_path)
    assert text.startswith("<!DOCTYPE html>")
    assert not re.search(r"https?:", text)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(page.tags)
    assert "url(" not in text
    assert "@import" not in text
    for tag, name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            assert value.startswith("data:image/png;base64," if tag == "img" else "#")
    targets = {value for _, name, value in page.attributes if name == "id"}
    assert {value[1:] for _, name, value in page.attributes if name == "href"} == targets
    assert all(value for tag, name, value in page.attributes if (tag, name) == ("img", "alt"))
    assert text.count("<img ") == 3  # strip, CMC, leakage
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "page.json"]


def test_markup_in_data_stays_text(tmp_path: Path) -> None:
    table = result().table.assign(key=ATTACK, identity=ATTACK, best=ATTACK)
    evil = result(table=table, protocol=ATTACK, hit=ATTACK, skip=ATTACK, space=ATTACK, origin={ATTACK: ATTACK})
    evidence = Evidence(
        ATTACK,
        {ATTACK: evil},
        synthetic=True,
        summary=ATTACK,
        notes=[ATTACK],
        origin={ATTACK: ATTACK},
        leakage=leaks().assign(space=ATTACK, label=ATTACK, note=ATTACK),
        checks=[Check(ATTACK, ATTACK, ATTACK, True)],
        pictures=[picture(ATTACK, caption=ATTACK, alt=ATTACK)],
    )
    text, page, told = write(evidence, tmp_path)
    assert "script" not in page.tags
    assert page.comments == 0
    assert page.tags.count("img") == 3
    assert page.tags.count("style") == page.tags.count("title") == 1
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert {name for tag, name, _ in page.attributes if tag == "img"} <= {"src", "alt", "width", "height", "style"}
    assert page.text.count(ATTACK) > 25
    assert "<script" not in text
    assert told["results"][0]["name"] == ATTACK


def test_characters_that_a_page_cannot_hold_are_replaced(tmp_path: Path) -> None:
    _, page, _ = write(Evidence("a\x00b\ud800c\x1bd"), tmp_path)
    assert "a\ufffdb?c\ufffdd" in page.text


def test_numbers_on_the_page_are_those_of_the_json(tmp_path: Path) -> None:
    _, page, told = write(full(), tmp_path)
    rows = page.tables[0][1:]
    for row, r in zip(rows, told["results"], strict=True):
        shown = [part[0] for part in row]
        keys = ("mean_ap", "rank_1", "rank_5", "rank_10", "rank_20", "mean_inp")
        assert shown == [r["name"], *(f"{100 * r[key]:.1f}" for key in keys), str(r["queries"]), str(r["gallery"])]
        assert f"chance {100 * r['mean_ap_chance']:.1f}" in row[1]
        assert f"chance {100 * r['rank_1_chance']:.1f}" in row[2]
        low, high = r["rank_1_interval"]
        assert f"{100 * low:.1f} to {100 * high:.1f}" in row[2]
        assert "3 identities" in row[7]
        assert "1 without mate" in row[7]
        assert "2 distractors" in row[8]
    assert "41.2 to 98.8" in rows[0][1]
    assert told["results"][1]["mean_ap_interval"] == [None, None]
    assert rows[1][1] == ["20.0", "chance 5.1"]
    heads = [table[0][0][0] for table in page.tables]
    leak = page.tables[heads.index("Label")][1]
    assert [part[0] for part in leak if part] == ["camera", "identity", "43.2", "25.0", "26.0", "0.40", "80"]
    assert told["leakage"][0]["score"] == 0.4321
    assert told["leakage"][1]["score"] is None
    assert page.tables[heads.index("Label")][2][2] == ["not known"]
    check = page.tables[heads.index("Check")]
    assert [row[1] for row in check[1:]] == [["1.25"], ["0.1"], ["7"]]
    assert [row[3][0] for row in check[1:]] == ["\u2713 passed", "\u2717 failed", "reported only"]


def test_the_page_says_who_takes_part_what_is_drawn_and_what_has_no_features(tmp_path: Path) -> None:
    drawn = result(
        shots="1 item(s) per identity, mean of 3 draws (seed 0)", draws=3, query_items="camera in ['a']", zero_items=2
    )
    _, page, _ = write(full(results={"plain": result(), "drawn": drawn}), tmp_path)
    assert "; AP by step." in page.text
    assert "gallery of 1 item(s) per identity, mean of 3 draws (seed 0); queries: camera in ['a']." in page.text
    assert [row[8][-1] for row in page.tables[0][1:]] == ["4 mated pairs", "4 mated pairs in 3 draws"]
    assert "drawn: warning: the features of 2 item(s) are all zero" in page.text
    assert "plain: warning" not in page.text


def test_worst_queries_are_sorted_and_have_a_mate(tmp_path: Path) -> None:
    _, page, told = write(full(), tmp_path)
    assert [row["key"] for row in told["results"][0]["worst"]] == ["q1", "q0", "q3"]
    worst = next(table for table in page.tables if table[0][0] == ["Query"])
    assert [part[0] for part in worst[1]] == ["q1", "b", "12.5", "8", "1 of 29", "g2"]


def test_provenance_joins_what_query_and_gallery_share(tmp_path: Path) -> None:
    _, page, _ = write(full(), tmp_path)
    rows = next(table for table in page.tables if table[0][0] == ["Of"])[1:]
    assert rows == [
        [["this page"], ["weights"], ["sha256:12"]],
        [[], ["commit"], ["abc"]],
        [["ours; other"], ["weights"], ["w"]],
    ]


def test_a_fact_of_many_lines_is_folded(tmp_path: Path) -> None:
    recipe = json.dumps({"epochs": 3, "optim": {"rate": 0.1, "decay": 0.2}, "seed": 0, "method": "x"}, indent=2)
    _, page, told = write(Evidence("x", origin={"recipe": recipe, "commit": "abc"}), tmp_path)
    assert page.tags.count("details") == 1
    assert recipe in page.text
    assert told["origin"]["recipe"] == recipe


def test_empty_sections_vanish(tmp_path: Path) -> None:
    text, page, told = write(Evidence("Nothing yet"), tmp_path)
    assert "table" not in page.tags
    assert "figure" not in page.tags
    assert re.findall(r'<section id="(\w+)"', text) == ["reading", "responsible"]
    assert told["results"] == told["checks"] == told["leakage"] == []
    assert "mAP" not in page.text
    only = replace(full(), results={}, leakage=None, pictures=())
    text, _, told = write(only, tmp_path)
    assert re.findall(r'<section id="(\w+)"', text) == ["checks", "provenance", "reading", "responsible"]
    assert told["summary"] == "1 of 2 checks passed; nothing here measures recognition."


def test_synthetic_people_are_announced(tmp_path: Path) -> None:
    assert BANNER not in write(full(), tmp_path)[1].text
    assert BANNER in write(full(synthetic=True), tmp_path)[1].text
    text, page, told = write(full(results={"a": result(synthetic=True), "b": result()}), tmp_path)
    assert text.index(BANNER) < text.index("<h1>")
    assert told["synthetic"] is True
    assert page.text.count(", synthetic") == 1


def test_summary_names_protocol_interval_chance_and_counts() -> None:
    assert summary(full()).replace("\u00a0", " ") == (
        "ours under camera-change@1: mAP 62.5 % (95 % interval 41.2 to 98.8, chance 5.1 %) and rank-1 66.7 % "
        "(chance 4.6 %), for 3 queries of 3 identities in a gallery of 30."
    )
    assert "interval" not in summary(full(results={"ours": result(mean_ap_interval=(NAN, NAN))}))


def test_bias_is_a_check_or_the_reason_why_there_is_none() -> None:
    plain = Protocol("clothes-change@1", hit=same("identity"), skip=same("key"))
    celled = replace(plain, name="clothes-change/cells@1", cells="view")
    query, gallery = (
        pd.DataFrame(
            {"key": [f"{side}{n + (side == 'g')}" for n in range(4)], "identity": list("abca"), "top_colour": "red"}
        )
        for side in "qg"
    )
    results = {"one": result(protocol=plain.name), "two": result(protocol=celled.name), "three": result()}
    checks = _biases(results, {p.name: p for p in (plain, celled, CAMERA_CHANGE)}, query, gallery, 0)
    assert [check.name.split(":")[0] for check in checks] == ["bias of one", "bias of two"]
    # no error among the 4 identities of the table, one of them unknown: down to 1 - 3 / 4
    assert (checks[0].value, checks[0].expected) == (
        "100.0 % (25.0 to 100.0), 4 queries of 4 identities",
        "by chance 100.0 %",
    )
    assert str(checks[1].value).startswith("not reported: protocol 'clothes-change/cells@1' averages cells")
    assert _biases(results, {}, query.drop(columns="top_colour"), gallery, 0) == []


def test_cmc_and_its_chance() -> None:
    assert cmc(result(), 8) == pytest.approx([2 / 3] * 7 + [1.0])
    expected = [np.mean([hypergeom.sf(0, n, m, k) for m, n in ((2, 30), (1, 29), (1, 28))]) for k in range(1, 31)]
    assert cmc_chance(result(), 30)[:28] == pytest.approx(expected[:28])
    everything = result().table.assign(hits=2, valid=2, first=1)
    assert cmc_chance(result(table=everything), 5) == [1.0] * 5


@pytest.mark.parametrize("name", ["page.html", "new/folder/page.HTM", "folder", "."])
def test_out_is_a_page_or_a_folder(tmp_path: Path, name: str) -> None:
    page = report(Evidence("x"), tmp_path / name)
    assert page == tmp_path / name if "." in name[1:] else page == tmp_path / name / "report.html"
    assert page.is_file()
    assert page.with_suffix(".json").is_file()


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.html"):
        report(Evidence("x"), tmp_path / "report.pdf")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"report cannot be written there.*page\.html"):
        report(Evidence("x"), tmp_path / "file" / "page.html")


def test_a_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = report(Evidence("old"), tmp_path / "page.html")
    before = page.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        report(Evidence("new"), page)
    assert page.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "page.json"]


def test_mistakes_in_evidence_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no column.*score"):
        facts(Evidence("x", leakage=leaks().drop(columns="score")))
    with pytest.raises(ValueError, match="'bad' is not a PNG file"):
        report(Evidence("x", pictures=[Picture("bad", "", b"GIF89a", "")]), tmp_path)
