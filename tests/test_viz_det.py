"""DET curves: axes in normal deviates, what is drawn where, and the words beside it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import norm

from tests.test_figures import BIG
from tests.test_verify import MANY
from unbraid.data.protocols import CAMERA_CHANGE, PLAIN
from unbraid.evaluate import evaluate
from unbraid.report import Evidence, report
from unbraid.report.evidence import cmc, cmc_band, cmc_chance
from unbraid.report.pictures import cmc_picture, det_picture
from unbraid.verify import verify
from unbraid.viz import Det, det_curves
from unbraid.viz import det as module


def curve(people: int = 1000) -> Det:
    """Scores of variance 1, those of one person 2 higher: a straight line with EER Phi(-1)."""
    thresholds = np.linspace(-4, 6, 400)
    fmr, fnmr = norm.sf(thresholds), norm.cdf(thresholds - 2)
    band = np.array([[0.01, 0.2, 0.5], [0.1, 0.1, 0.3]])
    return Det(fmr, fnmr, band, float(norm.cdf(-1)), 10 / people, ("all@1, 9 genuine pairs,", "99 impostor pairs"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    found: list[Figure] = []

    def remember(figure: Figure) -> bytes:
        found.append(figure)
        return b""

    monkeypatch.setattr(module, "png_of", remember)
    return found


def test_gaussian_scores_are_a_straight_line_and_chance_too(drawn: list[Figure]) -> None:
    picture = det_curves({"ours": curve()}, synthetic=True)
    axes = drawn[0].axes[0]
    sure, mark, chance = axes.lines[1], axes.lines[2], axes.lines[3]
    x, y = (np.asarray(values)[np.isfinite(sure.get_ydata())] for values in sure.get_data())
    np.testing.assert_allclose(y, -2 - x, atol=1e-9)
    assert x.min() == pytest.approx(norm.ppf(0.01), abs=0.03), "thinner where pairs are too few"
    assert np.asarray(mark.get_data()).ravel() == pytest.approx([-1, -1])
    x, y = (np.asarray(values) for values in chance.get_data())
    np.testing.assert_allclose(y, -x)
    band = axes.collections[0].get_paths()[0].vertices
    assert band.min(axis=0) == pytest.approx(norm.ppf([0.01, 0.1]))
    assert band.max(axis=0) == pytest.approx(norm.ppf([0.1, 0.5]))
    labels = {text.get_text(): place for text, place in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)}
    assert labels["5"] == pytest.approx(norm.ppf(0.05))
    words = [text.get_text() for text in drawn[0].texts]
    assert words == [
        "99 impostor pairs",
        "ours: all@1, 9 genuine pairs,",
        "SYNTHETIC people; says nothing about real people",
    ]
    assert "all@1, 9 genuine pairs, 99 impostor pairs" in picture.caption
    assert "Synthetic people." in picture.caption
    assert "ours 15.87 %" in picture.alt


def test_perfect_and_tiny_curves_are_drawn() -> None:
    none = replace(curve(), band=np.empty((0, 3)), lowest=1.0)
    picture = det_curves({"few": none, "perfect": replace(none, fmr=np.array([1.0, 0]), fnmr=np.zeros(2), eer=0.0)})
    assert picture.png[:4] == b"\x89PNG"
    assert "Band" not in picture.caption


def test_without_an_error_the_curve_runs_along_the_edge(drawn: list[Figure]) -> None:
    """FNMR 100 % at low FMR, then 0: both on the axis, numbered, with the band around them."""
    fmr, fnmr = np.array([1.0, 0.2, 0.2, 0.01, 0.0]), np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    band = np.array([[0.01, 0.9, 1.0], [0.1, 0.9, 1.0]])
    picture = det_curves({"jump": Det(fmr, fnmr, band, 0.2, 0.01, ("x",)), "other": curve()})
    assert "Along an edge" in picture.caption
    axes = drawn[0].axes[0]
    y = np.asarray(axes.lines[0].get_ydata())
    low, high = axes.get_ylim()
    assert low < y.min() < low + 0.1 < high - 0.1 < y.max() < high
    numbers = {text.get_text(): at for text, at in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)}
    assert (numbers["0"], numbers["100"]) == pytest.approx((y.min(), y.max()))
    assert np.diff(sorted(numbers.values())).min() > 0.2, "no number touches another"
    assert "Along an edge" not in det_curves({"other": curve()}).caption
    assert "100" not in [text.get_text() for text in drawn[1].axes[0].get_yticklabels()]


def test_the_mark_is_explained_where_it_is_seen(drawn: list[Figure]) -> None:
    det_curves({"ours": curve()})
    det_curves({"perfect": replace(curve(), fmr=np.array([1.0, 0]), fnmr=np.zeros(2), eer=0.0)})
    words = [[text.get_text() for text in figure.axes[0].get_legend().get_texts()] for figure in drawn]
    assert words == [["ours", "chance", "equal error rate"], ["perfect", "chance"]]


def test_wrong_curves_are_named() -> None:
    with pytest.raises(ValueError, match="shows 1 to 12 curves; got 0"):
        det_curves({})
    with pytest.raises(ValueError, match="'bad' must be equally many FMR and FNMR"):
        det_curves({"bad": replace(curve(), fmr=np.full(400, 2.0))})


def test_the_picture_of_a_verification_says_its_protocol_and_counts() -> None:
    result = verify(*MANY, CAMERA_CHANGE)
    picture = det_picture({"ours": result})
    assert (
        f"camera-change@1, {result.genuine} genuine pairs of {result.genuine_identities} identities" in picture.caption
    )
    assert f"{result.impostors} impostor pairs" in picture.caption
    low, high = result.eer_interval
    assert f"equal error rate {100 * result.eer:.2f} % ({100 * low:.2f} to {100 * high:.2f})" in picture.caption
    assert "Synthetic" not in picture.caption
    assert "Synthetic" in det_picture({"ours": replace(result, synthetic=True)}).caption


def test_the_band_holds_the_curve_and_agrees_with_the_points() -> None:
    result = verify(*BIG, CAMERA_CHANGE, fmrs=(0.01, 0.1))
    assert len(result.band) > 10
    assert result.band["fmr"].is_monotonic_increasing
    assert result.band["fmr"].iloc[0] * result.identity_pairs >= 1
    fnmr = np.interp(result.band["fmr"], result.det["fmr"][::-1], result.det["fnmr"][::-1])
    slack = 2 / result.genuine
    assert (result.band["low"] - slack <= fnmr).all()
    assert (fnmr <= result.band["high"] + slack).all()
    for point in result.points:
        assert point.interval is not None
        ends = [np.interp(point.wanted, result.band["fmr"], result.band[end]) for end in ("low", "high")]
        assert ends == pytest.approx(point.interval, abs=0.02)


def test_cmc_band_is_the_interval_of_the_table_and_cells_are_weighed() -> None:
    result = evaluate(*MANY, CAMERA_CHANGE)
    low, high = cmc_band(result)
    assert (low[0], high[0]) == pytest.approx(result.rank_1_interval)
    query, gallery = (replace(side, table=side.table.copy()) for side in MANY)
    for side, seed in ((query, 30), (gallery, 31)):
        side.table["view"] = np.random.default_rng(seed).choice(["a", "b", "c"], len(side), p=[0.7, 0.2, 0.1])
    celled = evaluate(query, gallery, replace(CAMERA_CHANGE, cells="view"))
    assert cmc(celled)[0] == pytest.approx(celled.rank_1)
    assert cmc(celled)[19] == pytest.approx(celled.rank_20)
    assert "camera-change@1" not in cmc_picture({"x": result}).alt
    assert cmc_picture({"x": result}).png[:4] == b"\x89PNG"


def test_the_band_of_a_perfect_curve_is_that_of_the_rule_of_three() -> None:
    result = evaluate(*MANY, CAMERA_CHANGE)
    people = result.table.loc[result.table["first"] > 0, "identity"].nunique()
    perfect = replace(result, table=result.table.assign(first=result.table["first"].clip(upper=1)))
    low, high = cmc_band(perfect)
    assert (low.tolist(), high.tolist()) == (pytest.approx([1 - 3 / people] * 20), [1.0] * 20)
    low, high = cmc_band(replace(result, table=result.table.assign(first=result.table["first"] * 1000)))
    assert (low.tolist(), high.tolist()) == ([0.0] * 20, pytest.approx([3 / people] * 20))


def test_results_of_one_protocol_share_a_chance_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, list[float]]] = []
    monkeypatch.setattr("unbraid.report.pictures.cmc_curves", lambda curves, *, chance, **_: seen.append(chance))
    ours, other = evaluate(*MANY, CAMERA_CHANGE), evaluate(*MANY, PLAIN)
    cmc_picture({"a": ours, "b": ours})
    cmc_picture({"a": ours, "b": ours, "c": other})
    assert [list(one) for one in seen] == [["chance"], ["chance, camera-change@1", "chance, plain@1"]]
    assert seen[1]["chance, plain@1"] == cmc_chance(other)
    assert seen[0]["chance"] == cmc_chance(ours)


def test_shares_that_round_above_one_are_one() -> None:
    result = evaluate(*MANY, CAMERA_CHANGE)
    table = result.table.assign(first=1, hits=1, share=np.nextafter(1 / len(result.table), 1))
    found = replace(result, table=table)
    assert table["share"].sum() > 1
    assert cmc(found) == [1.0] * 20
    assert cmc_picture({"x": found}).png[:4] == b"\x89PNG"


def test_the_report_shows_figures_and_why_some_are_missing(tmp_path: Path) -> None:
    measured, verified = evaluate(*MANY, CAMERA_CHANGE), verify(*MANY, CAMERA_CHANGE, fmrs=(0.1, 1e-4))
    page = report(Evidence("x", {"ours": measured}, verifications={"ours too": verified}), tmp_path / "x.html")
    text, told = page.read_text(encoding="utf-8"), json.loads(page.with_suffix(".json").read_text())
    assert "One to one, and open set" in text
    assert text.count("not reported") >= 2
    assert measured.figures[2].reason in text
    assert verified.points[1].reason in text
    assert "Detection error trade-off" in text
    assert told["results"][0]["figures"][1]["value"] == pytest.approx(measured.rank_20)
    assert told["verification"][0]["eer"] == verified.eer
    assert len(told["verification"][0]["det"]["fmr"]) == len(verified.det)
