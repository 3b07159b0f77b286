"""Walks of one's own in a tree of folders: point clouds, masks, or both.

PERSON/WALK/0001.pcd ...          one cloud a frame: .pcd, .ply, .bin, .npy or .npz
PERSON/WALK.npz                   or all frames in one file: .npy, .npz, .pkl or .safetensors
PERSON/WALK/0001.png ...          masks of a camera, in the same folder or alone
PERSON/WALK/VIEW/0001.pcd ...     a folder more tells views apart
train/PERSON/... query/... gallery/... test/...    splits; test is query and gallery at once, and what is meant
                                                   without them
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unbraid.data.points import FRAME_ENDINGS, WALK_ENDINGS, natural
from unbraid.data.sets.activity import PICTURES
from unbraid.data.sets.table import SPLITS

# This share of the names of frames must agree before names say which frames belong together.
ALIKE = 0.8


@dataclass(frozen=True, slots=True)
class Walk:
    """The files of a person who walked once: clouds, one a frame or one file for all, and masks.

    name: PERSON/WALK or PERSON/WALK/VIEW. view: None where no folder tells it.
    """

    split: str
    person: str
    name: str
    view: str | None
    clouds: tuple[Path, ...] = ()
    packed: Path | None = None
    masks: tuple[Path, ...] = ()


def find_walks(root: Path) -> list[Walk]:
    """All walks below root, in order of split, person and name. Files of other kinds are passed over.

    Raises FileNotFoundError when root is no folder or holds no walk; ValueError for a walk with clouds of two kinds, or
    both as one file and as many, and for folders of which nothing would be read although they hold clouds or pictures.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder; expected a tree such as PERSON/WALK/0001.pcd")
    misnamed = [folder for folder in _folders(root) if folder.name not in SPLITS and folder.name.lower() in SPLITS]
    if misnamed:
        raise ValueError(f"{misnamed[0]} is not a person; name the split {misnamed[0].name.lower()!r}")
    parts = {split: root / split for split in SPLITS if (root / split).is_dir()}
    if parts:
        for folder in _folders(root):
            if folder.name not in SPLITS and (lost := _lost(folder)):
                raise ValueError(
                    f"{lost} would not be read: beside {', '.join(parts)} only {', '.join(SPLITS)} are splits; move "
                    f"{folder.name!r} into one of them or out of {root}"
                )
    walks = []
    for split, part in (parts or {"test": root}).items():
        for person in _folders(part):
            found = [_walk(split, person.name, f"{person.name}/{n}", view, own) for n, view, own in _places(person)]
            walks += [walk for walk in found if walk is not None]
            if not any(found) and (lost := _lost(person)):
                raise ValueError(
                    f"{lost} would not be read: {person.name!r} holds no walk. Expected PERSON/WALK/ with a file a "
                    f"frame, or PERSON/WALK/VIEW/; make a folder for the walk, or move {person.name!r} away"
                )
    if not walks:
        raise FileNotFoundError(
            f"{root} holds no walk; expected PERSON/WALK/ with one cloud ({', '.join(FRAME_ENDINGS)}) or one mask "
            f"(.png) a frame, or PERSON/WALK with all frames in one file ({', '.join(WALK_ENDINGS)})"
        )
    return walks


def matched(walk: Walk, clouds: int) -> tuple[list[int], list[int]]:
    """Which frames of the clouds and which of the masks of a walk were taken together, as two lists of equal length.

    clouds: how many there are. A walk of one sensor keeps all its frames, the other list is empty. With a file for each
    frame, equal names belong together where most names are equal; otherwise frames do in their order, where there are
    as many of both.

    Raises ValueError when neither holds.
    """
    if not walk.masks or not clouds:
        return list(range(clouds)), list(range(len(walk.masks)))
    names = {path.stem: number for number, path in enumerate(walk.clouds)}
    pairs = [(names[path.stem], number) for number, path in enumerate(walk.masks) if path.stem in names]
    if len(pairs) >= ALIKE * max(clouds, len(walk.masks)):
        return [first for first, _ in pairs], [second for _, second in pairs]
    if clouds != len(walk.masks):
        raise ValueError(
            f"walk {walk.name!r} has {clouds} clouds and {len(walk.masks)} masks, and {len(pairs)} names agree, so "
            f"that it is not known which were taken together; give a cloud and a mask of one moment the same name, or "
            f"keep as many of both. If frames are not synchronised, prepare each sensor from a tree of its own"
        )
    return list(range(clouds)), list(range(clouds))


def _lost(folder: Path) -> Path | None:
    """A cloud or picture below a folder."""
    endings = {*FRAME_ENDINGS, *WALK_ENDINGS, *PICTURES}
    return next((path for path in sorted(folder.rglob("*")) if path.suffix.lower() in endings), None)


def _folders(place: Path) -> list[Path]:
    return sorted((p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")), key=_order)


def _order(path: Path) -> list[tuple[int, str]]:
    return natural(path.name)


def _places(person: Path) -> Iterator[tuple[str, str | None, list[Path]]]:
    """Name, view and the folders and files of each walk of a person."""
    for name, places in _named(person):
        views = [(place.name, found) for place in places if place.is_dir() and (found := _named(place, folders=True))]
        if not views:
            yield name, None, places
        for _, found in views:
            for view, own in found:
                yield f"{name}/{view}", view, own


def _named(place: Path, *, folders: bool = False) -> list[tuple[str, list[Path]]]:
    """Folders, and files that hold a walk, by name without ending. folders: none unless there is a folder."""
    inside = _folders(place)
    if folders and not inside:
        return []
    files = [p for p in place.iterdir() if p.suffix.lower() in WALK_ENDINGS and p.is_file() and p.name[:1] != "."]
    names: dict[str, list[Path]] = {}
    for path in [*inside, *sorted(files, key=_order)]:
        names.setdefault(path.name if path.is_dir() else path.stem, []).append(path)
    return sorted(names.items(), key=lambda item: natural(item[0]))


def _walk(split: str, person: str, name: str, view: str | None, places: Sequence[Path]) -> Walk | None:
    files = [p for place in places if place.is_dir() for p in place.iterdir() if p.is_file() and p.name[:1] != "."]
    clouds = sorted((p for p in files if p.suffix.lower() in FRAME_ENDINGS), key=_order)
    masks = sorted((p for p in files if p.suffix.lower() in PICTURES), key=_order)
    packed = [p for p in places if p.is_file()]
    kinds = sorted({p.suffix.lower() for p in [*clouds, *packed]})
    if len(packed) > 1 or (packed and clouds) or len(kinds) > 1:
        raise ValueError(
            f"walk {name!r} has clouds as {', '.join(kinds)}, in {len(packed)} files of a walk and {len(clouds)} of a "
            f"frame; keep those of one kind"
        )
    if not clouds and not masks and not packed:
        return None
    return Walk(split, person, name, view, tuple(clouds), packed[0] if packed else None, tuple(masks))
