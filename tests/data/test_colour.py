"""Colour histograms on pictures whose colours are known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from unbraid.data.colour import balance, colour_embeddings, histogram, middle
from unbraid.data.protocols import PLAIN
from unbraid.data.sets.folder import read, save_strip
from unbraid.evaluate import evaluate
from unbraid.tracklet import Images, Strip, Tracklet


def test_histogram_equals_opencv() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 20, 3), dtype=np.uint8)
    found = histogram(image, 3).reshape(3, 12, 4, 4)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    for number in range(3):
        stripe = hsv[20 * number : 20 * (number + 1)]
        expected = cv2.calcHist([stripe], [0, 1, 2], None, [12, 4, 4], [0, 180, 0, 256, 0, 256])
        np.testing.assert_allclose(found[number], expected / (400 * 3), atol=1e-7)
    assert found.sum() == pytest.approx(1)


def test_stripes_know_where_a_colour_is() -> None:
    image = np.zeros((7, 4, 3), np.uint8)
    image[:3] = (255, 0, 0)
    upper, lower = histogram(image, 2).reshape(2, 12, 4, 4)
    assert upper[0, 3, 3] == pytest.approx(0.5)
    assert lower[0, 0, 0] == pytest.approx(0.5)


def test_grey_world_removes_a_cast() -> None:
    image = np.random.default_rng(0).integers(20, 120, (30, 10, 3)).astype(np.uint8)
    cast = np.clip(image * np.array([1.4, 1.0, 0.6]), 0, 255).astype(np.uint8)
    means = balance(cast).reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(means, means.mean(), rtol=0.02)
    assert np.abs(balance(cast).astype(int) - balance(image)).max() <= 3
    black = np.zeros((4, 4, 3), np.uint8)
    np.testing.assert_array_equal(balance(black), black)


def test_colours_find_people_who_keep_their_clothes(people: Path) -> None:
    benchmark = read(people)
    query = colour_embeddings(benchmark.query)
    gallery = colour_embeddings(benchmark.gallery, frames=2)
    assert query.spaces["identity"].shape == (len(benchmark.query), 6 * 192)
    np.testing.assert_allclose(query.spaces["identity"].norm(dim=1), 1, atol=1e-5)
    assert query.table["key"].tolist() == [t.key for t in benchmark.query]
    # the backgrounds are grey levels of the cameras, so the nearest one stands before the same camera
    assert evaluate(query, gallery, PLAIN).rank_1 == 1
    other = colour_embeddings(benchmark.query, grey_world=True)
    assert not np.allclose(other.spaces["identity"], query.spaces["identity"])
    assert "grey world on" in other.origin["recipe"]


def test_rendered_people_stay_synthetic(people: Path) -> None:
    benchmark = read(people)
    rendered, real, unknown = (colour_embeddings(benchmark.query, synthetic=one) for one in (True, False, None))
    assert evaluate(rendered, rendered, PLAIN).synthetic is True
    assert str(evaluate(rendered, rendered, PLAIN)).startswith("SYNTHETIC")
    assert evaluate(real, real, PLAIN).synthetic is False
    assert evaluate(unknown, unknown, PLAIN).synthetic is None


def test_wrong_input_is_named(people: Path, tmp_path: Path) -> None:
    query = read(people).query
    with pytest.raises(ValueError, match="at least 1; got 0 stripes"):
        colour_embeddings(query, stripes=0)
    with pytest.raises(ValueError, match="no tracklets"):
        colour_embeddings([])
    path = tmp_path / "low.png"
    cv2.imwrite(str(path), np.zeros((4, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="'low' has a frame of 4 pixel rows, too few for 6"):
        colour_embeddings([Tracklet("low", Images((path,)))])
    with pytest.raises(FileNotFoundError, match="is missing"):
        colour_embeddings([Tracklet("gone", Images((tmp_path / "gone.png",)))])


def test_the_middle_of_an_image_by_hand() -> None:
    image = np.arange(8, dtype=np.uint8)[None, :, None].repeat(2, 0).repeat(3, 2)
    assert middle(image, 0.25)[0, :, 0].tolist() == [3, 4]
    assert middle(image, 1.0).shape == image.shape
    assert middle(image[:, :1], 0.1).shape == (2, 1, 3)


def test_regions_look_at_the_person_or_away_from_it(tmp_path: Path) -> None:
    image = np.full((60, 60, 3), (0, 0, 200), np.uint8)
    mask = np.zeros((60, 60), np.uint8)
    image[10:50, 10:30], mask[10:50, 10:30] = (200, 0, 0), 255
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image[..., ::-1])
    strip = Strip(tmp_path / save_strip(tmp_path, "m.png", [mask]), 1)
    tracklet = Tracklet("a", Images((path,)), mask=strip)
    whole, person, background = (
        colour_embeddings([tracklet], stripes=1, region=region).spaces["identity"][0].numpy() ** 2
        for region in ("frame", "person", "background")
    )
    red, blue = np.argmax(person), np.argmax(background)
    assert person[red] == pytest.approx(1)
    assert background[blue] == pytest.approx(1)
    assert red != blue
    assert whole[red] == pytest.approx(800 / 3600)
    with pytest.raises(ValueError, match="'b' has no mask, which region 'person' needs"):
        colour_embeddings([Tracklet("b", Images((path,)))], region="person")
