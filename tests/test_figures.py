"""The three figures beside the ranking: against loops over pairs and searches, and against verify and identify."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.test_evaluate import GALLERY, QUERY, make
from tests.test_verify import gaussian_people, whole
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import evaluate
from unbraid.figures import FAR, FPIR, RANK, Tally
from unbraid.openset import identify
from unbraid.protocol import Protocol, Shots, Where, never, same
from unbraid.ranking import Block, rank
from unbraid.spaces import Embeddings
from unbraid.trials import numbered
from unbraid.verify import verify

BIG = gaussian_people(510)
STRANGERS = BIG[0], BIG[1].take(np.flatnonzero(np.arange(len(BIG[1])) >= 3 * 505).tolist())


def scored(query: Embeddings, gallery: Embeddings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, hits and skips of CAMERA_CHANGE, from the labels by hand."""
    who, where = (np.array(query.table[name])[:, None] for name in ("identity", "camera"))
    alike = who == np.array(gallery.table["identity"])[None]
    return (
        whole(query.spaces, gallery.spaces).numpy(),
        alike,
        alike & (where == np.array(gallery.table["camera"])[None]),
    )


def test_equals_loops_over_pairs_and_searches() -> None:
    query, gallery = BIG
    scores, hit, skip = scored(query, gallery)
    result = evaluate(query, gallery, CAMERA_CHANGE, similarity=whole, memory=400_000)
    assert result.figures == evaluate(query, gallery, CAMERA_CHANGE, similarity=whole).figures, "blocks change nothing"
    tar, closed, fnir = result.figures
    genuine, impostor = scores[hit & ~skip], np.sort(scores[~hit & ~skip])[::-1]
    assert (tar.trials, tar.against, tar.identities) == (len(genuine), len(impostor), result.identities)
    threshold = np.nextafter(impostor[int(FAR * len(impostor))], np.float32(np.inf))
    assert tar.threshold == threshold
    assert tar.value == pytest.approx((genuine >= threshold).mean())
    assert (impostor >= threshold).mean() <= FAR
    first, shown, tops = [], [], []
    for i in range(len(query)):
        order = [j for j in np.argsort(-scores[i], kind="stable") if not skip[i, j]]
        right = np.flatnonzero(hit[i, order])
        tops.append(max(scores[i, j] for j in order if not hit[i, j]))
        if len(right):
            first.append(right[0])
            shown.append(scores[i, order[right[0]]] if right[0] < RANK else -np.inf)
    assert closed.value == pytest.approx((np.array(first) < RANK).mean()) == pytest.approx(result.rank_20)
    assert (closed.trials, closed.against) == (len(first), len(gallery))
    limit = np.nextafter(np.float32(np.sort(tops)[::-1][int(FPIR * len(tops))]), np.float32(np.inf))
    assert fnir.threshold == limit
    assert fnir.value == pytest.approx((np.array(shown) < limit).mean())
    assert fnir.against == len(query)
    assert "mates removed" in fnir.words
    for figure in result.figures:
        assert figure.value is not None
        assert figure.interval is not None
        assert figure.interval[0] <= figure.value <= figure.interval[1]


def test_agrees_with_the_verbs_that_look_twice() -> None:
    query, gallery = BIG
    tar, closed, fnir = evaluate(query, gallery, CAMERA_CHANGE).figures
    one = verify(query, gallery, CAMERA_CHANGE, fmrs=(FAR,)).points[0]
    many = identify(query, gallery, CAMERA_CHANGE, rank=RANK, fpirs=(FPIR,), non_mated="mates removed")
    assert one.fnmr is not None
    assert tar.threshold == one.threshold
    assert tar.value == pytest.approx(1 - one.fnmr)
    # the draws are the same; only the thresholds tried in each differ
    assert tar.interval == pytest.approx([1 - end for end in reversed(one.interval or ())], abs=0.01)
    assert closed.value == pytest.approx(many.found)
    assert fnir.value == many.points[0].fnir
    assert fnir.interval == pytest.approx(many.points[0].interval)


def test_queries_without_a_mate_are_the_strangers_where_there_are_enough() -> None:
    query, gallery = STRANGERS
    result = evaluate(query, gallery, CAMERA_CHANGE)
    fnir = result.figures[2]
    assert fnir.against == result.without_mate >= 1000
    assert "without mate" in fnir.words
    many = identify(query, gallery, CAMERA_CHANGE, rank=RANK, fpirs=(FPIR,))
    assert fnir.value == many.points[0].fnir


