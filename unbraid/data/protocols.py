"""The protocols of the field by name. A name ends in @ and the number of its wording: a change gives a new number."""

import difflib

from unbraid.protocol import Protocol, Where, never, same

CONDITIONS = ("normal", "bag", "clothing", "carrying", "umbrella", "uniform", "occlusion", "night")
CAMERA_SENSOR, LIDAR_SENSOR = "silhouette", "depth"

# Source texts of the rules below; the readers of `data.sets` name those of their owners.
_MARKET = "Market-1501 (ICCV 2015): items of the query's person in its camera are skipped"
_CHANGED = (
    "evaluation code of Simple-CCReID (CVPR 2022): items of the person in its camera or in its clothes are skipped"
)
_HERE = "not in a paper; chosen because "
_ACTIVITY = "DisenQ and ABNet (arXiv 2403.17360), section on protocols"
_OPENGAIT = "evaluation code of OpenGait"

PLAIN = Protocol(
    "plain@1",
    hit=same("identity"),
    skip=same("key"),
    source=f"{_HERE}sets without cameras need a rule that leaves out only the query itself",
)
CAMERA_CHANGE = Protocol(
    "camera-change@1", hit=same("identity"), skip=same("identity") & same("camera"), source=_MARKET
)
CLOTHES_CHANGE = Protocol(
    "clothes-change@1",
    hit=same("identity") & ~same("clothes"),
    skip=same("identity") & (same("camera") | same("clothes")),
    source=_CHANGED,
)
SAME_CLOTHES = Protocol(
    "same-clothes@1",
    hit=same("identity") & same("clothes"),
    skip=same("identity") & (same("camera") | ~same("clothes")),
    source="evaluation code of Simple-CCReID (CVPR 2022): only items of the person in the same clothes, other cameras",
)
ONE_CLOTHES_CHANGE = Protocol(
    "one-clothes-change@1",
    hit=same("identity") & same("other_clothes", "clothes"),
    skip=same("identity") & (same("camera") | ~same("other_clothes", "clothes")),
    source=f"{_HERE}with one other outfit per query it has as many mates as same-clothes@1",
)
OTHER_CAMERAS = Protocol(
    "clothes-change/other-cameras@1",
    hit=same("identity") & ~same("clothes"),
    skip=same("camera") | (same("identity") & same("clothes")),
    source=f"{_HERE}where strangers in the query's camera stay, a feature that goes by the camera falls below chance "
    "and hides what else it goes by",
)
# Same activity keeps everything; cross activity leaves out what shows the query's activity; "view-" leaves out
# everything of the query's camera, whoever it shows. The papers also divide the activities into those of queries and
# those of the gallery; here both sides have all of them.
SAME_ACTIVITY = Protocol("same-activity/view+@1", hit=same("identity"), skip=never(), source=_ACTIVITY)
SAME_ACTIVITY_OTHER_CAMERA = Protocol(
    "same-activity/view-@1", hit=same("identity"), skip=same("camera"), source=_ACTIVITY
)
CROSS_ACTIVITY = Protocol(
    "cross-activity/view+@1", hit=same("identity") & ~same("action"), skip=same("action"), source=_ACTIVITY
)
CROSS_ACTIVITY_OTHER_CAMERA = Protocol(
    "cross-activity/view-@1",
    hit=same("identity") & ~same("action"),
    skip=same("action") | same("camera"),
    source=_ACTIVITY,
)
CROSS_ACTIVITY_AND_CLOTHES = Protocol(
    "cross-activity/clothes-change@1",
    hit=same("identity") & ~same("action") & ~same("clothes"),
    skip=same("action") | same("camera") | (same("identity") & same("clothes")),
    source=f"{_HERE}a change of clothes and of activity at once asks for neither of them",
)
# OpenGait evaluates any gait set by one of these three, whatever its conditions.
OTHER_VIEWS = Protocol(
    "other-views@1",
    hit=same("identity"),
    skip=same("identity") & same("view"),
    source=f"{_OPENGAIT}: evaluate_many (CCPG) and cross_view_gallery_evaluation",
)
VIEW_CELLS = Protocol(
    "view-cells@1",
    hit=same("identity"),
    skip=never(),
    cells="view",
    source=f"{_OPENGAIT}: single_view_gallery_evaluation (CASIA-B, OUMVLP, SUSTech1K)",
)
WHOLE_GALLERY = Protocol(
    "whole-gallery@1",
    hit=same("identity"),
    skip=never(),
    source=f"{_OPENGAIT}: evaluate_rank (Gait3D, FreeGait)",
)


