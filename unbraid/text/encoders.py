"""Frozen text encoders: the library's own small CLIP, text towers of open_clip, encoders of transformers.

They are asked once, when a bank is made. The packages behind them are optional and imported when a name asks for them.
"""

import difflib
import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from unbraid.batch import Text

SMALL = "world-clip"
# Ways to make one vector of a token sequence.
POOLS = ("pooled", "cls")
KINDS = (
    f"{SMALL!r}, '{SMALL}#tokens', 'open_clip:MODEL/TAG_OR_FILE', 'open_clip:local-dir:FOLDER', "
    f"'transformers:NAME_OR_FOLDER' (tokens), 'transformers:NAME_OR_FOLDER#pooled' and '...#cls'"
)
# What readers of other people's files raise for a file that is not what they expect.
UNREADABLE = (
    *(RuntimeError, OSError, ValueError, KeyError, AttributeError, TypeError, StopIteration, EOFError),
    *(UnpicklingError, SafetensorError),
)


class TextEncoder(Protocol):
    """A frozen network that turns texts into vectors.

    name: what `open_encoder` opened. version: of the package and of the weights. width: D. pooled: whether it gives
    one vector per text, so that L is 1.
    """

    name: str
    version: str
    width: int
    pooled: bool

    def __call__(self, texts: Sequence[str]) -> Text:
        """One batch: B L D, not normalised, on the encoder's device, without gradient; mask is False at padding."""
        ...

    def truncated(self, texts: Sequence[str]) -> int:
        """How many of the texts lose words because they are longer than the encoder reads."""
        ...


def open_encoder(name: str, *, device: str = "cpu") -> TextEncoder:
    """The encoder of a name.

    'world-clip': the library's own, small, synthetic English only; '#tokens' behind it gives token sequences.
    'open_clip:MODEL/TAG': pooled text vectors of open_clip; TAG is one of its names of weights or a local file;
    'open_clip:local-dir:FOLDER' is a folder with open_clip_config.json and weights.
    'transformers:NAME_OR_FOLDER': last hidden states, a token sequence; '#pooled' behind it takes their mean,
    '#cls' the first. Where a name is neither a file nor in its package's cache, that package downloads the weights,
    unless HF_HUB_OFFLINE=1 is set.

    Raises KeyError for an unknown name, saying what there is; ValueError for a missing package, weights that do not
    fit and a device that cannot be used; FileNotFoundError for weights that cannot be had.

    Example:
        encoder = open_encoder("transformers:google-bert/bert-base-uncased")
        encoder(["a tall person"]).tokens.shape  # 1 L 768
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used ({str(error).splitlines()[0]}); try 'cpu'") from error
    kind, colon, rest = name.partition(":")
    if name in (SMALL, f"{SMALL}#tokens"):
        from unbraid.text.small import small_encoder

        return small_encoder(pooled=name == SMALL, device=device)
    if colon and rest and kind == "open_clip":
        return OpenClipEncoder(rest, device=device)
    if colon and rest and kind == "transformers":
        return TransformersEncoder(rest, device=device)
    near = difflib.get_close_matches(kind, [SMALL, "open_clip", "transformers"], n=1)
    raise KeyError(f"no text encoder {name!r}{f'; did you mean {near[0]!r}?' if near else '.'} There are: {KINDS}")


class OpenClipEncoder:
    """The text tower of an open_clip model; one vector per text in the space shared with its images.

    source: 'MODEL/TAG', 'MODEL/FILE' or 'local-dir:FOLDER', as in `open_encoder`, which lists the errors.
    """

    pooled = True

    def __init__(self, source: str, *, device: str = "cpu") -> None:
        open_clip = _package("open_clip", "open_clip_torch")
        self.name = f"open_clip:{source}"
        model, given = (source, {}) if source.startswith("local-dir:") else _weights_of(open_clip, source)
        fetched = bool(given) and not Path(str(given["pretrained"])).is_file()
        try:
            with _quiet():
                net: Any = open_clip.create_model(model, **given, require_pretrained=True)
                self.tokenizer: Any = open_clip.get_tokenizer(model)
        except UNREADABLE as error:
            if fetched:
                raise FileNotFoundError(
                    f"the weights of {self.name} are not on this machine and could not be fetched "
                    f"({_first_line(error)}); fetch them where there is a network and name the file: "
                    f"'open_clip:{model}/FILE'"
                ) from error
            raise ValueError(f"{self.name} cannot be read as an open_clip model: {_first_line(error)}") from error
        # images are never asked for, and their tower is the larger one
        net.visual = nn.Identity()
        self.net = net.float().to(device).eval().requires_grad_(False)
        self.device = device
        self.version = f"open_clip_torch {version('open_clip_torch')}, weights {fingerprint(self.net)}"
        self.width = self(["a person"]).tokens.shape[2]

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Text:
        """B 1 D, not normalised."""
        vectors = self.net.encode_text(self.tokenizer(list(texts)).to(self.device), normalize=False)
        return Text(vectors[:, None].float(), torch.ones(len(texts), 1, dtype=torch.bool, device=vectors.device))

    def truncated(self, texts: Sequence[str]) -> int:
        """How many texts have more tokens than the tower's context."""
        if not texts:
            return 0
        # every kind of tokenizer of open_clip fills up to the context it is given, so one place more shows what is cut
        limit = int(self.tokenizer.context_length)
        return int((self._filled(texts, limit + 1) > self._filled(texts, limit)).sum())

    def _filled(self, texts: Sequence[str], context: int) -> Tensor:
        padding = self.tokenizer([""], context_length=context)[0].mode().values
        filled: Tensor = (self.tokenizer(list(texts), context_length=context) != padding).sum(1)
        return filled