def test_a_tail_that_is_cut_often_loses_nothing() -> None:
    scores, hit, skip = scored(*BIG)
    people, others = numbered(BIG[0].table["identity"], BIG[1].table["identity"])
    whole_tally = Tally(people, others, 2**26)
    parts = Tally(people, others, 2**26)
    cuts = [0, 1, 3, 400, 401, len(scores)]
    blocks = [Block(scores[a:b], hit[a:b], skip[a:b]) for a, b in itertools.pairwise(cuts)]
    ranking = rank(whole_tally.watch(iter([Block(scores, hit, skip)])))
    rank(parts.watch(iter(blocks)))
    assert whole_tally.figures(ranking, seed=0) == parts.figures(ranking, seed=0)


def test_few_people_with_many_pairs_are_refused() -> None:
    """20 people have 190 pairs of people, however many tracklets there are of each."""
    query, gallery = make(300, 1, prefix="q", people=20), make(400, 2, prefix="g", people=20)
    tables = [side.table.assign(identity=side.table["identity"].fillna("p0")) for side in (query, gallery)]
    query, gallery = (Embeddings(s.spaces, t, {}) for s, t in zip((query, gallery), tables, strict=True))
    tar = evaluate(query, gallery, CAMERA_CHANGE).figures[0]
    assert tar.value is None
    assert tar.reason == "190 pairs of people cannot support a rate of 0.1 %: one error needs 1000"
    skipping = Protocol("view-@1", hit=same("identity"), skip=same("camera"))
    lonely = Embeddings(gallery.spaces, gallery.table.assign(camera=query.table["camera"][0]), {})
    one = Embeddings(query.spaces, query.table.assign(camera=lonely.table["camera"][0]), {})
    one.table.loc[:1, "camera"] = "elsewhere"
    names = set(one.table["identity"][:2])
    pairs = {frozenset((a, b)) for a in names for b in set(lonely.table["identity"]) if a != b}
    assert f"{len(pairs)} pairs of people" in str(verify(one, lonely, skipping, fmrs=(0.5,)))
    tally = Tally(*numbered(one.table["identity"], lonely.table["identity"]), 2**26)
    rules = [rule.on(one.table, lonely.table)(slice(0, 300)) for rule in (skipping.hit, skipping.skip)]
    scores = np.zeros((300, 400), np.float32)
    rank(tally.watch(iter([Block(scores, rules[0], rules[1])])))
    assert tally._pairs.number == len(pairs)


def test_what_the_data_cannot_support_is_said_in_words() -> None:
    result = evaluate(QUERY, GALLERY, CAMERA_CHANGE)
    tar, closed, fnir = result.figures
    assert (tar.value, fnir.value) == (None, None)
    assert closed.value == result.rank_20
    text = str(result)
    assert f"TAR at FAR 0.1 %  not reported: {tar.against} impostor pairs cannot support a rate of 0.1 %: " in text
    assert "10 errors need 10000" in tar.reason
    assert "40 non-mated searches (mates removed) cannot support a rate of 1 %: 10 errors need 1000" in fnir.reason
    told = json.loads(result.to_json())["figures"]
    assert [figure["measure"] for figure in told] == ["TAR at FAR 0.1 %", "rank-20", "FNIR at FPIR 1 %"]
    assert told[0]["value"] is None
    assert told[1]["value"] == result.rank_20


def test_cells_and_draws_are_refused_in_words() -> None:
    query, gallery = (replace(side, table=side.table.copy()) for side in (QUERY, GALLERY))
    for side in (query, gallery):
        side.table["view"] = np.random.default_rng(0).choice(["front", "left"], len(side))
    celled = evaluate(query, gallery, replace(CAMERA_CHANGE, cells="view"))
    drawn = evaluate(query, gallery, replace(CAMERA_CHANGE, shots=Shots(draws=2)))
    assert "averages cells of view" in celled.figures[0].reason
    assert "draws its gallery" in drawn.figures[2].reason
    for result in (celled, drawn):
        assert result.figures[1].value == result.rank_20
        assert result.figures[1].interval is not None


def test_one_person_has_no_impostors_but_a_ranking() -> None:
    query, gallery = (Embeddings(s.spaces, s.table.assign(identity="one"), {}) for s in (QUERY, GALLERY))
    tar, closed, fnir = evaluate(query, gallery, CAMERA_CHANGE).figures
    assert tar.reason.startswith("0 impostor pairs cannot support")
    assert closed.value == 1
    assert fnir.reason.startswith("0 non-mated searches")


