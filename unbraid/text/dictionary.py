"""Dictionaries: fixed texts about what a sensor's pictures of a walking person look like, by modality and view.

A caption is about one tracklet; these texts are about none. A method that retrieves from them keeps their vectors in
its checkpoint. The file is JSON that anybody can read and edit:

    {"version": "mine-1", "texts": {"silhouette": {"front": ["a photo ...", ...], "left": [...], ...}, "depth": {...}}}

Left and right are the person's own.

Source: TCFDNet, the gait-oriented multi-modality text dictionary: 2 modalities x 8 views x l rounds of rewriting, in
the manner of CLIP's captions. Its texts, its names of views and l are not public; these are our own, and l is 8 because
retrieving 16 of 64 texts leaves something to choose.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from unbraid.files import write_text
from unbraid.text.captions import Caption, Fact
from unbraid.text.encoding import build_bank
from unbraid.text.gait import MOST_ROUNDS, SENSORS, VERSION, VIEWS, gait_texts
from unbraid.tracklet import Modality

if TYPE_CHECKING:
    from unbraid.text.bank import TextBank
    from unbraid.text.encoders import TextEncoder

ROUNDS = 8
ENTRIES = ("version", "source", "texts")


@dataclass(frozen=True)
class Dictionary:
    """Texts by modality and view; every view has as many, and none stands twice.

    version: name of the wording. source: who wrote it and how, plain JSON values.
    Raises ValueError or KeyError saying which text, view or modality is wrong.
    """

    version: str
    texts: Mapping[str, Mapping[str, Sequence[str]]]
    source: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not isinstance(self.version, str) or not self.version.strip():
            raise ValueError(f"'version' is {self.version!r}; give the wording a name, such as \"mine-1\"")
        if not isinstance(self.source, Mapping) or not all(isinstance(v, Fact) for v in self.source.values()):
            raise ValueError(f"'source' is {self.source!r}; expected an object of plain values")
        _check_texts(self.texts)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities."""
        return tuple(self.texts)

    @property
    def rounds(self) -> int:
        """Texts per modality and view."""
        return len(next(iter(self.texts.values()))[VIEWS[0]])

    @property
    def sha256(self) -> str:
        """Hash of the texts, in hexadecimal; the same whatever order modalities and views stand in."""
        ordered = {m: {v: list(self.texts[m][v]) for v in VIEWS} for m in sorted(self.texts)}
        return hashlib.sha256(json.dumps(ordered).encode()).hexdigest()

    def captions(self) -> list[Caption]:
        """The texts as captions: a modality is an aspect, and keys are 'front/1', 'front/2', ..."""
        source = {"model": f"dictionary {self.version}", **self.source}
        return [
            Caption(f"{view}/{number}", modality, text, source)
            for modality in self.texts
            for view in VIEWS
            for number, text in enumerate(self.texts[modality][view], start=1)
        ]

    def to_json(self) -> str:
        """What `read_dictionary` reads."""
        values = {"version": self.version, "source": dict(self.source)}
        texts = {m: {v: list(self.texts[m][v]) for v in VIEWS} for m in self.texts}
        return json.dumps({**values, "texts": texts}, indent=2, ensure_ascii=False) + "\n"

    def save(self, path: Path) -> None:
        """Write the file in one step. Raises ValueError where a file with other texts stands, OSError."""
        path, said = Path(path), self.to_json()
        if path.exists() and path.read_bytes() != said.encode():
            raise ValueError(f"{path} is there already and holds something else; choose another --out, or delete it")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, said)


def gait_dictionary(rounds: int = ROUNDS) -> Dictionary:
    """The library's own dictionary. Fewer rounds are the first of more.

    Raises ValueError for more rounds than there are.

    Example:
        gait_dictionary().texts["depth"]["left"][0]  # 'a LiDAR-based depth map of a person walking, seen from the left'
    """
    if not 1 <= rounds <= MOST_ROUNDS:
        raise ValueError(
            f"rounds = {rounds}: the library has from 1 to {MOST_ROUNDS} texts per view; have more written by a model "
            f"(`unbraid gait texts --endpoint URL --model NAME`), or by hand"
        )
    return Dictionary(VERSION, gait_texts(rounds), {"model": "unbraid", "rounds": rounds})


