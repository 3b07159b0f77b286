"""Three groups of queries in one Q-Former against three passes of transformers' Blip2QFormerModel, same weights.

    python benchmarks/qformer.py                    full size: 12 layers of 768, 32 queries, 257 visual tokens of 1408
    python benchmarks/qformer.py --batch 8 --rounds 5
    python benchmarks/qformer.py --layers 2 --width 64 --heads 4 --visual 48     seconds; checks the script itself

Contenders take turns, round by round, in one process; the table has the smallest and the middle processor time and the
middle wall time of the rounds. Memory is the highest number of bytes that tensors hold at once above those at the start
(weights and input), as PyTorch's profiler counts allocations. 'forward' is evaluation without gradients; 'step' is
training with dropout, forward and backward; its memory is that of the forward part with all that waits for the
backward part, without the gradients of the weights, which are the same for all. 'one batch' gives transformers' module
the three groups as three times as many rows. Prints ratios; --json writes the same numbers.
"""

import argparse
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from transformers import Blip2QFormerConfig
from transformers.models.blip_2.modeling_blip_2 import Blip2QFormerModel

from unbraid.batch import Text
from unbraid.nn.qformer import QFormer, QFormerConfig
from unbraid.nn.qformer_weights import load_qformer
from unbraid.progress import track

GROUPS = ("identity", "motion", "appearance")
WORDS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds of every contender")
    parser.add_argument("--batch", type=int, default=1, help="rows")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--visual", type=int, default=1408, help="width of the visual tokens")
    parser.add_argument("--tokens", type=int, default=257, help="number of visual tokens")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-steps", action="store_true", help="leave out training steps")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    ours, theirs, queries = networks(options)
    visual = torch.randn(options.batch, options.tokens, options.visual)
    text = {
        name: Text(torch.randn(options.batch, WORDS, 768), torch.ones(options.batch, WORDS, dtype=torch.bool))
        for name in GROUPS
    }

    def passes(count: int) -> list[Tensor]:
        return [
            theirs(query_embeds=queries[None].expand(len(visual), -1, -1), encoder_hidden_states=visual)[0]
            for _ in range(count)
        ]

    def one_batch() -> list[Tensor]:
        rows = queries[None].expand(3 * len(visual), -1, -1)
        return list(theirs(query_embeds=rows, encoder_hidden_states=visual.repeat(3, 1, 1))[0].chunk(3))

    def groups(count: int) -> list[Tensor]:
        return list(ours(visual, groups=GROUPS[:count]).values())

    works: dict[str, Callable[[], list[Tensor]]] = {
        "unbraid, 1 group": lambda: groups(1),
        "unbraid, 2 groups": lambda: groups(2),
        "unbraid, 3 groups": lambda: groups(3),
        "unbraid, 3 groups and text": lambda: list(ours(visual, text=text).values()),
        "transformers, 1 pass": lambda: passes(1),
        "transformers, 3 passes": lambda: passes(3),
        "transformers, 3 in one batch": one_batch,
    }
    forward = {name: Contender("forward", name, evaluated(work), evaluated(work)) for name, work in works.items()}
    ours.eval(), theirs.eval()
    with torch.no_grad():
        pairs = zip(groups(3), passes(3), strict=True)
        difference = max(float((a - b).abs().max()) for a, b in pairs)
    measure(forward, options.rounds, "forward")
    ours.train(), theirs.train()
    step = {} if options.no_steps else steps(works, visual, ours, theirs)
    measure(step, max(3, options.rounds // 3), "step")

    rows = [c.row() for c in (*forward.values(), *step.values())]
    ratios = {"largest difference of the outputs": difference}
    for kind, found in (("forward", forward), ("step", step)):
        for other in ("unbraid, 1 group", "transformers, 3 passes", "transformers, 3 in one batch"):
            for unit in ("CPU s, least", "CPU s, middle", "wall s, middle", "peak MB") if found else ():
                value = float(found["unbraid, 3 groups"].row()[unit]) / float(found[other].row()[unit])
                ratios[f"{kind}: 3 groups / {other}, {unit}"] = value
    about = {name: value for name, value in vars(options).items() if name != "json"}
    print(about)
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    for name, value in ratios.items():
        print(f"{name}: {value:.3g}")
    if options.json:
        options.json.write_text(
            json.dumps({"about": about, "rows": rows, "ratios": ratios}, indent=2) + "\n", encoding="utf-8"
        )


def steps(
    works: dict[str, Callable[[], list[Tensor]]], visual: Tensor, ours: QFormer, theirs: nn.Module
) -> dict[str, "Contender"]:
    """Training steps of the same work, and of ours with other choices of what the backward pass computes again."""
    named = {name: work for name, work in works.items() if "text" not in name and "2 groups" not in name}
    found = {name: Contender("step", name, stepped(work, ours, theirs), work) for name, work in named.items()}

    def reading(network: QFormer) -> Callable[[], list[Tensor]]:
        return lambda: list(network(visual).values())

    for recompute in ("nothing", "layers"):
        network = QFormer(replace(ours.config, recompute=recompute), GROUPS).train()
        network.load_state_dict(ours.state_dict())
        name = f"unbraid, 3 groups, recompute {recompute}"
        found[name] = Contender("step", name, stepped(reading(network), network), reading(network))
    return found


def networks(options: argparse.Namespace) -> tuple[QFormer, nn.Module, Tensor]:
    """Ours and transformers' with the same random weights, and the queries of every group."""
    theirs = Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=options.width,
            num_hidden_layers=options.layers,
            num_attention_heads=options.heads,
            intermediate_size=4 * options.width,
            encoder_hidden_size=options.visual,
        )
    )
    config = QFormerConfig(
        width=options.width,
        layers=options.layers,
        heads=options.heads,
        inner=4 * options.width,
        visual_width=options.visual,
    )
    ours = QFormer(config, GROUPS)
    queries = torch.randn(config.queries, config.width)
    state = {f"qformer.{name}": value for name, value in theirs.state_dict().items()}
    print(load_qformer(ours, state | {"query_tokens": queries[None]}))
    return ours, theirs, queries


