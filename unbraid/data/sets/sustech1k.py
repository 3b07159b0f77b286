"""SUSTech1K: people who walk, seen by a LiDAR and a camera at once, from twelve views under eight conditions.

    0001/00-nm/000/09-sync-...pkl ...    person, sequence, view, and up to sixteen arrays whose names begin with numbers
    SUSTech1K.json                       partition: {"TRAIN_SET": [...], "TEST_SET": [...]}

The two sensors of one walk are two tracklets with the same label `walk` and as many frames.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

from unbraid.data.arrays import count_frames
from unbraid.data.benchmark import Benchmark
from unbraid.data.sets.about import About
from unbraid.data.sets.partition import folders, read_partition
from unbraid.protocol import Protocol, Where, never, same
from unbraid.tracklet import Arrays, Modality, Tracklet

ABOUT = About(
    name="sustech1k",
    title="SUSTech1K, gait by LiDAR and camera",
    modality="depth,silhouette",
    access="agreement",
    licence="academic use, by a signed agreement sent by e-mail",
    counts={"train identities": 250, "train walks": 6011, "test identities": 800, "all views": 12},
    notes="25,239 sequences. One sequence may count in several conditions. "
    "Camera pictures of people walking at night are hard in their normal sequences too.",
    source="CVPR 2023 paper of SUSTech1K (LidarGait) and the rules of OpenGait's evaluation",
)

# Source: OpenGait's evaluation of SUSTech1K: a sequence counts where its type contains the text.
PROBES = ("01", "02", "03", "04")
ENROLLED = "00-nm"
CONDITIONS: Mapping[str, str] = {
    "normal": "01-nm",
    "bag": "bg",
    "clothing": "cl",
    "carrying": "cr",
    "umbrella": "ub",
    "uniform": "uf",
    "occlusion": "oc",
    "night": "nt",
}
# Source: layout of the owners' archive: the depth maps and aligned silhouettes of the same moments, 10 a second.
DEPTH, SILHOUETTE = 9, 14


def protocol(query_modality: Modality, gallery_modality: Modality, condition: str = "") -> Protocol:
    """Sequences of one sensor, all or under a condition, against the first normal one of a sensor, by view cell.

    condition: a name of CONDITIONS, or '' for all probes.
    Source: SUSTech1K (LidarGait) and OpenGait's evaluation: each view against every other view, cells averaged.
    Across sensors: TCFDNet, section on the protocol; both sides are named because published arrows disagree.
    """
    chosen: dict[str, tuple[str, ...]] = {"modality": (query_modality,)}
    return Protocol(
        f"sustech1k/{query_modality}-in-{gallery_modality}/{condition or 'all'}@1",
        hit=same("identity"),
        skip=never(),
        query=Where({**chosen, **({condition: ("yes",)} if condition else {})}),
        gallery=Where({"modality": (gallery_modality,)}),
        cells="view",
        source="SUSTech1K (LidarGait, CVPR 2023) and OpenGait's evaluation; across sensors TCFDNet",
    )


SIDES: tuple[tuple[Modality, Modality], ...] = (
    ("silhouette", "depth"),
    ("depth", "silhouette"),
    ("silhouette", "silhouette"),
    ("depth", "depth"),
)
# Source: see `protocol`.
PROTOCOLS = tuple(protocol(asked, offered, condition) for asked, offered in SIDES for condition in ("", *CONDITIONS))


def read(
    root: Path, *, partition: Path | None = None, depth: int | None = DEPTH, silhouette: int | None = SILHOUETTE
) -> Benchmark:
    """Sequences as tracklets of one array file each; labels 'view', 'type' (as the folder is named), 'walk', and
    'yes' or 'no' for each of CONDITIONS.

    Queries are the test sequences whose type contains one of PROBES, gallery those whose type contains ENROLLED.
    partition: OpenGait's list of people; `SUSTech1K.json` in root when absent.
    depth, silhouette: numbers of the arrays to use, None to do without a modality.

    Of each array file the head is read, for its number of frames. Sequences that lack one of the two arrays, hold no
    frames, or have more frames of one than of the other are left out with a warning that counts them.
    Raises FileNotFoundError for a missing partition or an empty root, ValueError for one that is not as above.
    """
    root = Path(root)
    people = read_partition(Path(partition) if partition else root / "SUSTech1K.json", root)
    wanted: dict[Modality, int] = {}
    if depth is not None:
        wanted["depth"] = depth
    if silhouette is not None:
        wanted["silhouette"] = silhouette
    if not wanted:
        raise ValueError("depth and silhouette are both None; choose the number of an array for one of them")
    splits: dict[str, list[Tracklet]] = {"train": [], "query": [], "gallery": []}
    missing = uneven = 0
    for person in folders(root):
        for kind in folders(person):
            # Training knows every type; a test sequence that is neither probe nor enrolled takes no part.
            parts = ["train"] if person.name in people["TRAIN_SET"] else []
            if person.name in people["TEST_SET"]:
                parts = ["query"] * any(n in kind.name for n in PROBES) + ["gallery"] * (ENROLLED in kind.name)
            for view in folders(kind) if parts else []:
                found = _media(view, wanted)
                lengths = {len(media) for media in found.values()}
                if len(found) < len(wanted) or 0 in lengths:
                    missing += 1
                    continue
                if len(lengths) > 1:
                    uneven += 1
                    continue
                for modality, media in found.items():
                    tracklet = _tracklet(person.name, kind.name, view.name, modality, media)
                    for part in parts:
                        splits[part].append(tracklet)
    if missing or uneven:
        warnings.warn(
            f"sustech1k: {missing} sequences lack an array or hold no frames, and {uneven} have unequal numbers of "
            f"frames; they are left out",
            stacklevel=2,
        )
    train, query, gallery = (tuple(splits[part]) for part in ("train", "query", "gallery"))
    return Benchmark("sustech1k", train, query, gallery, {p.name: p for p in _answerable(set(wanted))})


def _answerable(modalities: set[Modality]) -> list[Protocol]:
    return [p for p in PROTOCOLS if {*p.query.labels["modality"], *p.gallery.labels["modality"]} <= modalities]


def _media(view: Path, wanted: Mapping[Modality, int]) -> dict[Modality, Arrays]:
    """The wanted arrays of a sequence: by the numbers that begin the file names, else by their place among 16."""
    files = sorted(view.glob("*.pkl"))
    by_name = {int(f.name[:2]): f for f in files if f.name[:2].isdigit() and not f.name[2:3].isdigit()}
    numbered = by_name if len(by_name) == len(files) else dict(enumerate(files)) if len(files) == 16 else {}
    return {m: Arrays(numbered[n], count_frames(numbered[n])) for m, n in wanted.items() if n in numbered}


def _tracklet(person: str, kind: str, view: str, modality: Modality, media: Arrays) -> Tracklet:
    walk = f"{person}/{kind}/{view}"
    # The first normal sequence, which is enrolled, is normal too.
    conditions = {
        name: "yes" if text in kind or (name == "normal" and ENROLLED in kind) else "no"
        for name, text in CONDITIONS.items()
    }
    return Tracklet(
        f"{walk}/{modality}", media, modality, person, {"view": view, "type": kind, "walk": walk, **conditions}
    )