def test_one_query_of_few_items() -> None:
    one = QUERY.take([int(evaluate(QUERY, GALLERY, CAMERA_CHANGE).table["hits"].idxmax())])
    found = evaluate(one, GALLERY, CAMERA_CHANGE)
    assert [figure["measure"] for figure in json.loads(found.to_json())["figures"]] == [
        f.measure for f in found.figures
    ]


def test_draws_equal_a_loop_over_draws() -> None:
    """Scores of a drawn gallery: each draw ranked apart, means of means over the draws."""
    shots = Shots(items=2, draws=5, per=("identity", "camera"), seed=3)
    protocol = replace(CAMERA_CHANGE, name="drawn@1", shots=shots)
    result = evaluate(QUERY, GALLERY, protocol)
    rows = shots.rows(GALLERY.table)
    assert len(rows) == 5
    unknown = set(np.flatnonzero(GALLERY.table["identity"].isna()))
    found = []
    for drawn in rows:
        assert (np.diff(drawn) > 0).all()
        table = GALLERY.table.iloc[drawn]
        assert unknown <= set(drawn)
        sizes = table.dropna(subset=["identity"]).groupby(["identity", "camera"]).size()
        there = GALLERY.table.dropna(subset=["identity"]).groupby(["identity", "camera"]).size()
        assert (sizes == there.clip(upper=2)).all()
        found.append(evaluate(QUERY, GALLERY.take(drawn.tolist()), CAMERA_CHANGE))
    for name in ("mean_ap", "rank_1", "rank_20", "mean_inp", "mean_ap_chance", "rank_1_chance"):
        assert getattr(result, name) == pytest.approx(np.mean([getattr(one, name) for one in found]), abs=1e-12)
    assert len({tuple(drawn) for drawn in rows}) > 1
    assert result.gallery == len(rows[0])
    assert len(result.table) == 5 * len(QUERY)
    assert result.table["share"].sum() == pytest.approx(1)
    assert "2 item(s) per identity and camera, mean of 5 draws (seed 3)" in str(result)
    best = result.table.loc[result.table["draw"] == 4, "best"].tolist()
    assert best == found[4].table["best"].tolist()


def test_a_draw_goes_by_keys_and_takes_every_item_equally_often() -> None:
    shots, order = Shots(draws=3, seed=1), np.random.default_rng(0).permutation(len(GALLERY))
    one = [set(GALLERY.table["key"].iloc[rows]) for rows in shots.rows(GALLERY.table)]
    mixed = GALLERY.table.iloc[order].reset_index(drop=True)
    assert one == [set(mixed["key"].iloc[rows]) for rows in shots.rows(mixed)]
    table = pd.DataFrame({"key": list("abcd"), "identity": ["p", "p", "p", "q"]})
    counts = np.bincount(np.concatenate(Shots(draws=3000).rows(table)), minlength=4)
    assert counts[3] == 3000
    # 1000 each are expected, with a standard deviation of 26
    assert (np.abs(counts[:3] - 1000) < 120).all()


def test_cells_within_draws() -> None:
    query, gallery = (replace(side, table=side.table.copy()) for side in (QUERY, GALLERY))
    for side, seed in ((query, 20), (gallery, 21)):
        side.table["view"] = np.random.default_rng(seed).choice(["front", "left", "back"], len(side))
    plain = Protocol("cells@1", hit=same("identity"), skip=never(), cells="view")
    shots = Shots(items=1, draws=3, per=("identity", "view"))
    expected = [evaluate(query, gallery.take(rows.tolist()), plain).mean_ap for rows in shots.rows(gallery.table)]
    assert evaluate(query, gallery, replace(plain, shots=shots)).mean_ap == pytest.approx(np.mean(expected), abs=1e-12)


def test_wrong_draws_are_named() -> None:
    with pytest.raises(ValueError, match="at least 1 item, 1 draw and 1 label"):
        Shots(items=0)
    with pytest.raises(KeyError, match="the gallery table has no label 'view'"):
        evaluate(QUERY, GALLERY, replace(CAMERA_CHANGE, shots=Shots(per=("view",))))
    drawn = replace(CAMERA_CHANGE, name="drawn@1", shots=Shots())
    for verb in (verify, identify):
        with pytest.raises(ValueError, match="'drawn@1' draws its gallery again and again"):
            verb(QUERY, GALLERY, drawn)
    with pytest.raises(ValueError, match="no query item has"):
        evaluate(QUERY, GALLERY, replace(CAMERA_CHANGE, query=Where({"camera": ("9",)})))
    with pytest.raises(ValueError, match="finite"):
        evaluate(QUERY, GALLERY, CAMERA_CHANGE, similarity=lambda a, b: torch.full((a.rows, b.rows), torch.nan))
