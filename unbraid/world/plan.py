"""Which tracklets a world consists of: who, in which clothes, seen by which camera from which side."""

from dataclasses import dataclass

from unbraid.world.config import WorldConfig, view_name
from unbraid.world.people import GROUPS, TEST, TRAIN, identity_name
from unbraid.world.seeds import Purpose, stream


@dataclass(frozen=True, slots=True)
class Shot:
    """One tracklet to render. place: group (TRAIN, TEST), person, outfit and tracklet number."""

    place: tuple[int, int, int, int]
    split: str
    camera: int
    view: int

    @property
    def identity(self) -> str:
        """'test0003'."""
        return identity_name(*self.place[:2])

    @property
    def clothes(self) -> str:
        """'test0003-o1': unique per person and outfit."""
        return f"{self.identity}-o{self.place[2]}"

    @property
    def key(self) -> str:
        """'test0003-o1-t05'."""
        return f"{self.clothes}-t{self.place[3]:02d}"


def plan(config: WorldConfig) -> list[Shot]:
    """All tracklets in the order of the index.

    Cameras and views of an outfit are two random cycles, drawn without looking at the person, so neither tells who
    somebody is. Neighbouring tracklets have different cameras and queries are every second one from the start,
    so every query has a gallery tracklet in the same clothes in another camera.
    """
    shots = []
    for group, people, outfits in (
        (TRAIN, config.train_identities, config.train_outfits),
        (TEST, config.test_identities, config.test_outfits),
    ):
        for number in range(people):
            for outfit in range(outfits):
                shots += _of_outfit(config, group, number, outfit)
    return shots


def labels(config: WorldConfig, shot: Shot) -> dict[str, str]:
    """The label columns of a tracklet."""
    return {
        "clothes": shot.clothes,
        "camera": f"c{shot.camera}",
        "view": view_name(config, shot.view),
        "action": "walk",
    }


def _of_outfit(config: WorldConfig, group: int, number: int, outfit: int) -> list[Shot]:
    random = stream(config.seed, Purpose.ORDER, group, number, outfit)
    cameras, views = random.permutation(config.cameras), random.permutation(config.views)
    shots = []
    for tracklet in range(config.tracklets):
        split = GROUPS[group]
        if group == TEST:
            split = "query" if tracklet % 2 == 0 and tracklet < 2 * config.queries else "gallery"
        shots.append(
            Shot(
                place=(group, number, outfit, tracklet),
                split=split,
                camera=int(cameras[tracklet % config.cameras]),
                view=int(views[tracklet % config.views]),
            )
        )
    return shots
