"""Twins: shots of the world taken again with one factor changed, everything else as it was.

Every original is a shot that the world of the same config holds. Its twin is made of the same chance: same streams,
same draws, in the same order. What follows from the factor follows: another body casts another shadow, and the
detector's box fits whoever is in it. A folder of twins is a tracklet folder (see `data.sets.folder`) with two labels
more: `twin_of`, the key of the original, and `factor`, a key of FACTORS; both are missing for originals.

Source: not in a paper; the counterfactuals of structural causal models, for a world whose every equation is known.
"""

import copy
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unbraid.data.protocols import PLAIN
from unbraid.data.sets.folder import INDEX, read_origin, save_index
from unbraid.progress import track
from unbraid.world.clothes.wardrobe import NOBODY
from unbraid.world.config import WorldConfig
from unbraid.world.motion import Motion, MotionSource, Procedural, Style
from unbraid.world.people.person import TEST, identity_name, person
from unbraid.world.people.skeleton import Floats
from unbraid.world.plan import Shot, plan
from unbraid.world.render import VERSION as PIXELS
from unbraid.world.render import one_thread
from unbraid.world.seeds import Purpose, stream
from unbraid.world.store import STAGING, camera_of, claim, finished, index_rows, outfit_of, save

if TYPE_CHECKING:
    from unbraid.world.clothes.holding import Held
    from unbraid.world.sensors.picture import Actor

# Raised whenever the same config gives other twins.
VERSION = 1
# what can differ, and the label that says so; in the order of tables and sheets
FACTORS = {
    "person": "identity",
    "clothes": "clothes",
    "camera": "camera",
    "modality": "modality",
    "action": "action",
    "view": "view",
    "take": "take",
    "nothing": "noise",
}
ORIGINAL = "original"
PEOPLE = 40


@dataclass(frozen=True)
class Twin(Shot):
    """An original or one of its twins. `place` is that of the original: it decides all chance.

    factor: ORIGINAL or a key of FACTORS. person: number of the test person who is seen. take: 0, or 1 for another clip
    of the same activity. noise: 0, or 1 for other noise of every sensor.
    """

    factor: str = ORIGINAL
    person: int = -1
    take: int = 0
    noise: int = 0

    @property
    def identity(self) -> str:
        """Who is seen."""
        return identity_name(TEST, self.person)

    @property
    def clothes(self) -> str:
        """Whose outfit is seen: that of the original's person, whoever wears it."""
        return f"{identity_name(*self.place[:2])}-o{self.outfit}"

    @property
    def key(self) -> str:
        """'test0003-s1-t05' as in the world itself, 'test0003-s1-t05-clothes' for its twin in other clothes."""
        original = f"{identity_name(*self.place[:2])}-s{self.place[2]}-t{self.place[3]:02d}"
        return original if self.factor == ORIGINAL else f"{original}-{self.factor}"


def twins(config: WorldConfig, people: int = PEOPLE) -> list[Twin]:
    """One original of each of the first `people` test people, each followed by its twins.

    Originals are drawn from the gallery; what a factor changes to is drawn too. The factor 'modality' needs no shot of
    its own, because the sensors of one world see the same instants, and a factor with a single value has no twin.
    Raises ValueError when `people` is below 1 or the world has a single test person.
    """
    if people < 1:
        raise ValueError(f"people = {people} must be at least 1")
    if config.test_identities < 2:
        raise ValueError("twins need another person to compare with: test_identities = 1 must be at least 2")
    shots: dict[int, list[Shot]] = {}
    for shot in plan(config):
        if shot.split == "gallery":
            shots.setdefault(shot.place[1], []).append(shot)
    return [twin for number in range(min(people, config.test_identities)) for twin in _of(config, shots[number])]


def _of(config: WorldConfig, shots: list[Shot]) -> Iterator[Twin]:
    """One of the shots, and its twins."""
    number = shots[0].place[1]
    random = stream(config.seed, Purpose.ORDER, TEST, number, NOBODY)
    shot = shots[int(random.integers(len(shots)))]
    original = Twin(**{field.name: getattr(shot, field.name) for field in fields(Shot)}, person=number)
    yield original
    outfits = max(2, 2 if config.conditions else config.test_outfits)
    for factor, field, count in (
        ("person", "person", config.test_identities),
        ("clothes", "outfit", outfits),
        ("camera", "camera", config.cameras),
        ("view", "view", config.views),
    ):
        # drawn in any case, so that no factor depends on how many values another one has
        step = 1 + int(random.random() * (count - 1))
        if count > 1:
            other = (getattr(original, field) + step) % count
            yield replace(original, factor=factor, **{field: other} | ({"worn": other} if factor == "clothes" else {}))
    actions, chance = [action for action in config.actions if action != original.action], random.random()
    if actions:
        yield replace(original, factor="action", action=actions[int(chance * len(actions))])
    yield replace(original, factor="take", take=1)
    yield replace(original, factor="nothing", noise=1)


