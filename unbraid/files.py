"""Writing files so that a reader sees the old one or the whole new one, and reading tensors without pickle."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name to write a file under, which takes the place of `path` when the block ends well."""
    part = path.with_name(path.name + ".part")
    yield part
    to_disk(part)
    os.replace(part, path)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of `path` when the block ends well.

    The old folder is moved aside before it is deleted, so that no half-deleted folder ever bears the name.
    """
    part, old = path.with_name(path.name + ".part"), path.with_name(path.name + ".old")
    for left_over in (part, old):
        shutil.rmtree(left_over, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    if path.exists():
        os.replace(path, old)
    os.replace(part, path)
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step. Raises OSError when it cannot be written; the old file then stands."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]") -> None:
    """Write a safetensors file. Raises OSError when it cannot be written."""
    from safetensors.torch import save_file

    try:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)
    except SafetensorError as error:
        # the library wraps the operating system's error into one of its own
        raise OSError(f"cannot write {path}: {error}. Free space or choose another folder") from error
    to_disk(path)


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """The tensors of a safetensors file. Raises FileNotFoundError, or ValueError for a damaged file."""
    from safetensors.torch import load_file

    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    return dict(tensors)


def to_disk(path: Path) -> None:
    """Have the operating system write a file out, so that it survives a loss of power."""
    with path.open("rb") as opened:
        os.fsync(opened.fileno())
