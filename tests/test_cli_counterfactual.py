"""`unbraid counterfactual` as a stranger would call it."""

import json
import shutil
from pathlib import Path

import pytest

from tests.test_cli import refused
from unbraid.cli import main
from unbraid.cli.counterfactual import _procedural, _seen
from unbraid.cli.sides import short_names
from unbraid.data.benchmark import Benchmark
from unbraid.tracklet import Images, Tracklet


@pytest.fixture(scope="module")
def home(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was trained a little, and room for worlds."""
    home = tmp_path_factory.mktemp("counterfactual")
    assert main(["train", "dsanet:tiny", "--root", str(people), "--out", str(home / "run"), "--epochs", "1"]) == 0
    return home


@pytest.fixture(autouse=True)
def _worlds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNBRAID_WORLDS", str(home / "worlds"))


def trained_on(home: Path, name: str, world: str) -> Path:
    """A copy of the run that says it was trained on a built-in world."""
    run = shutil.copytree(home / "run", home / name, dirs_exist_ok=True)
    origin = json.loads((run / "origin.json").read_text())
    (run / "origin.json").write_text(json.dumps(origin | {"benchmark": world}))
    return run


def test_it_renders_measures_draws_and_keeps(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = home / "out"
    wanted = ["--world", "reid/tiny/dev", "--people", "2", "--out", str(out)]
    assert main(["counterfactual", str(home / "run"), *wanted]) == 0
    shown = capsys.readouterr().out
    assert "SYNTHETIC" in shown
    assert shown.index("person") < shown.index("clothes") < shown.index("nothing")
    facts = json.loads((out / "counterfactual.json").read_text())
    assert facts["version"] == 1
    assert facts["synthetic"] is True
    assert facts["origin"]["benchmark"] == "world:reid/tiny/dev/twins"
    assert {row["space"] for row in facts["rows"]} == {"identity", "camera"}
    named = ["person", "clothes", "camera", "view", "action", "take", "nothing"]
    assert [row["factor"] for row in facts["rows"] if row["space"] == "identity"] == named
    assert {(row["pairs"], row["identities"]) for row in facts["rows"]} == {(2, 2)}
    assert (out / "twins.png").stat().st_size > 10_000
    assert (out / "embeddings" / "gallery" / "table.parquet").is_file()
    # the same again, of two runs, from what is kept
    kept = home / "worlds" / "reid-tiny-dev-twins-2" / "tracklets.parquet"
    before = kept.stat().st_mtime_ns
    twice = trained_on(home, "other", "world:reid/tiny/dev")
    assert main(["counterfactual", str(home / "run"), str(twice), "--people", "2", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert kept.stat().st_mtime_ns == before
    assert told["runs"]["run"]["rows"] == facts["rows"]
    assert told["runs"]["other"] == json.loads((out / "other" / "counterfactual.json").read_text())
    assert told["files"] == [
        str(out / p) for p in ("run/counterfactual.json", "other/counterfactual.json", "twins.png")
    ]


def test_a_world_of_other_sensors_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained_on(home, "colours", "world:clothes/tiny/dev")
    told = refused(capsys, "counterfactual", run, "--world", "gait/tiny/dev")
    assert "colours reads rgb (it was trained on world:clothes/tiny/dev), but world:gait/tiny/dev shows" in told
    assert "silhouette and depth; choose a --world that fits, of reid, video, clothes, activity" in told
    gait = trained_on(home, "gait", "world:gait/tiny/dev")
    told = refused(capsys, "counterfactual", gait, "--world", "reid/tiny/dev")
    assert "gait reads silhouette and depth" in told
    masked = trained_on(home, "masked", "somewhere")
    recipe = json.loads((masked / "recipe.json").read_text())
    recipe["data"]["channels"] = "mask"
    (masked / "recipe.json").write_text(json.dumps(recipe))
    told = refused(capsys, "counterfactual", masked, "--world", "gait/tiny/dev")
    assert "masked reads rgb (its recipe has data.channels = 'mask': frames with masks)" in told


def test_a_run_is_shown_what_it_reads(tmp_path: Path) -> None:
    facts = [("a", "silhouette", {}), ("b", "depth", {}), ("c", "depth", {"twin_of": "a", "factor": "modality"})]
    facts += [("d", "silhouette", {"twin_of": "a", "factor": "view"}), ("e", "depth", {"twin_of": "b"})]
    gallery = tuple(Tracklet(key, Images((tmp_path,)), kind, "p", labels) for key, kind, labels in facts)
    twins = Benchmark("twins", (), (), gallery, {})
    assert [t.key for t in _seen(twins, ["silhouette", "depth"]).gallery] == ["a", "b", "c", "d", "e"]
    assert [t.key for t in _seen(twins, ["silhouette"]).gallery] == ["a", "d"]
    assert [t.key for t in _seen(twins, ["depth"]).gallery] == ["b", "e"]


def test_mistakes_are_sentences(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = home / "run"
    assert "name at least one run folder" in refused(capsys, "counterfactual")
    assert "is not a run: it has no recipe.json" in refused(capsys, "counterfactual", home / "nowhere")
    assert "named twice" in refused(capsys, "counterfactual", run, run)
    assert "did you mean 'clothes'?" in refused(capsys, "counterfactual", run, "--world", "cloths")
    assert "people = 0 must be" in refused(capsys, "counterfactual", run, "--world", "reid/tiny/dev", "--people", 0)
    both = [trained_on(home, kind, f"world:{kind}/tiny/dev") for kind in ("clothes", "video")]
    told = refused(capsys, "counterfactual", *both)
    assert "different worlds (world:clothes/tiny/dev, world:video/tiny/dev); name one with --world" in told


def test_runs_on_recorded_motion_are_asked_in_the_world_that_moves_by_itself() -> None:
    assert _procedural("world:clothes/tiny/dev/walks-1a2b3c") == _procedural("world:clothes/tiny/dev")
    assert _procedural("world:clothes/tiny/dev") == "world:clothes/tiny/dev"


def test_runs_are_called_by_as_little_of_their_path_as_tells_them_apart() -> None:
    assert list(short_names([Path("/a/b/one"), Path("/a/b/two")])) == ["one", "two"]
    assert list(short_names([Path("/a/b/run"), Path("/a/c/run")])) == ["b-run", "c-run"]
    assert list(short_names([Path("/run"), Path("/a/run")])) == ["run", "a-run"]
    embeddings = [Path("/a/b/run/embeddings"), Path("/a/c/run/embeddings/world")]
    assert list(short_names(embeddings)) == ["b-run", "c-run"], "what twins of these runs are called"
    several = [Path("/a/run/embeddings/one"), Path("/a/run/embeddings/two")]
    assert list(short_names(several)) == ["one", "two"]
