"""Mean and spread over draws, against plain loops and the standard library."""

import json
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from unbraid.cli import main
from unbraid.data.activity import PROTOCOLS, Draw, draw, save
from unbraid.data.benchmark import Benchmark, label_table
from unbraid.draws import evaluate_draws
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Images, Tracklet

CLIPS = tuple(
    Tracklet(f"{p}{a}{t}", Images((Path(f"{p}{a}{t}.jpg"),)), identity=p, labels={"action": a, "camera": f"c{t}"})
    for p in "pqr"
    for a in "abcd"
    for t in range(3)
)
TEST = Benchmark("people", (), CLIPS[::2], CLIPS[1::2], {}, synthetic=True)


def of(clips: tuple[Tracklet, ...]) -> Embeddings:
    """Two numbers a clip, the same whenever it is asked for; motion is another one."""
    every = dict(zip([t.key for t in CLIPS], np.random.default_rng(0).standard_normal((len(CLIPS), 4)), strict=True))
    rows = torch.tensor(np.stack([every[t.key] for t in clips]), dtype=torch.float32)
    labels = label_table(clips)
    return Embeddings(Spaces({"identity": rows[:, :2], "motion": rows[:, 2:]}), labels, {"synthetic": "true"})


QUERY, GALLERY = of(TEST.query), of(TEST.gallery)
WHOLE = {t.key: (t, row) for t, row in zip(CLIPS, of(CLIPS).spaces["identity"].tolist(), strict=True)}


def rank_1(one: Draw, label: str, other_camera: bool) -> float:
    """By two loops: the share of probes, of those with a mate, whose most alike clip shows the same person."""
    right = []
    for probe in one.lists[label, "probe"]:
        asked, x = WHOLE[probe]
        best, mates = (-2.0, False), 0
        for key in one.lists[label, "gallery"]:
            offered, y = WHOLE[key]
            if label == "cross_activity" and asked.labels["action"] == offered.labels["action"]:
                continue
            if other_camera and asked.labels["camera"] == offered.labels["camera"]:
                continue
            cosine = float(np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y))
            mates += asked.identity == offered.identity
            best = max(best, (cosine, asked.identity == offered.identity))
        if mates:
            right.append(best[1])
    return sum(right) / len(right)


