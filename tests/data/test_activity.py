"""Draws of probes and gallery: the rules of the division, the files, and the labels that evaluation goes by."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from unbraid.data.activity import (
    PROTOCOLS,
    SEEDS,
    Draw,
    clips_hash,
    clips_of,
    draw,
    drawn,
    embedded,
    load,
    protocol,
    save,
)
from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.sets.activity import divide
from unbraid.evaluate import evaluate
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Images, Tracklet

PEOPLE, ACTIONS, TAKES = 4, "abcd", 4


def clip(person: int, action: str, take: int) -> Tracklet:
    key = f"p{person}-{action}{take}"
    return Tracklet(
        key, Images((Path(f"{key}.jpg"),)), identity=f"p{person}", labels={"action": action, "camera": f"c{take % 2}"}
    )


EVERY = [clip(p, a, t) for p in range(PEOPLE) for a in ACTIONS for t in range(TAKES)]
TEST = Benchmark("people", (), tuple(EVERY[::3]), tuple(EVERY[1::3] + EVERY[2::3]), {})


def test_lists_are_those_of_the_division() -> None:
    draws = draw(TEST)
    assert [d.seed for d in draws] == list(SEEDS) == [42, 43, 44, 45, 46]
    assert len({d.lists["same_activity", "probe"] for d in draws}) == 5
    for one in draws:
        query, gallery = divide(EVERY, share=0.25, generator=np.random.default_rng(one.seed))
        for label in ("same_activity", "cross_activity"):
            for side, clips in (("probe", query), ("gallery", gallery)):
                assert one.lists[label, side] == tuple(sorted(t.key for t in clips if t.labels[label] == side))
        # a quarter of the 16 clips of everyone
        asked = [key[:2] for key in one.lists["same_activity", "probe"]]
        assert {person: asked.count(person) for person in asked} == {f"p{n}": 4 for n in range(PEOPLE)}
        probes, offered = ({key[3] for key in one.lists["cross_activity", s]} for s in ("probe", "gallery"))
        assert not probes & offered
    assert draw(replace(TEST, query=TEST.gallery, gallery=TEST.query)) == draws


def test_files_hold_them_and_changes_are_noticed(tmp_path: Path) -> None:
    draws = draw(TEST, seeds=(42, 43))
    folder = save(draws, tmp_path / "draws", TEST)
    assert load(folder, TEST) == draws
    again = save(draws, tmp_path / "again", TEST)
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert len(names) == 1 + 2 * 4
    assert all((folder / n).read_bytes() == (again / n).read_bytes() for n in names)
    facts = json.loads((folder / "draws.json").read_text())
    text = (folder / "42" / "cross_activity-probe.txt").read_bytes()
    assert facts["draws"]["42"]["cross_activity-probe"] == {
        "clips": text.count(b"\n"),
        "sha256": hashlib.sha256(text).hexdigest(),
    }
    (folder / "42" / "cross_activity-probe.txt").write_bytes(text.replace(b"p1", b"p2"))
    with pytest.raises(ValueError, match="is not the list that was drawn"):
        load(folder)
    (again / "43" / "same_activity-gallery.txt").unlink()
    with pytest.raises(FileNotFoundError, match="restore the folder of draws"):
        load(again)
    with pytest.raises(FileNotFoundError, match="expected a folder of draws"):
        load(tmp_path)
    save(draws, again, TEST)
    assert load(again) == draws
    before = (again / "draws.json").read_bytes()
    with pytest.raises(ValueError, match="holds other draws"):
        save(draw(TEST, seeds=(42,)), again, TEST)
    assert (again / "draws.json").read_bytes() == before


def test_other_clips_are_refused(tmp_path: Path) -> None:
    folder = save(draw(TEST, seeds=(1,)), tmp_path / "draws", TEST)
    other = replace(TEST, query=(clip(9, "a", 0), *TEST.query))
    with pytest.raises(ValueError, match=r"divides other test clips \(of people\)"):
        load(folder, other)
    relabelled = [replace(t, labels={**t.labels, "camera": "c9"}) for t in EVERY]
    assert clips_hash(relabelled) != clips_hash(EVERY) == clips_hash(EVERY[::-1])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ValueError, match="exists and holds no draws"):
        save(draw(TEST, seeds=(1,)), tmp_path / "full", TEST)
    (folder / "draws.json").write_text("{}")
    with pytest.raises(ValueError, match=r"is damaged"):
        load(folder)


def test_a_benchmark_and_embeddings_under_a_draw() -> None:
    (one,) = draw(TEST, seeds=(42,))
    made = drawn(TEST, one)
    assert set(made.protocols) == {p.name for p in PROTOCOLS}
    assert {t.key for t in made.query if t.labels["same_activity"] == "probe"} == set(
        one.lists["same_activity", "probe"]
    )
    with pytest.raises(ValueError, match="lacks 1 clips of the draw, such as 'p0-a0'"):
        drawn(replace(TEST, query=tuple(t for t in TEST.query if t.key != "p0-a0")), one)

    def of(clips: tuple[Tracklet, ...]) -> Embeddings:
        rows = torch.stack([torch.eye(PEOPLE)[int(t.key[1])] for t in clips])
        return Embeddings(Spaces({"identity": rows}), label_table(clips), {})

    # a clip that is a probe of one protocol and in the gallery of the other stands on both sides
    both = embedded(of(made.query), of(made.gallery), one)
    assert sorted(both.table["key"]) == [t.key for t in clips_of(TEST)]
    for rules, label in zip(PROTOCOLS, ("same_activity",) * 2 + ("cross_activity",) * 2, strict=True):
        result = evaluate(both, both, rules)
        assert result.queries == len(one.lists[label, "probe"])
        assert result.rank_1 == 1.0
    with pytest.raises(ValueError, match=r"no embeddings of .* clips of the draw"):
        embedded(of(made.query), of(made.query), one)


def test_the_four_protocols_by_hand() -> None:
    table = pd.DataFrame(
        {
            "key": ["q", "1", "2", "3", "4"],
            "identity": ["p", "p", "p", "r", "p"],
            "action": ["a", "a", "b", "b", "b"],
            "camera": ["c", "c", "c", "d", "d"],
        }
    )
    query, gallery = table.iloc[:1], table.iloc[1:]
    for same_activity, other_camera, hits, skips in (
        (True, False, [1, 1, 0, 1], [0, 0, 0, 0]),
        (True, True, [1, 1, 0, 1], [1, 1, 0, 0]),
        (False, False, [0, 1, 0, 1], [1, 0, 0, 0]),
        (False, True, [0, 1, 0, 1], [1, 1, 0, 0]),
    ):
        rules = protocol(same_activity, other_camera)
        assert rules.hit.on(query, gallery)(slice(0, 1))[0].tolist() == [bool(v) for v in hits]
        assert rules.skip.on(query, gallery)(slice(0, 1))[0].tolist() == [bool(v) for v in skips]
        assert ("same" if same_activity else "cross") in rules.name
        assert ("view-" if other_camera else "view+") in rules.name


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="people has no test clips"):
        draw(replace(TEST, query=(), gallery=()))
    mute = replace(TEST, query=tuple(replace(t, labels={}) for t in EVERY), gallery=())
    with pytest.raises(ValueError, match="has the label 'action' or 'actions'"):
        draw(mute)
    with pytest.raises(ValueError, match=r"seeds are \(1, 1\)"):
        draw(TEST, seeds=(1, 1))
    assert Draw(1, {("x", "probe"): ("a",), ("x", "gallery"): ("b",)}).part("x") == {"a": "probe", "b": "gallery"}
