"""From captions to a bank of their vectors."""

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unbraid.progress import track
from unbraid.text.bank import ENDING, TextBank, pack
from unbraid.text.captions import Caption, read_captions

if TYPE_CHECKING:
    from unbraid.text.encoders import TextEncoder


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
