"""What a captioner is asked: our own wording, one question per aspect, each forbidding what the others tell.

Raise PROMPT_VERSION with every change of a word: it stands in the source of each caption, and a captions file is never
continued with other questions.

Source: DIFFER section 3 asks a frozen model several times about an image, once per perspective; its wording is not
public. Length and exclusions are not in the paper; chosen because CLIP's text towers cut at 77 tokens, and because a
text that tells two aspects teaches to keep what should be separated.
"""

from collections.abc import Sequence

from unbraid.text.captions import ASPECTS, MOTION

PROMPT_VERSION = 1
MOST_WORDS = 30

_LOOK = "Look at the person in the middle of this picture."
_LOOK_MANY = "These {frames} pictures show the same person, in the order of time."
_FORM = (
    f"Answer with one plain sentence of at most {MOST_WORDS} words that begins with '{{subject}}'. "
    "Use no pronouns such as he or she, no names and no digits, and leave out what cannot be seen."
)

# what is asked, and what must not be told
QUESTIONS: dict[str, tuple[str, str]] = {
    "biometric": (
        "Describe the body alone: whether the person looks male or female, the age group in words, the height compared "
        "with other adults, and the build.",
        "Do not mention hair, clothing, colours, skin or origin, posture, movement, carried things or the place.",
    ),
    "hair": (
        "Describe the hair alone: its length, its colour, how it is worn, and any beard or moustache.",
        "Do not mention sex, age, body, clothing, hats, posture, movement, carried things or the place.",
    ),
    "clothing": (
        "Describe the clothes alone: upper and lower garments, shoes and headwear, with colours and patterns.",
        "Do not mention sex, age, body, hair, posture, movement, bags or other carried things, or the place.",
    ),
    "pose": (
        "Describe the posture alone: whether the person stands, walks, sits or bends, how arms and legs are placed, "
        "and which side of the body is seen.",
        "Do not mention sex, age, body shape, hair, clothing, colours, speed, carried things or the place.",
    ),
    "interaction": (
        "Describe only what the person carries, holds or touches, and whom the person deals with; when there is "
        "nothing, say that the person carries nothing.",
        "Do not mention sex, age, body, hair, clothing, posture, movement or the place.",
    ),
    "environment": (
        "Describe the surroundings alone: indoors or outdoors, the kind of place, what stands nearby, and the light.",
        "Do not describe the person in any way: no sex, age, body, hair, clothing, posture, movement or carried "
        "things.",
    ),
    MOTION: (
        "Describe the movement alone: what the person does, how fast, how long the steps are, how the arms swing and "
        "how the trunk leans.",
        "Do not mention sex, age, body shape, hair, clothing, colours, carried things or the place.",
    ),
}

SUMMARY = (
    "Several observers described the body of one and the same person:\n\n{texts}\n\n"
    "Write what most of them agree on about sex, age group, height and build. Where they disagree, take what most say; "
    "add nothing that none of them says. Do not mention hair, clothing, colours, skin or origin, posture, movement, "
    "carried things or the place. "
) + _FORM.format(subject="The person")


def prompt(aspect: str, frames: int = 1) -> str:
    """The question about an aspect, to be asked with `frames` pictures of one person.

    Raises KeyError for an unknown aspect, ValueError for a question about motion with a single picture.
    """
    known = (*ASPECTS, MOTION)
    if aspect not in known:
        raise KeyError(f"no question about {aspect!r}; there are questions about {', '.join(known)}")
    if aspect == MOTION and frames < 2:
        raise ValueError("motion cannot be seen in one picture; ask with several frames of a tracklet (--frames 6)")
    ask, forbid = QUESTIONS[aspect]
    look = _LOOK if frames == 1 else _LOOK_MANY.format(frames=frames)
    form = _FORM.format(subject="The place" if aspect == "environment" else "The person")
    return " ".join((look, ask, form, forbid))


def summary_prompt(texts: Sequence[str]) -> str:
    """The question for one text about the body of a person whose pictures were described by `texts`.

    Source: DIFFER's released files hold biometric summaries per identity; how they were made is unknown.
    """
    return SUMMARY.format(texts="\n".join(f"- {text}" for text in texts))
