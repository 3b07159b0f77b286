"""Motion files and what is known about them: which clips a folder holds, who moves in them and what they do."""

import csv
from dataclasses import dataclass
from pathlib import Path

from unbraid.world.capture.asf import read_amc, skeleton_of
from unbraid.world.capture.bvh import read_bvh
from unbraid.world.capture.clip import Clip
from unbraid.world.capture.packed import Packed, read_packed

ENDINGS = (".bvh", ".amc", ".npz")
NOTES = "motion.csv"
COLUMNS = ("file", "action", "subject")
ACTION_NAMES = {"walking": "walk", "running": "run", "jumping": "jump"}


@dataclass(frozen=True)
class Entry:
    """A clip before it is read. file: relative to the opened folder; number: place within the file."""

    file: str
    number: int
    action: str
    subject: str | None


def motion_files(path: Path) -> list[Path]:
    """The motion files at `path`, itself or all below it in the order of their names.

    Raises FileNotFoundError for nothing there, ValueError for a file or folder without motion.
    """
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file())
        if not found:
            raise ValueError(f"{path}: no motion file in the folder; expected .bvh, .amc with .asf, or packed .npz")
        return found
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; expected motion files (.bvh, .amc, packed .npz)")
    if path.suffix.lower() == ".json":
        path = path.with_suffix(".npz")
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path}: unknown kind of motion file; known are .bvh, .amc and packed .npz with .json")
    return [path]


def entries(file: Path, root: Path, opened: dict[str, Packed]) -> list[Entry]:
    """The clips of one file. opened: packed files by path, added to.

    Packed files know action and subject. Other files take them from motion.csv in their folder; without it the
    action is the name of the folder and the subject the part of the file name before the first '_'.
    """
    relative = file.relative_to(root).as_posix()
    if file.suffix.lower() == ".npz":
        opened[str(file)] = packed = read_packed(file)
        return [
            Entry(relative, number, action_name(row["activity"]), row["group"])
            for number, row in enumerate(packed.clips)
        ]
    noted = read_notes(file.parent / NOTES).get(file.name)
    if noted is not None:
        return [Entry(relative, 0, *noted)]
    return [Entry(relative, 0, action_name(file.resolve().parent.name), file.stem.split("_")[0])]


def companions(file: Path) -> list[Path]:
    """Files that belong to a motion file and change what it means."""
    others = [file.parent / NOTES]
    if file.suffix.lower() == ".npz":
        others = [file.with_suffix(".json")]
    elif file.suffix.lower() == ".amc":
        others.append(skeleton_of(file))
    return [other for other in others if other.is_file()]


def read_clip(file: Path, number: int, action: str, subject: str | None, opened: dict[str, Packed]) -> Clip:
    """Read one clip. opened: packed files by path, kept between calls."""
    if file.suffix.lower() == ".bvh":
        return read_bvh(file, action=action, subject=subject)
    if file.suffix.lower() == ".amc":
        return read_amc(file, action=action, subject=subject)
    if str(file) not in opened:
        opened[str(file)] = read_packed(file)
    return opened[str(file)].clip(number, action=action, subject=subject)


def action_name(name: str) -> str:
    """'walk' for 'walking', likewise run and jump; other names keep their words with spaces between."""
    return ACTION_NAMES.get(name.lower(), name.replace("_", " "))


def read_notes(path: Path) -> dict[str, tuple[str, str | None]]:
    """Action and subject by file name from a motion.csv with columns file, action, subject; empty without one.

    An empty subject means that nobody knows who moved. Raises ValueError naming the line for wrong columns, a file
    named twice or not there, and an empty action.
    """
    if not path.is_file():
        return {}
    notes: dict[str, tuple[str, str | None]] = {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}, line 1: expected the columns {','.join(COLUMNS)}, found {reader.fieldnames}")
        for row in reader:
            values = [row[column] for column in COLUMNS]
            if None in row or any(value is None for value in values):
                raise ValueError(f"{path}, line {reader.line_num}: expected {len(COLUMNS)} values")
            file, action, subject = (value.strip() for value in values)
            if file in notes or not action or not (path.parent / file).is_file():
                fault = "is named twice" if file in notes else "needs an action" if not action else "is not there"
                raise ValueError(f"{path}, line {reader.line_num}: file {file!r} {fault}")
            notes[file] = (action_name(action), subject or None)
    return notes
