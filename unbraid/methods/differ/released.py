"""Checkpoints of DIFFER's released code, through an explicit map from their names to ours.

Source: names as the released model writes them (repository xliangp/DIFFER, EVA02-L with camera vectors).
No released file was at hand; the map is tested on a file of the same names.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unbraid.methods.differ.model import Differ
from unbraid.nn.pretrained import read_weights
from unbraid.nn.vision import VisionTower

# their name -> ours; {last} is the number of the last block, which theirs keeps apart
NAMES: tuple[tuple[str, str], ...] = (
    (r"head_bio\.(.+)", r"trunk.net.blocks.{last}.\1"),
    (r"norm_bio\.(weight|bias)", r"trunk.net.norm.\1"),
    (r"(cls_token|pos_embed|patch_embed\..+|blocks\..+)", r"trunk.net.\1"),
    (r"camera_embed", r"camera.weight"),
    (r"head\.(weight|bias)", r"head.classify.\1"),
    (r"head_clip_bio\.(weight|bias)", r"toward.\1"),
    (r"head_clip_bio\.fc1\.(weight|bias)", r"toward.0.\1"),
    (r"head_clip_bio\.fc2\.(weight|bias)", r"toward.2.\1"),
    (r"head_clip_bioReverse\.(\d+)\.head_fc\.weight", r"against.\1.weight"),
    (r"head_clip_bioReverse\.(\d+)\.fc1\.(weight|bias)", r"against.\1.0.\2"),
    (r"head_clip_bioReverse\.(\d+)\.fc2\.(weight|bias)", r"against.\1.2.\2"),
)
# what a network needs to recognise people
INFERENCE = ("trunk.", "camera.")


@dataclass(frozen=True)
class Loaded:
    """What became of a released file.

    filled: our names that got values. dropped: their names that have no place here, with the reason.
    kept: our names that keep their initial values, for training alone.
    """

    filled: tuple[str, ...]
    dropped: Mapping[str, str]
    kept: tuple[str, ...]


def load_released(method: Differ, file: Path, *, cameras: Sequence[int] = ()) -> Loaded:
    """Fill a method from a checkpoint of the released code, and say what was dropped.

    method: built with the config of the file's data set, such as `differ:ltcc`, and its numbers of classes; its aspects
    in the order of the file's projections.
    cameras: for each of the method's camera classes its row of the released table, which counts cameras from 0; our
    classes are in alphabetical order: (0, 9, 10, 11, 1, 2, ...) for LTCC's c1, c10, c11, c12, c2, c3, ...
    Everything that `encode` needs must be there; heads whose shapes differ, as with another number of identities, are
    dropped and named.
    Raises FileNotFoundError for a missing file, ValueError when it is unreadable or lacks a part that `encode` needs.
    """
    if not isinstance(method.trunk, VisionTower):
        raise ValueError(f"released DIFFER checkpoints hold an image transformer, not {method.config.trunk!r}")
    own, last = method.state_dict(), len(method.trunk.net.blocks) - 1
    if method.config.side and len(cameras) != method.number_of("camera"):
        raise ValueError(
            f"cameras names {len(cameras)} rows; expected one for each of {method.number_of('camera')} cameras"
        )
    found: dict[str, Tensor] = {}
    dropped: dict[str, str] = {}
    for theirs, value in read_weights(Path(file)).items():
        name = _named(theirs.removeprefix("module."), method.detached, last)
        if name == "camera.weight" and name in own:
            value = _cameras(value, cameras)
        if name is None or name not in own:
            dropped[theirs] = "no part of this network"
        elif own[name].shape != value.shape:
            dropped[theirs] = f"has shape {tuple(value.shape)}, {name} has {tuple(own[name].shape)}"
        else:
            found[name] = value
    kept = tuple(name for name in own if name not in found)
    lacking = [name for name in kept if name.startswith(INFERENCE)]
    if lacking:
        why = next((f"{n} {reason}" for n, reason in dropped.items() if lacking[0] in reason), "it is not in the file")
        raise ValueError(
            f"{file} does not fit this config: {len(lacking)} parts that recognition needs are lacking, such as "
            f"{lacking[0]!r}: {why}. Number of cameras, trunk and side must be those of the file"
        )
    method.load_state_dict({**own, **found})
    return Loaded(tuple(found), dropped, kept)


def _cameras(table: Tensor, rows: Sequence[int]) -> Tensor:
    """Their table C 1 D as ours, whose first row is the unknown camera."""
    if not all(0 <= row < len(table) for row in rows):
        raise ValueError(f"cameras = {tuple(rows)}, but the released table has rows 0 to {len(table) - 1}")
    chosen = table.flatten(1)[list(rows)]
    return torch.cat([torch.zeros_like(chosen[:1]), chosen])


def _named(theirs: str, aspects: Sequence[str], last: int) -> str | None:
    """Our name of a tensor; None when the map has none."""
    for pattern, ours in NAMES:
        match = re.fullmatch(pattern, theirs)
        if match is None:
            continue
        name = match.expand(ours.replace("{last}", str(last)))
        number = re.match(r"against\.(\d+)\.", name)
        if number is None:
            return name
        if int(number[1]) >= len(aspects):
            return None
        # their numbers follow the order of the config
        return name.replace(number[0], f"against.{aspects[int(number[1])]}.", 1)
    return None
