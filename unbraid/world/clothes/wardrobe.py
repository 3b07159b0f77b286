"""What synthetic people wear and carry: outfits drawn without looking at the person."""

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from unbraid.data.protocols import CONDITIONS
from unbraid.world.clothes.holding import Held
from unbraid.world.config import WorldConfig
from unbraid.world.people.skeleton import Floats
from unbraid.world.seeds import Purpose, stream

COLOURS = {
    "black": (34, 34, 38),
    "white": (224, 223, 218),
    "grey": (124, 126, 130),
    "navy": (34, 43, 84),
    "blue": (52, 88, 168),
    "light blue": (134, 172, 212),
    "teal": (34, 122, 124),
    "green": (52, 118, 66),
    "olive": (104, 104, 58),
    "yellow": (214, 182, 62),
    "orange": (208, 118, 46),
    "red": (176, 42, 44),
    "burgundy": (104, 30, 48),
    "pink": (216, 146, 166),
    "purple": (106, 62, 136),
    "brown": (108, 76, 50),
    "beige": (198, 178, 146),
}
BOTTOM_COLOURS = ("black", "grey", "navy", "blue", "light blue", "olive", "brown", "beige", "white", "burgundy")
SHOE_COLOURS = ("black", "white", "brown", "red", "grey", "navy")
HAIR_COLOURS = {
    "black": (30, 26, 25),
    "dark brown": (62, 42, 30),
    "brown": (96, 66, 42),
    "blond": (182, 148, 96),
    "red": (132, 66, 36),
    "grey": (156, 154, 152),
}
SHORT_TOPS = {"t-shirt": 0.38, "shirt": 0.31, "hoodie": 0.31}
LONG_TOPS = {"coat": 0.58, "dress": 0.42}
BOTTOMS = {"trousers": 0.34, "jeans": 0.30, "shorts": 0.20, "wide trousers": 0.16}
PATTERNS = {
    "plain": 0.46,
    "horizontal stripes": 0.15,
    "vertical stripes": 0.09,
    "checks": 0.10,
    "open front": 0.12,
    "two halves": 0.08,
}
BAGS = {"backpack": 0.6, "shoulder bag": 0.4}
HATS = {"none": 0.88, "peaked cap": 0.07, "knitted hat": 0.05}
HAIRS = {"short": 0.34, "cropped": 0.16, "medium": 0.16, "long": 0.22, "bun": 0.12}
# metres between the skin of the head and the surface of the hair
HAIR_VOLUMES = (0.006, 0.024)
# metres that the cloth stands off the skin at looseness 1
STAND_OFF = {
    "t-shirt": 0.006,
    "shirt": 0.008,
    "hoodie": 0.018,
    "coat": 0.020,
    "dress": 0.005,
    "uniform": 0.012,
    "trousers": 0.008,
    "jeans": 0.004,
    "shorts": 0.010,
    "wide trousers": 0.020,
}
SLEEVES = {"t-shirt": 0.33, "shirt": 0.95, "hoodie": 0.97, "coat": 0.98, "dress": 0.30, "uniform": 0.97}
# how far a top reaches down from the hip joint, as a share of the way to the ankle
HEMS = {"t-shirt": 0.03, "shirt": 0.06, "hoodie": 0.02, "coat": 0.48, "dress": 0.52, "uniform": 0.04}
SHORTS_LEG, LEG = 0.46, 0.97

HELD: dict[str, Held] = {"carrying": "box", "umbrella": "umbrella"}
# Share of coats and dresses under "clothing", where the silhouette is meant to change.
CLOTHING_LONG_RATE = 0.5
# A person or outfit number that no person and no outfit has, so that these draws get streams of their own.
NOBODY = 10_000


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """One set of clothes with hair style and bag; every factor that is not the person.

    sleeve, leg: length as a share of arm and leg. hem: as in HEMS. top_stand_off, bottom_stand_off, hair_volume in
    metres. Colour names point into COLOURS and HAIR_COLOURS; shade is a brightness factor. held_colour: of an
    umbrella. hair_chance: a uniform number; below `appearance_identity` the person's own hair style takes the place
    of this one (see `people.own_hair`).
    """

    top: str
    bottom: str
    pattern: str
    top_colour: str
    second_colour: str
    bottom_colour: str
    shoe_colour: str
    bag: str
    bag_colour: str
    held_colour: str
    hat: str
    hat_colour: str
    hair: str
    hair_colour: str
    hair_volume: float
    hair_chance: float
    sleeve: float
    leg: float
    hem: float
    top_stand_off: float
    bottom_stand_off: float
    shade: float


