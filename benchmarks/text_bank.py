"""What texts cost: looking them up in a step, and encoding them once.

    python benchmarks/text_bank.py [--keys 20000] [--texts 512] [--batch 64] [--rounds 5] [--json FILE]

Lookup: milliseconds for a batch of 64 clips and 3 aspects, from banks of random vectors with one text per key: pooled
(768 numbers) and token sequences (8 to 24 x 768). Encoding: a small BERT of random weights (4 blocks of width 256)
reads random words, in batches and one by one, through the same function. Medians over rounds.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from unbraid.text.bank import TextBank, pack
from unbraid.text.captions import Caption
from unbraid.text.encoders import TextEncoder, open_encoder
from unbraid.text.encoding import build_bank

ASPECTS = ("biometric", "clothing", "hair")
CLIPS, WIDTH = 64, 768
WORDS = [a + b for a in "bdfgklmnprst" for b in ("an", "el", "ip", "or", "u")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=20000)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    found: dict[str, float] = {}
    for name, longest in (("pooled", 1), ("tokens", 24)):
        found[f"lookup of {name}, ms"] = lookup(random_bank(options.keys // longest, longest, generator), generator)
    captions = random_captions(options.texts, generator)
    with tempfile.TemporaryDirectory() as folder:
        encoder = small_bert(Path(folder))

        def seconds(batch: int) -> float:
            return clock(lambda: build_bank(captions, encoder, batch=batch), options.rounds)

        found[f"encoding {options.texts} texts in batches of {options.batch}, s"] = together = seconds(options.batch)
        found[f"encoding {options.texts} texts one by one, s"] = alone = seconds(1)
    found["one by one / batches"] = alone / together
    about = {"threads": torch.get_num_threads(), "machine": platform.machine(), "torch": torch.__version__}
    print(about)
    for line, value in found.items():
        print(f"{line:<48} {value:8.3f}")
    if options.json:
        options.json.write_text(json.dumps({"about": about, "found": found}, indent=2) + "\n", encoding="utf-8")


def random_bank(keys: int, longest: int, generator: torch.Generator) -> TextBank:
    """Three aspects of `keys` keys, texts of a third of `longest` to `longest` vectors."""
    low = max(1, longest // 3)
    lengths = torch.randint(low, longest + 1, (len(ASPECTS) * keys,), generator=generator).tolist()
    pieces = [torch.randn(length, WIDTH, generator=generator) for length in lengths]
    rows = {aspect: {f"key-{i}": a * keys + i for i in range(keys)} for a, aspect in enumerate(ASPECTS)}
    return pack("random", {}, rows, pieces)


def lookup(bank: TextBank, generator: torch.Generator) -> float:
    """Milliseconds for the three texts of a batch, each time other keys."""
    keys = len(bank.rows[ASPECTS[0]])
    batches = [[f"key-{i}" for i in torch.randint(keys, (CLIPS,), generator=generator).tolist()] for _ in range(300)]
    taken = []
    for batch in batches:
        start = time.perf_counter()
        for aspect in ASPECTS:
            bank.text(aspect, batch)
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)


def random_captions(texts: int, generator: torch.Generator) -> list[Caption]:
    """Captions of 8 to 24 words, all different."""
    found = []
    for number in range(texts):
        length = int(torch.randint(8, 25, (), generator=generator))
        words = [WORDS[i] for i in torch.randint(len(WORDS), (length,), generator=generator).tolist()]
        found.append(Caption(str(number), "clothing", " ".join(words), {"model": "random"}))
    return found


def small_bert(folder: Path) -> TextEncoder:
    """An encoder of transformers that needs no download."""
    from transformers import BertConfig, BertModel, BertTokenizer

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    return open_encoder(f"transformers:{folder}")


def clock(work: Callable[[], object], rounds: int) -> float:
    """Median seconds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
