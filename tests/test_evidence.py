import pytest

from unbraid.data.protocols import catalogue
from unbraid.evidence import Claim, Evidence, find_evidence
from unbraid.method import available
from unbraid.recipe import available_recipes, find_recipe
from unbraid.world.benchmarks import KINDS


@pytest.mark.parametrize("method", [*available(), "tests.fifth"])
def test_evidence_asks_for_what_there_is(method: str) -> None:
    evidence = find_evidence(method)
    assert evidence is not None
    assert evidence.kind in KINDS
    assert set(evidence.protocols) <= set(catalogue())
    assert {*evidence.rows.values(), *(name for _, name in evidence.derived.values())} <= set(available_recipes(method))
    recipes = [find_recipe(f"{method}:{name}") for name in evidence.rows.values()]
    # no row is another one under a new name
    assert len({recipe.to_json() for recipe in recipes}) == len(recipes)
    assert all(claim.protocol or claim.label for claim in evidence.claims)
    assert {claim.label for claim in evidence.claims} <= {"", *evidence.labels}


def test_a_method_may_have_none() -> None:
    assert find_evidence("tests.retriever") is None
    with pytest.raises(KeyError, match="no method 'dsanett'"):
        find_evidence("dsanett")


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"headlines": ("whole",)}, "no row 'whole'; its rows are"),
        ({"claims": (Claim(says="", source="", better="full", than="none", label="camera"),)}, "no row 'none'"),
        (
            {"claims": (Claim(says="", source="", better="full", than="full", protocol="plain@1"),)},
            "no protocol 'plain@1'",
        ),
        ({"derived": {"fixed": ("none", "tiny")}}, "derives 'fixed' from a row that is not trained"),
        ({"packaged": "none"}, "packages 'none', a row that is not trained"),
        (
            {
                "claims": (
                    Claim(says="", source="", better="full", than="full", label="camera", among=("view", ("front",))),
                )
            },
            "some values of 'view'",
        ),
        ({"claims": (Claim(says="", source="", better="full", than="full", label="shoes"),)}, "no probe looks for"),
        ({"claims": (Claim(says="it", source="", better="full", than="full"),)}, "'it'; give it either"),
        (
            {
                "derived": {"fixed": ("full", "tiny")},
                "claims": (Claim(says="it", source="", better="fixed", than="full", label="camera"),),
            },
            "'it' of a derived row",
        ),
    ],
)
def test_evidence_that_contradicts_itself_is_refused(changed: dict[str, object], match: str) -> None:
    fields: dict[str, object] = {
        "kind": "clothes",
        "rows": {"full": "tiny"},
        "headlines": ("full",),
        "protocols": ("camera-change@1",),
        "labels": ("camera",),
        **changed,
    }
    with pytest.raises(ValueError, match=match):
        Evidence(**fields)  # type: ignore[arg-type]
