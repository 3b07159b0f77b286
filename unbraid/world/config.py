"""Everything that decides a synthetic world."""

from dataclasses import dataclass, fields
from math import isfinite

NAMED_VIEWS = {
    0: "front",
    45: "front-left",
    90: "left",
    135: "back-left",
    180: "back",
    225: "back-right",
    270: "right",
    315: "front-right",
}


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """The factors of a synthetic clothes-changing world. Equal configs give equal bytes.

    People: train_identities and test_identities are different people; train_outfits and test_outfits are outfits
    per person; tracklets per outfit, of which queries go to the query split (test people only);
    frames per tracklet, frame_rate in frames per second.
    Sensors: cameras; views spread evenly around the walking direction, each jittered by up to
    view_jitter degrees; height and width of a frame in pixels; jpeg_quality 1..100.
    Difficulty: body_spread exaggerates build (1: as among the stored adults), posture_spread and gait_spread
    exaggerate posture and style of walking (0: everyone alike), looseness scales how far clothes stand off,
    long_garment_rate is the share of coats and dresses, bag_rate of backpacks, box_jitter the misalignment of
    detector boxes in box heights, occluder_rate and truncation_rate the share of tracklets with something
    passing in front or a cut box, camera_cast and camera_noise scale colour cast and noise,
    appearance_identity how much skin and hair tone depend on the person (0: skin alike, hair with the outfit;
    1: fully).

    Raises ValueError naming the field, the value and what is allowed.
    """

    train_identities: int = 120
    test_identities: int = 60
    train_outfits: int = 4
    test_outfits: int = 4
    tracklets: int = 8
    queries: int = 2
    frames: int = 8
    frame_rate: float = 10.0
    cameras: int = 6
    views: int = 4
    view_jitter: float = 8.0
    height: int = 256
    width: int = 128
    jpeg_quality: int = 95
    body_spread: float = 1.8
    posture_spread: float = 1.0
    gait_spread: float = 1.0
    looseness: float = 1.0
    long_garment_rate: float = 0.11
    bag_rate: float = 0.3
    box_jitter: float = 0.04
    occluder_rate: float = 0.25
    truncation_rate: float = 0.1
    camera_cast: float = 1.0
    camera_noise: float = 1.0
    appearance_identity: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            wanted = "a whole number" if field.type in (int, "int") else "a number"
            good = isinstance(value, int) or (wanted == "a number" and isinstance(value, float))
            if not good or isinstance(value, bool) or not isfinite(value):
                raise ValueError(f"world config: {field.name} = {value!r} must be {wanted}")
        for name, (low, high) in _limits().items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"world config: {name} = {value} is outside {low} to {high}; choose a value inside")
        if 2 * self.queries > self.tracklets:
            raise ValueError(
                f"world config: queries = {self.queries} of tracklets = {self.tracklets} per outfit leave "
                f"too few for the gallery; every query needs a gallery tracklet in the same clothes, "
                f"so keep queries <= tracklets / 2"
            )
        if 360 / self.views <= 2 * self.view_jitter:
            raise ValueError(
                f"world config: view_jitter = {self.view_jitter} degrees mixes up {self.views} views that are "
                f"{360 / self.views:g} degrees apart; keep it below half of that"
            )

    @property
    def total_frames(self) -> int:
        """Number of images in the whole world."""
        outfits = self.train_identities * self.train_outfits + self.test_identities * self.test_outfits
        return outfits * self.tracklets * self.frames


def view_angle(config: WorldConfig, view: int) -> float:
    """Degrees from the walking direction to the camera, counter-clockwise seen from above, in 0..360."""
    return 360.0 * view / config.views


def view_name(config: WorldConfig, view: int) -> str:
    """'front' for a camera the person walks towards, then counter-clockwise: 'left' sees the person's left side."""
    angle = view_angle(config, view)
    return NAMED_VIEWS.get(round(angle), f"{angle:g}deg") if angle == round(angle) else f"{angle:.1f}deg"


def _limits() -> dict[str, tuple[float, float]]:
    """The smallest and largest allowed value of each field."""
    return {
        "train_identities": (1, 9999),
        "test_identities": (1, 9999),
        "train_outfits": (1, 99),
        "test_outfits": (1, 99),
        "tracklets": (2, 99),
        "queries": (1, 49),
        "frames": (1, 9999),
        "frame_rate": (0.1, 1000.0),
        "cameras": (2, 99),
        "views": (1, 36),
        "view_jitter": (0.0, 180.0),
        "height": (32, 2048),
        "width": (16, 2048),
        "jpeg_quality": (1, 100),
        "body_spread": (0.0, 2.5),
        "posture_spread": (0.0, 2.0),
        "gait_spread": (0.0, 2.0),
        "looseness": (0.0, 4.0),
        "long_garment_rate": (0.0, 1.0),
        "bag_rate": (0.0, 1.0),
        "box_jitter": (0.0, 0.3),
        "occluder_rate": (0.0, 1.0),
        "truncation_rate": (0.0, 1.0),
        "camera_cast": (0.0, 3.0),
        "camera_noise": (0.0, 5.0),
        "appearance_identity": (0.0, 1.0),
        "seed": (0, 2**32 - 1),
    }
