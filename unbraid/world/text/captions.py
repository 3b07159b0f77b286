"""Captions of the synthetic people from the true factors, one text per tracklet and aspect."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from unbraid.text.captions import Caption
from unbraid.world.clothes.wardrobe import Outfit
from unbraid.world.config import NAMED_VIEWS, WorldConfig
from unbraid.world.people.person import TEST, Person
from unbraid.world.plan import Shot
from unbraid.world.seeds import Purpose, stream
from unbraid.world.sensors.scene import PLACES
from unbraid.world.text.templates import HELD_OUT, TEMPLATES, sentence
from unbraid.world.text.words import (
    biometric_words,
    clothing_words,
    environment_words,
    hair_words,
    interaction_words,
    mistaken,
    motion_words,
    pose_words,
    said,
)

ASPECTS = ("biometric", "motion", "clothing", "hair", "pose", "interaction", "environment", "modality")
# what a picture without colours and surroundings can tell
SHAPE_ASPECTS = ("biometric", "motion", "pose", "interaction", "modality")
MODALITIES = ("rgb", "silhouette", "depth")
VERSION = 1


@dataclass(frozen=True)
class SharedTexts:
    """How far true texts tell people apart: N people have `texts` different ones, `sharing` of the people have theirs
    in common with somebody, `largest` people have one and the same."""

    people: int
    texts: int
    sharing: int
    largest: int


def captions(
    config: WorldConfig,
    shot: Shot,
    someone: Person,
    outfit: Outfit,
    place: str,
    modality: str,
    *,
    blur: float | None = None,
) -> list[Caption]:
    """One caption per aspect that the modality can tell, in the order of ASPECTS.

    place: the kind of surroundings of the camera, one of PLACES. modality: 'rgb', 'silhouette' or 'depth'; the last
    two tell SHAPE_ASPECTS only, and no colours. blur: of the camera in pixels of a 256-pixel-tall frame; without it
    nothing is said about sharpness.

    The text of every tracklet, modality and aspect has chance of its own, which knows the place in the plan but
    nothing about the person: a template (people of the test have the held-out ones only) and wrong words at
    `config.word_errors`. What is true of a body is the same in all captions of its person.

    Their source is {"model": "world", "version": ..., "template": number of the template, "wrong_words": how many of
    the words are not true}.

    Source: aspects are the perspectives of DIFFER (biometric, hair, clothing, pose, interaction, environment), the
    motion text of DisenQ and the sensor and view text of TCFDNet; wording, levels and errors are not in a paper,
    chosen because texts must tell the factors and no more.

    Raises ValueError for an unknown modality or place.
    """
    aspects = aspects_of(modality)
    if place not in PLACES:
        raise ValueError(f"captions of {shot.key}: no place {place!r}; known are {', '.join(PLACES)}")
    key = shot.key if modality == "rgb" else f"{shot.key}-{modality}"
    held, pose = shot.held, pose_words(config, shot)
    true = {
        "biometric": biometric_words(someone),
        "motion": motion_words(someone, shot.action, held),
        "pose": pose,
        "interaction": interaction_words(outfit, held, colours=modality == "rgb"),
        "modality": {"action": shot.action, "view": pose["view"]},
    }
    if modality == "rgb":
        true["clothing"] = clothing_words(outfit)
        true["hair"] = hair_words(config, someone, outfit)
        true["environment"] = environment_words(shot, place, blur)
    found = []
    for aspect in aspects:
        numbers = (MODALITIES.index(modality), ASPECTS.index(aspect))
        random = stream(config.seed, Purpose.CAPTION, *shot.place, *numbers)
        usual = len(TEMPLATES[aspect]) - HELD_OUT
        template = int(usual + random.integers(HELD_OUT) if shot.place[0] == TEST else random.integers(usual))
        words = said(mistaken(true[aspect], config.word_errors, random))
        wrong = sum(word != true[aspect][factor] for factor, word in words.items())
        source: dict[str, str | int] = {"model": "world", "version": VERSION, "template": template}
        found.append(Caption(key, aspect, sentence(aspect, template, words, modality), source | {"wrong_words": wrong}))
    return found


def aspects_of(modality: str) -> tuple[str, ...]:
    """The aspects that pictures of a modality can tell. Raises ValueError for an unknown modality."""
    if modality not in MODALITIES:
        raise ValueError(f"captions: no modality {modality!r}; known are {', '.join(MODALITIES)}")
    return ASPECTS if modality == "rgb" else SHAPE_ASPECTS


def shared_texts(people: Iterable[Person], aspects: Iterable[str] = ("biometric",)) -> SharedTexts:
    """How many people have the same true words about the aspects 'biometric', 'motion' or both (of a plain walk).

    Raises ValueError for an aspect that is not about the person.
    """
    wanted = tuple(aspects)
    unknown = [aspect for aspect in wanted if aspect not in ("biometric", "motion")]
    if unknown:
        raise ValueError(f"texts about {unknown[0]!r} are not about the person; ask for 'biometric' or 'motion'")
    counts: Counter[tuple[str, ...]] = Counter()
    for someone in people:
        words = {"biometric": biometric_words(someone), "motion": motion_words(someone, "walk", "nothing")}
        counts[tuple(word for aspect in wanted for word in words[aspect].values())] += 1
    sizes = counts.values()
    return SharedTexts(
        people=sum(sizes), texts=len(counts), sharing=sum(n for n in sizes if n > 1), largest=max(sizes, default=0)
    )


def view_texts(modality: str, *, rounds: int = 4) -> list[str]:
    """A dictionary of texts about the sensor and the view of somebody walking: 8 views x `rounds` paraphrases.

    The texts of a view follow each other: text number v * rounds + r is about view v of NAMED_VIEWS. All are
    different. Source: TCFDNet, its text dictionary per modality with 8 views and several rounds of paraphrases;
    its wording is not public and this is our own.

    Raises ValueError for an unknown modality or more rounds than there are templates.
    """
    aspects_of(modality)
    most = len(TEMPLATES["modality"])
    if not 1 <= rounds <= most:
        raise ValueError(f"view texts: rounds = {rounds} is outside 1 to {most}, the number of paraphrases there are")
    return [
        sentence("modality", number, {"view": view, "action": "walk"}, modality)
        for view in NAMED_VIEWS.values()
        for number in range(rounds)
    ]
