"""What synthetic people wear: outfits drawn without looking at the person."""

from dataclasses import dataclass

import numpy as np

from unbraid.world.config import WorldConfig
from unbraid.world.seeds import Purpose, stream
from unbraid.world.skeleton import Floats

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
# metres that the cloth stands off the skin at looseness 1
STAND_OFF = {
    "t-shirt": 0.006,
    "shirt": 0.008,
    "hoodie": 0.018,
    "coat": 0.020,
    "dress": 0.005,
    "trousers": 0.008,
    "jeans": 0.004,
    "shorts": 0.010,
    "wide trousers": 0.020,
}
SLEEVES = {"t-shirt": 0.33, "shirt": 0.95, "hoodie": 0.97, "coat": 0.98, "dress": 0.30}
# how far a top reaches down from the hip joint, as a share of the way to the ankle
HEMS = {"t-shirt": 0.03, "shirt": 0.06, "hoodie": 0.02, "coat": 0.48, "dress": 0.52}


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """One set of clothes with hair style and bag; every factor that is not the person.

    sleeve, leg: length as a share of arm and leg. hem: as in HEMS. top_stand_off, bottom_stand_off in metres.
    hair_volume in metres. Colour names point into COLOURS and HAIR_COLOURS; shade is a brightness factor.
    """

    top: str
    bottom: str
    pattern: str
    top_colour: str
    second_colour: str
    bottom_colour: str
    shoe_colour: str
    bag: bool
    bag_colour: str
    hair: str
    hair_colour: str
    hair_volume: float
    sleeve: float
    leg: float
    hem: float
    top_stand_off: float
    bottom_stand_off: float
    shade: float


def draw_outfit(config: WorldConfig, *place: int) -> Outfit:
    """The outfit at `place` (split, person number, outfit number); its chance knows nothing about the person."""
    random = stream(config.seed, Purpose.OUTFIT, *place)
    long = random.random() < config.long_garment_rate
    top = _choose(random, LONG_TOPS if long else SHORT_TOPS)
    bottom = _choose(random, BOTTOMS)
    names = list(COLOURS)
    first, second = random.choice(len(names), size=2, replace=False)
    return Outfit(
        top=top,
        bottom=bottom,
        pattern=_choose(random, PATTERNS),
        top_colour=names[first],
        second_colour=names[second],
        bottom_colour=str(random.choice(BOTTOM_COLOURS)),
        shoe_colour=str(random.choice(SHOE_COLOURS)),
        bag=bool(random.random() < config.bag_rate),
        bag_colour=str(random.choice(names)),
        hair=str(random.choice(["short", "cap", "long"], p=[0.5, 0.2, 0.3])),
        hair_colour=str(random.choice(list(HAIR_COLOURS))),
        hair_volume=float(random.uniform(0.006, 0.024)),
        sleeve=float(SLEEVES[top] * random.uniform(0.92, 1.02)),
        leg=float((0.46 if bottom == "shorts" else 0.97) * random.uniform(0.95, 1.03)),
        hem=float(HEMS[top] * random.uniform(0.85, 1.25)),
        top_stand_off=float(config.looseness * (STAND_OFF[top] + random.uniform(0, 0.006))),
        bottom_stand_off=float(config.looseness * (STAND_OFF[bottom] + random.uniform(0, 0.004))),
        shade=float(random.uniform(0.85, 1.08)),
    )


def colour(table: dict[str, tuple[int, int, int]], name: str) -> Floats:
    """RGB (3,) in 0..255. Raises KeyError listing the known names."""
    if name not in table:
        raise KeyError(f"no colour {name!r}; known are {sorted(table)}")
    return np.array(table[name], np.float64)


def _choose(random: np.random.Generator, shares: dict[str, float]) -> str:
    """One key, drawn with its share."""
    weights = np.array(list(shares.values()))
    return str(random.choice(list(shares), p=weights / weights.sum()))
