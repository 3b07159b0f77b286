"""Which part of which recorded clip belongs to which session, and how a part fills the time that is asked for."""

from dataclasses import dataclass

import numpy as np

from unbraid.world.capture.clip import SHORTEST
from unbraid.world.people.skeleton import Floats

SESSIONS = (0, 1)
GAP_SECONDS, GAP_SHARE = 1.0, 0.2
# How near the turning points of a mirrored clip come to a sharp corner, 1 being sharp.
SHARPNESS = 0.98


@dataclass(frozen=True)
class Take:
    """One recorded clip in a file, without its content. number: place within the file; frames after the removal of
    a calibration pose; subject: None when it is not known who moved."""

    file: str
    number: int
    action: str
    subject: str | None
    frames: int
    rate: float


@dataclass(frozen=True)
class Part:
    """Frames first ... last - 1 of a take."""

    take: Take
    first: int
    last: int

    @property
    def seconds(self) -> float:
        return (self.last - 1 - self.first) / self.take.rate


def parts_of(takes: list[Take], session: int) -> list[Part]:
    """The parts of `takes` that belong to `session`, 0 or 1; no frame belongs to both.

    Of several takes every second one belongs to a session. A single take is cut in halves, with a gap of 1 s or a
    fifth of it, whichever is shorter, so that not even neighbouring frames are shared.
    """
    if len(takes) > 1:
        return [Part(take, 0, take.frames) for take in takes[session::2]]
    (take,) = takes
    seconds = (take.frames - 1) / take.rate
    gap = max(1, round(min(GAP_SECONDS, GAP_SHARE * seconds) * take.rate))
    half = (take.frames - gap) // 2
    return [Part(take, 0, half) if session == 0 else Part(take, take.frames - half, take.frames)]


def splittable(takes: list[Take]) -> bool:
    """Whether both sessions get a part of at least SHORTEST seconds."""
    found = [part for session in SESSIONS for part in parts_of(takes, session)]
    return min(part.seconds for part in found) >= SHORTEST


def pool(takes: tuple[Take, ...], action: str, source: float) -> list[Take]:
    """The takes of `action` that someone with share `source` in 0..1 of the list of recorded people draws from.

    Where at least two known subjects have enough recorded to be split between the sessions, everyone has one of
    them, always the same; else all people share all takes, and the clip says nothing about the person.
    """
    found = [take for take in takes if take.action == action]
    by_subject: dict[str, list[Take]] = {}
    for take in found:
        if take.subject is not None:
            by_subject.setdefault(take.subject, []).append(take)
    people = sorted(subject for subject, own in by_subject.items() if splittable(own))
    if len(people) < 2:
        return found
    return by_subject[people[min(int(source * len(people)), len(people) - 1)]]


def places(part: Part, times: Floats, tempo: float, start: float) -> tuple[Floats, Floats]:
    """Where in the take, in frames (N,), each of `times` (N,) lies, and the place (1,) of time 0.

    tempo: seconds of the take per second. start: in 0..1, where in the free room of the part the clip begins; time
    runs on from there. When the part is too short it is mirrored in time as often as needed, slowing down smoothly
    before each turning point: someone who walks then walks backwards in every other piece.
    """
    span, room = float(times[-1] - times[0]) * tempo * part.take.rate, float(part.last - 1 - part.first)
    moved = (np.append(times, 0.0) - times[0]) * tempo * part.take.rate
    if span <= room:
        found = part.first + start * (room - span) + moved
    else:
        # A sine whose tops are pulled into corners: a triangle wave that is smooth where it turns.
        phase = 2 * np.pi * start + moved * 2 / room * np.arcsin(SHARPNESS) / SHARPNESS
        found = part.first + room / 2 * (1 + np.arcsin(SHARPNESS * np.sin(phase)) / np.arcsin(SHARPNESS))
    found = np.clip(found, part.first, part.last - 1)
    return found[:-1], found[-1:]
