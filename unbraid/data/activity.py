"""Probes and gallery of the activity protocols, drawn several times and written down, so that others can use the same.

The owners of these benchmarks published no lists, and one seed alone is not comparable: results are the mean and the
spread over several draws. A folder of draws holds

    draws.json                               benchmark, seeds, share, number and SHA-256 of every list
    42/same_activity-probe.txt ...           one key a line, in alphabetical order; four lists for every seed

and evaluation needs embeddings only once: of all test clips, to which each draw gives its labels.

Source: rules of ABNet (CVPR 2024), which DisenQ follows: a quarter of each person's clips. Five seeds, 42 to 46, are
ours; mean and spread.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from unbraid.data.benchmark import Benchmark
from unbraid.data.sets.activity import CROSS, GALLERY, LEFT_OUT, PROBE, SAME, SHARE, activity_protocols, divide
from unbraid.files import replacing_folder, write_text
from unbraid.protocol import Protocol
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Tracklet

SEEDS = (42, 43, 44, 45, 46)
INDEX, FORMAT, VERSION = "draws.json", "unbraid activity draws", 1
LISTS = tuple((part, side) for part in (SAME, CROSS) for side in (PROBE, GALLERY))

# Same and cross activity with the probe's camera ('view+') and without it ('view-'), for any benchmark with draws.
PROTOCOLS = activity_protocols("activity-draws")


@dataclass(frozen=True)
class Draw:
    """One division of the test clips. lists: keys by (label, side), such as ('same_activity', 'probe'), sorted."""

    seed: int
    lists: Mapping[tuple[str, str], tuple[str, ...]]

    def part(self, label: str) -> dict[str, str]:
        """Key -> side in one protocol, 'same_activity' or 'cross_activity'; keys that are left out are not there."""
        return {key: side for side in (PROBE, GALLERY) for key in self.lists[label, side]}


def clips_of(benchmark: Benchmark) -> tuple[Tracklet, ...]:
    """Query and gallery together, each clip once, in the order of their keys."""
    both = {t.key: t for t in (*benchmark.query, *benchmark.gallery)}
    return tuple(both[key] for key in sorted(both))


def draw(benchmark: Benchmark, *, seeds: Sequence[int] = SEEDS, share: float = SHARE) -> tuple[Draw, ...]:
    """Divide the test clips of a benchmark once for every seed, by the rules of `sets.activity.divide`.

    Raises ValueError for a benchmark without test clips or without actions, for repeated seeds, and a share that is
    not between 0 and 1.
    """
    clips = clips_of(benchmark)
    if not clips:
        raise ValueError(f"{benchmark.name} has no test clips to divide")
    if not any("action" in t.labels or "actions" in t.labels for t in clips):
        raise ValueError(f"no test clip of {benchmark.name} has the label 'action' or 'actions'; add one of them")
    if len(set(seeds)) < len(seeds) or not seeds:
        raise ValueError(f"seeds are {tuple(seeds)}; expected one or more different numbers")
    draws = []
    for seed in seeds:
        sides = divide(clips, share=share, generator=np.random.default_rng(seed))
        told = {t.key: t for side in sides for t in side}
        lists = {
            (part, side): tuple(sorted(key for key, t in told.items() if t.labels[part] == side))
            for part, side in LISTS
        }
        draws.append(Draw(seed, lists))
    return tuple(draws)


def save(draws: Sequence[Draw], folder: Path, benchmark: Benchmark, *, share: float = SHARE) -> Path:
    """Write draws as a folder, in one step; returns it. The same draws give the same bytes.

    Raises ValueError when the folder holds other draws or something else.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / INDEX).is_file():
        raise ValueError(f"{folder} exists and holds no draws; choose another folder")
    texts = {
        one.seed: {"-".join(pair): "".join(f"{key}\n" for key in keys) for pair, keys in one.lists.items()}
        for one in draws
    }
    facts: dict[str, Any] = {"format": FORMAT, "version": VERSION, "benchmark": benchmark.name}
    facts |= {"synthetic": benchmark.synthetic, "clips_sha256": clips_hash(clips_of(benchmark)), "share": share}
    facts["draws"] = {
        str(seed): {
            name: {"clips": text.count("\n"), "sha256": hashlib.sha256(text.encode()).hexdigest()}
            for name, text in lists.items()
        }
        for seed, lists in texts.items()
    }
    index = json.dumps(facts, indent=2) + "\n"
    if (folder / INDEX).is_file() and (folder / INDEX).read_text(encoding="utf-8") != index:
        raise ValueError(f"{folder} holds other draws, which others may rely on; choose another folder")
    with replacing_folder(folder) as part:
        for seed, lists in texts.items():
            (part / str(seed)).mkdir()
            for name, text in lists.items():
                write_text(part / str(seed) / f"{name}.txt", text)
        write_text(part / INDEX, index)
    return folder