def draw_outfit(config: WorldConfig, group: int, number: int, outfit: int, *, condition: str = "any") -> Outfit:
    """Outfit number `outfit` of person `number` of a group; its chance knows nothing about the person.

    With `config.wardrobe` = n > 0 all people of a group dress from the same n outfits, and the outfits of one person
    are different ones of these. condition: one of CONDITIONS, or "any" for everyday clothes with
    bags at `config.bag_rate`. Under every condition of CONDITIONS only "bag" has a bag (always); "clothing" has
    coats and dresses at a rate of one half, so that silhouettes change; "uniform" is the same outfit for everyone. All
    other factors of an outfit are the same under every condition.

    Source: the conditions are those of SUSTech1K; how often which bag or garment comes is not in a paper, chosen
    because every kind should be seen in a small world.

    Raises ValueError for an unknown condition, or when a person has more outfits than the shared wardrobe.
    """
    _check(condition)
    if condition == "uniform":
        return uniform(config)
    place = (group, number, outfit)
    if config.wardrobe > 0:
        if outfit >= config.wardrobe:
            raise ValueError(
                f"outfit {outfit} of person {number}: a shared wardrobe of {config.wardrobe} outfits gives nobody "
                f"more than {config.wardrobe}; raise wardrobe or ask for fewer outfits per person"
            )
        order = stream(config.seed, Purpose.OUTFIT, group, number, NOBODY).permutation(config.wardrobe)
        place = (group, NOBODY, int(order[outfit]))
    return _drawn(config, place, condition)


def held_of(condition: str) -> Held:
    """What people hold under a condition. Raises ValueError for an unknown condition."""
    _check(condition)
    return HELD.get(condition, "nothing")


def uniform(config: WorldConfig) -> Outfit:
    """The one working outfit that everybody wears: a dark blue overall, an orange vest and a peaked cap."""
    return Outfit(
        top="uniform",
        bottom="trousers",
        pattern="plain",
        top_colour="orange",
        second_colour="orange",
        bottom_colour="navy",
        shoe_colour="black",
        bag="none",
        bag_colour="black",
        held_colour="black",
        hat="peaked cap",
        hat_colour="navy",
        hair="cropped",
        hair_colour="dark brown",
        hair_volume=0.012,
        hair_chance=0.5,
        sleeve=SLEEVES["uniform"],
        leg=LEG,
        hem=HEMS["uniform"],
        top_stand_off=config.looseness * STAND_OFF["uniform"],
        bottom_stand_off=config.looseness * STAND_OFF["uniform"],
        shade=1.0,
    )


def colour(table: dict[str, tuple[int, int, int]], name: str) -> Floats:
    """RGB (3,) in 0..255. Raises KeyError listing the known names."""
    if name not in table:
        raise KeyError(f"no colour {name!r}; known are {sorted(table)}")
    return np.array(table[name], np.float64)


def hair_word(tone: Floats) -> str:
    """The name in HAIR_COLOURS that is nearest to RGB `tone` (3,)."""
    return min(HAIR_COLOURS, key=lambda name: float(np.linalg.norm(colour(HAIR_COLOURS, name) - tone)))


def choose(random: np.random.Generator, shares: dict[str, float]) -> str:
    """One key, drawn with its share."""
    weights = np.array(list(shares.values()))
    return str(random.choice(list(shares), p=weights / weights.sum()))


def _check(condition: str) -> None:
    known = ("any", *CONDITIONS)
    if condition not in known:
        near = get_close_matches(condition, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no condition {condition!r}; known are {list(known)}{hint}")


def _drawn(config: WorldConfig, place: tuple[int, int, int], condition: str) -> Outfit:
    """The outfit of a place. Every number is drawn under every condition, so that conditions differ in nothing else."""
    random = stream(config.seed, Purpose.OUTFIT, *place)
    long_rate = CLOTHING_LONG_RATE if condition == "clothing" else config.long_garment_rate
    long = bool(random.random() < long_rate)
    tops = {kind: choose(random, table) for kind, table in ((False, SHORT_TOPS), (True, LONG_TOPS))}
    top, bottom = tops[long], choose(random, BOTTOMS)
    names = list(COLOURS)
    first, second = random.choice(len(names), size=2, replace=False)
    lengths, thickness = random.uniform(size=3), random.uniform(size=2)
    bag, has_bag = choose(random, BAGS), bool(random.random() < config.bag_rate)
    return Outfit(
        top=top,
        bottom=bottom,
        pattern=choose(random, PATTERNS),
        top_colour=names[first],
        second_colour=names[second],
        bottom_colour=str(random.choice(BOTTOM_COLOURS)),
        shoe_colour=str(random.choice(SHOE_COLOURS)),
        bag=bag if condition == "bag" or (condition == "any" and has_bag) else "none",
        bag_colour=str(random.choice(names)),
        held_colour=str(random.choice(names)),
        hat=choose(random, HATS),
        hat_colour=str(random.choice(names)),
        hair=choose(random, HAIRS),
        hair_colour=str(random.choice(list(HAIR_COLOURS))),
        hair_volume=float(random.uniform(*HAIR_VOLUMES)),
        hair_chance=float(random.uniform()),
        sleeve=float(SLEEVES[top] * (0.92 + 0.10 * lengths[0])),
        leg=float((SHORTS_LEG if bottom == "shorts" else LEG) * (0.95 + 0.08 * lengths[1])),
        hem=float(HEMS[top] * (0.85 + 0.40 * lengths[2])),
        top_stand_off=float(config.looseness * (STAND_OFF[top] + 0.006 * thickness[0])),
        bottom_stand_off=float(config.looseness * (STAND_OFF[bottom] + 0.004 * thickness[1])),
        shade=float(random.uniform(0.85, 1.08)),
    )
