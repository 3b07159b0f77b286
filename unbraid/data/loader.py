"""Tracklets to tensors: decode, resize, choose frames, change, and join into clips."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from unbraid.batch import MODALITIES, Batch, Clip, Text
from unbraid.data.augment import augment
from unbraid.data.clips import all_frames, any_random, restricted_first, restricted_random, strided_random
from unbraid.data.media import read_frames
from unbraid.data.sampler import identity_batches, pair_batches
from unbraid.recipe import DataConfig
from unbraid.tracklet import Strip, Tracklet

# decoded frames kept per process; beyond it files are read again
KEEP_BYTES = 1 << 30

# first entries of random seeds, so that the order of batches and the change of clips share no stream
ORDER, CLIPS = 1, 2

# labels of several values joined by '+'; a tracklet may lack them
SEVERAL = ("actions",)

# (tracklet number, global step, place in the batch): all that a training clip depends on besides the seed
Slot = tuple[int, int, int]


class FrameReader:
    """Frames of tracklets at one size, remembered while they fit in memory.

    channels: as in `DataConfig`; a mask is the last channel, 255 where the person is.
    """

    def __init__(self, height: int, width: int, *, channels: str = "rgb", keep_bytes: int = KEEP_BYTES) -> None:
        self.size = (height, width)
        self.channels = channels
        self.room = keep_bytes
        self.kept: dict[tuple[str, int], NDArray[np.uint8]] = {}

    def read(self, tracklet: Tracklet, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Frames T H W C, C of 3, 4 or 1. Raises ValueError or FileNotFoundError naming the tracklet and the file."""
        wanted = [int(i) for i in indices]
        missing = [i for i in dict.fromkeys(wanted) if (tracklet.key, i) not in self.kept]
        if missing and self.room > 0 and isinstance(tracklet.media, Strip):
            # decoding one frame of a strip decodes all of them
            missing = [i for i in range(len(tracklet)) if (tracklet.key, i) not in self.kept]
        fresh: dict[int, NDArray[np.uint8]] = {}
        if missing:
            try:
                images = self._images(tracklet, missing)
            except (ValueError, FileNotFoundError) as error:
                raise type(error)(f"tracklet {tracklet.key!r}: {error}") from error
            fresh = dict(zip(missing, images, strict=True))
        for i, image in fresh.items():
            if image.nbytes <= self.room:
                self.kept[tracklet.key, i] = image
                self.room -= image.nbytes
        return np.stack([fresh[i] if i in fresh else self.kept[tracklet.key, i] for i in wanted])

    def _images(self, tracklet: Tracklet, indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        if self.channels == "rgb":
            return [self._resize(image) for image in read_frames(tracklet.media, indices)]
        if tracklet.mask is None:
            raise ValueError(
                f"it has no masks, which data.channels = {self.channels!r} needs; use 'rgb', or add a mask per frame"
            )
        masks = [self._resize(mask[..., :1])[..., None] for mask in read_frames(tracklet.mask, indices)]
        if self.channels == "mask":
            return masks
        images = (self._resize(image) for image in read_frames(tracklet.media, indices))
        return [np.concatenate(pair, axis=2) for pair in zip(images, masks, strict=True)]

    def _resize(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = self.size
        if image.shape[:2] == (height, width):
            return image[..., 0] if image.shape[2] == 1 else image
        # area averaging avoids aliasing when shrinking, and is no use when enlarging
        shrinking = image.shape[0] * image.shape[1] > height * width
        how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image, (width, height), interpolation=how), dtype=np.uint8)


def normalised(frames: NDArray[np.uint8], config: DataConfig) -> Float[Tensor, "T C H W"]:
    """Frames T H W C as float32 tensors: of colours mean subtracted and divided by std, masks from 0 to 1."""
    # numpy and in place: for small frames, starting a torch operation costs more than doing it
    values = np.ascontiguousarray(frames.transpose(0, 3, 1, 2), dtype=np.float32)
    masks = frames.shape[3] in (1, 4)
    mean = (*config.mean, 0.0) if masks else config.mean
    std = (*config.std, 1.0) if masks else config.std
    values -= 255 * np.array(mean[-frames.shape[3] :], dtype=np.float32)[:, None, None]
    values /= 255 * np.array(std[-frames.shape[3] :], dtype=np.float32)[:, None, None]
    return torch.from_numpy(values)