def test_each_draw_mean_and_spread() -> None:
    draws = draw(TEST, seeds=(1, 2, 3))
    found = evaluate_draws(QUERY, GALLERY, draws)
    assert [one.results[0].protocol for one in found] == [p.name for p in PROTOCOLS]
    for number, one in enumerate(found):
        want = [rank_1(d, ("same_activity", "cross_activity")[number // 2], bool(number % 2)) for d in draws]
        assert [r.rank_1 for r in one.results] == pytest.approx(want)
        assert one.mean("rank_1") == pytest.approx(statistics.mean(want))
        assert one.spread("rank_1") == pytest.approx(statistics.stdev(want))
        told = one.as_dict()
        assert told["rank_1"] == {"mean": one.mean("rank_1"), "spread": one.spread("rank_1")}
        assert [d["seed"] for d in told["draws"]] == told["seeds"] == [1, 2, 3]
    # how the clips were divided before changes nothing, nor does their order
    turned = evaluate_draws(of(CLIPS[::-3]), of(CLIPS), draws, protocols=PROTOCOLS[:1])
    assert [r.rank_1 for r in turned[0].results] == [r.rank_1 for r in found[0].results]
    motion = evaluate_draws(QUERY, GALLERY, draws, protocols=PROTOCOLS[:1], space="motion")
    assert motion[0].results[0].space == "motion"
    assert [r.mean_ap for r in motion[0].results] != [r.mean_ap for r in found[0].results]


def test_the_table() -> None:
    (one,) = evaluate_draws(QUERY, GALLERY, draw(TEST, seeds=(5, 6)), protocols=PROTOCOLS[3:])
    lines = str(one).splitlines()
    assert lines[0].startswith("SYNTHETIC")
    assert lines[1].startswith("activity-draws/cross/view-@1: hit = ")
    rows = {line.split()[0]: line.split() for line in lines[4:]}
    assert list(rows) == ["5", "6", "mean", "spread", "chance"]
    assert float(rows["mean"][1]) == pytest.approx(100 * one.mean("mean_ap"), abs=0.06)
    assert float(rows["spread"][2]) == pytest.approx(100 * (one.spread("rank_1") or 0), abs=0.06)
    assert float(rows["5"][5]) == pytest.approx(100 * one.results[0].rank_1, abs=0.06)


def test_a_single_draw_has_no_spread() -> None:
    (one,) = evaluate_draws(QUERY, GALLERY, draw(TEST, seeds=(5,)), protocols=PROTOCOLS[:1])
    assert one.spread("rank_1") is None
    assert one.as_dict()["rank_1"]["spread"] is None
    assert any(line.strip() == "spread" for line in str(one).splitlines())


def test_what_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="there are no draws"):
        evaluate_draws(QUERY, GALLERY, ())
    with pytest.raises(ValueError, match=r"no embeddings of .* clips of the draw"):
        evaluate_draws(QUERY, QUERY, draw(TEST, seeds=(5,)))
    sides = (("probe", ("pa0",)), ("gallery", ("qa0", "rb1")))
    alone = Draw(7, {(part, side): keys for part in ("same_activity", "cross_activity") for side, keys in sides})
    with pytest.raises(ValueError, match=r"draw 7: .* none of the 1 queries has a mate"):
        evaluate_draws(QUERY, GALLERY, (alone,))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, draws = tmp_path / "e", tmp_path / "draws"
    QUERY.save(folder / "query")
    GALLERY.save(folder / "gallery")
    save(draw(TEST, seeds=(1, 2)), draws, TEST)
    start = ["evaluate", str(folder), "--draws", str(draws)]
    assert main([*start, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["protocol"] for one in told["protocols"]] == [p.name for p in PROTOCOLS]
    want = evaluate_draws(QUERY, GALLERY, draw(TEST, seeds=(1, 2)))
    assert told["protocols"][2]["mean_ap"] == pytest.approx(want[2].as_dict()["mean_ap"])
    single = ["--protocol", "activity-draws/cross/view+@1", "--space", "motion", "--ap", "trapezoid", "--json"]
    assert main([*start, *single]) == 0
    (one,) = json.loads(capsys.readouterr().out)["protocols"]
    assert (one["protocol"], one["draws"][0]["space"], one["draws"][1]["ap_rule"]) == (single[1], "motion", "trapezoid")
    for change, message in (
        (["--protocol", "plain@1"], "does not go by draws; with --draws use one of activity-draws/same/view+@1"),
        (["--picture", "x.png"], "--picture draws a single result"),
        (["--space", "mood"], "no space 'mood'"),
    ):
        assert main([*start, *change]) == 2
        assert message in capsys.readouterr().err
    assert main(["evaluate", str(folder), "--draws", str(folder)]) == 2
    assert "expected a folder of draws" in capsys.readouterr().err


def test_without_cameras(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, side in (("query", QUERY), ("gallery", GALLERY)):
        Embeddings(side.spaces, pd.DataFrame(side.table.drop(columns="camera")), {}).save(tmp_path / "e" / name)
    save(draw(TEST, seeds=(1,)), tmp_path / "draws", TEST)
    start = ["evaluate", str(tmp_path / "e"), "--draws", str(tmp_path / "draws")]
    assert main(start) == 0
    out = capsys.readouterr().out
    assert "activity-draws/cross/view+@1: hit" in out
    assert "no label 'camera': activity-draws/same/view-@1, activity-draws/cross/view-@1" in out
    assert main([*start, "--protocol", "activity-draws/same/view-@1"]) == 2
    assert "has no label 'camera'" in capsys.readouterr().err
