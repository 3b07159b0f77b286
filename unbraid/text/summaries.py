"""One text about the body of each person, from those about each picture."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from unbraid.text.captioner import Asked, Captioner, Item, Question, alone, ask_all
from unbraid.text.captions import Caption, Fact, read_captions, write_captions
from unbraid.text.prompts import PROMPT_VERSION, summary_prompt

# the entry of a caption's source that says it is a summary, and of how many texts
SUMMARY = "texts"
MOST_TEXTS = 15


def summarise(
    captions: Sequence[Caption],
    identities: Mapping[str, str],
    captioner: Captioner,
    out: Path,
    *,
    batch: int = 8,
    most: int = MOST_TEXTS,
    mixed: bool = False,
) -> Asked:
    """Give all tracklets of a person one text about the body, written by a language model from those there are.

    Writes all captions to `out`, the biometric ones of people in `identities` (tracklet key to identity) replaced.
    Up to `most` texts of a person are shown, evenly spaced in the order of keys. Resumable as `caption`, through a
    file beside `out` that goes when all is done; a person without an answer keeps the old texts.

    Source: DIFFER, summaries per identity (its procedure is unknown; 15 texts and the wording are not in the paper).
    Raises ValueError when nobody has a biometric caption or `out` holds something else, and what the captioner raises.
    """
    people: dict[str, list[Caption]] = {}
    for row in sorted(captions, key=lambda row: row.key):
        if row.aspect == "biometric" and row.key in identities:
            people.setdefault(identities[row.key], []).append(row)
    if not people:
        raise ValueError("no biometric caption belongs to a known person; are captions and data from the same place?")
    items = []
    for rows in people.values():
        shown = [rows[i].text for i in np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)]
        text = summary_prompt(shown)
        items.append(Item(tuple(row.key for row in rows), "biometric", partial(Question, text), {SUMMARY: len(shown)}))
    fixed: dict[str, Fact] = {"model": captioner.name, "prompt": PROMPT_VERSION}
    journal = out.with_name(out.name + ".asked")
    with alone(out):
        if not journal.is_file():
            write_captions(journal, _finished(out, captions))
        result = ask_all(items, captioner, journal, fixed, batch=batch, mixed=mixed)
        told = {row.key: row for row in read_captions(journal)}
        write_captions(out, [told.get(row.key, row) if row.aspect == "biometric" else row for row in captions])
        journal.unlink()
    return result


def _finished(out: Path, captions: Sequence[Caption]) -> list[Caption]:
    """The summaries in a file that an earlier call finished; its other rows must be those of the captions given."""
    if not out.is_file():
        return []
    known = {(row.key, row.aspect): row for row in captions}
    rows = read_captions(out)
    for row in rows:
        if SUMMARY not in row.source and known.get((row.key, row.aspect)) != row:
            raise ValueError(f"{out} holds other captions (such as one of {row.key!r}); choose another file")
    return [row for row in rows if SUMMARY in row.source]
