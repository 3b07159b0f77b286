"""Sentences for what is said about a tracklet: eight ways per aspect, the last two kept for people of the test.

Every template of an aspect tells every factor of the aspect, and has no word of another aspect.
"""

import re
from collections.abc import Callable

from unbraid.world.text.words import Words

HELD_OUT = 2
TEMPLATES: dict[str, tuple[str, ...]] = {
    "biometric": (
        "a(n) {person} of {stature} stature with a(n) {build} build, {muscles} muscles and {shape} proportions",
        "this {person} is {height}, with a(n) {build} build, {muscles} muscles and {shape} proportions",
        "body: {sex}, {height}, {build} build, {muscles} muscles, {shape} proportions",
        "an adult, {sex}, {height}, with {muscles} muscles, {shape} proportions and a(n) {build} build",
        "a(n) {build} build with {muscles} muscles and {shape} proportions marks this {person}, who is {height}",
        "the {person} is {height}; the build is {build}, the muscles are {muscles}, the proportions {shape}",
        "{shape} proportions, {muscles} muscles and a(n) {build} build belong to a(n) {person} who is {height}",
        "somebody {height}: a(n) {person} of {build} build, with {shape} proportions and {muscles} muscles",
    ),
    "motion": (
        "a person {action} with {manner}",
        "someone is {action}, with {reversed}",
        "movement: {action}, {manner}",
        "the person is {action} and shows {reversed}",
        "with {manner}, the person is {action}",
        "this is somebody {action}; one notices {reversed}",
        "while {action}, this person shows {manner}",
        "there is {reversed} in the way somebody is {action}",
    ),
    "clothing": (
        "a person wearing {outfit}",
        "someone dressed in {outfit}",
        "clothes: {outfit}",
        "the person wears {top} together with {rest}",
        "{upwards} are worn by this person",
        "the outfit is {top}, combined with {rest}",
        "from bottom to top, the clothes are {upwards}",
        "somebody chose {top} to go with {rest}",
    ),
    "hair": (
        "a person with {hair}",
        "the hair is {colour} and {worn}",
        "hair: {colour}, {worn}",
        "someone whose hair is {worn} and {colour}",
        "the person has {hair}",
        "{hair} on the head of a person",
        "{colour} is the colour of the hair, which is {worn}",
        "somebody is seen to have {hair}",
    ),
    "pose": (
        "a person {posture}, seen from {view}",
        "viewed from {view}, someone is {posture}",
        "pose: {posture}, seen from {view}",
        "someone {posture}; we look from {view}",
        "from {view} one sees a person {posture}",
        "{view} of the body faces us, and the person is {posture}",
        "somebody shows us {view} of the body while {posture}",
        "looking from {view}, there is somebody {posture}",
    ),
    "interaction": (
        "a person carrying {things}",
        "the person carries {things}",
        "someone who has {things} to carry",
        "carried along: {things}",
        "what the person has along is {things}",
        "a person taking along {things}",
        "{things}: this is what somebody carries",
        "somebody is seen with {things}",
    ),
    "environment": (
        "a person {place} {light}{image}",
        "{place} {light}, someone was recorded{image}",
        "surroundings: {place}, {light}{image}",
        "the scene lies {place} and is seen {light}{image}",
        "someone {place}, recorded {light}{image}",
        "{light}, a person was {place}{image}",
        "recorded {light}, somebody is {place}{image}",
        "{place}, there is somebody {light}{image}",
    ),
    "modality": (
        "a {picture} of a person {action}, seen from {view}",
        "a {other} showing someone who is {action}, from {view}",
        "from {view}: a {picture} of a person {action}",
        "a person {action} in a {other}, seen from {view}",
        "this {picture} shows someone {action}, viewed from {view}",
        "a {other} taken from {view} of a person {action}",
        "somebody {action} and seen from {view}, recorded as a {picture}",
        "viewed from {view}, somebody is {action} in this {other}",
    ),
}
PICTURES = {
    "rgb": ("photo", "camera picture"),
    "silhouette": ("binary silhouette", "silhouette mask"),
    "depth": ("LiDAR depth map", "laser depth image"),
}
ACTING = {
    "walk": "walking",
    "run": "running",
    "jump": "jumping",
    "squat": "squatting down",
    "wave": "waving",
    "reach": "reaching up",
    "kick": "kicking",
    "turn": "turning around",
    "carry": "walking in a carrying posture",
}
POSTURES = {
    "stepping": "stepping",
    "jumping": "bending or stretching the knees",
    "crouching": "crouching",
    "arm raised": "raising an arm",
    "leg raised": "raising a leg",
    "standing": "standing",
}
LEANS = {"backwards": "a backward lean", "upright": "an upright trunk", "forwards": "a forward lean"}
HAIRS = {"medium": "of medium length", "bun": "tied in a bun"}
TOPS = {"uniform": "uniform vest"}


