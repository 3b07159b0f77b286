"""One person seen once by one sensor, nothing decoded yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Modality = Literal["rgb", "silhouette", "depth", "points"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Images:
    """One image file per frame, in time order."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, slots=True)
class VideoSpan:
    """Frames cut from one video: `frames[i]` is a 0-based frame number, `boxes[i]` its crop.

    boxes: left, top, width, height in pixels of the video; empty means whole frames.
    """

    path: Path
    frames: tuple[int, ...]
    boxes: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        if self.boxes and len(self.boxes) != len(self.frames):
            raise ValueError(
                f"{self.path}: {len(self.frames)} frames but {len(self.boxes)} boxes; give one box per frame"
            )

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, slots=True)
class Strip:
    """All frames in one image file, equally tall, one below the other in time order."""

    path: Path
    count: int

    def __len__(self) -> int:
        return self.count


@dataclass(frozen=True, slots=True)
class Arrays:
    """All frames in one .npy, .npz or .pkl file, as an array whose first axis is time.

    Of type bool or uint8, and of shape T H W, T H W 3, T 3 H W, T H W 1 or T 1 H W.
    """

    path: Path
    count: int

    def __len__(self) -> int:
        return self.count


Media = Images | VideoSpan | Strip | Arrays


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One person seen once by one sensor: an ordered run of frames and what is known about it.

    An image is a tracklet of one frame. Files are named, not opened.

    key: unique and stable in its benchmark; joins captions, embeddings and reports.
    identity: None for a person whose identity is unknown (a distractor).
    labels: every other known fact by name: 'camera', 'clothes', 'action', 'view', ...
    mask: where the person is, frame by frame, in the same geometry; None when nobody segmented it.

    Raises ValueError for an empty key, a tracklet of zero frames, and masks that are not one per frame.
    """

    key: str
    media: Media
    modality: Modality = "rgb"
    identity: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    mask: Media | None = None

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("a tracklet needs a key that is unique in its benchmark; got an empty one")
        if len(self.media) == 0:
            raise ValueError(f"tracklet {self.key!r} has no frames; remove it from the index or add its files")
        if self.mask is not None and len(self.mask) != len(self.media):
            raise ValueError(
                f"tracklet {self.key!r} has {len(self.media)} frames but {len(self.mask)} masks; give one per frame"
            )

    def __len__(self) -> int:
        return len(self.media)
