"""Every protocol by name on one gallery of six rows: who is asked, who takes part, what is a hit and what is skipped.

A new protocol fails here until its rows are written down. One letter per gallery item: h a hit, . no hit, s skipped
(pairs of one view are, where cells are averaged), - query or item does not take part.
"""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unbraid.data.protocols import CONDITIONS, catalogue
from unbraid.data.sets import sustech1k
from unbraid.protocol import Protocol, same

ALL = catalogue()

# the first query stands in the gallery as item c; the third is of unknown identity, as is item e
QUERY = pd.DataFrame(
    {
        "key": ["c", "q1", "q2"],
        "identity": ["1", "1", None],
        "camera": ["c1", "c3", "c2"],
        "clothes": ["red", "blue", None],
        "other_clothes": ["blue", "red", None],
        "action": ["walk", "run", None],
        "actions": ["walk+run", "run", None],
        "view": ["v1", "v2", "v2"],
        "modality": ["silhouette", "depth", "depth"],
        "walk": ["w1", "w2", None],
        "sequence": ["nm-05", "bg-01", "cl-02"],
        "same_activity": ["probe", "probe", "left out"],
        "cross_activity": ["probe", "left out", "probe"],
    }
)
GALLERY = pd.DataFrame(
    {
        "key": ["a", "b", "c", "d", "e", "f"],
        "identity": ["1", "1", "1", "2", None, "1"],
        "camera": ["c1", "c2", "c2", "c1", "c2", None],
        "clothes": ["red", "red", "blue", "red", None, None],
        "action": ["walk", "run", "walk", "walk", "run", "run"],
        "actions": ["walk", "run", "walk+run", "walk", "sit", "sit"],
        "view": ["v1", "v2", "v2", "v1", "v1", "v3"],
        "modality": ["silhouette", "depth", "silhouette", "depth", "silhouette", "silhouette"],
        "walk": ["w1", "w1", "w2", "w2", None, "w3"],
        "sequence": ["nm-01", "nm-02", "nm-03", "nm-04", "nm-01", "nm-05"],
        "condition": ["normal", "normal", "normal", "normal", "normal", "bag"],
        "same_activity": ["gallery", "gallery", "gallery", "gallery", "gallery", "probe"],
        "cross_activity": ["gallery", "gallery", "left out", "gallery", "gallery", "gallery"],
    }
)
NOBODY = "------"
STRANGER = "......"
CAMERA = ("shh..h", "hhh..h", STRANGER)
CLOTHES = ("ssh..h", "hhs..h", STRANGER)
SAME_CLOTHES = ("shs..s", "ssh..s", STRANGER)
EVERYTHING = ("hhh..h", "hhh..h", STRANGER)
# probes and gallery of the activity sets are labels: f is a probe in one division, c is left out in the other
SAME_ALL, SAME_OTHER = ("hhh..-", "hhh..-", NOBODY), ("shhs.-", "hhh..-", NOBODY)
CROSS_ALL, CROSS_OTHER = ("sh-s.h", NOBODY, "..-..."), ("sh-s.h", NOBODY, ".s-.s.")