def load(folder: Path, benchmark: Benchmark | None = None) -> tuple[Draw, ...]:
    """The draws of a folder, in the order of their seeds, checked against their hashes.

    benchmark: if given, its test clips must be those that were divided.
    Raises FileNotFoundError for a missing file, ValueError for a list that was changed and for other clips.
    """
    index = Path(folder) / INDEX
    if not index.is_file():
        raise FileNotFoundError(f"{folder} has no {INDEX}; expected a folder of draws")
    try:
        facts = json.loads(index.read_text(encoding="utf-8"))
        known = facts["format"] == FORMAT and facts["version"] == VERSION
        expected: dict[str, dict[str, dict[str, Any]]] = facts["draws"]
        hashed = str(facts["clips_sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{index} is damaged ({error}); draw again, or restore it") from error
    if not known:
        raise ValueError(f"{index} is {facts['format']!r} version {facts['version']}; expected {FORMAT!r} {VERSION}")
    if benchmark is not None and clips_hash(clips_of(benchmark)) != hashed:
        raise ValueError(
            f"{folder} divides other test clips (of {facts['benchmark']}) than those of {benchmark.name}: keys, "
            f"people, actions or cameras differ"
        )
    return tuple(
        Draw(int(seed), {pair: _list(Path(folder) / seed, pair, lists) for pair in LISTS})
        for seed, lists in sorted(expected.items(), key=lambda item: int(item[0]))
    )


def drawn(benchmark: Benchmark, division: Draw) -> Benchmark:
    """The benchmark with the queries, the gallery and the labels of one draw, under PROTOCOLS.

    Raises ValueError when the draw names a clip that the benchmark lacks.
    """
    clips = clips_of(benchmark)
    parts = {label: division.part(label) for label in (SAME, CROSS)}
    lacking = sorted({key for own in parts.values() for key in own} - {t.key for t in clips})
    if lacking:
        raise ValueError(f"{benchmark.name} lacks {len(lacking)} clips of the draw, such as {lacking[0]!r}")
    told = [replace(t, labels={**t.labels, **{n: own.get(t.key, LEFT_OUT) for n, own in parts.items()}}) for t in clips]
    sides = (tuple(t for t in told if side in (t.labels[SAME], t.labels[CROSS])) for side in (PROBE, GALLERY))
    query, gallery = sides
    return replace(benchmark, query=query, gallery=gallery, protocols={p.name: p for p in PROTOCOLS})


def embedded(query: Embeddings, gallery: Embeddings, division: Draw) -> Embeddings:
    """Embeddings of all test clips, each once, with the labels of one draw: to be used as query and as gallery under
    one of PROTOCOLS, which choose the sides by label.

        both = embedded(query, gallery, division)
        evaluate(both, both, PROTOCOLS[0])

    Raises ValueError when the two sides have different spaces, or the draw names a clip that neither has.
    """
    if set(query.spaces) != set(gallery.spaces):
        raise ValueError(f"query has the spaces {sorted(query.spaces)}, gallery {sorted(gallery.spaces)}")
    here = set(query.table["key"])
    new = [n for n, key in enumerate(gallery.table["key"]) if key not in here]
    rest = gallery.take(new)
    spaces = Spaces({name: torch.cat([query.spaces[name], rest.spaces[name]]) for name in query.spaces})
    table = pd.concat([query.table, rest.table], ignore_index=True)
    for label in (SAME, CROSS):
        part = division.part(label)
        lacking = sorted(set(part) - set(table["key"]))
        if lacking:
            raise ValueError(f"there are no embeddings of {len(lacking)} clips of the draw, such as {lacking[0]!r}")
        table[label] = [part.get(key, LEFT_OUT) for key in table["key"]]
    return Embeddings(spaces, table, query.origin)


def clips_hash(clips: Sequence[Tracklet]) -> str:
    """SHA-256 of who does what before which camera, in the order of keys; of no pixels."""
    rows = [
        [t.key, t.identity, t.labels.get("actions", t.labels.get("action")), t.labels.get("camera")]
        for t in sorted(clips, key=lambda t: t.key)
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def protocol(same: bool, other_camera: bool) -> Protocol:
    """One of PROTOCOLS: same or cross activity, with the probe's camera in the gallery or without it."""
    return PROTOCOLS[2 * (not same) + other_camera]


def _list(folder: Path, pair: tuple[str, str], told: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    name = "-".join(pair)
    path = folder / f"{name}.txt"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; restore the folder of draws, or draw again with the same seed")
    text = path.read_text(encoding="utf-8")
    if hashlib.sha256(text.encode()).hexdigest() != told.get(name, {}).get("sha256"):
        raise ValueError(f"{path} is not the list that was drawn: its SHA-256 is another one than {INDEX} says")
    return tuple(text.split("\n")[:-1])
