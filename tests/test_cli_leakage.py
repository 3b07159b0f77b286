"""`unbraid leakage` as a stranger uses it."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.test_leakage import OUTFITS, PEOPLE, TAKES, only
from unbraid.cli import main
from unbraid.data.benchmark import data_hash, label_table
from unbraid.data.sets.folder import read
from unbraid.spaces import Embeddings, Spaces

QUICK = ["--probes", "knn", "--labels", "camera"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RUN/embeddings with both sides, and a table of facts."""
    root = tmp_path_factory.mktemp("leakage")
    embeddings = only("camera", origin={"synthetic": "true"})
    rows = range(len(embeddings))
    embeddings.take([row for row in rows if row % 3 == 0]).save(root / "run" / "embeddings" / "query")
    embeddings.take([row for row in rows if row % 3]).save(root / "run" / "embeddings" / "gallery")
    people = embeddings.table.drop_duplicates("identity")
    facts = pd.DataFrame({"identity": people["identity"], "stride": [1 + n / 70 for n in range(PEOPLE)], "sex": "x"})
    facts.to_parquet(root / "facts.parquet")
    facts.to_csv(root / "facts.csv", index=False)
    return root


def test_it_prints_a_table_and_writes_json_and_a_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "leaks"
    assert main(["leakage", str(folder / "run" / "embeddings"), *QUICK, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert f"{PEOPLE * OUTFITS * TAKES} items of {PEOPLE} identities" in text
    assert "- camera can be read from the identity space at " in text
    assert f"Written: {out / 'leakage.json'}" in text
    told = json.loads((out / "leakage.json").read_text(encoding="utf-8"))
    assert (told["version"], told["synthetic"], told["items"]) == (1, True, PEOPLE * OUTFITS * TAKES)
    assert "camera can be read from the identity space" in (out / "report.html").read_text(encoding="utf-8")


def test_several_are_told_apart_by_their_runs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, side = str(folder / "run" / "embeddings"), tmp_path / "other"
    only("camera").take(range(24 * OUTFITS * TAKES)).save(side)
    assert main(["leakage", whole, str(side), *QUICK, "--json", "--out", str(tmp_path / "leaks")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {name: one["identities"] for name, one in told.items()} == {"run": PEOPLE, "other": 24}
    assert json.loads((tmp_path / "leaks" / "run" / "leakage.json").read_text(encoding="utf-8")) == told["run"]


@pytest.mark.parametrize("name", ["facts.parquet", "facts.csv"])
def test_facts_are_joined(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--facts", str(folder / name), "--labels", "stride", "sex", "--probes", "knn", "--json"]
    assert main(["leakage", str(folder / "run" / "embeddings" / "gallery"), *more]) == 0
    rows = json.loads(capsys.readouterr().out)["probes"]
    assert {row["label"]: row["metric"] for row in rows} == {"stride": "r2", "sex": "balanced accuracy"}
    assert {row["classes"] for row in rows if row["label"] == "sex"} == {2}, "columns that are there are kept"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name at least one folder"),
        (["{root}/nowhere"], "nowhere is no folder"),
        (["{run}", "--seed", "-1"], "--seed -1 is below 0"),
        (["{root}"], "has no folder 'query'"),
        (["{run}", "--labels", "colour"], "no 'colour'; it has ['camera', "),
        (["{run}", "{run}"], "a folder is named twice"),
        (["{run}", "--items", "0"], "at least 1; got 0"),
        (["{run}", "--facts", "{root}/none.csv"], "--facts names a Parquet or CSV table"),
        (["{run}", "--facts", "{root}/bad.parquet"], "is no Parquet or CSV table"),
        (["{run}", "--facts", "{root}/twice.csv"], "identity 'id0' stands twice"),
        (["{run}", "--facts", "{root}/strange.csv"], "has none of the columns key, walk, clothes, identity"),
        (["{run}", "--facts", "{root}/others.csv"], "no identity of it is that of an item"),
        (["{run}", "--out", "{root}/bad.parquet"], "is a file; --out names a folder"),
        (["{run}", "--root", "world:clothes/tiny/dev"], "say with --out where it goes"),
        (["{run}", "--out", "{root}/out", "--counterfactual", "{root}"], "has no counterfactual.json"),
    ],
)
def test_mistakes_end_with_a_reason(
    folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.parquet").write_text("x", encoding="utf-8")
    (folder / "twice.csv").write_text("identity,x\nid0,1\nid0,2\n", encoding="utf-8")
    (folder / "strange.csv").write_text("who,x\nid0,1\n", encoding="utf-8")
    (folder / "others.csv").write_text("identity,x\nnobody,1\n", encoding="utf-8")
    places = {"root": str(folder), "run": str(folder / "run" / "embeddings")}
    assert main(["leakage", *(part.format(**places) for part in arguments)]) == 2
    assert said in capsys.readouterr().err


def test_data_and_twins_of_something_else_are_refused(
    people: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = read(people)
    rows = Embeddings(Spaces({"identity": torch.rand(len(own.query), 4)}), label_table(own.query), {})
    for data, code in ((data_hash(own.query), 0), (data_hash(own.gallery), 2)):
        origin = {"split": "query", "data": data, "weights": "one"}
        Embeddings(rows.spaces, rows.table, origin).save(tmp_path / data / "query")
        told = ["leakage", str(tmp_path / data / "query"), *QUICK, "--out", str(tmp_path / "out")]
        assert main([*told, "--root", str(people)]) == code
    assert "its query tracklets are others; name the same data" in capsys.readouterr().err
    twins = {"version": 1, "synthetic": True, "origin": {"weights": "another"}, "rows": []}
    (tmp_path / "counterfactual.json").write_text(json.dumps(twins), encoding="utf-8")
    assert main([*told, "--counterfactual", str(tmp_path)]) == 2
    assert "is about other weights than those" in capsys.readouterr().err


def test_a_run_instead_of_its_embeddings_is_a_hint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "run" / "recipe.json").write_text("{}", encoding="utf-8")
    assert main(["leakage", str(folder / "run")]) == 2
    assert f"is a run and not its embeddings; name {folder / 'run' / 'embeddings'}" in capsys.readouterr().err
