"""Experiments on the built-in world, run for real on its smallest size with the method from outside."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unbraid.cli import main
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import evaluate
from unbraid.report.results import _over_seeds, gain, summary
from unbraid.reproduce import HEADLINE_SEEDS, OTHER_SEEDS, RESULTS, Job, planned, reproduce
from unbraid.spaces import Embeddings

METHOD = "tests.fifth"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("reproduce") / "out"
    arguments = ["reproduce", "--out", str(out), "--size", "tiny", "--methods", METHOD, "--seeds", "1", "2"]
    assert main(arguments) == 0
    return out


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / RESULTS).read_text().splitlines()]


def test_headlines_get_more_seeds_and_every_row_comes_before_second_seeds() -> None:
    plan = planned([METHOD], "tiny", (), ())
    assert [(job.row, job.seed) for job in plan[:3]] == [("full", 1), ("half", 1), ("full", 2)]
    counts = pd.Series([job.row for job in plan]).value_counts()
    assert (counts["full"], counts["half"]) == (HEADLINE_SEEDS, OTHER_SEEDS)
    with pytest.raises(KeyError, match="no row 'whole'"):
        planned([METHOD], "tiny", ["whole"], ())
    with pytest.raises(ValueError, match=r"has no evidence\.py"):
        planned(["tests.retriever"], "tiny", (), ())


def test_scores_are_those_of_the_embeddings(done: Path) -> None:
    lines = lines_of(done)
    assert [(line["row"], line["seed"]) for line in lines] == [("full", 1), ("half", 1), ("full", 2), ("half", 2)]
    for line in lines:
        folder = Job(METHOD, line["row"], line["seed"], "tiny").folder(done)
        query, gallery = (Embeddings.load(folder / "embeddings" / side) for side in ("query", "gallery"))
        again = evaluate(query, gallery, CAMERA_CHANGE, seed=line["seed"])
        scores = ("rank_1", "rank_1_interval", "mean_ap", "mean_ap_chance", "queries", "identities")
        assert all(line["results"]["camera-change@1"][name] == json.loads(again.to_json())[name] for name in scores)
        assert line["spaces"]["identity"]["rank_1"] == again.rank_1
        assert line["synthetic"]
        assert {probe["label"] for probe in line["probes"]} == {"identity", "camera"}
        assert line["machine"]["torch"]
        queries = pd.read_parquet(folder / "queries.parquet")
        own = queries[queries["protocol"] == "camera-change@1"]
        assert np.average(own["right"], weights=own["weight"]) == pytest.approx(again.rank_1)


def test_gain_is_the_difference_of_the_means(done: Path) -> None:
    lines = lines_of(done)
    found = gain(lines, done, "full", "half", "camera-change@1")
    scores = {(x["row"], x["seed"]): x["results"]["camera-change@1"] for x in lines}
    for name in ("rank_1", "mean_ap"):
        wanted = np.mean([100 * (scores["full", s][name] - scores["half", s][name]) for s in (1, 2)])
        assert found[name][0] == pytest.approx(wanted)
        assert found[name][1] <= found[name][0] <= found[name][2]
    assert (found["seeds"], found["identities"]) == (2, 6)
    assert gain(lines[:1], done, "full", "half", "camera-change@1") == {}


def test_intervals_over_seeds_are_student_s() -> None:
    # t of 2 degrees of freedom at 97.5 % is 4.3027, from any table
    middle, low, high = _over_seeds([1.0, 2.0, 3.0])
    assert (middle, high - middle) == pytest.approx((2.0, 4.3027 / 3**0.5), rel=1e-4)
    assert middle - low == pytest.approx(high - middle)
    assert _over_seeds([1.0]) == []


def test_pages_say_what_was_found(done: Path) -> None:
    found = summary(METHOD, lines_of(done), done)
    verdicts = {claim["says"]: claim["verdict"] for claim in found["claims"]}
    interval = found["claims"][0]["found"]
    expected = "agrees" if interval[1] > 0 else "contradicts" if interval[2] < 0 else "undecided"
    assert verdicts["two epochs are better than one"] == expected
    page = (done / "pages" / f"{METHOD}.md").read_text()
    assert "Synthetic people" in page
    assert "| chance |" in page
    assert all(says in page and says in (done / "pages" / "index.md").read_text() for says in verdicts)
    stored = json.loads((done / "pages" / f"{METHOD}.json").read_text())
    assert len(stored["runs"]) == 4


def test_finished_runs_are_not_made_again(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a finished run was made again")

    monkeypatch.setattr("unbraid.reproduce._done", lambda jobs, *_: iter([never()] if jobs else []))
    before = (done / RESULTS).read_bytes()
    assert len(reproduce(done, methods=[METHOD], size="tiny", seeds=[1, 2])) == 4
    assert len(reproduce(done, methods=[METHOD], size="tiny", seeds=[2], rows=["half"])) == 1
    assert (done / RESULTS).read_bytes() == before


def test_damaged_results_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / RESULTS).write_text('{"method": "tests.fi')
    assert main(["reproduce", "--out", str(tmp_path), "--size", "tiny", "--methods", METHOD]) == 2
    assert "remove its last line" in capsys.readouterr().err
