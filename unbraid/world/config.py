"""Everything that decides a synthetic world."""

from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Literal, get_args

from unbraid.data.protocols import CONDITIONS

ACTIONS = ("walk", "run", "jump", "squat", "wave", "reach", "kick", "turn", "carry")
# what can be done with something in the hands
FREE_ARMS = {"walk", "run", "turn"}
# seconds; the nearest camera stands 6 metres away
LONGEST = 3.0
Modality = Literal["rgb", "silhouette", "depth"]
Condition = Literal["normal", "bag", "clothing", "carrying", "umbrella", "uniform", "occlusion", "night"]

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
    """The factors of a synthetic world. Equal configs give equal bytes.

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
    """Tracklets per outfit, or per condition."""
    queries: int = 2
    """Of these, how many go to the query split (test people only). With conditions: how many query tracklets a test
    person has in each, at most `tracklets`."""
    frames: int = 8
    """Frames per tracklet."""
    frame_rate: float = 10.0
    """Frames per second."""
    actions: tuple[str, ...] = ACTIONS
    """What people do; all of it known to the source of motion."""
    walking: float = 0.85
    """Share of tracklets in which they walk; the other actions share the rest."""
    conditions: tuple[Condition, ...] = ()
    """Gait sequences: if given, every person has one gallery session in normal condition and a query session in each of
    these (training people: all of them to train on), instead of one session per outfit."""
    modalities: tuple[Modality, ...] = ("rgb",)
    """What the sensors give: rgb frames, 64 x 64 silhouettes, 64 x 64 LiDAR depth maps; all of the same instants."""
    masks: bool = True
    """Whether every RGB frame comes with the mask of a segmentation network."""
    points: bool = False
    """Whether LiDAR point clouds are kept beside the depth maps."""
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
    """How far styles of moving differ; 0 is everyone alike."""
    appearance_identity: float = 0.0
    """How much skin, hair, head and face belong to the person: 0 not at all (hair goes with the outfit), 1 fully."""
    same_body: bool = False
    """Control: everyone has one and the same body."""
    same_style: bool = False
    """Control: everyone moves in one and the same style."""
    looseness: float = 1.0
    """How far clothes stand off the body."""
    long_garment_rate: float = 0.11
    """Share of coats and dresses."""
    bag_rate: float = 0.3
    """Share of people with a bag, where no condition decides it."""
    wardrobe: int = 0
    """Number of outfits that all people share; 0: every outfit is a draw of its own."""
    box_jitter: float = 0.02
    """Misalignment of the detector boxes, in box heights."""
    occluder_rate: float = 0.25
    """Share of tracklets in which something passes in front, where no condition decides it."""
    truncation_rate: float = 0.1
    """Share of tracklets whose box cuts the person."""
    night_rate: float = 0.0
    """Share of tracklets at night, where no condition decides it."""
    camera_cast: float = 1.0
    """Strength of the colour cast of cameras."""
    camera_noise: float = 1.0
    """Strength of the noise of cameras."""
    camera_leak: float = 0.0
    """Control: share of tracklets whose camera is decided by who is seen."""
    clothes_leak: float = 0.0
    """Control: share of outfits that look like the person's first one, though they count as others."""
    mask_errors: float = 0.25
    """Strength of the errors of masks and silhouettes: 0 none, 0.25 a good segmentation network, 1 a poor one."""
    lidar_near: float = 6.0
    """Smallest distance of the LiDAR, metres."""
    lidar_far: float = 25.0
    """Largest distance of the LiDAR, metres."""
    word_errors: float = 0.1
    """Share of wrong words in captions, as a vision-language model makes them."""
    seed: int = 0
    """Seed of everything."""

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), field.default)
        for name, (low, high) in _limits().items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"world config: {name} = {value} is outside {low} to {high}; choose a value inside")
        for name, allowed in (("modalities", get_args(Modality)), ("conditions", CONDITIONS)):
            wrong = [one for one in getattr(self, name) if one not in allowed]
            if wrong:
                raise ValueError(f"world config: {name} has {wrong[0]!r}; allowed are {', '.join(allowed)}")
        if not self.modalities:
            raise ValueError("world config: modalities is empty; name at least one of rgb, silhouette, depth")
        if not self.actions or (self.walking > 0 and "walk" not in self.actions):
            raise ValueError(
                f"world config: actions = {self.actions} without 'walk' need walking = 0, not {self.walking:g}"
            )
        if not self.conditions and 2 * self.queries > self.tracklets:
            raise ValueError(
                f"world config: queries = {self.queries} of tracklets = {self.tracklets} per outfit leave "
                f"too few for the gallery; every query needs a gallery tracklet in the same clothes, "
                f"so keep queries <= tracklets / 2"
            )
        if self.wardrobe and self.wardrobe < max(self.train_outfits, self.test_outfits, 2 * bool(self.conditions)):
            raise ValueError(
                f"world config: wardrobe = {self.wardrobe} outfits are fewer than a person has; use 0 or more of them"
            )
        if self.points and "depth" not in self.modalities:
            raise ValueError(
                "world config: points = True needs 'depth' among the modalities: points come from the LiDAR"
            )
        if (self.frames - 1) / self.frame_rate > LONGEST:
            raise ValueError(
                f"world config: frames = {self.frames} at frame_rate = {self.frame_rate:g} last "
                f"{(self.frames - 1) / self.frame_rate:g} s, in which people could walk past the camera; keep it at "
                f"{LONGEST:g} s or below"
            )
        if self.conditions and self.walking < 1 and not set(self.actions) <= FREE_ARMS:
            raise ValueError(
                f"world config: people with umbrellas and boxes cannot do all of {', '.join(self.actions)}; with "
                f"conditions use walking = 1, or actions among {', '.join(sorted(FREE_ARMS))}"
            )
        if self.lidar_near > self.lidar_far:
            raise ValueError(f"world config: lidar_near = {self.lidar_near:g} is beyond lidar_far = {self.lidar_far:g}")
        if 360 / self.views <= 2 * self.view_jitter:
            raise ValueError(
                f"world config: view_jitter = {self.view_jitter} degrees mixes up {self.views} views that are "
                f"{360 / self.views:g} degrees apart; keep it below half of that"
            )

    def moved_by(self, actions: tuple[str, ...]) -> "WorldConfig":
        """The config with the actions of recorded motion where it names none of its own; nobody walks if no one did."""
        if self.actions != ACTIONS:
            return self
        return replace(self, actions=actions, walking=self.walking if "walk" in actions else 0.0)

    @property
    def sessions(self) -> tuple[int, int]:
        """Sessions of a training and of a test person: outfits, or a gallery session and one per condition."""
        if self.conditions:
            return 1 + len(self.conditions), 1 + len(self.conditions)
        return self.train_outfits, self.test_outfits

    @property
    def total_frames(self) -> int:
        """Number of instants that are recorded in the whole world."""
        train, test = (sessions * self.tracklets for sessions in self.sessions)
        if self.conditions:
            test = self.tracklets + len(self.conditions) * min(self.queries, self.tracklets)
        return (self.train_identities * train + self.test_identities * test) * self.frames


