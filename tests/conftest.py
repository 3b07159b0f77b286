"""Shape annotations become checks while tests run."""

from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

# several test processes with several threads each wait for one another
torch.set_num_threads(1)

CHECKED = ["unbraid.batch", "unbraid.spaces", "unbraid.method", "unbraid.nn", "unbraid.losses", "unbraid.methods"]

install_import_hook([*CHECKED, "unbraid.data.augment", "tests.fifth"], "beartype.beartype")


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tracklet folder of coloured rectangles; see tests/people.py."""
    from tests.people import write_people

    return write_people(tmp_path_factory.mktemp("people"))
