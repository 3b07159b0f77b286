"""Shared content of two spaces: closed forms, scipy, explicit matrices, and p-values that are uniform by chance."""

from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import subspace_angles
from scipy.spatial.distance import cdist, pdist
from scipy.stats import kstest
from sklearn.decomposition import PCA

from unbraid.probing.dependence import deals, dependence, drawn, hsic, linear_cka, principal_angles
from unbraid.spaces import Spaces

Floats = NDArray[np.float64]


def noise(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=shape)


def rotation(size: int, seed: int = 0) -> Floats:
    return np.linalg.qr(noise(size, size, seed=seed))[0]


def explicit_hsic(x: Floats, y: Floats, kernel: str) -> float:
    """tr(K H L H) / N^2 with all four matrices written out, distances by scipy."""

    def gram(side: Floats) -> Floats:
        return side @ side.T if kernel == "linear" else np.exp(-cdist(side, side, "sqeuclidean") / width(side))

    def width(side: Floats) -> float:
        return float(2 * np.median(pdist(side)) ** 2)

    centre = np.eye(len(x)) - 1 / len(x)
    return float(np.trace(gram(x) @ centre @ gram(y) @ centre)) / len(x) ** 2


# --- linear CKA ---


def test_cka_is_1_for_rotated_scaled_shifted_features() -> None:
    x = noise(40, 6)
    assert linear_cka(x, 3 * x @ rotation(6) - 2) == pytest.approx(1, abs=1e-12)
    assert linear_cka(x, noise(40, 6, seed=1)) < 0.5


def test_cka_of_one_feature_each_is_the_squared_correlation() -> None:
    x, y = noise(30, 1), noise(30, 1, seed=1) + noise(30, 1)
    assert linear_cka(x, y) == pytest.approx(np.corrcoef(x[:, 0], y[:, 0])[0, 1] ** 2, abs=1e-12)


def test_cka_of_a_shared_half_is_one_half() -> None:
    """x = (a, b), y = (a, c) of orthonormal centred columns: |X'Y| = 1 and |X'X| = |Y'Y| = sqrt 2, so CKA is 1/2."""
    raw = noise(20, 3)
    a, b, c = np.linalg.qr(raw - raw.mean(axis=0))[0].T
    assert linear_cka(np.stack([a, b], 1), np.stack([a, c], 1)) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("wide", [3, 70])
def test_cka_is_a_ratio_of_explicit_hsic(wide: int) -> None:
    x, y = noise(25, wide), noise(25, 4, seed=1)
    ratio = explicit_hsic(x, y, "linear") / np.sqrt(explicit_hsic(x, x, "linear") * explicit_hsic(y, y, "linear"))
    assert linear_cka(x, y) == pytest.approx(ratio, rel=1e-10)


def test_cka_of_unrelated_features_is_what_its_docstring_says() -> None:
    x, y = noise(400, 200), noise(400, 100, seed=1)
    assert linear_cka(x, y) == pytest.approx(np.sqrt(200 * 100 / (600 * 500)), rel=0.05)


# --- HSIC ---


@pytest.mark.parametrize("kernel", ["linear", "gaussian"])
def test_hsic_is_the_explicit_trace(kernel: str) -> None:
    x, y = noise(25, 5), noise(25, 4, seed=1)
    found = hsic(x, y, kernel=kernel, permutations=5)  # type: ignore[arg-type]
    assert found.value == pytest.approx(explicit_hsic(x, y, kernel), rel=1e-10)


def test_chance_is_the_mean_over_all_orders() -> None:
    """Over all N! orders tr(K P L P') averages to tr K tr L / (N - 1) for centred K and L."""
    x, y = noise(4, 2), noise(4, 3, seed=1)
    centred = [(side - side.mean(axis=0)) @ (side - side.mean(axis=0)).T for side in (x, y)]
    expected = np.trace(centred[0]) * np.trace(centred[1]) / 3 / 16
    every = [explicit_hsic(x, y[list(order)], "linear") for order in permutations(range(4))]
    assert np.mean(every) == pytest.approx(expected)
    assert hsic(x, y, kernel="linear", permutations=4000).chance == pytest.approx(expected, rel=0.05)


def test_p_counts_the_deals_that_reach_the_value_plus_one() -> None:
    x, y = noise(12, 2), noise(12, 2, seed=1)
    orders = deals(12, None, 30, within=False, seed=5)
    value = explicit_hsic(x, y, "gaussian")
    reached = sum(explicit_hsic(x, y[order], "gaussian") >= value for order in orders)
    assert hsic(x, y, permutations=30, seed=5).p == pytest.approx((1 + reached) / 31)
    assert hsic(x, x, permutations=30).p == pytest.approx(1 / 31)


