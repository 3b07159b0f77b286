"""An original and its twins, one below the other, so that one look tells what was changed and what was not."""

from collections.abc import Sequence
from dataclasses import dataclass

from unbraid.viz.style import BODY, RULE, SMALL, SOFT, Image, Picture, Sheet, broken, check_image

MARGIN, GAP, LINE = 16, 6, 15
WORDS = 300
MOST_FRAMES = 6


@dataclass(frozen=True, eq=False)
class TwinRow:
    """One tracklet. change: what differs, such as 'clothes'. notes: lines under it, shortened where they are too long.
    frames: T of H W 3 uint8 RGB, the same instants in every row."""

    change: str
    notes: Sequence[str]
    frames: Sequence[Image]


def twin_sheet(rows: Sequence[TwinRow], *, title: str = "One change at a time", height: int = 128) -> Picture:
    """The original in the first row, below it a twin per row; a column shows one instant.

    height: of a frame in CSS pixels; at most MOST_FRAMES frames of a row are shown, evenly chosen.
    Raises ValueError without a twin, or when a row has no frames or one that is not H W 3 uint8.
    """
    if len(rows) < 2:
        raise ValueError(f"a sheet of twins needs an original and at least one twin; got {len(rows)} rows")
    for row in rows:
        if not len(row.frames):
            raise ValueError(f"row {row.change!r} has no frames to draw")
        for number, frame in enumerate(row.frames):
            check_image(frame, f"row {row.change!r}, frame {number}")
    high = height + height % 2
    shapes = [frame.shape for row in rows for frame in row.frames]
    wide = 2 * max(round(high * shape[1] / shape[0] / 2) for shape in shapes)
    columns = min(MOST_FRAMES, max(len(row.frames) for row in rows))
    # many notes make a row higher than its frames
    tall = [max(high, round((len(row.notes) + 2) * LINE)) for row in rows]
    left = MARGIN + WORDS + GAP
    sheet = Sheet(left + columns * (wide + GAP) + MARGIN - GAP, 2 * MARGIN + sum(tall) + (len(rows) + 1) * GAP)
    for number, row in enumerate(rows):
        top = MARGIN + sum(tall[:number]) + (number + bool(number)) * GAP
        sheet.text(MARGIN, top + 4, broken(row.change, WORDS, 1, BODY)[0], size=BODY, bold=True)
        for line, note in enumerate(row.notes):
            sheet.text(MARGIN, top + 4 + (line + 1.4) * LINE, broken(note, WORDS, 1, SMALL)[0], size=SMALL, colour=SOFT)
        shown = min(columns, len(row.frames))
        for column in range(shown):
            frame = row.frames[column * (len(row.frames) - 1) // max(1, shown - 1)]
            sheet.picture(frame, left + column * (wide + GAP), top, wide, high)
    sheet.box(MARGIN, MARGIN + tall[0] + GAP, sheet.width - 2 * MARGIN, 1, RULE, above=True)
    changes = ", ".join(row.change for row in rows[1:])
    return Picture(
        title,
        "First row: the original. Every other row is the same shot with one thing changed; all chance that does not "
        "hang on it is the same. A column shows one instant.",
        sheet.png(),
        f"A shot and {len(rows) - 1} twins of it, which differ in: {changes}.",
        "leakage",
    )
