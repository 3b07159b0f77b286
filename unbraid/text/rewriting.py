"""Having a language model write a dictionary, view by view: every view is on disk before the next.

Source: TCFDNet has its texts rewritten by a chat model in l rounds; the instruction has three parts, formulation,
protocol and examples. Its wording is not public, this is our own. Raise REWRITE_VERSION with every change of a word.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unbraid.files import write_text
from unbraid.progress import bar
from unbraid.text.captioner import Captioner, Question, alone, tidy
from unbraid.text.captions import Fact
from unbraid.text.dictionary import Dictionary, read_dictionary
from unbraid.text.gait import SENSORS, VIEWS, gait_texts, opposite, wrong_with
from unbraid.text.prompts import MOST_WORDS

REWRITE_VERSION = 1
# Questions about one view: the first one, then for what was missing or wrong.
TURNS = 5
SHOWN = 3

PICTURE = {
    "silhouette": "a photo of a camera, reduced to a binary silhouette: the walking person is white, all else is black",
    "depth": "an image made by a LiDAR: a depth map of the walking person, in which brightness tells the distance",
}
FORMULATION = (
    "You write captions in the style of those that CLIP was trained on. Each caption is about one kind of picture: "
    "{picture}. The person is seen from this view: {view}. Left and right are the person's own."
)
PROTOCOL = (
    "Work in this order. First think, without writing it down, about what can be seen of anybody who walks, in this "
    "kind of picture and from this view. Then rewrite the base caption {number} times, each time with other words or "
    "another order of words. Then check every caption: it names the kind of picture; it names the view with the words "
    "'{view}' and mentions no other side; it could be said of anybody, so nothing about sex, age, body, hair, clothes "
    "or carried things; it has at most {most} words; no two captions say the same. Answer with the {number} captions "
    "alone, one per line, without numbers."
)
EXAMPLES = "Base caption: {base}\nFor the view {other}, good captions are:\n{examples}"


@dataclass(frozen=True)
class Rewritten:
    """What came of asking. kept: views that the file had already. written: new ones. refused: answers that could not
    stand."""

    dictionary: Dictionary
    kept: int
    written: int
    refused: int


@dataclass
class _View:
    """One view of one modality, while it is asked about."""

    modality: str
    view: str
    texts: list[str] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)


def rewrite(captioner: Captioner, out: Path, *, rounds: int, batch: int = 4) -> Rewritten:
    """Have `rounds` texts per modality and view written, and write them to `out`.

    Views that are done are kept in a file beside it, OUT.begun, so that the same call goes on after any interruption.
    Every text is checked by `gait.wrong_with`; what is refused or missing is asked for again, with the reason. batch:
    views asked about together.

    Raises ValueError where `out` holds other texts, or was begun with another model or other rounds, for a model that
    does not get a view right in five turns, and what the captioner raises.
    """
    if rounds < 1 or batch < 1:
        raise ValueError(f"rounds = {rounds} and batch = {batch} must be at least 1")
    out, begun = Path(out), Path(out).with_name(Path(out).name + ".begun")
    fixed: dict[str, Fact] = {"model": captioner.name, "prompt": REWRITE_VERSION, "rounds": rounds}
    source = {**captioner.settings, **fixed}
    views = len(SENSORS) * len(VIEWS)
    with alone(out):
        if out.exists():
            there = read_dictionary(out)
            if {name: there.source.get(name) for name in fixed} != fixed:
                raise ValueError(f"{out} is there already and was made otherwise; choose another --out, or delete it")
            return Rewritten(there, views, 0, 0)
        done = _begun(begun, fixed)
        kept = sum(len(found) for found in done.values())
        todo = [_View(m, v) for m in SENSORS for v in VIEWS if v not in done[m]]
        refused = 0
        with bar() as progress:
            task = progress.add_task("views", total=views, completed=kept, note="")
            for start in range(0, len(todo), batch):
                waiting = todo[start : start + batch]
                for _ in range(TURNS):
                    for number, answer in captioner([_question(one, rounds) for one in waiting]):
                        one = waiting[number]
                        _take(one, answer, rounds)
                        refused += len(one.wrong)
                        if len(one.texts) == rounds:
                            done[one.modality][one.view] = one.texts
                            write_text(begun, json.dumps({"source": source, "texts": done}, indent=2) + "\n")
                            progress.update(task, advance=1, note=one.texts[-1][:40])
                    waiting = [one for one in waiting if len(one.texts) < rounds]
                    if not waiting:
                        break
                else:
                    raise ValueError(_gave_up(captioner.name, waiting[0], rounds))
        made = Dictionary(f"{captioner.name}/{REWRITE_VERSION}", done, source)
        made.save(out)
        begun.unlink()
    return Rewritten(made, kept, views - kept, refused)


def question(
    modality: str, view: str, rounds: int, have: Sequence[str] = (), wrong: Sequence[tuple[str, str]] = ()
) -> str:
    """What is asked: formulation, protocol, examples; in later turns what there is and what was wrong with the rest.

    have: good captions so far. wrong: refused captions, each with the reason.
    """
    shown = gait_texts(SHOWN)[modality]
    other = opposite(view)
    parts = [
        FORMULATION.format(picture=PICTURE[modality], view=_spoken(view)),
        PROTOCOL.format(number=rounds - len(have), view=_spoken(view), most=MOST_WORDS),
        EXAMPLES.format(base=shown[view][0], other=_spoken(other), examples="\n".join(shown[other])),
    ]
    if have:
        parts.append("These captions are there already; yours must say it otherwise:\n" + "\n".join(have))
    if wrong:
        reasons = "\n".join(f"{text} ({reason})" for text, reason in wrong[:SHOWN])
        parts.append(f"These captions were refused, with the reason:\n{reasons}")
    return "\n\n".join(parts)


def _question(one: _View, rounds: int) -> Question:
    return Question(question(one.modality, one.view, rounds, one.texts, one.wrong))


def _take(one: _View, answer: str, rounds: int) -> None:
    """Add the captions of an answer that can stand, and note why others cannot."""
    one.wrong = []
    for line in answer.splitlines():
        text = tidy(re.sub(r"^\s*(?:[-*\u2022]|\d+[.):])\s*", "", line))
        if not text or len(one.texts) == rounds:
            continue
        reason = wrong_with(text, one.modality, one.view)
        if not reason and text.casefold() in (had.casefold() for had in one.texts):
            reason = "it stands there already"
        if reason:
            one.wrong.append((text, reason))
        else:
            one.texts.append(text)


def _begun(path: Path, fixed: dict[str, Fact]) -> dict[str, dict[str, list[str]]]:
    """The views that an interrupted call has finished."""
    if not path.is_file():
        return {modality: {} for modality in SENSORS}
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        source, texts = dict(values["source"]), {m: dict(values["texts"][m]) for m in SENSORS}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it to begin anew") from error
    differ = [f"{n} {source.get(n)!r} instead of {fixed[n]!r}" for n in fixed if source.get(n) != fixed[n]]
    if differ:
        raise ValueError(f"{path} was begun with {', '.join(differ)}; go on as before, or delete it to begin anew")
    return texts


def _gave_up(model: str, one: _View, rounds: int) -> str:
    last = f"; refused last: {one.wrong[0][0]!r}, because {one.wrong[0][1]}" if one.wrong else ""
    return (
        f"{model} gave {len(one.texts)} of {rounds} captions for {one.modality!r} from the {_spoken(one.view)} in "
        f"{TURNS} turns{last}. Finished views are kept; ask another model, or for fewer --rounds, or write by hand"
    )


def _spoken(view: str) -> str:
    return view.replace("-", " ")
