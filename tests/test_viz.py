"""Pictures: sizes, marks and colours are read back from the pixels."""

from collections.abc import Callable

import cv2
import matplotlib
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.figure import Figure
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from unbraid.viz import (
    Bar,
    Picture,
    Shot,
    Strip,
    cmc_curves,
    frame_weights,
    heat_maps,
    leakage_bars,
    ranked_strips,
    scatter,
)
from unbraid.viz.style import COLOURS, RIGHT, SCALE, UNKNOWN, WRONG, broken, plain, width_of

Image = NDArray[np.uint8]

HOSTILE = ["$\\frac{a$_^", "_hidden", "人 🙂 \ud800", "two\nlines\x00", "x" * 500, ""]
BLUE = (10, 20, 250)


def pixels(picture: Picture) -> Image:
    image = cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)


def flat(colour: tuple[int, int, int] = BLUE, height: int = 100, width: int = 50) -> Image:
    return np.full((height, width, 3), colour, np.uint8)


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def where(image: Image, colour: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = np.nonzero((image == colour).all(axis=2))
    return rows, columns


def strips(verdicts: str, rows: int = 1) -> list[Strip]:
    names = {"r": "right", "w": "wrong", "u": "unknown"}
    ranked = [Shot(flat((90, 90, 90)), f"g{i}", "cam1", 0.5, names[v]) for i, v in enumerate(verdicts)]  # type: ignore[arg-type]
    return [Strip(Shot(flat(), "q", "cam0"), ranked)] * rows


@pytest.mark.parametrize("size", [(100, 50), (50, 100), (64, 64), (7, 300)])
def test_frames_keep_their_aspect(size: tuple[int, int]) -> None:
    image = pixels(ranked_strips([Strip(Shot(flat(height=size[0], width=size[1]), "q"), [])], cell=(64, 128)))
    rows, columns = where(image, BLUE)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    scale = min(128 * SCALE / size[0], 64 * SCALE / size[1])
    assert abs(height - size[0] * scale) <= 1
    assert abs(width - size[1] * scale) <= 1


def test_strips_grow_by_rows_and_columns() -> None:
    small, wide, tall = (pixels(ranked_strips(s)) for s in (strips("rw"), strips("rwrw"), strips("rw", rows=3)))
    assert small.shape[0] == wide.shape[0] < tall.shape[0]
    assert small.shape[1] == tall.shape[1] < wide.shape[1]


def test_verdicts_differ_by_frame_colour_and_by_sign() -> None:
    image = pixels(ranked_strips(strips("rwu")))
    signs = []
    for colour in (RIGHT, WRONG, UNKNOWN):
        rows, columns = where(image, rgb(colour))
        top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
        assert bottom - top + 1 == (128 + 8) * SCALE
        assert right - left + 1 == (64 + 8) * SCALE
        for edge in (
            image[top, left:right],
            image[bottom, left:right],
            image[top:bottom, left],
            image[top:bottom, right],
        ):
            assert (edge == rgb(colour)).all()
        badge = image[top : top + 27, left : left + 27]
        signs.append((badge > 180).all(axis=2))
    assert all(sign.sum() > 15 for sign in signs)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (signs[a] != signs[b]).sum() > 20
    # left to right in the order given
    assert [where(image, rgb(c))[1].min() for c in (RIGHT, WRONG, UNKNOWN)] == sorted(
        where(image, rgb(c))[1].min() for c in (RIGHT, WRONG, UNKNOWN)
    )


def test_strip_words_count_verdicts() -> None:
    picture = ranked_strips([*strips("rw"), *strips("w"), *strips("u")])
    assert "1 right, 1 wrong, 1 unknown" in picture.alt
    assert "grey" in picture.caption
    assert "grey" not in ranked_strips(strips("rw")).caption


def test_heat_is_where_the_map_is_high() -> None:
    maps = np.zeros((2, 4, 4))
    maps[0, 0, 0] = 5.0  # second map stays zero
    black = [flat((0, 0, 0), 160, 160)] * 2
    picture = heat_maps(black, {"identity": maps}, height=160)
    image = pixels(picture).astype(int).sum(axis=2)
    size, gap = int(160 * SCALE), int(8 * SCALE)
    rows, columns = np.nonzero(image == 0)
    left, top = columns.min(), rows.min()
    below = np.flatnonzero(image[:, left + size - 5] != 0)
    start = below[below > top + size][0]
    while image[start, left + size - 5] > 30:  # first dark row of the second line: an overlay of a low value on black
        start += 1
    first = image[start : start + size, left : left + size]
    second = image[start : start + size, left + size + gap : left + 2 * size + gap]
    assert np.unravel_index(first.argmax(), first.shape) < (size // 4, size // 4)
    assert first.max() > 200
    assert second.max() < 30
    assert picture.section == "heat"


def test_weights_are_bars_of_their_height() -> None:
    grey = [flat((90, 90, 90))] * 3
    image = pixels(frame_weights(grey, [0.1, 0.4, 0.2]))
    rows, columns = where(image, rgb(COLOURS[0]))
    groups = np.split(np.sort(columns), np.flatnonzero(np.diff(np.sort(columns)) > 1) + 1)
    heights = [len(np.unique(rows[np.isin(columns, group)])) for group in groups]
    # the dashed line takes a pixel or two from the bars it crosses
    np.testing.assert_allclose(np.array(heights) / heights[1], [0.25, 1, 0.5], atol=0.03)


def test_scatter_colours_twelve_classes_and_says_so() -> None:
    generator = np.random.default_rng(0)
    labels = [f"p{i % 20}" for i in range(200)]
    centres = 5 * generator.normal(size=(20, 6))
    points = centres[np.arange(200) % 20] + 0.1 * generator.normal(size=(200, 6))
    picture = scatter(points, labels, space="identity", label="person")
    assert "12 of 20 classes" in picture.caption
    image = pixels(picture)
    assert all(len(where(image, rgb(colour))[0]) > 20 for colour in COLOURS)
    few = scatter(points, [f"c{i % 3}" if i % 2 else None for i in range(200)], space="identity", label="camera")
    assert "classes with most items" not in few.caption
    assert "100 items of unknown camera are grey" in few.caption
    assert len(where(pixels(few), rgb(COLOURS[3]))[0]) == 0


def test_principal_axes_carry_the_variance_that_the_caption_says() -> None:
    points = np.random.default_rng(1).normal(size=(60, 5)) * [5, 3, 1, 1, 1]
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    values = np.sort(np.linalg.eigvalsh(np.cov(unit.T)))
    share = 100 * values[-2:].sum() / values.sum()
    assert f"carry {share:.0f} % of the variance" in scatter(points, ["a"] * 60, space="s", label="l").caption


@pytest.mark.parametrize("projection", ["pca", "tsne"])
def test_a_projection_repeats_itself(projection: str) -> None:
    points = np.random.default_rng(2).normal(size=(20, 2, 3))
    # threads that wait for each other take many times longer on a busy machine
    with threadpool_limits(1):
        first, second = (
            scatter(points, list("ab") * 10, space="s", label="l", projection=projection, seed=4)  # type: ignore[arg-type]
            for _ in range(2)
        )
    assert first.png == second.png


def test_spaces_without_extent_still_have_a_picture() -> None:
    assert "all items are equal" in scatter(np.zeros((5, 4)), list("aabbb"), space="s", label="l").caption
    scatter(np.array([[1.0], [-2.0], [3.0]]), list("aab"), space="s", label="l")


def test_cmc_draws_every_curve_and_names_rank_one() -> None:
    picture = cmc_curves({"ours": [0.5, 0.75, 1.0], "other": [0.25, 0.5, 0.5]}, chance={"ours": [0.1, 0.2, 0.3]})
    image = pixels(picture)
    assert all(len(where(image, rgb(colour))[0]) > 200 for colour in COLOURS[:2])
    assert "ours 50.0 %, other 25.0 %" in picture.alt


def test_a_line_of_a_cmc_chart_looks_like_its_key_and_lies_above_the_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr("unbraid.viz.charts.png_of", lambda figure: drawn.append(figure) or b"")
    cmc_curves({"none": [0.0] * 5, "all": [1.0] * 5}, chance={"chance, a": [0.1] * 5, "chance, b": [0.2] * 5})
    axes = drawn[0].axes[0]
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["none", "all", "chance, a", "chance, b"]
    looks = [(line.get_color(), line.get_linestyle(), line._unscaled_dash_pattern) for line in axes.lines]
    keys = axes.get_legend().get_lines()
    assert looks == [(key.get_color(), key.get_linestyle(), key._unscaled_dash_pattern) for key in keys]
    assert len({str(look) for look in looks}) == 4
    spines = max(spine.get_zorder() for spine in axes.spines.values())
    assert all(line.get_zorder() > spines and not line.get_clip_on() for line in axes.lines[:2])
    with pytest.raises(ValueError, match="at most 6 chance curves; got 7"):
        cmc_curves({"ours": [0.5]}, chance={str(number): [0.1] for number in range(7)})


def test_leakage_bars_have_the_length_of_their_value() -> None:
    nan = float("nan")
    bars = [Bar("camera", "identity", 0.4, nan, nan, 0.9), Bar("camera", "camera", 0.8, 0.7, 0.9, 0.9)]
    image = pixels(leakage_bars(bars))
    lengths = [np.ptp(where(image, rgb(colour))[1]) for colour in COLOURS[:2]]
    assert lengths[0] / lengths[1] == pytest.approx(0.5, abs=0.01)


def test_labels_are_never_markup_and_never_too_much() -> None:
    before = dict(matplotlib.rcParams)
    frame = flat()
    shots = [Shot(frame, text or "-", text, 0.1, "wrong") for text in HOSTILE]
    made = [
        ranked_strips([Strip(shots[0], shots)]),
        scatter(np.eye(6), HOSTILE, space=HOSTILE[0], label=HOSTILE[0]),
        cmc_curves({text: [0.5, 1.0] for text in HOSTILE}),
        leakage_bars([Bar(text, text, 0.5, 0.4, 0.6, 0.1) for text in HOSTILE]),
        heat_maps([frame], {text: np.ones((1, 2, 2)) for text in HOSTILE[:4]}),
    ]
    for picture in made:
        assert max(pixels(picture).shape) < 2000
    assert dict(matplotlib.rcParams) == before
    assert not Gcf.figs, "a picture left a figure with pyplot"


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_long_words_are_broken_to_fit_and_keep_their_ends(limit: int) -> None:
    text = "start_" + "abcdefghij" * 20 + "_end"
    lines = broken(text, 80, limit)
    assert len(lines) <= limit
    assert max(width_of(line, 10.5) for line in lines) <= 80
    joined = "".join(lines)
    assert joined.startswith("star")
    assert joined.endswith("end")
    assert "…" in joined
    assert broken("short", 80, limit) == ["short"]


def test_plain_keeps_words_on_one_line() -> None:
    assert plain("a\n b\tc") == "a b c"
    assert plain("\ud800") == "\ufffd"


MISTAKES: list[tuple[Callable[[], Picture], str]] = [
    (lambda: ranked_strips([]), "at least one query"),
    (lambda: ranked_strips([Strip(Shot(np.zeros((4, 4, 3)), "k1"), [])]), "'k1'.*uint8.*float64"),  # type: ignore[arg-type]
    (lambda: heat_maps([flat()], {"identity": np.ones((2, 3, 3))}), r"'identity'.*\(2, 3, 3\).*\(1, h, w\)"),
    (lambda: heat_maps([flat()], {"identity": -np.ones((1, 3, 3))}), "not negative"),
    (lambda: heat_maps([flat()], {"identity": np.full((1, 3, 3), np.nan)}), "finite"),
    (lambda: heat_maps([flat()], {}), "needs frames and maps"),
    (lambda: frame_weights([flat()], [0.5, 0.5]), "one weight per frame"),
    (lambda: frame_weights([flat()], [np.inf]), "finite"),
    (lambda: scatter(np.eye(4), ["a"] * 3, space="s", label="l"), "4 items and 3 labels"),
    (lambda: scatter(np.eye(2), ["a"] * 2, space="s", label="l"), "3 or more"),
    (lambda: scatter(np.full((4, 2), np.nan), ["a"] * 4, space="s", label="l"), "not finite"),
    (lambda: scatter(np.eye(4), ["a"] * 4, space="s", label="l", classes=13), "1 to 12"),
    (lambda: scatter(np.eye(4), ["a"] * 4, space="s", label="l", projection="x"), "'pca' or 'tsne'"),  # type: ignore[arg-type]
    (lambda: cmc_curves({}), "1 to 12"),
    (lambda: cmc_curves({"a": [0.5, 1.5]}), "'a'.*0..1"),
    (lambda: leakage_bars([]), "no bar"),
    (lambda: leakage_bars([Bar("camera", "identity", 1.2, 0, 1, 0.5)]), "'camera' / 'identity'"),
]


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_are_named(make: Callable[[], Picture], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
