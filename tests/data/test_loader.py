"""Clips and batches: a training clip depends on its slot alone, a schedule on its seed alone."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from unbraid.batch import MODALITIES, Batch, Text
from unbraid.data import loader
from unbraid.data.loader import (
    FrameReader,
    Schedule,
    TestClips,
    TrainingClips,
    class_names,
    normalised,
    training_batches,
)
from unbraid.data.sets.folder import read
from unbraid.recipe import DataConfig
from unbraid.tracklet import Images, Strip, Tracklet

CONFIG = DataConfig(frames=3, height=16, width=8, identities=2, clips=2, shift=0.1)
STILL = replace(CONFIG, flip=0.0, erase=0.0, shift=0.0, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))


def tracklet_of(folder: Path, key: str, frames: int, size: tuple[int, int] = (16, 8), **labels: str) -> Tracklet:
    """Frame i is one even grey of level 10 i, written as PNG."""
    paths = []
    for i in range(frames):
        paths.append(folder / f"{key}-{i}.png")
        cv2.imwrite(str(paths[-1]), np.full((*size, 3), 10 * i, np.uint8))
    return Tracklet(key, Images(tuple(paths)), identity=key[0], labels=labels)


@pytest.fixture
def tracklets(tmp_path: Path) -> list[Tracklet]:
    """Identities b and a, each twice before cameras '10' and '9'."""
    return [tracklet_of(tmp_path, f"{who}{c}", 7, camera=c) for who in "ba" for c in ("9", "10")]


def identities_of(tracklets: list[Tracklet]) -> list[int]:
    return ["ab".index(str(t.identity)) for t in tracklets]


def all_batches(tracklets: list[Tracklet], config: DataConfig, *, workers: int = 0, epochs: int = 2) -> list[Batch]:
    schedule = Schedule(identities_of(tracklets), config, epochs=epochs, seed=5)
    clips = TrainingClips(tracklets, config, seed=5)
    return list(loader.training_batches(clips, schedule, class_names(tracklets), workers=workers))


def test_normalised_by_hand() -> None:
    frames = np.zeros((1, 1, 2, 3), np.uint8)
    frames[0, 0, 1] = (255, 51, 102)
    config = DataConfig(mean=(0.5, 0.1, 0.2), std=(0.5, 0.1, 0.4))
    value = normalised(frames, config)
    assert value.shape == (1, 3, 1, 2)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value[0, :, 0], torch.tensor([[-1.0, 1.0], [-1.0, 1.0], [-0.5, 0.5]]))


def test_class_names_are_what_all_carry(tmp_path: Path) -> None:
    media = Images((tmp_path / "x.png",))
    made = [
        Tracklet("1", media, identity="b", labels={"camera": "9", "clothes": "red"}),
        Tracklet("2", media, identity="a", labels={"camera": "10"}),
        Tracklet("3", media, identity="b", labels={"camera": "9"}),
    ]
    assert class_names(made) == {"camera": ("10", "9"), "identity": ("a", "b"), "modality": MODALITIES}
    assert class_names([]) == {}


def test_a_clip_holds_one_frame_of_each_chunk(tracklets: list[Tracklet]) -> None:
    clips = TrainingClips(tracklets, STILL, seed=0)
    seen = [set(), set(), set()]  # type: list[set[int]]
    for step in range(60):
        clip, number = clips[2, step, 0]
        assert number == 2
        assert clip.shape == (3, 3, 16, 8)
        levels = clip[:, 0, 0, 0]
        assert torch.equal(clip, levels[:, None, None, None].expand_as(clip))
        for slot, level in enumerate(levels.tolist()):
            seen[slot].add(round(level / 10))
    assert seen == [{0, 1}, {2, 3}, {4, 5, 6}]


def test_a_clip_depends_on_its_slot_alone(tracklets: list[Tracklet]) -> None:
    slots = [(0, 0, 0), (0, 0, 1), (3, 7, 2), (3, 8, 2)]
    forwards, backwards = TrainingClips(tracklets, CONFIG, seed=1), TrainingClips(tracklets, CONFIG, seed=1)
    one = [forwards[slot][0] for slot in slots]
    other = [backwards[slot][0] for slot in reversed(slots)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[2], one[3])
    assert not torch.equal(one[0], TrainingClips(tracklets, CONFIG, seed=2)[slots[0]][0])


def test_workers_do_not_change_batches(people: Path) -> None:
    train = list(read(people).train)
    config = replace(CONFIG, height=64, width=32)
    classes = class_names(train)
    results = []
    for workers in (0, 2):
        schedule = Schedule(
            [classes["identity"].index(str(t.identity)) for t in train], config, epochs=2, seed=3, start=(0, 1, 1)
        )
        clips = TrainingClips(train, config, seed=3)
        results.append(list(loader.training_batches(clips, schedule, classes, workers=workers)))
    assert len(results[0]) == len(results[1]) >= 4
    for one, other in zip(*results, strict=True):
        assert one.keys == other.keys
        assert torch.equal(one.clip.frames, other.clip.frames)
        assert {n: v.tolist() for n, v in one.labels.items()} == {n: v.tolist() for n, v in other.labels.items()}


def test_labels_are_class_indices(tracklets: list[Tracklet]) -> None:
    for batch in all_batches(tracklets, CONFIG):
        assert len(batch) == 4
        assert batch.clip.valid.all()
        assert batch.clip.sensor == {}
        assert batch.text == {}
        # sorted names: a, b and "10", "9"
        assert batch.labels["identity"].tolist() == ["ab".index(key[0]) for key in batch.keys]
        assert batch.labels["camera"].tolist() == [["10", "9"].index(key[1:]) for key in batch.keys]


def test_batches_can_be_joined_in_started_processes(tracklets: list[Tracklet]) -> None:
    joined = loader._Collate([t.key for t in tracklets], {"identity": torch.tensor([1, 1, 0, 0])}, {})
    items = [(torch.zeros(3, 3, 2, 2), 2), (torch.ones(3, 3, 2, 2), 0)]
    batch = pickle.loads(pickle.dumps(joined))(items)
    assert batch.keys == ["a9", "b9"]
    assert batch.labels["identity"].tolist() == [0, 1]


IDENTITIES = [i for i in range(8) for _ in range(6)]
SCHEDULE = DataConfig(identities=4, clips=2)


def test_schedule_counts_steps_and_places() -> None:
    schedule = Schedule(IDENTITIES, SCHEDULE, epochs=3, seed=0)
    batches = list(schedule)
    expected = [batch for number in range(3) for batch in schedule.epoch(number)]
    assert [[slot[0] for slot in batch] for batch in batches] == expected
    assert [{slot[1] for slot in batch} for batch in batches] == [{step} for step in range(len(batches))]
    assert all([slot[2] for slot in batch] == list(range(8)) for batch in batches)


def test_epochs_differ_and_repeat() -> None:
    schedule, again = (Schedule(IDENTITIES, SCHEDULE, epochs=3, seed=0) for _ in range(2))
    assert schedule.epoch(0) != schedule.epoch(1)
    assert schedule.epoch(1) == again.epoch(1)
    assert schedule.epoch(1) != Schedule(IDENTITIES, SCHEDULE, epochs=3, seed=1).epoch(1)


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_shares_part_the_global_batch(world: int) -> None:
    whole = list(Schedule(IDENTITIES, SCHEDULE, epochs=2, seed=0))
    shares = [list(Schedule(IDENTITIES, SCHEDULE, epochs=2, seed=0, share=(r, world))) for r in range(world)]
    assert {len(share) for share in shares} == {len(whole)}
    for step, batch in enumerate(whole):
        assert [slot for share in shares for slot in share[step]] == batch
        assert {len(share[step]) for share in shares} == {8 // world}


def test_a_restart_continues_the_schedule() -> None:
    schedule = Schedule(IDENTITIES, SCHEDULE, epochs=3, seed=0)
    whole = list(schedule)
    step = 0
    for epoch in range(3):
        for skip in range(len(schedule.epoch(epoch))):
            rest = list(Schedule(IDENTITIES, SCHEDULE, epochs=3, seed=0, start=(epoch, skip, step)))
            assert rest == whole[step:]
            step += 1
    assert list(Schedule(IDENTITIES, SCHEDULE, epochs=3, seed=0, start=(3, 0, step))) == []


def test_damaged_image_names_tracklet_and_file(tracklets: list[Tracklet]) -> None:
    bad = tracklets[1].media.paths[0]  # type: ignore[union-attr]
    bad.write_bytes(bad.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"^tracklet 'b10': .*b10-0.png \(40 bytes\) does not decode"):
        TestClips(tracklets, STILL, every_frame=True)[1]
    bad.unlink()
    with pytest.raises(FileNotFoundError, match=r"^tracklet 'b10': .*b10-0.png is missing"):
        TestClips(tracklets, STILL, every_frame=True)[1]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The indices of every request for decoding."""
    asked: list[list[int]] = []
    original = loader.read_frames

    def counted(media: Images, indices: list[int]) -> list[np.ndarray]:
        asked.append(list(indices))
        return original(media, indices)

    monkeypatch.setattr(loader, "read_frames", counted)
    return asked


