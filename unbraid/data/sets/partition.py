"""Partition files of OpenGait: JSON with lists of people, and perhaps of sequences, by the name of their set."""

import json
from collections.abc import Mapping
from pathlib import Path


def read_partition(
    path: Path, root: Path, *, lists: tuple[str, ...] = ("TRAIN_SET", "TEST_SET")
) -> Mapping[str, set[str]]:
    """The lists of a partition file by name.

    root: the data folder; it must hold a folder for at least one of the people listed.
    Raises FileNotFoundError for a missing file and for a root without any of the people; ValueError for a file that
    is not JSON, lacks a list, names somebody in TRAIN_SET and TEST_SET, or lists a name that leaves the folder.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; expected the partition of the data set (JSON with {', '.join(lists)}) as OpenGait "
            f"distributes it. Put it there or name it with `partition`"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected the lists {', '.join(lists)} by name")
    found: dict[str, set[str]] = {}
    for name in lists:
        names = content.get(name)
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise ValueError(f"{path} has no list of names {name!r}; it has {sorted(content)[:8]}")
        wrong = [one for one in names if not one or "/" in one or "\\" in one or ".." in one]
        if wrong:
            raise ValueError(f"{path}: {wrong[0]!r} in {name!r} is no plain name; expected names of folders")
        found[name] = set(names)
    both = sorted(found["TRAIN_SET"] & found["TEST_SET"])
    if both:
        raise ValueError(f"{path}: {both[0]!r} and {len(both) - 1} others are in TRAIN_SET and in TEST_SET; keep one")
    there = {folder.name for folder in folders(root)}
    if not there & (found["TRAIN_SET"] | found["TEST_SET"]):
        raise FileNotFoundError(
            f"{root} holds no folder of the people in {path.name} (such as "
            f"{min(found['TRAIN_SET'] | found['TEST_SET'], default='-')!r}); expected root/person/.../*.pkl"
        )
    return found


def folders(place: Path) -> list[Path]:
    """The folders in a folder, by name; none where it is no folder."""
    return sorted(p for p in place.iterdir() if p.is_dir()) if place.is_dir() else []
