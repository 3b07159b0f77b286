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
    OTHER_CAMERAS,
    SAME_ACTIVITY,
    SAME_ACTIVITY_OTHER_CAMERA,
    SAME_CLOTHES,
)
from unbraid.protocol import Protocol
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
    config's rates decide about bags, occluders and night. worn: the outfit that is seen, another than `outfit` only
    where clothes leak. other_outfit: the outfit in which a query looks for its
    person under the protocols with one other outfit; -1 when there is none.
    """

    place: tuple[int, int, int, int]
    split: str
    outfit: int
    worn: int
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

    Cameras and views of a session are random cycles, drawn without looking at the person and anew for queries and
    gallery, so neither tells who somebody is. Every query has a gallery tracklet in the same clothes in another
    camera; where the gallery tracklets of an outfit are a multiple of the cameras, it has equally many in its own
    clothes and in another outfit, and on average equally many of them from its own side.
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
    }
    if config.conditions:
        known["condition"] = shot.condition
    elif config.night_rate > 0:
        known["light"] = "night" if shot.night else "day"
    if not config.conditions and config.test_outfits > 1:
        known["other_clothes"] = None if shot.other_outfit < 0 else f"{shot.identity}-o{shot.other_outfit}"
    return known


def protocols(config: WorldConfig) -> list[str]:
    """Names of the protocols that a world can answer; the first is its default."""
    if config.conditions:
        there: set[str] = set(config.modalities)
        return [p.name for p in GAIT if _answers(p, there, set(config.conditions))] or [CAMERA_CHANGE.name]
    clothes = [CLOTHES_CHANGE, SAME_CLOTHES, ONE_CLOTHES_CHANGE, OTHER_CAMERAS] if config.test_outfits > 1 else []
    activity = []
    done = {a for a in config.actions if (config.walking > 0 if a == "walk" else config.walking < 1)}
    if len(done) > 1:
        activity = [SAME_ACTIVITY, SAME_ACTIVITY_OTHER_CAMERA, CROSS_ACTIVITY, CROSS_ACTIVITY_OTHER_CAMERA]
        activity += [CROSS_ACTIVITY_AND_CLOTHES] if clothes else []
    # what varies most comes first
    found = [*activity, *clothes] if config.walking < 0.5 else [*clothes, *activity]
    return [p.name for p in (*found, CAMERA_CHANGE)]


def _answers(protocol: Protocol, modalities: set[str], conditions: set[str]) -> bool:
    """Whether a world of gait sessions holds what a protocol of GAIT asks for."""
    asked, offered = protocol.query.labels, protocol.gallery.labels
    # all conditions together need no particular one
    wanted = set() if len(asked["condition"]) > 1 else set(asked["condition"])
    return {*asked["modality"], *offered["modality"]} <= modalities and wanted <= conditions


def _of_session(config: WorldConfig, group: int, number: int, session: int) -> list[Shot]:
    random = stream(config.seed, Purpose.ORDER, group, number, session)
    # Of each split its own cycles: a query's camera and view say nothing about those of its gallery.
    cycles = [(random.permutation(config.cameras), random.permutation(config.views)) for _ in range(2)]
    first = config.tracklets - config.queries
    if first == 1 and not config.conditions and cycles[0][0][0] == cycles[1][0][0]:
        cycles[1] = (np.roll(cycles[1][0], 1), cycles[1][1])
    worn = 0 if random.random() < config.clothes_leak else session
    condition = "any"
    if config.conditions:
        condition = "normal" if session == 0 else config.conditions[session - 1]
    outfit = session if not config.conditions else int(condition == "clothing")
    number_of = config.tracklets
    if config.conditions and group == TEST and session > 0:
        number_of = min(config.queries, config.tracklets)
    shots = []
    for tracklet in range(number_of):
        split = _split(config, group, session, tracklet)
        asks = split == "query" and not config.conditions
        cameras, views = cycles[asks]
        step = tracklet - first if asks else tracklet
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
                worn=outfit if config.conditions else worn,
                condition=condition,
                camera=number % config.cameras if leaks else int(cameras[step % config.cameras]),
                view=int(views[step % config.views]),
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
