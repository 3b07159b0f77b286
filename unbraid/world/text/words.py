"""What can truly be said about a tracklet, as factor words with few levels, and the errors of whoever says it.

A factor is one thing that has one word, such as 'stature' or 'top_colour'. Continuous factors have three words only,
so that a text is no code for who somebody is; `captions.shared_texts` counts how far that holds. (Body and motion
together still tell almost everybody apart among a few hundred people.)
"""

from collections.abc import Mapping
from typing import get_args

import numpy as np

from unbraid.world.clothes.garments import hair_tone
from unbraid.world.clothes.holding import Held
from unbraid.world.clothes.wardrobe import (
    BAGS,
    BOTTOM_COLOURS,
    BOTTOMS,
    COLOURS,
    HAIR_COLOURS,
    HAIRS,
    HATS,
    LONG_TOPS,
    PATTERNS,
    SHOE_COLOURS,
    SHORT_TOPS,
    Outfit,
    hair_word,
)
from unbraid.world.config import ACTIONS, NAMED_VIEWS, WorldConfig, view_angle
from unbraid.world.people.person import WORDS as BODY_WORDS
from unbraid.world.people.person import Person, own_hair
from unbraid.world.people.person import words as body_words
from unbraid.world.plan import Shot
from unbraid.world.sensors.scene import PLACES

Words = dict[str, str]

# Inner borders of the three words: about thirds of the ranges that styles are drawn from (gains; radians for lean,
# where the lowest word needs a lean that is really backwards), and of the blur of cameras (pixels of a 256-pixel-tall
# frame).
STYLE_BORDERS = {"arm_swing": (0.80, 1.25), "stride": (0.94, 1.06), "cadence": (0.96, 1.06), "lean": (-0.03, 0.11)}
BLUR_BORDERS = (0.53, 0.72)
STEPPING = ("walk", "run", "carry")
ARMS_FREE = ("walk", "run")
BENDING = ("squat", "jump")

# All words of each factor; a wrong word is another one of the same row.
VOCABULARY: dict[str, tuple[str, ...]] = {
    "sex": ("female", "male"),
    "stature": ("short", "medium height", "tall"),
    **BODY_WORDS,
    "action": ACTIONS,
    "arm_swing": ("little", "moderate", "wide"),
    "stride": ("short", "medium", "long"),
    "cadence": ("slow", "medium", "quick"),
    "lean": ("backwards", "upright", "forwards"),
    "top": (*SHORT_TOPS, *LONG_TOPS, "uniform"),
    "top_colour": tuple(COLOURS),
    "pattern": tuple(PATTERNS),
    "second_colour": tuple(COLOURS),
    "bottom": tuple(BOTTOMS),
    "bottom_colour": BOTTOM_COLOURS,
    "shoe_colour": SHOE_COLOURS,
    "hat": tuple(HATS),
    "hat_colour": tuple(COLOURS),
    "hair": tuple(HAIRS),
    "hair_colour": tuple(HAIR_COLOURS),
    "view": tuple(NAMED_VIEWS.values()),
    "posture": ("stepping", "jumping", "crouching", "arm raised", "leg raised", "standing"),
    "bag": ("none", *BAGS),
    "bag_colour": tuple(COLOURS),
    "held": get_args(Held),
    "held_colour": tuple(COLOURS),
    "place": PLACES,
    "light": ("day", "night"),
    "sharpness": ("sharp", "slightly blurred", "blurred"),
}
POSTURES = {
    "jump": "jumping",
    "squat": "crouching",
    "wave": "arm raised",
    "reach": "arm raised",
    "kick": "leg raised",
    "turn": "standing",
}


def biometric_words(someone: Person) -> Words:
    """Sex (the generator's label), stature, weight, muscle and proportions: the same in every tracklet.

    Five words and not six: with the age, most people of a benchmark would have a text of their own.
    """
    return {name: word for name, word in body_words(someone.shape).items() if name != "age"}


def motion_words(someone: Person, action: str, held: Held) -> Words:
    """What is done and how. Steps are told where there are any, the swing of the arms where both are free, and
    the lean where the action itself does not bend the trunk."""
    levels = {name: _level(getattr(someone.style, name), borders) for name, borders in STYLE_BORDERS.items()}
    told = {
        "arm_swing": action in ARMS_FREE and held == "nothing",
        "stride": action in STEPPING,
        "cadence": True,
        "lean": action not in BENDING,
    }
    return {"action": action} | {name: VOCABULARY[name][levels[name]] for name, seen in told.items() if seen}


def clothing_words(outfit: Outfit) -> Words:
    """Garments with their colours and pattern."""
    names = ("top", "top_colour", "pattern", "second_colour", "bottom", "bottom_colour", "shoe_colour")
    return {name: getattr(outfit, name) for name in (*names, "hat", "hat_colour")}


def hair_words(config: WorldConfig, someone: Person, outfit: Outfit) -> Words:
    """Style and colour of the hair that is seen: of the outfit, the person's own, or a mixture."""
    share = config.appearance_identity
    tone = hair_tone(outfit, someone.hair, share)
    return {"hair": own_hair(outfit, someone, share).hair, "hair_colour": hair_word(tone)}


def pose_words(config: WorldConfig, shot: Shot) -> Words:
    """View and the posture that belongs to the action; nothing personal."""
    return {"view": named_view(config, shot.view), "posture": POSTURES.get(shot.action, "stepping")}


def interaction_words(outfit: Outfit, held: Held, *, colours: bool) -> Words:
    """Bag and held thing; with their colours where the sensor sees colours."""
    things: Words = {"bag": outfit.bag, "held": held}
    return things | ({"bag_colour": outfit.bag_colour, "held_colour": outfit.held_colour} if colours else {})


def environment_words(shot: Shot, place: str, blur: float | None) -> Words:
    """Place and light, and sharpness where the blur of the camera is given."""
    found = {"place": place, "light": "night" if shot.night else "day"}
    return found | ({} if blur is None else {"sharpness": VOCABULARY["sharpness"][_level(blur, BLUR_BORDERS)]})


def named_view(config: WorldConfig, view: int) -> str:
    """The nearest of the eight named views, for worlds with any number of views."""
    return NAMED_VIEWS[45 * (int(view_angle(config, view) / 45 + 0.5) % 8)]


def mistaken(words: Mapping[str, str], rate: float, random: np.random.Generator) -> Words:
    """The words with every one replaced, with probability `rate`, by another word of its factor.

    Both numbers of a word are always drawn, so that a higher rate adds errors and keeps those of a lower one. Errors
    are independent and every other word is equally likely; a vision-language model confuses neighbours more often.
    Source: not in a paper; chosen because it makes the rate exact. Raises KeyError for an unknown factor.
    """
    changed = dict(words)
    for factor, word in words.items():
        chance, which = random.random(2)
        others = [other for other in VOCABULARY[factor] if other != word]
        if chance < rate:
            changed[factor] = others[int(which * len(others))]
    return changed


def said(words: Words) -> Words:
    """The words without the colours of what is not there: a plain top has no second colour, no bag no colour."""
    absent = {
        "second_colour": words.get("pattern") == "plain",
        "hat_colour": words.get("hat") == "none",
        "bag_colour": words.get("bag") == "none",
        "held_colour": words.get("held") != "umbrella",
    }
    return {factor: word for factor, word in words.items() if not absent.get(factor, False)}


def _level(value: float, borders: tuple[float, float]) -> int:
    """0, 1 or 2: how many borders lie at or below the value."""
    return sum(value >= border for border in borders)