def test_gaussian_finds_what_linear_misses() -> None:
    """A circle: both coordinates are uncorrelated and far from independent."""
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 200)
    x, y = np.cos(angle)[:, None], np.sin(angle)[:, None]
    assert hsic(x, y).p < 0.01
    assert hsic(x, y, kernel="linear").p > 0.05


def test_p_is_uniform_for_independent_features() -> None:
    found = [hsic(noise(30, 3, seed=2 * t), noise(30, 2, seed=2 * t + 1), permutations=60).p for t in range(100)]
    assert kstest(found, "uniform").pvalue > 0.02


def test_dealing_people_does_not_take_few_people_for_many_items() -> None:
    """20 people with 4 nearly equal items: items dealt singly are wrong about them, people dealt whole are not."""

    def trial(seed: int) -> tuple[float, float]:
        x, y = (
            np.repeat(noise(20, 2, seed=s), 4, axis=0) + 0.1 * noise(80, 2, seed=s + 9000) for s in (seed, seed + 500)
        )
        people = np.repeat(np.arange(20), 4).tolist()
        return hsic(x, y, permutations=40).p, hsic(x, y, groups=people, permutations=40).p

    single, whole = np.array([trial(seed) for seed in range(50)]).T
    assert kstest(whole, "uniform").pvalue > 0.02
    assert (single < 0.05).mean() > 0.5


def test_within_asks_for_more_than_identity() -> None:
    people = np.repeat(np.arange(25), 4)
    person, pose = noise(25, 3)[people], noise(100, 3, seed=1)
    x, y = person + noise(100, 3, seed=2), person + noise(100, 3, seed=3)
    groups = people.tolist()
    assert hsic(x, y, groups=groups).p < 0.01
    assert hsic(x, y, groups=groups, within=True).p > 0.05
    assert hsic(x + pose, y + pose, groups=groups, within=True).p < 0.01


def test_deals_keep_people_whole_or_in_place() -> None:
    people = np.array([4, 7, 4, 7, 9, 9])
    for order in deals(6, people, 20, within=False, seed=0):
        assert sorted(order) == list(range(6))
        given = {person: set(people[order[people == person]]) for person in (4, 7, 9)}
        assert sorted(len(v) for v in given.values()) == [1, 1, 1]
    for order in deals(6, people, 20, within=True, seed=0):
        assert (people[order] == people).all()
    assert len({tuple(order) for order in deals(6, people, 50, within=False, seed=0)}) == 6


# --- principal angles ---


def test_angles_are_those_of_scipy_after_pca() -> None:
    # directions of clearly different strength, so that the reduction keeps some and drops others
    x, y = noise(60, 8) * 2.0 ** -np.arange(8), noise(60, 6, seed=1) * 1.5 ** -np.arange(6)
    y[:, :2] += 3 * x[:, :2]
    scores = [PCA(0.9, svd_solver="full").fit_transform(side) for side in (x, y)]
    expected = np.degrees(np.sort(subspace_angles(*scores)))
    assert principal_angles(x, y, 0.9) == pytest.approx(expected, abs=1e-8)
    assert len(expected) < 6


def test_angles_in_closed_form() -> None:
    """Columns (a, b) against (a, cos t b + sin t c): 0 and t degrees, also for a tiny t."""
    raw = noise(30, 3)
    a, b, c = np.linalg.qr(raw - raw.mean(axis=0))[0].T
    for degrees in (30.0, 89.0, 1e-6):
        t = np.radians(degrees)
        found = principal_angles(np.stack([a, b], 1), np.stack([a, np.cos(t) * b + np.sin(t) * c], 1), 1.0)
        assert found == pytest.approx([0, degrees], abs=1e-9)


def test_angles_of_more_features_than_items() -> None:
    score = noise(30, 4)
    wide = [score[:, :3] @ noise(3, 50, seed=1), score[:, 2:] @ noise(2, 60, seed=2)]
    expected = np.degrees(
        np.sort(subspace_angles(*(PCA(n).fit_transform(w) for n, w in zip((3, 2), wide, strict=True))))
    )
    assert principal_angles(wide[0], wide[1], 1.0) == pytest.approx(expected, abs=1e-5)
    assert expected[0] == pytest.approx(0, abs=1e-5)


def test_rotated_features_have_no_angle() -> None:
    x = noise(50, 5)
    assert principal_angles(x, x @ rotation(5)) == pytest.approx(np.zeros(5), abs=1e-9)


# --- the table ---


def spaces_of_people(people: int = 30, each: int = 4) -> tuple[Spaces, list[str]]:
    names = np.repeat(np.arange(people), each)
    who, seen = noise(people, 6)[names], noise(len(names), 4, seed=1)
    identity = who + 0.5 * noise(len(names), 6, seed=2)
    motion = np.hstack([who[:, :3], seen]) + 0.5 * noise(len(names), 7, seed=3)
    camera = seen + 0.5 * noise(len(names), 4, seed=4)
    parts = torch.from_numpy(camera.reshape(-1, 2, 2)).float()
    made = {"identity": identity, "motion": motion}
    spaces = Spaces({**{name: torch.from_numpy(v).float() for name, v in made.items()}, "camera": parts})
    return spaces, [f"p{n}" for n in names]