def levels(frames: np.ndarray) -> list[int]:
    return [int(f[0, 0, 0]) // 10 for f in frames]


def test_frames_are_decoded_once_while_they_fit(tracklets: list[Tracklet], decoded: list[list[int]]) -> None:
    reader = FrameReader(16, 8, keep_bytes=2 * 16 * 8 * 3 + 100)  # two frames and a bit
    assert levels(reader.read(tracklets[0], [4, 1, 4, 6])) == [4, 1, 4, 6]
    assert decoded == [[4, 1, 6]]  # twice the same is decoded once
    assert levels(reader.read(tracklets[0], [1, 6, 4])) == [1, 6, 4]
    assert decoded[1:] == [[6]]
    assert levels(reader.read(tracklets[0], [4, 1])) == [4, 1]
    assert len(decoded) == 2
    assert levels(reader.read(tracklets[1], [4])) == [4]  # another tracklet's frame 4
    assert decoded[2:] == [[4]]
    assert sum(image.nbytes for image in reader.kept.values()) <= 2 * 16 * 8 * 3 + 100


def test_reader_can_keep_nothing(tracklets: list[Tracklet], decoded: list[list[int]]) -> None:
    reader = FrameReader(16, 8, keep_bytes=0)
    for _ in range(2):
        assert levels(reader.read(tracklets[0], [2, 0])) == [2, 0]
    assert decoded == [[2, 0], [2, 0]]
    assert not reader.kept


def test_all_frames_of_a_strip_are_kept_since_all_are_decoded(tmp_path: Path, decoded: list[list[int]]) -> None:
    frames = np.full((4, 8, 4, 3), 0, np.uint8) + (10 * np.arange(4, dtype=np.uint8))[:, None, None, None]
    cv2.imwrite(str(tmp_path / "strip.png"), frames.reshape(32, 4, 3))
    tracklet = Tracklet("strip", Strip(tmp_path / "strip.png", 4))
    roomy, full = FrameReader(8, 4), FrameReader(8, 4, keep_bytes=0)
    for reader in (roomy, full):
        assert levels(reader.read(tracklet, [2])) == [2]
        assert levels(reader.read(tracklet, [3, 0])) == [3, 0]
    assert decoded == [[0, 1, 2, 3], [2], [3, 0]]


def test_shrinking_averages_areas(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), image[..., ::-1])
    frame = FrameReader(4, 2).read(Tracklet("x", Images((tmp_path / "x.png",))), [0])[0]
    blocks = image.reshape(4, 2, 2, 4, 3).mean(axis=(1, 3))
    assert np.abs(frame - blocks).max() <= 0.5


