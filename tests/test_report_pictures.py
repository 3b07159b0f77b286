"""Ranked strips and scatters of a report, against sorting by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.reports import result
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.report import pictures as module
from unbraid.report import scatter_pictures, strip_pictures
from unbraid.spaces import Embeddings, Spaces
from unbraid.viz import Picture, Strip


def people(keys: str, seed: int) -> Embeddings:
    generator = np.random.default_rng(seed)
    number = 12
    table = pd.DataFrame(
        {
            "key": [f"{keys}{row}" for row in range(number)],
            "identity": [None if row == 3 else f"p{row % 4}" for row in range(number)],
            "camera": [f"c{row % 3}" for row in range(number)],
        }
    )
    features = torch.from_numpy(generator.normal(size=(number, 5))).float()
    return Embeddings(Spaces({"identity": features, "camera": features[:, :2]}), table, {})


def test_strips_follow_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = people("q", 0), people("g", 1)
    drawn: list[list[Strip]] = []

    def remember(strips: list[Strip], *, title: str) -> Picture:
        drawn.append(strips)
        return Picture(title, "", b"", "")

    monkeypatch.setattr(module, "ranked_strips", remember)
    frames = {key: np.zeros((4, 2, 3), np.uint8) for key in [*query.table["key"], *gallery.table["key"]]}
    table = pd.DataFrame({"key": ["q5", "q1"], "first": [2, 1], "ap": [0.2, 0.1], "inp": [0.5, 0.5]})
    found = strip_pictures(query, gallery, CAMERA_CHANGE, frames.__getitem__, result=result(table=table), rows=4, k=6)
    assert len(found) == 2
    assert [strip.query.key for strip in drawn[1]] == ["q1", "q5"]
    assert len({strip.query.key for strip in drawn[0]}) == 4
    a, b = (e.spaces["identity"].double().numpy() for e in (query, gallery))
    scores = (a / np.linalg.norm(a, axis=1)[:, None]) @ (b / np.linalg.norm(b, axis=1)[:, None]).T
    for strip in [*drawn[0], *drawn[1]]:
        row = int(strip.query.key[1:])
        who, where = query.table.loc[row, ["identity", "camera"]]
        expected = []
        for item in np.argsort(-scores[row]):
            other = gallery.table.loc[item]
            match = isinstance(who, str) and other["identity"] == who
            if not (match and other["camera"] == where):
                verdict = "right" if match else "wrong" if isinstance(other["identity"], str) else "unknown"
                expected.append((other["key"], other["camera"], verdict))
        assert [(shot.key, shot.camera, shot.verdict) for shot in strip.ranked] == expected[:6]
        assert [shot.score for shot in strip.ranked] == pytest.approx(
            sorted((s.score for s in strip.ranked), reverse=True)
        )  # type: ignore[type-var]


def test_scatters_cover_spaces_and_labels() -> None:
    titles = [p.title for p in scatter_pictures(people("g", 1), ("identity", "camera", "clothes"))]
    assert titles == [
        f"{space} space, by {label}" for label in ("identity", "camera") for space in ("identity", "camera")
    ]
