import cv2
import numpy as np
import pytest

from unbraid.viz.style import SCALE
from unbraid.viz.twins import MARGIN, MOST_FRAMES, TwinRow, twin_sheet

COLOURS = {"original": (250, 20, 20), "clothes": (20, 250, 20), "camera": (20, 20, 250)}


def rows(frames=3):
    return [
        TwinRow(change, [f"{change} {n}" for n in range(2)], [np.full((64, 32, 3), colour, np.uint8)] * frames)
        for change, colour in COLOURS.items()
    ]


def decoded(picture):
    return cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_rows_lie_below_one_another_in_their_order():
    picture = twin_sheet(rows(), height=100)
    image = decoded(picture)
    seen = [np.flatnonzero((image == colour).all(2).any(1)) for colour in COLOURS.values()]
    assert [len(one) for one in seen] == [round(100 * SCALE)] * 3
    assert seen[0][0] == round(MARGIN * SCALE)
    assert seen[0][-1] < seen[1][0] < seen[1][-1] < seen[2][0]
    widths = [np.flatnonzero((image == colour).all(2).any(0)) for colour in COLOURS.values()]
    assert all(np.array_equal(widths[0], one) for one in widths)
    assert len(widths[0]) == 3 * round(50 * SCALE)
    assert "clothes, camera" in picture.alt


def test_few_of_many_frames_are_shown():
    numbered = [np.full((8, 8, 3), (10 * number, 0, 200), np.uint8) for number in range(20)]
    image = decoded(twin_sheet([TwinRow("original", [], numbered), TwinRow("take", [], numbered)]))
    shown = {int(red) for red, green, blue in np.unique(image.reshape(-1, 3), axis=0) if (green, blue) == (0, 200)}
    assert len(shown) == MOST_FRAMES
    assert {0, 190} <= shown


def test_many_notes_make_room():
    plain = decoded(twin_sheet(rows()))
    told = [*rows()[:2], TwinRow("camera", [f"run {n}" for n in range(20)], rows()[2].frames)]
    assert len(decoded(twin_sheet(told))) > len(plain) + 200


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="an original and at least one twin; got 1 rows"):
        twin_sheet(rows()[:1])
    with pytest.raises(ValueError, match="row 'x' has no frames"):
        twin_sheet([*rows(), TwinRow("x", [], [])])
    with pytest.raises(ValueError, match="row 'x', frame 0: expected a frame H W 3 uint8"):
        twin_sheet([*rows(), TwinRow("x", [], [np.zeros((4, 4), np.uint8)])])
