"""Who the synthetic people are: body, face, hair, style of moving and tones, one random stream per person."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from unbraid.world.clothes.wardrobe import HAIR_VOLUMES, HAIRS, Outfit, choose
from unbraid.world.config import WorldConfig
from unbraid.world.motion import Style, draw_style
from unbraid.world.people.body import Shape, draw_shape
from unbraid.world.people.face import Face, draw_face, with_face
from unbraid.world.people.skeleton import Floats
from unbraid.world.seeds import Purpose, stream

TRAIN, TEST = 0, 1
GROUPS = ("train", "test")
SKIN = (196, 152, 128)
SKINS = ((232, 196, 172), (214, 172, 142), (188, 140, 108), (150, 104, 76), (112, 76, 56), (78, 54, 42))
# inner borders of the three words of each factor
HEIGHT_BORDERS = (1.64, 1.76)
BORDERS = {"weight": (0.42, 0.62), "muscle": (0.45, 0.65), "age": (0.76, 0.88), "proportions": (0.33, 0.67)}
WORDS = {
    "weight": ("slim", "average weight", "heavy"),
    "muscle": ("soft", "average muscle", "muscular"),
    "age": ("young adult", "middle-aged", "elderly"),
    "proportions": ("uncommon proportions", "average proportions", "ideal proportions"),
}


@dataclass(frozen=True, eq=False)
class Person:
    """A synthetic person.

    shape: rest body with the own face as far as `appearance_identity` says. skin: RGB (3,) in 0..255, mixed by it too.
    hair: RGB (3,), hair_style, hair_volume in metres: the person's own hair, which `hair_tone` and `own_hair` mix
    with an outfit's.
    """

    identity: str
    group: int
    number: int
    shape: Shape
    style: Style
    face: Face
    skin: Floats
    hair: Floats
    hair_style: str
    hair_volume: float


def person(config: WorldConfig, group: int, number: int) -> Person:
    """The person `number` of group TRAIN or TEST; depends on the seed, the spreads and the controls only.

    With `config.same_body` everyone has the body and face of the first training person, with `config.same_style` the
    style of that person.
    """
    someone = _drawn(config, group, number)
    if not (config.same_body or config.same_style) or (group, number) == (TRAIN, 0):
        return someone
    first = _drawn(config, TRAIN, 0)
    if config.same_body:
        someone = replace(someone, shape=first.shape, face=first.face)
    return replace(someone, style=first.style) if config.same_style else someone


def _drawn(config: WorldConfig, group: int, number: int) -> Person:
    random = stream(config.seed, Purpose.PERSON, group, number)
    shape = draw_shape(random, spread=config.body_spread)
    style = draw_style(random, gait_spread=config.gait_spread, posture_spread=config.posture_spread)
    tone = random.uniform(0, len(SKINS) - 1)
    table = np.array(SKINS, np.float64)
    own = np.array([np.interp(tone, np.arange(len(SKINS)), table[:, c]) for c in range(3)])
    hair = random.uniform(0.4, 1.0) * np.array((150.0, 110.0, 70.0)) * random.uniform(0.25, 1.2)
    face = draw_face(random)
    share = config.appearance_identity
    return Person(
        identity=identity_name(group, number),
        group=group,
        number=number,
        shape=with_face(shape, face, strength=share),
        style=style,
        face=face,
        skin=(1 - share) * np.array(SKIN, np.float64) + share * own,
        hair=hair,
        hair_style=choose(random, HAIRS),
        hair_volume=float(random.uniform(*HAIR_VOLUMES)),
    )


def own_hair(outfit: Outfit, someone: Person, share: float) -> Outfit:
    """The outfit with the person's own hair style instead of its own, by chance with probability `share`, and with
    the hair volume mixed by `share`; 0 gives the very same outfit.

    The chance is the outfit's own `hair_chance`, so a person in an outfit always has the same hair. For the tone of
    the hair see `garments.hair_tone`.
    """
    return replace(
        outfit,
        hair=someone.hair_style if outfit.hair_chance < share else outfit.hair,
        hair_volume=(1 - share) * outfit.hair_volume + share * someone.hair_volume,
    )


def identity_name(group: int, number: int) -> str:
    """'train0003' or 'test0003'."""
    return f"{GROUPS[group]}{number:04d}"


def words(shape: Shape) -> dict[str, str]:
    """Three-level words for the visible factors of a body, plus the generator's sex label."""
    found = {"sex": shape.sex, "stature": ("short", "medium height", "tall")[_level(shape.height, HEIGHT_BORDERS)]}
    for name, borders in BORDERS.items():
        found[name] = WORDS[name][_level(shape.phenotypes[name], borders)]
    return found


def factors(someone: Person) -> dict[str, str | float]:
    """One table row of everything that makes the person: for captions, probes and inspection."""
    row: dict[str, str | float] = {"identity": someone.identity, "group": GROUPS[someone.group]}
    row["height_metres"] = someone.shape.height
    row.update({f"word_{name}": word for name, word in words(someone.shape).items()})
    row.update({f"phenotype_{name}": value for name, value in someone.shape.phenotypes.items()})
    row.update({f"style_{name}": float(value) for name, value in asdict(someone.style).items()})
    row.update({f"face_{name}": float(value) for name, value in asdict(someone.face).items()})
    row.update({"hair_style": someone.hair_style, "hair_volume": someone.hair_volume})
    row.update({f"hair_{letter}": float(value) for letter, value in zip("rgb", someone.hair, strict=True)})
    row.update({f"skin_{letter}": float(value) for letter, value in zip("rgb", someone.skin, strict=True)})
    return row


def _level(value: float, borders: tuple[float, float]) -> int:
    """0, 1 or 2: how many borders lie at or below the value."""
    return sum(value >= border for border in borders)