def class_names(tracklets: Sequence[Tracklet]) -> dict[str, tuple[str, ...]]:
    """Sorted values of 'identity' and of every label that all tracklets carry; single values of those in SEVERAL.

    'modality' has all of MODALITIES in their order, so that its numbers do not depend on the data.
    """
    if not tracklets:
        return {}
    columns = [{"identity": t.identity, **t.labels} for t in tracklets]
    shared = set.intersection(*(set(c) for c in columns))
    found = {name: tuple(sorted({str(c[name]) for c in columns})) for name in sorted(shared - set(SEVERAL))}
    told = {name: {v for c in columns for v in str(c.get(name, "")).split("+") if v} for name in SEVERAL}
    found |= {name: tuple(sorted(values)) for name, values in told.items() if values}
    return found | {"modality": MODALITIES}


class TrainingClips(Dataset[tuple[Tensor, int]]):
    """Training clips by slot: drawn frames and augmentation, a pure function of seed and slot.

    With `config.pairs` the places 2i and 2i + 1 share all that is drawn, frame numbers and changes.
    """

    def __init__(self, tracklets: Sequence[Tracklet], config: DataConfig, *, seed: int) -> None:
        self.tracklets, self.config, self.seed = tracklets, config, seed
        self.reader = FrameReader(config.height, config.width, channels=config.channels)

    def __getitem__(self, slot: Slot) -> tuple[Tensor, int]:
        number, step, place = slot
        drawn = place // 2 if self.config.pairs else place
        generator = np.random.default_rng((CLIPS, self.seed, step, drawn))
        tracklet = self.tracklets[number]
        length, frames = len(tracklet), self.config.frames
        if self.config.draw == "random":
            chosen = any_random(length, frames, generator)
        elif self.config.draw == "strided":
            chosen = strided_random(length, frames, generator, stride=self.config.stride)
        else:
            chosen = restricted_random(length, frames, generator, chunks=self.config.chunks)
        clip = normalised(self.reader.read(tracklet, chosen.tolist()), self.config)
        return augment(clip, self.config, generator), number


class Schedule(Sampler[list[Slot]]):
    """Batches of slots from one place in training to its end; this device's share of each global batch."""

    def __init__(
        self,
        identities: Sequence[int],
        config: DataConfig,
        *,
        epochs: int,
        seed: int,
        start: tuple[int, int, int] = (0, 0, 0),
        share: tuple[int, int] = (0, 1),
        spread: Sequence[int] | None = None,
    ) -> None:
        """start: (epoch, step within it, global step) to begin at. share: (rank, world). spread: see the sampler.

        With `config.pairs` tracklets 2i and 2i + 1 are pair i, as `data.pairs.paired` orders them.
        """
        self.identities, self.config, self.epochs, self.seed = identities, config, epochs, seed
        self.start, self.share, self.spread = start, share, spread

    def epoch(self, number: int) -> list[list[int]]:
        """Batches of one epoch as tracklet numbers; depends on the seed and the number alone."""
        sample = pair_batches if self.config.pairs else identity_batches
        return sample(
            self.identities,
            per_batch=self.config.identities,
            clips=self.config.clips,
            epoch=self.config.epoch,
            generator=np.random.default_rng((ORDER, self.seed, number)),
            spread=self.spread,
        )

    def __iter__(self) -> Iterator[list[Slot]]:
        epoch, skip, step = self.start
        rank, world = self.share
        for number in range(epoch, self.epochs):
            for batch in self.epoch(number)[skip:]:
                slots = [(tracklet, step, place) for place, tracklet in enumerate(batch)]
                part = len(slots) // world
                yield slots[rank * part : (rank + 1) * part]
                step += 1
            skip = 0


class Texts(Protocol):
    """Where batches take their texts from; a `text.bank.TextBank` is one."""

    def text(self, aspect: str, keys: Sequence[str]) -> Text:
        """The texts of some clips about an aspect; mask is False where there is none."""
        ...


