"""The picture of claims: marks lie where their numbers are."""

import cv2
import numpy as np
import pytest

from unbraid.viz.effects import Effect, effects
from unbraid.viz.style import RIGHT, WRONG, Picture


def columns_of(picture: Picture, colour: str) -> np.ndarray:
    """Columns of the picture's upper part, without the legend, in which a colour occurs."""
    image = cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    found: np.ndarray = np.nonzero((image[: int(0.6 * len(image))] == wanted).all(2))[1]
    return found


def test_lines_are_as_long_as_intervals_and_lie_on_their_side_of_zero() -> None:
    short = Effect("a method", "it helps", 5.0, 0.0, 10.0, (4.0, 6.0), "agrees")
    long = Effect("a method", "it hurts", -10.0, -20.0, 0.0, (-9.0, -11.0), "contradicts")
    picture = effects([short, long], title="claims", about=["made up"])
    right, wrong = columns_of(picture, RIGHT), columns_of(picture, WRONG)
    assert np.ptp(wrong) / np.ptp(right) == pytest.approx(2, rel=0.03)
    assert abs(int(wrong.max()) - int(right.min())) <= 4
    assert "it hurts -10.0 (-20.0 to +0.0), contradicts" in picture.alt


def test_long_and_hostile_words_and_a_single_flat_effect_fit() -> None:
    one = Effect("$m_1$ <b>", "says $\\frac{x}{y}$ <script> " + "very " * 60, 0.0, 0.0, 0.0, (0.0,), "open")
    assert effects([one], title="claims").png[:4] == b"\x89PNG"


def test_no_effect_is_an_error() -> None:
    with pytest.raises(ValueError, match="no effect to show"):
        effects([], title="claims")
