"""How methods are found, and how two people are compared."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.fifth.model import Fifth
from unbraid.method import Method, available, cosine, find, module_of
from unbraid.methods.dsanet.model import DSANet
from unbraid.spaces import Spaces


def test_available_are_folders() -> None:
    import unbraid.methods

    home = Path(unbraid.methods.__path__[0])
    assert available() == tuple(sorted(p.parent.name for p in home.glob("*/__init__.py")))


def test_find_by_folder_and_by_path() -> None:
    assert find("dsanet") is DSANet
    assert module_of("dsanet") == "unbraid.methods.dsanet"
    assert find("unbraid.methods.dsanet") is DSANet
    assert find("tests.fifth") is Fifth
    assert module_of("tests.fifth") == "tests.fifth"


@pytest.mark.parametrize("name", ["dsanett", "dsa_net", "dsa"])
def test_misspelt_names_meet_their_neighbour(name: str) -> None:
    with pytest.raises(KeyError, match=f"no method '{name}'; did you mean 'dsanet'\\? The library has \\["):
        find(name)


@pytest.mark.parametrize("name", ["", "sixth", "tests.sixth", "nowhere.fifth", "json.decoder.inner"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(KeyError, match=f"no method '{name}' The library has .*'their_package.fifth'"):
        module_of(name)


@pytest.mark.parametrize("bodies", [0, 2])
def test_a_model_defines_one_method(bodies: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / f"outside{bodies}" / "sixth"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    lines = ["from unbraid.method import Method", "from tests.fifth.model import Fifth"]
    lines += [f"class M{i}(Method): pass" for i in range(bodies)]
    (package / "model.py").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=f"sixth.model must define one Method subclass; it defines {bodies}"):
        find(f"outside{bodies}.sixth")
    for name in [n for n in sys.modules if n.startswith(f"outside{bodies}")]:
        del sys.modules[name]


def test_a_method_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Method(None, classes={})  # type: ignore[abstract]


def test_missing_label() -> None:
    with pytest.raises(ValueError, match=r"DSANet learns from the label 'camera', which .* they have \['identity'\]"):
        DSANet(DSANet.Config(trunk="small-4", pretrained=False), classes={"identity": 3})


def spaces_of(value: Tensor) -> Spaces:
    return Spaces({"identity": value, "camera": torch.full_like(value, 7.0)})


def cosine_by_loop(query: Tensor, gallery: Tensor) -> Tensor:
    """Mean over parts of the cosine of each part; N D counts as one part."""
    rows = []
    for q in query:
        row = []
        for g in gallery:
            parts = zip(torch.atleast_2d(q).tolist(), torch.atleast_2d(g).tolist(), strict=True)
            values = []
            for a, b in parts:
                dot = sum(x * y for x, y in zip(a, b, strict=True))
                values.append(dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5)
            row.append(sum(values) / len(values))
        rows.append(row)
    return torch.tensor(rows)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (1, 5)])
def test_cosine_equals_loop(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    query, gallery = torch.randn(4, *shape, generator=generator), torch.randn(6, *shape, generator=generator)
    value = cosine(spaces_of(query), spaces_of(gallery))
    assert value.shape == (4, 6)
    torch.testing.assert_close(value, cosine_by_loop(query, gallery))


def test_cosine_by_hand() -> None:
    query = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    gallery = torch.tensor([[[3.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [1.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]]])
    expected = torch.tensor([[1.0, -0.5, 0.3]])
    torch.testing.assert_close(cosine(spaces_of(query), spaces_of(gallery)), expected)


def test_cosine_of_half_precision_is_computed_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 64, generator=generator).half()
    value = cosine(spaces_of(x), spaces_of(x))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.diag(), torch.ones(3), rtol=0, atol=1e-6)
