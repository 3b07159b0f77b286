"""Bias by hand."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from unbraid.evaluate import evaluate
from unbraid.leakage import Bias, bias
from unbraid.protocol import Protocol, Shots, same
from unbraid.spaces import Embeddings, Spaces


def test_bias_by_hand() -> None:
    """Two people, four queries: three first matches, two of them in the query's colour."""
    query = pd.DataFrame(
        {"key": ["q0", "q1", "q2", "q3"], "identity": ["a", "a", "b", "b"], "top_colour": ["red", "red", "blue", None]}
    )
    gallery = pd.DataFrame(
        {"key": ["g0", "g1", "g2", "g3"], "identity": ["b", "b", "a", "a"], "top_colour": ["red", "blue", "red", "red"]}
    )
    features = {"q": [[1, 0.1], [0.1, 1], [0, 1], [1, 0]], "g": [[1, 0], [0, 1], [-1, 0], [-1, -1]]}
    sides = [
        Embeddings(Spaces({"identity": torch.tensor(values, dtype=torch.float32)}), table, {})
        for values, table in ((features["q"], query), (features["g"], gallery))
    ]
    result = evaluate(*sides, Protocol("plain", hit=same("identity"), skip=same("key")))
    assert result.table["best"].tolist() == ["g0", "g1", "g1", "g0"]
    plain = Protocol("plain", hit=same("identity"), skip=same("key"))
    found = bias(result, plain, query, gallery)
    assert found.share == pytest.approx(2 / 3)
    # colours of the gallery are red three times of four; queries with a known colour: red, red, blue
    assert found.chance == pytest.approx((0.75 + 0.75 + 0.25) / 3)
    assert found.low <= found.share <= found.high
    assert "66.7 %" in str(found)
    assert (found.queries, found.identities) == (3, 2)
    everyone = [table.assign(top_colour="red") for table in (query, gallery)]
    # nothing but agreement: 3 / 2 people, so the lower end is 0
    assert bias(result, plain, *everyone) == Bias("top_colour", 1.0, 0.0, 1.0, 1.0, 4, 2)
    for change in ({"cells": "view"}, {"shots": Shots(draws=2)}):
        with pytest.raises(ValueError, match="a query has several first matches"):
            bias(result, replace(plain, **change), query, gallery)
    # without the own person q0 and q1 see one red and one blue, q2 sees two red
    strangers = Protocol("strangers", hit=same("identity"), skip=same("identity"))
    assert bias(result, strangers, query, gallery).chance == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    with pytest.raises(KeyError, match="the gallery table has no label 'top_colour'"):
        bias(result, plain, query, gallery.drop(columns="top_colour"))
    with pytest.raises(ValueError, match="nothing to count"):
        bias(result, plain, query.assign(top_colour=None), gallery)
