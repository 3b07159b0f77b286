"""Probes on planted features whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.preprocessing import StandardScaler

from unbraid.probing import fitting
from unbraid.probing.fitting import KINDS, Kind
from unbraid.probing.probes import LEAST_PEOPLE, Question, balanced, probe

PEOPLE, TAKES = 60, 20
WHO = pd.Series(np.char.add("p", np.repeat(np.arange(PEOPLE), TAKES).astype(str)))


def names(values: np.ndarray) -> pd.Series:
    return pd.Series(np.char.add("v", values.astype(str)))


def asked(features: np.ndarray, values: pd.Series, *kinds: Kind, **more: object) -> pd.DataFrame:
    question = Question("x", values, WHO, **more)  # type: ignore[arg-type]
    return probe(features, [question], kinds=kinds or ("linear",), seed=1).set_index("probe")


def test_one_planted_dimension_has_the_accuracy_and_the_information_of_its_distance() -> None:
    """Two classes two units apart in one of eight dimensions: accuracy Phi(1), information by quadrature."""
    rng = np.random.default_rng(0)
    values = rng.integers(2, size=len(WHO))
    features = rng.standard_normal((len(WHO), 8))
    features[:, 0] += 2.0 * values - 1
    rows = asked(features, names(values), *KINDS)
    grid = np.linspace(-8, 9, 20001)
    lost = float(np.trapezoid(norm.pdf(grid, loc=1) * np.log2(1 + np.exp(-2 * grid)), grid))
    for kind, slack in (("linear", 0.025), ("mlp", 0.04), ("knn", 0.06)):
        row = rows.loc[kind]
        assert row["score"] == pytest.approx(norm.cdf(1), abs=slack)
        assert row["accuracy"] == pytest.approx(norm.cdf(1), abs=slack)
        assert row["bits"] == pytest.approx(1 - lost, abs=2 * slack)
        assert row["low"] < row["score"] < row["high"]
        assert row["shuffled"] == pytest.approx(0.5, abs=0.06)
    assert rows.loc["linear", "low"] < norm.cdf(1) < rows.loc["linear", "high"]
    assert (rows["chance"] == 0.5).all()
    assert (rows["identities"] == PEOPLE).all()
    assert (rows["test"] == len(WHO)).all()
    assert (rows["train"] == len(WHO) / 2).all()


def test_a_planted_measure_has_the_variance_that_it_explains() -> None:
    """A quarter of the variance: R2 1/4, and 1/2 log2(4/3) bits."""
    rng = np.random.default_rng(1)
    features = rng.standard_normal((len(WHO), 6))
    measure = pd.Series(features[:, 2] + np.sqrt(3) * rng.standard_normal(len(WHO)) + 100)
    row = asked(features, measure, measured=True).loc["linear"]
    assert row["metric"] == "r2"
    assert row["score"] == pytest.approx(0.25, abs=0.04)
    assert row["low"] < 0.25 < row["high"]
    assert row["bits"] == pytest.approx(0.5 * np.log2(4 / 3), abs=0.04)
    assert (row["chance"], row["classes"]) == (0, 0)
    assert abs(row["shuffled"]) < 0.02


def test_exclusive_or_is_at_chance_for_a_line_and_read_by_a_network() -> None:
    rng = np.random.default_rng(2)
    features = rng.standard_normal((len(WHO), 6))
    rows = asked(features, names((features[:, 0] > 0) ^ (features[:, 1] > 0)), *KINDS)
    assert rows.loc["linear", "score"] == pytest.approx(0.5, abs=0.04)
    assert rows.loc["linear", "bits"] == pytest.approx(0, abs=0.01)
    assert rows.loc["mlp", "score"] > 0.93
    assert rows.loc["knn", "score"] > 0.8


def test_constant_features_say_nothing() -> None:
    values = np.random.default_rng(3).choice(3, p=[0.6, 0.3, 0.1], size=len(WHO))
    rows = asked(np.ones((len(WHO), 4)), names(values), *KINDS)
    assert rows.loc[["linear", "mlp"], "bits"].abs().max() < 0.005
    assert rows["score"].tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    assert (rows["chance"] == 1 / 3).all()
    assert rows["commonest"].tolist() == pytest.approx([0.6] * 3, abs=0.03)


def test_knowing_people_is_of_no_use() -> None:
    """A space that holds nothing but who it is, and a label that everyone keeps."""
    rng = np.random.default_rng(5)
    code, label = rng.standard_normal((PEOPLE, 80)), rng.permutation(np.arange(PEOPLE) % 2)
    features = np.repeat(code, TAKES, axis=0) + 0.1 * rng.standard_normal((len(WHO), 80))
    rows = asked(features, names(np.repeat(label, TAKES)), "linear", "knn", units=WHO)
    assert (rows["low"] < 0.5).all()
    shown = LogisticRegression(max_iter=500).fit(features[::2], np.repeat(label, TAKES)[::2])
    assert shown.score(features[1::2], np.repeat(label, TAKES)[1::2]) > 0.95, (
        "with people on both sides it is all there"
    )


def test_everything_equals_a_loop_with_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves of people, classes of unlike share, missing values: scores of both halves together."""
    monkeypatch.setattr(fitting, "STRENGTHS", (0.1,))
    rng = np.random.default_rng(5)
    values = rng.choice(3, p=[0.7, 0.2, 0.1], size=len(WHO))
    features = (rng.standard_normal((3, 5))[values] + rng.standard_normal((len(WHO), 5))).astype(np.float32)
    label = names(values)
    label[:30] = None
    row = probe(features, [Question("x", label, WHO)], kinds=["linear"], seed=7).iloc[0]
    people = pd.factorize(WHO)[0]
    first = np.isin(people, np.random.default_rng([7, 2]).permutation(PEOPLE)[: PEOPLE // 2])
    true, relative, likeliest, gain = [], [], [], []
    for train in (~first, first):
        scaler = StandardScaler().fit(features[train].astype(np.float64))
        known = train & (np.arange(len(WHO)) >= 30)
        test = ~train & (np.arange(len(WHO)) >= 30)
        oracle = LogisticRegression(C=0.1, max_iter=2000).fit(scaler.transform(features[known]), values[known])
        said = oracle.predict_log_proba(scaler.transform(features[test]))
        prior = np.log(np.bincount(values[known]) / known.sum())
        true.append(values[test])
        relative.append((said - prior).argmax(axis=1))
        likeliest.append(said.argmax(axis=1))
        gain.append((said - prior)[np.arange(test.sum()), values[test]] / np.log(2))
    together = np.concatenate(true)
    assert row["score"] == pytest.approx(balanced_accuracy_score(together, np.concatenate(relative)), abs=2e-3)
    assert row["accuracy"] == pytest.approx((together == np.concatenate(likeliest)).mean(), abs=2e-3)
    assert row["bits"] == pytest.approx(np.concatenate(gain).mean(), abs=1e-3)
    assert (row["left_out"], row["test"]) == (30, len(WHO) - 30)


def test_r2_equals_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "STRENGTHS", (0.01,))
    rng = np.random.default_rng(6)
    features = rng.standard_normal((len(WHO), 4)).astype(np.float32)
    measure = 5 + features[:, 0] + rng.standard_normal(len(WHO))
    row = probe(features, [Question("x", pd.Series(measure), WHO, measured=True)], kinds=["linear"], seed=7).iloc[0]
    first = np.isin(pd.factorize(WHO)[0], np.random.default_rng([7, 2]).permutation(PEOPLE)[: PEOPLE // 2])
    expected = np.empty(len(WHO))
    for train in (~first, first):
        scaler = StandardScaler().fit(features[train].astype(np.float64))
        oracle = Ridge(alpha=100).fit(scaler.transform(features[train]), measure[train])
        expected[~train] = oracle.predict(scaler.transform(features[~train]))
    assert row["score"] == pytest.approx(r2_score(measure, expected), abs=1e-4)


def test_balanced_accuracy_by_hand_and_by_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    true, said, people = rng.integers(4, size=500), rng.integers(4, size=500), rng.integers(40, size=500)
    score, low, high = balanced(true == said, true, people, seed=0)
    assert score == pytest.approx(balanced_accuracy_score(true, said))
    assert low < score < high
    # one person with two of class 0, one right; three people with one each of class 1, all right
    right, classes = np.array([True, False, True, True, True]), np.array([0, 0, 1, 1, 1])
    assert balanced(right, classes, np.array([0, 0, 1, 2, 3]), seed=0)[0] == 0.75
    # no error: the rule of 3
    assert balanced(right | True, classes, np.array([0, 0, 1, 2, 3]), seed=0) == (1.0, 1 - 3 / 4, 1.0)
    assert balanced(right | True, classes, np.array([0, 0, 1, 2, 3]), seed=0, halves=2) == (1.0, 0.0, 1.0)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """People differ: each has a chance of their own to be read, 1/2 on average."""
    covered = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        people, classes = np.repeat(np.arange(50), 10), np.tile(np.arange(2), 250)
        right = rng.random(500) < np.repeat(rng.beta(2, 2, 50), 10)
        _, low, high = balanced(right, classes, people, seed=seed)
        covered += low <= 0.5 <= high
    assert 0.88 <= covered / 120 <= 0.99


def test_nothing_is_found_in_nothing_more_often_than_the_interval_says() -> None:
    """Labels that people keep and features that know people, where both halves are wrong together: 80 tries."""
    rng = np.random.default_rng(11)
    above = []
    for seed in range(4):
        features = np.repeat(rng.standard_normal((PEOPLE, 6)), 4, axis=0) + 0.1 * rng.standard_normal((4 * PEOPLE, 6))
        who = pd.Series(np.repeat(np.arange(PEOPLE), 4).astype(str))
        values = [names(np.repeat(rng.permutation(PEOPLE) % 2, 4)) for _ in range(20)]
        questions = [Question(str(n), label, who, units=who) for n, label in enumerate(values)]
        rows = probe(features, questions, kinds=["linear"], seed=seed)
        above += (rows["low"] > 0.5).tolist()
    # 2 expected at most; more than 5 would be beyond 98 % of such luck
    assert sum(above) <= 5


def test_too_few_people_get_a_reason_and_no_number() -> None:
    features = np.random.default_rng(8).standard_normal((len(WHO), 3))
    values = names(np.arange(len(WHO)) % 2)
    few = values.where(pd.factorize(WHO)[0] < LEAST_PEOPLE - 1)
    rows = asked(features, few)
    assert rows["score"].isna().all()
    assert (rows["note"] == f"19 people can be tested, and a claim needs {LEAST_PEOPLE}").all()
    assert (rows["test"] == 0).all()
    enough = values.where(pd.factorize(WHO)[0] < LEAST_PEOPLE)
    assert asked(features, enough)["score"].notna().all()


def test_classes_of_few_people_are_left_out() -> None:
    people = pd.factorize(WHO)[0]
    values = np.where(people < 4, 2, np.arange(len(WHO)) % 2)
    row = asked(np.zeros((len(WHO), 2)), names(values)).loc["linear"]
    assert (row["classes"], row["left_out"]) == (2, 4 * TAKES)
    own = asked(np.zeros((len(WHO), 2)), WHO).loc["linear"]
    assert own["note"] == "fewer than 2 values of 'x' are each carried by 5 people or more"
    same = asked(np.zeros((len(WHO), 2)), pd.Series(np.ones(len(WHO))), measured=True).loc["linear"]
    assert same["note"] == "'x' is the same for everyone"
    many = names(np.arange(len(WHO)) % 220)
    note = asked(np.zeros((len(WHO), 2)), many).loc["linear", "note"]
    assert note == "'x' has 220 values; a probe is given 200 at most"


def test_a_tracklet_split_reads_who_it_is() -> None:
    """Half of everyone's items against the other half, both ways; items on neither side take no part."""
    rng = np.random.default_rng(9)
    features = np.repeat(rng.standard_normal((PEOPLE, 12)), TAKES, axis=0) + 0.7 * rng.standard_normal((len(WHO), 12))
    halves = np.tile(np.arange(TAKES) % 2, PEOPLE)
    halves[::20] = -1
    question = Question("identity", WHO, WHO, halves=halves, note="as said")
    rows = probe(features, [question], kinds=["linear", "knn"], seed=0).set_index("probe")
    assert (rows["score"] > 0.6).all()
    assert (rows["split"] == "tracklet").all()
    assert (rows["left_out"] == len(WHO) // 20).all()
    assert (rows["note"] == "as said").all()
    assert (rows["shuffled"] < 0.06).all()


def test_questions_are_answered_together_as_apart() -> None:
    rng = np.random.default_rng(10)
    values = rng.integers(3, size=len(WHO))
    features = rng.standard_normal((3, 8))[values] + rng.standard_normal((len(WHO), 8))
    one = Question("one", names(values), WHO)
    two = Question("two", names(rng.integers(2, size=len(WHO))), WHO)
    both = probe(features, [two, one], kinds=["linear", "knn"], seed=3)
    assert both["label"].tolist() == ["two", "two", "one", "one"]
    assert both["probe"].tolist() == ["linear", "knn"] * 2
    alone = probe(features, [one], kinds=["linear", "knn"], seed=3)
    assert both[2:]["score"].tolist() == pytest.approx(alone["score"].tolist(), abs=1e-3)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"label 'x' has 5 values for 1200 people and 1200 rows"):
        probe(np.zeros((len(WHO), 2)), [Question("x", WHO[:5], WHO)])
    with pytest.raises(ValueError, match="must be N D and finite"):
        probe(np.full((len(WHO), 2), np.nan), [Question("x", WHO, WHO)])
