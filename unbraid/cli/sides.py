"""What the commands that score embeddings share: both sides, rules by name, how to compare, where a picture goes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbraid.protocol import Protocol
    from unbraid.search import Similarity
    from unbraid.spaces import Embeddings
    from unbraid.viz import Picture


def load(embeddings: Path, protocol: str) -> "tuple[Embeddings, Embeddings, Protocol]":
    """Query and gallery of a folder made by `unbraid extract`, and the protocol of that name.

    Raises FileNotFoundError when the folder lacks a side, KeyError for an unknown protocol.
    """
    from unbraid.data.protocols import named

    rules = named(protocol)
    return *load_sides(embeddings), rules


def load_sides(embeddings: Path) -> "tuple[Embeddings, Embeddings]":
    """Query and gallery of a folder made by `unbraid extract`. Raises FileNotFoundError when it lacks a side."""
    from unbraid.spaces import Embeddings

    for side in ("query", "gallery"):
        if not embeddings.is_dir():
            raise FileNotFoundError(f"{embeddings} is no folder; name one that `unbraid extract --out` wrote")
        if not (embeddings / side).is_dir():
            raise FileNotFoundError(
                f"{embeddings} has no folder {side!r}, so it has no spaces.safetensors of that side; "
                f"name the folder that `unbraid extract --out` wrote"
            )
    return Embeddings.load(embeddings / "query"), Embeddings.load(embeddings / "gallery")


def short_names(folders: Sequence[Path]) -> dict[str, Path]:
    """What to call runs, or the embeddings that lie in them: the name of the run's folder, with those above it where
    two are called the same. Raises ValueError for a folder that is named twice."""
    whole = [folder.resolve().parts for folder in folders]
    if len(set(whole)) < len(whole):
        raise ValueError(f"a folder is named twice among {', '.join(map(str, folders))}")
    parts = [one[: one.index("embeddings")] if "embeddings" in one[1:] else one for one in whole]
    # several embeddings of one run
    parts = parts if len(set(parts)) == len(parts) else whole
    length = next(n for n in range(1, 1 + max(map(len, parts))) if len({p[-n:] for p in parts}) == len(parts))
    names = ["-".join(p[-length:]).replace("/", "").lstrip("-") or "embeddings" for p in parts]
    return dict(zip(names, folders, strict=True))


def way(run: Path | None, space: str, query: "Embeddings", gallery: "Embeddings") -> "Similarity":
    """How two items are compared: by the method of a run folder, else by the cosine (of one space).

    Raises ValueError when both a run and a space are named, and for embeddings that other weights made; KeyError for
    embeddings without a space that the method compares; the errors of `load_method`.
    """
    from unbraid.checkpoint import load_method, weights_hash
    from unbraid.method import cosine

    if run is None:
        return cosine
    if space != "identity":
        raise ValueError(
            f"--run compares by the run's own method and --space {space} by the cosine of that space; give one of them"
        )
    method, weights = load_method(run), weights_hash(run)
    for side, embeddings in (("query", query), ("gallery", gallery)):
        if embeddings.origin.get("weights", weights) != weights:
            raise ValueError(
                f"the {side} embeddings were made with other weights than the newest of {run}; "
                f"name the run that made them, or extract again"
            )
        lacking = [name for name in method.matched if name not in embeddings.spaces]
        if lacking:
            raise KeyError(
                f"{run} compares people by {' and '.join(method.matched)}, but the {side} embeddings have no space "
                f"{lacking[0]!r}; run `unbraid extract` with --spaces {' '.join(method.matched)}, or without --spaces"
            )
    return method.similarity


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
