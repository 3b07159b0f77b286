"""Words that stand in a caption of the wrong aspect: found, counted, and taken out on request.

The lists are short and hold words that mean one thing. A caption without findings may still tell what it should not
("built like a wrestler"); a finding may be harmless. So the report gives examples, and nothing is changed unasked.

Source: own lists; not in a paper, chosen because a text that tells two aspects teaches to keep what should be parted.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from unbraid.text.captions import ASPECTS, EXAMPLES, MOTION, Caption

FEWEST_WORDS = 3

# Plain words match with a plural ending; a star stands for any ending; what is in slashes is a regular expression.
LISTS: dict[str, str] = {
    "body": "/(?:wo)?m[ae]n/ male female girl boy lady ladies /gentlem[ae]n/ guy he she him his her himself herself"
    " /years? old/ /old(?:er)? (?:adult|person|people)/ young* middle-aged elderly aged teen* child children kid"
    " toddler adult senior stature height build built physique heavyset overweight obese stocky muscular muscle skinny"
    " slender athletic gender sex broad-shouldered proportion"
    " /tall(?:er)?(?! (?:building|tree|grass|wall|plant|hedge|boots?))/"
    " /slim(?![- ](?:fit|cut|line|leg|jeans|trousers|pants))/",
    "hair": "hair haired hairstyle haircut bald* beard bearded moustache mustache ponytail pigtail bun braid curl*"
    " /bangs/ blond* brunette stubble shaven goatee dreadlock",
    "garment": "shirt t-shirt tshirt sweatshirt hoodie sweater jumper jumpsuit jacket coat vest dress dressed skirt"
    " trouser pant jean /shorts/ legging suit blouse cardigan uniform necktie sock shoe sneaker boot sandal trainer"
    " hat cap beanie scarf scarves glove belt hood collar sleeve sleeveless sunglasses clothes clothing cloth outfit"
    " garment attire parka pullover polo wear wearing wore denim striped plaid /tank tops?/",
    "colour": "colour* color* black white grey gray navy blue teal green olive yellow orange red burgundy maroon pink"
    " purple violet brown beige khaki turquoise silver",
    "posture": "stand standing stood sit sitting seated walk /walking(?! (?:shoe|boot|stick))/ walked"
    " /running(?! (?:shoe|track))/ /runs/ jogging jump jumping lean leaning crouch* squat* bend bending bent kneel*"
    " stepping waving reaching kicking turning raising raised posture pose facing strolling",
    "manner": "pace stride gait swing* swung brisk* slow* quick* fast speed hurried* leisurely limp*",
    "thing": "bag backpack rucksack handbag purse briefcase suitcase umbrella phone smartphone box book bottle cup"
    " luggage stroller pram dog leash laptop cigarette",
    "handling": "hold holding carry carries carrying carried pushing pulling dragging grasping gripping",
    "scene": "street road park hall hallway corridor yard room indoor* outdoor* building pavement sidewalk tree grass"
    " background shop store mall office station campus sunny daylight daytime night lighting bench staircase car"
    " /walls?/ /floors?(?!-length)/ /sky(?!-? ?blue)/",
    "origin": "asian caucasian african european hispanic latino latina arab ethnic* complexion /skin(?!-? ?tight)/",
    "name": "name named identity celebrity famous mister mr mrs ms",
    "refusal": "sorry unable unclear /cannot/ /can.t/ /as an ai/",
}
# What an aspect may tell, of the lists above. The last three belong nowhere.
MAY_TELL: dict[str, frozenset[str]] = {
    "biometric": frozenset({"body"}),
    "hair": frozenset({"hair", "colour"}),
    "clothing": frozenset({"garment", "colour"}),
    "pose": frozenset({"posture"}),
    "interaction": frozenset({"thing", "handling", "colour"}),
    "environment": frozenset({"scene", "colour"}),
    MOTION: frozenset({"posture", "manner", "handling"}),
}
# a digit, a capitalised word inside a sentence, two capitals in a row: counts, names, what is written on clothes
MARKS = r"\d(?:[\w.,]*\w)?|(?<![.!?:\"'\u201c] )(?<!^)(?<![\w'-])(?<!\u2019)[A-Z][a-z]+(?![\w])|\b[A-Z]{2,}\b"

NEUTRAL = {
    **dict.fromkeys(("man", "woman", "guy", "girl", "boy", "lady", "gentleman", "adult", "child", "kid"), "person"),
    **dict.fromkeys(("men", "women", "girls", "boys", "adults", "children", "kids"), "people"),
    **dict.fromkeys(("he", "she", "him"), "the person"),
    **dict.fromkeys(("his", "her"), "the person's"),
}


@dataclass(frozen=True)
class Finding:
    """A word of a list that the caption's aspect must not tell, `start` characters into its text."""

    caption: Caption
    category: str
    word: str
    start: int


