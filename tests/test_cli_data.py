"""`unbraid data` as a stranger would call it."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from unbraid import cli
from unbraid.cli.data import VERBS
from unbraid.data import activity
from unbraid.data.sets.about import about, available
from unbraid.data.sets.folder import read


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.COMMANDS, "data", "benchmarks")


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    capsys.readouterr()
    try:
        code = cli.main(["data", *(str(a) for a in arguments)])
    except SystemExit as stop:
        code = int(stop.code or 0)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out, shown.err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys, "--help")
    assert code == 0
    assert all(f"\n  {verb} " in out for verb in VERBS)
    for verb in VERBS:
        code, out, _ = called(capsys, verb, "--help")
        assert code == 0
        assert f"usage: unbraid data {verb}" in out


def test_list_names_everything_within_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys, "list")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    firsts = {line.split()[0]: line for line in out.splitlines() if line and line[0] != " "}
    assert {*available(), "world:clothes", "world:gait"} <= set(firsts)
    assert "WITHDRAWN" in firsts["duke-video"]
    assert "built in" in firsts["world:reid"]
    # no cell runs into the next
    assert firsts["sustech1k"].split()[:4] == ["sustech1k", "agreement", "depth,", "silhouette"]

    code, out, _ = called(capsys, "list", "--json")
    told = {row["name"]: row for row in json.loads(out)}
    assert told["mars"]["protocols"] == ["mars@1", "mars/matlab@1"]
    assert [row["synthetic"] for row in told.values()] == [False] * len(available()) + [True] * 5


def test_list_tells_all_about_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys, "list", "mars")
    assert code == 0
    for text in ("8298 train tracklets", "mars@1, mars/matlab@1", "870 junk", "MARS-evaluation", "--root mars:FOLDER"):
        assert text in " ".join(out.split())
    assert "withdrawn" in called(capsys, "list", "duke-video")[1].lower()
    assert "synthetic" in called(capsys, "list", "world:clothes/full/final")[1]
    code, out, _ = called(capsys, "list", "ltcc", "--json")
    assert json.loads(out)["access"] == "agreement"


def test_check_of_sound_and_of_broken_data(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys, "check", people, "--frames")
    assert code == 0
    assert out.startswith("people (synthetic)")
    assert out.rstrip().endswith("0 errors, 0 warnings, 4 notes")
    copy = tmp_path / "copy"
    shutil.copytree(people, copy)
    (copy / "frames/train0-c0-0/00002.jpg").unlink()
    (copy / "frames/train0-c0-0/00003.jpg").write_bytes(b"no picture")
    (copy / "captions.jsonl").write_text("nonsense\n")
    code, out, _ = called(capsys, "check", copy)
    assert code == 1
    assert "1 of 140 files, of 1 tracklets, are missing [files-missing]" in out
    assert str(copy / "frames/train0-c0-0/00002.jpg") in out
    assert "[captions-malformed]" in out
    code, out, _ = called(capsys, "check", copy, "--frames", "--json")
    assert code == 1
    told = json.loads(out)
    assert told["errors"] == sum(f["severity"] == "error" for f in told["findings"]) == 3
    assert {"files-missing", "frames-unreadable"} <= {f["check"] for f in told["findings"]}


def test_own_people_become_a_folder_that_every_command_reads(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n, name in enumerate(("ann", "bob")):
        shutil.copytree(people / f"frames/test{n}-c0-0", tmp_path / "album" / name / "walk")
    code, out, _ = called(capsys, "prepare", f"own:{tmp_path / 'album'}", "--out", tmp_path / "ready")
    assert code == 0
    assert "0 train, 2 query, 2 gallery" in out
    assert [t.key for t in read(tmp_path / "ready").query] == ["ann/walk", "bob/walk"]
    rows = ["path,identity,camera"] + [
        f"album/{who}/walk/{n:05d}.jpg,{who},c{n}" for who in ("ann", "bob") for n in (0, 1)
    ]
    (tmp_path / "people.csv").write_text("\n".join(rows))
    code, out, _ = called(capsys, "check", tmp_path / "people.csv")
    assert code == 0
    size = ("--height", 16, "--width", 8, "--json")
    code, out, _ = called(capsys, "prepare", tmp_path / "people.csv", "--out", tmp_path / "small", *size)
    assert json.loads(out) == {"root": str(tmp_path / "small"), "train": 0, "query": 4, "gallery": 4}
    assert list(read(tmp_path / "small").protocols) == ["camera-change@1", "plain@1"]


def acting(root: Path, people: Path) -> Path:
    """The people with something to do, frames where they were."""
    root.mkdir()
    (root / "frames").symlink_to(people / "frames")
    table = pd.read_parquet(people / "tracklets.parquet")
    doing = table["key"].str.endswith("1").map({True: "walk", False: "sit"})
    table.assign(action=doing).to_parquet(root / "tracklets.parquet", index=False)
    return root


def test_draws(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = acting(tmp_path / "acting", people), tmp_path / "draws"
    code, text, _ = called(capsys, "draws", root, "--out", out)
    assert code == 0
    lines = [line.split() for line in text.splitlines()]
    assert lines[1] == ["seed", *("-".join(pair) for pair in activity.LISTS)]
    # 3 people with 4 clips each: one probe and three in the gallery, by a quarter
    assert [row[:3] for row in lines[2:]] == [[str(seed), "3", "9"] for seed in activity.SEEDS]
    assert activity.load(out, read(root)) == activity.draw(read(root))
    before = {p: p.read_bytes() for p in out.rglob("*.txt")}
    assert called(capsys, "draws", root, "--out", out)[0] == 0
    assert {p: p.read_bytes() for p in out.rglob("*.txt")} == before
    code, text, _ = called(capsys, "draws", root, "--out", tmp_path / "half", "--seeds", 1, 2, "--share", 0.5, "--json")
    told = json.loads(text)["draws"]
    assert [told[seed]["same_activity-probe"] for seed in ("1", "2")] == [6, 6]
    for arguments, message in (
        ((people, "--out", tmp_path / "none"), "has the label 'action' or 'actions'"),
        ((root, "--out", out, "--seeds", 1), "holds other draws"),
        ((root, "--out", tmp_path, "--seeds", 1), "exists and holds no draws"),
        ((root, "--out", tmp_path / "none", "--share", 2), "the share of probes is 2.0"),
        ((root, "--out", tmp_path / "none", "--seeds", 1, 1), "different numbers"),
    ):
        code, _, said = called(capsys, "draws", *arguments)
        assert (code, message in said) == (2, True), said
    assert not (tmp_path / "none").exists()


def test_blur(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "blurred"
    code, text, _ = called(capsys, "blur", people, "--out", out, "--json")
    assert code == 0
    told = json.loads(text)
    # nobody of these has a face
    assert (told["frames"], told["heads"]) == (140, 140 - told["found"])
    before, after = read(people), read(out)
    assert [t.key for t in after.query] == [t.key for t in before.query]
    first, same = (cv2.imread(str(root / "frames/test0-c0-0/00000.jpg")).astype(int) for root in (people, out))
    # the top 22 % of 64 rows: the edge between a person and what is behind has gone soft
    edges = [np.abs(np.diff(image[9:13], axis=1)).max() for image in (first, same)]
    assert edges[1] < 0.8 * edges[0]
    assert np.abs(same[20:] - first[20:]).mean() < 3
    code, text, _ = called(capsys, "blur", people, "--out", out)
    assert code == 0
    assert text.startswith(f"Blurred: {out} (140 frames: faces found in ")
    (tmp_path / "people.csv").write_text("path,identity\n")
    for root, goal, message in (
        (acting(tmp_path / "acting", people), out, "holds frames of other data"),
        (people, people / "inside", "lie in each other"),
        (people, tmp_path, "is not empty"),
        (f"own:{people}", tmp_path / "new", "run `unbraid data prepare own:"),
        (tmp_path / "gone", tmp_path / "new", "does not exist"),
    ):
        code, _, said = called(capsys, "blur", root, "--out", goal)
        assert (code, message in " ".join(said.split())) == (2, True), said
    assert not (tmp_path / "new").exists()


def test_what_a_reader_warns_of_is_a_finding(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = people / "frames/test0-c0-0"
    shutil.copytree(name, tmp_path / "walk")
    (tmp_path / "p.csv").write_text("path,identity,camera\nwalk/00000.jpg,a,c1\nwalk/00001.jpg,a,\n")
    code, out, _ = called(capsys, "check", tmp_path / "p.csv", "--json")
    assert code == 0
    assert "camera is known of 1 of 2" in {f["check"]: f["message"] for f in json.loads(out)["findings"]}["reader"]


def test_mistakes(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    out = ("--out", tmp_path / "out")
    mistakes: dict[tuple[object, ...], str] = {
        ("chek",): "did you mean 'check'",
        ("list", "marz"): "did you mean 'mars'",
        ("check", "marz:/data"): "did you mean 'mars'",
        ("check", "mars"): "write mars:FOLDER",
        ("check", f"mars:{tmp_path / 'none'}"): "does not exist",
        ("check", f"mars:{tmp_path / 'empty'}"): "expected the MARS folder",
        ("check", "own:"): "an empty name does not exist",
        ("check", tmp_path / "none"): "does not exist; write NAME:FOLDER",
        ("check", tmp_path / "none.csv"): "does not exist",
        ("check", tmp_path / "empty"): "own:FOLDER",
        ("check", "world:cloths"): "did you mean 'clothes'",
        ("check", people, "--captions", tmp_path / "none"): "does not exist",
        ("prepare", people, *out, "--height", 8): "go together",
        ("prepare", people, *out, "--height", 0, "--width", 8): "at least 1 pixel",
        ("prepare", people, "--out", people / "inside"): "lies inside",
        ("prepare", people, "--out", tmp_path): "is not empty",
    }
    for arguments, message in mistakes.items():
        code, _, said = called(capsys, *arguments)
        assert (code, message in " ".join(said.split())) == (2, True), (arguments, said)
    assert not (people / "inside").exists()


def test_the_page_names_every_benchmark_with_its_access() -> None:
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:3] == "| `"]
    told = {row[0].strip("`"): row[2] for row in rows if len(row) == 4}
    assert told == {name: about(name).access for name in available()}
