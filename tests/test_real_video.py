"""The line on real video: six people who pass one by one are found again. A sanity check, not accuracy."""

import json
from pathlib import Path

from examples.real_video import one_by_one, tracked
from tests.shared import shared
from unbraid.data.colour import colour_embeddings
from unbraid.data.protocols import PLAIN
from unbraid.evaluate import evaluate


def test_six_people_are_found_again_in_the_other_half_of_their_episode(tmp_path: Path) -> None:
    video = shared("data/video/one-by-one-person-detection.mp4")
    episodes = json.loads(shared("data/video/one-by-one-person-detection.episodes.json").read_text())
    gallery, query = one_by_one(tracked(video, tmp_path), episodes)
    # everyone keeps their clothes, so colours must do; the trained model is shown in examples/real_video.py
    result = evaluate(colour_embeddings(query), colour_embeddings(gallery), PLAIN)
    assert (result.queries, result.rank_1) == (6, 1.0)
