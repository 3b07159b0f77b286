"""verify, identify, advise and the figures of evaluate as a stranger would call them, and every kind of bad input."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.test_cli import refused
from tests.test_verify import gaussian_people
from unbraid.cli import COMMANDS, main
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import evaluate
from unbraid.spaces import Embeddings, Spaces

PNG = b"\x89PNG\r\n\x1a\n"
VERBS = ("evaluate", "verify", "identify", "advise")


@pytest.fixture(autouse=True)
def verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    for verb in VERBS:
        monkeypatch.setitem(COMMANDS, verb, "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(gaussian_people(120), tmp_path_factory.mktemp("embeddings"))


def save(sides: tuple[Embeddings, Embeddings], home: Path) -> Path:
    for name, side in zip(("query", "gallery"), sides, strict=True):
        Embeddings(side.spaces, side.table, {"synthetic": "true"}).save(home / name)
    return home


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == 0
    return capsys.readouterr().out


def test_verify_says_rates_with_protocol_counts_and_intervals(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "verify", folder, "--fmr", "0.1", "1e-5")
    for part in ("SYNTHETIC", "camera-change@1", "240 queries of 120 identities", "95 % interval", "FNMR at FMR 10 %"):
        assert part in text
    assert "FNMR at FMR 0.001 %  not reported: " in text
    found = json.loads(told(capsys, "verify", folder, "--fmr", "0.1", "1e-5", "--json"))
    assert [point["fnmr"] is None for point in found["points"]] == [False, True]
    assert found["impostors"] > 0


def test_identify_and_advise(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everyone = ("--non-mated", "mates-removed")
    found = json.loads(told(capsys, "identify", folder, "--fpir", "0.1", "--rank", "5", *everyone, "--json"))
    assert (found["rank"], found["searches"], found["non_mated"]) == (5, 240, "mates removed")
    assert found["points"][0]["fnir"] is not None
    few = told(capsys, "identify", folder)
    assert "not reported" in few
    assert "try --non-mated mates-removed" in few
    text = told(capsys, "advise", folder, "--fmr", "0.01", "--score", "0.5")
    assert "for a wanted FMR of 1 %" in text
    assert "score 0.5: one person with probability" in text
    advice = json.loads(told(capsys, "advise", folder, "--fmr", "0.01", "--score", "0.5", "--json"))
    assert 0 < advice["probability"][0]["one_person"] < 1
    assert "10 errors need" in refused(capsys, "advise", folder, "--fmr", "1e-4")


def test_evaluate_has_the_three_figures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "evaluate", folder)
    assert "TAR at FAR 0.1 %" in text
    assert "FNIR at FPIR 1 %  not reported: 240 non-mated searches (mates removed) cannot support" in text
    figures = json.loads(told(capsys, "evaluate", folder, "--json"))["figures"]
    sides = [Embeddings.load(folder / side) for side in ("query", "gallery")]
    assert figures == evaluate(*sides, CAMERA_CHANGE).as_dict()["figures"]


@pytest.mark.parametrize("verb", ["verify", "evaluate"])
def test_pictures_are_written(verb: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, verb, folder, "--picture", tmp_path / "new" / "curve.png")
    assert (tmp_path / "new" / "curve.png").read_bytes()[:8] == PNG
    assert "ends in .png" in refused(capsys, verb, folder, "--picture", tmp_path / "curve.pdf")
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refused(capsys, verb, folder, "--picture", tmp_path / "file" / "curve.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verify", "--fmr", "0"), "a false match rate lies between 0 and 1; got 0"),
        (("verify", "--fmr"), "--fmr has no value; name false match rates"),
        (("identify", "--fpir"), "--fpir has no value; name false positive identification rates"),
        (("verify", "--fmr", "nan"), "a false match rate lies between 0 and 1; got nan"),
        (("identify", "--fpir", "1"), "a false positive identification rate lies between 0 and 1; got 1"),
        (("identify", "--rank", "0"), "rank is a number of candidates, at least 1; got 0"),
        (("advise", "--fmr", "2"), "a false match rate lies between 0 and 1; got 2"),
        (("verify", "--protocol", "camera-chang@1"), "did you mean 'camera-change@1'"),
        (("verify", "--protocol", "prcc-cc/single@1"), "draws its gallery again and again"),
        (("verify", "--space", "motion"), "no space 'motion'"),
        (("identify", "--protocol", "clothes-change@1"), "the query table has no label 'clothes'"),
        (("advise", "--protocol", "gait/depth-in-depth/all@1"), "has no label 'modality'"),
    ],
)
def test_wrong_wishes_are_named(
    arguments: tuple[str, ...], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, arguments[0], folder, *arguments[1:])


def spoiled(home: Path, change: Callable[[Path], None]) -> Path:
    change(save(gaussian_people(30), home))
    return home


def features(side: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def spoil(home: Path) -> None:
        path = home / side / "spaces.safetensors"
        save_file({"identity": change(load_file(path)["identity"])}, path)

    return spoil


def rows(side: str, change: Callable[[Embeddings], Embeddings]) -> Callable[[Path], None]:
    return lambda home: (change(Embeddings.load(home / side)).save(home / side), None)[1]


def labels(side: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    return rows(side, lambda e: Embeddings(e.spaces, change(e.table), e.origin))


def twice(home: Path) -> None:
    table = pd.read_parquet(home / "gallery" / "table.parquet")
    table.loc[1, "key"] = table.loc[0, "key"]
    table.to_parquet(home / "gallery" / "table.parquet", index=False)
    from unbraid.spaces import _hash_keys

    origin = json.loads((home / "gallery" / "origin.json").read_text())
    (home / "gallery" / "origin.json").write_text(json.dumps({**origin, "keys": _hash_keys(table)}))


def one_value(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda t: t.index_put((torch.tensor(5), torch.tensor(0)), torch.tensor(value))


BAD = {
    "nan": (
        features("query", one_value(float("nan"))),
        "/query: space 'identity', shape (60, 16), is not finite, first",
    ),
    "infinite": (
        features("gallery", one_value(float("inf"))),
        "/gallery: space 'identity', shape (90, 16), is not finite",
    ),
    "narrow": (features("gallery", lambda t: t[:, :-1].contiguous()), "has shape (60, 16) in the query but (90, 15)"),
    "flat": (features("gallery", lambda t: t[:, 0].contiguous()), "expected N D or N P D"),
    "missing rows": (features("gallery", lambda t: t[1:].contiguous()), "89 embeddings but 90 rows of labels"),
    "empty query": (rows("query", lambda e: e.take([])), "0 queries"),
    "empty gallery": (rows("gallery", lambda e: e.take([])), "0 gallery items"),
    "no identity": (labels("gallery", lambda t: t.drop(columns="identity")), "gallery table has no label 'identity'"),
    "no camera": (labels("query", lambda t: t.drop(columns="camera")), "the query table has no label 'camera'"),
    "keys twice": (twice, "key 'g0' stands twice"),
    "no mates": (labels("query", lambda t: t.assign(identity="nobody")), ""),
    "all unknown": (labels("gallery", lambda t: t.assign(identity=None)), ""),
    "no gallery": (lambda home: (home / "gallery").rename(home / "elsewhere") and None, "has no folder 'gallery'"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_named(verb: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, message = BAD[kind]
    text = refused(capsys, verb, spoiled(tmp_path, change), *(("--fmr", "0.3") if verb == "advise" else ()))
    assert message in text
    assert len(text.splitlines()) == 1
    if kind in ("no mates", "all unknown"):
        assert any(word in text for word in ("none of the 60 queries", "0 genuine", "0 identities are in both"))


def test_a_query_without_mates_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change = labels("query", lambda t: t.assign(identity=["nobody", *t["identity"][1:]]))
    text = told(capsys, "evaluate", spoiled(tmp_path, change))
    assert " without a mate left out" in text
    queries = Embeddings.load(tmp_path / "query"), Embeddings.load(tmp_path / "gallery")
    count = evaluate(*queries, CAMERA_CHANGE).without_mate
    assert f"{count} without a mate left out" in text
    assert f"{count} non-mated (without mate) of" in told(capsys, "identify", tmp_path)


def test_bias_is_said_with_counts_or_with_the_reason_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worn = labels("query", lambda t: t.assign(top_colour="red", view="front"))
    folder = spoiled(tmp_path, worn)
    labels("gallery", lambda t: t.assign(top_colour="red", view="back"))(folder)
    assert "bias: 100.0 % (90.0 to 100.0) of the first matches have the query's top_colour, by chance 100.0 %; 60 " in (
        told(capsys, "evaluate", folder)
    )
    text = told(capsys, "evaluate", folder, "--protocol", "view-cells@1")
    assert "bias: not reported: protocol 'view-cells@1' averages cells of different view" in text
    labels("query", lambda t: t.assign(top_colour=None))(folder)
    found = json.loads(told(capsys, "evaluate", folder, "--json"))
    assert found["rank_1"] > 0
    assert "nothing to count" in found["bias"]["reason"]


def test_a_wrong_protocol_gets_a_short_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = refused(capsys, "evaluate", folder, "--protocol", "casia-b")
    assert all(f"'casia-b/{one}@1'" in text for one in ("nm", "bg", "cl"))
    assert "`unbraid data list`" in text
    assert len(text) < 300
    # unlike every name as a whole, but how three of them begin
    beginning = "no protocol 'gait/silhouette'; did you mean 'gait/silhouette-in-"
    assert beginning in refused(capsys, "compare", folder, "--protocols", "gait/silhouette")
    assert "no protocol 'xyz'. There are" in refused(capsys, "evaluate", folder, "--protocol", "xyz")


def test_unused_spaces_are_not_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = gaussian_people(30)
    wide = [
        Embeddings(Spaces({**s.spaces, "motion": torch.from_numpy(np.ones((len(s), 3), np.float32))}), s.table, {})
        for s in sides
    ]
    folder = save((wide[0], wide[1]), tmp_path)
    assert "space 'motion'" in told(capsys, "verify", folder, "--space", "motion", "--fmr", "0.1")