EXPECTED: dict[str, tuple[str, str, str]] = {
    "activity-draws/same/view+@1": SAME_ALL,
    "activity-draws/same/view-@1": SAME_OTHER,
    "activity-draws/cross/view+@1": CROSS_ALL,
    "activity-draws/cross/view-@1": CROSS_OTHER,
    "plain@1": ("hhs..h", "hhh..h", STRANGER),
    "camera-change@1": CAMERA,
    "clothes-change@1": CLOTHES,
    "same-clothes@1": SAME_CLOTHES,
    "one-clothes-change@1": ("ssh..s", "hhs..s", STRANGER),
    "clothes-change/other-cameras@1": ("sshs.h", "hhs..h", ".ss.s."),
    "same-activity/view+@1": EVERYTHING,
    "same-activity/view-@1": ("shhs.h", "hhh..h", ".ss.s."),
    "cross-activity/view+@1": ("shss.h", "hsh.ss", STRANGER),
    "cross-activity/view-@1": ("shss.h", "hsh.ss", ".ss.s."),
    "cross-activity/clothes-change@1": ("ssss.h", "hss.ss", ".ss.s."),
    "other-views@1": ("shh..h", "hss..h", STRANGER),
    "view-cells@1": ("shhssh", "hss..h", ".ss..."),
    "whole-gallery@1": EVERYTHING,
    "walks/silhouette-in-depth@1": ("-s-.--", NOBODY, NOBODY),
    "walks/depth-in-silhouette@1": (NOBODY, "h-s-.h", ".-.-.."),
    "walks/silhouette-in-silhouette@1": ("s-h-.h", NOBODY, NOBODY),
    "walks/depth-in-depth@1": (NOBODY, "-h-s--", "-.-.--"),
    "casia-b/nm@1": ("shhss-", NOBODY, NOBODY),
    "casia-b/bg@1": (NOBODY, "hss..-", NOBODY),
    "casia-b/cl@1": (NOBODY, NOBODY, ".ss..-"),
    "ccvid-general@1": CAMERA,
    "ccvid-cc@1": CLOTHES,
    "ccvid-sc@1": SAME_CLOTHES,
    "celeb-light@1": EVERYTHING,
    "charades-ab/same@1": SAME_ALL,
    "charades-ab/cross@1": CROSS_ALL,
    "charades-ab/cross-any@1": ("ss-s.h", NOBODY, "..-..."),
    "cuhk03-new@1": CAMERA,
    "duke-video@1": CAMERA,
    "freegait/silhouette-in-depth@1": ("-h-.--", NOBODY, NOBODY),
    "freegait/depth-in-silhouette@1": (NOBODY, "h-h-.h", ".-.-.."),
    "freegait/silhouette-in-silhouette@1": ("h-h-.h", NOBODY, NOBODY),
    "freegait/depth-in-depth@1": (NOBODY, "-h-.--", "-.-.--"),
    "ilids-vid@1": CAMERA,
    "ls-vid@1": CAMERA,
    "ls-vid/queries-in-gallery@1": CAMERA,
    "ltcc-cc@1": CLOTHES,
    "ltcc-general@1": CAMERA,
    "market1501@1": CAMERA,
    "market1501/matlab@1": CAMERA,
    "mars@1": CAMERA,
    "mars/matlab@1": CAMERA,
    "mevid@1": CAMERA,
    "mevid-cc@1": CLOTHES,
    "mevid-sc@1": SAME_CLOTHES,
    "msmt17@1": CAMERA,
    "ntu-ab/same/view+@1": SAME_ALL,
    "ntu-ab/same/view-@1": SAME_OTHER,
    "ntu-ab/cross/view+@1": CROSS_ALL,
    "ntu-ab/cross/view-@1": CROSS_OTHER,
    "pku-ab/same/view+@1": SAME_ALL,
    "pku-ab/same/view-@1": SAME_OTHER,
    "pku-ab/cross/view+@1": CROSS_ALL,
    "pku-ab/cross/view-@1": CROSS_OTHER,
    "prcc-cc/multi@1": (NOBODY, "hhh..h", NOBODY),
    "prcc-sc/multi@1": (NOBODY, NOBODY, STRANGER),
    "prcc-cc/single@1": (NOBODY, "hhh..h", NOBODY),
    "prcc-sc/single@1": (NOBODY, NOBODY, STRANGER),
    "prid2011@1": CAMERA,
}
# The two gait families: three sequences asked, by the sensor of the gallery. Query 0 is normal, 2 at night, and 1 is
# under the condition of the protocol's name. gait/ enrols normal sequences only, so that f takes no part.
GAIT = {
    ("gait", "silhouette"): ("s-h-s-", "h-s-.-", ".-s-.-"),
    ("gait", "depth"): ("-h-s--", "-s-.--", "-s-.--"),
    ("sustech1k", "silhouette"): ("s-h-sh", "h-s-.h", ".-s-.."),
    ("sustech1k", "depth"): ("-h-s--", "-s-.--", "-s-.--"),
}
TRAPEZOID = {"market1501/matlab@1", "mars/matlab@1"}
SINGLE_SHOT = {"prcc-cc/single@1", "prcc-sc/single@1"}


