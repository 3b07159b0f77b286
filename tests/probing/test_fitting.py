"""Probes fitted many at a time give what scikit-learn gives one by one."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from unbraid.probing import fitting
from unbraid.probing.fitting import KINDS, Kind, fit
from unbraid.probing.targets import Rows, Target, losses, shares, standard


def made(items: int, width: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Rows]:
    """Features that know a class somewhat, in correlated directions of very different lengths."""
    rng = np.random.default_rng(seed)
    values = rng.integers(classes, size=items)
    noise = rng.standard_normal((items, width)) @ rng.standard_normal((width, width)) * 0.2
    features = (0.5 * rng.standard_normal((classes, width))[values] + noise + 3).astype(np.float32)
    order = rng.permutation(items)
    rows = Rows(order[: items // 3], order[items // 3 : items // 2], np.sort(order[items // 2 :]))
    return features, values, rows


@pytest.mark.parametrize(("items", "width", "classes"), [(500, 30, 4), (160, 300, 3)])
@pytest.mark.parametrize("strength", [1e-3, 1e-1])
def test_linear_equals_scikit_learn(
    monkeypatch: pytest.MonkeyPatch, items: int, width: int, classes: int, strength: float
) -> None:
    """In company of another target with another number of classes, and of one with measures."""
    monkeypatch.setattr(fitting, "STRENGTHS", (strength,))
    features, values, rows = made(items, width, classes)
    measure = 2.0 * features[:, 0] + np.random.default_rng(1).standard_normal(items) + 10
    others = [Target(values % 2, 2), Target(measure, 0)]
    said = fit("linear", features, [Target(values, classes), *others], rows, seed=0)
    scaler = StandardScaler().fit(features[rows.train].astype(np.float64))
    known, asked = scaler.transform(features[rows.train]), scaler.transform(features[rows.ask])
    oracle = LogisticRegression(C=strength, max_iter=2000, tol=1e-8).fit(known, values[rows.train])
    assert np.exp(said[0]) == pytest.approx(oracle.predict_proba(asked), abs=2e-3)
    # two softmax scores of opposite sign share the penalty of the one score of scikit-learn's binary model
    binary = LogisticRegression(C=2 * strength, max_iter=2000, tol=1e-8).fit(known, values[rows.train] % 2)
    assert np.exp(said[1]) == pytest.approx(binary.predict_proba(asked), abs=2e-3)
    ridge = Ridge(alpha=1 / strength).fit(known, measure[rows.train])
    assert said[2] == pytest.approx(ridge.predict(asked), abs=1e-3)


def test_the_penalty_that_does_best_on_held_out_items_is_chosen() -> None:
    features, values, rows = made(300, 60, 3)
    features[:, 1:] = np.random.default_rng(1).standard_normal((300, 59))
    features[:, 0] = values + features[:, 1] + np.random.default_rng(2).standard_normal(300)
    scaler = StandardScaler().fit(features[rows.train].astype(np.float64))
    x = scaler.transform(features)
    tried = {}
    for strength in fitting.STRENGTHS:
        probe = LogisticRegression(C=strength, max_iter=2000).fit(x[rows.learn], values[rows.learn])
        tried[strength] = losses(probe.predict_log_proba(x[rows.check]), Target(values, 3), rows.check)
    best = min(tried, key=lambda strength: tried[strength])
    assert best not in (fitting.STRENGTHS[0], fitting.STRENGTHS[-1]), "the test is of a choice"
    oracle = LogisticRegression(C=best, max_iter=2000).fit(x[rows.train], values[rows.train])
    said = fit("linear", features, [Target(values, 3)], rows, seed=0)[0]
    assert np.exp(said) == pytest.approx(oracle.predict_proba(x[rows.ask]), abs=2e-3)


def test_neighbours_equal_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "NEIGHBOURS", (5,))
    monkeypatch.setattr(fitting, "PRIORS", (1e-9,))
    features, values, rows = made(400, 10, 4)
    measure = features[:, 0].astype(np.float64)
    said = fit("knn", features, [Target(values, 4), Target(measure, 0)], rows, seed=0)
    settings = {"metric": "cosine", "weights": lambda far: 1 / np.arange(1, far.shape[1] + 1) * np.ones_like(far)}
    oracle = KNeighborsClassifier(5, **settings).fit(features[rows.train], values[rows.train])
    assert np.exp(said[0]) == pytest.approx(oracle.predict_proba(features[rows.ask]), abs=1e-6)
    numbers = KNeighborsRegressor(5, **settings).fit(features[rows.train], measure[rows.train])
    assert said[1] == pytest.approx(numbers.predict(features[rows.ask]), abs=1e-6)


def test_neighbours_and_what_is_usual_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three neighbours the second has no value: votes 1 and 1/3, and one vote of all."""
    monkeypatch.setattr(fitting, "NEIGHBOURS", (3,))
    monkeypatch.setattr(fitting, "PRIORS", (1.0,))
    features = np.array([[1, 0.1], [1, 0.2], [1, 0.3], [0, 1], [1, 0]], np.float32)
    rows = Rows(np.array([0, 1, 2]), np.array([3]), np.array([4]))
    values = np.array([0, -1, 1, 1, 0])
    # one training item of three has class 0
    wanted = np.array([1 + 1 / 3, 1 / 3 + 2 / 3]) / (1 + 1 / 3 + 1)
    assert np.exp(fit("knn", features, [Target(values, 2)], rows, seed=0)[0]) == pytest.approx(wanted[None])


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_say_nothing_give_what_is_usual(kind: Kind) -> None:
    _, values, rows = made(120, 4, 3)
    values[values == 2] = 1
    features = np.full((120, 4), 0.1, np.float32)
    target, absent = Target(values, 2), Target(values, 3)
    one, two = fit(kind, features, [target, absent], rows, seed=0)
    if kind != "knn":  # items that are all equally near are taken in their order
        assert np.exp(one) == pytest.approx(np.tile(shares(target, rows.train), (len(rows.ask), 1)), abs=5e-3)
    assert (two[:, 2] == -np.inf).all()
    assert np.exp(two).sum(axis=1) == pytest.approx(1)


