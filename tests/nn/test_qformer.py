"""The Q-Former against transformers' own modules with the same weights."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.nn.qformers import GROUPS, TINY, B, K, alone, close, ours, texts, theirs
from unbraid.batch import Text
from unbraid.nn.qformer import QFormer, QFormerConfig
from unbraid.nn.qformer_weights import key_map


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def visual() -> Tensor:
    return torch.randn(B, K, TINY.visual_width)


@pytest.mark.parametrize("instruct", [False, True], ids=["blip2", "instructblip"])
@pytest.mark.parametrize("cross_every", [1, 2, 3])
def test_each_group_is_their_module_with_its_queries(visual: Tensor, cross_every: int, instruct: bool) -> None:
    config = replace(TINY, cross_every=cross_every)
    net = theirs(config, instruct=instruct)
    reader = ours(config, net)
    with torch.no_grad():
        out = reader(visual)
        assert list(out) == list(GROUPS)
        for group in GROUPS:
            queries = reader.queries[group].expand(B, -1, -1)
            given = {"input_ids": None} if instruct else {}
            want = net(query_embeds=queries, encoder_hidden_states=visual, **given)[0]
            close(out[group], want)
    # the comparison can fail: other queries give another answer
    assert (out["identity"] - out["motion"]).abs().max() > 0.1


def test_gradients_are_theirs(visual: Tensor) -> None:
    net = theirs(TINY)
    reader = ours(TINY, net)
    torch.stack([out.square().sum() for out in reader(visual).values()]).sum().backward()
    torch.stack([alone(net, reader, group, visual).square().sum() for group in GROUPS]).sum().backward()
    own, other = dict(reader.named_parameters()), dict(net.named_parameters())
    for name, mine in key_map(TINY, "blip2").items():
        want = other[name.removeprefix("qformer.")].grad
        torch.testing.assert_close(own[mine].grad, want, rtol=1e-3, atol=1e-4)


def test_projected_text_is_more_keys_for_their_module(visual: Tensor) -> None:
    net = theirs(TINY)
    reader = ours(TINY, net)
    text = texts(TINY, {"identity": 5, "motion": 7, "appearance": 6})
    hidden = torch.arange(K).expand(B, -1) < K - torch.arange(B)[:, None]
    with torch.no_grad():
        out = reader(visual, hidden, text=text)
        for group, words in text.items():
            source = torch.cat([visual, reader.text_projection(words.tokens)], dim=1)
            close(out[group], alone(net, reader, group, source, torch.cat([hidden, words.mask], dim=1)))
        assert (out["motion"] - reader(visual, hidden)["motion"]).abs().max() > 0.01


def test_instruction_text_is_that_of_instructblip(visual: Tensor) -> None:
    config = replace(TINY, text="instruction", text_width=TINY.width)
    net = theirs(config, instruct=True)
    reader = ours(config, net)
    lengths = {"identity": 5, "appearance": 6}
    ids = {name: torch.randint(0, 50, (B, length)) for name, length in lengths.items()}
    text = texts(config, lengths)
    embedded = {
        name: net.embeddings.word_embeddings(ids[name]) + net.embeddings.position_embeddings.weight[: lengths[name]]
        for name in lengths
    }
    with torch.no_grad():
        out = reader(visual, text={name: Text(embedded[name], text[name].mask) for name in lengths})
        for name in lengths:
            want = net(
                input_ids=ids[name],
                attention_mask=torch.cat([torch.ones(B, TINY.queries), text[name].mask], dim=1),
                query_embeds=reader.queries[name].expand(B, -1, -1),
                encoder_hidden_states=visual,
            )[0]
            close(out[name], want[:, : TINY.queries])
        close(out["motion"], alone_instruct(net, reader, "motion", visual))


def alone_instruct(net: Any, reader: QFormer, group: str, visual: Tensor) -> Tensor:
    queries = reader.queries[group].expand(B, -1, -1)
    out: Tensor = net(input_ids=None, query_embeds=queries, encoder_hidden_states=visual)[0]
    return out


def test_separate_text_weights_equal_to_the_visual_ones_change_nothing() -> None:
    """With text as wide as visual tokens and copied weights, 'separate' is their module on all tokens."""
    config = replace(TINY, text="separate", text_width=TINY.visual_width)
    net = theirs(config)
    reader = ours(config, net)
    text = texts(config, dict.fromkeys(GROUPS, 5))
    visual = torch.randn(B, K, TINY.visual_width)
    with torch.no_grad():
        for i in range(0, config.layers, config.cross_every):
            cross: Any = reader.layers[i].cross
            cross.text_key.load_state_dict(cross.key.state_dict())
            cross.text_value.load_state_dict(cross.value.state_dict())
        out = reader(visual, text=text)
        for group, words in text.items():
            mask = torch.cat([torch.ones(B, K, dtype=torch.bool), words.mask], dim=1)
            close(out[group], alone(net, reader, group, torch.cat([visual, words.tokens], dim=1), mask))


ROUTES = [TINY, replace(TINY, text="separate"), replace(TINY, text="instruction")]


@pytest.mark.parametrize("config", ROUTES, ids=lambda c: c.text)
def test_hidden_text_is_no_text(config: QFormerConfig, visual: Tensor) -> None:
    reader = ours(config, theirs(config, instruct=True)).double()
    visual = visual.double()
    hidden = torch.zeros(B, 5, dtype=torch.bool)
    first, second = (
        {name: Text(torch.randn(B, 5, config.text_width).double(), hidden) for name in GROUPS} for _ in range(2)
    )
    with torch.no_grad():
        bare, one, two = reader(visual), reader(visual, text=first), reader(visual, text=second)
        for name in GROUPS:
            assert torch.equal(one[name], two[name])
            # sums of other lengths are rounded otherwise, and nothing more
            close(one[name], bare[name], 1e-13)
        shown = {name: Text(t.tokens, ~hidden) for name, t in first.items()}
        assert (reader(visual, text=shown)["motion"] - bare["motion"]).abs().max() > 1e-3


@pytest.mark.parametrize("config", ROUTES, ids=lambda c: c.text)
def test_groups_do_not_meet(config: QFormerConfig, visual: Tensor) -> None:
    reader = ours(config, theirs(config, instruct=True))
    text = texts(config, dict.fromkeys(GROUPS, 5))
    with torch.no_grad():
        before = reader(visual, text=text)
        changed = reader(visual, text=text | {"motion": texts(config, {"motion": 5})["motion"]})
        nn.init.normal_(reader.queries["motion"])
        moved = reader(visual, text=text)
    for after in (changed, moved):
        assert torch.equal(after["identity"], before["identity"])
        assert torch.equal(after["appearance"], before["appearance"])
        assert not torch.allclose(after["motion"], before["motion"], atol=1e-3)
    reader.zero_grad()
    reader(visual, text=text)["identity"].sum().backward()
    assert not reader.queries["motion"].grad.any()


@pytest.mark.parametrize("config", ROUTES, ids=lambda c: c.text)
def test_only_the_groups_asked_for(config: QFormerConfig, visual: Tensor) -> None:
    reader = ours(config, theirs(config, instruct=True))
    text = texts(config, {"identity": 5, "appearance": 8})
    with torch.no_grad():
        full = reader(visual, text=text)
        part = reader(visual, text=text, groups=["motion", "identity"])
    assert list(part) == ["motion", "identity"]
    for name, out in part.items():
        close(out, full[name])


def test_folded_groups_are_one_pass_with_a_block_mask(visual: Tensor) -> None:
    net = theirs(TINY)
    reader = ours(TINY, net)
    joint = torch.cat([reader.queries[group] for group in GROUPS]).expand(B, -1, -1)
    block = torch.block_diag(*[torch.ones(TINY.queries, TINY.queries)] * 3).bool()
    with torch.no_grad():
        mask = block.expand(B, 1, -1, -1)
        want = net(query_embeds=joint, attention_mask=mask, encoder_hidden_states=visual)[0]
        close(torch.cat(list(reader(visual).values()), dim=1), want)


def test_exported_graph_gives_the_same(visual: Tensor) -> None:
    reader = ours(TINY, theirs(TINY))
    mask = torch.arange(K).expand(B, -1) < K - torch.arange(B)[:, None]
    asked = ["identity", "motion"]
    with torch.no_grad():
        graph = torch.export.export(reader, (visual, mask), {"groups": asked}).module()
        for name, out in graph(visual, mask, groups=asked).items():
            close(out, reader(visual, mask)[name])


def test_mixed_precision(visual: Tensor) -> None:
    reader = ours(TINY, theirs(TINY))
    text = texts(TINY, dict.fromkeys(GROUPS, 4))
    exact = reader(visual, text=text)["motion"]
    with torch.autocast("cpu", torch.bfloat16):
        rough = reader(visual.bfloat16(), text=text)["motion"]
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().mean() < 0.05


def test_order_of_queries_does_not_matter(visual: Tensor) -> None:
    reader = ours(TINY, theirs(TINY))
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        before = reader(visual)["motion"]
        reader.queries["motion"].copy_(reader.queries["motion"][order])
        after = reader(visual)["motion"]
    close(after, before[:, order])
    close(after.mean(1), before.mean(1))


def test_visual_keys_are_computed_once(visual: Tensor) -> None:
    reader = ours(TINY, theirs(TINY))
    seen: list[tuple[int, ...]] = []
    layer: Any = reader.layers[2]
    layer.cross.key.register_forward_hook(lambda _m, given, _o: seen.append(tuple(given[0].shape)))
    reader(visual)
    assert seen == [(B, K, TINY.visual_width)]


def test_where_groups_look(visual: Tensor) -> None:
    reader = ours(TINY, theirs(TINY))
    mask = torch.ones(B, K, dtype=torch.bool)
    mask[1, 4:] = False
    with torch.no_grad():
        looks = reader.attention(visual, mask, groups=["motion", "identity"])
        assert list(looks) == ["motion", "identity"]
        assert not looks["motion"][1, 4:].any()
        close(looks["motion"].sum(1), torch.ones(B))
        # a network whose last keys are all alike looks everywhere alike
        last: Any = reader.layers[4]
        last.cross.key.weight.zero_()
        close(reader.attention(visual)["identity"], torch.full((B, K), 1 / K))


class Counter:
    """Counts the numbers that are kept for the backward pass."""

    numbers = 0

    def keep(self, tensor: Tensor) -> Tensor:
        self.numbers += tensor.numel()
        return tensor


@pytest.mark.parametrize("config", ROUTES, ids=lambda c: c.text)
@pytest.mark.parametrize("recompute", ["cheap", "layers"])
def test_recomputing_changes_no_gradient(config: QFormerConfig, recompute: Any, visual: Tensor) -> None:
    text = texts(config, dict.fromkeys(GROUPS, 4))
    found, kept = [], []
    for way in ("nothing", recompute):
        torch.manual_seed(1)
        reader = QFormer(replace(config, recompute=way), GROUPS).train()
        counter = Counter()
        with torch.autograd.graph.saved_tensors_hooks(counter.keep, lambda kept: kept):
            loss = torch.stack([v.square().sum() for v in reader(visual, text=text).values()]).sum()
        loss.backward()
        found.append({n: p.grad for n, p in reader.named_parameters()})
        kept.append(counter.numbers)
    for name, grad in found[0].items():
        assert grad is not None, name
        torch.testing.assert_close(found[1][name], grad)
    assert kept[1] < 0.9 * kept[0]


def test_dropout_only_in_training(visual: Tensor) -> None:
    reader = QFormer(replace(TINY, query_noise=0.1), GROUPS)
    assert not torch.equal(reader.train()(visual)["motion"], reader(visual)["motion"])
    assert torch.equal(reader.eval()(visual)["motion"], reader(visual)["motion"])
    still = QFormer(replace(TINY, dropout=0.0, attention_dropout=0.0), GROUPS).train()
    assert torch.equal(still(visual)["motion"], still(visual)["motion"])


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("layers", 0, "layers is 0"),
        ("heads", 5, "width 32 is not a multiple of heads 5"),
        ("dropout", 1.0, "dropout is 1.0"),
        ("query_noise", -1.0, "query_noise"),
        ("text", "appended", "text is 'appended'; expected one of"),
        ("recompute", "all", "recompute is 'all'; expected one of"),
    ],
)
def test_sizes_that_make_no_sense(field: str, value: Any, match: str) -> None:
    config = replace(TINY)
    # past the type checks that only tests have
    object.__setattr__(config, field, value)
    with pytest.raises(ValueError, match=match):
        config.__post_init__()


def test_input_that_does_not_fit(visual: Tensor) -> None:
    reader = QFormer(TINY, GROUPS)
    text = texts(TINY, {"identity": 5})["identity"]
    with pytest.raises(ValueError, match="different names"):
        QFormer(TINY, ["identity", "identity"])
    with pytest.raises(KeyError, match=r"names 'clothes', which is no query group; there are \['identity'"):
        reader(visual, groups=["clothes"])
    with pytest.raises(ValueError, match="expected one or more different names"):
        reader(visual, groups=[])
    with pytest.raises(KeyError, match="text names 'clothes'"):
        reader(visual, text={"clothes": text})
    with pytest.raises(ValueError, match="expected B x K x 40"):
        reader(visual[:, :, :39])
    mask = torch.ones(B, K, dtype=torch.bool)
    mask[2] = False
    with pytest.raises(ValueError, match="every token of row 2"):
        reader(visual, mask)
    with pytest.raises(ValueError, match=r"text of 'identity': tokens \(3, 5, 23\)"):
        reader(visual, text={"identity": Text(text.tokens[:, :, :23], text.mask)})


@pytest.mark.slow
def test_full_size_is_theirs() -> None:
    config = QFormerConfig()
    net = theirs(config)
    reader = ours(config, net)
    assert (
        sum(p.numel() for n, p in reader.named_parameters() if "text_" not in n and "queries" not in n) == 105_137_664
    )
    visual = torch.randn(1, 257, config.visual_width)
    tokens = {name: torch.randn(1, 64, config.text_width) for name in GROUPS}
    text = {name: Text(t, torch.arange(64)[None] < 40) for name, t in tokens.items()}
    with torch.no_grad():
        for group, out in reader(visual).items():
            close(out, alone(net, reader, group, visual))
        for group, out in reader(visual, text=text).items():
            source = torch.cat([visual, reader.text_projection(text[group].tokens)], dim=1)
            mask = torch.cat([torch.ones(1, 257, dtype=torch.bool), text[group].mask], dim=1)
            close(out, alone(net, reader, group, source, mask))
