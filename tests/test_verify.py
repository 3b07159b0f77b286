"""Verification of embeddings: against a loop over all pairs, and what the text must say."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from tests.test_evaluate import GALLERY, QUERY, make
from unbraid.data.protocols import CAMERA_CHANGE, PLAIN
from unbraid.protocol import Protocol, Where, never, same
from unbraid.spaces import Embeddings, Spaces
from unbraid.verify import Verification, verify


def whole(query: Spaces, gallery: Spaces) -> torch.Tensor:
    """A similarity of small whole numbers: full of ties, and exact however the work is cut into blocks."""
    one, two = ((4 * side["identity"]).round().float() for side in (query, gallery))
    return one @ two.T


def gaussian_people(number: int) -> tuple[Embeddings, Embeddings]:
    """Two queries and three gallery items of each person: a centre and noise around it, cameras at random."""
    rng = np.random.default_rng(number)
    centres = rng.standard_normal((number, 16))
    sides = []
    for prefix, copies in (("q", 2), ("g", 3)):
        who = np.repeat(np.arange(number), copies)
        features = centres[who] + 0.8 * rng.standard_normal((len(who), 16))
        table = pd.DataFrame({"key": [f"{prefix}{i}" for i in range(len(who))], "identity": [f"p{i}" for i in who]})
        table["camera"] = rng.integers(6, size=len(who)).astype(str)
        sides.append(Embeddings(Spaces({"identity": torch.from_numpy(features).float()}), table, {}))
    return sides[0], sides[1]


MANY = make(150, 5, prefix="q", people=40), make(300, 6, prefix="g", people=40)


def loop(query: Embeddings, gallery: Embeddings, cells: str = "") -> dict[str, list[tuple[float, str, str]]]:
    """Scores of CAMERA_CHANGE with who is compared; a pair of unknown identity is never genuine."""
    scores = whole(query.spaces, gallery.spaces).numpy()
    found: dict[str, list[tuple[float, str, str]]] = {"genuine": [], "impostor": []}
    for i, one in enumerate(query.table.to_dict("records")):
        for j, two in enumerate(gallery.table.to_dict("records")):
            alike = isinstance(one["identity"], str) and one["identity"] == two["identity"]
            if (alike and one["camera"] == two["camera"]) or (cells and one[cells] == two[cells]):
                continue
            names = [str(x["identity"]) if isinstance(x["identity"], str) else x["key"] for x in (one, two)]
            found["genuine" if alike else "impostor"].append((float(scores[i, j]), names[0], names[1]))
    return found


@pytest.mark.parametrize("memory", [20_000, 200_000, 2**26])
def test_equals_a_loop_over_all_pairs(memory: int) -> None:
    query, gallery = MANY
    expected = loop(query, gallery)
    genuine, impostor = (np.array([pair[0] for pair in expected[kind]]) for kind in ("genuine", "impostor"))
    result = verify(query, gallery, CAMERA_CHANGE, fmrs=(0.2, 0.01), similarity=whole, memory=memory)
    assert (result.genuine, result.impostors) == (len(genuine), len(impostor))
    assert result.genuine_identities == len({pair[1] for pair in expected["genuine"]})
    assert result.identity_pairs == len({frozenset(pair[1:]) for pair in expected["impostor"]})
    assert result.unknown == sum(pair[1][0] != "p" or pair[2][0] != "p" for pair in expected["impostor"]) > 0
    assert result.same_identity == 0
    assert result.identities == query.table["identity"].nunique()
    for point in result.points:
        assert point.threshold is not None
        assert point.interval is not None
        assert point.fmr is not None
        assert point.fnmr is not None
        assert point.fmr == pytest.approx((impostor >= point.threshold).mean())
        assert point.fnmr == pytest.approx((genuine < point.threshold).mean())
        assert point.fmr <= point.wanted
        assert point.interval[0] < point.fnmr < point.interval[1]
    ordered = np.sort(impostor)[::-1]
    assert result.points[1].threshold == np.nextafter(np.float32(ordered[int(0.01 * len(ordered))]), np.float32(np.inf))
    assert result.eer_interval[0] < result.eer < result.eer_interval[1]
    for number, threshold in enumerate(result.det["threshold"]):
        assert result.det["false_matches"][number] == (impostor >= threshold).sum()
        assert result.det["misses"][number] == (genuine < threshold).sum()
    assert result.det[["fmr", "fnmr"]].iloc[[0, -1]].to_numpy().tolist() == [[1, 0], [0, 1]]
    spread = np.sqrt((genuine.var() + impostor.var()) / 2)
    assert result.d_prime == pytest.approx((genuine.mean() - impostor.mean()) / spread)


def gaussian(people: int, seed: int) -> Verification:
    """Everyone against everyone, once: scores of variance 1, those of one person 2 higher."""
    table = make(people, 0, prefix="q").table.assign(identity=[f"p{i}" for i in range(people)])
    query = Embeddings(Spaces({"identity": torch.arange(people)[:, None].float()}), table, {})
    drawn = np.random.default_rng(seed).standard_normal((people, people)) + 2 * np.eye(people)
    scores = torch.from_numpy(drawn).float()

    def similarity(one: Spaces, two: Spaces) -> torch.Tensor:
        return scores[one["identity"][:, 0].long()][:, two["identity"][:, 0].long()]

    everyone = Protocol("all@1", hit=same("identity"), skip=never())
    return verify(query, query, everyone, similarity=similarity, fmrs=(0.05,), seed=seed)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    truth = {"fnmr": stats.norm.cdf(stats.norm.isf(0.05) - 2), "eer": stats.norm.cdf(-1)}
    covered = {"fnmr": 0, "eer": 0}
    for seed in range(40):
        result = gaussian(100, seed)
        assert result.identity_pairs == 100 * 99 // 2
        found = {"fnmr": result.points[0].interval, "eer": result.eer_interval}
        for name, between in found.items():
            assert between is not None
            covered[name] += between[0] <= truth[name] <= between[1]
    # 38 of 40 are expected, fewer than 34 would happen to an honest interval once in a hundred times
    assert min(covered.values()) >= 34, covered


def test_intervals_narrow_with_people() -> None:
    few, many = (gaussian(people, 0).eer_interval for people in (100, 900))
    assert (few[1] - few[0]) / (many[1] - many[0]) == pytest.approx(3, rel=0.25)


def test_what_the_pairs_cannot_support_is_not_reported() -> None:
    result = verify(*MANY, CAMERA_CHANGE, fmrs=(0.01, 1e-4))
    refused = result.points[1]
    assert (refused.fnmr, refused.threshold, refused.interval) == (None, None, None)
    assert "cannot support a rate of 0.01 %" in refused.reason
    text = str(result)
    assert "FNMR at FMR 0.01 %   not reported: " in text
    for part in ("camera-change@1", "150 queries", f"{result.impostors} impostor pairs", "95 % interval", "EER"):
        assert part in text
    found = json.loads(result.to_json())
    assert found == result.as_dict()
    assert found["points"][1]["fnmr"] is None
    assert found["origin"] == {"query weights": "w5", "gallery weights": "w6"}


def test_no_error_has_the_bound_of_the_rule_of_3() -> None:
    table = make(60, 0, prefix="q").table.assign(identity=[f"p{i // 2}" for i in range(60)])
    features = torch.eye(30).repeat_interleave(2, dim=0)
    perfect = Embeddings(Spaces({"identity": features}), table, {"synthetic": "true"})
    result = verify(perfect, perfect, PLAIN, fmrs=(0.1,))
    assert result.points[0].fnmr == 0
    assert result.points[0].interval == (0, 0.1)
    assert (result.eer, result.eer_interval) == (0, (0, 0.1))
    assert str(result).startswith("SYNTHETIC")


def test_cells_are_pooled_and_choices_apply() -> None:
    query, gallery = (replace(side, table=side.table.copy()) for side in MANY)
    for side, seed in ((query, 1), (gallery, 2)):
        side.table["view"] = np.random.default_rng(seed).choice(["front", "left"], len(side))
        side.table["condition"] = np.random.default_rng(seed + 5).choice(["normal", "bag"], len(side))
    bag, normal = Where({"condition": ("bag",)}), Where({"condition": ("normal",)})
    protocol = replace(CAMERA_CHANGE, name="cells", query=bag, gallery=normal, cells="view")
    some = query.take(np.flatnonzero(query.table["condition"] == "bag").tolist())
    few = gallery.take(np.flatnonzero(gallery.table["condition"] == "normal").tolist())
    expected = loop(some, few, cells="view")
    result = verify(query, gallery, protocol, fmrs=(0.1,))
    assert (result.genuine, result.impostors) == (len(expected["genuine"]), len(expected["impostor"]))
    assert (result.queries, result.gallery) == (len(some), len(few))
    assert "same('view')" in result.skip


def test_pairs_of_one_identity_among_impostors_are_counted() -> None:
    careless = Protocol("careless@1", hit=same("identity") & ~same("camera"), skip=never())
    result = verify(QUERY, GALLERY, careless, fmrs=(0.1,))
    alike = sum(
        one == two and a == b
        for one, a in QUERY.table[["identity", "camera"]].to_numpy()
        for two, b in GALLERY.table[["identity", "camera"]].to_numpy()
        if one is not None
    )
    assert result.same_identity == alike > 0
    assert f"{alike} impostor pairs show one identity" in str(result)


def test_two_pairs_are_enough_for_rates_but_not_for_intervals() -> None:
    table = pd.DataFrame({"key": ["a", "b"], "identity": ["a", "b"]})
    gallery = Embeddings(Spaces({"identity": torch.eye(2)}), table, {})
    result = verify(gallery.take([0]), gallery, Protocol("all@1", hit=same("identity"), skip=never()))
    assert (result.genuine, result.impostors, result.identity_pairs, result.eer) == (1, 1, 1, 0)
    assert result.eer_interval == (0, 1)
    assert np.isnan(result.d_prime)
    assert result.as_dict()["d_prime"] is None
    assert all(point.reason for point in result.points)


def test_the_seed_decides_the_interval() -> None:
    one, two, three = (verify(QUERY, GALLERY, PLAIN, fmrs=(0.1,), seed=seed).points[0] for seed in (1, 1, 2))
    assert one == two
    assert one.fnmr == three.fnmr
    assert one.interval != three.interval


def test_wrong_input_is_named() -> None:
    with pytest.raises(KeyError, match="the query table has no label 'identity'"):
        verify(Embeddings(QUERY.spaces, QUERY.table.drop(columns="identity"), {}), GALLERY, PLAIN)
    with pytest.raises(ValueError, match=r"lies between 0 and 1; got 1\.5"):
        verify(QUERY, GALLERY, PLAIN, fmrs=(1.5,))
    with pytest.raises(ValueError, match="0 genuine and"):
        verify(Embeddings(QUERY.spaces, QUERY.table.assign(identity="nobody"), {}), GALLERY, PLAIN)
    one, other = (Embeddings(s.spaces, s.table.assign(identity="one"), {}) for s in (QUERY, GALLERY))
    with pytest.raises(ValueError, match="and 0 impostor"):
        verify(one, other, PLAIN)
    with pytest.raises(ValueError, match="is nan; scores must be finite"):
        verify(QUERY, GALLERY, PLAIN, similarity=lambda a, b: torch.full((a.rows, b.rows), torch.nan))
    with pytest.raises(ValueError, match="0 queries"):
        verify(QUERY.take([]), GALLERY, PLAIN)
