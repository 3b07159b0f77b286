"""What a walk looks like on average: features of gait that no network learned, and discriminants of them."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from unbraid.data.benchmark import Benchmark, label_table
from unbraid.data.media import read_frames
from unbraid.progress import track
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Tracklet

SIDE, COMPONENTS = 32, 128


def mean_images(tracklets: Sequence[Tracklet], side: int = SIDE) -> NDArray[np.float32]:
    """Mean and deviation over the frames of each tracklet, first channel, N x 2 side² float32 of 0..1.

    The mean of silhouettes is the gait energy image (Han and Bhanu, 2006). Raises the errors of `read_frames`.
    """
    rows = []
    for tracklet in track(tracklets, "mean images"):
        frames = read_frames(tracklet.media, range(len(tracklet)))
        small = [cv2.resize(frame[..., 0], (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
        stack = np.stack(small).astype(np.float32) / 255
        rows.append(np.concatenate([stack.mean(0).ravel(), stack.std(0).ravel()]))
    return np.stack(rows)


def mean_image_embeddings(people: Benchmark) -> tuple[Embeddings, Embeddings]:
    """Mean images of query and gallery, each less the mean of its own modality: they differ in brightness everywhere,
    and only what differs within one can tell people apart across them."""
    sides = []
    for split in (people.query, people.gallery):
        found, table = mean_images(split), label_table(split)
        for name in table["modality"].unique():
            rows = (table["modality"] == name).to_numpy()
            found[rows] -= found[rows].mean(0)
        sides.append(_embeddings(found, table, "mean images", people.synthetic))
    return sides[0], sides[1]


def lda_embeddings(people: Benchmark, seed: int = 0) -> tuple[Embeddings, Embeddings]:
    """Linear discriminants of mean images, fitted to the identities of the training people, all modalities together.

    128 principal components, or as many as there are, then discriminants with shrunken covariance.
    Source: not in the papers; the plainest thing that learns to tell people apart across sensors.
    """
    known, who = mean_images(people.train), [str(t.identity) for t in people.train]
    few = PCA(min(COMPONENTS, *known.shape), random_state=seed).fit(known)
    rule = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(few.transform(known), who)
    query, gallery = (
        _embeddings(rule.transform(few.transform(mean_images(split))), label_table(split), "LDA", people.synthetic)
        for split in (people.query, people.gallery)
    )
    return query, gallery


def _embeddings(x: NDArray[np.float32], table: pd.DataFrame, name: str, synthetic: bool | None) -> Embeddings:
    origin = {"weights": "none", "recipe": name}
    if synthetic is not None:
        origin["synthetic"] = "true" if synthetic else "false"
    return Embeddings(Spaces({"identity": torch.from_numpy(np.asarray(x, np.float32))}), table, origin)
