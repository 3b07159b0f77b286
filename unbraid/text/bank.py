"""Text banks: what a frozen encoder made of captions, one vector or one token sequence per tracklet and aspect.

A bank is made once and read in training only. Texts that say the same are kept once, so it is small where people share
words. Its file is safetensors: 'vectors' V D, 'starts' R + 1 (row r is vectors[starts[r]:starts[r + 1]]), 'keys' (JSON
as bytes) and one 'rows/ASPECT' per aspect (row of each key, -1 without a text); encoder and origin are in the header.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from unbraid.batch import Text
from unbraid.files import replacing

if TYPE_CHECKING:
    pass

FORMAT, FORMAT_VERSION = "unbraid text bank", "1"
ENDING = ".safetensors"


@dataclass(frozen=True, eq=False)
class TextBank:
    """Frozen text embeddings by aspect and tracklet key.

    encoder: name of what made the vectors. origin: its version, what was encoded (hashes, who wrote it), texts cut at
    the encoder's limit by aspect, version of this library, 'synthetic' where that is known.
    rows: by aspect, the row of every key that has a text; equal texts have equal rows.
    vectors: float32 or float16, as the encoder gave them; rows lie behind each other. starts: first vector of each
    row, and at the end V.

    Raises ValueError when these do not fit together.

    Example:
        bank = TextBank.load(Path("bank.safetensors"))
        texts = bank.text("clothing", ["0001-c2-17", "0002-c1-3"])
        texts.tokens.shape, texts.mask.shape  # B L D and B L; L is 1 for encoders that give one vector per text
    """

    encoder: str
    origin: Mapping[str, str]
    rows: Mapping[str, Mapping[str, int]]
    vectors: Float[Tensor, "V D"]
    starts: Int[Tensor, "R1"]
    _single: bool = field(init=False)

    def __post_init__(self) -> None:
        vectors, starts = self.vectors, self.starts
        if vectors.ndim != 2 or not vectors.is_floating_point() or not bool(torch.isfinite(vectors).all()):
            raise ValueError(f"vectors of shape {tuple(vectors.shape)} are not finite numbers V D")
        lengths = starts.diff()
        if starts.ndim != 1 or starts.dtype != torch.long or len(starts) < 2 or starts[0] or starts[-1] != len(vectors):
            raise ValueError(f"starts do not divide {len(vectors)} vectors into rows")
        if bool((lengths < 1).any()):
            raise ValueError("a row has no vectors")
        for aspect, index in self.rows.items():
            if index and not 0 <= min(index.values()) <= max(index.values()) < len(lengths):
                raise ValueError(f"aspect {aspect!r} names a row outside the {len(lengths)} there are")
        object.__setattr__(self, "_single", len(lengths) == len(vectors))

    @property
    def aspects(self) -> tuple[str, ...]:
        """Aspects that have texts."""
        return tuple(self.rows)

    @property
    def width(self) -> int:
        """D, numbers per vector."""
        return self.vectors.shape[1]

    def text(self, aspect: str, keys: Sequence[str]) -> Text:
        """The texts of some tracklets, float32, padded to the longest of them; where there is none, mask is False and
        tokens are 0. Raises KeyError for an aspect that the bank lacks.
        """
        rows = self.code(aspect, keys)
        there = rows >= 0
        known = rows.clamp(min=0)
        if self._single:
            tokens, mask = self.vectors.index_select(0, known)[:, None].float(), there[:, None]
        else:
            first = self.starts[known]
            lengths = (self.starts[known + 1] - first) * there
            place = torch.arange(max(1, int(lengths.max())) if len(rows) else 1)
            mask = place < lengths[:, None]
            found = self.vectors.index_select(0, ((first[:, None] + place) * mask).flatten())
            tokens = found.view(len(rows), len(place), self.width).float()
        # in place, because what was looked up is a copy; the quickest way to zeros, because all vectors are finite
        return Text(tokens if bool(mask.all()) else tokens.mul_(mask[..., None]), mask)

    def code(self, aspect: str, keys: Sequence[str]) -> Int[Tensor, "B"]:
        """A number per tracklet: equal for equal texts, -1 where there is none. For masks of positives.

        Raises KeyError for an aspect that the bank lacks.
        """
        index = self._index(aspect)
        return torch.tensor([index.get(key, -1) for key in keys], dtype=torch.long)

    def missing(self, aspect: str, keys: Sequence[str]) -> list[str]:
        """The keys without a text about the aspect, in their order. Raises KeyError for an unknown aspect."""
        index = self._index(aspect)
        return [key for key in keys if key not in index]

    def mean_over(self, aspect: str, group: Mapping[str, str]) -> "TextBank":
        """The same bank, where the text of a tracklet about `aspect` is the mean of its group's, of length 1.

        group: tracklet key -> identity. Each text counts once per tracklet: its vectors are averaged, brought to
        length one and averaged over the group, and the mean is brought to length one again. All keys of a group get
        it, also those that had no text. Keys outside `group` lose theirs, so that no bank mixes means and single texts.

        Source: DIFFER, biometric text per identity; how its summaries were made is not public, the mean is the
        choice that needs no language model.

        Raises KeyError for an unknown aspect; ValueError when no key of `group` has a text, and for texts that cancel.
        """
        index = self._index(aspect)
        texts: dict[str, Counter[int]] = {}
        for key, name in group.items():
            if (row := index.get(key)) is not None:
                texts.setdefault(name, Counter())[row] += 1
        if not texts:
            raise ValueError(f"no key of the groups has a text about {aspect}; are these the keys of the captions?")
        unit = self._unit()
        pieces = self._pieces()
        numbers: dict[frozenset[tuple[int, int]], int] = {}
        place: dict[str, int] = {}
        for name, counts in texts.items():
            shared = math.gcd(*counts.values())
            # groups with the same texts in the same shares have one mean, and so one code
            mixture = frozenset((row, times // shared) for row, times in counts.items())
            if mixture not in numbers:
                numbers[mixture] = len(pieces)
                weights = torch.tensor([float(n) for n in counts.values()])
                mean = (unit[torch.tensor(list(counts))] * weights[:, None]).sum(0) / weights.sum()
                if float(mean.norm()) < 1e-6:
                    raise ValueError(f"the texts of {name!r} about {aspect} cancel each other, their mean is zero")
                pieces.append(normalize(mean, dim=0)[None].to(self.vectors.dtype))
            place[name] = numbers[mixture]
        rows = {**self.rows, aspect: {key: place[name] for key, name in group.items() if name in place}}
        origin = {**self.origin, f"mean_over/{aspect}": f"{len(texts)} groups"}
        return pack(self.encoder, origin, rows, pieces)

    def centred(self, aspect: str, keys: Sequence[str]) -> "TextBank":
        """The same bank, where the vectors of `aspect` have lost what those of `keys` share, and are of length 1.

        The mean over the keys that have a text, each counted once, is subtracted from the vectors at length 1.
        Not in a paper; chosen because encoders put all texts about one subject close together (see `crowding`), so that
        a contrast between them hardly moves, and what is left of them is what tells them apart.

        Raises KeyError for an unknown aspect; ValueError when no key has a text, for token sequences, whose vectors
        are words and not texts, and for texts that are all equal.
        """
        index = self._index(aspect)
        rows = torch.tensor(sorted(set(index.values())), dtype=torch.long)
        if any(self.length(int(row)) > 1 for row in rows):
            raise ValueError(f"texts about {aspect} are sequences of tokens; only pooled texts can be centred")
        used = self.code(aspect, [key for key in keys if key in index])
        if not len(used):
            raise ValueError(f"none of the keys has a text about {aspect}; are these the keys of the captions?")
        unit, pieces = self._unit(), self._pieces()
        apart = unit[rows] - unit[used].mean(0)
        if bool((apart.norm(dim=1) < 1e-6).any()):
            raise ValueError(f"a text about {aspect} is nothing but the mean of all; there is nothing to tell apart")
        number = {int(row): len(pieces) + place for place, row in enumerate(rows)}
        pieces += [vector[None].to(self.vectors.dtype) for vector in normalize(apart, dim=1)]
        moved = {**self.rows, aspect: {key: number[row] for key, row in index.items()}}
        return pack(self.encoder, {**self.origin, f"centred/{aspect}": f"{len(used)} tracklets"}, moved, pieces)

    def shuffled(self, aspects: Sequence[str], keys: Sequence[str], seed: int) -> "TextBank":
        """The same bank, where each of `keys` has the texts of another one of them, of one and the same for all
        `aspects`; by chance some keep their own. Other keys keep theirs.

        Not in a paper; what is still gained with such texts is not owed to what they say.

        Raises KeyError for an unknown aspect.
        """
        order = sorted(keys)
        drawn = torch.randperm(len(order), generator=torch.Generator().manual_seed(seed)).tolist()
        other = {key: order[place] for key, place in zip(order, drawn, strict=True)}
        moved = {}
        for aspect in aspects:
            index = self._index(aspect)
            moved[aspect] = {k: index[other.get(k, k)] for k in {**index, **other} if other.get(k, k) in index}
        origin = {**self.origin, **{f"shuffled/{aspect}": f"seed {seed}" for aspect in aspects}}
        return pack(self.encoder, origin, {**self.rows, **moved}, self._pieces())

    def only(self, aspects: Sequence[str]) -> "TextBank":
        """The same bank for some aspects, all for none. Raises KeyError for an aspect that the bank lacks."""
        rows = {aspect: self._index(aspect) for aspect in aspects or self.aspects}
        return pack(self.encoder, self.origin, rows, self._pieces())

    def length(self, row: int) -> int:
        """L, vectors of a row."""
        return int(self.starts[row + 1] - self.starts[row])

    def crowding(self, aspect: str) -> float | None:
        """Mean cosine between different texts, pooled; None for fewer than two. Near 1, texts can hardly be told apart.

        Raises KeyError for an aspect that the bank lacks.
        """
        used = torch.tensor(sorted(set(self._index(aspect).values())), dtype=torch.long)
        if len(used) < 2:
            return None
        n, total = len(used), self._unit()[used].double().sum(0)
        return float((total @ total - n) / (n * (n - 1)))

    def save(self, path: Path) -> Path:
        """Write one file in one step. Raises ValueError for another ending than .safetensors, OSError."""
        path = checked(path)
        keys = list(dict.fromkeys(key for index in self.rows.values() for key in index))
        header = {"format": FORMAT, "version": FORMAT_VERSION, "encoder": self.encoder}
        header |= {"aspects": json.dumps(self.aspects), "origin": json.dumps(dict(self.origin))}
        tensors = {"vectors": self.vectors.contiguous(), "starts": self.starts}
        tensors["keys"] = torch.frombuffer(bytearray(json.dumps(keys).encode()), dtype=torch.uint8)
        tensors |= {f"rows/{aspect}": self.code(aspect, keys) for aspect in self.rows}
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with replacing(path) as part:
                save_file(tensors, part, metadata=header)
        except SafetensorError as error:
            raise OSError(f"cannot write {path}: {error}. Free space or choose another folder") from error
        return path

    @classmethod
    def load(cls, path: Path) -> "TextBank":
        """A bank from its file. Raises FileNotFoundError; ValueError for another kind of file and for a damaged one."""
        path = checked(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; `unbraid bank captions.jsonl --out {path}` makes a bank")
        try:
            with safe_open(path, framework="pt") as opened:
                header: dict[str, str] = opened.metadata() or {}
                if header.get("format") != FORMAT:
                    raise ValueError("it holds tensors, but says nothing about being a text bank")
                if header.get("version") != FORMAT_VERSION:
                    raise ValueError(f"it is of version {header.get('version')!r}, this library reads {FORMAT_VERSION}")
                tensors: dict[str, Tensor] = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            keys: list[str] = json.loads(tensors["keys"].numpy().tobytes())
            rows = {aspect: tensors[f"rows/{aspect}"].tolist() for aspect in json.loads(header["aspects"])}
            named = {
                aspect: {key: row for key, row in zip(keys, numbers, strict=True) if row >= 0}
                for aspect, numbers in rows.items()
            }
            return cls(header["encoder"], json.loads(header["origin"]), named, tensors["vectors"], tensors["starts"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a whole text bank ({error}); make it again with `unbraid bank`") from error

    def _index(self, aspect: str) -> Mapping[str, int]:
        if aspect not in self.rows:
            raise KeyError(f"the bank has no texts about {aspect!r}; it has {', '.join(self.rows)}")
        return self.rows[aspect]

    def _pieces(self) -> list[Tensor]:
        """The vectors L D of every row."""
        return list(self.vectors.split(self.starts.diff().tolist()))

    def _unit(self) -> Float[Tensor, "R D"]:
        """Every row as one vector of length one."""
        lengths = self.starts.diff()
        belongs = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        total = torch.zeros(len(lengths), self.width).index_add_(0, belongs, self.vectors.float())
        return normalize(total / lengths[:, None], dim=1)


def pack(
    encoder: str,
    origin: Mapping[str, str],
    rows: Mapping[str, Mapping[str, int]],
    pieces: Sequence[Float[Tensor, "L D"]],
) -> TextBank:
    """A bank of rows of vectors; those that no key names are left out. Raises ValueError when nothing is named."""
    used = sorted({row for index in rows.values() for row in index.values()})
    if not used:
        raise ValueError("no key has a text")
    place = {row: number for number, row in enumerate(used)}
    kept = [pieces[row] for row in used]
    starts = torch.zeros(len(kept) + 1, dtype=torch.long)
    starts[1:] = torch.tensor([len(piece) for piece in kept]).cumsum(0)
    named = {aspect: {key: place[row] for key, row in index.items()} for aspect, index in rows.items()}
    return TextBank(encoder, dict(origin), named, torch.cat(kept), starts)


def checked(path: Path) -> Path:
    """The path of a bank. Raises ValueError for another ending than .safetensors."""
    path = Path(path)
    if path.suffix != ENDING:
        raise ValueError(f"{path} does not end in {ENDING}, as text banks do")
    return path
