"""Mean images of walks whose frames are known, and their discriminants against scikit-learn done by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from unbraid.data.mean_images import lda_embeddings, mean_image_embeddings, mean_images
from unbraid.data.media import read_frames
from unbraid.data.sets.folder import read
from unbraid.world import named_world, render


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = named_world("gait/tiny")
    return render(named.config, tmp_path_factory.mktemp("gait") / "world", name=named.name, workers=1)


def test_mean_and_deviation_of_every_pixel(place: Path) -> None:
    tracklet = read(place).query[0]
    frames = [frame[..., 0] for frame in read_frames(tracklet.media, range(len(tracklet)))]
    small = [cv2.resize(frame, (8, 8), interpolation=cv2.INTER_AREA) / 255 for frame in frames]
    found = mean_images([tracklet], 8)[0].reshape(2, 8, 8)
    for row, column in ((0, 0), (4, 3), (7, 5)):
        values = [float(frame[row, column]) for frame in small]
        middle = sum(values) / len(values)
        deviation = (sum((value - middle) ** 2 for value in values) / len(values)) ** 0.5
        assert found[:, row, column] == pytest.approx([middle, deviation], abs=1e-6)


def test_each_modality_is_centred_on_its_own(place: Path) -> None:
    for side in mean_image_embeddings(read(place)):
        for modality in ("silhouette", "depth"):
            own = side.spaces["identity"][torch.tensor((side.table["modality"] == modality).tolist())]
            assert float(own.mean(0).abs().max()) < 1e-5
        assert side.origin["synthetic"] == "true"


def test_discriminants_find_people_they_were_not_fitted_to(place: Path) -> None:
    people = read(place)
    query, gallery = lda_embeddings(people)
    assert len(gallery) == len(people.gallery)
    assert len(query) == len(people.query)
    # with as many components as there are pixels and walks allow, components only turn the space
    known, who = mean_images(people.train), [str(t.identity) for t in people.train]
    assert query.spaces["identity"].shape[1] == len(set(who)) - 1
    plain = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(known, who)
    assert plain.score(known, who) > 0.9
    assert np.isfinite(query.spaces["identity"].numpy()).all()
