"""Recognising people works, and gives the same, where neither the text part nor its packages can be imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from unbraid.cli import main
from unbraid.spaces import Embeddings

# Packages of the text part are not to be found, as on a machine without them; the text part itself must not even be
# asked for.
BLOCKED = """
import sys
from importlib.machinery import PathFinder

asked = []

class WithoutText(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] in ("transformers", "open_clip", "tokenizers", "sentencepiece"):
            return None
        if (name + ".").startswith("unbraid.text."):
            asked.append(name)
            raise ImportError(f"{name} is blocked")
        return super().find_spec(name, path, target)

# nobody may have started with them
text = ("unbraid.text", "transformers", "open_clip", "tokenizers")
assert not any((name + ".").startswith(tuple(t + "." for t in text)) for name in sys.modules)
sys.meta_path[:] = [WithoutText if finder is PathFinder else finder for finder in sys.meta_path]
for name in ("unbraid.text.bank", "transformers", "open_clip"):
    try:
        __import__(name)
    except ImportError:
        continue
    sys.exit(f"{name} can be imported, so this proves nothing")
asked.clear()
"""
RUN = """
from unbraid.cli import main

run, root, out = sys.argv[1:]
found = main(["extract", run, "--root", root, "--out", out, "--device", "cpu"])
found = found or main(["search", "--query", out + "/query", "--gallery", out + "/gallery", "--k", "2"])
sys.exit(f"asked for {asked}" if asked else found)
"""


@pytest.fixture(scope="module")
def trained(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("inference")
    arguments = ["train", "dsanet:tiny", "--root", str(people), "--out", str(home / "run"), "--epochs", "1"]
    assert main([*arguments, "--device", "cpu"]) == 0
    return home / "run"


def test_extract_and_search_need_no_text(people: Path, trained: Path, tmp_path: Path) -> None:
    without = tmp_path / "without"
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + RUN, str(trained), str(people), str(without)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "train" not in done.stdout
    assert done.stdout.count("test") > 6, "the search names whom it found"
    place = tmp_path / "with"
    assert main(["extract", str(trained), "--root", str(people), "--out", str(place), "--device", "cpu"]) == 0
    for side in ("query", "gallery"):
        one, other = Embeddings.load(place / side), Embeddings.load(without / side)
        assert list(one.spaces) == list(other.spaces)
        assert all(torch.equal(one.spaces[name], other.spaces[name]) for name in one.spaces)
        assert one.origin == other.origin


def test_the_block_would_be_noticed() -> None:
    ask = "import unbraid.text.captions"
    done = subprocess.run(
        [sys.executable, "-c", f"{BLOCKED}\n{ask}"], capture_output=True, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode != 0
    assert b"unbraid.text is blocked" in done.stderr
