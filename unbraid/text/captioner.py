"""Asking a captioner about tracklets, resumably: every answer is on disk before the next question."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unbraid.data.media import read_frames
from unbraid.progress import bar, console
from unbraid.text.captions import MOTION, Caption, Fact, append_captions, mend, read_captions
from unbraid.text.prompts import MOST_WORDS, PROMPT_VERSION, prompt
from unbraid.tracklet import Tracklet

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked about one person. frames: pictures in time order, each H W 3 uint8 RGB; none for a question about
    texts."""

    text: str
    frames: tuple[Picture, ...] = ()


class Captioner(Protocol):
    """Whoever answers questions: a model on this machine, an endpoint, or a person.

    name: stands in the source of each caption. settings: what else decides the answers.
    """

    name: str
    settings: Mapping[str, Fact]

    def __call__(self, questions: Sequence[Question]) -> Iterable[tuple[int, str]]:
        """The number of a question and its answer, as they come. What was yielded before an error is kept."""
        ...


@dataclass(frozen=True)
class Asked:
    """What came of asking. kept: texts that the file had already. written: new ones. unanswered: questions that got
    an empty answer and are asked again next time. long: new texts of more than 30 words, which a CLIP text tower may
    cut. passed_over: tracklets that are no RGB pictures."""

    kept: int
    written: int
    unanswered: int
    long: int
    passed_over: int = 0


@dataclass(frozen=True)
class Item:
    """One question and the tracklets that its answer is about."""

    keys: tuple[str, ...]
    aspect: str
    question: Callable[[], Question]
    source: Mapping[str, Fact] = field(default_factory=dict)


def caption(
    tracklets: Iterable[Tracklet],
    aspects: Sequence[str],
    captioner: Captioner,
    out: Path,
    *,
    frames: int = 1,
    batch: int = 8,
    mixed: bool = False,
) -> Asked:
    """Ask about each aspect of each RGB tracklet and add the texts to the captions file `out`.

    A tracklet and aspect that the file has is not asked about again, so that the same call goes on after any
    interruption. frames: pictures of a tracklet shown per question, evenly spaced; 1 is the middle one. batch:
    questions per call of the captioner; a kill costs at most the answers of one. mixed: go on in a file that
    another model, other frames or an older wording has begun.

    Raises KeyError for an unknown aspect; ValueError for a file begun by somebody else, for motion where a tracklet
    has a single frame, for two tracklets with one key, and what the captioner raises.
    """
    if batch < 1 or frames < 1:
        raise ValueError(f"batch = {batch} and frames = {frames} must be at least 1")
    asked = list(dict.fromkeys(aspects))
    for aspect in asked:
        prompt(aspect, frames)
    every = list(tracklets)
    seen = {t.key: t for t in every if t.modality == "rgb"}
    for one in every:
        if one.modality == "rgb" and seen[one.key] != one:
            raise ValueError(f"two tracklets have the key {one.key!r} in different splits; caption one split at a time")
        if one.modality == "rgb" and MOTION in asked and len(one) < 2:
            raise ValueError(f"tracklet {one.key!r} has a single frame; motion needs tracklets of several frames")
    fixed: dict[str, Fact] = {"model": captioner.name, "prompt": PROMPT_VERSION, "frames": frames}
    pictures = _Pictures(frames)
    items = [
        Item((one.key,), aspect, partial(pictures.question, one, aspect)) for one in seen.values() for aspect in asked
    ]
    with alone(out):
        result = ask_all(items, captioner, out, fixed, batch=batch, mixed=mixed)
    return replace(result, passed_over=sum(t.modality != "rgb" for t in every))


def ask_all(
    items: Sequence[Item], captioner: Captioner, out: Path, fixed: Mapping[str, Fact], *, batch: int, mixed: bool
) -> Asked:
    """Ask what the file lacks and add it."""
    rows = _begun(out)
    if not mixed:
        _check_source(rows, fixed, out)
    have = {(row.key, row.aspect): row for row in rows}
    kept = sum((key, item.aspect) in have for item in items for key in item.keys)
    for item in items:
        known = [have[key, item.aspect] for key in item.keys if (key, item.aspect) in have]
        if 0 < len(known) < len(item.keys):
            # a writer killed in the middle of an answer that is about several tracklets
            rest = [replace(known[0], key=key) for key in item.keys if (key, item.aspect) not in have]
            append_captions(out, rest)
            have |= {(row.key, row.aspect): row for row in rest}
    todo = [item for item in items if (item.keys[0], item.aspect) not in have]
    count: Counter[str] = Counter()
    with bar() as progress:
        task = progress.add_task("caption", total=len(items), completed=len(items) - len(todo), note="")
        for start in range(0, len(todo), batch):
            part = todo[start : start + batch]
            new: list[Caption] = []
            try:
                for number, answer in captioner([item.question() for item in part]):
                    item, text = part[number], tidy(answer)
                    source = {**fixed, **captioner.settings, **item.source}
                    new += [Caption(key, item.aspect, text, source) for key in item.keys if text]
                    count["unanswered"] += not text
                    count["long"] += len(text.split()) > MOST_WORDS
            finally:
                append_captions(out, new)
            count["written"] += len(new)
            progress.update(task, advance=len(part), note=new[-1].text[:40] if new else "")
    return Asked(kept, count["written"], count["unanswered"], count["long"])


def _begun(out: Path) -> list[Caption]:
    """What the file has, without a line that a killed writer left unfinished; nothing when there is no file."""
    if cut := mend(out):
        console.print(f"{out}: cut an unfinished last line of {cut} bytes")
    return read_captions(out) if out.is_file() else []


def _check_source(rows: Iterable[Caption], fixed: Mapping[str, Fact], out: Path) -> None:
    for row in rows:
        other = {name: row.source.get(name) for name in fixed}
        if other != fixed:
            differ = ", ".join(f"{n} {other[n]!r} instead of {fixed[n]!r}" for n in fixed if other[n] != fixed[n])
            raise ValueError(
                f"{out} was begun differently: caption of {row.key!r} about {row.aspect} has {differ}. "
                f"Choose another file, ask as before, or allow both in one file with --mixed"
            )


def tidy(answer: str) -> str:
    """The answer in one line, without quotation marks around it; '' when it has no letter."""
    line = " ".join(answer.encode(errors="ignore").decode().split())
    if len(line) > 1 and line[0] in "\"'“" and line[-1] in "\"'”":
        line = line[1:-1].strip()
    return line if any(letter.isalpha() for letter in line) else ""


class _Pictures:
    """Questions with the frames of a tracklet; those of the last tracklet stay in memory for its other aspects."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.last: tuple[str, tuple[Picture, ...]] | None = None

    def question(self, tracklet: Tracklet, aspect: str) -> Question:
        if self.last is None or self.last[0] != tracklet.key:
            parts, length = min(self.frames, len(tracklet)), len(tracklet)
            middles = [(2 * part + 1) * length // (2 * parts) for part in range(parts)]
            try:
                self.last = tracklet.key, tuple(read_frames(tracklet.media, middles))
            except (ValueError, OSError) as error:
                raise ValueError(f"tracklet {tracklet.key!r}: {error}") from error
        pictures = self.last[1]
        return Question(prompt(aspect, len(pictures)), pictures)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep a second process from writing the same file. Raises ValueError while another one does.

    On Windows nothing is checked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    import fcntl

    lock = path.with_name(path.name + ".lock")
    with lock.open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"{path} is being written by another process; wait for it or choose another file"
            ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