def test_rows_tell_what_was_planted() -> None:
    spaces, people = spaces_of_people()
    rows = {(r["first"], r["second"]): r for r in dependence(spaces, groups=people, seed=3)}
    assert list(rows) == [("identity", "motion"), ("identity", "camera"), ("motion", "camera")]
    for row in rows.values():
        assert (row["items"], row["identities"], row["note"]) == (120, 30, "")
        assert row["angles"] == sorted(row["angles"])
        assert len(row["angles_chance"]) == len(row["angles"])
    shared, apart, same_view = rows.values()
    # identity and motion share the person and nothing else, motion and camera the view and nothing of the person
    assert shared["p"] < 0.01
    assert shared["p_within"] > 0.02
    assert apart["p"] > 0.02
    assert apart["p_within"] > 0.02
    assert same_view["p"] < 0.01
    assert same_view["p_within"] < 0.01
    assert shared["cka"] > 2 * shared["cka_chance"]
    assert apart["cka"] < 2 * apart["cka_chance"]
    assert shared["angles"][0] < shared["angles_chance"][0] - 10


def test_rows_are_the_plain_measures() -> None:
    spaces, people = spaces_of_people()
    chosen, _ = drawn(spaces.rows, people, 1000, 0)
    x, y = (spaces[name].flatten(1).double().numpy()[chosen] for name in ("motion", "camera"))
    row = dependence(spaces, groups=people, permutations=20)[2]
    assert row["cka"] == pytest.approx(linear_cka(x, y))
    found = hsic(x, y, groups=np.repeat(np.arange(30), 4).tolist(), permutations=20)
    assert (row["hsic"], row["p"]) == (pytest.approx(found.value), found.p)
    assert row["angles"] == pytest.approx(principal_angles(x, y))


def test_drawn_takes_equally_many_items_of_each_known_person() -> None:
    groups = [None, *"aaabbbbccdeeee"]
    chosen, people = drawn(15, groups, 1000, 0)
    assert people is not None
    names = [groups[row] for row in chosen]
    # two of each of four people are 8 items, three of each of three are 9
    assert sorted(set(names)) == ["a", "b", "e"]
    assert np.bincount(people).tolist() == [3, 3, 3]
    fewer, people = drawn(15, groups, 6, 0)
    assert people is not None
    assert np.bincount(people).tolist() == [2, 2, 2]
    assert len(fewer) == 6
    assert len(set(chosen.tolist())) == 9


def test_without_groups_items_are_dealt_singly() -> None:
    rows = dependence(spaces_of_people()[0], permutations=20, items=50)
    assert {(r["items"], r["identities"], r["p_within"]) for r in rows} == {(50, None, None)}


def test_constant_and_crowded_spaces_have_a_note_instead_of_a_number() -> None:
    wide = torch.from_numpy(noise(40, 60)).float()
    spaces = Spaces({"identity": wide, "motion": wide + 1, "still": torch.ones(40, 3)})
    crowded, still, _ = dependence(spaces, permutations=5)
    assert crowded["angles"] == []
    assert "do not fit" in crowded["note"]
    assert crowded["cka"] == pytest.approx(1)
    assert still["cka"] is still["p"] is None
    assert "'still' is the same for all items" in still["note"]


def test_one_space_has_nothing_to_share() -> None:
    assert dependence(Spaces({"identity": torch.rand(9, 2)})) == []


def test_bad_input_is_named() -> None:
    x = noise(6, 2)
    with pytest.raises(ValueError, match=r"\(6, 2\) and \(5, 2\)"):
        linear_cka(x, x[:5])
    with pytest.raises(ValueError, match=r"y, shape .* is constant"):
        linear_cka(x, np.ones((6, 2)))
    with pytest.raises(ValueError, match="same number of rows"):
        hsic(x, x, groups=[0, 0, 0, 1, 1, 2])
    with pytest.raises(ValueError, match="nobody has two items"):
        hsic(x, x, groups=list(range(6)), within=True)
    with pytest.raises(ValueError, match="needs groups"):
        hsic(x, x, within=True)
    with pytest.raises(ValueError, match="kept share"):
        principal_angles(x, x, 0)
    with pytest.raises(ValueError, match="do not fit"):
        principal_angles(x[:4], noise(4, 2, seed=1), 1.0)
    spaces = Spaces({"identity": torch.rand(6, 2), "motion": torch.rand(6, 2)})
    with pytest.raises(ValueError, match="3 groups for 6 items"):
        dependence(spaces, groups=[1, 2, 3])
    with pytest.raises(ValueError, match="too few"):
        dependence(spaces, groups=["a", "a", "a", None, None, None])