@dataclass(frozen=True, eq=False)
class SameChance:
    """Motion whose chance is the original's, whatever the twin changes about it.

    style, action: of the original; they decide how much of the clip's stream is used up, so that everything drawn after
    the motion is what it was. take: chance of another clip, used once; None for that of the original.
    """

    source: MotionSource
    style: Style
    action: str
    take: np.random.Generator | None = None

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def actions(self) -> tuple[str, ...]:
        return self.source.actions

    def __call__(
        self, style: Style, times: Floats, random: np.random.Generator, *, action: str, session: int
    ) -> Motion:
        """See `MotionSource`."""
        own = copy.deepcopy(random) if self.take is None else self.take
        self.source(self.style, times, random, action=self.action, session=session)
        return self.source(style, times, own, action=action, session=session)


def render_twins(
    config: WorldConfig,
    out: Path,
    *,
    people: int = PEOPLE,
    motion: MotionSource | None = None,
    name: str = "world",
) -> Path:
    """The folder `out`, holding originals and twins of the world of `config` as a tracklet folder.

    All tracklets are in its gallery. Finished twins are returned at once, an interrupted rendering goes on.
    people: see `twins`. name: of the world; the twins are called NAME/twins.
    Raises ValueError when `out` is a file or holds something else, and as `twins`; OSError when it cannot be written.

        from unbraid.world import named_world
        render_twins(named_world("clothes/tiny").config, Path("twins"))
    """
    out, source = Path(out), motion or Procedural()
    every = twins(config, people)
    originals = {twin.place: twin for twin in every if twin.factor == ORIGINAL}
    settings = json.loads(json.dumps(asdict(config)))
    wanted = {"version": PIXELS, "twins": VERSION, "people": len(originals), "motion": source.name, "config": settings}
    origin = {"name": f"{name}/twins", "synthetic": True, **wanted, "protocols": [PLAIN.name]}
    claim(out, wanted)
    missing = [twin for twin in every if not finished(config, out, twin)]
    if not missing and (out / INDEX).is_file() and read_origin(out) == origin:
        return out
    shutil.rmtree(out / STAGING, ignore_errors=True)
    tasks = [list(group) for _, group in groupby(missing, key=lambda twin: twin.place)]
    with one_thread():
        for task in track(tasks, "rendering twins"):
            _render(config, out, task, originals[task[0].place], source)
    shutil.rmtree(out / STAGING, ignore_errors=True)
    save_index(out, [row for twin in every for row in _rows(config, twin)], origin)
    return out


def _render(config: WorldConfig, out: Path, twins: Sequence[Twin], original: Twin, source: MotionSource) -> None:
    """Render and store the missing ones of one original and its twins."""
    from unbraid.world.sensors.picture import actor, record

    own = SameChance(source, person(config, TEST, original.person).style, original.action)
    actors: dict[tuple[int, int, Held], Actor] = {}
    for twin in twins:
        looks = (twin.person, twin.worn, twin.held)
        if looks not in actors:
            actors[looks] = actor(config, person(config, TEST, twin.person), outfit_of(config, twin), twin.held)
        take = stream(config.seed, Purpose.CLIP, *_beside(twin, NOBODY)) if twin.take else None
        noise = _beside(twin, 2 * NOBODY) if twin.noise else ()
        seen_by = camera_of(config, twin.camera)
        save(config, out, twin, record(config, actors[looks], seen_by, twin, replace(own, take=take), noise=noise))


def _beside(twin: Twin, away: int) -> tuple[int, ...]:
    """A place that no shot of any world has, so that its draws get streams of their own."""
    group, number, session, tracklet = twin.place
    return group, number, away + session, tracklet


def _rows(config: WorldConfig, twin: Twin) -> list[dict[str, Any]]:
    """The index rows of one: a tracklet per modality, and for an original its twins of other modality.

    Those are the original's other tracklets under another key. A LiDAR does not look through the camera, so its
    tracklets have no twin before another one.
    """
    rows, found = index_rows(config, twin), []
    for row in rows:
        if twin.factor == "camera" and row["modality"] == "depth":
            continue
        # `walk` and `other_clothes` are no factors: they name tracklets of the world itself
        row = {name: value for name, value in row.items() if name not in ("walk", "other_clothes")}
        row |= {"split": "gallery", "take": f"take{twin.take}", "noise": f"noise{twin.noise}"}
        if twin.factor != ORIGINAL:
            found.append({**row, "twin_of": row["key"].replace(f"-{twin.factor}", "", 1), "factor": twin.factor})
            continue
        found.append(row)
        for other in rows:
            if other["modality"] != row["modality"]:
                shown = {"key": f"{other['key']}-as-{row['modality']}", "twin_of": other["key"], "factor": "modality"}
                found.append({**row, **shown})
    return found
