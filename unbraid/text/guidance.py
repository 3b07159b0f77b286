"""Whether a run has the texts it needs: the bank that fits a recipe, complete or masked as the recipe says."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from unbraid.data.benchmark import Benchmark
from unbraid.recipe import Recipe

if TYPE_CHECKING:
    from unbraid.text.bank import TextBank


def guidance(
    recipe: Recipe[Any], aspects: Sequence[str], benchmark: Benchmark, bank: "TextBank | None"
) -> "TextBank | None":
    """The bank from which a run takes its texts, shuffled, averaged and then centred where the recipe says so; None for
    methods without text.

    aspects: what the method learns from.
    Raises ValueError when texts are needed and no bank is given, the bank was made by another encoder, lacks an
    aspect, or lacks captions that the recipe does not allow to be missing.
    """
    if not aspects:
        return None
    text = recipe.text
    if bank is None or text is None:
        raise ValueError(
            f"{recipe.method} learns from texts about {', '.join(aspects)}, but none are given; write captions "
            f"(`unbraid caption`), encode them (`unbraid bank CAPTIONS --out bank.safetensors`) and pass --bank"
        )
    _check_bank(bank, text.encoder, aspects)
    keys = [t.key for t in benchmark.train]
    for aspect in aspects:
        missing = bank.missing(aspect, keys)
        if len(missing) == len(keys):
            raise ValueError(
                f"no training tracklet of {benchmark.name} has a text about {aspect}: the captions belong to other "
                f"keys; the first tracklet is {keys[0]!r}"
            )
        if missing and text.missing == "refuse":
            raise ValueError(
                f"{len(missing)} of {len(keys)} training tracklets have no text about {aspect}, the first is "
                f"{missing[0]!r}; write their captions (`unbraid caption`, it goes on where it stopped), or let "
                f"them leave that term with --text.missing mask"
            )
    if text.shuffled:
        bank = bank.shuffled([aspect for aspect in text.shuffled if aspect in aspects], keys, recipe.seed)
    identities = {t.key: str(t.identity) for t in benchmark.train}
    for aspect in text.averaged:
        if aspect in aspects:
            bank = bank.mean_over(aspect, identities)
    for aspect in text.centred:
        if aspect in aspects:
            bank = bank.centred(aspect, keys)
    return bank


def dictionary(recipe: Recipe[Any], names: Sequence[str], bank: "TextBank | None") -> "TextBank | None":
    """The bank from which a run takes its fixed texts; None for methods without any.

    names: modalities whose texts the method retrieves from. Without a bank, the encoder 'world-clip' gets one of the
    library's own texts, with as many rounds as the method's config says.
    Raises ValueError when texts are needed and no bank is given, the bank was made by another encoder, lacks a
    modality, or holds token sequences instead of one vector per text.
    """
    if not names:
        return None
    if recipe.text is None:
        raise ValueError(
            f"{recipe.method} retrieves from texts, but its recipe has no 'text'; name their encoder there"
        )
    encoder = recipe.text.encoder
    if bank is None:
        from unbraid.text.dictionary import ROUNDS, dictionary_bank, gait_dictionary
        from unbraid.text.encoders import SMALL, open_encoder

        rounds = getattr(recipe.config, "rounds", ROUNDS)
        if encoder != SMALL:
            raise ValueError(
                f"{recipe.method} retrieves from texts about {', '.join(names)}, but none are given; write them "
                f"(`unbraid gait texts --rounds {rounds} --out gait-texts.json`), encode them (`unbraid bank "
                f"gait-texts.json --encoder {encoder} --out gait.safetensors`) and pass --bank gait.safetensors"
            )
        bank = dictionary_bank(gait_dictionary(rounds), open_encoder(encoder))
    _check_bank(bank, encoder, names)
    for name in names:
        if any(bank.length(row) > 1 for row in bank.rows[name].values()):
            raise ValueError(
                f"the texts about {name} are sequences of tokens; {recipe.method} retrieves whole texts: encode them "
                f"with an encoder of one vector per text, such as open_clip:ViT-B-16/openai"
            )
    return bank


def fixed_texts(bank: "TextBank", names: Sequence[str]) -> dict[str, Float[Tensor, "N D"]]:
    """The vectors of the texts about each name, in the bank's order, float32, as the encoder gave them."""
    return {name: bank.text(name, list(bank.rows[name])).tokens[:, 0] for name in names}


def _check_bank(bank: "TextBank", encoder: str, aspects: Sequence[str]) -> None:
    if bank.encoder != encoder:
        raise ValueError(
            f"the bank holds vectors of {bank.encoder!r}, but the recipe names {encoder!r}; make a bank with "
            f"that encoder, or change text.encoder and the width that the method expects"
        )
    lacking = [aspect for aspect in aspects if aspect not in bank.aspects]
    if lacking:
        raise ValueError(f"the bank has no texts about {', '.join(lacking)}; it has {', '.join(bank.aspects)}")
