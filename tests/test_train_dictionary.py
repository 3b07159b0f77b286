"""Fixed texts reach a method once, before its first step, and its checkpoint has them ever after."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.fifth import recipes as fifth
from tests.retriever import recipes
from tests.retriever.model import RetrieverConfig
from unbraid import train as module
from unbraid.checkpoint import latest, load_method, open_run
from unbraid.cli import main
from unbraid.data.sets.folder import read
from unbraid.extract import extract
from unbraid.recipe import TextConfig
from unbraid.text import dictionary as texts
from unbraid.text import encoders
from unbraid.text.bank import TextBank
from unbraid.text.dictionary import Dictionary, dictionary_bank, gait_dictionary
from unbraid.text.guidance import dictionary, fixed_texts
from unbraid.text.small import small_encoder

FOREIGN = "open_clip:ViT-B-16/openai"


def bank_of(rounds: int = 2, **changes: object) -> TextBank:
    return replace(dictionary_bank(gait_dictionary(rounds), small_encoder()), **changes)  # type: ignore[arg-type]


def weights(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = latest(run)
    assert checkpoint is not None
    tensors: dict[str, torch.Tensor] = load_file(checkpoint / "weights.safetensors")
    return tensors


def nobody_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an encoder was opened")

    monkeypatch.setattr(encoders, "open_encoder", refuse)
    monkeypatch.setattr(texts, "dictionary_bank", refuse)


def test_the_texts_are_those_of_the_bank_view_by_view(people: Path, tmp_path: Path) -> None:
    bank = bank_of()
    run = module.train(recipes.tiny(), read(people), tmp_path / "run", device="cpu", bank=bank)
    kept = weights(run)["texts"]
    assert kept.shape == (2, 16, 128)
    encode, said = small_encoder(), gait_dictionary(2).texts
    for number, modality in enumerate(("silhouette", "depth")):
        lines = [said[modality][view][turn] for view in ("front", "front-left") for turn in range(2)]
        torch.testing.assert_close(kept[number, :4], encode(lines).tokens[:, 0], rtol=1e-4, atol=1e-5)
    about = open_run(run).origin["texts"]
    assert about["encoder"] == "world-clip"
    assert about["dictionary_version"] == gait_dictionary().version
    assert about["dictionary_sha256"] == gait_dictionary(2).sha256
    assert len(about["texts_sha256"]) == 64


def test_the_small_encoder_needs_no_bank(people: Path, tmp_path: Path) -> None:
    given = module.train(recipes.tiny(), read(people), tmp_path / "given", device="cpu", bank=bank_of())
    made = module.train(recipes.tiny(), read(people), tmp_path / "made", device="cpu")
    one, other = weights(given), weights(made)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert open_run(given).origin == open_run(made).origin


def test_a_resumed_run_and_a_loaded_method_need_no_texts(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = read(people)
    # a bank of another encoder than the small one, so that none could be made on the way
    recipe = replace(recipes.tiny(), text=TextConfig(encoder=FOREIGN))
    bank = bank_of(encoder=FOREIGN)
    whole = module.train(recipe, benchmark, tmp_path / "whole", device="cpu", bank=bank)

    broken, honest = tmp_path / "broken", module._losses

    def stopping(*given: object) -> object:
        if (latest(broken) or broken).name == "000000002":
            raise KeyboardInterrupt
        return honest(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_losses", stopping)
    with pytest.raises(KeyboardInterrupt):
        module.train(recipe, benchmark, broken, device="cpu", bank=bank, checkpoint_minutes=0)
    monkeypatch.setattr(module, "_losses", honest)
    nobody_encodes(monkeypatch)
    other = bank_of(encoder=FOREIGN, origin={**bank.origin, "texts_sha256": "0"})
    with pytest.raises(ValueError, match="trained with other texts"):
        module.train(recipe, benchmark, broken, device="cpu", resume=True, bank=other)
    module.train(recipe, benchmark, broken, device="cpu", resume=True)
    one, resumed = weights(whole), weights(broken)
    assert all(torch.equal(one[name], resumed[name]) for name in one)
    method = load_method(broken)
    torch.testing.assert_close(method.state_dict()["texts"], one["texts"])
    assert bool(method.state_dict()["ready"])
    assert extract(method, benchmark.query, recipe.data).spaces["identity"].shape == (6, 128)


def test_missing_and_unfit_texts_are_refused_before_anything_is_written(people: Path, tmp_path: Path) -> None:
    out, benchmark, recipe = tmp_path / "run", read(people), recipes.tiny()
    other = replace(recipe, text=TextConfig(encoder=FOREIGN), config=RetrieverConfig(rounds=5))
    with pytest.raises(
        ValueError,
        match=rf"about silhouette, depth, .*`unbraid gait texts --rounds 5 .*--encoder {FOREIGN} .*pass --bank",
    ):
        module.train(other, benchmark, out, device="cpu")
    with pytest.raises(ValueError, match=f"holds vectors of 'world-clip', but the recipe names '{FOREIGN}'"):
        module.train(other, benchmark, out, device="cpu", bank=bank_of(5))
    with pytest.raises(ValueError, match="has no texts about depth; it has silhouette"):
        module.train(recipe, benchmark, out, device="cpu", bank=bank_of().only(["silhouette"]))
    with pytest.raises(ValueError, match=r"texts about silhouette: \(24, 128\) instead of \(16, 128\)"):
        module.train(recipe, benchmark, out, device="cpu", bank=bank_of(3))
    with pytest.raises(ValueError, match="its recipe has no 'text'"):
        module.train(replace(recipe, text=None), benchmark, out, device="cpu")
    words = dictionary_bank(gait_dictionary(2), small_encoder(pooled=False))
    tokens = replace(recipe, text=TextConfig(encoder="world-clip#tokens"))
    with pytest.raises(ValueError, match="texts about silhouette are sequences of tokens"):
        module.train(tokens, benchmark, out, device="cpu", bank=words)
    with pytest.raises(ValueError, match="none are given; write them"):
        module.train(tokens, benchmark, out, device="cpu")
    assert not out.exists()


def test_who_retrieves_from_nothing_gets_nothing(people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_encodes(monkeypatch)
    off = replace(recipes.tiny(), config=RetrieverConfig(retrieve=False), text=None)
    run = module.train(off, read(people), tmp_path / "off", device="cpu")
    assert "texts" not in open_run(run).origin
    assert dictionary(fifth.tiny(), (), None) is None
    method = load_method(module.train(fifth.tiny(), read(people), tmp_path / "fifth", device="cpu"))
    assert method.dictionary == ()
    with pytest.raises(ValueError, match="Fifth retrieves from no fixed texts; it was given depth"):
        method.set_dictionary({"depth": torch.zeros(2, 3)})


def test_fixed_texts_keep_the_order_of_a_file(tmp_path: Path) -> None:
    bank = bank_of()
    read_back = TextBank.load(bank.save(tmp_path / "gait.safetensors"))
    names = ("depth", "silhouette")
    one, other = fixed_texts(bank, names), fixed_texts(read_back, names)
    assert list(one) == list(names)
    assert all(torch.equal(one[name], other[name]) for name in names)


def test_a_command_uses_the_texts_of_a_file(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # captions beside the tracklets are no dictionary, and must not be taken for one
    root = tmp_path / "root"
    root.mkdir()
    for file in people.iterdir():
        (root / file.name).symlink_to(file)
    (root / "captions.jsonl").write_text('{"key": "a", "aspect": "hair", "text": "long", "source": {}}\n')
    views = gait_dictionary(2).texts
    mine = {m: {v: [f"{t}, once more" for t in said] for v, said in views[m].items()} for m in views}
    Dictionary("mine-1", mine).save(tmp_path / "mine.json")
    bank = tmp_path / "mine.safetensors"
    assert main(["bank", str(tmp_path / "mine.json"), "--out", str(bank)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split() for line in shown[1:]][:2] == [
        ["aspect", "view/text", "texts", "vectors", "cut", "cosine"],
        ["silhouette", "16", "of", "16", "16", "16", "0", shown[2].split()[-1]],
    ]
    line = ["train", "tests.retriever:tiny", "--root", str(root), "--device", "cpu"]
    assert main([*line, "--out", str(tmp_path / "mine"), "--bank", str(bank)]) == 0
    assert main([*line, "--out", str(tmp_path / "ours")]) == 0
    told = [json.loads((tmp_path / run / "origin.json").read_text())["texts"] for run in ("mine", "ours")]
    assert [one["dictionary_version"] for one in told] == ["mine-1", gait_dictionary().version]
    assert main([*line, "--out", str(tmp_path / "mine"), "--resume"]) == 0
    assert not torch.equal(weights(tmp_path / "mine")["texts"], weights(tmp_path / "ours")["texts"])
    capsys.readouterr()
    assert main([*line, "--out", str(tmp_path / "no"), "--text.encoder", FOREIGN]) == 2
    assert "unbraid gait texts --rounds 2" in capsys.readouterr().err
