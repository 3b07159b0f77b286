"""Counts of what was read against what the owners state."""

import importlib
from pathlib import Path

import pytest

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import NAMED, named
from unbraid.data.sets.about import about, available, check, count, protocols, reader
from unbraid.tracklet import Images, Tracklet

OURS = [
    "ccvid",
    "celeb-light",
    "cuhk03",
    "duke-video",
    "ilids-vid",
    "ls-vid",
    "ltcc",
    "market1501",
    "mars",
    "mevid",
    "msmt17",
    "prcc",
    "prid2011",
]


def tracklet(key: str, identity: str | None, frames: int, **labels: str) -> Tracklet:
    return Tracklet(key, Images((Path("f"),) * frames), identity=identity, labels=labels)


A, B, C, D = (
    tracklet("a", "1", 2, camera="c1", clothes="1-1"),
    tracklet("b", "1", 3, camera="c2", clothes="1-2"),
    tracklet("c", None, 4, camera="c2"),
    tracklet("d", "2", 5),
)
BENCHMARK = Benchmark("ltcc", train=(D,), query=(A,), gallery=(A, B, C), protocols={})


def test_everything_can_be_counted() -> None:
    expected = {
        "train identities": 1,
        "train cameras": 0,
        "gallery tracklets": 3,
        "gallery distractors": 1,
        "test images": 3,  # a stands in both
        "test identities": 1,
        "test clothes": 2,
        "test frames": 9,
        "all sequences": 4,
        "all identities": 2,
        "all cameras": 2,
    }
    assert {what: count(BENCHMARK, what) for what in expected} == expected
    for what in ("validation images", "train", "train camera", ""):
        with pytest.raises(KeyError, match="cannot be counted"):
            count(BENCHMARK, what)


def test_a_partial_copy_is_told_in_sentences() -> None:
    sentences = check(BENCHMARK)
    assert len(sentences) == len(about("ltcc").counts)
    assert sentences[1] == "ltcc: 1 train images, but a whole copy has 9576; the copy is partial, or another packaging"


def test_every_reader_is_found_and_says_what_it_is() -> None:
    assert set(OURS) <= set(available())
    for name in OURS:
        module = importlib.import_module(f"unbraid.data.sets.{name.replace('-', '_')}")
        assert about(name) is module.ABOUT
        assert module.ABOUT.access in ("open", "agreement", "withdrawn", "unclear")
        assert all((module.ABOUT.title, module.ABOUT.licence, module.ABOUT.source, module.PROTOCOLS))
        # every stated count can be counted, also in an empty benchmark
        empty = Benchmark(name, (), (), (), {})
        assert len(check(empty)) == len(module.ABOUT.counts)
    with pytest.raises(KeyError, match="did you mean 'mars'"):
        about("marss")


def test_protocol_names_are_numbered_and_unique() -> None:
    protocols = [
        p for name in OURS for p in importlib.import_module(f"unbraid.data.sets.{name.replace('-', '_')}").PROTOCOLS
    ]
    assert len({p.name for p in protocols}) == len(protocols)
    assert all(p.name.endswith("@1") for p in protocols)


def test_every_reader_is_found_by_name_and_every_protocol_by_its_own() -> None:
    assert len(available()) >= 19
    for name in available():
        assert callable(reader(name))
    found = protocols()
    assert {"mars@1", "ltcc-cc@1", "market1501@1"} <= set(found)
    assert all(named(name) == found[name] for name in found)
    assert not set(found) & set(NAMED)
    with pytest.raises(KeyError, match="did you mean 'mars@1'"):
        named("marz@1")
    with pytest.raises(KeyError, match="did you mean 'mars'"):
        reader("marz")