def evaluated(work: Callable[[], list[Tensor]]) -> Callable[[], None]:
    """The work without gradients; all results are alive at its end."""

    def run() -> None:
        with torch.inference_mode():
            work()

    return run


def stepped(work: Callable[[], list[Tensor]], *networks: nn.Module) -> Callable[[], None]:
    """The work, then gradients of every weight, which are thrown away."""

    def run() -> None:
        for network in networks:
            network.zero_grad(set_to_none=True)
        torch.stack([out.square().mean() for out in work()]).sum().backward()

    return run


@dataclass
class Contender:
    """One kind of work and what its rounds took. held: the work whose memory counts."""

    kind: str
    name: str
    work: Callable[[], None]
    held: Callable[[], object]
    processor: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    megabytes: float = 0.0

    def row(self) -> dict[str, str | float]:
        """One line of the table."""
        return {
            "kind": self.kind,
            "contender": self.name,
            "CPU s, least": min(self.processor),
            "CPU s, middle": statistics.median(self.processor),
            "wall s, middle": statistics.median(self.wall),
            "peak MB": self.megabytes,
        }


def measure(contenders: dict[str, Contender], rounds: int, what: str) -> None:
    """One untimed round that counts memory, then timed rounds in turns."""
    for contender in contenders.values():
        contender.megabytes = peak(contender.held)
    for _ in track(range(rounds), what):
        for contender in contenders.values():
            start, worked = time.perf_counter(), time.process_time()
            contender.work()
            contender.processor.append(time.process_time() - worked)
            contender.wall.append(time.perf_counter() - start)


def peak(work: Callable[[], object]) -> float:
    """Megabytes that tensors made by the work hold at most at once."""
    work()
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        out = work()
    del out
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(file))
        events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
    changes = [(e["ts"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]"]
    held = highest = 0
    for _, change in sorted(changes, key=lambda pair: pair[0]):
        held += change
        highest = max(highest, held)
    return highest / 2**20


if __name__ == "__main__":
    main()
