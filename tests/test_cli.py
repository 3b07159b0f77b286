"""The commands as a stranger would call them: the whole line, and every mistake in one clear sentence."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from unbraid.checkpoint import latest, weights_hash
from unbraid.cli import COMMANDS, main
from unbraid.cli.root import open_benchmark
from unbraid.data.sets.folder import read
from unbraid.recipe import find_recipe


@pytest.fixture(scope="module")
def line(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run and its embeddings, made by the commands."""
    home = tmp_path_factory.mktemp("line")
    assert main(["train", "dsanet:tiny", "--root", str(people), "--out", str(home / "run"), "--epochs", "1"]) == 0
    assert main(["extract", str(home / "run"), "--root", str(people), "--out", str(home / "embeddings")]) == 0
    return home


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The message of a command that ends with exit code 2 and no traceback."""
    capsys.readouterr()
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    shown = capsys.readouterr()
    assert code == 2, shown
    assert "Traceback" not in shown.err
    return shown.err


def test_help_comes_quickly_and_names_every_command() -> None:
    probe = "import sys; from unbraid.cli import main; main(['--help']); print({'torch', 'tyro'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert all(f"  {command} " in shown for command in COMMANDS)
    # what makes help slow is importing these
    assert shown.splitlines()[-1] == "set()"


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("world", "train", "data", "caption", "gait")])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"usage: unbraid {command}" in capsys.readouterr().out


def test_an_unknown_command_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "qqq").startswith("unbraid: no command 'qqq'. Commands: demo, ")
    assert "did you mean 'evaluate'? Commands: " in refused(capsys, "evaluat")


def test_evaluate_prints_json(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["evaluate", str(line / "embeddings"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["protocol"] == "camera-change@1"
    assert told["queries"] == 6
    assert told["synthetic"] is True


def test_search_finds_someone(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    embeddings = line / "embeddings"
    assert (
        main(
            [
                "search",
                "--query",
                str(embeddings / "query"),
                "--gallery",
                str(embeddings / "gallery"),
                "--k",
                "2",
                "--json",
            ]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert len(told) == 12
    assert {"query", "rank", "key", "score", "identity", "camera"} <= set(told[0])


def test_report_is_one_page(line: Path, people: Path) -> None:
    assert main(["report", str(line / "run"), "--root", str(people), "--out", str(line / "report.html")]) == 0
    page = (line / "report.html").read_text(encoding="utf-8")
    assert "Synthetic people" in page
    assert json.loads((line / "report.json").read_text())["results"]


def test_mistyped_names(people: Path, tmp_path: Path, line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--root", people, "--out", tmp_path / "run")
    assert "did you mean 'train'" in refused(capsys, "trian")
    assert "did you mean 'tiny'" in refused(capsys, "train", "dsanet:tinny", *out)
    assert "did you mean 'dsanet'" in refused(capsys, "train", "dsanett:tiny", *out)
    assert "METHOD:RECIPE" in refused(capsys, "train", "dsanet", *out)
    assert "--config.trunk" in refused(capsys, "train", "dsanet:tiny", *out, "--config.trnk", "small-4")
    assert "did you mean 'camera-change@1'" in refused(
        capsys, "evaluate", line / "embeddings", "--protocol", "camera-chang@1"
    )
    assert "no space 'cameras'" in refused(capsys, "evaluate", line / "embeddings", "--space", "cameras")


def test_unknown_field_in_a_saved_recipe(
    line: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    told = json.loads((line / "run" / "recipe.json").read_text())
    told["config"]["localize"] = True
    (run / "recipe.json").write_text(json.dumps(told))
    (run / "classes.json").write_text("{}")
    message = refused(capsys, "extract", run, "--root", people, "--out", tmp_path / "e")
    assert "recipe.config.localize; did you mean 'localise'?" in message


def test_missing_files(people: Path, line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = tmp_path / "gone"
    assert "holds no tracklets.parquet" in refused(
        capsys, "train", "dsanet:tiny", "--root", gone, "--out", tmp_path / "r"
    )
    assert "is not a run" in refused(capsys, "extract", gone, "--root", people, "--out", tmp_path / "e")
    assert "gone is no folder; name one that `unbraid extract --out` wrote" in refused(capsys, "evaluate", gone)
    assert str(gone) in refused(capsys, "track", gone, "--out", tmp_path / "t")
    weights = ("--config.trunk", "resnet18.tv_in1k", "--config.pretrained", "--weights", gone)
    message = refused(capsys, "train", "dsanet:tiny", "--root", people, "--out", tmp_path / "w", *weights)
    assert f"no weight file {gone}" in message


def test_a_frame_that_does_not_decode(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.people import write_people

    root = write_people(tmp_path / "broken")
    broken = root / "frames" / "train1-c0-0" / "00002.jpg"
    broken.write_bytes(b"not a picture")
    message = refused(
        capsys, "train", "dsanet:tiny", "--root", root, "--out", tmp_path / "run", "--epochs", 9, "--data.frames", 5
    )
    assert "'train1-c0-0'" in message
    assert "00002.jpg" in message
    # the run is kept and can go on once the file is mended
    assert latest(tmp_path / "run") is not None


def test_an_unwritable_folder(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("a file where a folder should be")
    message = refused(capsys, "train", "dsanet:tiny", "--root", people, "--out", file / "run")
    assert "Not a directory" in message
    assert str(file) in message


def test_a_full_disk_keeps_the_last_checkpoint(people: Path, tmp_path: Path) -> None:
    # a file size limit stands in for a full disk: both fail in the middle of a write
    run = tmp_path / "run"
    program = (
        "import resource, sys\n"
        "from unbraid.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    arguments = ["train", "dsanet:tiny", "--root", str(people), "--out", str(run)]
    assert main([*arguments, "--epochs", "1"]) == 0
    before = latest(run)
    (run / "recipe.json").write_text((run / "recipe.json").read_text().replace('"epochs": 1', '"epochs": 2'))
    progress = json.loads((before / "progress.json").read_text())  # type: ignore[operator]
    (before / "progress.json").write_text(json.dumps({**progress, "finished": False}))  # type: ignore[operator]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--resume", "--epochs", "2"], capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "cannot write" in done.stderr
    assert latest(run) == before


def test_ctrl_c_ends_the_step_and_leaves_a_checkpoint(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import unbraid.train as module

    honest = module._finite
    count = 0

    def pressed(*given):  # type: ignore[no-untyped-def]
        nonlocal count
        count += 1
        if count == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return honest(*given)

    monkeypatch.setattr(module, "_finite", pressed)
    arguments = ["train", "dsanet:tiny", "--root", str(people), "--out", str(tmp_path / "run")]
    assert main(arguments) == 130
    reached = latest(tmp_path / "run")
    assert reached is not None
    assert int(reached.name) == 3
    assert main([*arguments, "--resume"]) == 0
    monkeypatch.setattr(module, "_finite", honest)
    assert main([*arguments[:-1], str(tmp_path / "straight")]) == 0
    assert weights_hash(tmp_path / "run") == weights_hash(tmp_path / "straight")


def changed_index(people: Path, root: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    """A tracklet folder whose index differs; its frames stay where they are."""
    root.mkdir()
    (root / "frames").symlink_to(people / "frames")
    change(pd.read_parquet(people / "tracklets.parquet")).to_parquet(root / "tracklets.parquet", index=False)
    return root


def test_data_that_cannot_be_used(people: Path, line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def no_frames(table: pd.DataFrame) -> pd.DataFrame:
        table.at[0, "frames"] = []
        return table

    cases: list[tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = [
        ("empty", no_frames, "tracklet 'train0-c0-0' has no frames"),
        ("alone", lambda t: t[t["identity"].isin(["train0", "test0"])], "at least 2 identities"),
        ("few", lambda t: t[t["identity"] != "train0"], "lower data.identities"),
        ("blind", lambda t: t.drop(columns="camera"), "learns from the label 'camera'"),
        ("short", lambda t: t.drop(columns="split"), "lacks the columns ['split']"),
    ]
    for name, change, message in cases:
        root = changed_index(people, tmp_path / name, change)
        batch = ("--data.identities", 4) if name == "few" else ()
        assert message in refused(
            capsys, "train", "dsanet:tiny", "--root", root, "--out", tmp_path / f"{name}-run", *batch
        )
        assert not (tmp_path / f"{name}-run").exists()
    queries = changed_index(people, tmp_path / "queries", lambda t: t[t["split"] == "query"])
    message = refused(capsys, "report", line / "run", "--root", queries, "--out", tmp_path / "r.html")
    assert "has no gallery tracklets" in message
    (tmp_path / "queries" / "tracklets.parquet").write_bytes(b"PAR1 no")
    assert "not a readable Parquet file" in refused(
        capsys, "extract", line / "run", "--root", queries, "--out", tmp_path / "e"
    )


def test_videos_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in (("empty.mp4", b""), ("corrupt.mp4", b"\x00\x00\x00\x20ftypisom" + 500 * b"\x07")):
        (tmp_path / name).write_bytes(content)
        message = refused(capsys, "track", tmp_path / name, "--out", tmp_path / "tracks")
        assert str(tmp_path / name) in message
    assert not (tmp_path / "tracks").exists() or not any((tmp_path / "tracks").iterdir())


def test_a_second_run_in_the_same_folder(people: Path, line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "train", "dsanet:tiny", "--root", people, "--out", line / "run")
    assert "already holds a run; continue it with --resume" in message


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--data.identities", "0", "DataConfig.identities = 0; expected at least 2"),
        ("--data.clips", "0", "DataConfig.clips = 0; expected at least 1"),
        ("--data.clips", "1", "has no positive in its batch"),
        ("--data.height", "0", "DataConfig.height = 0"),
        ("--data.std", "0 1 1", "every channel must be above 0"),
        ("--optim.step-epochs", "0", "OptimConfig.step_epochs = 0"),
        ("--epochs", "0", "Recipe.epochs = 0"),
        ("--config.localise-kernel", "4", "expected an odd number"),
        ("--config.trunk", "resnet18.tv_in2k", "no trunk 'resnet18.tv_in2k' in timm"),
        ("--config.trunk", "small-x", "expected 'small-' and a width"),
        ("--data.width", "24", "its width must be divisible by 4"),
    ],
)
def test_values_that_make_no_sense(
    option: str, value: str, message: str, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    told = refused(capsys, "train", "dsanet:tiny", "--root", people, "--out", out, option, *value.split())
    # tyro frames and wraps its messages
    assert message in " ".join(told.replace("\u2502", " ").split())


def test_a_bad_frame_in_a_worker_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.people import write_people

    root = write_people(tmp_path / "broken")
    for broken in (root / "frames" / "train1-c0-0", root / "frames" / "test0-c0-0"):
        for file in broken.iterdir():
            file.write_bytes(b"")
    run = tmp_path / "run"
    message = refused(capsys, "train", "dsanet:tiny", "--root", root, "--out", run, "--workers", 1, "--epochs", 5)
    assert message.startswith("unbraid train: tracklet 'train1-c0-0'")
    assert len(message.splitlines()) == 1
    message = refused(capsys, "extract", run, "--root", root, "--out", tmp_path / "e", "--workers", 1)
    assert message.startswith("unbraid extract: tracklet 'test0-c0-0'")


def test_missing_weights_leave_the_folder_free(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = ("--config.trunk", "resnet18.tv_in1k", "--config.pretrained", "--weights", tmp_path / "gone")
    refused(capsys, "train", "dsanet:tiny", "--root", people, "--out", tmp_path / "run", *weights)
    assert not (tmp_path / "run").exists()


def test_resuming_on_other_data_is_refused(
    people: Path, line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fewer = changed_index(people, tmp_path / "fewer", lambda t: t[~t["key"].str.endswith("c1-1")])
    out = ("--out", line / "run", "--epochs", 1, "--resume")
    assert "trained on other tracklets" in refused(capsys, "train", "dsanet:tiny", "--root", fewer, *out)


def test_other_mistakes(people: Path, line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, file = line / "run", tmp_path / "file"
    file.write_text("")
    extract = ("extract", run, "--root", people, "--out")
    assert "device 'gpu' cannot be used" in refused(capsys, *extract, tmp_path / "e", "--device", "gpu")
    assert str(file) in refused(capsys, *extract, file / "e")
    assert str(file) in refused(capsys, "report", run, "--root", people, "--out", file / "r.html")
    assert str(file) in refused(capsys, "world", "render", "--out", file / "w", "--train-identities", 1)
    other = tmp_path / "other"
    shutil.copytree(run, other)
    told = find_recipe("tests.fifth:tiny")
    (other / "recipe.json").write_text(told.to_json())
    assert "holds the weights of another network" in refused(
        capsys, "extract", other, "--root", people, "--out", tmp_path / "o"
    )


def test_worlds_are_rendered_shown_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--train-identities", "2", "--test-identities", "2", "--height", "64", "--width", "32", "--workers", "1"]
    root = tmp_path / "world"
    assert main(["world", "render", "world:reid/tiny", "--out", str(root), *few, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"root": str(root)}
    assert read(root).name == "world", "a changed benchmark does not keep its name"
    assert main(["world", "--help"]) == 0
    assert "check" in capsys.readouterr().out
    assert main(["world", "check", str(root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failures"] == []
    assert {row["feature"] for row in found["rows"]} >= {"colour", "background", "silhouette", "factors"}
    assert "did you mean 'clothes'" in refused(capsys, "world", "render", "world:cloths", "--out", tmp_path / "x")
    assert "use render, show or check" in refused(capsys, "world", "draw")
    assert "no such file or folder" in refused(
        capsys, "world", "render", "--motion", tmp_path / "gone", "--out", tmp_path / "x"
    )


def test_a_benchmark_of_the_world_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNBRAID_WORLDS", str(tmp_path / "worlds"))
    benchmark = open_benchmark("world:reid/tiny")
    assert benchmark.name == "world:reid/tiny/dev"
    assert (len(benchmark.train), len(benchmark.query), len(benchmark.gallery)) == (8 * 12, 6 * 4, 6 * 8)
    assert (tmp_path / "worlds" / "reid-tiny-dev" / "tracklets.parquet").is_file()
    assert "synthetic" in capsys.readouterr().err
    assert open_benchmark("world:reid/tiny").query == benchmark.query
    assert capsys.readouterr().err == ""


def test_a_benchmark_in_its_owners_layout(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="bounding_box_train"):
        open_benchmark(f"market1501:{tmp_path}")
