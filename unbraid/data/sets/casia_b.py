"""CASIA-B: silhouettes of 124 people who walk, from eleven views, as usual, with a bag, and in a coat.

001/nm-01/090/001-nm-01-090-001.png ...    person, sequence, view, and one silhouette per frame
001/nm-01/090/090.pkl                      or one array of silhouettes, as OpenGait's preparation writes
"""

import re
import warnings
from pathlib import Path

from unbraid.data.arrays import count_frames
from unbraid.data.benchmark import Benchmark
from unbraid.data.sets.about import About
from unbraid.data.sets.activity import pictures
from unbraid.data.sets.partition import folders
from unbraid.protocol import Protocol, Where, never, same
from unbraid.tracklet import Arrays, Images, Media, Tracklet

ABOUT = About(
    name="casia-b",
    title="CASIA-B, gait from eleven views",
    modality="silhouette",
    access="agreement",
    licence="research only, by agreement with the Institute of Automation of the Chinese Academy of Sciences",
    counts={"train identities": 74, "test identities": 50, "all identities": 124, "all views": 11},
    notes="Some sequences hold no silhouettes. Silhouettes are not aligned: people move through the picture.",
    source="CASIA gait database, dataset B",
)

TYPES = {"nm": "normal", "bg": "bag", "cl": "clothing"}
# Source: the usual protocol of CASIA-B (OpenGait's evaluation): four normal sequences are enrolled.
ENROLLED = ("nm-01", "nm-02", "nm-03", "nm-04")
PROBES = {"nm": ("nm-05", "nm-06"), "bg": ("bg-01", "bg-02"), "cl": ("cl-01", "cl-02")}

SOURCE = "OpenGait's evaluation of CASIA-B: each view against every other view, cells averaged"
PROTOCOLS = tuple(
    Protocol(
        f"casia-b/{kind}@1",
        hit=same("identity"),
        skip=never(),
        query=Where({"sequence": sequences}),
        gallery=Where({"sequence": ENROLLED}),
        cells="view",
        source=SOURCE,
    )
    for kind, sequences in PROBES.items()
)

SEQUENCE = re.compile(r"(nm|bg|cl)-\d\d")
LAYOUT = "root/001/nm-01/090/*.png (person, sequence, view)"


def read(root: Path, *, train_people: int = 74) -> Benchmark:
    """Sequences as tracklets; labels 'view', 'sequence' (nm-01) and 'condition' (normal, bag or clothing).

    train_people: people up to this number train, the others test; 74 is the usual large-sample split, 24 and 62 the
    smaller ones.

    View folders without silhouettes are left out with a warning that counts them, and one says how many are pictures,
    in which people move; folders of other names are not read.
    Raises FileNotFoundError when root holds no such sequence.
    """
    root = Path(root)
    splits: dict[str, list[Tracklet]] = {"train": [], "query": [], "gallery": []}
    probes = {sequence for sequences in PROBES.values() for sequence in sequences}
    empty = read_any = unaligned = 0
    for person in folders(root):
        for sequence in folders(person) if re.fullmatch(r"\d{3}", person.name) else []:
            part = "gallery" if sequence.name in ENROLLED else "query" if sequence.name in probes else ""
            part = "train" if int(person.name) <= train_people else part
            for view in folders(sequence) if part and SEQUENCE.fullmatch(sequence.name) else []:
                media = _media(view)
                if not len(media):
                    empty += 1
                    continue
                read_any += 1
                unaligned += isinstance(media, Images)
                labels = {"view": view.name, "sequence": sequence.name, "condition": TYPES[sequence.name[:2]]}
                key = f"{person.name}-{sequence.name}-{view.name}"
                splits[part].append(Tracklet(key, media, "silhouette", person.name, labels))
    if not read_any:
        raise FileNotFoundError(
            f"{root} holds no sequence of CASIA-B; expected {LAYOUT}. Unpack the archives of people"
        )
    if empty:
        warnings.warn(f"casia-b: {empty} sequences hold no silhouettes and are left out", stacklevel=2)
    if unaligned:
        warnings.warn(
            f"casia-b: {unaligned} sequences are pictures in which people move about; recipes for gait expect "
            f"aligned silhouettes, the .pkl files of OpenGait's preparation",
            stacklevel=2,
        )
    train, query, gallery = (tuple(splits[part]) for part in ("train", "query", "gallery"))
    return Benchmark("casia-b", train, query, gallery, {p.name: p for p in PROTOCOLS})


def _media(view: Path) -> Media:
    arrays = sorted(view.glob("*.pkl"))
    return Arrays(arrays[0], count_frames(arrays[0])) if len(arrays) == 1 else Images(pictures(view.iterdir()))