def test_enlarging_interpolates(tmp_path: Path) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 100
    cv2.imwrite(str(tmp_path / "x.png"), image)
    frame = FrameReader(4, 4).read(Tracklet("x", Images((tmp_path / "x.png",))), [0])[0]
    assert frame[0, :, 0].tolist() == [0, 25, 75, 100]


def test_all_clips_of_a_tracklet(tracklets: list[Tracklet]) -> None:
    clips = TestClips(tracklets, STILL, every_frame=True)
    number, frames = clips[1]
    assert (len(clips), number) == (4, 1)
    assert frames.shape == (3, 3, 3, 16, 8)
    # 7 frames in 3 interleaved clips of 3, the short ones looped
    assert (frames[:, :, 0, 0, 0] / 10).round().int().tolist() == [[0, 3, 6], [1, 4, 1], [2, 5, 2]]
    _, first = TestClips(tracklets, STILL, every_frame=False)[1]
    assert (first[:, :, 0, 0, 0] / 10).round().int().tolist() == [[0, 2, 4]]


def test_a_tracklet_as_one_clip(tracklets: list[Tracklet]) -> None:
    _, frames = TestClips(tracklets, replace(STILL, test="whole"), every_frame=True)[1]
    assert (frames[:, :, 0, 0, 0] / 10).round().int().tolist() == [[0, 1, 2, 3, 4, 5, 6]]
    _, first = TestClips(tracklets, replace(STILL, test="whole", longest=4), every_frame=True)[1]
    assert (first[:, :, 0, 0, 0] / 10).round().int().tolist() == [[0, 1, 2, 3]]


