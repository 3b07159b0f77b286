"""One factor changes; the draws of everything else stay, to the bit."""

import hashlib
import importlib
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from unbraid.data.media import read_frames
from unbraid.data.sets.folder import read
from unbraid.world import WorldConfig, store
from unbraid.world.motion import Procedural
from unbraid.world.people.person import TEST, person
from unbraid.world.plan import plan
from unbraid.world.seeds import Purpose, stream
from unbraid.world.sensors import picture
from unbraid.world.twins import FACTORS, ORIGINAL, SameChance, render_twins, twins

module = importlib.import_module("unbraid.world.twins")

CONFIG = WorldConfig(
    train_identities=1,
    test_identities=3,
    train_outfits=1,
    test_outfits=2,
    tracklets=4,
    queries=1,
    frames=2,
    cameras=3,
    height=96,
    width=48,
    occluder_rate=0.0,
    truncation_rate=0.0,
    appearance_identity=0.5,
    modalities=("rgb", "silhouette", "depth"),
    seed=5,
)
LABELS = sorted(set(FACTORS.values()))


def digest(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return render_twins(CONFIG, tmp_path_factory.mktemp("twins") / "two", people=2)


@pytest.fixture(scope="module")
def table(folder):
    return pd.read_parquet(folder / "tracklets.parquet").set_index("key", drop=False)


def test_the_label_of_the_factor_changes_and_no_other(table):
    seen = set()
    for twin in table[table["twin_of"].notna()].itertuples():
        original = table.loc[twin.twin_of]
        assert pd.isna(original.twin_of)
        changed = {label for label in LABELS if getattr(twin, label) != original[label]}
        assert changed == {FACTORS[twin.factor]}, twin.key
        seen.add(twin.factor)
    assert seen == set(FACTORS)


def test_every_original_has_every_twin(table):
    originals = table[table["twin_of"].isna()]
    assert len(originals) == 2 * 3
    for original in originals.itertuples():
        own = table[table["twin_of"] == original.key]
        counts = dict.fromkeys(FACTORS, 1) | {"modality": 2}
        if original.modality == "depth":
            del counts["camera"]
        assert own["factor"].value_counts().to_dict() == counts
        assert set(own.loc[own["factor"] != "modality", "modality"]) == {original.modality}


def test_a_twin_of_other_modality_shows_the_same_instants(table):
    for twin in table[table["factor"] == "modality"].itertuples():
        shown = table[table["twin_of"].isna() & (table["modality"] == twin.modality)]
        same = shown[shown["identity"] == table.loc[twin.twin_of].identity]
        assert list(same["frames"].iloc[0]) == list(twin.frames)


def test_the_folder_is_a_benchmark(folder):
    benchmark = read(folder)
    assert benchmark.name == "world/twins"
    assert benchmark.synthetic
    assert not benchmark.train
    assert not benchmark.query
    assert len({t.key for t in benchmark.gallery}) == len(benchmark.gallery) == 2 * (3 + 6 + 6 * 3 + 2)
    for tracklet in benchmark.gallery:
        assert len(read_frames(tracklet.media, range(2))) == 2


def test_originals_are_shots_of_the_world_itself(folder, table, tmp_path):
    """The world's own way to render a shot, without anything of twins, gives the same files."""
    shots = {shot.key: shot for shot in plan(CONFIG)}
    for key in table.loc[table["twin_of"].isna() & (table["modality"] == "rgb"), "key"]:
        shot = shots[key]
        who = picture.actor(CONFIG, person(CONFIG, *shot.place[:2]), store.outfit_of(CONFIG, shot), shot.held)
        store.save(CONFIG, tmp_path, shot, picture.record(CONFIG, who, store.camera_of(CONFIG, shot.camera), shot))
        assert digest(tmp_path / "frames" / key) == digest(folder / "frames" / key)


def test_another_camera_sees_the_same_body(folder, table):
    """The LiDAR does not look through the camera: where its depth maps are equal, so is the posed mesh."""
    for key in table.loc[table["factor"].isin(["camera"]) & (table["modality"] == "rgb"), "twin_of"]:
        one, other = folder / "frames" / key, folder / "frames" / f"{key}-camera"
        assert (one / "depth.png").read_bytes() == (other / "depth.png").read_bytes()
        assert (one / "00000.jpg").read_bytes() != (other / "00000.jpg").read_bytes()
        assert (one / "facts.json").read_bytes() == (other / "facts.json").read_bytes()


def recordings(config, monkeypatch, tmp_path, *, hold_boxes):
    """What the sensors of all twins gave, by (person, factor); with the boxes of the originals where wanted."""
    taken, real, held = {}, picture.boxes, {}

    def keep(_config, _out, twin, recording):
        taken[twin.place, twin.factor] = recording

    def same_box(extents, config, random):
        found = real(extents, config, random)
        return held.setdefault("box", found)

    monkeypatch.setattr(module, "save", keep)
    if hold_boxes:
        monkeypatch.setattr(picture, "boxes", same_box)
    render_twins(config, tmp_path / "out", people=1)
    return {factor: recording for (_, factor), recording in taken.items()}


def test_outside_of_the_person_nothing_changes_but_noise(monkeypatch, tmp_path):
    """Box held, the background, the thing in front and the noise are drawn alike, whatever else was drawn before.

    Shadows follow from the body; they lie in the lower part.
    """
    plain = replace(CONFIG, modalities=("rgb",), mask_errors=0.0, occluder_rate=1.0)
    taken = recordings(plain, monkeypatch, tmp_path, hold_boxes=True)
    original = taken.pop(ORIGINAL)
    assert set(taken) == set(FACTORS) - {"modality"}
    upper = np.arange(plain.height) < 0.4 * plain.height
    for factor, twin in taken.items():
        assert twin.facts["view_jitter_degrees"] == original.facts["view_jitter_degrees"]
        for frame in range(plain.frames):
            both = (original.masks[frame] > 0) | (twin.masks[frame] > 0)
            near = np.asarray(picture.cv2.dilate(both.astype(np.uint8), np.ones((9, 9), np.uint8)))
            beside = (near == 0) & upper[:, None]
            assert beside.sum() > 300
            apart = original.rgb[frame][beside].astype(int) - twin.rgb[frame][beside]
            if factor == "camera":
                assert np.abs(apart).mean() > 8
            elif factor == "nothing":
                assert 0.5 < apart.std() < 8
                assert abs(apart.mean()) < 0.5
            else:
                assert not apart.any(), factor


def test_nothing_changes_the_noise_of_every_sensor_alone(monkeypatch, tmp_path):
    taken = recordings(CONFIG, monkeypatch, tmp_path, hold_boxes=False)
    original, twin, someone = taken[ORIGINAL], taken["nothing"], taken["person"]

    def share(first, second):
        """Pixels that both see, of those that one of them sees."""
        first, second = np.stack(first) > 0, np.stack(second) > 0
        return (first & second).sum() / (first | second).sum()

    for sensor in ("silhouettes", "depth"):
        a, b, c = (getattr(one, sensor) for one in (original, twin, someone))
        assert share(a, c) < share(a, b) < 1
        assert share(a, b) > 0.85
    apart, other = (np.stack(original.rgb).astype(int) - np.stack(one.rgb) for one in (twin, someone))
    assert apart.any()
    assert apart.std() < other.std() / 2
    for fact, value in original.facts.items():
        assert twin.facts[fact] == pytest.approx(value, rel=0.1), fact


def test_another_person_wears_the_same_and_another_outfit_is_worn_by_the_same():
    every = {twin.factor: twin for twin in twins(CONFIG, 1)}
    original = every.pop(ORIGINAL)
    body = {factor: person(CONFIG, TEST, twin.person).shape.height for factor, twin in every.items()}
    for factor, twin in every.items():
        same = store.outfit_of(CONFIG, twin) == store.outfit_of(CONFIG, original)
        assert same == (factor != "clothes")
        assert (body[factor] == person(CONFIG, TEST, 0).shape.height) == (factor != "person")


def test_motion_uses_up_the_chance_of_the_original():
    source, times = Procedural(), np.linspace(-0.2, 0.2, 25)
    one, other = (person(CONFIG, TEST, number).style for number in (0, 1))
    expected = stream(0, Purpose.CLIP, 1, 2, 3, 4)
    plain = source(one, times, expected, action="walk", session=1)
    for style, action, take in ((one, "walk", None), (other, "walk", None), (one, "jump", None), (one, "walk", 9)):
        random = stream(0, Purpose.CLIP, 1, 2, 3, 4)
        chance = None if take is None else np.random.default_rng(take)
        moved = SameChance(source, one, "walk", take=chance)(style, times, random, action=action, session=1)
        # what is drawn after the motion is drawn as for the original
        assert random.bit_generator.state == expected.bit_generator.state
        same = style is one and action == "walk" and take is None
        assert np.array_equal(moved.rotations, plain.rotations) == same
        begun = stream(0, Purpose.CLIP, 1, 2, 3, 4) if take is None else np.random.default_rng(take)
        direct = source(style, times, begun, action=action, session=1)
        assert np.array_equal(moved.rotations, direct.rotations)


def test_an_interrupted_rendering_goes_on(folder, tmp_path):
    half = shutil.copytree(folder, tmp_path / "half")
    (half / "tracklets.parquet").unlink()
    shutil.rmtree(next(path for path in (half / "frames").iterdir() if path.name.endswith("-take")))
    assert digest(render_twins(CONFIG, half, people=2)) == digest(folder)
    before = {path: path.stat().st_mtime_ns for path in half.rglob("*")}
    assert render_twins(CONFIG, half, people=2) == half
    assert {path: path.stat().st_mtime_ns for path in half.rglob("*")} == before


def test_another_world_in_the_folder_is_refused(folder):
    with pytest.raises(ValueError, match=r"holds another world \(people is 2 there, 3 asked\)"):
        render_twins(CONFIG, folder, people=3)


def test_factors_with_one_value_have_no_twin():
    still = replace(CONFIG, views=1, actions=("walk",), walking=1.0)
    assert [twin.factor for twin in twins(still, 1)] == [ORIGINAL, "person", "clothes", "camera", "take", "nothing"]
    # and the others are what they would be
    there = {twin.factor: twin for twin in twins(CONFIG, 1)}
    assert {twin.factor: twin.person for twin in twins(still, 1)}["person"] == there["person"].person


def test_gait_sessions_give_normal_originals():
    gait = replace(CONFIG, conditions=("normal", "uniform"), walking=1.0, queries=1)
    assert {twin.condition for twin in twins(gait)} == {"normal"}
    assert len({twin.clothes for twin in twins(gait, 1)}) == 2


def test_as_many_people_as_there_are():
    assert len({twin.place for twin in twins(CONFIG, 40)}) == 3
    with pytest.raises(ValueError, match="people = 0 must be at least 1"):
        twins(CONFIG, 0)
    with pytest.raises(ValueError, match="test_identities = 1 must be at least 2"):
        twins(replace(CONFIG, test_identities=1))
