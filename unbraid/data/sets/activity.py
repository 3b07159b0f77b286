"""What the activity-biometrics sets share: clips of people doing things, divided at random into probes and gallery.

The owners of these sets published rules but no lists, so the division is made here, from a seed. A test clip carries
its part in both protocols as the labels `same_activity` and `cross_activity`: 'probe', 'gallery' or 'left out'.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unbraid.data.media import declared_frames
from unbraid.data.protocols import (
    CROSS_ACTIVITY,
    CROSS_ACTIVITY_OTHER_CAMERA,
    SAME_ACTIVITY,
    SAME_ACTIVITY_OTHER_CAMERA,
)
from unbraid.protocol import Protocol, Where
from unbraid.tracklet import Images, Media, Tracklet, VideoSpan

SAME, CROSS = "same_activity", "cross_activity"
PROBE, GALLERY, LEFT_OUT = "probe", "gallery", "left out"

# Source: code of ABNet (abnet/data): a quarter of a person's clips are probes, seed 42, clips of under 4 frames leave.
SHARE, SEED, SHORTEST = 0.25, 42, 4

PICTURES = frozenset({".jpg", ".jpeg", ".png"})
VIDEOS = frozenset({".avi", ".mp4"})


def activity_protocol(name: str, rules: Protocol, part: str, source: str) -> Protocol:
    """The rules under another name, with the probes and the gallery of one division (SAME or CROSS)."""
    return replace(rules, name=name, source=source, query=Where({part: (PROBE,)}), gallery=Where({part: (GALLERY,)}))


def activity_protocols(name: str) -> tuple[Protocol, ...]:
    """Same and cross activity, each with the probe's camera allowed ('view+') and left out ('view-').

    Source: ABNet (arXiv 2403.17360), section on protocols; DisenQ's tables agree with 'view+'.
    """
    source = "ABNet (arXiv 2403.17360), section on protocols; probes drawn here, by a seed"
    return (
        activity_protocol(f"{name}/same/view+@1", SAME_ACTIVITY, SAME, source),
        activity_protocol(f"{name}/same/view-@1", SAME_ACTIVITY_OTHER_CAMERA, SAME, source),
        activity_protocol(f"{name}/cross/view+@1", CROSS_ACTIVITY, CROSS, source),
        activity_protocol(f"{name}/cross/view-@1", CROSS_ACTIVITY_OTHER_CAMERA, CROSS, source),
    )


def divide(
    tracklets: Sequence[Tracklet], *, share: float, generator: np.random.Generator
) -> tuple[tuple[Tracklet, ...], tuple[Tracklet, ...]]:
    """Test clips as (query, gallery), each with its part in both protocols as labels.

    Same activity: `share` of each person's clips, drawn at random, are probes (rounded down, at least one, and one
    stays in the gallery); the rest is gallery. Cross activity: the activities are shuffled, the first half of them is
    the probes' side; a clip of several activities is on that side when at least half of them are. On it `share` of a
    person's clips are probes and the others are left out, as is a probe whose person has no clip on the gallery's
    side, which is gallery as a whole. A clip without activity takes no part in cross activity.
    A clip may be in query and gallery, for one protocol each.

    tracklets: with the label 'action', or 'actions' joined by '+'.
    Raises ValueError for a share that is not between 0 and 1.
    Source: ABNet's appendix and code (share per person, halves, several activities); rounding is not in them.
    """
    if not 0 < share < 1:
        raise ValueError(f"the share of probes is {share}; expected more than 0 and less than 1, such as {SHARE}")
    people: dict[str, list[Tracklet]] = defaultdict(list)
    for tracklet in sorted(tracklets, key=lambda t: t.key):
        people[str(tracklet.identity)].append(tracklet)
    same: dict[str, str] = {}
    for _, clips in sorted(people.items()):
        number = min(max(int(share * len(clips)), 1), len(clips) - 1)
        chosen = set(generator.permutation(len(clips))[:number].tolist())
        same |= {t.key: PROBE if place in chosen else GALLERY for place, t in enumerate(clips)}
    actions = sorted({action for t in tracklets for action in actions_of(t)})
    asked = {actions[place] for place in generator.permutation(len(actions))[: len(actions) // 2]}
    cross: dict[str, str] = {}
    for _, clips in sorted(people.items()):
        known = [t for t in clips if actions_of(t)]
        asking = [t for t in known if 2 * len(asked.intersection(actions_of(t))) >= len(actions_of(t))]
        offered = {t.key for t in known} - {t.key for t in asking}
        number = max(int(share * len(asking)), 1) if offered else 0
        chosen = {asking[place].key for place in generator.permutation(len(asking))[:number]}
        cross |= {t.key: GALLERY if t.key in offered else PROBE if t.key in chosen else LEFT_OUT for t in clips}
    told = [
        replace(t, labels={**t.labels, SAME: same[t.key], CROSS: cross[t.key]})
        for t in sorted(tracklets, key=lambda t: t.key)
    ]
    sides = ((t for t in told if side in (t.labels[SAME], t.labels[CROSS])) for side in (PROBE, GALLERY))
    query, gallery = (tuple(side) for side in sides)
    return query, gallery


def actions_of(tracklet: Tracklet) -> tuple[str, ...]:
    """What is done in a clip, none when unknown."""
    actions = tracklet.labels.get("actions", tracklet.labels.get("action", ""))
    return tuple(actions.split("+")) if actions else ()


def find_clips(root: Path, name: re.Pattern[str], layout: str) -> dict[str, Path]:
    """Folders of frames and videos under root whose whole name (without ending) matches, by group 1, sorted.

    A folder of frames stands before a video of the same name.
    layout: what is expected, for the error. Raises FileNotFoundError when root is no folder or holds no clip.
    """
    if not Path(root).is_dir():
        raise FileNotFoundError(f"{root} is not a folder; expected {layout}")
    found: dict[str, Path] = {}
    for place, folders, files in os.walk(root):
        folders.sort()
        for file in sorted(files):
            path = Path(place, file)
            match = name.fullmatch(path.stem)
            if match and path.suffix.lower() in VIDEOS:
                found.setdefault(match[1], path)
        for folder in list(folders):
            match = name.fullmatch(folder)
            if match:
                found[match[1]] = Path(place, folder)
                folders.remove(folder)
    if not found:
        raise FileNotFoundError(f"{root} holds no clip; expected {layout}")
    return dict(sorted(found.items()))


def clip_media(path: Path, step: int) -> Media | None:
    """All pictures of a folder, or every `step`-th frame of a video; None when there are too few for a clip."""
    media: Media
    if path.is_dir():
        media = Images(pictures(path.iterdir()))
    else:
        media = VideoSpan(path, tuple(range(0, declared_frames(path), step)))
    return media if len(media) >= SHORTEST else None


def pictures(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The picture files among paths, in the order of the numbers in their names."""
    found = (p for p in paths if p.suffix.lower() in PICTURES and not p.name.startswith("."))
    return tuple(sorted(found, key=lambda p: ([int(n) for n in re.findall(r"\d+", p.stem)], p.name)))
