"""A gallery of six rows to compute by hand, and random people for loops.

Query q0 is A in camera c1 and clothes x, q1 has no mate. Angles to q0, all lengths 1 but that of g2, which is 3:

    row  angle  identity  camera  clothes  view
    g0       5        -1      c2        z  000     junk
    g1      10         A      c1        x  000     the query's camera
    g2      20         B      c2        x  090
    g3      30         A      c2        x  090
    g4      40         ?      c3        -  090     a distractor
    g5      50         A      c3        y  000
"""

import numpy as np
import pandas as pd
import torch

from unbraid.spaces import Embeddings, Spaces


def embeddings(features: np.ndarray, table: dict[str, list[object]], prefix: str) -> Embeddings:
    """Embeddings with keys made from a prefix."""
    labels = pd.DataFrame({"key": [f"{prefix}{row}" for row in range(len(features))], **table})
    return Embeddings(Spaces({"identity": torch.from_numpy(features).float()}), labels, {"synthetic": "true"})


def six() -> tuple[Embeddings, Embeddings]:
    """The two queries and six gallery rows above."""
    angles = np.deg2rad([5, 10, 20, 30, 40, 50])
    gallery = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array([1, 1, 3, 1, 1, 1])[:, None]
    labels: dict[str, list[object]] = {
        "identity": ["-1", "A", "B", "A", None, "A"],
        "camera": ["c2", "c1", "c2", "c2", "c3", "c3"],
        "clothes": ["z", "x", "x", "x", None, "y"],
        "view": ["000", "000", "090", "090", "090", "000"],
    }
    asked: dict[str, list[object]] = {
        "identity": ["A", "Z"],
        "camera": ["c1", "c1"],
        "clothes": ["x", "x"],
        "view": ["000", "090"],
    }
    return embeddings(np.array([[1.0, 0.0], [1.0, 0.0]]), asked, "q"), embeddings(gallery, labels, "g")


def people(seed: int, *, parts: int = 1, views: bool = True) -> tuple[Embeddings, Embeddings]:
    """30 to 50 queries and 70 to 120 gallery items: people without mates, in one camera only, junk, distractors."""
    rng = np.random.default_rng(seed)

    def side(number: int, prefix: str) -> Embeddings:
        who = rng.integers(1, 13, size=number)
        features = rng.standard_normal((number, parts, 6)) + 0.7 * (who % 5)[:, None, None]
        camera = np.where(who % 3 == 0, 0, rng.integers(3, size=number))
        names: list[object] = [f"p{one}" for one in who]
        for row in range(number):
            chance = rng.random()
            if prefix == "g" and chance < 0.2:
                names[row] = "-1" if chance < 0.1 else None
            elif prefix == "q" and chance < 0.15:
                names[row] = "stranger"
        table: dict[str, list[object]] = {
            "identity": names,
            "camera": [f"c{one}" for one in camera],
            "clothes": [f"o{one}" for one in rng.integers(3, size=number)],
        }
        if views:
            table["view"] = [f"{90 * one:03d}" for one in rng.integers(3, size=number)]
        return embeddings(features if parts > 1 else features[:, 0], table, prefix)

    return side(int(rng.integers(30, 50)), "q"), side(int(rng.integers(70, 120)), "g")
