"""Texts about walking people as a camera and as a LiDAR see them, and what is wrong with a text that is not.

Every round is one way of saying it: its eight texts differ in the view alone, so that retrieving one of them tells the
view and not the wording. Raise VERSION with every change of a word.
"""

import re

from unbraid.text.captions import Caption
from unbraid.text.prompts import MOST_WORDS
from unbraid.text.words import found_in

VERSION = "gait-1"
VIEWS = ("front", "front-left", "left", "back-left", "back", "back-right", "right", "front-right")
SENSORS = ("silhouette", "depth")

PICTURES: dict[str, tuple[str, ...]] = {
    "silhouette": (
        "binary silhouette",
        "silhouette mask",
        "binary mask",
        "black-and-white silhouette",
        "white silhouette",
    ),
    "depth": ("depth map", "depth image", "range image", "distance map", "projected depth map"),
}
PERSONS = ("person", "pedestrian", "human")
WALKING = ("walking", "walking along", "taking steps", "in mid-stride")
SIDES = ("the {side}", "the {side} side", "a {side} angle")

TEMPLATES: dict[str, tuple[str, ...]] = {
    "silhouette": (
        "a photo of the {picture} of a {person} {walking}, seen from {view}",
        "a camera image from {view}: {picture} of a {person} {walking}",
        "the {picture} of a {person} who is {walking}, viewed from {view} by a camera",
        "from {view}, a camera shows a {person} {walking} as a {picture}",
        "this photo is a {picture} and shows a {person} {walking}, from {view}",
        "a {person} {walking}, photographed from {view} and cut out as a {picture}",
        "a {picture} taken by a camera from {view} while a {person} is {walking}",
        "seen by a camera from {view}, a {person} {walking}, drawn as a {picture}",
        "a photo reduced to the {picture} of a {person} {walking}, from {view}",
        "one frame of a camera, a {picture}: a {person} {walking}, viewed from {view}",
        "with the camera we look from {view} at the {picture} of a {person} {walking}",
        "someone {walking}, recorded from {view} by a camera as a {picture}",
        "a flat {picture} out of a photo of a {person} {walking}, seen from {view}",
        "photo from {view}: a {person} {walking}, nothing but a {picture}",
        "what a camera sees from {view} is the {picture} of a {person} {walking}",
        "a {picture} made from a photo, showing a {person} {walking} from {view}",
    ),
    "depth": (
        "a LiDAR-based {picture} of a {person} {walking}, seen from {view}",
        "a laser image from {view}: {picture} of a {person} {walking}",
        "the {picture} of a {person} who is {walking}, viewed from {view} by LiDAR",
        "from {view}, a LiDAR shows a {person} {walking} as a {picture}",
        "this laser scan is a {picture} and shows a {person} {walking}, from {view}",
        "a {person} {walking}, measured by laser from {view} and drawn as a {picture}",
        "a {picture} taken by LiDAR from {view} while a {person} is {walking}",
        "seen by a laser scanner from {view}, a {person} {walking}, shaded by distance in a {picture}",
        "laser points turned into the {picture} of a {person} {walking}, from {view}",
        "one sweep of a LiDAR, a {picture}: a {person} {walking}, viewed from {view}",
        "with the LiDAR we look from {view} at the {picture} of a {person} {walking}",
        "someone {walking}, recorded from {view} by a LiDAR as a {picture}",
        "a {picture} of laser echoes of a {person} {walking}, seen from {view}",
        "LiDAR from {view}: a {person} {walking}, nothing but a {picture}",
        "what a laser scanner sees from {view} is the {picture} of a {person} {walking}",
        "a {picture} made from laser points, showing a {person} {walking} from {view}",
    ),
}
MOST_ROUNDS = len(TEMPLATES["silhouette"])

# Words that tell a sensor, and a direction.
TELL: dict[str, str] = {
    "silhouette": r"photo\w*|camera\w*|silhouette\w*|binary|mask\w*|outline\w*|contour\w*|black[- ]and[- ]white",
    "depth": r"lidar\w*|laser\w*|depth\w*|range (?:image|map)s?|distance\w*|scan(?:s|ned|ner|ners|ning)?|point clouds?",
}
DIRECTIONS: dict[str, str] = {
    "front": "front|frontal|head-on",
    "back": "back|rear|behind",
    "left": "left|left-hand",
    "right": "right|right-hand",
}
# Lists of `words` that have no place in a text about nobody.
FOREIGN = ("body", "hair", "garment", "thing", "origin", "refusal")


def gait_texts(rounds: int) -> dict[str, dict[str, tuple[str, ...]]]:
    """The first rounds of the library's texts by modality and view; at most MOST_ROUNDS."""
    return {
        modality: {view: tuple(_text(modality, view, number) for number in range(rounds)) for view in VIEWS}
        for modality in SENSORS
    }


def _text(modality: str, view: str, number: int) -> str:
    return TEMPLATES[modality][number].format(
        picture=PICTURES[modality][number % len(PICTURES[modality])],
        person=PERSONS[number % len(PERSONS)],
        walking=WALKING[number % len(WALKING)],
        view=SIDES[number // 2 % len(SIDES)].format(side=view.replace("-", " ")),
    )


def wrong_with(text: str, modality: str, view: str) -> str:
    """Why a text cannot stand for a view seen by one of SENSORS; '' when it can.

    It must name its own sensor and view and no other, be short enough for CLIP, and describe nobody.
    """
    found = {name: re.search(rf"\b(?:{words})\b", text, re.IGNORECASE) for name, words in TELL.items()}
    if not found[modality]:
        return "it does not say what kind of picture it is"
    for name, match in found.items():
        if name != modality and match:
            return f"{match[0]!r} belongs to the other sensor"
    for name, words in DIRECTIONS.items():
        said = re.search(rf"\b(?:{words})\b", text, re.IGNORECASE)
        if said and name not in view.split("-"):
            return f"{said[0]!r} is another view than {view}"
        if not said and name in view.split("-"):
            return f"it does not say that the view is {view}"
    if len(text.split()) > MOST_WORDS:
        return f"it has more than {MOST_WORDS} words"
    for one in found_in(Caption(view, "motion", text, {})):
        if one.category in FOREIGN:
            return f"{one.word!r} describes somebody; these texts are about nobody"
    return ""


def opposite(view: str) -> str:
    """The view from the other side."""
    return VIEWS[(VIEWS.index(view) + len(VIEWS) // 2) % len(VIEWS)]
