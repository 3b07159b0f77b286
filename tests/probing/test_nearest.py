"""What the nearest item says, against a loop and against the ranking of `evaluate`."""

import numpy as np
import pandas as pd
import pytest
import torch

from unbraid.evaluate import compare
from unbraid.method import cosine
from unbraid.probing.nearest import Found, Neighbours, directions, never_itself
from unbraid.protocol import Protocol, same
from unbraid.spaces import Embeddings, Spaces

PEOPLE, TAKES = 24, 6


def made(seed: int = 0) -> Embeddings:
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(PEOPLE), TAKES)
    space = rng.standard_normal((PEOPLE, 8))[who] + rng.standard_normal((len(who), 8))
    table = pd.DataFrame(
        {
            "key": np.arange(len(who)).astype(str),
            "identity": np.char.add("p", who.astype(str)),
            "camera": rng.choice(["a", "b", "c"], size=len(who)),
        }
    )
    return Embeddings(Spaces({"identity": torch.from_numpy(space).float()}), table, {})


def test_it_equals_the_ranking_of_evaluate() -> None:
    embeddings = made()
    skip = same("key") | same("camera")
    ranking = compare(embeddings, embeddings, Protocol("x", hit=same("identity"), skip=skip))
    neighbours = Neighbours(embeddings.table, skip)
    first = neighbours.first(directions(embeddings.spaces["identity"]))
    assert np.array_equal(first, ranking.best)
    found = neighbours.found("identity", first)
    assert found.share == pytest.approx((ranking.first == 1)[ranking.mated].mean())
    assert found.chance == pytest.approx((ranking.hits / ranking.valid)[ranking.mated].mean())
    assert found.queries == ranking.mated.sum()
    assert found.low < found.share < found.high
    assert found.shuffled < 0.15


def test_directions_are_those_of_the_cosine() -> None:
    parts = Spaces({"identity": torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(0))})
    vectors = directions(parts["identity"])
    assert vectors @ vectors.T == pytest.approx(cosine(parts, parts), abs=1e-6)


def test_by_hand() -> None:
    """Five items of two people on a line; the nearest of another person, and what nobody else has."""
    table = pd.DataFrame(
        {
            "key": list("abcde"),
            "identity": ["p", "p", "q", "q", None],
            "colour": ["red", "blue", "red", "blue", "green"],
        }
    )
    vectors = torch.tensor([[0.1, 1], [0.2, 1], [0.3, 1], [0.9, 1], [0.8, 1]])
    neighbours = Neighbours(table, never_itself(table) | same("identity"))
    # by inner product the outermost wins; the unknown person may be anybody's neighbour
    assert neighbours.first(vectors).tolist() == [3, 3, 4, 4, 3]
    assert neighbours.agreeing("colour").tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 3, 0])
    found = neighbours.found("colour", neighbours.first(vectors))
    assert np.isnan(found.share)
    assert (found.queries, found.identities) == (4, 2)
    assert found.note == "2 people can be tested, and a claim needs 20"
    nobody = Neighbours(table, never_itself(table) | ~same("identity"))
    assert nobody.found("colour", nobody.first(vectors)).note == "no two items may be compared"
    alone = table.assign(identity=list("vwxyz"))
    assert Neighbours(alone, same("key") | ~same("identity")).first(vectors).tolist() == [-1] * 5


def test_all_and_all_the_same() -> None:
    embeddings = made()
    table = embeddings.table.assign(kind="x", own=embeddings.table["identity"])
    neighbours = Neighbours(table, same("key") | ~same("identity"))
    first = neighbours.first(directions(embeddings.spaces["identity"]))
    assert neighbours.found("kind", first).note == "all items have the same kind"
    found = neighbours.found("own", first)
    assert (found.share, found.high, found.chance) == (1, 1, 1)
    assert found.low == pytest.approx(1 - 3 / PEOPLE)
    assert neighbours.found("own", first, within=True).shuffled == 1, "dealt within people everybody keeps their own"
    assert neighbours.found("own", first).shuffled < 0.15


def test_walks_of_other_sensors_are_the_query_itself() -> None:
    table = pd.DataFrame({"key": list("abc"), "identity": ["p", "p", "p"], "walk": ["1", "1", "2"]})
    assert Neighbours(table, never_itself(table)).first(torch.eye(3)).tolist() == [2, 2, 0]


def test_unmated_queries_count_where_they_are_asked_for() -> None:
    embeddings = made()
    table = embeddings.table.copy()
    table["camera"] = table["camera"].where(table.index > 0, "z")
    neighbours = Neighbours(table, same("key"))
    first = neighbours.first(directions(embeddings.spaces["identity"]))
    mated, all_of_them = (neighbours.found("camera", first, mated=mated) for mated in (True, False))
    assert isinstance(mated, Found)
    assert (mated.queries, all_of_them.queries) == (len(table) - 1, len(table))
    assert all_of_them.share == pytest.approx(mated.share * (len(table) - 1) / len(table))
