"""Verdicts on models that were really trained: whole, without its independence terms, and taught by wrong texts.

`scripts/keep_trained.py` kept what they know of fifty synthetic people; the leaky worlds are in test_leakage.py.
"""

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from unbraid.leakage import leakage
from unbraid.leaks import Leakage
from unbraid.spaces import Embeddings, Spaces

HOME = Path(__file__).parent / "trained"
LABELS = ["top_colour", "camera"]


def asked(row: str) -> Leakage:
    space = load_file(HOME / "spaces.safetensors")[row].float()
    return leakage(Embeddings(Spaces({"identity": space}), pd.read_parquet(HOME / "labels.parquet"), {}), LABELS)


def sentence(found: Leakage, label: str) -> str:
    (told,) = [
        str(one) for one in found.verdicts if label in str(one) and "space" in str(one) and "matches" not in str(one)
    ]
    return told


@pytest.fixture(scope="module")
def whole() -> Leakage:
    return asked("full")


def test_the_whole_model_has_lost_the_colour_and_not_the_camera(whole: Leakage) -> None:
    assert sentence(whole, "top_colour").startswith("no sign of top_colour in the identity space")
    assert sentence(whole, "camera").startswith("camera can be read from the identity space")
    assert not [told for told in whole.verdicts if "matches" in str(told) and "top_colour" in str(told)]


@pytest.mark.parametrize("row", ["baseline", "texts of other clips"])
def test_a_broken_model_is_caught(row: str, whole: Leakage) -> None:
    found = asked(row)
    assert sentence(found, "top_colour").startswith("top_colour can be read from the identity space")
    # the plainest number says it too: whose top do the first matches wear?
    (told,) = [str(one) for one in found.verdicts if "matches" in str(one) and "top_colour" in str(one)]
    shares = [one.bias.set_index("label").loc["top_colour"] for one in (found, whole)]
    assert f"{100 * shares[0]['share']:.1f} %" in told
    assert shares[0]["low"] > shares[1]["high"]
    assert torch.isfinite(torch.tensor(shares[0]["share"]))