def training_batches(
    clips: TrainingClips,
    schedule: Schedule,
    classes: Mapping[str, Sequence[str]],
    *,
    workers: int,
    sensor: Mapping[str, Sequence[str]] | None = None,
    texts: Texts | None = None,
    aspects: Sequence[str] = (),
) -> Iterator[Batch]:
    """Batches in the order of the schedule.

    Labels hold the class index of every label in `classes`; sensor facts 1 + the index of every label in `sensor`, 0
    where a tracklet does not say. texts, aspects: what `Batch.text` holds.
    """
    indices = {name: class_indices(clips.tracklets, name, names) for name, names in classes.items()}
    facts = {
        name: torch.tensor([known(t, name, names) for t in clips.tracklets]) for name, names in (sensor or {}).items()
    }
    collate = _Collate([t.key for t in clips.tracklets], indices, facts)
    loader: DataLoader[Any] = DataLoader(
        Guarded(clips), batch_sampler=schedule, collate_fn=collate, num_workers=workers
    )
    for batch in unguarded(loader):
        # here and not in the loader's processes, which would each hold a copy of the bank
        found = {aspect: texts.text(aspect, batch.keys) for aspect in aspects} if texts is not None else {}
        yield replace(batch, text=found) if found else batch


def class_indices(tracklets: Sequence[Tracklet], name: str, values: Sequence[str]) -> Tensor:
    """The class of each tracklet in a label of `class_names`; of one in SEVERAL, which values each has, N x values."""
    if name not in SEVERAL:
        place = {value: number for number, value in enumerate(values)}
        return torch.tensor([place[_label(t, name)] for t in tracklets])
    told = [t.labels.get(name, "").split("+") for t in tracklets]
    return torch.tensor([[value in own for value in values] for own in told])


def known(tracklet: Tracklet, label: str, values: Sequence[str]) -> int:
    """1 + the place of a tracklet's label among the values seen in training; 0 for one that is unknown.

    The modality of a tracklet is always known: 1 + its place in MODALITIES, whatever `values` are.
    """
    if label == "modality":
        return MODALITIES.index(tracklet.modality) + 1
    value = tracklet.labels.get(label)
    return values.index(value) + 1 if value in values else 0


class Guarded(Dataset[Any]):
    """A dataset whose errors are items: raised in a worker process, they would come back wrapped in a traceback."""

    def __init__(self, clips: Dataset[Any]) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)  # type: ignore[arg-type]

    def __getitem__(self, index: Any) -> Any:
        try:
            return self.clips[index]
        except (ValueError, OSError) as error:
            return error


def unguarded(items: Iterable[Any]) -> Iterator[Any]:
    """The items of a guarded dataset; raises the first one that is an error."""
    for item in items:
        if isinstance(item, Exception):
            raise item
        yield item


@dataclass(frozen=True, eq=False)
class _Collate:
    """Clips with their tracklet numbers to a batch; a class, because worker processes may have to unpickle it."""

    keys: Sequence[str]
    indices: Mapping[str, Tensor]
    facts: Mapping[str, Tensor]

    def __call__(self, items: list[tuple[Tensor, int]]) -> Batch | Exception:
        for item in items:
            if isinstance(item, Exception):
                return item
        numbers = torch.tensor([number for _, number in items])
        return Batch(
            clip=replace(
                Clip.of(torch.stack([clip for clip, _ in items])),
                sensor={name: fact[numbers] for name, fact in self.facts.items()},
            ),
            labels={name: index[numbers] for name, index in self.indices.items()},
            keys=[self.keys[number] for _, number in items],
        )


def _label(tracklet: Tracklet, name: str) -> str:
    if name == "modality":
        return tracklet.modality
    return str(tracklet.identity if name == "identity" else tracklet.labels[name])


class TestClips(Dataset[tuple[int, Float[Tensor, "clips T C H W"]]]):
    """All clips of each tracklet, by tracklet number: every frame once, or one clip of chunk-first frames."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    def __init__(self, tracklets: Sequence[Tracklet], config: DataConfig, *, every_frame: bool) -> None:
        self.tracklets, self.config, self.every_frame = tracklets, config, every_frame
        self.reader = FrameReader(config.height, config.width, channels=config.channels, keep_bytes=0)

    def __len__(self) -> int:
        return len(self.tracklets)

    def __getitem__(self, number: int) -> tuple[int, Float[Tensor, "clips T C H W"]]:
        tracklet, config = self.tracklets[number], self.config
        if self.every_frame:
            chosen = all_frames(len(tracklet), config.frames, order=config.test, longest=config.longest)
        else:
            chosen = restricted_first(len(tracklet), config.frames, chunks=config.chunks)[None]
        frames = normalised(self.reader.read(tracklet, chosen.ravel().tolist()), config)
        return number, frames.view(*chosen.shape, *frames.shape[1:])
