"""DukeMTMC-VideoReID: tracklets of a campus seen by eight cameras, boxes drawn by hand.

    {train,query,gallery}/<identity>/<tracklet>/0001_C6_F0099_X30823.jpg

A frame's name holds identity, camera, number in the tracklet, X (or D for a distractor) and number in the camera's
video. The older packaging writes the same without underscores, 0001C6F0099X30823.jpg. Numbers in a tracklet may start
late and have holes.
"""

import re
from dataclasses import replace
from pathlib import Path

from unbraid.data.benchmark import Benchmark
from unbraid.data.protocols import CAMERA_CHANGE
from unbraid.data.sets.about import About
from unbraid.data.sets.files import folders_in, images_in, matched, named, need, tell_empty
from unbraid.protocol import Protocol
from unbraid.tracklet import Images, Tracklet

ABOUT = About(
    name="duke-video",
    title="DukeMTMC-VideoReID",
    modality="rgb",
    access="withdrawn",
    licence="attribution; the original data were withdrawn by their owners and should not be used for new work",
    counts={
        "train identities": 702,
        "train tracklets": 2196,
        "query tracklets": 702,
        "query identities": 702,
        "gallery identities": 1110,
        "gallery tracklets": 2636,
        "all cameras": 8,
    },
    notes="Query tracklets stand in the gallery too. 408 people of the gallery have no query.",
    source="the data set's page and the papers that use it; 1110 is 702 and 408",
)

SOURCE = (
    "the convention of MARS, used by all papers on this set: tracklets of the query's person and camera are skipped"
)
PROTOCOLS: tuple[Protocol, ...] = (replace(CAMERA_CHANGE, name="duke-video@1", source=SOURCE),)

LAYOUT = "the DukeMTMC-VideoReID folder with train, query and gallery, each <identity>/<tracklet>/<frame>.jpg"
NAME = re.compile(r"\d{4}_?C(?P<camera>\d+)_?F(?P<frame>\d+)_?[XD]\d+\.jpg")


def read(root: Path) -> Benchmark:
    """DukeMTMC-VideoReID in either packaging; lists folders, opens no frame.

    Raises FileNotFoundError for a missing folder, ValueError for a frame with another kind of name.
    """
    root = need(root, ["train", "query", "gallery"], LAYOUT)
    train, query, gallery = (_tracklets(root, split) for split in ("train", "query", "gallery"))
    return Benchmark(ABOUT.name, train=train, query=query, gallery=gallery, protocols=named(PROTOCOLS))


def _tracklets(root: Path, split: str) -> tuple[Tracklet, ...]:
    found, empty = [], []
    for identity in folders_in(root / split):
        for name in folders_in(root / split / identity):
            folder = root / split / identity / name
            frames = [matched(NAME, f, str(folder), "0001_C6_F0099_X30823.jpg") for f in images_in(folder)]
            key = f"{split}/{identity}/{name}"
            if not frames:
                empty.append(key)
                continue
            frames.sort(key=lambda m: (int(m["frame"]), m.string))
            cameras = sorted({int(m["camera"]) for m in frames})
            if len(cameras) > 1:
                raise ValueError(f"{folder} has frames of cameras {cameras}; expected one camera per tracklet")
            media = Images(tuple(folder / m.string for m in frames))
            found.append(Tracklet(key, media, identity=identity, labels={"camera": f"c{cameras[0]}"}))
    tell_empty(str(root / split), empty)
    return tuple(found)
