"""Banks: equal texts once, lookups as a plain loop gives them, means as by hand, files that say what they are."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from unbraid.batch import Text
from unbraid.text import encoding
from unbraid.text.bank import TextBank, pack
from unbraid.text.captions import Caption, write_captions
from unbraid.text.encoding import bank_of_folder, build_bank


@dataclass
class Letters:
    """An encoder anybody can follow: a word is (its length, number of its vowels), or their sum over words, pooled."""

    pooled: bool = False
    limit: int = 4
    name: str = "letters"
    version: str = "1"
    width: int = 2
    asked: list[list[str]] = field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> Text:
        self.asked.append(list(texts))
        lines = [[vector(word) for word in text.split()[: self.limit]] for text in texts]
        if self.pooled:
            tokens = torch.tensor([[[sum(v[0] for v in line), sum(v[1] for v in line)]] for line in lines])
            return Text(tokens, torch.ones(len(texts), 1, dtype=torch.bool))
        longest = max(map(len, lines))
        # rubbish at padding must not get into a bank
        tokens = torch.tensor([[*line, *[[9e9, 9e9]] * (longest - len(line))] for line in lines])
        return Text(tokens, torch.tensor([[i < len(line) for i in range(longest)] for line in lines]))

    def truncated(self, texts: Sequence[str]) -> int:
        return sum(len(text.split()) > self.limit for text in texts)


def vector(word: str) -> list[float]:
    return [float(len(word)), float(sum(letter in "aeiou" for letter in word))]


def captions(texts: Mapping[tuple[str, str], str], model: str = "hand") -> list[Caption]:
    return [Caption(key, aspect, text, {"model": model}) for (key, aspect), text in texts.items()]


TEXTS = {
    ("a", "clothing"): "red coat",
    ("b", "clothing"): "a very long green gown",
    ("c", "clothing"): "red coat",
    ("a", "biometric"): "tall",
    ("b", "biometric"): "red coat",
}


def test_equal_texts_are_encoded_once_and_have_equal_codes() -> None:
    encoder = Letters()
    bank = build_bank(captions(TEXTS), encoder, batch=2)
    assert sorted(text for batch in encoder.asked for text in batch) == ["a very long green gown", "red coat", "tall"]
    assert [len(batch) for batch in encoder.asked] == [2, 1]
    assert encoder.asked[-1] == ["a very long green gown"], "texts of like length belong together"
    a, b, c, nobody = bank.code("clothing", ["a", "b", "c", "nobody"]).tolist()
    assert a == c
    assert a != b
    assert nobody == -1
    assert bank.code("biometric", ["b"]).item() == a, "also across aspects"


def test_lookup_pads_to_the_longest_asked_for_and_masks_what_is_missing() -> None:
    bank = build_bank(captions(TEXTS), Letters())
    found = bank.text("clothing", ["a", "nobody", "b"])
    assert found.tokens.shape == (3, 4, 2)
    assert found.tokens.tolist() == [
        [[3, 1], [4, 2], [0, 0], [0, 0]],
        [[0, 0]] * 4,
        [[1, 1], [4, 1], [4, 1], [5, 2]],
    ]
    assert found.mask.tolist() == [[True, True, False, False], [False] * 4, [True] * 4]
    assert bank.text("biometric", ["a"]).tokens.tolist() == [[[4, 1]]]
    assert bank.missing("biometric", ["a", "x", "c"]) == ["x", "c"]
    only_missing = bank.text("biometric", ["c", "x"])
    assert not only_missing.mask.any()
    assert only_missing.tokens.shape == (2, 1, 2)
    assert not only_missing.tokens.any()
    assert bank.text("clothing", []).tokens.shape == (0, 1, 2)


def test_pooled_banks_have_one_vector_per_text() -> None:
    bank = build_bank(captions(TEXTS), Letters(pooled=True))
    found = bank.text("clothing", ["b", "nobody", "c"])
    assert found.tokens.tolist() == [[[14, 5]], [[0, 0]], [[7, 3]]]
    assert found.mask.tolist() == [[True], [False], [True]]


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.text(max_size=3), st.text("ab ", min_size=1, max_size=9).filter(str.strip), min_size=1),
    st.data(),
    st.booleans(),
)
def test_lookup_does_what_a_loop_does(texts: dict[str, str], data: st.DataObject, pooled: bool) -> None:
    encoder = Letters(pooled)
    bank = build_bank(captions({(key, "pose"): text for key, text in texts.items()}), encoder, batch=2)
    keys = data.draw(st.lists(st.sampled_from([*texts, "not there"]), min_size=1, max_size=9))
    found, codes = bank.text("pose", keys), bank.code("pose", keys).tolist()
    for key, tokens, mask, code in zip(keys, found.tokens, found.mask, codes, strict=True):
        if key not in texts:
            assert code == -1
            assert not mask.any()
            assert not tokens.any()
            continue
        alone = encoder([texts[key]]).tokens[0]
        assert torch.equal(tokens[mask], alone)
        assert mask.sum() == len(alone)
        assert not tokens[~mask].any()
    for one, other in zip(keys, codes, strict=True):
        for key, code in zip(keys, codes, strict=True):
            assert (other == code) == (texts.get(one) == texts.get(key))


def three() -> TextBank:
    """Three texts of lengths 1, 2 and 1: (3, 4), mean of (2, 0) and (0, 2), (0, 5)."""
    pieces = [torch.tensor([[3.0, 4]]), torch.tensor([[2.0, 0], [0, 2]]), torch.tensor([[0.0, 5]])]
    rows = {"biometric": {"p1": 0, "p2": 1, "q1": 2, "r1": 0, "r2": 1}, "clothing": {"p1": 1, "q1": 2}}
    return pack("hand", {"synthetic": "true"}, rows, pieces)


def test_mean_over_identities_by_hand() -> None:
    groups = {"p1": "p", "p2": "p", "p3": "p", "q1": "q", "r2": "r", "r1": "r", "s1": "s"}
    mean = three().mean_over("biometric", groups)
    found = mean.text("biometric", ["p1", "p2", "p3", "q1", "s1"])
    half = 0.5**0.5
    # (3, 4) / 5 and (1, 1) / sqrt 2, their mean, brought to length one
    x, y = (0.6 + half) / 2, (0.8 + half) / 2
    length = (x * x + y * y) ** 0.5
    wanted = torch.tensor([[x / length, y / length]] * 3 + [[0, 1.0], [0, 0]])
    torch.testing.assert_close(found.tokens[:, 0], wanted)
    assert found.mask.tolist() == [[True]] * 4 + [[False]], "p3 has its person's text, s1 nobody's"
    p, q, r = mean.code("biometric", ["p1", "q1", "r1"]).tolist()
    assert p == r, "the same texts have the same mean"
    assert p != q
    before, after = three().text("clothing", ["p1", "q1"]), mean.text("clothing", ["p1", "q1"])
    assert torch.equal(before.tokens, after.tokens), "other aspects stay"
    assert torch.equal(before.mask, after.mask)
    assert mean.origin["synthetic"] == "true"


def test_a_text_counts_once_per_tracklet_in_the_mean() -> None:
    mean = three().mean_over("biometric", {"p1": "p", "r1": "p", "q1": "p"})
    x, y = 1.2 / 3, (1.6 + 1) / 3
    wanted = torch.tensor([x, y]) / (x * x + y * y) ** 0.5
    torch.testing.assert_close(mean.text("biometric", ["q1"]).tokens[0, 0], wanted)


def test_keys_outside_the_groups_lose_their_text() -> None:
    mean = three().mean_over("biometric", {"p1": "p"})
    assert mean.missing("biometric", ["p1", "q1"]) == ["q1"]


def test_means_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(ValueError, match="no key of the groups"):
        three().mean_over("biometric", {"elsewhere": "p"})
    with pytest.raises(KeyError, match="no texts about 'hair'"):
        three().mean_over("hair", {"p1": "p"})
    opposite = pack("hand", {}, {"hair": {"a": 0, "b": 1}}, [torch.tensor([[1.0, 2]]), torch.tensor([[-2.0, -4]])])
    with pytest.raises(ValueError, match="'p' about hair cancel"):
        opposite.mean_over("hair", {"a": "p", "b": "p"})


def test_centred_texts_by_hand() -> None:
    vectors = [torch.tensor([[3.0, 4]]), torch.tensor([[0.0, 2]]), torch.tensor([[1.0, 0]])]
    rows = {"hair": {"a": 0, "b": 0, "c": 1, "d": 2}, "pose": {"a": 0}}
    bank = pack("hand", {}, rows, vectors)
    centred = bank.centred("hair", ["a", "b", "c", "nobody"])
    # at length 1: (.6, .8) twice and (0, 1), their mean is (.4, 13/15); d is brought along, though it has no part in it
    apart = torch.tensor([[0.6 - 0.4, 0.8 - 13 / 15], [0 - 0.4, 1 - 13 / 15], [1 - 0.4, 0 - 13 / 15]])
    wanted = apart / apart.norm(dim=1, keepdim=True)
    found = centred.text("hair", ["a", "b", "c", "d"]).tokens[:, 0]
    torch.testing.assert_close(found, wanted[[0, 0, 1, 2]])
    assert centred.code("hair", ["a"]).tolist() == centred.code("hair", ["b"]).tolist()
    assert torch.equal(centred.text("pose", ["a"]).tokens, bank.text("pose", ["a"]).tokens), "other aspects stay"
    assert centred.origin["centred/hair"] == "3 tracklets"


def test_centring_tells_crowded_texts_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    crowded = torch.ones(40, 16) + 0.05 * torch.randn(40, 16, generator=generator)
    bank = pack("hand", {}, {"hair": {str(row): row for row in range(40)}}, list(crowded[:, None]))
    assert (bank.crowding("hair") or 0) > 0.99
    # 40 directions around their mean: cosines of -1 / 39 on average
    assert abs(bank.centred("hair", [str(row) for row in range(40)]).crowding("hair") or 1) < 0.05


def test_shuffled_texts_stay_together_and_are_those_of_others() -> None:
    keys = [f"p{row}" for row in range(50)]
    rows = {"hair": {key: row for row, key in enumerate(keys)}, "pose": {key: row + 50 for row, key in enumerate(keys)}}
    del rows["hair"]["p7"]
    rows["hair"]["elsewhere"] = 100
    bank = pack("hand", {}, rows, [torch.tensor([[float(row)]]) for row in range(101)])
    shuffled = bank.shuffled(["hair", "pose"], keys, 0)
    pose = [int(v) - 50 for v in shuffled.text("pose", keys).tokens[:, 0, 0]]
    assert sorted(pose) == list(range(50)) != pose
    for key, row in zip(keys, pose, strict=True):
        # whoever has the texts of p7 has none about hair
        found = shuffled.text("hair", [key])
        assert bool(found.mask) == (row != 7)
        assert not found.mask or int(found.tokens) == row
    assert int(shuffled.text("hair", ["elsewhere"]).tokens) == 100
    alone = bank.shuffled(["pose"], keys, 1)
    assert alone.code("hair", keys).tolist() == bank.code("hair", keys).tolist()
    assert alone.text("pose", keys).tokens.flatten().tolist() != [row + 50 for row in pose]
    assert alone.origin["shuffled/pose"] == "seed 1"
    with pytest.raises(KeyError, match="no texts about 'clothing'"):
        bank.shuffled(["clothing"], keys, 0)


def test_what_cannot_be_centred_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the keys has a text about biometric"):
        pack("hand", {}, {"biometric": {"a": 0}}, [torch.ones(1, 2)]).centred("biometric", ["elsewhere"])
    with pytest.raises(ValueError, match="nothing but the mean"):
        pack("hand", {}, {"hair": {"a": 0}}, [torch.ones(1, 2)]).centred("hair", ["a"])
    with pytest.raises(ValueError, match="sequences of tokens"):
        pack("hand", {}, {"hair": {"a": 0}}, [torch.ones(2, 2)]).centred("hair", ["a"])
    with pytest.raises(KeyError, match="no texts about 'hair'"):
        three().centred("hair", ["p1"])


def test_crowding_is_the_mean_cosine_over_pairs() -> None:
    bank = three()
    unit = [torch.tensor([0.6, 0.8]), torch.tensor([0.5**0.5] * 2), torch.tensor([0.0, 1])]
    pairs = [float(unit[i] @ unit[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert bank.crowding("biometric") == pytest.approx(sum(pairs) / 3)
    assert bank.crowding("clothing") == pytest.approx(pairs[2])
    assert pack("hand", {}, {"hair": {"a": 0}}, [torch.ones(1, 2)]).crowding("hair") is None


@pytest.mark.parametrize("half", [False, True])
def test_a_file_gives_the_same_bank_back(tmp_path: Path, half: bool) -> None:
    odd = {**TEXTS, ('"\n\u00fc', "hair"): "gr\u00fcn"}
    bank = build_bank(captions(odd), Letters(), half=half, origin={"more": "facts"})
    again = TextBank.load(bank.save(tmp_path / "deep" / "bank.safetensors"))
    assert again.encoder == "letters"
    assert again.aspects == ("clothing", "biometric", "hair")
    assert again.rows == bank.rows
    assert again.origin == bank.origin
    assert again.origin["more"] == "facts"
    assert again.vectors.dtype == (torch.float16 if half else torch.float32)
    assert torch.equal(again.vectors, bank.vectors)
    assert again.text("clothing", ["b"]).tokens.dtype == torch.float32
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["bank.safetensors"]


def test_origin_says_what_was_encoded() -> None:
    origin = build_bank(captions(TEXTS), Letters()).origin
    assert origin["encoder_version"] == "1"
    assert json.loads(origin["truncated"]) == {"clothing": 1, "biometric": 0}
    assert origin["written_by"] == "hand"
    assert "synthetic" not in origin
    assert build_bank(captions(TEXTS, "world"), Letters()).origin["synthetic"] == "true"
    changed = {**TEXTS, ("a", "biometric"): "small"}
    assert build_bank(captions(changed), Letters()).origin["texts_sha256"] != origin["texts_sha256"]


def test_aspects_can_be_chosen() -> None:
    encoder = Letters()
    bank = build_bank(captions(TEXTS), encoder, aspects=["biometric"])
    assert bank.aspects == ("biometric",)
    assert bank.only(["biometric"]).aspects == ("biometric",)
    assert sorted(encoder.asked[0]) == ["red coat", "tall"]
    with pytest.raises(KeyError, match="no captions about 'hair'; there are some about clothing, biometric"):
        build_bank(captions(TEXTS), encoder, aspects=["hair"])
    with pytest.raises(KeyError, match="no texts about 'clothing'"):
        bank.text("clothing", ["a"])


def test_unusable_captions_are_refused() -> None:
    with pytest.raises(ValueError, match="no captions"):
        build_bank([], Letters())
    with pytest.raises(ValueError, match="two captions about the clothing of 'a'"):
        build_bank([*captions(TEXTS), *captions(TEXTS)], Letters())
    with pytest.raises(ValueError, match="batch = 0"):
        build_bank(captions(TEXTS), Letters(), batch=0)
    with pytest.raises(ValueError, match="no aspects are asked for"):
        build_bank(captions(TEXTS), Letters(), aspects=[])


def test_numbers_that_are_not_finite_are_refused() -> None:
    class Broken(Letters):
        def __call__(self, texts: Sequence[str]) -> Text:
            found = super().__call__(texts)
            return Text(found.tokens * 1e5, found.mask)

    assert build_bank(captions(TEXTS), Broken()).vectors.max() == 5e5
    with pytest.raises(ValueError, match=r"not finite in float16 for"):
        build_bank(captions(TEXTS), Broken(), half=True)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bank.safetensors"
    with pytest.raises(FileNotFoundError, match="unbraid bank"):
        TextBank.load(path)
    with pytest.raises(ValueError, match=r"does not end in \.safetensors"):
        three().save(tmp_path / "bank.npz")
    path.write_bytes(b"rubbish")
    with pytest.raises(ValueError, match="not a whole text bank"):
        TextBank.load(path)
    save_file({"vectors": torch.ones(1, 2)}, path)
    with pytest.raises(ValueError, match="says nothing about being a text bank"):
        TextBank.load(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("vectors", torch.full((4, 2), float("nan")), "not finite"),
        ("vectors", torch.ones(3, 2), "do not divide"),
        ("starts", torch.tensor([0, 2, 1, 4]), "a row has no vectors"),
        ("starts", torch.tensor([0.0, 1, 3, 4]), "do not divide"),
        ("rows/clothing", torch.tensor([7, 0, 0, 0, 0]), "outside the 3"),
        ("rows/clothing", torch.tensor([0, 1]), "shorter"),
        ("keys", torch.tensor([1, 2], dtype=torch.uint8), "Expecting value"),
    ],
)
def test_damage_is_told(tmp_path: Path, name: str, value: torch.Tensor, message: str) -> None:
    path = three().save(tmp_path / "bank.safetensors")
    header = {"format": "unbraid text bank", "version": "1", "encoder": "hand", "origin": "{}"}
    header["aspects"] = '["biometric", "clothing"]'
    tensors = load_file(path)
    save_file(tensors, path, metadata=header)
    TextBank.load(path)
    save_file({**tensors, name: value}, path, metadata=header)
    with pytest.raises(ValueError, match=message):
        TextBank.load(path)
    save_file(tensors, path, metadata={**header, "version": "2"})
    with pytest.raises(ValueError, match="version '2'"):
        TextBank.load(path)


def test_a_folders_bank_is_made_once_and_again_when_its_captions_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Letters()
    monkeypatch.setattr("unbraid.text.encoders.open_encoder", lambda name, *, device: encoder)
    assert bank_of_folder(tmp_path, "letters") is None
    write_captions(tmp_path / "captions.jsonl", captions(TEXTS))
    first = bank_of_folder(tmp_path, "letters")
    assert first is not None
    made = len(encoder.asked)
    second = bank_of_folder(tmp_path, "letters")
    assert second is not None
    assert len(encoder.asked) == made, "the second comes from the file"
    assert second.rows == first.rows
    write_captions(tmp_path / "captions.jsonl", captions({**TEXTS, ("a", "biometric"): "small"}))
    bank_of_folder(tmp_path, "letters")
    assert len(encoder.asked) > made
    made, encoder.version = len(encoder.asked), "2"
    third = bank_of_folder(tmp_path, "letters")
    assert third is not None
    assert third.origin["encoder_version"] == "2"
    assert len(encoder.asked) > made
    (kept,) = tmp_path.glob("bank-*.safetensors")
    kept.write_bytes(b"cut")
    with pytest.warns(UserWarning, match="made again"):
        bank_of_folder(tmp_path, "letters")


def test_a_bank_that_cannot_be_kept_is_still_a_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError("no space")

    write_captions(tmp_path / "captions.jsonl", captions(TEXTS))
    monkeypatch.setattr("unbraid.text.encoders.open_encoder", lambda name, *, device: Letters())
    monkeypatch.setattr(encoding.os, "replace", full)
    with pytest.warns(UserWarning, match="cannot be kept"):
        bank = bank_of_folder(tmp_path, "letters")
    assert bank is not None
    assert bank.aspects == ("clothing", "biometric")
    assert os.listdir(tmp_path) == ["captions.jsonl"]
