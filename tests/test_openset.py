"""Open-set identification: against a loop over searches, and a gallery written out by hand."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from tests.test_evaluate import GALLERY, QUERY, make
from tests.test_verify import whole
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.evaluate import evaluate
from unbraid.openset import identify
from unbraid.protocol import Protocol, never, same
from unbraid.searches import NonMated
from unbraid.spaces import Embeddings, Spaces

EVERYONE = Protocol("all@1", hit=same("identity"), skip=never())


def given(
    scores: list[list[float]], query: list[str | None], gallery: list[str | None]
) -> tuple[Embeddings, Embeddings]:
    """Embeddings whose dot products are the scores."""
    values = torch.tensor(scores)
    sides = []
    for prefix, names, features in (("q", query, values), ("g", gallery, torch.eye(len(gallery)))):
        table = pd.DataFrame({"key": [f"{prefix}{i}" for i in range(len(names))], "identity": names})
        sides.append(Embeddings(Spaces({"identity": features}), table, {}))
    return sides[0], sides[1]


def dot(one: Spaces, two: Spaces) -> torch.Tensor:
    return one["identity"] @ two["identity"].T


def many(people: int = 60, strangers: float = 0.4) -> tuple[Embeddings, Embeddings]:
    query, gallery = make(300, 7, prefix="q", people=people), make(400, 8, prefix="g", people=people)
    enrolled = gallery.table["identity"].isin([f"p{i}" for i in range(int(people * strangers))])
    return query, gallery.take(np.flatnonzero(~enrolled).tolist())


def test_a_gallery_by_hand() -> None:
    """a is found first; b stands second behind c; x and y are not enrolled, and x looks like c with 0.7."""
    row = [[0.9, 0.2, 0.1], [0.1, 0.6, 0.8], [0.3, 0.2, 0.7], [0.1, 0.5, 0.4]]
    query, gallery = given(row * 50, ["a", "b", "x", "y"] * 50, ["a", "b", "c"])
    table = query.table.assign(
        identity=[f"x{i}" if who in "xy" else who for i, who in enumerate(query.table["identity"])]
    )
    query = Embeddings(query.spaces, table, {})
    first = identify(query, gallery, EVERYONE, similarity=dot, rank=1, fpirs=(0.1, 0.6))
    assert (first.mated, first.searches, first.identities, first.enrolled, first.empty) == (100, 100, 100, 3, 0)
    assert first.found == 0.5
    one, two = first.points
    # no more than 10 of 100 false alarms: above 0.7; no more than 60: above 0.5, where the 50 of x remain
    assert one.threshold == np.nextafter(np.float32(0.7), np.float32(1))
    assert two.threshold == np.nextafter(np.float32(0.5), np.float32(1))
    assert (one.fpir, two.fpir) == (0, 0.5)
    assert (one.fnir, two.fnir) == (0.5, 0.5)
    second = identify(query, gallery, EVERYONE, similarity=dot, rank=2, fpirs=(0.1, 0.6))
    assert second.found == 1
    assert [point.fnir for point in second.points] == [0.5, 0]


@pytest.mark.parametrize("non_mated", ["without mate", "mates removed"])
@pytest.mark.parametrize("rank", [1, 5])
def test_equals_a_loop_over_searches(rank: int, non_mated: NonMated) -> None:
    query, gallery = many()
    scores = whole(query.spaces, gallery.spaces).numpy()
    shown, tops = [], []
    for i, one in enumerate(query.table.to_dict("records")):
        alike = (gallery.table["identity"] == one["identity"]).to_numpy() & isinstance(one["identity"], str)
        valid = ~(alike & (gallery.table["camera"] == one["camera"]).to_numpy())
        order = [j for j in np.argsort(-scores[i], kind="stable") if valid[j]]
        if alike[order].any():
            top = order[:rank]
            shown.append(max((scores[i, j] for j in top if alike[j]), default=-np.inf))
        if non_mated == "mates removed" or not alike[order].any():
            tops.append(max(scores[i, j] for j in order if not alike[j]))
    result = identify(
        query, gallery, CAMERA_CHANGE, similarity=whole, rank=rank, fpirs=(0.3, 0.1), non_mated=non_mated, memory=10**5
    )
    assert (result.mated, result.searches) == (len(shown), len(tops))
    assert result.found == pytest.approx(np.isfinite(shown).mean())
    assert result.found_interval[0] < result.found < result.found_interval[1]
    for point in result.points:
        assert point.threshold is not None
        assert point.fnir is not None
        assert point.fpir is not None
        assert point.interval is not None
        assert point.fpir == pytest.approx((np.array(tops) >= point.threshold).mean())
        assert point.fpir <= point.wanted
        lower = [t for t in set(tops) if t < point.threshold]
        assert all((np.array(tops) >= t).mean() > point.wanted for t in lower)
        assert point.fnir == pytest.approx((np.array(shown) < point.threshold).mean())
        assert point.interval[0] <= point.fnir <= point.interval[1]


def test_rank_is_the_cmc_of_evaluate() -> None:
    result, other = identify(QUERY, GALLERY, CAMERA_CHANGE, rank=5), evaluate(QUERY, GALLERY, CAMERA_CHANGE)
    assert result.found == pytest.approx(other.rank_5)
    assert result.searches == other.without_mate
    assert result.mated_identities == other.identities


def test_too_few_searches_are_said() -> None:
    result = identify(QUERY, GALLERY, CAMERA_CHANGE)
    assert all(point.fnir is None for point in result.points)
    text = str(result)
    assert f"{result.searches} non-mated searches (without mate) cannot support a rate of 1 %" in text
    assert "camera-change@1" in text
    assert json.loads(result.to_json()) == result.as_dict()


def test_nothing_to_search_is_counted() -> None:
    query, gallery = given([[0.5, 0.1], [0.2, 0.3]], ["a", "b"], ["a", "a"])
    result = identify(query, gallery, Protocol("own@1", hit=same("identity"), skip=~same("identity")), similarity=dot)
    assert (result.mated, result.searches, result.empty) == (1, 0, 1)


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="rank is a number of candidates"):
        identify(QUERY, GALLERY, CAMERA_CHANGE, rank=0)
    with pytest.raises(ValueError, match="lies between 0 and 1; got 0"):
        identify(QUERY, GALLERY, CAMERA_CHANGE, fpirs=(0,))
    with pytest.raises(ValueError, match="non_mated is 'without mate' or"):
        identify(QUERY, GALLERY, CAMERA_CHANGE, non_mated="all")  # type: ignore[arg-type]
    strangers = Embeddings(QUERY.spaces, QUERY.table.assign(identity="nobody"), {})
    with pytest.raises(ValueError, match="none of the 40 queries has a mate"):
        identify(strangers, GALLERY, CAMERA_CHANGE)
    with pytest.raises(KeyError, match="the gallery table has no label 'identity'"):
        identify(QUERY, Embeddings(GALLERY.spaces, GALLERY.table.drop(columns="identity"), {}), CAMERA_CHANGE)