def masked(folder: Path) -> Tracklet:
    """Two frames of one grey; the person is in the upper half of the first and the lower half of the second."""
    cv2.imwrite(str(folder / "picture.png"), np.full((32, 8, 3), 51, np.uint8))
    strip = np.zeros((32, 8), np.uint8)
    strip[:8] = strip[24:] = 255
    cv2.imwrite(str(folder / "mask.png"), strip)
    return Tracklet("a", Strip(folder / "picture.png", 2), identity="a", mask=Strip(folder / "mask.png", 2))


def test_masks_are_the_last_channel(tmp_path: Path) -> None:
    frames = FrameReader(16, 8, channels="rgb+mask").read(masked(tmp_path), [1, 0])
    assert frames.shape == (2, 16, 8, 4)
    values = normalised(frames, CONFIG)
    assert torch.allclose(
        values[:, :3],
        torch.tensor([(0.2 - m) / s for m, s in zip(CONFIG.mean, CONFIG.std, strict=True)])[:, None, None],
    )
    assert values[0, 3, :8].max() == 0
    assert values[0, 3, 8:].min() == 1
    assert values[1, 3, :8].min() == 1
    alone = FrameReader(16, 8, channels="mask").read(masked(tmp_path), [1, 0])
    assert torch.equal(normalised(alone, CONFIG), values[:, 3:])


def test_missing_masks_are_named(tracklets: list[Tracklet]) -> None:
    with pytest.raises(ValueError, match=r"'b9'.*has no masks"):
        FrameReader(16, 8, channels="mask").read(tracklets[0], [0])


class Letters:
    """Texts whose vector is the place of the key's first letter."""

    def text(self, aspect: str, keys: Sequence[str]) -> Text:
        tokens = torch.tensor([[[float(ord(key[0]))]] for key in keys]) + len(aspect)
        return Text(tokens, torch.tensor([[key[0] != "b"] for key in keys]))


def test_batches_carry_sensor_facts_and_texts(tracklets: list[Tracklet]) -> None:
    clips = TrainingClips(tracklets, CONFIG, seed=0)
    schedule = Schedule(identities_of(tracklets), CONFIG, epochs=1, seed=0)
    batches = training_batches(
        clips,
        schedule,
        {"identity": ("a", "b")},
        workers=0,
        sensor={"camera": ("9",), "modality": ("depth", "rgb")},
        texts=Letters(),
        aspects=("hair",),
    )
    batch = next(iter(batches))
    assert batch.clip.sensor["camera"].tolist() == [int(key.endswith("9")) for key in batch.keys]
    # whatever values the data hold
    assert batch.clip.sensor["modality"].tolist() == [1] * 4
    assert batch.text["hair"].tokens.flatten().tolist() == [ord(key[0]) + 4 for key in batch.keys]
    assert batch.text["hair"].mask.flatten().tolist() == [key[0] == "a" for key in batch.keys]