def test_networks_read_what_no_line_separates() -> None:
    """Exclusive or of two signs: linear at chance, a hidden layer is not."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((1000, 3)).astype(np.float32)
    values = ((features[:, 0] > 0) ^ (features[:, 1] > 0)).astype(np.int64)
    measure = np.abs(features[:, 0]).astype(np.float64)
    values[rng.permutation(1000)[:50]] = -1
    rows = Rows(np.arange(400), np.arange(400, 600), np.arange(600, 1000))
    known = values[rows.ask] >= 0
    right = {}
    for kind in ("linear", "mlp"):
        said, numbers = fit(kind, features, [Target(values, 2), Target(measure, 0)], rows, seed=0)
        right[kind] = (said.argmax(axis=1) == values[rows.ask])[known].mean()
        unexplained = np.square(numbers - measure[rows.ask]).mean() / measure[rows.ask].var()
        assert unexplained < 0.15 if kind == "mlp" else unexplained > 0.95
    assert right["linear"] < 0.56
    assert right["mlp"] > 0.9


def test_the_same_seed_gives_the_same_network() -> None:
    features, values, rows = made(120, 5, 2)
    one, two, three = (fit("mlp", features, [Target(values, 2)], rows, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)


def test_constant_features_are_zero_after_standardising() -> None:
    features = np.array([[1e4, 1, 0], [1e4, 3, 0], [1e4, 5, 7]], np.float32)
    assert standard(features, np.array([0, 1])) == pytest.approx(np.array([[0, -1, 0], [0, 1, 0], [0, 3, 0]]))