class TransformersEncoder:
    """The last hidden states of any transformers model that reads text; special tokens are tokens like others.

    source: name or folder, with '#pooled' or '#cls' for one vector per text, as in `open_encoder`, which lists the
    errors. Of models that read text and write some (T5), or read text and images (CLIP), the text encoder is taken.
    """

    def __init__(self, source: str, *, device: str = "cpu") -> None:
        package = _package("transformers", "transformers")
        self.name = f"transformers:{source}"
        place, mark, pool = source.rpartition("#")
        if mark and pool not in POOLS and not Path(source).is_dir():
            raise KeyError(f"{self.name}: no way {pool!r} to make one vector; there are {', '.join(POOLS)}")
        place, self.pool = (place, pool) if mark and pool in POOLS else (source, "")
        self.pooled = bool(self.pool)
        if not Path(place).is_dir() and (place.startswith(("/", ".", "~")) or place.count("/") > 1):
            raise FileNotFoundError(f"{self.name}: there is no folder {place}")
        self.tokenizer, net = _opened(package, place, self.name)
        self.limit = _limit(self.tokenizer, net.config)
        self.net = _text_part(net).float().to(device).eval().requires_grad_(False)
        self.device = device
        self.version = f"transformers {version('transformers')}, weights {fingerprint(self.net)}"
        if self.pool == "cls" and self.tokenizer.cls_token_id is None:
            raise ValueError(f"{self.name}: its tokenizer puts no class token in front; take '#pooled'")
        self.width = self(["a person"]).tokens.shape[2]

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Text:
        """B L D with 0 at padding; L is 1 with '#pooled' and '#cls'."""
        cut = {"truncation": True, "max_length": self.limit} if self.limit else {}
        given = self.tokenizer(list(texts), padding=True, return_tensors="pt", **cut).to(self.device)
        states = self.net(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
        mask = given["attention_mask"].bool()
        tokens = states.float().masked_fill(~mask[..., None], 0.0)
        if self.pool == "cls":
            tokens, mask = tokens[:, :1], mask[:, :1]
        elif self.pool == "pooled":
            tokens, mask = tokens.sum(1, keepdim=True) / mask.sum(1)[:, None, None], mask.any(1, keepdim=True)
        return Text(tokens, mask)

    def truncated(self, texts: Sequence[str]) -> int:
        """How many texts have more tokens than the network has places."""
        if not texts or not self.limit:
            return 0
        return sum(len(line) > self.limit for line in self.tokenizer(list(texts), verbose=False)["input_ids"])


def fingerprint(net: nn.Module) -> str:
    """Twelve hexadecimal digits of a hash of a network's weights.

    Layers called 'pooler' do not count: many checkpoints lack theirs, it is then random, and nothing here uses it.
    """
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        if "pooler" not in name:
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:12]


def _package(name: str, wheel: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(f"this encoder needs {wheel} ({error}): pip install 'unbraid[text]'") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without log lines: open_clip logs what it then raises, on the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _weights_of(open_clip: Any, source: str) -> tuple[str, dict[str, Any]]:
    """Name and options of a model of open_clip. Raises KeyError or FileNotFoundError when there is none."""
    model, _, tag = source.partition("/")
    known = open_clip.list_models()
    if model not in known:
        raise KeyError(f"open_clip has no model {model!r}; {_near(model, known)}, or give local-dir:FOLDER")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if tag not in tags and not Path(tag).is_file():
        if "/" in tag or Path(tag).suffix in (".pt", ".pth", ".bin", ".safetensors"):
            raise FileNotFoundError(f"open_clip:{source}: there is no file {tag}")
        raise KeyError(
            f"open_clip has no weights {tag!r} of {model}; it has {', '.join(tags) or 'none'}. Files work too"
        )
    # some weights want another activation than their model's configuration says, and open_clip only warns
    quick = bool((open_clip.get_pretrained_cfg(model, tag) or {}).get("quick_gelu")) if tag in tags else False
    return model, {"pretrained": tag, "force_quick_gelu": quick}


def _opened(package: Any, place: str, name: str) -> tuple[Any, Any]:
    """Tokenizer and network from a folder or by name."""
    try:
        tokenizer: Any = package.AutoTokenizer.from_pretrained(place)
        net, about = package.AutoModel.from_pretrained(place, output_loading_info=True)
    except UNREADABLE as error:
        if Path(place).is_dir():
            raise ValueError(
                f"{place} holds no model of transformers that can be read: {_first_line(error)}"
            ) from error
        raise FileNotFoundError(
            f"{name} is not on this machine and could not be fetched ({_first_line(error)}); check the name, or fetch "
            f"it where there is a network and give the folder"
        ) from error
    absent = sorted(key for key in about["missing_keys"] if "pooler" not in key)
    if absent:
        raise ValueError(
            f"{name}: its checkpoint lacks {len(absent)} weights, such as {absent[0]!r}; they would be random, so that "
            f"its vectors mean nothing. Take another checkpoint of this model"
        )
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, net


def _text_part(net: Any) -> nn.Module:
    part: nn.Module = net.get_encoder() if net.config.is_encoder_decoder else getattr(net, "text_model", net)
    return part


def _limit(tokenizer: Any, config: Any) -> int | None:
    """Tokens that a network reads; None for one without a limit. A tokenizer without a limit of its own says 10^30."""
    places = getattr(config.get_text_config(), "max_position_embeddings", None)
    limit = min(int(tokenizer.model_max_length), int(places or 1 << 30))
    return limit if limit < 1 << 30 else None


def _near(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=3, cutoff=0.4)
    return f"near names: {', '.join(found)}" if found else "open_clip.list_models() names them"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
