"""DIFFER through the library: trained with a bank, stopped and resumed, extracted without texts."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.interrupted import whole_and_resumed
from unbraid import train as module
from unbraid.checkpoint import load_method, open_run
from unbraid.data.benchmark import Benchmark
from unbraid.data.sets.folder import read
from unbraid.extract import extract
from unbraid.methods.differ.recipes import tiny
from unbraid.text.bank import TextBank
from unbraid.text.guidance import guidance


def bank_of(benchmark: Benchmark, *, width: int = 128, without: int = 0) -> TextBank:
    """One text per identity about the body and one per tracklet about the rest."""
    keys = [t.key for t in benchmark.train]
    names = sorted({str(t.identity) for t in benchmark.train})
    rows = {"biometric": {t.key: names.index(str(t.identity)) for t in benchmark.train}}
    for number, aspect in enumerate(("hair", "clothing")):
        first = len(names) + number * len(keys)
        rows[aspect] = {key: first + place for place, key in enumerate(keys) if place >= without}
    total = len(names) + 2 * len(keys)
    vectors = torch.randn(total, width, generator=torch.Generator().manual_seed(0))
    return TextBank("world-clip", {}, rows, vectors, torch.arange(total + 1))


def test_a_resumed_run_equals_one_that_was_never_stopped(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the ramp counts steps in a buffer, the batches follow from seed and step
    benchmark = read(people)
    whole, resumed = whole_and_resumed(replace(tiny(), epochs=2), benchmark, bank_of(benchmark), tmp_path, monkeypatch)
    assert int(whole["steps"]) > 3
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_missing_texts_are_refused_or_masked(people: Path, tmp_path: Path) -> None:
    benchmark, recipe = read(people), replace(tiny(), epochs=1)
    bank = bank_of(benchmark, without=3)
    with pytest.raises(ValueError, match=r"3 of 16 training tracklets have no text about hair.*--text.missing mask"):
        module.train(recipe, benchmark, tmp_path / "refused", device="cpu", bank=bank)
    assert recipe.text is not None
    masked = replace(recipe, text=replace(recipe.text, missing="mask"))
    run = module.train(masked, benchmark, tmp_path / "masked", device="cpu", bank=bank)
    assert "nonbiometric" in (run / "metrics.jsonl").read_text()


def test_texts_are_averaged_and_then_centred_where_the_recipe_says_so(people: Path) -> None:
    benchmark, recipe = read(people), tiny()
    assert recipe.text is not None
    both = replace(recipe, text=replace(recipe.text, averaged=("biometric",), centred=("biometric", "pose")))
    bank = guidance(both, ("biometric", "hair"), benchmark, bank_of(benchmark))
    assert bank is not None
    changes = [name for name in bank.origin if "/" in name]
    assert changes == ["mean_over/biometric", "centred/biometric"], "what the method does not learn from stays"
    keys = [t.key for t in benchmark.train]
    # centred over the training tracklets: before they had length 1 again, their sum was zero
    assert bank.crowding("biometric") == pytest.approx(-1 / (len({t.identity for t in benchmark.train}) - 1), abs=0.1)
    assert bank.missing("biometric", keys) == []


def test_extraction_needs_no_text(people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = read(people)
    run = module.train(replace(tiny(), epochs=1), benchmark, tmp_path / "run", device="cpu", bank=bank_of(benchmark))
    method, classes = load_method(run), open_run(run).classes
    for name in ("open_clip", "transformers", "unbraid.text.bank", "unbraid.text.encoders"):
        monkeypatch.setitem(sys.modules, name, None)
    known = extract(method, benchmark.query, tiny().data, device="cpu", classes=classes)
    unknown = extract(method, benchmark.query, tiny().data, device="cpu")
    assert set(known.spaces) == {"identity", "biometric", "hair", "clothing"}
    assert not torch.allclose(known.spaces["identity"], unknown.spaces["identity"], atol=1e-4)
    for tracklet in benchmark.query:
        assert tracklet.labels["camera"] in classes["camera"]