def sentence(aspect: str, template: int, words: Words, modality: str) -> str:
    """The words of an aspect in one of its templates, with articles, a capital letter and a full stop."""
    slots = SLOTS[aspect](words)
    slots["picture"], slots["other"] = PICTURES[modality]
    text = re.sub(r"\ba\(n\) (?=(\w+))", _article, TEMPLATES[aspect][template].format_map(slots))
    return text[0].upper() + text[1:] + "."


def _article(found: re.Match[str]) -> str:
    return "an " if found[1][0].lower() in "aeiou" else "a "


def _listed(things: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)


def _biometric(words: Words) -> Words:
    stature = words["stature"].split()[0]
    return {
        "sex": words["sex"],
        "person": {"female": "woman", "male": "man"}[words["sex"]],
        "stature": stature,
        "height": "of medium height" if stature == "medium" else stature,
        "build": words["weight"].split()[0],
        "muscles": {"soft": "soft", "average muscle": "average", "muscular": "strong"}[words["muscle"]],
        "shape": words["proportions"].split()[0],
    }


def _motion(words: Words) -> Words:
    parts = [
        words.get("arm_swing", "") and f"{words['arm_swing']} arm swing",
        words.get("stride", "") and f"{words['stride']} steps",
        f"a {words['cadence']} pace",
        words.get("lean", "") and LEANS[words["lean"]],
    ]
    told = [part for part in parts if part]
    return {"action": _acting(words["action"]), "manner": _listed(told), "reversed": _listed(told[::-1])}


def _clothing(words: Words) -> Words:
    first, second = words["top_colour"], words.get("second_colour", "")
    garment = TOPS.get(words["top"], words["top"])
    top = {
        "plain": f"plain {first} {garment}",
        "open front": f"{first} {garment} worn open over {second}",
        "two halves": f"half {first} and half {second} {garment}",
    }.get(words["pattern"], f"{first} {garment} with {second} {words['pattern']}")
    rest = [f"{words['bottom_colour']} {words['bottom']}", f"{words['shoe_colour']} shoes"]
    hat = [f"a(n) {words['hat_colour']} {words['hat']}"] if "hat_colour" in words else []
    return {
        "top": f"a(n) {top}",
        "rest": _listed([*rest, *hat]),
        "outfit": _listed([f"a(n) {top}", *rest, *hat]),
        "upwards": _listed([*reversed(rest), f"a(n) {top}", *hat]),
    }


def _hair(words: Words) -> Words:
    style, colour = words["hair"], words["hair_colour"]
    worn = HAIRS.get(style, style)
    return {
        "hair": f"{colour} hair {worn}" if style in HAIRS else f"{style} {colour} hair",
        "worn": worn,
        "colour": colour,
    }


def _pose(words: Words) -> Words:
    return {"view": _side(words["view"]), "posture": POSTURES[words["posture"]]}


def _interaction(words: Words) -> Words:
    things = []
    if words["bag"] != "none":
        things.append(f"a(n) {words.get('bag_colour', '')} {words['bag']}")
    if words["held"] != "nothing":
        things.append(f"a(n) {words.get('held_colour', '')} {words['held']}")
    return {"things": _listed([" ".join(thing.split()) for thing in things] or ["nothing"])}


def _environment(words: Words) -> Words:
    return {
        "place": f"{'on' if words['place'] == 'street' else 'in'} a {words['place']}",
        "light": {"day": "by day", "night": "at night"}[words["light"]],
        "image": f", in a {words['sharpness']} image" if "sharpness" in words else "",
    }


def _modality(words: Words) -> Words:
    return {"view": _side(words["view"]), "action": _acting(words["action"])}


def _acting(action: str) -> str:
    """A participle; sources of motion may know actions that have none here."""
    return ACTING.get(action, f"performing {action}")


def _side(view: str) -> str:
    return f"the {view.replace('-', ' ')}"


SLOTS: dict[str, Callable[[Words], Words]] = {
    "biometric": _biometric,
    "motion": _motion,
    "clothing": _clothing,
    "hair": _hair,
    "pose": _pose,
    "interaction": _interaction,
    "environment": _environment,
    "modality": _modality,
}
