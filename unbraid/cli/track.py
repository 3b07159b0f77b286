"""People in a video."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def track(
        video: tyro.conf.Positional[Path],
        out: Path,
        boxes: Path | None = None,
        detector: Literal["motion", "hog"] = "motion",
        every: int = 3,
        upscale: float = 1.5,
        minimum_score: float = 0.4,
        minimum_overlap: float = 0.3,
        maximum_gap: int = 15,
        minimum_length: int = 8,
        maximum_frames: int = 1000,
        start: int = 0,
        stop: int | None = None,
        height: int = 256,
        width: int = 128,
        camera: str | None = None,
        json: bool = False,
    ) -> None:
        """Find the people of a video, link them over time, and write one tracklet per person.

        Args:
            video: Any video that ffmpeg reads.
            out: Tracklet folder to write; new or empty.
            boxes: Boxes of your own detector or tracker, in MOT format.
            detector: motion (fixed camera): what leaves the background, checked by HOG. hog: OpenCV's HOG everywhere.
            every: Look for people in every n-th frame; boxes between are interpolated.
            upscale: Enlarge pictures before HOG, whose smallest person is about 100 pixels tall.
            minimum_score: Least score of a box.
            minimum_overlap: Least overlap (IoU) that links a box to a person.
            maximum_gap: Frames a person may be lost and still be the same.
            minimum_length: Detected boxes a person needs.
            maximum_frames: Keep so many frames of a long track, evenly spaced.
            start: First frame to search.
            stop: Frame to stop before; the end by default.
            height: Height of the crops in pixels.
            width: Width of the crops in pixels.
            camera: Name of the camera; the name of the video by default.
            json: Print the result as JSON.
        """
        from unbraid.track import track as verb

        folder = verb(
            video,
            out,
            boxes=boxes,
            detector=detector,
            every=every,
            upscale=upscale,
            minimum_score=minimum_score,
            minimum_overlap=minimum_overlap,
            maximum_gap=maximum_gap,
            minimum_length=minimum_length,
            maximum_frames=maximum_frames,
            start=start,
            stop=stop,
            height=height,
            width=width,
            camera=camera,
        )
        show({"root": str(folder)}, f"Tracklets: {folder}", json)

    parse(track, "track", arguments)