def view_angle(config: WorldConfig, view: int) -> float:
    """Degrees from the walking direction to the camera, counter-clockwise seen from above, in 0..360."""
    return 360.0 * view / config.views


def view_name(config: WorldConfig, view: int) -> str:
    """'front' for a camera the person walks towards, then counter-clockwise: 'left' sees the person's left side."""
    angle = view_angle(config, view)
    return NAMED_VIEWS.get(round(angle), f"{angle:g}deg") if angle == round(angle) else f"{angle:.1f}deg"


def _check_type(name: str, value: object, default: object) -> None:
    """Raise ValueError when a value has another type than the field's default; a whole number may stand for any."""
    if isinstance(default, tuple):
        good, wanted = isinstance(value, tuple) and all(isinstance(one, str) for one in value), "words"
    elif isinstance(default, bool):
        good, wanted = isinstance(value, bool), "true or false"
    else:
        wanted = "a whole number" if isinstance(default, int) else "a number"
        kinds = (int,) if isinstance(default, int) else (int, float)
        good = isinstance(value, kinds) and not isinstance(value, bool) and isfinite(value)
    if not good:
        raise ValueError(f"world config: {name} = {value!r} must be {wanted}")


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
        "walking": (0.0, 1.0),
        "wardrobe": (0, 9999),
        "night_rate": (0.0, 1.0),
        "camera_leak": (0.0, 1.0),
        "clothes_leak": (0.0, 1.0),
        "mask_errors": (0.0, 3.0),
        "lidar_near": (6.0, 100.0),
        "lidar_far": (6.0, 100.0),
        "word_errors": (0.0, 1.0),
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
