"""What the commands that score embeddings share: both sides and the rules by name, and where a picture goes."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbraid.protocol import Protocol
    from unbraid.spaces import Embeddings
    from unbraid.viz import Picture


def load(embeddings: Path, protocol: str) -> "tuple[Embeddings, Embeddings, Protocol]":
    """Query and gallery of a folder made by `unbraid extract`, and the protocol of that name.

    Raises FileNotFoundError when the folder lacks a side, KeyError for an unknown protocol.
    """
    from unbraid.data.protocols import named
    from unbraid.spaces import Embeddings

    rules = named(protocol)
    for side in ("query", "gallery"):
        if not (embeddings / side).is_dir():
            raise FileNotFoundError(
                f"{embeddings} has no folder {side!r}, so it has no spaces.safetensors of that side; "
                f"name the folder that `unbraid extract --out` wrote"
            )
    return Embeddings.load(embeddings / "query"), Embeddings.load(embeddings / "gallery"), rules


def check_picture(path: Path | None) -> None:
    """Raises ValueError unless the name ends in .png, before any work is done."""
    if path is not None and path.suffix.lower() != ".png":
        raise ValueError(f"{path}: a picture is written as PNG; give a name that ends in .png")


def write_picture(picture: "Picture", path: Path) -> None:
    """Write the PNG file in one step, making its folder. Raises OSError when it cannot be written."""
    from unbraid.files import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(picture.png)
