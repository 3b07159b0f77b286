"""A data set as its authors meant it to be used."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from unbraid.protocol import Protocol
from unbraid.tracklet import Images, Media, Tracklet, VideoSpan


@dataclass(frozen=True)
class Benchmark:
    """Train, query and gallery tracklets and the named protocols that apply to them.

    Made by `read(root)` in `data/sets/<name>.py`. The first protocol is the default one.
    synthetic: True when the pixels were rendered; every number made from it then says so.
    Raises ValueError when a split holds a key twice.
    """

    name: str
    train: tuple[Tracklet, ...]
    query: tuple[Tracklet, ...]
    gallery: tuple[Tracklet, ...]
    protocols: Mapping[str, Protocol]
    synthetic: bool = False

    def __post_init__(self) -> None:
        for split in ("train", "query", "gallery"):
            twice = [k for k, n in Counter(t.key for t in getattr(self, split)).items() if n > 1]
            if twice:
                raise ValueError(f"{self.name}: key {twice[0]!r} stands {len(twice) + 1} times in split {split!r}")


def label_table(tracklets: Iterable[Tracklet]) -> pd.DataFrame:
    """One row per tracklet: key, identity (missing when unknown), modality, frames, and every label."""
    rows = [
        {"key": t.key, "identity": t.identity, "modality": t.modality, "frames": len(t), **t.labels} for t in tracklets
    ]
    return pd.DataFrame(rows)


def data_hash(tracklets: Sequence[Tracklet]) -> str:
    """SHA-256 of keys, labels and media with the sizes of their files, in hexadecimal; no file is opened."""
    digest = hashlib.sha256(str(label_table(tracklets).to_json(orient="records")).encode())
    for tracklet in tracklets:
        for media in (tracklet.media, tracklet.mask):
            if media is not None:
                digest.update(repr(_facts(media)).encode())
    return digest.hexdigest()


def _facts(media: Media) -> tuple[list[tuple[str, int]], tuple[object, ...]]:
    """Names and sizes of the files, and what is taken from them."""
    files = media.paths if isinstance(media, Images) else (media.path,)
    span = (media.frames, media.boxes) if isinstance(media, VideoSpan) else ()
    return [(f.name, f.stat().st_size if f.exists() else -1) for f in files], span
