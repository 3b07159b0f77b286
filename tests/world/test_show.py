import cv2
import numpy as np
import pytest

from unbraid.world import WorldConfig
from unbraid.world.motion import Procedural
from unbraid.world.show import LETTER, MARGIN, TALL, sheet, show


def test_rows_are_filled_to_one_width():
    rows = [np.zeros((3, 5, 3), np.uint8), np.zeros((2, 8, 3), np.uint8)]
    image = sheet(rows)
    assert image.shape == (3 + 2 + 2 * MARGIN, 8, 3)
    assert (image[:3, :5] == 0).all()
    assert (image[:3, 5:] == 255).all()


def test_one_sheet_per_factor(tmp_path):
    paths = show(WorldConfig(actions=("walk",)), tmp_path / "new" / "sheets")
    assert [path.stem for path in paths] == ["actions", "outfits", "people", "cameras", "views", "conditions"]
    rows = {"actions": 2, "outfits": 10, "people": 10, "cameras": 6, "views": 8, "conditions": 8}
    for path in paths:
        image = cv2.imread(str(path))
        assert len(image) == rows[path.stem] * (LETTER + TALL + MARGIN)
        assert image.std() > 30


def test_motion_without_walking_is_shown_too(tmp_path):
    only = Procedural(name="waving", actions=("wave",))
    assert len(show(WorldConfig(actions=("wave",), walking=0.0), tmp_path, motion=only)) == 6


def test_unwritable_folders_are_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError):
        show(WorldConfig(), tmp_path / "file")
