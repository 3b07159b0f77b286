"""Pairs of two synchronised sensors, from the tracklets to batches and a trained run."""

import itertools
import json
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fifth import recipes as fifth
from tests.walks import FRAMES, SIDE, level, row, write_walks
from unbraid.batch import MODALITIES, Batch
from unbraid.checkpoint import open_run
from unbraid.data.benchmark import Benchmark
from unbraid.data.loader import Schedule, TrainingClips, class_indices, class_names, training_batches
from unbraid.data.pairs import paired
from unbraid.data.sampler import pair_batches
from unbraid.data.sets.folder import read, save_strip
from unbraid.recipe import DataConfig
from unbraid.tracklet import Strip, Tracklet
from unbraid.train import train

CONFIG = DataConfig(
    frames=3, height=SIDE, width=SIDE, identities=2, clips=2, pairs="walk", draw="random", shift=0.2, erase=0.0
)
STILL = replace(CONFIG, flip=0.0, shift=0.0, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    return read(write_walks(tmp_path_factory.mktemp("walks")))


def seen(key: str, modality: str = "silhouette", identity: str = "a", frames: int = 4, **labels: str) -> Tracklet:
    return Tracklet(key, Strip(Path("x.png"), frames), modality, identity, labels)  # type: ignore[arg-type]


def training(*tracklets: Tracklet) -> Benchmark:
    return Benchmark("own", tracklets, (), (), {})


def batches(walks: Benchmark, config: DataConfig, share: tuple[int, int] = (0, 1)) -> list[Batch]:
    train = paired(walks, config.pairs).train
    classes = class_names(train)
    identities = class_indices(train, "identity", classes["identity"]).tolist()
    schedule = Schedule(identities, config, epochs=2, seed=3, share=share)
    clips = TrainingClips(train, config, seed=3)
    wanted = {name: classes[name] for name in ("identity", "walk", "modality")}
    return list(training_batches(clips, schedule, wanted, workers=0, sensor={"modality": MODALITIES}))


def test_pairs_stand_side_by_side_silhouette_first(walks: Benchmark) -> None:
    train = paired(walks, "walk").train
    assert len(train) == len(walks.train) == 32
    for first, second in zip(train[::2], train[1::2], strict=True):
        assert (first.modality, second.modality) == ("silhouette", "depth")
        assert first.labels == second.labels
        assert first.identity == second.identity
    # in the order in which the walks stand in the index
    assert [t.key[:2] for t in train[::2]] == [f"{n:02d}" for n in range(16)]
    assert paired(walks, "") is walks


def test_every_modality_has_its_place() -> None:
    order = list(MODALITIES)
    for first, second in itertools.permutations(order, 2):
        made = paired(training(seen("1", first, walk="w"), seen("2", second, walk="w")), "walk").train
        assert [t.modality for t in made] == sorted((first, second), key=order.index)


def test_those_without_a_partner_are_left_out_and_counted() -> None:
    lone = training(
        seen("1", walk="w"),
        seen("2", walk="alone"),
        seen("3", identity="b"),
        seen("4", "depth", walk="w"),
        seen("5", "depth", identity="c", walk="alone too"),
    )
    with pytest.warns(UserWarning, match="own: 2 training walks were seen by one sensor only and 1 training tracklets"):
        made = paired(lone, "walk")
    assert [t.key for t in made.train] == ["1", "4"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paired(training(lone.train[0], lone.train[3]), "walk")


@pytest.mark.parametrize(
    ("tracklets", "message"),
    [
        ((seen("1"), seen("2", "depth")), "data.pairs = 'walk', but no two training tracklets of own share a value"),
        ((seen("1", view="0", walk="w"), seen("2", walk="v")), r"they have the labels \['view', 'walk'\]"),
        ((seen("1", walk="w"), seen("2", walk="w")), r"walk 'w' are both silhouette \(1, 2\)"),
        ((seen("1", walk="w"), seen("2", "depth", "b", walk="w")), "show 'a' and 'b' .* correct label or identity"),
        ((seen("1", walk="w"), seen("2", "depth", frames=5, walk="w")), "'w' have 4 and 5 frames .* the same moments"),
        (
            (seen("1", walk="w"), seen("2", "depth", walk="w"), seen("3", "rgb", walk="w")),
            r"are 3 \(1, 2, 3; rgb, silhouette, depth\); a pair has two",
        ),
    ],
)
def test_what_is_no_pair(tracklets: tuple[Tracklet, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired(training(*tracklets), "walk")


def test_make_up_of_batches() -> None:
    identities = [i for i in range(5) for _ in range(2 * (i + 2))]  # 2 to 6 pairs
    spread = [pair % 2 for pair in range(len(identities) // 2) for _ in (0, 1)]
    shown: Counter[int] = Counter()
    for seed in range(5):
        made = pair_batches(
            identities,
            per_batch=3,
            clips=2,
            epoch="tracklets",
            generator=np.random.default_rng(seed),
            spread=spread,
        )
        assert made
        for batch in made:
            assert len(batch) == 12
            assert [n % 2 for n in batch] == [0, 1] * 6
            assert [n // 2 for n in batch[::2]] == [n // 2 for n in batch[1::2]]
            groups = [batch[i : i + 4] for i in range(0, 12, 4)]
            assert len({identities[g[0]] for g in groups}) == 3
            for group in groups:
                assert {identities[n] for n in group} == {identities[group[0]]}
                assert {spread[n] for n in group} == {0, 1}
        shown.update(n for batch in made for n in batch)
    assert set(shown) == set(range(len(identities)))
    with pytest.raises(ValueError, match="must show one identity"):
        pair_batches([0, 1, 1, 0], per_batch=2, clips=1, epoch="tracklets", generator=np.random.default_rng(0))


def test_rows_of_a_pair_are_the_same_moments(walks: Benchmark) -> None:
    """The grey of every frame says walk and frame; an oracle that knows neither sampler nor order."""
    frames_seen = set()
    for batch in batches(walks, STILL):
        assert len(batch) == 8
        assert batch.clip.sensor["modality"].tolist() == [2, 3] * 4
        assert batch.labels["modality"].tolist() == [1, 2] * 4
        assert batch.labels["identity"][::4].unique().numel() == 2
        for name in ("identity", "walk"):
            assert torch.equal(batch.labels[name][::2], batch.labels[name][1::2])
        greys = batch.clip.frames[:, :, 0, 0, 0].round().int().tolist()
        for place in range(0, 8, 2):
            walk = int(batch.keys[place][:2])
            drawn = [(grey - level(walk, 0, "silhouette")) // 2 for grey in greys[place]]
            assert greys[place] == [level(walk, n, "silhouette") for n in drawn]
            assert greys[place + 1] == [level(walk, n, "depth") for n in drawn]
            assert len(set(drawn)) == 3
            frames_seen.add(tuple(drawn))
    assert any(list(drawn) != sorted(drawn) for drawn in frames_seen)
    assert {n for drawn in frames_seen for n in drawn} == set(range(FRAMES))


def test_rows_of_a_pair_are_changed_alike(tmp_path: Path) -> None:
    """Two sensors with the same noise: whatever is drawn, both rows of a pair are equal and those of others are not."""
    noise = np.random.default_rng(0).integers(0, 256, (7, SIDE, SIDE), np.uint8)
    strips = [Strip(tmp_path / save_strip(tmp_path, f"{sensor}.png", list(noise)), 7) for sensor in "ab"]
    sensors = [Tracklet(str(n), strip, identity="a") for n, strip in enumerate(strips)]
    for draw, scope in (("random", "frame"), ("restricted", "clip")):
        config = replace(CONFIG, draw=draw, flip=0.5, erase=0.5, erase_scope=scope, zoom=0.5)
        clips = TrainingClips(sensors, config, seed=1)
        pairs = [[clips[side, step, 2 * pair + side][0] for side in (0, 1)] for step in range(3) for pair in range(4)]
        assert all(torch.equal(first, second) for first, second in pairs)
        assert not any(torch.equal(a[0], b[0]) for a, b in itertools.combinations(pairs, 2))
    single = TrainingClips(sensors, replace(CONFIG, pairs=""), seed=1)
    assert not torch.equal(single[0, 0, 0][0], single[1, 0, 1][0])


@pytest.mark.parametrize("world", [2, 4])
def test_devices_share_whole_pairs(walks: Benchmark, world: int) -> None:
    whole = batches(walks, CONFIG)
    shares = [batches(walks, CONFIG, share=(rank, world)) for rank in range(world)]
    for step, batch in enumerate(whole):
        assert [key for share in shares for key in share[step].keys] == list(batch.keys)
        assert torch.equal(torch.cat([share[step].clip.frames for share in shares]), batch.clip.frames)
        for share in shares:
            keys = share[step].keys
            assert len(keys) % 2 == 0
            assert [key[:2] for key in keys[::2]] == [key[:2] for key in keys[1::2]]


def test_a_restart_continues_the_schedule(walks: Benchmark) -> None:
    train = paired(walks, "walk").train
    identities = class_indices(train, "identity", class_names(train)["identity"]).tolist()
    schedule = Schedule(identities, CONFIG, epochs=3, seed=0)
    whole = list(schedule)
    length = len(schedule.epoch(0))
    assert list(Schedule(identities, CONFIG, epochs=3, seed=0, start=(1, 1, length + 1))) == whole[length + 1 :]
    first = TrainingClips(train, CONFIG, seed=0)
    again = TrainingClips(train, CONFIG, seed=0)
    later = [again[slot][0] for slot in whole[-1]]
    assert all(torch.equal(first[slot][0], clip) for slot, clip in zip(whole[-1], later, strict=True))


def test_training_on_pairs(tmp_path: Path) -> None:
    root = tmp_path / "walks"
    write_walks(root, row(root, 40, "depth", "only LiDAR saw me", walk="lonely", view="000", type="00-nm"))
    data = replace(fifth.tiny().data, pairs="walk", draw="random", spread="modality", height=SIDE, width=SIDE)
    recipe = replace(fifth.tiny(), data=data, epochs=1)
    with pytest.warns(UserWarning, match="walks: 1 training walks were seen by one sensor only"):
        out = train(recipe, read(root), tmp_path / "run", device="cpu")
    run = open_run(out)
    assert run.classes == {"identity": ("p0", "p1", "p2", "p3")}
    assert run.origin["tracklets"] == 32
    # four groups of two pairs for each batch of two people
    assert json.loads(sorted((out / "checkpoints").iterdir())[-1].joinpath("progress.json").read_text())["step"] == 4
    bad = replace(recipe, data=replace(recipe.data, pairs="session"))
    with pytest.raises(ValueError, match=r"data\.pairs = 'session'"):
        train(bad, read(root), tmp_path / "other", device="cpu")
    assert not (tmp_path / "other").exists()
