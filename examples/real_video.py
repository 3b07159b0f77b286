"""Sanity checks on real video: does the line hold from pixels to a report? Never quote these as accuracy.

    python examples/real_video.py --run demo/run --out real [--one-by-one VIDEO --episodes JSON] [--street VIDEO]

--one-by-one: people who pass one after the other. --episodes: JSON list of {"start", "end"} frame numbers, one person
each. The first half of each episode is the gallery, the second half the query.
--street: several people at once and no identities. People seen at the same time are certainly different, so the two
halves of a track should be more alike than halves of simultaneous tracks.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from unbraid.checkpoint import load_method, open_run
from unbraid.data.media import read_frames
from unbraid.data.protocols import PLAIN
from unbraid.data.sets.folder import INDEX, read
from unbraid.evaluate import evaluate
from unbraid.extract import extract
from unbraid.protocol import Protocol, Rule, same
from unbraid.report import Check, Evidence, report, scatter_pictures, strip_pictures
from unbraid.report.gather import join
from unbraid.spaces import Embeddings
from unbraid.track import track
from unbraid.tracklet import Images, Tracklet

Half = tuple[list[Tracklet], list[Tracklet]]


def tracked(video: Path, out: Path) -> list[Tracklet]:
    """Tracklets of a video, found once and read back afterwards."""
    folder = out / video.stem
    return list(read(folder if (folder / INDEX).exists() else track(video, folder)).gallery)


def cut(person: Tracklet, middle: int, identity: str) -> tuple[Tracklet, Tracklet]:
    """The frames of a tracklet before and from frame number `middle` of its video."""
    if not isinstance(person.media, Images):
        raise ValueError(f"{person.key}: expected image files")
    place = round((middle - int(person.labels["start"])) / span(person) * len(person))
    place = min(max(place, 1), len(person) - 1)
    first, second = person.media.paths[:place], person.media.paths[place:]
    return (
        replace(person, key=f"{person.key}-first", media=Images(first), identity=identity),
        replace(person, key=f"{person.key}-second", media=Images(second), identity=identity),
    )


def span(person: Tracklet) -> int:
    """Number of video frames from the start to the stop of a tracklet."""
    return int(person.labels["stop"]) - int(person.labels["start"])


def one_by_one(people: list[Tracklet], episodes: list[dict[str, int]]) -> Half:
    """Gallery and query halves of the longest tracklet inside each episode."""
    gallery, query = [], []
    for number, episode in enumerate(episodes):
        inside = [p for p in people if episode["start"] <= int(p.labels["start"]) < episode["end"]]
        if not inside:
            raise ValueError(f"nobody was found in episode {number}, frames {episode['start']} to {episode['end']}")
        first, second = cut(max(inside, key=span), (episode["start"] + episode["end"]) // 2, f"person {number}")
        gallery.append(first)
        query.append(second)
    return gallery, query


def simultaneous(people: list[Tracklet]) -> np.ndarray:
    """people x people, True where two different tracklets share a frame."""
    start = np.array([int(p.labels["start"]) for p in people])
    stop = np.array([int(p.labels["stop"]) for p in people])
    overlap = (start[:, None] < stop[None]) & (start[None] < stop[:, None])
    return overlap & ~np.eye(len(people), dtype=bool)


def looking_at(tracklets: list[Tracklet]) -> Callable[[str], np.ndarray]:
    """A function from the key of a tracklet to its middle frame."""
    known = {t.key: t for t in tracklets}
    return lambda key: read_frames(known[key].media, [len(known[key]) // 2])[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--one-by-one", type=Path)
    parser.add_argument("--episodes", type=Path)
    parser.add_argument("--street", type=Path)
    options = parser.parse_args()
    if bool(options.one_by_one) != bool(options.episodes):
        parser.error("--one-by-one and --episodes go together")
    method, data = load_method(options.run), open_run(options.run).recipe.data
    checks: list[Check] = []
    pictures = []

    def embed(tracklets: list[Tracklet]) -> Embeddings:
        return extract(method, tracklets, data, origin={"synthetic": "false"})

    if options.one_by_one:
        episodes = json.loads(options.episodes.read_text())
        gallery, query = one_by_one(tracked(options.one_by_one, options.out), episodes)
        found, known = embed(query), embed(gallery)
        result = evaluate(found, known, PLAIN, similarity=method.similarity)
        right = round(result.rank_1 * len(query))
        checks.append(Check(f"{options.one_by_one.stem}: people found again", right, len(query), right == len(query)))
        pictures += strip_pictures(found, known, PLAIN, looking_at([*gallery, *query]), rows=len(query), k=len(gallery))
        pictures += scatter_pictures(join(found, known), ("identity",))
    if options.street:
        people = [p for p in tracked(options.street, options.out) if len(p) >= 2]
        halves = [cut(p, (int(p.labels["start"]) + int(p.labels["stop"])) // 2, p.key) for p in people]
        first, second = (embed([pair[side] for pair in halves]) for side in (0, 1))
        similarity = method.similarity(second.spaces, first.spaces).numpy()
        others = simultaneous(people)
        at_once = Rule("simultaneous()", lambda query, gallery: lambda rows: others[rows])
        crowded = Protocol("simultaneous", hit=same("identity"), skip=~(same("identity") | at_once))
        look = looking_at([half for pair in halves for half in pair])
        pictures += strip_pictures(second, first, crowded, look, rows=6, k=6)
        own = np.diagonal(similarity)
        crowd = others.any(1)
        nearest = np.where(others, similarity, -np.inf).max(1)
        nearer = (own > nearest)[crowd]
        within, between = float(own[crowd].mean()), float(similarity[others].mean())
        name = options.street.stem
        checks += [
            Check(f"{name}: tracks", len(people)),
            Check(f"{name}: mean similarity of two halves of a track", within, "more than between", within > between),
            Check(f"{name}: mean similarity of simultaneous tracks", between),
            Check(
                f"{name}: tracks nearest to their own other half",
                f"{nearer.sum()} of {len(nearer)}",
            ),
        ]
    page = report(
        Evidence(
            "Real video: sanity checks",
            checks=checks,
            pictures=pictures,
            notes=["Trained on synthetic people only. These checks say that the line holds, not how accurate it is."],
        ),
        options.out / "report.html",
    )
    for check in checks:
        print(f"{check.name}: {check.value}" + ("" if check.passed is None else " ok" if check.passed else " NOT MET"))
    print(f"Report: {page.resolve()}")


if __name__ == "__main__":
    main()
