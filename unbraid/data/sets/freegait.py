"""FreeGait: people who walk as they please outdoors, seen by a LiDAR and a camera at once.

    ID/device/sequence/image.pkl        silhouettes; or image/image.pkl, as in the owners' archive
    ID/device/sequence/range_pkl.pkl    LiDAR depth maps; or range_pkl/range_pkl.pkl
    FreeGait.json                       partition: TRAIN_SET and TEST_SET of people, PROBE_SET and GALLERY_SET of
                                        sequences, written ID-device-sequence

The two sensors of one walk are two tracklets with the same label `walk`.
"""

import warnings
from pathlib import Path
from typing import Literal

from unbraid.data.arrays import count_frames
from unbraid.data.benchmark import Benchmark
from unbraid.data.sets.about import About
from unbraid.data.sets.partition import folders, read_partition
from unbraid.protocol import Protocol, Where, never, same
from unbraid.tracklet import Arrays, Modality, Tracklet

ABOUT = About(
    name="freegait",
    title="FreeGait, unconstrained gait by LiDAR and camera",
    modality="depth,silhouette",
    access="agreement",
    licence="unclear; the terms are in the owners' agreement",
    counts={
        "train identities": 500,
        "train walks": 5000,
        "query identities": 641,
        "query walks": 3571,
        "gallery identities": 691,
        "gallery walks": 691,
        "all devices": 3,
    },
    notes="1,195 people, 11,921 sequences. 4 "
    "probe people (1160, 1185, 1187, 1188) have no gallery sequence, and 54 gallery people no probe. The lists leave "
    "out 2,659 test sequences, which OpenGait puts into the gallery.",
    source="project page of FreeGait and OpenGait's partition file",
)
FILES: dict[Modality, str] = {"depth": "range_pkl", "silhouette": "image"}


def protocol(query_modality: Modality, gallery_modality: Modality) -> Protocol:
    """Probes of one sensor against the gallery of a sensor; views are not told apart.

    Source: FreeGait as evaluated by OpenGait. Across sensors: TCFDNet, section on the protocol; both sides are named
    because published arrows disagree.
    """
    return Protocol(
        f"freegait/{query_modality}-in-{gallery_modality}@1",
        hit=same("identity"),
        skip=never(),
        query=Where({"modality": (query_modality,)}),
        gallery=Where({"modality": (gallery_modality,)}),
        source="FreeGait as evaluated by OpenGait; across sensors TCFDNet, section on the protocol",
    )


# Source: see `protocol`.
PROTOCOLS = (
    protocol("silhouette", "depth"),
    protocol("depth", "silhouette"),
    protocol("silhouette", "silhouette"),
    protocol("depth", "depth"),
)


def read(
    root: Path, *, partition: Path | None = None, gallery: Literal["listed", "all but probes"] = "listed"
) -> Benchmark:
    """Sequences as tracklets of one array file each; labels 'device', 'sequence' and 'walk'.

    partition: OpenGait's lists; `FreeGait.json` in root when absent.
    gallery: the sequences of GALLERY_SET, or, as OpenGait has it, every test sequence that is not in PROBE_SET.

    Of each array file the head is read, for its number of frames. Sequences without an array, listed sequences that are
    absent, and training sequences with more frames of one sensor than of the other (they could not be trained on in
    pairs) are left out with a warning that counts them. Probes without a gallery sequence stay; evaluation
    leaves them out of the means and counts them.
    Raises FileNotFoundError for a missing partition or an empty root, ValueError for a partition that is not as above.
    """
    if gallery not in ("listed", "all but probes"):
        raise ValueError(f"gallery is {gallery!r}; expected 'listed' or 'all but probes'")
    root = Path(root)
    path = Path(partition) if partition else root / "FreeGait.json"
    lists = read_partition(path, root, lists=("TRAIN_SET", "TEST_SET", "PROBE_SET", "GALLERY_SET"))
    both = sorted(lists["PROBE_SET"] & lists["GALLERY_SET"])
    if both:
        raise ValueError(f"{path}: sequence {both[0]!r} is in PROBE_SET and in GALLERY_SET; keep one")
    splits: dict[str, list[Tracklet]] = {"train": [], "query": [], "gallery": []}
    seen, bare, uneven = set(), 0, 0
    for person in folders(root):
        for device in folders(person):
            for sequence in folders(device):
                name = f"{person.name}-{device.name}-{sequence.name}"
                seen.add(name)
                part = "train" if person.name in lists["TRAIN_SET"] else ""
                if person.name in lists["TEST_SET"]:
                    offered = name in lists["GALLERY_SET"] or gallery == "all but probes"
                    part = "query" if name in lists["PROBE_SET"] else "gallery" if offered else ""
                found = _media(sequence) if part else {}
                if part and len(found) < len(FILES):
                    bare += 1
                    continue
                if part == "train" and len({len(media) for media in found.values()}) > 1:
                    uneven += 1
                    continue
                for modality, media in found.items():
                    labels = {"device": device.name, "sequence": sequence.name, "walk": name}
                    splits[part].append(Tracklet(f"{name}/{modality}", media, modality, person.name, labels))
    absent = len((lists["PROBE_SET"] | lists["GALLERY_SET"]) - seen)
    if absent or bare or uneven:
        warnings.warn(
            f"freegait: {absent} listed sequences are absent and {bare} lack an array or hold no frames, and {uneven} "
            f"training sequences have unequal numbers of frames; they are left out",
            stacklevel=2,
        )
    train, query, offered_tracklets = (tuple(splits[part]) for part in ("train", "query", "gallery"))
    return Benchmark("freegait", train, query, offered_tracklets, {p.name: p for p in PROTOCOLS})


def _media(sequence: Path) -> dict[Modality, Arrays]:
    """The arrays of a sequence that hold frames."""
    found: dict[Modality, Arrays] = {}
    for modality, name in FILES.items():
        for path in (sequence / f"{name}.pkl", sequence / name / f"{name}.pkl"):
            if path.is_file() and (count := count_frames(path)):
                found[modality] = Arrays(path, count)
                break
    return found
