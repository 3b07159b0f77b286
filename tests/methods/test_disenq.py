"""DisenQ: what each group of queries sees, and what becomes of its texts in training."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tests.methods.disenqs import ASPECTS, batch_of, made, other_text, same, shaken
from unbraid.batch import Batch, Clip


@pytest.mark.parametrize("reader", ["shared", "independent"])
def test_a_group_sees_its_own_texts_alone(reader: str) -> None:
    method = shaken(made(reader=reader)).eval()
    batch = batch_of(method)
    before = method(batch)
    for group, aspect in ASPECTS.items():
        after = method(other_text(batch, aspect))
        unchanged = [g for g in ASPECTS if g != group]
        assert same(before, after, unchanged) == [True, True]
        assert not torch.allclose(before[group], after[group])


def test_queries_of_a_group_change_no_other() -> None:
    method = shaken(made()).eval()
    clip = batch_of(method).clip
    before = method.encode(clip)
    with torch.no_grad():
        method.reader.queries_of("motion").add_(1)
    after = method.encode(clip)
    assert same(before, after, ["identity", "motion", "appearance"]) == [True, False, True]


def test_groups_that_start_equal_are_told_apart_by_their_texts_alone() -> None:
    method = made(query_noise=0.0).eval()
    batch = batch_of(method)
    out, bare = method(batch), method.encode(batch.clip)
    assert torch.equal(bare["motion"], bare["appearance"])
    assert not torch.allclose(out["motion"], out["appearance"])


@pytest.mark.parametrize("pooling", ["frame", "token", "frames", "both"])
def test_queries_of_groups_read_different_things_without_text(pooling: str) -> None:
    # with a single token softmax over one key is 1: every query would read the same
    method = made(pooling=pooling)
    tokens, _ = method._clips(batch_of(method).clip)
    cells = 1 + 2 * 2
    assert tokens.shape[1] == {"frame": cells, "token": cells, "frames": 2, "both": cells + 2}[pooling]
    look = method.reader.attention(tokens, None, groups=("identity", "motion"))
    assert (look["identity"] - look["motion"]).abs().max() > 1e-4


def test_without_text_is_the_same_as_masked_text_and_as_recognition() -> None:
    method = shaken(made()).eval()
    batch = batch_of(method)
    mute = {a: replace(t, mask=torch.zeros_like(t.mask)) for a, t in batch.text.items()}
    hidden, bare, spaces = method(replace(batch, text=mute)), method(replace(batch, text={})), method.encode(batch.clip)
    for group in ASPECTS:
        torch.testing.assert_close(hidden[group], bare[group], rtol=0, atol=1e-6)
        torch.testing.assert_close(spaces[group], bare[group], rtol=0, atol=1e-6)
    assert not torch.allclose(method(batch)["identity"], bare["identity"], atol=1e-3)


def test_slots_of_the_body_stand_behind_each_other() -> None:
    method = made(identity_texts=("build", "limbs"))
    assert method.aspects == ("build", "limbs", "motion", "clothing")
    batch = batch_of(method)
    text = method.texts(batch)["identity"]
    assert torch.equal(text.tokens, torch.cat([batch.text["build"].tokens, batch.text["limbs"].tokens], 1))
    assert torch.equal(text.mask, torch.cat([batch.text["build"].mask, batch.text["limbs"].mask], 1))


def test_text_dropout_drops_all_texts_of_a_clip_together() -> None:
    method = made(text_dropout=0.5).train()
    batch = batch_of(method, rows=200)
    torch.manual_seed(0)
    found = method.texts(batch)
    masks = torch.stack([text.mask.any(1) for text in found.values()], 1)
    assert ((masks.sum(1) == 0) | (masks.sum(1) == 3)).all()
    assert 0.4 < masks[:, 0].float().mean() < 0.6
    kept = masks[:, 0]
    assert torch.equal(found["motion"].mask[kept], batch.text["motion"].mask[kept])
    # never when measuring
    assert all(torch.equal(t.mask, batch.text[ASPECTS[g]].mask) for g, t in method.eval().texts(batch).items())


def test_random_clothing_is_that_of_other_clips() -> None:
    method = made(random_texts=("clothing",)).train()
    batch = batch_of(method, rows=50)
    found = method.texts(batch)
    mixed, own = found["appearance"].tokens, batch.text["clothing"].tokens
    assert torch.equal(mixed.sum((1, 2)).sort()[0], own.sum((1, 2)).sort()[0])
    assert (mixed == own).all(2).all(1).sum() < 10
    assert torch.equal(found["identity"].tokens, batch.text["biometric"].tokens)
    assert torch.equal(method.eval().texts(batch)["appearance"].tokens, own)


def test_the_running_average_of_biometric_texts() -> None:
    method = made(averaging="running").train()
    batch = batch_of(method)
    found = method.texts(batch)["identity"]
    text = batch.text["biometric"]
    unit = F.normalize(torch.stack([t[m].mean(0) for t, m in zip(text.tokens, text.mask, strict=True)]), dim=1)
    for row, who in enumerate(batch.labels["identity"].tolist()):
        want = F.normalize(unit[batch.labels["identity"] == who].mean(0), dim=0)
        torch.testing.assert_close(found.tokens[row, 0], want)
    # measuring reads it and leaves it as it is
    counted = method.texts.average.count.clone()
    method.eval()(batch)
    assert torch.equal(method.texts.average.count, counted)
    assert int(counted.sum()) == 8


def test_texts_that_do_not_fit() -> None:
    method = made()
    batch = batch_of(method)
    with pytest.raises(ValueError, match=r"texts about 'motion', but the batch has \['biometric', 'clothing'\]"):
        method(replace(batch, text={a: t for a, t in batch.text.items() if a != "motion"}))
    with pytest.raises(ValueError, match=r"have vectors of 7 numbers and config.text_width is 12"):
        method(replace(batch, text={a: replace(t, tokens=t.tokens[..., :7]) for a, t in batch.text.items()}))


def test_a_frozen_trunk_reads_a_remembered_frame_once() -> None:
    plain, method = shaken(made(tuned=0)), shaken(made(tuned=0, remembered=1))
    batch = batch_of(method)
    seen: list[int] = []
    method.tower.register_forward_pre_hook(lambda _module, given: seen.append(len(given[0])))
    # the second half of the clips has been seen before, the first has not; 8 clips of 2 frames
    half = Batch(
        Clip.of(batch.clip.frames[4:]),
        {name: value[4:] for name, value in batch.labels.items()},
        batch.keys[4:],
        {name: replace(t, tokens=t.tokens[4:], mask=t.mask[4:]) for name, t in batch.text.items()},
    )
    for one in (half, batch, batch):
        wanted, found = plain.train()(one), method.train()(one)
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-5)
    assert seen == [8, 8]
    # what is not training is not remembered
    method.eval().encode(Clip.of(batch.clip.frames + 1))
    method.train()(replace(batch, clip=Clip.of(batch.clip.frames + 1)))
    assert seen[2:] == [16, 16]
    assert not any("memory" in name for name in method.state_dict())


def test_memory_is_for_frozen_trunks() -> None:
    with pytest.raises(ValueError, match=r"remembered = 1 with tuned = 2; expected .* for a trunk that does not learn"):
        made(tuned=2, remembered=1)


def test_the_first_spread_is_that_of_the_linear_layers() -> None:
    usual, wide = made(first_spread=0.02), made(first_spread=0.1)
    for name, value in usual.reader.named_parameters():
        linear = value.ndim == 2 and "queries" not in name
        torch.testing.assert_close(wide.reader.get_parameter(name), value * (5 if linear else 1))
    weight = wide.reader.get_parameter("nets.0.layers.0.feed.inner.weight")
    assert 0.09 < weight.std() < 0.11
    with pytest.raises(ValueError, match=r"first_spread = 0\.0; expected more than 0"):
        made(first_spread=0.0)
