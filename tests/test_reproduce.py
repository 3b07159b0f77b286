"""Experiments on the built-in world, run for real on its smallest size with the method from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from unbraid.bias import bias
from unbraid.cli import main
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import evaluate
from unbraid.experiment import QUERIES, Job, Setting
from unbraid.method import cosine
from unbraid.report.results import _over_seeds, _probe, gain, summary
from unbraid.reproduce import HEADLINE_SEEDS, OTHER_SEEDS, RESULTS, current, planned, reproduce
from unbraid.spaces import Embeddings

METHOD = "tests.fifth"
SIDES = ("query", "gallery")
TINY = Setting(size="tiny")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("reproduce") / "out"
    arguments = ["reproduce", "--out", str(out), "--size", "tiny", "--methods", METHOD, "--seeds", "1", "2"]
    assert main(arguments) == 0
    return out


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / RESULTS).read_text().splitlines()]


def test_headlines_get_more_seeds_and_every_row_comes_before_second_seeds() -> None:
    plan = planned([METHOD], TINY, (), ())
    assert [(job.row, job.seed) for job in plan[:6]] == [
        *((row, 1) for row in ("full", "half", "backwards", "nothing learned")),
        ("full", 2),
        ("half", 2),
    ]
    counts = pd.Series([job.row for job in plan]).value_counts()
    assert (counts["full"], counts["half"], counts["backwards"]) == (HEADLINE_SEEDS, OTHER_SEEDS, OTHER_SEEDS)
    assert counts["nothing learned"] == 1
    assert [job.seed for job in planned([METHOD], Setting(size="full"), (), ()) if job.row == "once"] == [1]
    with pytest.raises(KeyError, match="no row 'whole'"):
        planned([METHOD], TINY, ["whole"], ())
    with pytest.raises(ValueError, match=r"has no evidence\.py"):
        planned(["tests.retriever"], TINY, (), ())


def test_asked_for_rows_get_all_asked_seeds_and_derived_ones_what_they_need() -> None:
    assert [(job.row, job.seed) for job in planned([METHOD], TINY, ["once"], [3, 4])] == [("once", 3), ("once", 4)]
    assert [(job.row, job.seed) for job in planned([METHOD], TINY, (), [7, 8])][-2:] == [("half", 8), ("backwards", 8)]
    assert [job.row for job in planned([METHOD], TINY, ["backwards"], [1])] == ["full", "backwards"]


def test_runs_of_other_worlds_lie_elsewhere(tmp_path: Path) -> None:
    for name in ("dev.bvh", "elsewhere/dev.bvh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    recorded = [Setting(motion=tmp_path / name) for name in ("dev.bvh", "elsewhere/dev.bvh", "elsewhere")]
    settings = (TINY, Setting(), Setting(part="dev"), *recorded)
    jobs = [Job(METHOD, "full", 1, setting) for setting in settings]
    assert len({job.run for job in jobs}) == len({json.dumps(job.key) for job in jobs}) == len(settings)
    assert jobs[3].key["world"].startswith("world:clothes/small/final/dev-")
    with pytest.raises(FileNotFoundError, match="expected motion files"):
        Job(METHOD, "full", 1, Setting(motion=tmp_path / "nowhere.bvh")).key  # noqa: B018


def test_scores_are_those_of_the_embeddings(done: Path) -> None:
    lines = lines_of(done)
    trained = [("full", 1), ("half", 1), ("nothing learned", 1), ("full", 2), ("half", 2)]
    assert [(line["row"], line["seed"]) for line in lines] == [*trained, ("backwards", 1), ("backwards", 2)]
    for line in [line for line in lines if line["row"] in ("full", "half")]:
        folder = done / line["run"]
        query, gallery = (Embeddings.load(folder / "embeddings" / side) for side in SIDES)
        again = evaluate(query, gallery, CAMERA_CHANGE, seed=line["seed"])
        scores = ("rank_1", "rank_1_interval", "mean_ap", "mean_ap_chance", "queries", "identities")
        assert all(line["results"]["camera-change@1"][name] == json.loads(again.to_json())[name] for name in scores)
        assert line["spaces"]["identity"]["rank_1"] == again.rank_1
        assert line["synthetic"]
        assert {probe["label"] for probe in line["probes"]} == {"identity", "camera", "top_colour"}
        assert line["machine"]["torch"]
        queries = pd.read_parquet(folder / QUERIES)
        own = queries[queries["protocol"] == "camera-change@1"]
        assert np.average(own["right"], weights=own["weight"]) == pytest.approx(again.rank_1)
        # breakdowns add up to the whole
        by = line["by"]["camera-change@1"]["view"]
        shares = own.groupby("view")["weight"].sum()
        assert sum(by[view] * shares[view] for view in by) / shares.sum() == pytest.approx(again.rank_1)
        found = bias(again, CAMERA_CHANGE, query.table, gallery.table, "top_colour", seed=line["seed"])
        assert line["bias"]["top_colour"]["share"] == found.share


def test_a_derived_row_compares_the_features_of_its_base(done: Path) -> None:
    lines = {(line["row"], line["seed"]): line for line in lines_of(done)}
    query, gallery = (Embeddings.load(done / lines["full", 1]["run"] / "embeddings" / side) for side in SIDES)
    again = evaluate(query, gallery, CAMERA_CHANGE, similarity=lambda q, g: -cosine(q, g), seed=1)
    assert lines["backwards", 1]["results"]["camera-change@1"]["mean_ap"] == again.mean_ap
    alone = [lines[row, 1]["spaces"]["identity"]["mean_ap"] for row in ("backwards", "full")]
    assert alone[0] == alone[1] != again.mean_ap
    assert lines["backwards", 1]["train_seconds"] == 0


def test_claims_about_some_queries_count_only_those(done: Path) -> None:
    lines = lines_of(done)
    tables = [pd.read_parquet(done / line["run"] / QUERIES) for line in lines if line["row"] in ("full", "half")]
    view = tables[0]["view"].iloc[0]
    own = [t[(t["protocol"] == "camera-change@1") & (t["view"] == view)] for t in tables]
    full, half = ([np.average(t["right"], weights=t["weight"]) for t in own[start::2]] for start in (0, 1))
    assert gain(lines, done, "full", "half", "camera-change@1", ("view", ("from above",))) == {}
    found = gain(lines, done, "full", "half", "camera-change@1", ("view", (view,)))
    assert found["rank_1_by_seed"] == pytest.approx([100 * (a - b) for a, b in zip(full, half, strict=True)])


def test_gain_is_the_difference_of_the_means(done: Path) -> None:
    lines = lines_of(done)
    found = gain(lines, done, "full", "half", "camera-change@1")
    scores = {(x["row"], x["seed"]): x["results"]["camera-change@1"] for x in lines}
    for name in ("rank_1", "mean_ap"):
        wanted = np.mean([100 * (scores["full", s][name] - scores["half", s][name]) for s in (1, 2)])
        assert found[name][0] == pytest.approx(wanted)
        assert found[name][1] <= found[name][0] <= found[name][2]
        assert np.mean(found["rank_1_by_seed"]) == pytest.approx(found["rank_1"][0])
    assert (found["seeds"], found["identities"]) == ([1, 2], 6)
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
    first = found["claims"][0]
    sure = {True: "agrees", False: "contradicts"} if first["found"][1] > 0 or first["found"][2] < 0 else {}
    signs = {seed > 0 for seed in first["by_seed"] if seed}
    expected = sure.get(signs.pop(), "undecided") if len(signs) == 1 and all(first["by_seed"]) else "undecided"
    assert verdicts["two epochs are better than one"] == expected
    page = (done / "pages" / "tiny" / f"{METHOD}.md").read_text()
    assert "Synthetic people" in page
    assert "| chance |" in page
    index = (done / "pages" / "tiny" / "index.md").read_text()
    assert all(says in page and says in index for says in verdicts)
    assert "](claims.png)" in index
    assert cv2.imread(str(done / "pages" / "tiny" / "claims.png")) is not None
    assert "by view of the query" in page
    assert json.loads((done / "pages" / "tiny" / f"{METHOD}.json").read_text()) == json.loads(json.dumps(found))
    runs = (done / "pages" / "tiny" / f"{METHOD}.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in runs] == lines_of(done)


def test_finished_runs_are_not_made_again(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a finished run was made again")

    monkeypatch.setattr("unbraid.reproduce._done", lambda jobs, *_: iter([never()] if jobs else []))
    before = (done / RESULTS).read_bytes()
    assert len(reproduce(done, methods=[METHOD], setting=TINY, seeds=[1, 2])) == 7
    assert len(reproduce(done, methods=[METHOD], setting=TINY, seeds=[2], rows=["half"])) == 1
    assert (done / RESULTS).read_bytes() == before


def test_a_call_about_one_row_leaves_the_others_on_the_pages(done: Path) -> None:
    page = done / "pages" / "tiny" / f"{METHOD}.md"
    before = page.read_text()
    arguments = ["--out", str(done), "--size", "tiny", "--methods", METHOD, "--rows", "half", "--seeds", "2"]
    assert main(["reproduce", *arguments]) == 0
    assert page.read_text() == before


def test_only_runs_of_present_recipes_and_of_the_settings_worlds_are_current(done: Path, tmp_path: Path) -> None:
    lines = lines_of(done)
    assert current(done, TINY) == lines
    assert current(done, Setting()) == []
    changed = [{**lines[0], "recipe": "another"}, {**lines[1], "row": "no longer there"}, lines[2]]
    (tmp_path / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in changed))
    assert current(tmp_path, TINY) == lines[2:3]


def test_identity_is_what_the_nearest_item_tells() -> None:
    probes = [
        {"space": "identity", "label": label, "probe": probe, "score": score, "chance": 0.1}
        for label in ("identity", "camera")
        for probe, score in (("linear", 0.2), ("nearest", 0.3))
    ]
    asked = [_probe({"probes": probes}, label) for label in ("identity", "camera", "view")]
    assert asked == [{"score": 0.3, "chance": 0.1}, {"score": 0.2, "chance": 0.1}, None]


POOL = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from unbraid.reproduce import _started
if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_started) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc whether a process is still there")
def test_a_killed_experiment_leaves_nobody_working() -> None:
    with subprocess.Popen([sys.executable, "-c", POOL], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
    for _ in range(300):
        time.sleep(0.1)
        # a dead child of nobody may stay listed until somebody asks for its status
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
    os.kill(child, signal.SIGKILL)
    pytest.fail("the child went on without its parent")


def test_damaged_results_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / RESULTS).write_text('{"method": "tests.fi')
    assert main(["reproduce", "--out", str(tmp_path), "--size", "tiny", "--methods", METHOD]) == 2
    assert "remove its last line" in capsys.readouterr().err