def gait_family() -> dict[str, tuple[tuple[str, str, str], str]]:
    """Expected rows and condition of the second query of every gait protocol."""
    found = {}
    for (family, offered), rows in GAIT.items():
        for asked in ("silhouette", "depth"):
            for condition in ("all", *CONDITIONS):
                second = condition if condition not in ("all", "normal", "night") else "bag"
                takes_part = [
                    asked == "silhouette" and condition in ("all", "normal"),
                    asked == "depth" and condition in ("all", second),
                    asked == "depth" and condition in ("all", "night"),
                ]
                one, two, three = (row if there else NOBODY for row, there in zip(rows, takes_part, strict=True))
                found[f"{family}/{asked}-in-{offered}/{condition}@1"] = (one, two, three), second
    return found


FAMILY = gait_family()


def letters(protocol: Protocol, query: pd.DataFrame, gallery: pd.DataFrame) -> tuple[str, ...]:
    rows = [protocol.query.rows(query, "query"), protocol.gallery.rows(gallery, "gallery")]
    asked, offered = query.iloc[rows[0]], gallery.iloc[rows[1]]
    rule = protocol.skip | same(protocol.cells) if protocol.cells else protocol.skip
    hit, skip = (one.on(asked, offered)(slice(0, len(asked))) for one in (protocol.hit, rule))
    found = np.full((len(query), len(gallery)), "-")
    found[np.ix_(rows[0], rows[1])] = np.where(skip, "s", np.where(hit, "h", "."))
    return tuple("".join(row) for row in found)


def asking(condition: str) -> pd.DataFrame:
    """The queries with their conditions, as a label and as SUSTech1K's columns of 'yes' and 'no'."""
    under = ["normal", condition, "night"]
    columns = {name: ["yes" if own == name else "no" for own in under] for name in sustech1k.CONDITIONS}
    return QUERY.assign(condition=under, **columns)


@pytest.mark.parametrize("name", ALL)
def test_six_rows(name: str) -> None:
    assert name in EXPECTED or name in FAMILY, f"{name} has no hand-written rows here; add them"
    if name in EXPECTED:
        assert letters(ALL[name], asking("bag"), GALLERY) == EXPECTED[name]
        return
    rows, condition = FAMILY[name]
    if rows == (NOBODY,) * 3:
        with pytest.raises(ValueError, match="no query item has"):
            letters(ALL[name], asking(condition), GALLERY)
    else:
        assert letters(ALL[name], asking(condition), GALLERY) == rows


def test_no_row_is_of_a_protocol_that_is_gone() -> None:
    assert {*EXPECTED, *FAMILY} <= {*ALL}


@pytest.mark.parametrize("name", ALL)
def test_every_protocol_has_a_source_a_version_and_its_rules(name: str) -> None:
    protocol = ALL[name]
    assert protocol.name == name
    assert name.rpartition("@")[2].isdigit()
    assert len(protocol.source) > 20
    assert protocol.ap == ("trapezoid" if name in TRAPEZOID else "step")
    assert (protocol.shots is not None) == (name in SINGLE_SHOT)
    in_cells = name in FAMILY or name.startswith("casia-b/") or name == "view-cells@1"
    assert protocol.cells == ("view" if in_cells else "")


def test_each_silent_gait_protocol_is_asked_somewhere() -> None:
    """A silhouette under another condition than normal is nobody's query above; one table has it."""
    query = asking("bag").assign(modality="silhouette")
    for condition in CONDITIONS:
        rows = letters(ALL[f"gait/silhouette-in-depth/{condition}@1"], query.assign(condition=condition), GALLERY)
        assert rows == GAIT["gait", "depth"]
        yes = query.assign(**{name: "yes" if name == condition else "no" for name in sustech1k.CONDITIONS})
        assert letters(ALL[f"sustech1k/silhouette-in-depth/{condition}@1"], yes, GALLERY) == GAIT["gait", "depth"]
        depth = yes.assign(modality="depth", condition=condition)
        for family in ("gait", "sustech1k"):
            rows = letters(ALL[f"{family}/depth-in-silhouette/{condition}@1"], depth, GALLERY)
            assert rows == GAIT[family, "silhouette"]


def test_the_table_of_the_docs_is_current() -> None:
    made = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "protocol_table.py"))
    page = made["PAGE"].read_text(encoding="utf-8")
    assert page.split(made["BEGIN"])[1].split(made["END"])[0].strip() == made["table"]().strip(), (
        "run python scripts/protocol_table.py"
    )
