"""CUHK03: pictures of students, five pairs of cameras, boxes drawn by hand or by a detector; the 767/700 split.

    cuhk03_new_protocol_config_labeled.mat, ..._detected.mat    filelist, labels, train_idx, query_idx, gallery_idx
    images_labeled/, images_detected/       1_001_1_01.png: pair of cameras, person in the pair, view 1 or 2, picture
    cuhk03_release/cuhk-03.mat              the owners' file (HDF5), which holds all pictures; see `unpack`

Row numbers are counted from 1.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.data.sets.about import About
from unbraid.data.sets.files import hdf5, image, inside, matched, named, need, read_mat, row_numbers, whole
from unbraid.files import replacing
from unbraid.protocol import Protocol
from unbraid.tracklet import Tracklet

ABOUT = About(
    name="cuhk03",
    title="CUHK03, new protocol (767/700)",
    modality="rgb",
    access="agreement",
    licence="for research, on request to the owners",
    counts={
        "train identities": 767,
        "train images": 7368,
        "query identities": 700,
        "query images": 1400,
        "gallery identities": 700,
        "gallery images": 5328,
        "all cameras": 2,
    },
    notes="Counts are of boxes='labeled'; detected boxes are 7365, 1400 and 5332. Pictures lie inside cuhk-03.mat and "
    "must be unpacked once. The classic protocol of twenty splits with one gallery picture per person is not here.",
    source="the split files of github.com/zhunzhong07/person-re-ranking and peer libraries",
)

SOURCE = "Zhong et al., CVPR 2017 (k-reciprocal re-ranking), which defines the split with the rule of Market-1501"
PROTOCOLS: tuple[Protocol, ...] = (replace(CAMERA_CHANGE, name="cuhk03-new@1", source=SOURCE),)

Boxes = Literal["labeled", "detected"]
RELEASE = "cuhk03_release/cuhk-03.mat"
LAYOUT = "a folder with cuhk03_new_protocol_config_{labeled,detected}.mat and images_{labeled,detected}"
NAME = re.compile(r"(?P<pair>\d)_\d{3}_(?P<camera>[12])_\d{2}\.png")
FIRST_VIEW = 5  # pictures of a person in the first view come first; the other five are of the second


def read(root: Path, *, boxes: Boxes = "labeled") -> Benchmark:
    """CUHK03 under the new protocol; opens the split file only.

    boxes: 'labeled' by hand or 'detected'.
    Raises FileNotFoundError for a missing split file or missing pictures, saying how to unpack them; ValueError for a
    split file that is not as expected.
    """
    _check_boxes(boxes)
    config = f"cuhk03_new_protocol_config_{boxes}.mat"
    root = need(root, [config], LAYOUT)
    if not (root / f"images_{boxes}").is_dir() and (root / RELEASE).is_file():
        raise FileNotFoundError(
            f"{root / f'images_{boxes}'} is missing; unpack the pictures of {root / RELEASE} first: "
            f"unbraid.data.sets.cuhk03.unpack(Path({str(root)!r}), boxes={boxes!r})"
        )
    need(root, [f"images_{boxes}"], LAYOUT)
    path = root / config
    names = [str(np.ravel(item)[0]).strip() for item in read_mat(path, "filelist").ravel()]
    people = whole(read_mat(path, "labels"), f"{path}, labels").ravel()
    if len(people) != len(names):
        raise ValueError(f"{path} has {len(names)} file names but {len(people)} labels; restore the file")

    def part(key: str) -> tuple[Tracklet, ...]:
        where = f"{path}, {key}"
        numbers = row_numbers(read_mat(path, key), len(names), where, first=1)
        return tuple(_image(root, f"images_{boxes}", names[n], int(people[n]), where) for n in numbers)

    return Benchmark(
        name=ABOUT.name,
        train=part("train_idx"),
        query=part("query_idx"),
        gallery=part("gallery_idx"),
        protocols=named(PROTOCOLS),
    )


def unpack(root: Path, *, boxes: Boxes = "labeled") -> int:
    """Write the pictures of the owners' file as images_<boxes>/*.png, once; returns how many there are now.

    Raises FileNotFoundError without the file, ValueError when h5py is missing or the file is not as expected, OSError
    when a picture cannot be written.
    """
    _check_boxes(boxes)
    root = need(root, [RELEASE], f"a folder with {RELEASE} as the owners distribute it")
    folder = root / f"images_{boxes}"
    folder.mkdir(exist_ok=True)
    count = 0
    with hdf5(root / RELEASE) as file:
        if boxes not in file:
            raise ValueError(f"{root / RELEASE} has no variable {boxes!r}; it has {sorted(file)}")
        # MATLAB's arrays are transposed in HDF5: cells 1 x pairs, then people x pictures, then 3 x width x height.
        for pair, cell in enumerate(np.ravel(file[boxes][()]), start=1):
            people = np.asarray(file[cell]).T
            for person, pictures in enumerate(people, start=1):
                for number, reference in enumerate(pictures, start=1):
                    view = 1 if number <= FIRST_VIEW else 2
                    name = f"{pair}_{person:03d}_{view}_{number:02d}.png"
                    count += _write(folder / name, np.asarray(file[reference]).T)
    return count


def _write(path: Path, picture: np.ndarray[Any, Any]) -> bool:
    """Save H W 3 uint8 RGB unless the cell was empty; False for an empty one."""
    if picture.ndim != 3:
        return False
    if not path.exists():
        coded = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1]
        with replacing(path) as unfinished:
            unfinished.write_bytes(coded.tobytes())
    return True


def _image(root: Path, folder: str, name: str, person: int, where: str) -> Tracklet:
    inside(root, name, where)
    parts = matched(NAME, name, where, "1_001_1_01.png")
    labels = {"camera": f"c{parts['camera']}", "pair": f"p{parts['pair']}"}
    return image(root, f"{folder}/{name}", f"{person:04d}", labels)


def _check_boxes(boxes: str) -> None:
    if boxes not in ("labeled", "detected"):
        raise ValueError(f"boxes={boxes!r}; expected 'labeled' or 'detected'")
