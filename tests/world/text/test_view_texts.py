import re

import pytest

from unbraid.world.text.captions import view_texts


def test_dictionary_of_views():
    for modality in ("rgb", "silhouette", "depth"):
        texts = view_texts(modality)
        assert texts == view_texts(modality)
        assert len(set(texts)) == len(texts) == 8 * 4
        wanted = ("front", "front left", "left", "back left", "back", "back right", "right", "front right")
        for number, text in enumerate(texts):
            assert re.search(rf"from the {wanted[number // 4]}\b(?! (left|right))", text, re.IGNORECASE), text
            assert "walking" in text
    assert not set(view_texts("depth", rounds=8)) & set(view_texts("silhouette", rounds=8))
    with pytest.raises(ValueError, match="1 to 8"):
        view_texts("depth", rounds=9)
    with pytest.raises(ValueError, match="sonar"):
        view_texts("sonar")
