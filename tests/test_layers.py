"""Who may import whom: data flows one way through the house."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "unbraid"

# what each part may import of ours; a part not listed here may import everything
ALLOWED: dict[str, set[str]] = {
    "tracklet": set(),
    "files": set(),
    "spaces": {"files"},
    "batch": set(),
    "protocol": set(),
    "progress": set(),
    "method": {"batch", "spaces", "methods"},
    "recipe": {"method"},
    "losses": set(),
    "nn": {"batch", "spaces"},
    "text": {"files", "tracklet", "batch", "progress", "data", "text", "nn", "recipe"},
    "ranking": {"batch", "counting", "spaces"},
    "verification": {"batch", "spaces"},
    "data": {"files", "tracklet", "batch", "protocol", "recipe", "spaces", "progress", "data"},
    "world": {"files", "tracklet", "protocol", "progress", "data", "world", "text"},
    "methods": {"batch", "spaces", "method", "nn", "losses", "recipe", "methods"},
    "evidence": {"data", "method", "spaces"},
    "checkpoint": {"files", "method", "recipe"},
    "extract": {"checkpoint", "batch", "spaces", "method", "tracklet", "recipe", "progress", "data"},
    "intervals": {"ranking"},
    "result": {"figures", "intervals", "ranking"},
    "figures": {"ranking", "searches", "trials", "verification"},
    "searches": {"trials", "verification"},
    "counting": set(),
    "evaluate": {
        *("figures", "intervals", "method", "progress", "protocol", "ranking", "result", "search", "spaces", "trials"),
    },
    "probing": {"intervals", "progress", "protocol", "spaces", "trials"},
    "leaks": {"probing"},
    "bias": {"intervals", "protocol", "result", "trials"},
    "leakage": {"bias", "leaks", "probing", "progress", "protocol", "spaces"},
    "counterfactual": {"method", "spaces"},
    "search": {"spaces", "method", "ranking", "progress"},
    "trials": {"verification"},
    "pairs": {"evaluate", "protocol", "ranking", "search", "spaces", "trials"},
    "verify": {
        "intervals",
        "result",
        "evaluate",
        "method",
        "pairs",
        "protocol",
        "search",
        "spaces",
        "trials",
        "verification",
    },
    "openset": {
        "searches",
        *("evaluate", "method", "pairs", "protocol", "ranking", "search", "spaces", "trials", "verification", "verify"),
        *("intervals", "result"),
    },
    "calibration": set(),
    "advise": {
        *("calibration", "evaluate", "method", "pairs", "protocol", "search", "spaces", "trials", "verification"),
        *("verify", "intervals", "result"),
    },
    "draws": {"data", "evaluate", "method", "protocol", "result", "search", "spaces"},
    "peers": {
        *("data", "evaluate", "intervals", "method", "peers", "protocol", "ranking", "search", "spaces"),
        *("verification", "verify"),
    },
    "rerank": {"spaces", "method", "search", "ranking", "progress"},
    "detect": {"tracklet", "data", "progress"},
    "track": {"detect", "tracklet", "data", "progress"},
    "audit": {"spaces", "protocol", "evaluate", "tracklet", "data", "world"},
    "viz": {"spaces", "tracklet"},
}


def part_of(file: Path) -> str:
    """A method's evidence.py says what to do with it and is no part of it."""
    first, *rest = file.relative_to(ROOT).parts
    return "evidence" if first == "methods" and rest[-1] == "evidence.py" else first.removesuffix(".py")


def imports_of(file: Path) -> set[str]:
    """Full names of our modules that a file imports, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "unbraid"}


FILES = sorted(f for f in ROOT.rglob("*.py") if part_of(f) in ALLOWED)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_follow_the_plan(file: Path) -> None:
    part = part_of(file)
    allowed = ALLOWED[part] | {part}
    foreign = {name for name in imports_of(file) if [*name.split("."), ""][1] not in allowed}
    assert not foreign, f"{file.relative_to(ROOT)} imports {sorted(foreign)}; it may import {sorted(allowed)}"


def test_methods_do_not_know_each_other() -> None:
    for file in (ROOT / "methods").rglob("*.py"):
        parts = file.relative_to(ROOT / "methods").parts
        if len(parts) > 1:
            others = {n for n in imports_of(file) if n.startswith("unbraid.methods.") and n.split(".")[2] != parts[0]}
            assert not others, f"{file} imports {others}"


def test_no_file_is_over_the_ceiling() -> None:
    long = {f: n for f in ROOT.rglob("*.py") if (n := len(f.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long
