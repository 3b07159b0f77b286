"""Recorded people as a motion source of the world."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unbraid.world.capture.clip import Clip, long_enough, without_rest_frame
from unbraid.world.capture.files import read_clip
from unbraid.world.capture.packed import Packed
from unbraid.world.capture.restyle import gain, restyle
from unbraid.world.capture.retarget import Recording, between_frames, retarget
from unbraid.world.capture.takes import SESSIONS, Part, Take, parts_of, places, pool
from unbraid.world.motion import Motion, Style
from unbraid.world.people.skeleton import INDEX, Floats, turn

# Frames of recordings that one process keeps, about 1.4 kB each.
KEPT_FRAMES = 40_000
# Half of the time over which a heading is measured, seconds, and the speed from which it is that of the path.
HEADING_SECONDS, TRAVEL_SPEED, TRAVEL_COSINE = 0.5, 0.35, 0.5
CARRY, WALK = "carry", "walk"


@dataclass(eq=False)
class Capture:
    """A motion source of recorded clips; `open_motion` makes one.

    root: folder of the files. takes: what they hold. name: 'capture:' and the hash of file names and contents.
    actions: what the clips show, and 'carry' when there is a walk. Pickled, it is this list; the clips are read
    when they are asked for.
    """

    root: Path
    takes: tuple[Take, ...]
    name: str
    actions: tuple[str, ...] = field(init=False)
    _recordings: dict[Take, Recording] = field(init=False, default_factory=dict)
    _opened: dict[str, Packed] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        known = {take.action for take in self.takes}
        self.actions = tuple(sorted(known | ({CARRY} if WALK in known else set())))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recordings": {}, "_opened": {}}

    def __call__(
        self, style: Style, times: Floats, random: np.random.Generator, *, action: str, session: int
    ) -> Motion:
        """The motion of a recorded person, in the manner of `style`.

        times (T,): seconds, rising, about 60 per second, 0 in the middle. session: 0 query, 1 gallery and training;
        no frame of a recording belongs to both. The recorded person follows from `style.source` (see
        `takes.pool`), clip and start from `random`; the tempo is that of the recording times the cadence gain. A
        recording that is too short is mirrored in time (see `takes.places`). The person faces -y at time 0: along
        the path when walking, else with the pelvis; the root is then at the horizontal origin. Its feet stand and fly
        where those of the recorded person did.
        Raises ValueError for an unknown action or session, or times that do not rise.
        """
        self._check(action, session, times)
        held = action == CARRY and not any(take.action == CARRY for take in self.takes)
        parts = parts_of(pool(self.takes, WALK if held else action, style.source), session)
        part = parts[int(random.integers(len(parts)))]
        recording = self.recording(part.take)
        place, middle = places(part, times, gain(style, "cadence"), float(random.uniform()))
        moved = between_frames(recording, place, part.first, part.last)
        origin = between_frames(recording, middle, part.first, part.last).translation
        rotations = restyle(moved.rotations, recording.rotations[part.first : part.last], style)
        facing = turn("z", -heading(recording, part, float(middle[0])))
        rotations[:, INDEX["root"]] = facing @ rotations[:, INDEX["root"]]
        path = (moved.translation - origin * (1, 1, 0)) * (gain(style, "stride"), gain(style, "stride"), 1)
        motion = Motion(rotations=rotations, translation=path @ facing.T, lift=moved.lift)
        if not held:
            return motion
        from unbraid.world.clothes.holding import hold

        return hold(motion, "box")

    def recording(self, take: Take) -> Recording:
        """The clip of a take on our bones, kept while there is room."""
        if take not in self._recordings:
            recording = load(self.root, take, self._opened)
            kept = sum(other.frames for other in self._recordings.values())
            if kept + recording.frames > KEPT_FRAMES:
                self._recordings.clear()
            self._recordings[take] = recording
        return self._recordings[take]

    def _check(self, action: str, session: int, times: Floats) -> None:
        if action not in self.actions:
            raise ValueError(f"no clip shows {action!r}; the clips of {self.root} show {', '.join(self.actions)}")
        if session not in SESSIONS:
            raise ValueError(f"session must be 0 (query) or 1 (gallery and training), got {session!r}")
        if times.ndim != 1 or not len(times) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            raise ValueError(f"times must be finite, rising seconds (T,) with at least one; got shape {times.shape}")


def load(root: Path, take: Take, opened: dict[str, Packed]) -> Recording:
    """Read a take again. Raises ValueError when the file is not the one that was opened."""
    clip = cleaned(read_clip(root / take.file, take.number, take.action, take.subject, opened))
    if len(clip.rotations) != take.frames or clip.rate != take.rate:
        raise ValueError(f"{clip.file}: the file changed since it was opened; open the folder again")
    return retarget(clip)


def cleaned(clip: Clip) -> Clip:
    """Without a calibration pose at its beginning. Raises ValueError when too little is left."""
    return long_enough(without_rest_frame(clip))


def heading(recording: Recording, part: Part, middle: float) -> float:
    """Radians about z by which the person at frame `middle` has turned left from facing -y.

    The direction of travel within half a second to both sides when the root clearly travels forwards, else the
    mean facing of the pelvis.
    """
    half = HEADING_SECONDS * recording.rate
    window = np.linspace(max(middle - half, part.first), min(middle + half, part.last - 1), 31)
    moved = between_frames(recording, window, part.first, part.last)
    front = -moved.rotations[:, INDEX["root"], :2, 1].mean(0)
    travelled = moved.translation[-1, :2] - moved.translation[0, :2]
    distance = float(np.linalg.norm(travelled))
    seconds = float(window[-1] - window[0]) / recording.rate
    forwards = float(travelled @ front) > TRAVEL_COSINE * distance * float(np.linalg.norm(front))
    x, y = travelled if forwards and distance > TRAVEL_SPEED * seconds else front
    return float(np.arctan2(x, -y))
