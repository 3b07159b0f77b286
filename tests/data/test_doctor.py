"""The doctor of data: what is sound has no finding, every single fault has its own."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.doctor import examine, mates
from unbraid.data.finding import Finding
from unbraid.data.protocols import CAMERA_CHANGE, CLOTHES_CHANGE, CROSS_ACTIVITY, PLAIN, SAME_ACTIVITY, gait
from unbraid.data.sets.folder import read
from unbraid.protocol import Protocol, Where
from unbraid.tracklet import Arrays, Images, Tracklet, VideoSpan


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 255, (24, 12, 3), np.uint8)
    cv2.imwrite(str(path), image)
    return path


class Maker:
    """Tracklets of one picture each, all different."""

    def __init__(self, root: Path) -> None:
        self.root, self.made = root, 0

    def __call__(self, key: str, identity: str | None, *, modality: Any = "rgb", **labels: str) -> Tracklet:
        self.made += 1
        path = picture(self.root / f"{self.made}.jpg", self.made)
        return Tracklet(key, Images((path,)), modality, identity, labels)


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def sound(make: Maker, **changes: Any) -> Benchmark:
    """Two people to train on, two to test, two cameras each."""
    parts = {
        split: tuple(make(f"{split}{who}{c}", f"{group}{who}", camera=f"c{c}") for who in "ab" for c in cameras)
        for split, group, cameras in (("train", "p", (1, 2)), ("query", "q", (1,)), ("gallery", "q", (1, 2)))
    }
    protocols = {"camera-change@1": CAMERA_CHANGE}
    whole = Benchmark("own", parts["train"], parts["query"], parts["gallery"], protocols)
    return replace(whole, **changes)


def bad(found: Iterable[Finding]) -> dict[str, tuple[str, int]]:
    """Everything but notes."""
    return {f.check: (f.severity, f.count) for f in found if f.severity != "note"}


def test_sound_data_have_notes_only(make: Maker, people: Path) -> None:
    for benchmark in (sound(make), read(people)):
        found = examine(benchmark, frames=True)
        assert bad(found) == {}
        assert {f.check for f in found} == {"summary", "frames"}
    summary = next(f for f in examine(read(people)) if f.check == "summary")
    assert summary.message == (
        "train: 4 identities, 16 tracklets, 80 frames; tracklets an identity 4 to 4 (median 4), frames a tracklet "
        "5 to 5 (median 5)"
    )


Change = Callable[[Benchmark, Maker], Benchmark]


def first(tracklets: Sequence[Tracklet], **changes: Any) -> tuple[Tracklet, ...]:
    return (replace(tracklets[0], **changes), *tracklets[1:])


def remove_file(b: Benchmark, _: Maker) -> Benchmark:
    assert isinstance(b.train[0].media, Images)
    b.train[0].media.paths[0].unlink()
    return b


def empty_file(b: Benchmark, _: Maker) -> Benchmark:
    assert isinstance(b.gallery[0].media, Images)
    b.gallery[0].media.paths[0].write_bytes(b"")
    return b


def folder_for_file(b: Benchmark, make: Maker) -> Benchmark:
    return replace(b, train=first(b.train, media=Images((make.root,))))


def copy_bytes(b: Benchmark, make: Maker) -> Benchmark:
    assert isinstance(b.query[0].media, Images)
    b.query[0].media.paths[0].write_bytes((make.root / "1.jpg").read_bytes())
    return b


FAULTS: Mapping[str, tuple[Change, dict[str, tuple[str, int]]]] = {
    "missing": (remove_file, {"files-missing": ("error", 1)}),
    "empty": (empty_file, {"files-empty": ("error", 1)}),
    "no file": (folder_for_file, {"files-unreadable": ("error", 1)}),
    "same content in train and test": (copy_bytes, {"same-bytes": ("error", 1)}),
    "one file in train and query": (
        lambda b, _: replace(b, query=first(b.query, media=b.train[0].media)),
        {"shared-files": ("error", 1)},
    ),
    "one file in query and gallery": (
        lambda b, _: replace(b, query=first(b.query, media=b.gallery[1].media)),
        {"shared-files": ("error", 1)},
    ),
    "one file twice in a split": (
        lambda b, _: replace(b, train=first(b.train, media=b.train[1].media)),
        {"shared-files": ("warning", 1)},
    ),
    "a person in both": (
        lambda b, _: replace(b, train=first(b.train, identity="qa")),
        {"identities-in-both": ("error", 1)},
    ),
    "a nameless training tracklet": (
        lambda b, _: replace(b, train=first(b.train, identity=None)),
        {"unknown-identity": ("error", 1)},
    ),
    "a nameless query": (
        lambda b, _: replace(b, query=first(b.query, identity=None)),
        {"unknown-identity": ("warning", 1), "no-mates": ("warning", 1)},
    ),
    "a key of two": (
        lambda b, _: replace(b, query=first(b.query, key="gallerya1")),
        {"duplicate-keys": ("error", 1)},
    ),
    "a training tracklet as query": (
        lambda b, _: replace(b, query=(b.train[0],), train=b.train),
        {"test-in-train": ("error", 1), "identities-in-both": ("error", 1), "no-mates": ("error", 1)}
        | {"single-camera": ("warning", 1)},
    ),
    "one camera": (
        lambda b, _: replace(b, gallery=(b.gallery[0], *b.gallery[2:])),
        {"single-camera": ("warning", 1), "no-mates": ("warning", 1)},
    ),
    "no camera somewhere": (
        lambda b, _: replace(b, gallery=first(b.gallery, labels={})),
        {"labels-unknown": ("warning", 1)},
    ),
    "no label at all": (
        lambda b, _: replace(b, protocols={"a": CLOTHES_CHANGE, "b": CAMERA_CHANGE, "c": CROSS_ACTIVITY}),
        {"labels-missing": ("error", 1)},
    ),
    "queries that find themselves": (
        lambda b, _: replace(b, query=b.gallery, protocols={"a": SAME_ACTIVITY}),
        {"finds-itself": ("error", 4)},
    ),
    "a protocol for nobody": (
        lambda b, _: replace(b, protocols={"a": replace(PLAIN, query=Where({"camera": ("c9",)}))}),
        {"protocol-empty": ("warning", 1)},
    ),
    "nobody to train on": (lambda b, _: replace(b, train=()), {"splits": ("warning", 1)}),
    "nobody": (lambda b, _: replace(b, train=(), query=(), gallery=()), {"splits": ("error", 1)}),
    "a partial copy": (
        lambda b, _: replace(b, name="market1501"),
        {"owners-counts": ("warning", 6)},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_finding_and_no_other(fault: str, make: Maker) -> None:
    change, expected = FAULTS[fault]
    benchmark = change(sound(make), make)
    found = examine(benchmark)
    assert bad(found) == expected
    order = [f.severity for f in found]
    assert order == sorted(order, key=["error", "warning", "note"].index)
    assert all(len(f.examples) <= 5 for f in found)


def test_labels_that_lack_are_told_with_the_protocols(make: Maker) -> None:
    found = examine(sound(make, protocols={"a": CLOTHES_CHANGE, "b": CAMERA_CHANGE, "c": CROSS_ACTIVITY}))
    told = {f.examples: f.message for f in found if f.check == "labels-missing"}
    assert set(told) == {("a",), ("c",)}
    assert "no label 'clothes'" in told["a",]
    assert "no label 'action'" in told["c",]


def test_harmless_things_are_notes(make: Maker) -> None:
    b = sound(make)
    both = replace(b, query=b.gallery[:1], gallery=(*b.gallery, make("d", None, camera="c1")))
    assert {f.check for f in examine(both)} == {"summary", "query-in-gallery", "unknown-identity"}
    apart = replace(b, gallery=tuple(replace(t, labels={"camera": t.labels["camera"] + "x"}) for t in b.gallery))
    assert {f.check: f.examples for f in examine(apart)}["labels-apart"] == ("camera-change@1",)
    # within a split and a person, copies are no leak
    assert isinstance(b.train[1].media, Images)
    b.train[1].media.paths[0].write_bytes((make.root / "1.jpg").read_bytes())
    assert bad(examine(b)) == {}
    few = replace(b, train=(b.train[0], *b.train[2:]))
    assert {f.check: f.count for f in examine(few) if f.check in ("one-tracklet", "single-camera")} == {
        "one-tracklet": 1,
        "single-camera": 1,
    }


def test_what_a_reader_said_is_kept(make: Maker) -> None:
    found = examine(sound(make), remarks=["3 rows are left out"])
    assert [(f.check, f.message) for f in found if f.severity == "warning"] == [("reader", "3 rows are left out")]


def test_video_frames_are_shared_by_number_and_box(make: Maker) -> None:
    video = make.root / "v.avi"
    video.write_bytes(b"video")

    def spans(second: VideoSpan) -> dict[str, tuple[str, int]]:
        b = sound(make)
        train = (replace(b.train[0], media=VideoSpan(video, (0, 1, 2))), *b.train[1:])
        return bad(examine(replace(b, train=train, query=first(b.query, media=second))))

    assert spans(VideoSpan(video, (3, 4))) == {}
    assert spans(VideoSpan(video, (2, 3), ((0, 0, 4, 4),) * 2)) == {}
    assert spans(VideoSpan(video, (1, 2, 3))) == {"shared-files": ("error", 2)}


def test_every_frame_is_decoded(make: Maker) -> None:
    b = sound(make)
    assert isinstance(b.train[0].media, Images)
    assert isinstance(b.train[1].media, Images)
    cut, black = b.train[0].media.paths[0], b.train[1].media.paths[0]
    cut.write_bytes(cut.read_bytes()[:-100])
    cv2.imwrite(str(black), np.zeros((24, 12, 3), np.uint8))
    np.save(make.root / "wrong.npy", np.zeros((2, 3)))
    np.save(make.root / "mask.npy", np.eye(12, dtype=np.uint8)[None])
    train = (*b.train[:2], replace(b.train[2], media=Arrays(make.root / "wrong.npy", 2)))
    train = (*train, replace(b.train[3], mask=Arrays(make.root / "mask.npy", 1)))
    b = replace(b, train=train)
    assert bad(examine(b)) == {}
    found = examine(b, frames=True)
    assert bad(found) == {
        "frames-unreadable": ("error", 2),
        "tracklets-blank": ("error", 1),
        "masks-size": ("error", 1),
        "frames-blank": ("warning", 1),
    }
    told = next(f for f in found if f.check == "frames-unreadable")
    assert str(cut) in told.examples[0]
    assert "wrong.npy" in told.examples[1]


def test_a_missing_file_is_told_once(make: Maker) -> None:
    b = remove_file(sound(make), make)
    assert bad(examine(b, frames=True)) == {"files-missing": ("error", 1)}


def line(key: str, aspect: str, text: str) -> str:
    return json.dumps({"key": key, "aspect": aspect, "text": text})


def test_captions(make: Maker) -> None:
    b = sound(make)
    keys = [t.key for t in (*b.train, *b.query, *b.gallery)]
    path = make.root / "captions.jsonl"
    path.write_text("\n".join(line(k, "hair", f"hair of {k}") for k in keys) + "\n")
    found = examine(b, captions=path)
    assert bad(found) == {}
    assert "all 10 rgb tracklets have texts about hair" in [f.message for f in found]

    rows = [line(k, "hair", f"hair of {k}") for k in keys[1:]]
    rows += ["{", "[]", line(keys[1], "hair", "again"), line(keys[2], "pose", " "), line("else", "hair", "x")]
    rows += [line(k, "motion", "walks") for k in ("trainb1", "querya1", "traina1")]
    path.write_text("\n".join(rows))
    found = examine(b, captions=path)
    assert bad(found) == {
        "captions-malformed": ("error", 2),
        "captions-twice": ("error", 1),
        "captions-empty": ("error", 1),
        "captions-foreign": ("warning", 1),
        "captions-coverage": ("warning", 7),
    }
    coverage = [f.message for f in found if f.check == "captions-coverage"]
    assert coverage == [
        "hair: 9 of 10 rgb tracklets have a text; of those without, 1 are for training",
        "motion: 3 of 10 rgb tracklets have a text; of those without, 2 are for training",
    ]
    assert next(f for f in found if f.check == "captions-shared").examples == ("motion: walks",)
    assert next(f for f in found if f.check == "captions-malformed").examples == ("line 10", "line 11")


def test_caption_files_that_are_none(make: Maker) -> None:
    b = sound(make)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        examine(b, captions=make.root / "none.jsonl")
    (make.root / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="UTF-8"):
        examine(b, captions=make.root / "bytes.jsonl")
    (make.root / "empty.jsonl").write_text("")
    assert bad(examine(b, captions=make.root / "empty.jsonl")) == {"captions-none": ("warning", 10)}


def random_table(generator: np.random.Generator, n: int) -> pd.DataFrame:
    """Labels with unknown values, in which keys of both sides may be the same."""

    def some(values: str, missing: float = 0.2) -> list[str | None]:
        return [None if generator.random() < missing else str(generator.choice(list(values))) for _ in range(n)]

    table = {"key": [str(k) for k in generator.permutation(20)[:n]], "identity": some("abcd")}
    table |= {"camera": some("xy"), "clothes": some("123"), "view": some("lrf")}
    table |= {"modality": some("d", 0), "condition": some("n", 0)}
    frame = pd.DataFrame(table, dtype=object)
    return frame.replace({"modality": {"d": "depth"}, "condition": {"n": "normal"}})


RULES: Mapping[str, tuple[Protocol, Callable[[Any, Any], bool]]] = {
    "camera": (
        CAMERA_CHANGE,
        lambda q, g: alike(q, g, "identity") and not (alike(q, g, "identity") and alike(q, g, "camera")),
    ),
    "clothes": (
        CLOTHES_CHANGE,
        lambda q, g: alike(q, g, "identity") and not alike(q, g, "clothes") and not alike(q, g, "camera"),
    ),
    "plain": (PLAIN, lambda q, g: alike(q, g, "identity") and q["key"] != g["key"]),
    "cells": (
        gait("depth", "depth"),
        lambda q, g: alike(q, g, "identity") and g["view"] is not None and q["view"] != g["view"],
    ),
    "everything": (SAME_ACTIVITY, lambda q, g: alike(q, g, "identity")),
}


def alike(one: Mapping[str, Any], other: Mapping[str, Any], label: str) -> bool:
    return one[label] is not None and one[label] == other[label]


@pytest.mark.parametrize("name", RULES)
def test_mates_are_those_of_a_plain_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # blocks of a row or two
    monkeypatch.setattr("unbraid.data.doctor.BLOCK", 24)
    protocol, is_mate = RULES[name]
    for seed in range(40):
        generator = np.random.default_rng(seed)
        query, gallery = random_table(generator, int(generator.integers(1, 9))), random_table(generator, 15)
        mated, itself = mates(protocol, query, gallery)
        asked, offered = query.to_dict("records"), gallery.to_dict("records")
        assert mated.tolist() == [any(is_mate(q, g) for g in offered) for q in asked]
        assert itself.tolist() == [any(is_mate(q, g) and q["key"] == g["key"] for g in offered) for q in asked]


def test_mates_of_a_benchmark_are_counted(make: Maker) -> None:
    b = sound(make)
    mated, itself = mates(CAMERA_CHANGE, label_table(b.query), label_table(b.gallery))
    assert mated.tolist() == [True, True]
    assert itself.tolist() == [False, False]
