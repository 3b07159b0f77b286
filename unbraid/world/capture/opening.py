"""Opening a file or folder of recorded motion."""

import hashlib
from pathlib import Path

from unbraid.world.capture.files import companions, entries, motion_files, read_clip
from unbraid.world.capture.packed import Packed
from unbraid.world.capture.retarget import retarget
from unbraid.world.capture.source import Capture, cleaned
from unbraid.world.capture.takes import SESSIONS, Take, parts_of, pool, splittable

HASH_DIGITS = 16


def open_motion(path: Path) -> Capture:
    """The recorded people of a motion file or of all motion files in a folder, as a motion source.

    Understands BVH, AMC with its ASF, and packed clips (.npz with .json). Every clip is read and tried once, so that
    nothing fails later; clips stay on disk. Lengths of the files may be in any unit: all that is used is divided by
    the length of the recorded leg.
    Raises FileNotFoundError for missing files; ValueError, naming the file, for damaged ones, clips shorter than
    0.5 s, the same clip twice, and actions with too little motion for two sessions.
    """
    path = Path(path)
    root = path if path.is_dir() else path.parent
    opened: dict[str, Packed] = {}
    takes: list[Take] = []
    seen: dict[bytes, str] = {}
    used: set[Path] = set()
    for file in motion_files(path):
        used |= {file, *companions(file)}
        for entry in entries(file, root, opened):
            clip = cleaned(read_clip(file, entry.number, entry.action, entry.subject, opened))
            content = hashlib.sha256(clip.rotations.tobytes()).digest()
            if content in seen:
                raise ValueError(
                    f"{clip.file} holds the same motion as {seen[content]}; remove one of them, "
                    "or both sessions could show it"
                )
            seen[content] = clip.file
            retarget(clip)
            takes.append(Take(entry.file, entry.number, entry.action, entry.subject, len(clip.rotations), clip.rate))
    for action in sorted({take.action for take in takes}):
        shared = pool(tuple(takes), action, 0.0)
        if not splittable(shared):
            shortest = min((part for s in SESSIONS for part in parts_of(shared, s)), key=lambda part: part.seconds)
            raise ValueError(
                f"{path}: the only clip of {action!r}, {shortest.take.file}, is too short to be cut in two sessions "
                f"({shortest.seconds:.2f} s each); add a second clip or remove it"
            )
    return Capture(root.resolve(), tuple(takes), f"capture:{_digest(used, root)}")


def motion_digest(path: Path) -> str:
    """Hexadecimal digits by which a motion file, or the motion files of a folder, are told from others; nothing is
    parsed. Raises FileNotFoundError where there is nothing, ValueError for a file or folder without motion."""
    path = Path(path)
    files = motion_files(path)
    used = {*files, *(one for file in files for one in companions(file))}
    return _digest(used, path if path.is_dir() else path.parent)


def _digest(files: set[Path], root: Path) -> str:
    """Hash of names, relative to `root`, and contents."""
    whole = hashlib.sha256()
    for name, file in sorted((file.relative_to(root).as_posix(), file) for file in files):
        whole.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:HASH_DIGITS]
