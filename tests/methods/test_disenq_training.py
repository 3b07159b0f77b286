"""DisenQ through the library and the command line: trained with a bank, resumed, used without texts."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.interrupted import whole_and_resumed
from unbraid import train as module
from unbraid.checkpoint import load_method
from unbraid.cli import main
from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE, PLAIN
from unbraid.data.sets.folder import read
from unbraid.evaluate import evaluate
from unbraid.extract import extract_run
from unbraid.method import cosine
from unbraid.methods.disenq.model import Disenq
from unbraid.methods.disenq.recipes import tiny
from unbraid.openset import identify
from unbraid.search import search
from unbraid.spaces import Embeddings, Spaces
from unbraid.text.bank import TextBank
from unbraid.verify import verify


def bank_of(benchmark: Benchmark, *, without: int = 0) -> TextBank:
    """A text per training tracklet and aspect, of one to three vectors; the first ones about motion are missing."""
    keys = [t.key for t in benchmark.train]
    aspects = ("biometric", "motion", "clothing")
    lengths = [1 + n % 3 for n in range(len(keys) * len(aspects))]
    starts = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()])
    rows = {a: {k: i * len(keys) + n for n, k in enumerate(keys)} for i, a in enumerate(aspects)}
    rows["motion"] = dict(list(rows["motion"].items())[without:])
    vectors = torch.randn(int(starts[-1]), 128, generator=torch.Generator().manual_seed(0))
    return TextBank("world-clip", {}, rows, vectors, starts)


@pytest.fixture(scope="module")
def trained(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("disenq")
    bank_of(read(people)).save(home / "bank.safetensors")
    arguments = ["train", "disenq:tiny", "--root", str(people), "--out", str(home / "run"), "--device", "cpu"]
    assert main([*arguments, "--bank", str(home / "bank.safetensors")]) == 0
    assert (
        main(["extract", str(home / "run"), "--root", str(people), "--out", str(home / "found"), "--device", "cpu"])
        == 0
    )
    return home


def test_three_spaces_come_out(trained: Path) -> None:
    found = Embeddings.load(trained / "found" / "query")
    assert {name: value.shape[1] for name, value in found.spaces.items()} == dict.fromkeys(
        ("identity", "motion", "appearance"), 32
    )
    lines = [json.loads(line) for line in (trained / "run" / "metrics.jsonl").read_text().splitlines()]
    names = {"identity", "triplet", "orthogonality", "action", "gate", "accuracy/identity", "share/identity"}
    assert names <= set(lines[0])


def test_search_by_identity_by_motion_and_by_both(trained: Path) -> None:
    method = load_method(trained / "run")
    assert isinstance(method, Disenq)
    query, gallery = (Embeddings.load(trained / "found" / side) for side in ("query", "gallery"))
    hits = search(query, gallery, k=3, similarity=method.similarity)
    with torch.no_grad():
        index = method.query_vectors(query.spaces) @ method.gallery_vectors(gallery.spaces).T
    assert torch.equal(torch.from_numpy(hits.rows), index.topk(3).indices)
    weighted = evaluate(query, gallery, PLAIN, similarity=method.similarity)
    single = evaluate(query, gallery, PLAIN, space="motion")
    assert (weighted.queries, single.queries) == (6, 6)


def rows_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """What a command prints with --json."""
    capsys.readouterr()
    assert main([*(str(a) for a in arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_commands_compare_by_identity_by_motion_and_by_the_run(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, run = trained / "found", trained / "run"
    method = load_method(run)
    query, gallery = (Embeddings.load(found / side) for side in ("query", "gallery"))

    def plain(name: str) -> Tensor:
        return cosine(*(Spaces({"identity": side.spaces[name]}) for side in (query, gallery)))

    with torch.no_grad():
        wanted = {
            (): plain("identity"),
            ("--space", "motion"): plain("motion"),
            ("--run", run): method.similarity(query.spaces, gallery.spaces),
        }
    sides = ("--query", found / "query", "--gallery", found / "gallery", "--k", 3)
    for options, scores in wanted.items():
        rows = rows_of(capsys, "search", *sides, *options)
        told = torch.tensor([row["score"] for row in rows]).view(6, 3)
        torch.testing.assert_close(told, scores.topk(3).values, rtol=0, atol=1e-5)
    evaluated = rows_of(capsys, "evaluate", found, "--run", run)
    want = evaluate(query, gallery, CAMERA_CHANGE, similarity=method.similarity)
    assert evaluated["space"] == want.space == "identity + motion"
    assert evaluated["mean_ap"] == pytest.approx(want.mean_ap)
    assert rows_of(capsys, "evaluate", found, "--space", "motion")["space"] == "motion"
    verified = rows_of(capsys, "verify", found, "--run", run, "--fmr", 0.1)
    assert verified["space"] == "identity + motion"
    assert verified["eer"] == pytest.approx(verify(query, gallery, CAMERA_CHANGE, similarity=method.similarity).eer)
    searched = rows_of(capsys, "identify", found, "--run", run, "--non-mated", "mates-removed")
    want_found = identify(query, gallery, CAMERA_CHANGE, similarity=method.similarity, non_mated="mates removed").found
    assert (searched["space"], searched["found"]) == ("identity + motion", pytest.approx(want_found))


def test_commands_say_why_a_run_does_not_fit(
    people: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, run = trained / "found", trained / "run"
    few = ["extract", str(run), "--root", str(people), "--out", str(tmp_path / "few"), "--device", "cpu", "--one-clip"]
    assert main([*few, "--spaces", "appearance"]) == 0
    one = Embeddings.load(tmp_path / "few" / "query")
    assert list(one.spaces) == ["identity", "appearance"]
    foreign = Embeddings.load(found / "query")
    Embeddings(foreign.spaces, foreign.table, {**foreign.origin, "weights": "0"}).save(tmp_path / "other" / "query")
    Embeddings.load(found / "gallery").save(tmp_path / "other" / "gallery")
    for arguments, message in (
        ((found, "--run", run, "--space", "motion"), "give one of them"),
        ((found, "--run", tmp_path / "gone"), "is not a run"),
        (
            (tmp_path / "few", "--run", run),
            "no space 'motion'; run `unbraid extract` with --spaces identity motion",
        ),
        ((tmp_path / "other", "--run", run), "the query embeddings were made with other weights"),
    ):
        for command in ("evaluate", "verify", "identify", "advise"):
            assert main([command, *(str(a) for a in arguments)]) == 2
            assert message in capsys.readouterr().err
    assert main([*few, "--spaces", "mood"]) == 2
    assert "no space 'mood'; Disenq has identity, motion, appearance" in capsys.readouterr().err


def test_some_spaces_are_extracted_and_read_back(people: Path, trained: Path, tmp_path: Path) -> None:
    benchmark, run = read(people), trained / "run"
    whole = Embeddings.load(trained / "found" / "query")
    some = extract_run(run, benchmark, tmp_path / "e", spaces=("motion",), device="cpu")["query"]
    assert list(some.spaces) == ["identity", "motion"]
    for name in some.spaces:
        torch.testing.assert_close(some.spaces[name], whole.spaces[name], rtol=0, atol=1e-5)
    before = (tmp_path / "e" / "query" / "spaces.safetensors").stat().st_mtime_ns
    assert list(extract_run(run, benchmark, tmp_path / "e", spaces=("identity",), device="cpu")["query"].spaces) == [
        "identity",
        "motion",
    ]
    assert (tmp_path / "e" / "query" / "spaces.safetensors").stat().st_mtime_ns == before
    assert set(extract_run(run, benchmark, tmp_path / "e", device="cpu")["query"].spaces) == set(whole.spaces)


def test_a_resumed_run_equals_one_that_was_never_stopped(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # running averages and the growth of a term are part of a checkpoint, text dropout follows from seed and step
    benchmark = read(people)
    whole, resumed = whole_and_resumed(tiny(), benchmark, bank_of(benchmark), tmp_path, monkeypatch)
    assert int(whole["steps"]) == int(whole["texts.average.count"].sum()) / 4 > 3
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_missing_texts_are_masked(people: Path, tmp_path: Path) -> None:
    benchmark, recipe = read(people), replace(tiny(), epochs=1)
    assert recipe.text is not None
    masked = replace(recipe, text=replace(recipe.text, missing="mask"))
    run = module.train(masked, benchmark, tmp_path / "masked", device="cpu", bank=bank_of(benchmark, without=5))
    assert "gate" in (run / "metrics.jsonl").read_text()


def test_the_command_says_what_is_wrong(people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ["train", "disenq:tiny", "--root", str(people), "--out", str(tmp_path / "run"), "--device", "cpu"]
    for change, message in (
        (["--config.trunk", "resnet50"], "is no vision transformer"),
        (["--config.action", "mood"], "learns from the label 'mood'"),
        ([], "learns from texts about biometric, motion, clothing, but none are given"),
    ):
        assert main([*start, *change]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*start, "--config.groups", "identity"])
    assert "compare = 'adaptive' needs the group 'motion'" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_recognition_needs_no_text(
    people: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = {name for name in sys.modules if (name + ".").startswith("unbraid.text.")}
    for name in (*text, "unbraid.text", "unbraid.text.encoders", "open_clip", "transformers", "tokenizers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError):
        importlib.import_module("unbraid.text.bank")
    out = tmp_path / "without"
    assert main(["extract", str(trained / "run"), "--root", str(people), "--out", str(out), "--device", "cpu"]) == 0
    one, other = Embeddings.load(trained / "found" / "gallery"), Embeddings.load(out / "gallery")
    assert all(torch.equal(one.spaces[name], other.spaces[name]) for name in one.spaces)
