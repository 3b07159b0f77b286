"""Text banks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbraid.cli.output import parse, show

if TYPE_CHECKING:
    from unbraid.text.bank import TextBank


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def bank(
        captions: tyro.conf.Positional[Path],
        out: Path,
        encoder: str = "world-clip",
        aspects: tuple[str, ...] = (),
        device: str = "cpu",
        batch: int = 256,
        half: bool = False,
        differ: bool = False,
        summaries: bool = False,
        json: bool = False,
    ) -> None:
        """Encode captions once, with a frozen text encoder, into the file that training reads.

        Prints, per aspect, how many tracklets have a text, how many texts differ, how many were cut because they are
        longer than the encoder reads, and the mean cosine between different texts: the nearer to 1, the less the
        vectors tell texts apart, and the larger a scale their contrast needs.

        The bank holds what captions say about people; delete it with them.

        Args:
            captions: JSON lines made by `unbraid caption`, or with a rendered world. Or a .json file made by
                `unbraid gait texts`: its modalities are aspects then, and its views stand for tracklets. With --differ:
                a data set's folder in DIFFER's released layout, such as LTCC_ReID.
            out: The bank to write, ending in .safetensors.
            encoder: 'world-clip' (small, knows the words of the built-in world only), 'world-clip#tokens',
                'open_clip:MODEL/TAG' such as open_clip:EVA02-L-14/merged2b_s4b_b131k or, for gait texts,
                open_clip:ViT-B-16/openai, 'open_clip:MODEL/FILE', 'open_clip:local-dir:FOLDER',
                'transformers:NAME_OR_FOLDER' for token sequences such as transformers:google-bert/bert-base-uncased,
                with '#pooled' or '#cls' behind it for one vector. Weights that are not on this machine are DOWNLOADED
                by open_clip or transformers, unless HF_HUB_OFFLINE=1 is set. Both need pip install 'unbraid[text]'.
                With --differ: the folder with the vectors, such as EVA02-CLIP-L-14.
            aspects: Aspects to encode; all without it.
            device: 'cpu', 'cuda', ...
            batch: Texts encoded together.
            half: Keep float16, half the size.
            differ: Read vectors that DIFFER's authors share instead of encoding captions.
            summaries: With --differ, the biometric text is one summary per person.
            json: Print the result as JSON.
        """
        from unbraid.text.bank import checked
        from unbraid.text.captions import read_captions
        from unbraid.text.dictionary import dictionary_bank, is_dictionary, read_dictionary
        from unbraid.text.encoding import build_bank, caption_file

        checked(out)
        if differ:
            from unbraid.text.differ_files import read_differ

            made = read_differ(captions, encoder, summaries=summaries, half=half).only(aspects)
        else:
            if summaries:
                raise ValueError(
                    "--summaries belongs to --differ; `unbraid caption summarise` makes summaries of captions"
                )
            from unbraid.text.encoders import open_encoder

            if is_dictionary(captions):
                fixed, opened = read_dictionary(captions), open_encoder(encoder, device=device)
                made = dictionary_bank(fixed, opened, modalities=aspects or None, batch=batch, half=half)
            else:
                origin, rows = caption_file(captions), read_captions(captions)
                opened = open_encoder(encoder, device=device)
                made = build_bank(rows, opened, aspects=aspects or None, batch=batch, half=half, origin=origin)
        made.save(out)
        facts = {"out": str(out), **_facts(made)}
        show(facts, _table(facts, "view/text" if "dictionary_sha256" in made.origin else "tracklets"), json)

    parse(bank, "bank", arguments)


def _facts(bank: "TextBank") -> dict[str, Any]:
    """Sizes, coverage and crowding of a bank as JSON values."""
    import json

    keys = {key for index in bank.rows.values() for key in index}
    cut = json.loads(bank.origin.get("truncated", "{}"))
    aspects = {}
    for aspect, index in bank.rows.items():
        used = set(index.values())
        aspects[aspect] = {
            "tracklets": len(index),
            "of": len(keys),
            "texts": len(used),
            "vectors": sum(bank.length(row) for row in used),
            "cut": cut.get(aspect),
            "cosine": bank.crowding(aspect),
        }
    return {"encoder": bank.encoder, "width": bank.width, "aspects": aspects, "origin": dict(bank.origin)}


def _table(facts: dict[str, Any], keys: str) -> str:
    lines = [
        f"Bank: {facts['out']}, {facts['width']} numbers per vector by {facts['encoder']}",
        f"{'aspect':<12} {keys:>14} {'texts':>7} {'vectors':>8} {'cut':>5} {'cosine':>7}",
    ]
    for aspect, one in facts["aspects"].items():
        cut = "-" if one["cut"] is None else one["cut"]
        cosine = "-" if one["cosine"] is None else f"{one['cosine']:.2f}"
        have = f"{one['tracklets']} of {one['of']}"
        lines.append(f"{aspect:<12} {have:>14} {one['texts']:>7} {one['vectors']:>8} {cut:>5} {cosine:>7}")
    return "\n".join(lines)