def read_dictionary(path: Path) -> Dictionary:
    """The dictionary in a JSON file with "version", "texts" and, if there is more to say, "source".

    Raises FileNotFoundError; ValueError or KeyError for a file that is no dictionary, an unknown modality or view, a
    missing view, views with unequal numbers of texts, an empty text and one that stands twice, and for texts that bear
    the version of the library's without being them.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; `unbraid gait texts --out {path}` writes a dictionary")
    try:
        values = json.loads(path.read_bytes().decode("utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON in UTF-8: {error}") from error
    if not isinstance(values, dict) or not {"version", "texts"} <= set(values) <= set(ENTRIES):
        found = sorted(values) if isinstance(values, dict) else type(values).__name__
        raise ValueError(
            f'{path} is no dictionary: expected {{"version": "...", "texts": {{"silhouette": {{"front": [...], ...}}, '
            f'...}}}}, with "source" if you like; found {found}'
        )
    try:
        made = Dictionary(values["version"], values["texts"], values.get("source", {}))
        if made.version == VERSION and not _ours(made):
            raise ValueError(
                f"these are not the texts of {VERSION!r}; give yours another 'version', such as \"mine-1\""
            )
    except (ValueError, KeyError) as error:
        raise type(error)(f"{path}: {error.args[0]}") from error
    return made


def is_dictionary(path: Path) -> bool:
    """Whether a file is meant as a dictionary and not as captions: a .json file that does not begin with a caption."""
    path = Path(path)
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open("rb") as opened:
        first = opened.readline().strip()
    try:
        values = json.loads(first)
    except ValueError:
        return True
    return not (isinstance(values, dict) and "aspect" in values)


def dictionary_bank(
    dictionary: Dictionary,
    encoder: "TextEncoder",
    *,
    modalities: Sequence[str] | None = None,
    batch: int = 256,
    half: bool = False,
) -> "TextBank":
    """A bank whose aspects are the modalities, with the texts view by view. Raises what `build_bank` raises."""
    origin = {"dictionary_version": dictionary.version, "dictionary_sha256": dictionary.sha256}
    return build_bank(dictionary.captions(), encoder, aspects=modalities, batch=batch, half=half, origin=origin)


def _ours(made: Dictionary) -> bool:
    """Whether every text is the library's own."""
    if made.rounds > MOST_ROUNDS or not set(made.modalities) <= set(SENSORS):
        return False
    own = gait_texts(made.rounds)
    return all(tuple(made.texts[m][v]) == own[m][v] for m in made.modalities for v in VIEWS)


def _check_texts(texts: Any) -> None:
    if not isinstance(texts, Mapping) or not texts:
        raise ValueError(f"'texts' should be an object with modalities such as {list(SENSORS)}; got {texts!r}")
    seen: dict[str, str] = {}
    rounds: tuple[str, int] | None = None
    for modality, views in texts.items():
        _known(modality, get_args(Modality), "modality", "texts")
        if not isinstance(views, Mapping):
            raise ValueError(f"{modality!r} should be an object with the views {', '.join(VIEWS)}; got {views!r}")
        for view in views:
            _known(view, VIEWS, "view", modality)
        if absent := [view for view in VIEWS if view not in views]:
            raise ValueError(f"{modality!r} has no texts for {', '.join(absent)}; every modality needs all eight views")
        for view in VIEWS:
            said, where = views[view], f"{modality}/{view}"
            if not isinstance(said, list | tuple) or not said:
                raise ValueError(f"{where} should be a list of at least one text; got {said!r}")
            rounds = rounds or (where, len(said))
            if len(said) != rounds[1]:
                raise ValueError(f"{where} has {len(said)} texts, but {rounds[0]} has {rounds[1]}; give both as many")
            for number, text in enumerate(said, start=1):
                place = f"{where}/{number}"
                if not isinstance(text, str) or not any(letter.isalpha() for letter in text):
                    raise ValueError(f"{place} is {text!r}; expected a text with words")
                before = seen.setdefault(" ".join(text.casefold().split()), place)
                if before != place:
                    raise ValueError(f"{place} says the same as {before}: {text!r}; write one of them anew")


def _known(name: Any, known: Sequence[str], what: str, where: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise KeyError(f"{where} names the {what} {name!r}{hint} There are {', '.join(known)}")
