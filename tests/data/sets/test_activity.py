"""Division into probes and gallery. Oracle: the stated rules, checked clip by clip."""

from pathlib import Path

import numpy as np
import pytest

from unbraid.data.sets.activity import actions_of, clip_media, divide, pictures
from unbraid.tracklet import Images, Tracklet, VideoSpan


def clip(key: str, identity: str, *actions: str) -> Tracklet:
    labels = {"action": actions[0], "actions": "+".join(actions)} if actions else {}
    return Tracklet(key, Images((Path("a.jpg"),)), identity=identity, labels=labels)


MANY = [
    clip(f"{person}-{action}-{take}", person, action)
    for person in ("p1", "p2", "p3")
    for action in ("a", "b", "c", "d", "e")
    for take in range(2)
]


def told(tracklets: tuple[Tracklet, ...], label: str, part: str) -> set[str]:
    return {t.key for t in tracklets if t.labels[label] == part}


def test_same_activity() -> None:
    query, gallery = divide(MANY, share=0.25, generator=np.random.default_rng(42))
    probes, offered = told(query, "same_activity", "probe"), told(gallery, "same_activity", "gallery")
    assert probes | offered == {t.key for t in MANY}
    assert not probes & offered
    # 10 clips of each person, a quarter rounded down
    assert sorted(key[:2] for key in probes) == ["p1", "p1", "p2", "p2", "p3", "p3"]


def test_cross_activity() -> None:
    query, gallery = divide(MANY, share=0.25, generator=np.random.default_rng(42))
    probes, offered = told(query, "cross_activity", "probe"), told(gallery, "cross_activity", "gallery")
    asked, answered = {key[3] for key in probes}, {key[3] for key in offered}
    # of five activities two ask and three answer, with all of their clips
    assert len(answered) == 3
    assert not asked & answered
    assert offered == {t.key for t in MANY if t.key[3] in answered}
    # a quarter of 4 clips on the probes' side is one per person
    assert sorted(key[:2] for key in probes) == ["p1", "p2", "p3"]
    left_out = told((*query, *gallery), "cross_activity", "left out")
    assert probes | offered | left_out == {t.key for t in MANY}


def test_the_seed_decides_and_the_order_of_the_clips_does_not() -> None:
    first = divide(MANY, share=0.25, generator=np.random.default_rng(1))
    assert divide(MANY[::-1], share=0.25, generator=np.random.default_rng(1)) == first
    assert divide(MANY, share=0.25, generator=np.random.default_rng(2)) != first


def test_people_of_few_clips() -> None:
    # one clip: gallery. Two clips of one activity: a probe and a gallery item, no mate in cross activity.
    clips = [clip("x", "one", "a"), clip("y1", "two", "a"), clip("y2", "two", "a"), clip("z", "three", "b")]
    query, gallery = divide(clips, share=0.25, generator=np.random.default_rng(0))
    assert len(told(query, "same_activity", "probe") & {"y1", "y2"}) == 1
    assert told(gallery, "same_activity", "gallery") >= {"x", "z"}
    assert not told(query, "cross_activity", "probe")
    query, gallery = divide([clip("x", "one", "a")], share=0.9, generator=np.random.default_rng(0))
    assert (query, [t.key for t in gallery]) == ((), ["x"])
    assert divide([], share=0.5, generator=np.random.default_rng(0)) == ((), ())


@pytest.mark.parametrize("seed", range(5))
def test_clips_of_several_activities(seed: int) -> None:
    # 'a' and 'b' alone tell which of the two is on the probes' side
    clips = [
        clip("a", "p", "a"), clip("b", "p", "b"), clip("ab", "p", "a", "b"), clip("none", "p"),
        clip("a ", "q", "a"), clip("b ", "q", "b"), clip("ab ", "q", "a", "b"),
    ]  # fmt: skip
    query, gallery = divide(clips, share=0.4, generator=np.random.default_rng(seed))
    offered = told(gallery, "cross_activity", "gallery")
    # half of the activities of 'ab' ask, so it is on the probes' side whichever they are
    assert offered in ({"a", "a "}, {"b", "b "})
    assert len(told(query, "cross_activity", "probe")) == 2
    parts = {t.key: t.labels["cross_activity"] for t in (*query, *gallery)}
    assert parts["none"] == "left out"
    assert actions_of(clips[2]) == ("a", "b")
    assert actions_of(clips[3]) == ()


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_the_share_is_one(share: float) -> None:
    with pytest.raises(ValueError, match=f"the share of probes is {share}; expected"):
        divide(MANY, share=share, generator=np.random.default_rng(0))


def test_pictures_are_in_the_order_of_their_numbers() -> None:
    names = ["f10.jpg", "f9.PNG", ".f1.jpg", "f1.txt", "f009.jpg"]
    assert [p.name for p in pictures(map(Path, names))] == ["f009.jpg", "f9.PNG", "f10.jpg"]


def test_clips_that_are_too_short(tmp_path: Path) -> None:
    for number in range(4):
        assert clip_media(tmp_path, 1) is None
        (tmp_path / f"{number}.jpg").touch()
    media = clip_media(tmp_path, 3)
    assert not isinstance(media, VideoSpan | None)
    assert len(media) == 4
