"""One look for all pictures: palette, type, a sheet measured in CSS pixels, and PNG bytes.

Matplotlib's figures are used directly; neither pyplot nor rcParams are touched, so a picture is the same in a
notebook, a server thread and a test.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Section = Literal["strips", "heat", "scatter", "curves", "leakage", "other"]

# Device pixels per CSS pixel: small type stays sharp on dense screens. Even CSS lengths fall on whole device pixels.
SCALE = 1.5
CSS_PER_INCH = 96
POINTS_PER_CSS = 72 / CSS_PER_INCH

PAPER = "#fbfaf8"
GROUND = "#e9e6e0"
RULE = "#d5d1c9"
SOFT = "#666a70"
INK = "#23272c"
RIGHT = "#0b7f5a"
WRONG = "#c2332b"
UNKNOWN = "#80848a"

# Twelve hues that stay apart for the common kinds of colour blindness at least in lightness; markers do the rest.
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#aa4499", "#e0a000", "#332288"),
    *("#56b4e9", "#882255", "#7a7a1f", "#ee8899", "#117733", "#44403c"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h")

# Advance of the narrowest letter in units of the type size: more letters than this cannot fit.
NARROWEST = 0.27

SMALL = 10.5
BODY = 12.0


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as the report shows it.

    png: bytes of a PNG file, SCALE device pixels per CSS pixel. alt: what it shows, for those who cannot see it.
    section: where on the page it belongs.
    """

    title: str
    caption: str
    png: bytes
    alt: str
    section: Section = "other"


def font(size: float, *, bold: bool = False) -> FontProperties:
    """The one typeface, which comes with matplotlib; size in CSS pixels."""
    return FontProperties(fname=str(_font_file(bold)), size=size * POINTS_PER_CSS)


def plain(text: str) -> str:
    """The text as one line that the typeface can draw; what it cannot draw becomes a replacement sign."""
    known = _known_characters()
    return "".join(c if ord(c) in known else "\ufffd" for c in " ".join(text.split()))


def png_of(figure: Figure) -> bytes:
    """The figure as PNG bytes, without a creation date: equal pictures are equal bytes."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=figure.dpi, facecolor=PAPER, metadata={"Software": "unbraid"})
    return buffer.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, width and height in CSS pixels."""
    size = (width / CSS_PER_INCH, height / CSS_PER_INCH)
    return Figure(figsize=size, dpi=CSS_PER_INCH * SCALE, facecolor=PAPER)


def check_image(image: Image, where: str) -> None:
    """Raises ValueError unless the image is H W 3 uint8 with at least one pixel."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"{where}: expected a frame H W 3 uint8 RGB; got shape {image.shape}, {image.dtype}")


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Length of a line of text in CSS pixels."""
    return size * sum(_advance(c, bold) for c in plain(text))


def broken(text: str, width: float, limit: int, size: float = SMALL) -> list[str]:
    """The text in at most `limit` lines of at most `width`, broken anywhere; too long a text loses its middle."""
    text = plain(text)
    most = int(limit * width / (NARROWEST * size)) + 1
    for kept in range(len(text) if len(text) <= most else most, 0, -1):
        tail = kept // 2
        shorter = text if kept == len(text) else f"{text[: kept - tail]}…{text[len(text) - tail :]}"
        lines = [""]
        for character in shorter:
            if lines[-1] and width_of(lines[-1] + character, size) > width:
                lines.append("")
            lines[-1] += character
        if len(lines) <= limit:
            return lines
    return [""]


class Sheet:
    """A page on which frames, boxes and words are put by hand; all lengths in CSS pixels from the top left."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width + width % 2, height + height % 2
        self._figure = new_figure(self.width, self.height)
        self._to_device = Affine2D().scale(SCALE, -SCALE).translate(0, self.height * SCALE)

    def picture(self, image: Image, left: int, top: int, width: int, height: int) -> None:
        """An H W 3 uint8 image, as large as fits with its own aspect, centred on the ground colour."""
        self.box(left, top, width, height, GROUND)
        cell = round(width * SCALE), round(height * SCALE)
        ratio = min(cell[0] / image.shape[1], cell[1] / image.shape[0])
        size = max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio))
        shrinks = size[0] < image.shape[1]
        sized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        x = round(left * SCALE) + (cell[0] - size[0]) // 2
        y = round(top * SCALE) + (cell[1] - size[1]) // 2
        self._figure.figimage(sized, x, round(self.height * SCALE) - y - size[1], origin="upper")

    def box(self, left: float, top: float, width: float, height: float, colour: str, *, above: bool = False) -> None:
        """A filled rectangle, below the pictures or above them."""
        box = Rectangle((left, top), width, height, facecolor=colour, edgecolor="none", antialiased=False)
        box.set_transform(self._to_device)
        box.set_zorder(1 if above else -1)
        self._figure.add_artist(box)

    def text(
        self,
        left: float,
        top: float,
        text: str,
        *,
        size: float = SMALL,
        colour: str = INK,
        align: Literal["left", "center", "right"] = "left",
        bold: bool = False,
    ) -> None:
        """One line whose capitals begin near `top`; data never becomes markup."""
        words = Text(
            *(left, top + size, plain(text)),
            color=colour,
            fontproperties=font(size, bold=bold),
            horizontalalignment=align,
            verticalalignment="baseline",
            usetex=False,
            parse_math=False,
        )
        words.set_transform(self._to_device)
        words.set_zorder(2)
        self._figure.add_artist(words)

    def png(self) -> bytes:
        """The finished sheet."""
        return png_of(self._figure)


@lru_cache(maxsize=2)
def _font_file(bold: bool) -> Path:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name


@lru_cache(maxsize=1)
def _known_characters() -> frozenset[int]:
    return frozenset(get_font(str(_font_file(False))).get_charmap())


@lru_cache(maxsize=4096)
def _advance(character: str, bold: bool) -> float:
    """How far a character moves the pen, in units of the type size."""
    face = get_font(str(_font_file(bold)))
    face.set_size(100, 72)
    advance: float = face.load_char(ord(character), flags=LoadFlags.NO_HINTING).linearHoriAdvance / 65536 / 100
    return advance
