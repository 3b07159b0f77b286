"""Where the large sample files lie that are not part of the repository."""

import os
from pathlib import Path

import pytest


def shared(relative: str) -> Path:
    """The sample file under UNBRAID_SHARED, by default the folder `shared` beside the repository.

    Skips the calling test, saying where it looked, when the file is absent.
    """
    beside = Path(__file__).resolve().parents[2] / "shared"
    path = Path(os.environ.get("UNBRAID_SHARED") or beside) / relative
    if not path.exists():
        pytest.skip(f"sample {relative} is absent: looked for {path}; set UNBRAID_SHARED to the folder that holds it")
    return path