@dataclass(frozen=True)
class Violations:
    """Captions of one aspect and how many of them have a word of another.

    words: each such word in small letters with its category and count, the most frequent first. examples: key, word
    and text of the first five captions.
    """

    captions: int
    wrong: int
    words: tuple[tuple[str, str, int], ...]
    examples: tuple[tuple[str, str, str], ...]


def found_in(caption: Caption) -> list[Finding]:
    """The words of a caption that belong to other aspects or to none, in their order; none for unknown aspects."""
    if caption.aspect not in MAY_TELL:
        return []
    return [
        Finding(caption, str(match.lastgroup), match[0], match.start())
        for match in _pattern(caption.aspect).finditer(caption.text)
    ]


def violations(captions: Iterable[Caption]) -> dict[str, Violations]:
    """Per aspect with captions, in the order of MAY_TELL: how many tell what they should not, and what it is.

    Aspects without a list here, such as 'modality', are left out.
    """
    rows: dict[str, list[tuple[Caption, list[Finding]]]] = {aspect: [] for aspect in (*ASPECTS, MOTION)}
    for caption in captions:
        if caption.aspect in rows:
            rows[caption.aspect].append((caption, found_in(caption)))
    result = {}
    for aspect, told in rows.items():
        wrong = [(caption, found) for caption, found in told if found]
        words = Counter((one.word.lower(), one.category) for _, found in wrong for one in found)
        if told:
            result[aspect] = Violations(
                captions=len(told),
                wrong=len(wrong),
                words=tuple((word, category, count) for (word, category), count in words.most_common()),
                examples=tuple((caption.key, found[0].word, caption.text) for caption, found in wrong[:EXAMPLES]),
            )
    return result


def without_violations(captions: Iterable[Caption]) -> list[Caption]:
    """The captions that have no word of another aspect; the others are missing then, and training masks them."""
    return [caption for caption in captions if not found_in(caption)]


def masked(caption: Caption) -> Caption | None:
    """The caption without its wrong words: people and pronouns become 'person', other words go.

    Its source then has "masked", the number of words changed. None when fewer than three words are left, and for a
    refusal to answer, which says nothing. The sentence may limp ("with and a coat"); dropping it is the cleaner
    choice where there are enough captions.
    """
    text, changed = caption.text, 0
    if any(one.category == "refusal" for one in found_in(caption)):
        return None
    # taking a word out can bring two others together that are a finding; every round leaves fewer words to find
    while found := found_in(replace(caption, text=text)):
        changed += len(found)
        text = _pattern(caption.aspect).sub(lambda match: NEUTRAL.get(match[0].lower(), ""), text)
        text = re.sub(r"[\s,;:]+(?=[.,;:])", "", re.sub(r"\s+", " ", text)).strip()
    if not changed:
        return caption
    if len(re.findall(r"\w+", text)) < FEWEST_WORDS:
        return None
    return replace(caption, text=text[0].upper() + text[1:], source={**caption.source, "masked": changed})


@lru_cache(maxsize=len(MAY_TELL))
def _pattern(aspect: str) -> re.Pattern[str]:
    """One expression for all that an aspect must not tell, a named group per list."""
    groups = [
        f"(?P<{category}>{_words(listed)}{f'|{MARKS}' if category == 'name' else ''})"
        for category, listed in LISTS.items()
        if category not in MAY_TELL[aspect]
    ]
    return re.compile("|".join(groups))


def _words(listed: str) -> str:
    """Whole words of a list, in small or capital letters."""
    expressions = [part.strip("/") for part in re.findall(r"/[^/]+/", listed)]
    for word in re.sub(r"/[^/]+/", " ", listed).split():
        expressions.append(word.replace("*", r"\w*") if "*" in word else f"{word}(?:e?s)?")
    return rf"(?i:\b(?:{'|'.join(expressions)})\b)"
