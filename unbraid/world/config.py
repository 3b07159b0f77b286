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

    Training and test people are different people. Raises ValueError naming the field, the value and what is allowed.
    """

    train_identities: int = 120
    """People to train on."""
    test_identities: int = 60
    """Other people, for query and gallery."""
    train_outfits: int = 4
    """Outfits per training person."""
    test_outfits: int = 4
    """Outfits per test person."""
    tracklets: int = 8
    """Tracklets per outfit."""
    queries: int = 2
    """Of these, how many go to the query split (test people only)."""
    frames: int = 8
    """Frames per tracklet."""
    frame_rate: float = 10.0
    """Frames per second."""
    cameras: int = 6
    """Cameras, each with a background, colours, blur, noise, height and distance of its own."""
    views: int = 4
    """Directions of walking relative to the camera, evenly around."""
    view_jitter: float = 8.0
    """Largest deviation from a view, degrees."""
    height: int = 256
    """Height of a frame, pixels."""
    width: int = 128
    """Width of a frame, pixels."""
    jpeg_quality: int = 95
    """JPEG quality, 1 to 100."""
    body_spread: float = 1.8
    """How far bodies differ; 1 is as among the stored adults."""
    posture_spread: float = 1.0
    """How far postures differ; 0 is everyone alike."""
    gait_spread: float = 1.0
    """How far styles of walking differ; 0 is everyone alike."""
    looseness: float = 1.0
    """How far clothes stand off the body."""
    long_garment_rate: float = 0.11
    """Share of coats and dresses."""
    bag_rate: float = 0.3
    """Share of backpacks."""
    box_jitter: float = 0.04
    """Misalignment of the detector boxes, in box heights."""
    occluder_rate: float = 0.25
    """Share of tracklets in which something passes in front."""
    truncation_rate: float = 0.1
    """Share of tracklets whose box cuts the person."""
    camera_cast: float = 1.0
    """Strength of the colour cast of cameras."""
    camera_noise: float = 1.0
    """Strength of the noise of cameras."""
    appearance_identity: float = 0.0
    """How much skin and hair tone belong to the person: 0 not at all (hair goes with the outfit), 1 fully."""
    seed: int = 0
    """Seed of everything."""

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
