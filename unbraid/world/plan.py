"""Which tracklets a world consists of: who, in which clothes, doing what, seen by which camera from which side."""

from dataclasses import dataclass

import numpy as np

from unbraid.data.protocols import (
    CAMERA_CHANGE,
    CLOTHES_CHANGE,
    CROSS_ACTIVITY,
    CROSS_ACTIVITY_AND_CLOTHES,
    CROSS_ACTIVITY_OTHER_CAMERA,
    GAIT,
    ONE_CLOTHES_CHANGE,
    SAME_ACTIVITY,
    SAME_ACTIVITY_OTHER_CAMERA,
    SAME_CLOTHES,
)
from unbraid.world.clothes.holding import Held
from unbraid.world.clothes.wardrobe import held_of
from unbraid.world.config import WorldConfig, view_name
from unbraid.world.people.person import GROUPS, TEST, TRAIN, identity_name
from unbraid.world.seeds import Purpose, stream

UNIFORM = "uniform"


@dataclass(frozen=True, slots=True)
class Shot:
    """One walk past the sensors: a tracklet per modality.

    place: group (TRAIN, TEST), person, session and number within it. condition: one of CONDITIONS, or 'any' where the
    config's rates decide about bags, occluders and night. other_outfit: the outfit in which a query looks for its
    person under the protocols with one other outfit; -1 when there is none.
    """

    place: tuple[int, int, int, int]
    split: str
    outfit: int
    condition: str
    camera: int
    view: int
    action: str
    night: bool
    other_outfit: int = -1

    @property
    def identity(self) -> str:
        """'test0003'."""
        return identity_name(*self.place[:2])

    @property
    def clothes(self) -> str:
        """'test0003-o1': unique per person and outfit; 'uniform' for those who all wear the same."""
        return UNIFORM if self.condition == UNIFORM else f"{self.identity}-o{self.outfit}"

    @property
    def held(self) -> Held:
        """What the hands hold: as the condition says, else who carries has a box."""
        held = held_of(self.condition)
        return "box" if held == "nothing" and self.action == "carry" else held

    @property
    def key(self) -> str:
        """'test0003-s1-t05'."""
        return f"{self.identity}-s{self.place[2]}-t{self.place[3]:02d}"


def plan(config: WorldConfig) -> list[Shot]:
    """All shots in the order of the index.

    Cameras and views of a session are two random cycles, drawn without looking at the person, so neither tells who
    somebody is. In a session of query and gallery the cycle of cameras runs through the gallery first and then through
    the queries. So every query has a gallery tracklet in the same clothes in another camera, and where the gallery
    tracklets of an outfit are a multiple of the cameras, a query has equally many in its own clothes and in another
    outfit.
    """
    shots = []
    for group, people, sessions in (
        (TRAIN, config.train_identities, config.sessions[0]),
        (TEST, config.test_identities, config.sessions[1]),
    ):
        for number in range(people):
            for session in range(sessions):
                shots += _of_session(config, group, number, session)
    return shots


def labels(config: WorldConfig, shot: Shot) -> dict[str, str | None]:
    """The label columns of a tracklet."""
    known: dict[str, str | None] = {
        "clothes": shot.clothes,
        "camera": f"c{shot.camera}",
        "view": view_name(config, shot.view),
        "action": shot.action,
        "condition": "normal" if shot.condition == "any" else shot.condition,
    }
    if shot.condition == "any" and shot.night:
        known["condition"] = "night"
    if not config.conditions and config.test_outfits > 1:
        known["other_clothes"] = None if shot.other_outfit < 0 else f"{shot.identity}-o{shot.other_outfit}"
    return known


def protocols(config: WorldConfig) -> list[str]:
    """Names of the protocols that a world can answer; the first is its default."""
    if config.conditions:
        there = set(config.modalities)
        return [p.name for p in GAIT if {*p.query.labels["modality"], *p.gallery.labels["modality"]} <= there]
    clothes = [CLOTHES_CHANGE, SAME_CLOTHES, ONE_CLOTHES_CHANGE] if config.test_outfits > 1 else []
    activity = []
    if config.walking < 1 and len(config.actions) > 1:
        activity = [SAME_ACTIVITY, SAME_ACTIVITY_OTHER_CAMERA, CROSS_ACTIVITY, CROSS_ACTIVITY_OTHER_CAMERA]
        activity += [CROSS_ACTIVITY_AND_CLOTHES] if clothes else []
    # what varies most comes first
    found = [*activity, *clothes] if config.walking < 0.5 else [*clothes, *activity]
    return [p.name for p in (*found, CAMERA_CHANGE)]


def _of_session(config: WorldConfig, group: int, number: int, session: int) -> list[Shot]:
    random = stream(config.seed, Purpose.ORDER, group, number, session)
    cameras, views = random.permutation(config.cameras), random.permutation(config.views)
    condition = "any"
    if config.conditions:
        condition = "normal" if session == 0 else config.conditions[session - 1]
    outfit = session if not config.conditions else int(condition == "clothing")
    shots = []
    for tracklet in range(config.tracklets):
        split = _split(config, group, session, tracklet)
        leaks = random.random() < config.camera_leak
        action = _action(config, random)
        night = bool(random.random() < config.night_rate) if condition == "any" else condition == "night"
        other = -1
        if split == "query" and not config.conditions and config.test_outfits > 1:
            other = int((outfit + random.integers(1, config.test_outfits)) % config.test_outfits)
        shots.append(
            Shot(
                place=(group, number, session, tracklet),
                split=split,
                outfit=outfit,
                condition=condition,
                camera=number % config.cameras if leaks else int(cameras[tracklet % config.cameras]),
                view=int(views[tracklet % config.views]),
                action=action,
                night=night,
                other_outfit=other,
            )
        )
    return shots


def _split(config: WorldConfig, group: int, session: int, tracklet: int) -> str:
    """Outfits: the last tracklets of each are queries. Conditions: the first session is the gallery."""
    if group == TRAIN:
        return GROUPS[TRAIN]
    asks = session > 0 if config.conditions else tracklet >= config.tracklets - config.queries
    return "query" if asks else "gallery"


def _action(config: WorldConfig, random: np.random.Generator) -> str:
    walks, other = random.random() < config.walking, random.random()
    others = [action for action in config.actions if action != "walk"]
    if walks or not others:
        return "walk"
    return others[int(other * len(others))]
