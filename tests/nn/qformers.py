"""transformers' Q-Formers and ours with the same weights, for the tests of both files."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, InstructBlipQFormerConfig
from transformers.models.blip_2.modeling_blip_2 import Blip2QFormerModel
from transformers.models.instructblip.modeling_instructblip import InstructBlipQFormerModel

from unbraid.batch import Text
from unbraid.nn.qformer import QFormer, QFormerConfig
from unbraid.nn.qformer_weights import load_qformer

TINY = QFormerConfig(width=32, layers=5, heads=4, inner=48, visual_width=40, text_width=24, queries=4)
GROUPS = ("identity", "motion", "appearance")
B, K = 3, 9
State = dict[str, Tensor]


def theirs(config: QFormerConfig, *, instruct: bool = False) -> Any:
    """transformers' module of the same sizes; random weights, the biases and normalisations too."""
    sizes = {
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.inner,
        "encoder_hidden_size": config.visual_width,
        "cross_attention_frequency": config.cross_every,
    }
    if instruct:
        net: nn.Module = InstructBlipQFormerModel(InstructBlipQFormerConfig(**sizes, vocab_size=50))
    else:
        net = Blip2QFormerModel(Blip2QFormerConfig(**sizes))
    for name, parameter in net.named_parameters():
        # scales far from 1 would flatten what the layers say, and with it every difference
        scale = "norm" in name.lower() and name.endswith("weight")
        nn.init.normal_(parameter, mean=float(scale), std=0.1 if scale else config.width**-0.5)
    return net.eval()


def whole(net: nn.Module, config: QFormerConfig, **others: Tensor) -> State:
    """As a saved model holds it: the Q-Former, query tokens and other things."""
    state = {f"qformer.{name}": value for name, value in net.state_dict().items()}
    return state | {"query_tokens": torch.randn(1, config.queries, config.width), **others}


def ours(config: QFormerConfig, net: nn.Module, *, different: bool = True) -> QFormer:
    """Ours with their weights; the groups' queries differ."""
    reader = QFormer(config, GROUPS).eval()
    load_qformer(reader, whole(net, config))
    for query in reader.queries.values() if different else ():
        nn.init.normal_(query)
    return reader


def alone(net: Any, reader: QFormer, group: str, source: Tensor, mask: Tensor | None = None) -> Tensor:
    """What their module makes of one group's queries."""
    queries = reader.queries[group].expand(len(source), -1, -1)
    out: Tensor = net(query_embeds=queries, encoder_hidden_states=source, encoder_attention_mask=mask)[0]
    return out


def texts(config: QFormerConfig, lengths: Mapping[str, int]) -> dict[str, Text]:
    """Random tokens; in row b the last b are padding."""
    made = {}
    for name, length in lengths.items():
        mask = torch.arange(length).expand(B, -1) < length - torch.arange(B)[:, None]
        made[name] = Text(torch.randn(B, length, config.text_width), mask)
    return made


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)
