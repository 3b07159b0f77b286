"""Text banks: what a frozen encoder made of captions, one vector or one token sequence per tracklet and aspect.

A bank is made once and read in training only. Texts that say the same are kept once, so it is small where people share
words. Its file is safetensors: 'vectors' V D, 'starts' R + 1 (row r is vectors[starts[r]:starts[r + 1]]), 'keys' (JSON
as bytes) and one 'rows/ASPECT' per aspect (row of each key, -1 without a text); encoder and origin are in the header.
"""

import hashlib
import json
import math
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

from unbraid.batch import Text
from unbraid.files import replacing
from unbraid.progress import track
from unbraid.text.captions import Caption, read_captions

if TYPE_CHECKING:
    from unbraid.text.encoders import TextEncoder

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


def build_bank(
    captions: Sequence[Caption],
    encoder: "TextEncoder",
    *,
    aspects: Sequence[str] | None = None,
    batch: int = 256,
    half: bool = False,
    origin: Mapping[str, str] | None = None,
) -> TextBank:
    """A bank of captions. Every different text is encoded once, in batches of texts of like length.

    aspects: which to keep; None for all. batch: texts encoded together. half: keep vectors as float16, half the size
    and with errors below a thousandth. origin: more about where the captions come from.

    Raises ValueError for no captions, two about the same tracklet and aspect, an encoder that gives numbers that are
    not finite or too large for `half`; KeyError for an aspect without captions.
    """
    if batch < 1:
        raise ValueError(f"batch = {batch} must be positive")
    if not captions:
        raise ValueError("there are no captions to encode")
    there = list(dict.fromkeys(one.aspect for one in captions))
    unknown = [aspect for aspect in aspects or () if aspect not in there]
    if unknown:
        raise KeyError(f"there are no captions about {unknown[0]!r}; there are some about {', '.join(there)}")
    wanted = list(dict.fromkeys(aspects)) if aspects is not None else there
    used = [one for one in captions if one.aspect in wanted]
    if not used:
        raise ValueError(f"no aspects are asked for; there are captions about {', '.join(there)}")
    number: dict[str, int] = {}
    rows: dict[str, dict[str, int]] = {aspect: {} for aspect in wanted}
    for one in used:
        if one.key in rows[one.aspect]:
            raise ValueError(f"two captions about the {one.aspect} of {one.key!r}; delete one")
        rows[one.aspect][one.key] = number.setdefault(one.text, len(number))
    texts = list(number)
    cut = {a: encoder.truncated(sorted({one.text for one in used if one.aspect == a})) for a in wanted}
    about = {"encoder_version": encoder.version, "truncated": json.dumps(cut), **_told(used), **(origin or {})}
    return pack(encoder.name, about, rows, _encoded(texts, encoder, batch, half))


def bank_of_folder(folder: Path, encoder: str, *, device: str = "cpu") -> TextBank | None:
    """The bank of a folder's captions.jsonl, None where there is no such file.

    It is made on first use and kept beside the captions, until they or the encoder change. Where it cannot be kept, it
    is made every time. Raises the errors of `read_captions`, `open_encoder` and `build_bank`.
    """
    from unbraid.text.encoders import open_encoder

    file = Path(folder) / "captions.jsonl"
    if not file.is_file():
        return None
    opened = open_encoder(encoder, device=device)
    origin = caption_file(file)
    short = "".join(c if c.isalnum() or c in "-_." else "-" for c in encoder)
    kept = file.with_name(f"bank-{short[:40]}-{hashlib.sha256(encoder.encode()).hexdigest()[:8]}{ENDING}")
    if kept.is_file():
        try:
            bank = TextBank.load(kept)
        except ValueError as error:
            warnings.warn(f"{error}; it is made again", stacklevel=2)
        else:
            expected = {**origin, "encoder_version": opened.version}
            if bank.encoder == opened.name and all(bank.origin.get(k) == v for k, v in expected.items()):
                return bank
    bank = build_bank(read_captions(file), opened, origin=origin)
    # several processes may begin together: each writes a file of its own, and the last one stays
    part = kept.with_name(f"{kept.stem}-{os.getpid()}{ENDING}")
    try:
        os.replace(bank.save(part), kept)
    except OSError as error:
        for left_over in (part, part.with_name(f"{part.name}.part")):
            if left_over.exists():
                left_over.unlink()
        warnings.warn(f"the bank cannot be kept beside {file} ({error}) and is made anew each time", stacklevel=2)
    return bank


def caption_file(path: Path) -> dict[str, str]:
    """Origin of captions that come from a file: its hash. Raises FileNotFoundError with advice when it is missing."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is missing; `unbraid caption ROOT --out {path}` makes captions")
    with Path(path).open("rb") as file:
        return {"caption_file_sha256": hashlib.file_digest(file, "sha256").hexdigest()}


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


def _encoded(texts: Sequence[str], encoder: "TextEncoder", batch: int, half: bool) -> list[Tensor]:
    """Vectors L D of each text."""
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
    found: list[Tensor] = [torch.empty(0)] * len(texts)
    for first in track(range(0, len(order), batch), "encoding texts"):
        group = order[first : first + batch]
        out = encoder([texts[i] for i in group])
        tokens: Float[Tensor, "B L D"] = out.tokens.detach().float().cpu()
        mask: Bool[Tensor, "B L"] = out.mask.cpu()
        tokens = tokens.half() if half else tokens
        for i, line, real in zip(group, tokens, mask, strict=True):
            # a copy, because a view would keep the whole padded batch
            found[i] = line[real].clone()
            if not len(found[i]) or not bool(torch.isfinite(found[i]).all()):
                what = "no vectors" if not len(found[i]) else "numbers that are not finite"
                raise ValueError(f"encoder {encoder.name} gives {what}{' in float16' if half else ''} for {texts[i]!r}")
    return found


def _told(captions: Iterable[Caption]) -> dict[str, str]:
    """What captions say about themselves, and a hash of what they say."""
    digest, writers = hashlib.sha256(), set()
    for one in captions:
        digest.update(json.dumps([one.key, one.aspect, one.text]).encode() + b"\n")
        writers.add(str(one.source.get("model", "unknown")))
    told = {"texts_sha256": digest.hexdigest(), "written_by": ", ".join(sorted(writers)), "unbraid": _version()}
    return {**told, "synthetic": "true"} if writers == {"world"} else told


@cache
def _version() -> str:
    try:
        return version("unbraid")
    except PackageNotFoundError:
        return "not installed"


def checked(path: Path) -> Path:
    """The path of a bank. Raises ValueError for another ending than .safetensors."""
    path = Path(path)
    if path.suffix != ENDING:
        raise ValueError(f"{path} does not end in {ENDING}, as text banks do")
    return path
