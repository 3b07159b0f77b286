"""Named embeddings, and the file form in which they travel.

Names of spaces (and of the text aspects that guide them), used everywhere:
    identity     who someone is
    motion       how they move
    appearance   what they wear and carry
    camera       which camera saw them
    modality     which kind of sensor saw them
    biometric, clothing, hair, pose    the same feature as the texts about that aspect describe it
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from unbraid.files import read_tensors, replacing_folder, write_tensors, write_text


class Spaces(Mapping[str, Tensor]):
    """Named embeddings of N items; each is N D, or N P D when the method keeps body parts.

    All share N, and 'identity' is always there.
    Raises ValueError naming the space and the shapes when first axes differ, an axis is missing
    or values are not finite.
    """

    def __init__(self, named: Mapping[str, Tensor]) -> None:
        if "identity" not in named:
            raise ValueError(f"spaces need one called 'identity'; got {sorted(named)}")
        rows = len(named["identity"])
        for name, value in named.items():
            if value.ndim not in (2, 3):
                raise ValueError(f"space {name!r} has shape {tuple(value.shape)}; expected N D or N P D")
            if len(value) != rows:
                raise ValueError(
                    f"space {name!r} has shape {tuple(value.shape)} but 'identity' has "
                    f"{tuple(named['identity'].shape)}; the first axes must be equal"
                )
            if not torch.isfinite(value).all():
                bad = int((~torch.isfinite(value)).flatten(1).any(1).nonzero()[0])
                raise ValueError(f"space {name!r}, shape {tuple(value.shape)}, is not finite, first in row {bad}")
        # identity first, whatever order a file had
        self._named = {"identity": named["identity"], **named}

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self._named[name]
        except KeyError:
            raise KeyError(f"no space {name!r}; there are {sorted(self._named)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    @property
    def rows(self) -> int:
        """N, the number of items."""
        return len(self._named["identity"])

    def take(self, rows: Tensor | slice) -> "Spaces":
        """The same spaces for some rows: a slice, an index or a boolean mask over N."""
        return Spaces({name: value[rows] for name, value in self._named.items()})


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Spaces of a whole split with its label table, one row per key, and their origin.

    The currency of everything after the network. Saved as a folder of `spaces.safetensors`,
    `table.parquet` and `origin.json`; loading checks that they belong together.
    origin: 'weights', 'recipe', 'data', ... hashes and names as text.
    Raises ValueError when rows and table differ in length or a key stands twice.
    """

    spaces: Spaces
    table: pd.DataFrame
    origin: Mapping[str, str]

    def __post_init__(self) -> None:
        if len(self.table) != self.spaces.rows:
            raise ValueError(f"{self.spaces.rows} embeddings but {len(self.table)} rows of labels")
        if "key" not in self.table.columns:
            raise ValueError(f"the label table needs a column 'key'; it has {list(self.table.columns)}")
        twice = self.table["key"][self.table["key"].duplicated()]
        if len(twice):
            raise ValueError(f"key {twice.iloc[0]!r} stands twice in the label table")

    def __len__(self) -> int:
        return len(self.table)

    def take(self, rows: Sequence[int]) -> "Embeddings":
        """The same embeddings restricted to some rows, in the given order."""
        index = torch.as_tensor(list(rows), dtype=torch.long)
        return Embeddings(self.spaces.take(index), self.table.iloc[list(rows)].reset_index(drop=True), self.origin)

    def save(self, folder: Path) -> Path:
        """Write the folder in one step; an older one of the same name is replaced only when this one is complete."""
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()) and not (folder / "origin.json").is_file():
            raise ValueError(f"{folder} exists and holds no embeddings; choose another folder")
        with replacing_folder(folder) as part:
            write_tensors(part / "spaces.safetensors", self.spaces)
            self.table.to_parquet(part / "table.parquet", index=False)
            origin = {**self.origin, "keys": _hash_keys(self.table)}
            write_text(part / "origin.json", json.dumps(origin, indent=2) + "\n")
        return folder

    @classmethod
    def load(cls, folder: Path) -> "Embeddings":
        """Embeddings from a folder written by `save`.

        Raises FileNotFoundError naming the missing file, ValueError when the files do not belong together.
        """
        folder = Path(folder)
        for name in ("spaces.safetensors", "table.parquet", "origin.json"):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder} has no {name}; expected a folder written by `unbraid extract`")
        try:
            tensors = read_tensors(folder / "spaces.safetensors")
            table = pd.read_parquet(folder / "table.parquet")
            origin: dict[str, str] = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder} is damaged ({error}); run `unbraid extract` again") from error
        if not isinstance(origin, dict) or "key" not in table.columns:
            raise ValueError(f"{folder} is damaged (no facts in origin.json, or no keys); run `unbraid extract` again")
        if origin.get("keys") != _hash_keys(table):
            raise ValueError(f"{folder}: table.parquet is not the table these embeddings were made with; extract again")
        try:
            # whoever wrote facts in other types, such as true, meant them as text
            return cls(Spaces(tensors), table, {name: str(value) for name, value in origin.items()})
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error


def _hash_keys(table: pd.DataFrame) -> str:
    return hashlib.sha256("\n".join(table["key"].astype(str)).encode()).hexdigest()


def is_synthetic(*origins: Mapping[str, str]) -> bool | None:
    """What the origins of some embeddings say about the pixels; None when none of them says anything."""
    said = {origin["synthetic"].lower() for origin in origins if "synthetic" in origin}
    return None if not said else "true" in said
