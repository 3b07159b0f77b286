"""What is wrong with a data set, or worth knowing, before anything is trained or measured on it.

`examine` looks at labels, files, protocols and captions, and changes nothing. A finding is an error where a number made
from the data would be wrong or a command would stop, a warning where it may mislead, and a note where it is a fact.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.doctor_files import examine_captions, examine_files, examine_frames
from unbraid.data.finding import SEVERITIES, SPLITS, Finding, Item, Severity, finding, items_of
from unbraid.data.sets.about import available, check
from unbraid.progress import track
from unbraid.protocol import Protocol, same
from unbraid.tracklet import Tracklet

# Cells of the (query, gallery) matrix looked at together: 16 million of one byte, in a handful of matrices.
BLOCK = 1 << 24
LABEL = re.compile(r"\w+\('([^']*)'(?:, '([^']*)')?\)")


def examine(
    benchmark: Benchmark, *, frames: bool = False, captions: Path | None = None, remarks: Sequence[str] = ()
) -> list[Finding]:
    """All findings, errors first.

    frames: decode every frame as well. captions: a file of JSON lines with key, aspect and text.
    remarks: what a reader said while it read (its warnings); each becomes a finding.

    Raises FileNotFoundError for a caption file that does not exist, ValueError when it is not text.

    Example:
        for finding in examine(mars.read(Path("MARS"))):
            print(finding.severity, finding.message)
    """
    found = [Finding("reader", "warning", 1, text) for text in remarks]
    items = items_of(benchmark)
    found += [*_counts(benchmark), *_splits(benchmark), *_identities(benchmark), *_keys(items)]
    found += _protocols(benchmark)
    broken: set[Path] = set()
    found += examine_files(items, broken)
    if frames:
        found += examine_frames(items, broken)
    if captions is not None:
        found += examine_captions(Path(captions), items)
    return sorted((f for f in found if f.count), key=lambda f: SEVERITIES.index(f.severity))


def mates(
    protocol: Protocol, query: pd.DataFrame, gallery: pd.DataFrame
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For each query: whether the gallery holds a possible hit, and whether it is one itself, under the same key.

    query, gallery: label tables of the items that take part. With cells, an item of the query's own cell value is no
    hit. A rule of shots is passed over: the whole gallery counts. Raises KeyError for a label that a table lacks.
    """
    hit, skip, own = (rule.on(query, gallery) for rule in (protocol.hit, protocol.skip, same("key")))
    mated, itself = np.zeros(len(query), np.bool_), np.zeros(len(query), np.bool_)
    asked = offered = None
    if protocol.cells:
        asked, offered = (np.asarray(table[protocol.cells], dtype=object) for table in (query, gallery))
        known = gallery[protocol.cells].notna().to_numpy()
    step = max(1, BLOCK // max(len(gallery), 1))
    for start in range(0, len(query), step):
        rows = slice(start, min(start + step, len(query)))
        possible = hit(rows) & ~skip(rows)
        if asked is not None and offered is not None:
            possible &= (asked[rows, None] != offered[None, :]) & known
        mated[rows], itself[rows] = possible.any(1), (possible & own(rows)).any(1)
    return mated, itself


def _counts(benchmark: Benchmark) -> Iterator[Finding]:
    if benchmark.name in available():
        wrong = check(benchmark)
        yield finding(
            "owners-counts",
            "warning",
            wrong,
            f"{len(wrong)} numbers are not those of a whole copy",
            "results are not comparable with published ones until the copy is whole",
        )


def _splits(benchmark: Benchmark) -> Iterator[Finding]:
    sizes = {split: len(getattr(benchmark, split)) for split in SPLITS}
    if not any(sizes.values()):
        yield Finding("splits", "error", 1, "there is no tracklet at all", (), "point to the folder that holds them")
        return
    for split, size in sizes.items():
        tracklets: Sequence[Tracklet] = getattr(benchmark, split)
        if not size:
            use = "trained" if split == "train" else "evaluated"
            yield Finding("splits", "warning", 1, f"split {split} is empty, so nothing can be {use} on this data alone")
            continue
        clips = sorted(Counter(t.identity for t in tracklets if t.identity is not None).values()) or [0]
        lengths = sorted(len(t) for t in tracklets)
        people = len({t.identity for t in tracklets} - {None})
        message = (
            f"{split}: {people} identities, {size} tracklets, {sum(lengths)} frames; tracklets an identity "
            f"{_spread(clips)}, frames a tracklet {_spread(lengths)}"
        )
        yield Finding("summary", "note", 1, message)
    once = [name for name, n in Counter(t.identity for t in benchmark.train).items() if n == 1 and name is not None]
    yield finding(
        "one-tracklet",
        "note",
        once,
        f"{len(once)} training identities have one tracklet only",
        "a batch repeats it; losses over pairs learn little from them",
    )


def _spread(values: Sequence[int]) -> str:
    return f"{values[0]} to {values[-1]} (median {median(values):g})"


def _identities(benchmark: Benchmark) -> Iterator[Finding]:
    test = {t.key: t for t in (*benchmark.query, *benchmark.gallery)}.values()
    both = sorted({t.identity for t in benchmark.train if t.identity} & {t.identity for t in test if t.identity})
    yield finding(
        "identities-in-both",
        "error",
        both,
        f"{len(both)} identities are in train and in the test splits",
        "scores would be of people already seen; divide by person, or give different people different names",
    )
    unknown: dict[str, list[str]] = {s: [t.key for t in getattr(benchmark, s) if t.identity is None] for s in SPLITS}
    consequence: dict[str, tuple[Severity, str]] = {
        "train": ("error", "training needs to know who everybody is; label them or leave them out"),
        "query": ("warning", "they have no mates and leave every mean"),
        "gallery": ("note", "distractors: they can only be wrong answers, as intended by most owners"),
    }
    for split, (severity, advice) in consequence.items():
        message = f"{len(unknown[split])} tracklets of split {split} have no identity"
        yield finding("unknown-identity", severity, unknown[split], message, advice)
    by_camera = any("'camera'" in f"{p.hit} {p.skip}" for p in benchmark.protocols.values())
    for name, tracklets in (("train", benchmark.train), ("test", test)):
        cameras: dict[str, set[str | None]] = defaultdict(set)
        for t in tracklets:
            if t.identity is not None:
                cameras[t.identity].add(t.labels.get("camera"))
        single = sorted(who for who, seen in cameras.items() if len(seen) == 1 and None not in seen)
        yield finding(
            "single-camera",
            "warning" if name == "test" and by_camera else "note",
            single,
            f"{len(single)} of {len(cameras)} {name} identities were seen by one camera only",
            "they have no mate where a protocol asks for another camera"
            if name == "test"
            else "nothing is learned from them about the change of camera",
        )


def _keys(items: Sequence[Item]) -> Iterator[Finding]:
    holders: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        holders[item.tracklet.key].append(item)
    twice = [key for key, those in holders.items() if len(those) > 1]
    yield finding(
        "duplicate-keys",
        "error",
        twice,
        f"{len(twice)} keys stand for different files in different splits",
        "captions and embeddings are joined by key; make keys unique, for example by the split's name in front",
    )
    leaked = [i.tracklet.key for i in items if "train" in i.splits and len(i.splits) > 1]
    yield finding(
        "test-in-train", "error", leaked, f"{len(leaked)} tracklets are in train and in a test split", "remove them"
    )
    asked = [i.tracklet.key for i in items if {"query", "gallery"} <= i.splits]
    message = f"{len(asked)} queries stand in the gallery too"
    yield finding("query-in-gallery", "note", asked, message, "fine as long as no query finds itself (looked at here)")


def _protocols(benchmark: Benchmark) -> Iterator[Finding]:
    """Labels that rules need, protocols that choose nothing, queries without mates or that find themselves."""
    if not benchmark.query or not benchmark.gallery:
        return
    tables = {side: label_table(getattr(benchmark, side)) for side in ("query", "gallery")}
    unknown: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    apart: dict[str, list[str]] = defaultdict(list)
    lacking: dict[str, list[str]] = defaultdict(list)
    for name, protocol in track(benchmark.protocols.items(), "protocols"):
        try:
            sides = {s: tables[s].iloc[getattr(protocol, s).rows(tables[s], s)] for s in tables}
            query, gallery = (side.reset_index(drop=True) for side in sides.values())
            pairs = [(a, b or a) for a, b in LABEL.findall(f"{protocol.hit} {protocol.skip}")]
            mated, itself = mates(protocol, query, gallery)
        except KeyError as error:
            lacking[str(error.args[0])].append(name)
            continue
        except ValueError as error:
            yield Finding("protocol-empty", "warning", 1, f"{name}: {error}", (), "give its data, or do not use it")
            continue
        for asked, offered in pairs:
            for side, label, table in (("query", asked, query), ("gallery", offered, gallery)):
                keys = [] if label in ("identity", "key") else table["key"][table[label].isna()].tolist()
                if keys:
                    unknown.setdefault((side, label), (keys, []))[1].append(name)
            values = set(query[asked].dropna()), set(gallery[offered].dropna())
            if asked == offered and asked not in ("identity", "key") and all(values) and not values[0] & values[1]:
                apart[asked].append(name)
        alone = query["key"][~mated].tolist()
        yield finding(
            "no-mates",
            "error" if len(alone) == len(query) else "warning",
            alone,
            f"{name}: {len(alone)} of {len(query)} queries have no mate in the gallery",
            f"a mate is {protocol.hit} and not {protocol.skip}; queries without one leave the mean and are counted",
        )
        selfish = query["key"][itself].tolist()
        yield finding(
            "finds-itself",
            "error",
            selfish,
            f"{name}: {len(selfish)} queries find themselves in the gallery",
            "the protocol does not skip them; use another, complete their labels or take them out of the gallery",
        )
    for text, names in lacking.items():
        message = f"protocols that cannot be used: {text}"
        yield finding("labels-missing", "error", names, message, "add the label, or do not name the protocol")
    for (side, label), (keys, names) in unknown.items():
        yield finding(
            "labels-unknown",
            "warning",
            keys,
            f"{label} is unknown of {len(keys)} items of split {side}",
            f"an unknown value equals none, so {', '.join(dict.fromkeys(names))} skips or finds too little there",
        )
    for label, names in apart.items():
        message = f"query and gallery have no value of {label} in common, so no pair is the same in it"
        advice = "right where the owners divided them so, wrong where values were numbered anew in each split"
        yield finding("labels-apart", "note", sorted(set(names)), message, advice)
