"""The text tower of the library's small CLIP: whole words, two transformer blocks. Needed in training only."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn

from unbraid.batch import Text
from unbraid.nn.vision import HOME, WORLD_CLIP

PADDING, UNKNOWN = 0, 1
LIMIT = 64
# Text and images meet in this many numbers.
SHARED = 128


class Words:
    """Texts to word numbers: lower case, punctuation marks are words, unseen words are one and the same.

    Example:
        Words(["a red coat"]).numbers(["a red hat"])[0].tolist()  # [[2, 4, 1]]
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = tuple(vocabulary)
        self.index = {word: number for number, word in enumerate(self.vocabulary, start=UNKNOWN + 1)}

    @classmethod
    def of(cls, texts: Iterable[str], *, at_least: int = 2) -> "Words":
        """The words that occur `at_least` times, in alphabetical order."""
        count = Counter(word for text in texts for word in _split(text))
        return cls(sorted(word for word, times in count.items() if times >= at_least))

    def __len__(self) -> int:
        return len(self.vocabulary) + UNKNOWN + 1

    def numbers(self, texts: Sequence[str]) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
        """Word numbers, padded with 0, and False at padding. Words behind the first LIMIT are dropped.

        Raises ValueError for a text without any word.
        """
        lines = [[self.index.get(word, UNKNOWN) for word in _split(text)[:LIMIT]] for text in texts]
        for text, line in zip(texts, lines, strict=True):
            if not line:
                raise ValueError(f"the text {text!r} has no words; remove it from the captions or write it anew")
        tokens = nn.utils.rnn.pad_sequence([torch.tensor(line) for line in lines], batch_first=True)
        return tokens, tokens != PADDING

    def present(self, texts: Iterable[str]) -> Bool[Tensor, "W"]:
        """Which of the words, by number, occur in any of some texts."""
        found = torch.zeros(len(self), dtype=torch.bool)
        found[[self.index.get(word, UNKNOWN) for text in texts for word in _split(text)]] = True
        found[UNKNOWN] = False
        return found

    def truncated(self, texts: Sequence[str]) -> int:
        """How many texts are longer than LIMIT words."""
        return sum(len(_split(text)) > LIMIT for text in texts)


def _split(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+|[^\sa-z0-9]", text.lower())


class SmallTextTower(nn.Module):
    """Word numbers to token vectors and to one vector in the space shared with images.

    Not in any paper; chosen to be trained together with the image tower in an hour on two CPU cores.
    """

    def __init__(self, words: int, *, width: int = 128, depth: int = 2, heads: int = 2) -> None:
        super().__init__()
        self.width = width
        self.embed = nn.Embedding(words, width, padding_idx=PADDING)
        self.place = nn.Parameter(torch.randn(LIMIT, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.project = nn.Linear(width, SHARED, bias=False)
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, tokens: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Token vectors; padding does not change them."""
        x = self.embed(tokens) + self.place[: tokens.shape[1]]
        out: Tensor = self.blocks(x, src_key_padding_mask=~mask)
        return out

    def pooled(self, tokens: Int[Tensor, "B L"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B E"]:
        """The projected mean of the token vectors."""
        x, kept = self(tokens, mask), mask[..., None]
        projected: Tensor = self.project((x * kept).sum(1) / kept.sum(1))
        return projected


class SmallTextEncoder:
    """The frozen text tower as an encoder; see `encoders.TextEncoder`.

    pooled: one vector per text in the space shared with images, else one per word.
    """

    def __init__(self, tower: SmallTextTower, words: Words, *, version: str, pooled: bool = True) -> None:
        self.tower, self.words, self.version, self.pooled = tower.eval(), words, version, pooled
        self.name = WORLD_CLIP if pooled else f"{WORLD_CLIP}#tokens"
        self.width = SHARED if pooled else tower.width

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Text:
        """B 1 E pooled, or B L D tokens; not normalised."""
        tokens, mask = (part.to(self.tower.place.device) for part in self.words.numbers(texts))
        if self.pooled:
            return Text(self.tower.pooled(tokens, mask)[:, None], mask.any(1, keepdim=True))
        return Text(self.tower(tokens, mask), mask)

    def truncated(self, texts: Sequence[str]) -> int:
        """How many texts lose words."""
        return self.words.truncated(texts)


def small_encoder(*, pooled: bool = True, device: str = "cpu", home: Path = HOME) -> SmallTextEncoder:
    """The text tower that comes with the library, or another one in the folder `home`.

    Raises FileNotFoundError when a file of it is missing.
    """
    about = json.loads(_file(home, "vocabulary.json").read_text(encoding="utf-8"))
    words = Words(about["words"])
    tower = SmallTextTower(len(words))
    tower.load_state_dict({k: v.float() for k, v in load_file(_file(home, "text.safetensors")).items()})
    return SmallTextEncoder(tower.to(device), words, version=about["version"], pooled=pooled)


def _file(home: Path, name: str) -> Path:
    if not (home / name).is_file():
        raise FileNotFoundError(f"{home / name} is missing; reinstall the package, or train it: make world-clip")
    return home / name
