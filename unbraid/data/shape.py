"""Shape without learning: averages of silhouettes and depth maps, the baselines of gait recognition."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from unbraid.data.benchmark import label_table
from unbraid.data.media import read_frames
from unbraid.progress import track
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Media, Tracklet

SIZE = (32, 32)
Kind = Literal["mean", "deviation", "both"]


def shape_embeddings(tracklets: Sequence[Tracklet], *, kind: Kind = "mean") -> Embeddings:
    """One vector per tracklet in the space 'identity': what its silhouettes or depth maps look like over time.

    Silhouettes and depth maps count as they are, RGB tracklets by their masks; each map is shrunk to 32 x 32.
    kind: the mean over the frames (of silhouettes: the gait energy image), the standard deviation, or both.
    N D float32, D = 1024 or 2048.

    Raises ValueError without tracklets and for an RGB tracklet without a mask.
    Source: gait energy image, Han and Bhanu, Individual recognition using gait energy image (2006).
    """
    if not tracklets:
        raise ValueError("there are no tracklets to describe; choose a split that is not empty")
    rows = []
    for tracklet in track(tracklets, "shape"):
        frames = np.stack([_small(image) for image in read_frames(_maps(tracklet), range(len(tracklet)))])
        mean, deviation = frames.mean(0).ravel(), frames.std(0).ravel()
        rows.append({"mean": mean, "deviation": deviation, "both": np.concatenate([mean, deviation])}[kind])
    values = np.stack(rows).astype(np.float32)
    origin = {"weights": "none", "recipe": f"{kind} of silhouettes or depth maps"}
    return Embeddings(Spaces({"identity": torch.from_numpy(values)}), label_table(tracklets), origin)


def _maps(tracklet: Tracklet) -> Media:
    if tracklet.modality != "rgb":
        return tracklet.media
    if tracklet.mask is None:
        raise ValueError(f"tracklet {tracklet.key!r} has no mask, so its shape is not known; segment it first")
    return tracklet.mask


def _small(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = cv2.resize(image[..., 0], SIZE, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)
