"""Captions: one text per tracklet and aspect, as JSON lines that anybody can read, edit and delete.

    {"key": "0001-c2-17", "aspect": "clothing", "text": "The person wears ...", "source": {"model": "...", "prompt": 1}}

A tracklet has at most one text about an aspect. Captions are guesses about people; `source` says whose.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unbraid.files import write_text

Fact = str | int | float | bool | None

# Source: the perspectives of DIFFER's files, by their names in its readme; 'motion' is DisenQ's text about movement.
ASPECTS = ("biometric", "hair", "clothing", "pose", "interaction", "environment")
MOTION = "motion"

FIELDS = ("key", "aspect", "text", "source")
EXAMPLES = 5


@dataclass(frozen=True)
class Caption:
    """A text about one aspect of the tracklet `key`.

    source: who says it and how: "model", "prompt" (version of the wording asked with) and settings, each a plain
    JSON value. Captions of the built-in world have {"model": "world", "version", "template", "wrong_words"}.
    """

    key: str
    aspect: str
    text: str
    source: Mapping[str, Fact]


@dataclass(frozen=True)
class Coverage:
    """How far tracklets have a text about one aspect.

    wanted, present: tracklets asked about, and those with a text. missing: the first five keys without one.
    texts: number of different texts among those present; `commonest` stands `repeated` times. Equal texts of many
    people are fine for aspects with few words; one text for nearly everybody says that the captioner saw nothing.
    """

    wanted: int
    present: int
    missing: tuple[str, ...]
    texts: int
    commonest: str
    repeated: int

    @property
    def share(self) -> float:
        """Present out of wanted, 0 to 1; 1 when nothing is wanted."""
        return self.present / self.wanted if self.wanted else 1.0


def read_captions(path: Path) -> list[Caption]:
    """The captions of a file, in its order; blank lines are passed over.

    Raises FileNotFoundError, or ValueError with the line number for a line that is no caption, an empty text and a
    second text about the same tracklet and aspect.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; `unbraid caption ROOT --out {path}` makes captions")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); is it a captions file?"
        ) from error
    rows: list[Caption] = []
    first: dict[tuple[str, str], int] = {}
    # only line feeds end a line of JSON lines; str.splitlines knows others, which may stand in a text
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = caption_of(line)
            before = first.setdefault((row.key, row.aspect), number)
            if before != number:
                raise ValueError(
                    f"a second text about the {row.aspect} of {row.key!r}; the first is in line {before}, delete one"
                )
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        rows.append(row)
    return rows


def caption_of(line: str) -> Caption:
    """The caption in one line of JSON. Raises ValueError saying what is wrong with it."""
    try:
        values = json.loads(line)
    except ValueError as error:
        raise ValueError(
            f"not JSON ({error}); a writer was interrupted or an edit went wrong: correct or delete the line, "
            f"or let `unbraid caption` go on, which cuts an unfinished last line"
        ) from error
    if not isinstance(values, dict) or set(values) != set(FIELDS):
        found = sorted(values) if isinstance(values, dict) else type(values).__name__
        raise ValueError(f"expected an object with {', '.join(FIELDS)} and nothing else; found {found}")
    for name in FIELDS[:3]:
        _check_text(name, values[name])
    source = values["source"]
    if not isinstance(source, dict) or not all(isinstance(v, Fact) for v in source.values()):
        raise ValueError(
            f"'source' is {source!r}; expected an object of plain values that says who wrote the text, "
            f'such as {{"model": "hand"}}'
        )
    return Caption(values["key"], values["aspect"], values["text"], source)


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name!r} is {value!r}; expected a text that is not empty (no caption is better: no line)")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name!r} is {value!r}, half a character that no file can hold; write it again") from error


def write_captions(path: Path, rows: Iterable[Caption]) -> None:
    """Write captions as JSON lines with key, aspect, text and source, in the given order and in one step.

    Raises ValueError when a tracklet has two texts about one aspect or a row could not be read back, OSError when
    the file cannot be written; an old file then stands.
    """
    lines, seen = [], set()
    for row in rows:
        if (row.key, row.aspect) in seen:
            raise ValueError(
                f"two captions of {row.key} about {row.aspect}; every tracklet needs exactly one per aspect"
            )
        seen.add((row.key, row.aspect))
        lines.append(_line(row))
    write_text(Path(path), "".join(lines))


def append_captions(path: Path, rows: Iterable[Caption]) -> None:
    """Add captions to the end of a file and have them on disk before returning; the caller sees to duplicates.

    Raises as `write_captions`. After `mend` a kill at any moment costs at most the rows of one call.
    """
    lines = "".join(_line(row) for row in rows)
    if not lines:
        return
    with Path(path).open("ab") as opened:
        opened.write(lines.encode())
        opened.flush()
        os.fsync(opened.fileno())


def mend(path: Path) -> int:
    """Cut a last line that a killed writer left unfinished; returns the number of bytes cut, 0 for a whole file.

    A last line that only lacks its line feed gets it. For writers that are going to append; readers never need it.
    """
    path = Path(path)
    whole = path.read_bytes() if path.is_file() else b""
    start = whole.rfind(b"\n") + 1
    last = whole[start:]
    if not last:
        return 0
    try:
        # no beginning of an object is an object, so a line that parses is whole
        json.loads(last)
    except ValueError:
        os.truncate(path, start)
        return len(last)
    with path.open("ab") as opened:
        opened.write(b"\n")
    return 0


def _line(row: Caption) -> str:
    for name in FIELDS[:3]:
        try:
            _check_text(name, getattr(row, name))
        except ValueError as error:
            raise ValueError(f"caption of {row.key!r} about {row.aspect!r}: {error}") from error
    return json.dumps(asdict(row), ensure_ascii=False, allow_nan=False) + "\n"


def coverage(captions: Iterable[Caption], keys: Iterable[str], aspects: Iterable[str]) -> dict[str, Coverage]:
    """Per aspect, in the given order: how many of the tracklets `keys` have a text. Other captions do not count.

    Source: not in a paper; chosen because training masks a missing text and should say how many it masks.
    """
    wanted = list(dict.fromkeys(keys))
    asked = list(dict.fromkeys(aspects))
    texts: dict[str, dict[str, str]] = {aspect: {} for aspect in asked}
    for row in captions:
        if row.aspect in texts:
            texts[row.aspect][row.key] = row.text
    result = {}
    for aspect in asked:
        said = texts[aspect]
        counts = Counter(said[key] for key in wanted if key in said)
        missing = [key for key in wanted if key not in said]
        commonest, repeated = counts.most_common(1)[0] if counts else ("", 0)
        result[aspect] = Coverage(
            wanted=len(wanted),
            present=len(wanted) - len(missing),
            missing=tuple(missing[:EXAMPLES]),
            texts=len(counts),
            commonest=commonest,
            repeated=repeated,
        )
    return result
