"""Colour histograms in horizontal stripes: a baseline that knows clothes and nothing of the person."""

from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from unbraid.data.benchmark import label_table
from unbraid.data.media import Image, read_frames
from unbraid.progress import track
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Tracklet

# Hue, saturation, value: hue says most about a garment, value depends on the light.
BINS = (12, 4, 4)
Region = Literal["frame", "person", "background"]


def colour_embeddings(
    tracklets: Sequence[Tracklet],
    *,
    stripes: int = 6,
    frames: int = 8,
    centre: float = 1.0,
    grey_world: bool = False,
    region: Region = "frame",
    synthetic: bool | None = None,
) -> Embeddings:
    """One vector per tracklet in the space 'identity': no learning, so a floor for every method.

    Each frame is cut into `stripes` of equal height; each stripe gives a joint histogram over hue, saturation and
    value of 12 x 4 x 4 bins that sums to 1 / stripes. Frames are averaged and the square root is taken, so that the
    cosine of two vectors is the Bhattacharyya coefficient of their histograms.

    frames: at most so many, evenly spread over the tracklet. centre: share of the columns to use, in the middle of
    the frame, where the person is. grey_world: scale the channels of each frame to a common mean first, against
    colour casts of cameras. region: which pixels count, by the tracklet's mask: 'person', 'background' (well away from
    the person), or all of the 'frame'. synthetic: whether the pixels were rendered, as `Benchmark.synthetic` knows;
    kept in the origin, so that results say it. None leaves it open.

    Raises ValueError without tracklets, for a region where a tracklet has no mask, for stripes or frames below 1 or a
    frame with fewer rows than stripes, and the errors of `read_frames`.
    Source: not in the papers; D 192 x stripes, N D float32.

    Example:
        query = colour_embeddings(benchmark.query, synthetic=benchmark.synthetic)
        gallery = colour_embeddings(benchmark.gallery, synthetic=benchmark.synthetic)
        print(evaluate(query, gallery, CAMERA_CHANGE))
    """
    if stripes < 1 or frames < 1:
        raise ValueError(f"stripes and frames must be at least 1; got {stripes} stripes and {frames} frames")
    if not 0 < centre <= 1:
        raise ValueError(f"centre is a share of the columns, above 0 and at most 1; got {centre}")
    if not tracklets:
        raise ValueError("there are no tracklets to describe; choose a split that is not empty")
    rows = []
    for tracklet in track(tracklets, "colour"):
        chosen = np.unique(np.linspace(0, len(tracklet) - 1, min(frames, len(tracklet))).round().astype(int))
        whole = read_frames(tracklet.media, chosen.tolist())
        regions = [middle(keep, centre) for keep in _regions(tracklet, chosen.tolist(), region, whole)]
        images = [middle(balance(image) if grey_world else image, centre) for image in whole]
        rows.append(_describe(tracklet, images, regions, stripes))
    origin = {
        "weights": "none",
        "recipe": f"colour histograms, {stripes} stripes, {frames} frames, central {centre:g} of the columns, "
        f"grey world {'on' if grey_world else 'off'}, {region}",
    }
    if synthetic is not None:
        origin["synthetic"] = "true" if synthetic else "false"
    return Embeddings(Spaces({"identity": torch.from_numpy(np.stack(rows))}), label_table(tracklets), origin)


def histogram(image: Image, stripes: int, keep: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Joint HSV histogram of each stripe, stripes x 192 flattened; sums to 1, or to the share of stripes that are kept.

    image: H W 3 uint8 RGB, H >= stripes. keep: H W, the pixels that count; all when absent.
    """
    height = len(image)
    parts = []
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    for number in range(stripes):
        rows = slice(height * number // stripes, height * (number + 1) // stripes)
        stripe = hsv[rows].reshape(-1, 3) if keep is None else hsv[rows][keep[rows]]
        # hue of 8-bit images runs from 0 to 179
        levels = (stripe.astype(np.int64) * BINS // (180, 256, 256)).T
        counts = np.bincount(np.ravel_multi_index(tuple(levels), BINS), minlength=int(np.prod(BINS)))
        parts.append(counts / (max(len(stripe), 1) * stripes))
    return np.concatenate(parts)


def balance(image: Image) -> Image:
    """The grey-world correction: channels scaled so that their means are equal. image: H W 3 uint8 RGB."""
    means = image.reshape(-1, 3).mean(axis=0)
    # a channel that is black everywhere has no cast to remove
    scaled = image * (means.mean() / np.maximum(means, 1.0))
    balanced: Image = np.clip(scaled.round(), 0, 255).astype(np.uint8)
    return balanced


def middle(image: NDArray[Any], share: float) -> NDArray[Any]:
    """The central share of an image's columns, at least one. image: H W or H W 3."""
    width = image.shape[1]
    left = min(round(width * (1 - share) / 2), (width - 1) // 2)
    return np.ascontiguousarray(image[:, left : width - left])


def _regions(tracklet: Tracklet, chosen: list[int], region: Region, images: Sequence[Image]) -> list[NDArray[np.bool_]]:
    """Which pixels (H, W) of each frame count."""
    if region == "frame":
        return [np.ones(image.shape[:2], bool) for image in images]
    if tracklet.mask is None:
        raise ValueError(f"tracklet {tracklet.key!r} has no mask, which region {region!r} needs; use region 'frame'")
    masks = [mask[..., 0] > 127 for mask in read_frames(tracklet.mask, chosen)]
    if region == "person":
        return masks
    # Masks have ragged borders and JPEG spreads colours over blocks of 16 pixels, so stay well away.
    margin = max(len(masks[0]) // 20, 9)
    wide = np.ones((2 * margin + 1,) * 2, np.uint8)
    return [cv2.dilate(mask.astype(np.uint8), wide) == 0 for mask in masks]


def _describe(
    tracklet: Tracklet, images: Sequence[Image], regions: Sequence[NDArray[np.bool_]], stripes: int
) -> NDArray[np.float32]:
    low = min(len(image) for image in images)
    if low < stripes:
        raise ValueError(
            f"tracklet {tracklet.key!r} has a frame of {low} pixel rows, too few for {stripes} stripes; ask for fewer"
        )
    found = [histogram(image, stripes, keep) for image, keep in zip(images, regions, strict=True)]
    vector: NDArray[np.float32] = np.sqrt(np.mean(found, axis=0)).astype(np.float32)
    return vector
