"""PKU-MMD-AB: people of PKU-MMD recognised whatever they do, in single actions cut from long videos.

    RGB_VIDEO/0002-L.avi                    video and camera (L, M or R), in any folder below root; or a folder
                                            0002-L of all its frames
    Train_Label_PKU_final/0002-L.txt        one action a line: action, first frame, last frame, confidence
    Split/cross-subject.txt                 names of the training and of the validation videos
    subjects.csv                            video,subject: who is seen; NOT part of the owners' archive

The owners' archive has no list of who is seen in which video, so one must be supplied.
"""

import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from unbraid.data.benchmark import Benchmark
from unbraid.data.media import declared_frames
from unbraid.data.sets.about import About
from unbraid.data.sets.activity import SEED, SHARE, SHORTEST, activity_protocols, divide, find_clips, pictures
from unbraid.tracklet import Images, Tracklet, VideoSpan

# Actions of the owners' list that name another person, and shaking hands. The owners and ABNet speak of 10 actions of
# two people (which leaves 41 of 51); only these 8 say so in their names, so 43 stay.
MUTUAL_ACTIONS = frozenset({12, 14, 16, 18, 21, 24, 26, 27})

ABOUT = About(
    name="pku-ab",
    title="PKU-MMD-AB, actions of single people in PKU-MMD, phase 1",
    modality="rgb",
    access="agreement",
    licence="unclear; the owners ask for an e-mail before the download and state no terms that we know",
    counts={"all identities": 66, "all cameras": 3},
    notes="About 17,000 clips of 66 people by the count of ABNet. Who is seen in which video is not in the archive; "
    "the owners published no lists of probes, so another seed gives other numbers; faces are not blurred here.",
    source="ABNet (arXiv 2403.17360); the archive's README",
)

# Source: see `activity_protocols`.
PROTOCOLS = activity_protocols("pku-ab")

NAME = re.compile(r"(\d{4}-[LMR])")
LAYOUT = "videos such as RGB_VIDEO/0002-L.avi below root"
SPLITS = ("Split/cross-subject.txt", "cross-subject.txt", "Split/cross_subject.txt", "cross_subject.txt")


def read(
    root: Path,
    *,
    subjects: Path | None = None,
    split: Path | None = None,
    step: int = 3,
    share: float = SHARE,
    seed: int = SEED,
    mutual_actions: frozenset[int] = MUTUAL_ACTIONS,
) -> Benchmark:
    """One clip per action of one person; labels 'camera', 'action', 'video', and the parts in the two protocols.

    subjects: a table with the columns video (0002, or 0002-L) and subject; `subjects.csv` in root when absent.
    split: the owners' cross-subject list; one of SPLITS in root when absent.
    step: every step-th frame is taken; 3 makes the 10 frames per second of ABNet's code from 30.
    share, seed: of the division into probes and gallery, see `activity.divide`.
    mutual_actions: numbers of the actions to drop.

    First and last frames are taken as numbers from 0, the last one included: the owners do not say.
    Clips of fewer than 4 frames and videos of neither split are left out with a warning that counts them.
    Raises FileNotFoundError for a missing table, list, label file or video; ValueError for a line that is not as
    above, and for a video whose subject is not known.
    """
    root = Path(root)
    people = _people(Path(subjects) if subjects else root / "subjects.csv")
    training, testing = _split(root, split)
    videos = find_clips(root, NAME, LAYOUT)
    # Skeleton files carry the same names.
    texts = (p for p in sorted(root.rglob("*.txt")) if "label" in str(p.parent.relative_to(root)).lower())
    labels = {p.stem: p for p in texts if NAME.fullmatch(p.stem)}
    splits: dict[str, list[Tracklet]] = {"train": [], "test": []}
    short = unused = 0
    for name, path in videos.items():
        if name not in training and name not in testing:
            unused += 1
            continue
        if name not in labels:
            raise FileNotFoundError(f"{root} holds no {name}.txt in a folder named *Label*; unpack the labels there")
        subject = people.get(name, people.get(name[:4]))
        if subject is None:
            raise ValueError(f"the table of subjects does not say who is seen in video {name}; add a line for it")
        images = pictures(path.iterdir()) if path.is_dir() else ()
        length = len(images) if path.is_dir() else declared_frames(path)
        for number, (action, first, last) in enumerate(_actions(labels[name])):
            frames = tuple(range(first, min(last + 1, length), step))
            if action in mutual_actions:
                continue
            if len(frames) < SHORTEST:
                short += 1
                continue
            known = {"camera": name[5:], "action": f"A{action:02d}", "video": name[:4]}
            media = Images(tuple(images[n] for n in frames)) if images else VideoSpan(path, frames)
            clip = Tracklet(f"{name}-{number:03d}", media, "rgb", subject, known)
            splits["train" if name in training else "test"].append(clip)
    if short or unused:
        warnings.warn(
            f"pku-ab: {short} clips of fewer than {SHORTEST} frames and {unused} videos of neither split are left out",
            stacklevel=2,
        )
    query, gallery = divide(splits["test"], share=share, generator=np.random.default_rng(seed))
    return Benchmark("pku-ab", tuple(splits["train"]), query, gallery, {p.name: p for p in PROTOCOLS})


def _people(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. The archive of PKU-MMD does not say who is seen in which video: write a CSV with the "
            f"columns video,subject (0002,P01) and name it with `subjects`"
        )
    table = pd.read_csv(path, dtype=str)
    if not {"video", "subject"} <= set(table.columns):
        raise ValueError(f"{path} has the columns {list(table.columns)}; expected video and subject")
    known = table.dropna(subset=["video", "subject"])
    return dict(zip(known["video"].str.strip(), known["subject"].str.strip(), strict=True))


def _split(root: Path, path: Path | None) -> tuple[Collection[str], Collection[str]]:
    """Names of the training and of the validation videos."""
    found = [Path(path)] if path else [root / name for name in SPLITS if (root / name).is_file()]
    if not found or not found[0].is_file():
        raise FileNotFoundError(
            f"{found[0] if found else root / SPLITS[0]} is missing; expected the owners' split list"
        )
    parts: dict[str, set[str]] = {}
    part: set[str] | None = None
    for number, line in enumerate(found[0].read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if text.endswith(":"):
            part = parts.setdefault(text[:1].lower(), set())
            continue
        names = {name.strip() for name in text.split(",") if name.strip()}
        wrong = sorted(name for name in names if not NAME.fullmatch(name))
        if wrong or (names and part is None):
            raise ValueError(
                f"{found[0]}, line {number}: {wrong[0] if wrong else text!r} is not as expected; a line "
                f"'Training videos:' or 'Validation videos:' stands before names such as 0002-L, 0002-M"
            )
        if part is not None:
            part |= names
    if set(parts) != {"t", "v"} or not all(parts.values()):
        raise ValueError(f"{found[0]}: expected the parts 'Training videos:' and 'Validation videos:', both with names")
    return parts["t"], parts["v"]


def _actions(path: Path) -> Iterator[tuple[int, int, int]]:
    """Action, first and last frame of each line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        parts = line.split(",")
        if len(parts) < 3 or not all(part.strip().isdigit() for part in parts[:3]):
            raise ValueError(f"{path}, line {number}: {line!r} is not 'action,first frame,last frame,confidence'")
        action, first, last = (int(part) for part in parts[:3])
        yield action, first, last
