"""HTML as a tree: what comes from data can only ever become text, because text is all that can be put in."""

import base64
import struct
from collections.abc import Iterator, Sequence
from html import escape
from xml.etree.ElementTree import Element

from unbraid.viz import Picture
from unbraid.viz.style import SCALE

Content = Element | str

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
VOID = ("meta", "img")
# From this width on (CSS pixels) a picture has a row of its own, and scrolls on small screens instead of shrinking.
WIDE = 600


def tag(name: str, /, *content: Content | None, **attributes: str) -> Element:
    """An element with text and elements inside; None is left out. `kind` stands for the attribute class."""
    element = Element(name, {key.replace("kind", "class"): readable(value) for key, value in attributes.items()})
    last: Element | None = None
    for part in content:
        if part is None:
            continue
        if isinstance(part, str):
            if last is None:
                element.text = (element.text or "") + readable(part)
            else:
                last.tail = (last.tail or "") + readable(part)
        else:
            element.append(part)
            last = part
    return element


def readable(text: str) -> str:
    """The text without what HTML cannot hold: control characters and lone surrogates become a replacement sign."""
    kept = (c if (c >= " " or c in "\t\n") and not "\x7f" <= c <= "\x9f" else "\ufffd" for c in text)
    return "".join(kept).encode("utf-8", "replace").decode("utf-8")


def document(title: str, style: str, body: Sequence[Element]) -> str:
    """A whole page. The policy in its head forbids scripts and every request, even if a browser were fooled."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", **{"http-equiv": "Content-Security-Policy", "content": policy}),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="robots", content="noindex"),
        tag("title", title),
        tag("style", style),
    )
    for element in head:
        element.tail = "\n"
    page = tag("html", head, tag("body", *body), lang="en")
    return "<!DOCTYPE html>\n" + "".join(_written(page)) + "\n"


def table(headings: Sequence[Content], rows: Sequence[Sequence[Element]], *, numbers: Sequence[int] = ()) -> Element:
    """A table that scrolls sideways on small screens. rows: cells made by `cell`. numbers: columns set to the right."""
    marks = [{"scope": "col", **({"kind": "number"} if place in numbers else {})} for place in range(len(headings))]
    head = tag("tr", *(tag("th", heading, **mark) for heading, mark in zip(headings, marks, strict=True)))
    body = [tag("tr", *row) for row in rows]
    for line in body:
        line.tail = "\n"
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), kind="scroll")


def cell(text: Content, *smalls: str, kind: str = "word") -> Element:
    """A cell with an optional small line or two below its text."""
    return tag("td", text, *(tag("small", small) for small in smalls if small), kind=kind)


def number(text: str, *smalls: str, strong: bool = False) -> Element:
    """A cell set to the right, in figures of equal width."""
    return cell(tag("strong", text) if strong else text, *smalls, kind="number")


def figure(picture: Picture) -> Element:
    """A picture with its caption, its pixels inside the page. Raises ValueError when they are not a PNG file."""
    width, height = png_size(picture)
    image = tag(
        "img",
        src="data:image/png;base64," + base64.b64encode(picture.png).decode("ascii"),
        alt=picture.alt,
        width=str(round(width / SCALE)),
        height=str(round(height / SCALE)),
    )
    caption = tag("figcaption", tag("strong", picture.title), picture.caption)
    if width / SCALE >= WIDE:
        image.set("style", f"min-width: {WIDE}px")
    return tag("figure", tag("div", image, kind="scroll"), caption)


def figures(pictures: Sequence[Picture]) -> list[Element]:
    """Wide pictures one below the other, narrow ones side by side where there is room."""
    narrow = [figure(p) for p in pictures if png_size(p)[0] / SCALE < WIDE]
    wide = [figure(p) for p in pictures if png_size(p)[0] / SCALE >= WIDE]
    kind = "pair single" if len(narrow) == 1 else "pair"
    return [*wide, *([tag("div", *narrow, kind=kind)] if narrow else [])]


def png_size(picture: Picture) -> tuple[int, int]:
    """Width and height in device pixels, from the file's head."""
    if picture.png[:8] != PNG_SIGNATURE or len(picture.png) < 24:
        raise ValueError(f"picture {picture.title!r} is not a PNG file ({len(picture.png)} bytes); give PNG bytes")
    width, height = struct.unpack(">II", picture.png[16:24])
    return int(width), int(height)


def _written(element: Element) -> Iterator[str]:
    """The element as HTML text; no data can open a tag, close one or leave its attribute."""
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in element.attrib.items())
    yield f"<{element.tag}{attributes}>"
    # browsers read the content of style as it is; it is never data
    yield element.text or "" if element.tag == "style" else escape(element.text or "", quote=False)
    for child in element:
        yield from _written(child)
        yield escape(child.tail or "", quote=False)
    if element.tag not in VOID:
        yield f"</{element.tag}>"