def gait(query_modality: str, gallery_modality: str, condition: str = "") -> Protocol:
    """Sequences of one sensor under a condition against normal ones of another, by view cell.

    condition: one of CONDITIONS, or '' for all of them together.
    Source: SUSTech1K (LidarGait) and the cross-modal protocol of TCFDNet: the gallery holds normal sequences only,
    identical views are left out, and cells are averaged.
    """
    wanted = (condition,) if condition else CONDITIONS
    return Protocol(
        f"gait/{query_modality}-in-{gallery_modality}/{condition or 'all'}@1",
        hit=same("identity"),
        skip=never(),
        query=Where({"modality": (query_modality,), "condition": wanted}),
        gallery=Where({"modality": (gallery_modality,), "condition": ("normal",)}),
        cells="view",
        source="SUSTech1K (LidarGait, CVPR 2023) and, across sensors, TCFDNet: normal sequences enrolled, other views, "
        "cells averaged",
    )


SIDES = (
    (CAMERA_SENSOR, LIDAR_SENSOR),
    (LIDAR_SENSOR, CAMERA_SENSOR),
    (CAMERA_SENSOR, CAMERA_SENSOR),
    (LIDAR_SENSOR, LIDAR_SENSOR),
)
GAIT = tuple(gait(first, second, condition) for first, second in SIDES for condition in ("", *CONDITIONS))
# Walks of one's own, which have no conditions: `unbraid gait prepare`.
WALKS = tuple(
    Protocol(
        f"walks/{asked}-in-{offered}@1",
        hit=same("identity"),
        skip=same("walk"),
        query=Where({"modality": (asked,)}),
        gallery=Where({"modality": (offered,)}),
        source=f"{_HERE}what two sensors saw of one walk is the same moment, and recognition is of another one",
    )
    for asked, offered in SIDES
)

NAMED = {
    p.name: p
    for p in (
        CAMERA_CHANGE,
        CLOTHES_CHANGE,
        SAME_CLOTHES,
        ONE_CLOTHES_CHANGE,
        OTHER_CAMERAS,
        SAME_ACTIVITY,
        SAME_ACTIVITY_OTHER_CAMERA,
        CROSS_ACTIVITY,
        CROSS_ACTIVITY_OTHER_CAMERA,
        CROSS_ACTIVITY_AND_CLOTHES,
        OTHER_VIEWS,
        VIEW_CELLS,
        WHOLE_GALLERY,
        *GAIT,
        *WALKS,
        PLAIN,
    )
}


def catalogue() -> dict[str, Protocol]:
    """Every protocol by name: those here, those by drawn lists (`data.activity`) and those of the readers."""
    # they build on this module
    from unbraid.data.activity import PROTOCOLS
    from unbraid.data.sets.about import protocols

    return {**NAMED, **{p.name: p for p in PROTOCOLS}, **protocols()}


def named(name: str) -> Protocol:
    """The protocol of that name in the catalogue. Raises KeyError with those most like it."""
    if name in NAMED:
        return NAMED[name]
    known = catalogue()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        # 'market' or 'casia' are not like any name as a whole, but its beginning
        near += [one for one in known if name and one.startswith(name.lower()) and one not in near][: 3 - len(near)]
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
        raise KeyError(
            f"no protocol {name!r}{hint} There are {len(known)}, such as {CAMERA_CHANGE.name}, {CLOTHES_CHANGE.name} "
            f"and {PLAIN.name}; `unbraid data list` shows those of each benchmark, docs/evaluation.md all of them"
        )
    return known[name]
